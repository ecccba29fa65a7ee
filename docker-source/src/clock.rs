//! Estimates the time of the Engine's clock, which stamps the lines.

use std::time::{Duration, SystemTime};

use gelf_core::Timestamp;
use tokio::time::Instant;

/// An estimate of the Engine's clock. The estimate is the time that the Engine reported once, plus the time
/// that has passed since then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineClock {
    /// The time that the Engine reported.
    start: Timestamp,
    /// The time at which the report arrived, by this machine's monotonic clock.
    started: Instant,
    /// The time at which the report arrived, by this machine's system clock.
    system: SystemTime,
}

impl EngineClock {
    /// Creates a clock that shows `start` now.
    pub(crate) fn starting_at(start: Timestamp) -> Self {
        Self { start, started: Instant::now(), system: SystemTime::now() }
    }

    /// Returns the time at which the clock started.
    pub(crate) fn start(&self) -> Timestamp {
        self.start
    }

    /// Returns the time that the clock shows.
    ///
    /// The time that has passed is measured with two clocks, and the longer time counts, since each can be
    /// too short. The monotonic clock stands still while the machine sleeps. If the Engine's clock and the
    /// system's clock are set forward together, the monotonic clock does not show the change, but the
    /// system's clock does.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = self.started.elapsed().max(self.system.elapsed().unwrap_or_default());
        later(self.start, passed)
    }
}

/// Returns the time that is `duration` after `time`, or `time` itself if the result cannot be represented.
pub(crate) fn later(time: Timestamp, duration: Duration) -> Timestamp {
    let (seconds, nanos) = time.as_unix();
    let nanos = nanos + duration.subsec_nanos();
    let seconds = seconds
        .saturating_add(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
        .saturating_add(i64::from(nanos / 1_000_000_000));
    Timestamp::from_unix(seconds, nanos % 1_000_000_000).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_time_carries_its_nanoseconds() {
        let time = Timestamp::from_unix(7, 999_999_999).unwrap();
        assert_eq!(later(time, Duration::from_nanos(1)).as_unix(), (8, 0));
        assert_eq!(later(time, Duration::from_millis(2_500)).as_unix(), (10, 499_999_999));
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_goes_on_from_its_start() {
        let clock = EngineClock::starting_at(Timestamp::from_unix(7, 0).unwrap());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.now().as_unix().0, 3607);
    }
}
