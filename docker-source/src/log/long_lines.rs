//! Limits the memory that the long lines of all containers share.
//!
//! A container can leave a line open for ever, on each of its streams. Therefore only the first 64 KiB of a
//! line are always kept. Further bytes of the line count against a budget that all lines share. If the budget
//! is used up, the line is cut.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The length of the beginning of a line that is always kept: 64 KiB.
pub(crate) const ALWAYS_KEPT: usize = 64 * 1024;

/// A budget for the bytes that lines have behind their first 64 KiB.
#[derive(Clone, Debug)]
pub(crate) struct LongLines {
    free: Arc<Semaphore>,
}

impl LongLines {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes)) }
    }

    /// Returns a budget that is never used up.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn unlimited() -> Self {
        Self::new(Semaphore::MAX_PERMITS)
    }

    /// Returns the number of bytes that are left.
    pub(crate) fn free(&self) -> usize {
        self.free.available_permits()
    }
}

/// The bytes of a line that grows, and their share of the budget.
#[derive(Debug)]
pub(super) struct GrowingLine {
    bytes: Vec<u8>,
    /// The maximum number of bytes.
    max: usize,
    share: Option<OwnedSemaphorePermit>,
}

impl GrowingLine {
    pub(super) const fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, share: None }
    }

    /// Appends `bytes`, or only the beginning of `bytes` if there is too little room. After a call that could
    /// not append all bytes, further calls append nothing.
    pub(super) fn append(&mut self, bytes: &[u8], budget: &LongLines) {
        let wanted = bytes.len().min(self.max.saturating_sub(self.bytes.len()));
        if !self.grow(self.bytes.len() + wanted, budget) {
            self.max = self.bytes.capacity();
        }
        let room = self.max.saturating_sub(self.bytes.len()).min(wanted);
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    /// Makes room for a line of `length` bytes, and for more bytes in advance if the budget allows it. The room
    /// then at least doubles, as far as `max` permits. If the budget does not allow that, the line takes half of
    /// the bytes that the budget has left, or as many as it needs if these are more. Returns false if the budget
    /// has too few bytes for a line of `length` bytes. The line then keeps its present room, or gets 64 KiB if
    /// that is more.
    fn grow(&mut self, length: usize, budget: &LongLines) -> bool {
        let capacity = self.bytes.capacity();
        if length <= capacity {
            return true;
        }
        let doubled = length.max(2 * capacity).min(self.max);
        let (capacity, is_enough) = if length <= ALWAYS_KEPT {
            (doubled.min(ALWAYS_KEPT), true)
        } else {
            let kept = capacity.max(ALWAYS_KEPT);
            let (wanted, needed) = (doubled - kept, length - kept);
            // With room in advance, a line of many short pieces is moved only a few times.
            let part = (budget.free() / 2).clamp(needed, wanted);
            let claimed = [wanted, part, needed].into_iter().find(|bytes| self.claim(*bytes, budget));
            (kept + claimed.unwrap_or_default(), claimed.is_some())
        };
        self.bytes.reserve_exact(capacity - self.bytes.len());
        is_enough
    }

    /// Takes `bytes` bytes from the budget. If the budget has fewer bytes left, takes nothing and returns
    /// `false`.
    fn claim(&mut self, bytes: usize, budget: &LongLines) -> bool {
        let Ok(bytes) = u32::try_from(bytes) else { return false };
        let Ok(more) = Arc::clone(&budget.free).try_acquire_many_owned(bytes) else { return false };
        match &mut self.share {
            Some(share) => share.merge(more),
            none => *none = Some(more),
        }
        true
    }

    /// Returns the first `length` bytes, which keep their share of the budget until they are dropped.
    pub(super) fn into_bytes(mut self, length: usize) -> Bytes {
        self.bytes.truncate(length);
        // The boxed slice frees unused memory: the vector may have memory for twice as many bytes.
        let bytes = self.bytes.into_boxed_slice();
        let share = self.share.as_mut().and_then(|share| {
            let behind = bytes.len().saturating_sub(ALWAYS_KEPT);
            share.split(behind.min(share.num_permits()))
        });
        match share {
            Some(share) => Bytes::from_owner(LongLine { bytes, _share: share }),
            None => Bytes::from(bytes),
        }
    }
}

/// A long line, and its share of the budget.
struct LongLine {
    bytes: Box<[u8]>,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for LongLine {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn lines_beyond_64_kib_share_a_budget_and_are_cut_when_the_budget_is_spent() {
        let budget = LongLines::new(2 * MIB);
        let mut lines: Vec<_> = (0..80).map(|_| GrowingLine::new(MIB)).collect();
        for _ in 0..100 {
            for line in &mut lines {
                line.append(&[b'x'; 16_384], &budget);
            }
            let held: usize = lines.iter().map(|line| line.bytes.capacity()).sum();
            assert!(held <= 2 * MIB + 80 * ALWAYS_KEPT, "{held}");
        }
        assert!(lines.iter().all(|line| line.bytes.len() >= ALWAYS_KEPT));
        assert!(lines.iter().map(|line| line.bytes.len()).sum::<usize>() >= MIB + 80 * ALWAYS_KEPT);
        // A line that was cut stays cut, even if there is room later.
        let mut cut = lines.pop().unwrap();
        drop(lines);
        let length = cut.bytes.len();
        cut.append(b"end", &budget);
        assert_eq!((cut.bytes.len(), cut.share.is_none()), (length, true));
        let mut whole = GrowingLine::new(MIB);
        whole.append(&[b'x'; MIB], &budget);
        assert_eq!((whole.bytes.len(), budget.free()), (MIB, MIB + ALWAYS_KEPT));
    }

    #[test]
    fn a_line_is_whole_if_the_budget_has_its_bytes_but_not_twice_as_many() {
        const PIECE: usize = 16_384;
        let budget = LongLines::new(3 * PIECE);
        let mut line = GrowingLine::new(MIB);
        // Behind the first 64 KiB, the room would double to 128 KiB. The budget does not have the further 64 KiB.
        for length in (PIECE..=ALWAYS_KEPT + 3 * PIECE).step_by(PIECE) {
            line.append(&[b'x'; PIECE], &budget);
            assert_eq!(line.bytes.len(), length);
        }
        assert_eq!(budget.free(), 0);
        line.append(b"y", &budget);
        assert_eq!(line.into_bytes(MIB).len(), ALWAYS_KEPT + 3 * PIECE);
        assert_eq!(budget.free(), 3 * PIECE);
    }

    #[test]
    fn a_line_of_short_pieces_is_moved_only_a_few_times_even_if_the_budget_is_short() {
        let budget = LongLines::new(ALWAYS_KEPT - 1);
        let mut line = GrowingLine::new(MIB);
        line.append(&[b'x'; ALWAYS_KEPT], &budget);
        let mut rooms = std::collections::BTreeSet::new();
        for _ in 1..ALWAYS_KEPT {
            line.append(b"x", &budget);
            rooms.insert(line.bytes.capacity());
        }
        assert_eq!((line.bytes.len(), budget.free()), (2 * ALWAYS_KEPT - 1, 0));
        assert!(rooms.len() < 20, "{rooms:?}");
    }

    #[test]
    fn a_line_holds_the_share_of_its_length_until_its_last_slice_is_dropped() {
        let budget = LongLines::new(MIB);
        let mut line = GrowingLine::new(MIB);
        line.append(&[b'x'; 2 * ALWAYS_KEPT], &budget);
        line.append(b"y", &budget);
        let bytes = line.into_bytes(2 * ALWAYS_KEPT + 1);
        assert_eq!(budget.free(), MIB - ALWAYS_KEPT - 1);
        let slice = bytes.slice(..1);
        drop(bytes);
        assert_eq!(budget.free(), MIB - ALWAYS_KEPT - 1);
        drop(slice);
        assert_eq!(budget.free(), MIB);
    }
}
