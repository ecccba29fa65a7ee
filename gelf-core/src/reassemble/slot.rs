//! The place of one pending message.

use std::time::Instant;

use super::chunks::Chunks;
use super::list::Links;
use crate::chunk::MessageId;

/// What tells a message from all others. The id comes first, for it is what differs.
pub(super) type Key<S> = (MessageId, S);

/// A pending message, or the place for one.
#[derive(Debug)]
pub(super) struct Slot<S> {
    /// Whose it is; nobody's, when the slot is free.
    pub(super) key: Option<Key<S>>,
    pub(super) links: Links,
    /// The last moment at which it may be completed; none, where that is beyond all time.
    pub(super) deadline: Option<Instant>,
    /// How many chunks it has.
    pub(super) count: u8,
    /// Those that have come. A free slot has those of its last message, or their memory.
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
