//! The slot of one pending message.

use std::time::Instant;

use super::chunks::Chunks;
use super::list::Links;
use crate::wire::chunk::MessageId;

/// The key of a message. The id comes first, since it is the part that differs.
pub(super) type Key<S> = (MessageId, S);

/// A pending message, or a free slot for one.
#[derive(Debug)]
pub(super) struct Slot<S> {
    /// The key of the message; `None` if the slot is free.
    pub(super) key: Option<Key<S>>,
    pub(super) links: Links,
    /// The last moment at which the message may be completed; `None` if an [`Instant`] cannot represent it.
    pub(super) deadline: Option<Instant>,
    /// The number of chunks of the message.
    pub(super) count: u8,
    /// The chunks that have arrived. A free slot has the chunks of its last message, or only their memory.
    pub(super) chunks: Chunks,
}

impl<S> Slot<S> {
    pub(super) fn free() -> Self {
        Self { key: None, links: Links::default(), deadline: None, count: 0, chunks: Chunks::default() }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.chunks.received() == self.count
    }
}
