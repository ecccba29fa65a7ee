//! The place of one pending message.

use std::time::Instant;

use super::list::Links;
use crate::chunk::MessageId;

/// A slot with more memory than this gives it back when it is free.
const RETAINED_BYTES: usize = 16 * 1024;

/// What tells a message from all others. The id comes first, for it is what differs.
pub(super) type Key<S> = (MessageId, S);

/// The chunks of a message, in the order in which they came, one behind the other. A free slot keeps its memory for
/// the next message.
#[derive(Debug)]
pub(super) struct Slot<S> {
    /// Whose it is; nobody's, when the slot is free.
    pub(super) key: Option<Key<S>>,
    pub(super) links: Links,
    /// The last moment at which it may be completed; none, where that is beyond all time.
    pub(super) deadline: Option<Instant>,
    pub(super) count: u8,
    /// A bit for each chunk that has come.
    numbers: u128,
    in_order: bool,
    /// One for each of those, at most 128.
    parts: Vec<Part>,
    data: Vec<u8>,
}

/// Where a chunk's payload ends in the data; it begins where the one before ends.
#[derive(Clone, Copy, Debug)]
struct Part {
    number: u8,
    /// 128 datagrams are 8 MiB: no offset nears 4 GiB.
    end: u32,
}

impl<S> Slot<S> {
    pub(super) fn free() -> Self {
        Self {
            key: None,
            links: Links::default(),
            deadline: None,
            count: 0,
            numbers: 0,
            in_order: true,
            parts: Vec::new(),
            data: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, key: Key<S>, deadline: Option<Instant>, count: u8) {
        self.release();
        self.key = Some(key);
        self.deadline = deadline;
        self.count = count;
    }

    /// Forgets the message. A large one does not pin its memory.
    pub(super) fn release(&mut self) {
        self.key = None;
        self.numbers = 0;
        self.in_order = true;
        self.parts.clear();
        self.data.clear();
        if self.data.capacity() > RETAINED_BYTES {
            self.data = Vec::new();
        }
    }

    /// Gives all memory back.
    pub(super) fn shrink(&mut self) {
        self.parts = Vec::new();
        self.data = Vec::new();
    }

    /// How many bytes the chunks and their places take.
    pub(super) fn memory(&self) -> usize {
        self.parts.capacity() * size_of::<Part>() + self.data.capacity()
    }

    pub(super) fn received(&self) -> u8 {
        self.parts.len() as u8
    }

    pub(super) fn is_complete(&self) -> bool {
        self.received() == self.count
    }

    /// The payload of a chunk that has come.
    pub(super) fn part(&self, number: u8) -> Option<&[u8]> {
        if self.numbers & (1 << number) == 0 {
            return None;
        }
        let at = self.parts.iter().position(|part| part.number == number)?;
        self.payload(at)
    }

    fn payload(&self, at: usize) -> Option<&[u8]> {
        let start = match at.checked_sub(1) {
            Some(before) => self.parts.get(before)?.end as usize,
            None => 0,
        };
        self.data.get(start..self.parts.get(at)?.end as usize)
    }

    pub(super) fn add(&mut self, number: u8, payload: &[u8]) {
        self.in_order &= self.received() == number;
        self.numbers |= 1 << number;
        self.data.extend_from_slice(payload);
        self.parts.push(Part { number, end: self.data.len() as u32 });
    }

    /// The message, if its chunks came in order.
    pub(super) fn in_order(&self) -> Option<&[u8]> {
        self.in_order.then_some(&self.data)
    }

    /// Appends the message to `joined`.
    pub(super) fn join(&self, joined: &mut Vec<u8>) {
        // Where the chunk with each number stands among those that came.
        let mut places = [0; 128];
        for (at, part) in self.parts.iter().enumerate() {
            if let Some(place) = places.get_mut(usize::from(part.number)) {
                *place = at;
            }
        }
        joined.reserve(self.data.len());
        for at in places.iter().take(usize::from(self.count)) {
            joined.extend_from_slice(self.payload(*at).unwrap_or_default());
        }
    }
}
