//! The chunks of one message.

/// The chunks in the order in which they came, one behind the other, and where each stands.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// A bit for each chunk that has come, by its number.
    numbers: [u64; 2],
    out_of_order: bool,
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

impl Chunks {
    /// Forgets the chunks, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.numbers = [0; 2];
        self.out_of_order = false;
        self.parts.clear();
        self.data.clear();
    }

    /// Forgets the chunks, and frees the memory.
    pub(super) fn shrink(&mut self) {
        *self = Self::default();
    }

    /// How many bytes the chunks and their places take, or may without asking for more.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        self.parts.capacity() * size_of::<Part>() + self.data.capacity()
    }

    /// How many bytes so many chunks take, if all are as long as the first.
    pub(super) fn needed(first: usize, count: u8) -> usize {
        usize::from(count) * (first + size_of::<Part>())
    }

    /// How many have come.
    pub(super) fn received(&self) -> u8 {
        self.parts.len() as u8
    }

    /// The payload of a chunk that has come.
    #[inline]
    pub(super) fn part(&self, number: u8) -> Option<&[u8]> {
        if self.numbers.get(usize::from(number / 64))? >> (number % 64) & 1 == 0 {
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

    /// Adds a chunk, of so many, that has not come yet; says how much more memory it takes.
    #[inline]
    pub(super) fn add(&mut self, number: u8, count: u8, payload: &[u8]) -> usize {
        let fits = payload.len() <= self.data.capacity() - self.data.len();
        let grown = if fits && self.parts.len() < self.parts.capacity() {
            0
        } else {
            self.grow(payload.len(), count)
        };
        self.out_of_order |= self.received() != number;
        if let Some(numbers) = self.numbers.get_mut(usize::from(number / 64)) {
            *numbers |= 1 << (number % 64);
        }
        self.data.extend_from_slice(payload);
        self.parts.push(Part { number, end: self.data.len() as u32 });
        grown
    }

    /// Makes room for a chunk, and for as much more as there is already: not for all that the sender says there will be,
    /// for saying costs nothing, but not for more than that either.
    #[cold]
    fn grow(&mut self, payload: usize, count: u8) -> usize {
        let before = self.memory();
        let needed = self.data.len() + payload;
        let said = payload * usize::from(count);
        self.data.reserve_exact(needed.max(said.min(2 * self.data.len())) - self.data.len());
        self.parts.reserve(1);
        self.memory() - before
    }

    /// The message that they are, if they came in order.
    pub(super) fn in_order(&self) -> Option<&[u8]> {
        (!self.out_of_order).then_some(&self.data)
    }

    /// Appends the message that they are to `joined`. There must be all of them.
    pub(super) fn join(&self, joined: &mut Vec<u8>) {
        // Where the chunk with each number stands among those that came.
        let mut places = [0; 128];
        for (at, part) in self.parts.iter().enumerate() {
            if let Some(place) = places.get_mut(usize::from(part.number)) {
                *place = at;
            }
        }
        joined.reserve(self.data.len());
        for at in places.iter().take(self.parts.len()) {
            joined.extend_from_slice(self.payload(*at).unwrap_or_default());
        }
    }
}
