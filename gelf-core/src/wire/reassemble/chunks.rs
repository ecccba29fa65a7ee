//! The chunks of one pending message.

/// The chunks, joined in order of arrival, and the position of each chunk.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// The numbers of the chunks that have arrived, as a set of bits.
    numbers: u128,
    out_of_order: bool,
    /// The positions of the chunks in `data`: an entry for each chunk that has arrived, at most 128.
    parts: Vec<Part>,
    data: Vec<u8>,
}

/// A chunk's number, and the end of its payload in `Chunks::data`. The payload begins at the end of the
/// previous entry's payload.
#[derive(Clone, Copy, Debug)]
struct Part {
    number: u8,
    /// A `u32` is large enough, since 128 datagrams are 8 MiB at most.
    end: u32,
}

impl Chunks {
    /// Removes the chunks and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.numbers = 0;
        self.out_of_order = false;
        self.parts.clear();
        self.data.clear();
    }

    /// Removes the chunks and frees the memory.
    pub(super) fn shrink(&mut self) {
        *self = Self::default();
    }

    /// Returns the size of the allocations in bytes.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        self.parts.capacity() * size_of::<Part>() + self.data.capacity()
    }

    /// Returns the memory, in bytes, for `count` chunks of the same length. `first` is the length of the
    /// first chunk in bytes.
    pub(super) fn needed(first: usize, count: u8) -> usize {
        usize::from(count) * (first + size_of::<Part>())
    }

    /// Returns the number of chunks that have arrived.
    pub(super) fn received(&self) -> u8 {
        self.parts.len() as u8
    }

    /// Returns the payload of a chunk that has arrived.
    #[inline]
    pub(super) fn part(&self, number: u8) -> Option<&[u8]> {
        if self.numbers >> number & 1 == 0 {
            return None;
        }
        let at = self.parts.iter().position(|part| part.number == number)?;
        self.payload_at(at)
    }

    fn payload_at(&self, at: usize) -> Option<&[u8]> {
        let start = match at.checked_sub(1) {
            Some(before) => self.parts.get(before)?.end as usize,
            None => 0,
        };
        self.data.get(start..self.parts.get(at)?.end as usize)
    }

    /// Adds a chunk of a message that has `count` chunks. Returns the number of bytes by which the
    /// allocations grew.
    #[inline]
    pub(super) fn add(&mut self, number: u8, count: u8, payload: &[u8]) -> usize {
        let fits = payload.len() <= self.data.capacity() - self.data.len();
        let grown = if fits && self.parts.len() < self.parts.capacity() {
            0
        } else {
            self.grow(payload.len(), count)
        };
        self.out_of_order |= self.received() != number;
        self.numbers |= 1 << number;
        self.data.extend_from_slice(payload);
        self.parts.push(Part { number, end: self.data.len() as u32 });
        grown
    }

    /// Makes room for a chunk, and reserves memory for later chunks. The capacity has two limits: the
    /// probable length of the message, which is the sequence count times the length of this chunk, and twice the length
    /// of the earlier chunks. The second limit exists because a sender can announce any sequence count at no cost. If
    /// this chunk does not fit within both limits, the buffer becomes just long enough for it.
    #[cold]
    fn grow(&mut self, payload: usize, count: u8) -> usize {
        let before = self.memory();
        let needed = self.data.len() + payload;
        let announced = payload * usize::from(count);
        self.data.reserve_exact(needed.max(announced.min(2 * self.data.len())) - self.data.len());
        self.parts.reserve(1);
        self.memory() - before
    }

    /// Returns whether the chunks arrived in order.
    pub(super) fn is_in_order(&self) -> bool {
        !self.out_of_order
    }

    /// Returns the chunks in order of arrival.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// Appends the message to `joined`. All chunks must have arrived.
    #[allow(
        clippy::indexing_slicing,
        reason = "a chunk's number is less than its message's count, at most 128"
    )]
    pub(super) fn join(&self, joined: &mut Vec<u8>) {
        let mut payloads: [&[u8]; 128] = [&[]; 128];
        let (mut rest, mut start) = (self.data.as_slice(), 0);
        for part in &self.parts {
            let (payload, tail) = rest.split_at((part.end - start) as usize);
            payloads[usize::from(part.number)] = payload;
            (rest, start) = (tail, part.end);
        }
        joined.reserve(self.data.len());
        for payload in &payloads[..self.parts.len()] {
            joined.extend_from_slice(payload);
        }
    }
}
