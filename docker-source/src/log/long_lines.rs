//! The memory that the long lines of all containers share.
//!
//! A container may leave a line open for ever, on each of its streams. So a line keeps only its beginning, unless
//! there is room for more in a budget that all lines share. A line that finds no room is cut.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of bytes that are kept of every line: 64 KiB.
pub(crate) const ALWAYS_KEPT: usize = 64 * 1024;

/// A budget for the bytes of lines behind the first 64 KiB.
#[derive(Clone, Debug)]
pub(crate) struct LongLines {
    free: Arc<Semaphore>,
}

impl LongLines {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes)) }
    }

    /// Returns a budget that never ends.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn unlimited() -> Self {
        Self::new(Semaphore::MAX_PERMITS)
    }

    /// Returns the number of bytes that are left.
    #[cfg(test)]
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

    /// Appends the beginning of `bytes` for which there is room. If that is not all, nothing is appended later.
    pub(super) fn append(&mut self, bytes: &[u8], budget: &LongLines) {
        let wanted = bytes.len().min(self.max.saturating_sub(self.bytes.len()));
        if !self.grow(self.bytes.len() + wanted, budget) {
            self.max = self.bytes.capacity();
        }
        let room = self.max.saturating_sub(self.bytes.len()).min(wanted);
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    /// Makes room for this length; returns whether the budget has it.
    fn grow(&mut self, length: usize, budget: &LongLines) -> bool {
        let capacity = self.bytes.capacity();
        if length <= capacity {
            return true;
        }
        let doubled = length.max(2 * capacity).min(self.max);
        let (share, is_enough) = match length <= ALWAYS_KEPT {
            true => (None, true),
            false => {
                let more = u32::try_from(doubled - capacity.max(ALWAYS_KEPT)).unwrap_or(u32::MAX);
                let share = Arc::clone(&budget.free).try_acquire_many_owned(more).ok();
                let is_enough = share.is_some();
                (share, is_enough)
            }
        };
        match (&mut self.share, share) {
            (Some(own), Some(more)) => own.merge(more),
            (own @ None, more) => *own = more,
            (Some(_), None) => {}
        }
        let capacity = match (length <= ALWAYS_KEPT, is_enough) {
            (true, _) => doubled.min(ALWAYS_KEPT),
            (false, true) => doubled,
            (false, false) => capacity.max(ALWAYS_KEPT.min(self.max)),
        };
        self.bytes.reserve_exact(capacity - self.bytes.len());
        is_enough
    }

    /// Returns the first `length` bytes, which keep their share of the budget until they are dropped.
    pub(super) fn into_bytes(mut self, length: usize) -> Bytes {
        self.bytes.truncate(length);
        // A boxed slice, since a vector may have room for twice as much.
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

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
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
