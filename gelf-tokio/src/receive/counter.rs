//! Counters that several tasks share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter that tasks can increment at the same time.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Returns a guard whose drop adds one to the counter, unless the guard is disarmed. A future that holds
    /// the guard is therefore also counted if the future is dropped while it waits.
    pub(super) fn unless_disarmed(&self) -> CountOnDrop<'_> {
        CountOnDrop(Some(self))
    }
}

/// A guard that adds one to a counter when it is dropped.
#[derive(Debug)]
pub(super) struct CountOnDrop<'a>(Option<&'a Counter>);

impl CountOnDrop<'_> {
    /// Drops the guard without counting.
    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CountOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(counter) = self.0 {
            counter.add(1);
        }
    }
}
