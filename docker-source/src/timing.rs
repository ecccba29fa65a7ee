//! How long the source waits for what.

use std::time::Duration;

/// How long the source waits for what. The defaults suit an Engine in daily use; tests shorten them.
///
/// ```
/// let mut timing = docker_source::Timing::default();
/// timing.list_interval = std::time::Duration::from_secs(5);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Timing {
    /// To connect and to get the headers of an answer: 10 s. An Engine that hangs must not hold its callers.
    pub headers: Duration,
    /// Between two parts of an answer in JSON: 30 s.
    pub answer: Duration,
    /// Between two parts of a log that is read to its end: 5 min. To find a point in time the Engine decodes the
    /// files from the oldest, about a second for 100 MB, and sends nothing meanwhile.
    pub catch_up: Duration,
    /// How long the stream of a container that was removed may be silent before it counts as ended: 10 s.
    pub removed: Duration,
    /// Between two lists of all containers: 30 s. Events can be lost, so what they told is checked against a list.
    pub list_interval: Duration,
    /// The first wait between two attempts to reach the Engine, 100 ms; each wait doubles.
    pub reconnect_min: Duration,
    /// The longest wait between two attempts to reach the Engine: 10 s.
    pub reconnect_max: Duration,
    /// The first wait before a container's log is asked for again, 100 ms; each wait doubles until a new line comes.
    pub resume_min: Duration,
    /// The longest wait before a container's log is asked for again: 5 s.
    pub resume_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            catch_up: Duration::from_secs(300),
            removed: Duration::from_secs(10),
            list_interval: Duration::from_secs(30),
            reconnect_min: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(10),
            resume_min: Duration::from_millis(100),
            resume_max: Duration::from_secs(5),
        }
    }
}

/// Waits that double from attempt to attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// How long to wait before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next.min(self.max);
        self.next = wait.saturating_mul(2);
        wait
    }

    /// An attempt was of use: the next failure waits for the shortest time again.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_anew_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits = |backoff: &mut Backoff| [(); 6].map(|()| backoff.next().as_millis());
        assert_eq!(waits(&mut backoff), [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next().as_millis(), 100);
    }
}
