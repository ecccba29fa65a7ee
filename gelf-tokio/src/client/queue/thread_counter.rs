//! Counts events of many threads. For up to 63 threads at a time, counting costs as much as an addition to an ordinary
//! variable. For further threads, it costs as much as an atomic addition to a variable that they share.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of parts that belong to one thread each.
const OWNED: usize = 63;

/// The index of the part that all further threads share.
const SHARED: usize = OWNED;

/// Bit `n` is set while a thread owns part `n` of each counter. The bit of the shared part is always set.
static OWNERS: AtomicU64 = AtomicU64::new(1 << SHARED);

thread_local! {
    /// The index of the thread's part. `None` until the thread counts for the first time.
    static PART: Cell<Option<usize>> = const { Cell::new(None) };
    /// Gives the thread's part back when the thread ends.
    static OWNERSHIP: Ownership = const { Ownership };
}

/// A counter with parts that belong to one thread each, and one part that all further threads share. A part that
/// belongs to a thread is written by this thread only, so the thread needs no locked instruction to count. Each
/// part has a cache line of its own. The parts of ended threads keep their counts for the next owners.
#[derive(Debug)]
pub(super) struct ThreadCounter([Part; OWNED + 1]);

#[derive(Debug)]
#[repr(align(64))]
struct Part(AtomicU64);

impl ThreadCounter {
    pub(super) const fn new() -> Self {
        Self([const { Part(AtomicU64::new(0)) }; OWNED + 1])
    }

    /// Adds one.
    pub(super) fn increment(&self) {
        let index = PART.get().unwrap_or_else(take_part);
        match self.0.split_at_checked(index) {
            // The pattern requires a further part behind the matched part, so it does not match the last
            // part, which is the shared part.
            Some((_, [Part(count), _, ..])) => {
                count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            }
            _ => {
                let [.., Part(count)] = &self.0;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Returns the sum of the parts.
    pub(super) fn get(&self) -> u64 {
        self.0.iter().map(|Part(count)| count.load(Ordering::Relaxed)).sum()
    }
}

/// Takes a part that no thread owns, or the shared part.
#[cold]
fn take_part() -> usize {
    // A thread that has already dropped its `OWNERSHIP` could not give the part back.
    if OWNERSHIP.try_with(|_| ()).is_err() {
        return SHARED;
    }
    // `owners | (owners + 1)` sets the lowest bit that is clear. The previous owner of that part stored its last
    // count before it cleared the bit.
    let free = |owners: u64| (owners != u64::MAX).then(|| owners | (owners + 1));
    let taken = OWNERS.fetch_update(Ordering::Acquire, Ordering::Relaxed, free);
    let index = taken.map_or(SHARED, |owners| owners.trailing_ones() as usize);
    PART.set(Some(index));
    index
}

struct Ownership;

impl Drop for Ownership {
    fn drop(&mut self) {
        // Thread-local values that the thread drops after `OWNERSHIP` may still count. They use the shared
        // part.
        if let Some(index) = PART.replace(Some(SHARED)).filter(|index| *index < OWNED) {
            OWNERS.fetch_and(!(1 << index), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn each_event_is_counted_with_more_threads_than_parts_and_with_later_owners_of_parts() {
        let threads = 2 * OWNED + 1;
        let (counter, all_count) = (ThreadCounter::new(), Barrier::new(threads));
        for round in 1..=3 {
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        counter.increment();
                        all_count.wait();
                        (1..1_000).for_each(|_| counter.increment());
                    });
                }
            });
            assert_eq!(counter.get(), round * threads as u64 * 1_000);
        }
    }
}
