//! The slot of one pending message.

use std::time::Instant;

use super::chunks::Chunks;
use super::list::{Linked, Links};
use crate::wire::chunk::MessageId;

/// The key of a message. The id comes first, since the ids of two messages nearly always differ.
pub(super) type Key<S> = (MessageId, S);

/// A slot, which has a pending message or is free.
#[derive(Debug)]
pub(super) struct Slot<S> {
    /// The key of the message; `None` if the slot is free.
    pub(super) key: Option<Key<S>>,
    pub(super) links: Links,
    /// The last moment at which the message may be completed; `None` if an [`Instant`] cannot represent it.
    pub(super) deadline: Option<Instant>,
    /// The number of chunks of the message.
    pub(super) count: u8,
    /// The chunks that have arrived. A free slot still holds the chunks of its last message, unless their
    /// memory was freed.
    pub(super) chunks: Chunks,
}

impl<S> Slot<S> {
    pub(super) fn free() -> Self {
        Self { key: None, links: Links::default(), deadline: None, count: 0, chunks: Chunks::default() }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.chunks.received() == self.count
    }

    pub(super) fn is_single(&self) -> bool {
        self.chunks.received() < 2
    }
}

/// The slots by their number. Slots are never removed, so a number stays valid.
#[derive(Debug)]
pub(super) struct Slots<S>(pub(super) Vec<Slot<S>>);

#[allow(
    clippy::indexing_slicing,
    reason = "every number belongs to a slot that `Reassembler::new_slot` has added"
)]
impl<S> Slots<S> {
    pub(super) fn get(&self, slot: u32) -> &Slot<S> {
        &self.0[slot as usize]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Slot<S> {
        &mut self.0[slot as usize]
    }
}

impl<S> Linked for Slots<S> {
    fn links(&mut self, slot: u32) -> &mut Links {
        &mut self.get_mut(slot).links
    }
}
