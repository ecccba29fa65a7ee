//! Limits and times that all reading threads share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gelf_spec_tests::sender::Event;

/// Maximum number of concurrent connections. Further connections are closed, because each connection can hold
/// an incomplete frame in memory.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// Interval at which the reading threads check the stop flag.
pub(super) const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Time for which the threads go on reading after the stop flag is set. In this time, they read the input
/// that has arrived before.
const GRACE_TIME: Duration = Duration::from_millis(200);

/// An event with its time.
pub(super) type TimedEvent = (Instant, Event);

/// The time for which a thread goes on reading after the stop flag is set.
#[derive(Default)]
pub(super) struct Grace {
    until: Option<Instant>,
}

impl Grace {
    /// Returns whether the time is over. The time begins at the first call after the stop flag is set.
    pub(super) fn is_over(&mut self, stop: &AtomicBool) -> bool {
        stop.load(Ordering::Relaxed)
            && Instant::now() >= *self.until.get_or_insert_with(|| Instant::now() + GRACE_TIME)
    }

    /// Returns whether the time has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.until.is_some()
    }
}
