//! The time limits of one connection.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::receive::server::End;

/// The maximum times that a peer may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimits {
    /// The maximum time until the first byte.
    pub(super) first_byte: Option<Duration>,
    /// The maximum time from one byte to the next.
    pub(super) idle: Option<Duration>,
    /// The maximum time from the first byte of a frame to the end of the frame.
    pub(super) frame: Duration,
}

/// The deadlines of a connection. The time for which the peer waits for the receiver does not count.
#[derive(Debug)]
pub(super) struct Deadlines {
    limits: TimeLimits,
    /// The time at which the last bytes were processed. Before the first bytes, this is the time at which the
    /// connection began.
    heard: Instant,
    has_heard: bool,
    /// The time at which the unfinished frame began, if there is one.
    frame_since: Option<Instant>,
}

impl Deadlines {
    pub(super) fn new(limits: TimeLimits) -> Self {
        Self { limits, heard: Instant::now(), has_heard: false, frame_since: None }
    }

    /// Notes that bytes came and were processed. `ended` tells whether a frame ended within these bytes.
    /// `unfinished` tells whether the last frame has not ended yet.
    pub(super) fn hear(&mut self, ended: bool, unfinished: bool) {
        self.heard = Instant::now();
        self.has_heard = true;
        if ended || !unfinished {
            self.frame_since = None;
        }
        if unfinished {
            self.frame_since.get_or_insert(self.heard);
        }
    }

    /// Extends the deadlines by a time in which the peer had to wait.
    pub(super) fn excuse(&mut self, time: Duration) {
        self.heard += time;
        if let Some(since) = &mut self.frame_since {
            *since += time;
        }
    }

    /// Waits until the connection has to be closed, and returns the reason.
    pub(super) async fn expired(&self) -> End {
        match self.deadline() {
            Some((instant, end)) => {
                sleep_until(instant).await;
                end
            }
            None => std::future::pending().await,
        }
    }

    fn deadline(&self) -> Option<(Instant, End)> {
        // A time beyond the range of the clock means no limit.
        let after = |since: Instant, limit: Duration, end| Some((since.checked_add(limit)?, end));
        let silent = if self.has_heard {
            self.limits.idle.and_then(|limit| after(self.heard, limit, End::Idle))
        } else {
            self.limits.first_byte.and_then(|limit| after(self.heard, limit, End::Silent))
        };
        let slow = self.frame_since.and_then(|since| after(since, self.limits.frame, End::Slow));
        [slow, silent].into_iter().flatten().min_by_key(|(instant, _)| *instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn new(idle: Option<Duration>) -> Deadlines {
        Deadlines::new(TimeLimits { first_byte: Some(10 * SECOND), idle, frame: 30 * SECOND })
    }

    fn deadline(deadlines: &Deadlines) -> Option<(Duration, End)> {
        deadlines.deadline().map(|(instant, end)| (instant - Instant::now(), end))
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_has_a_deadline_however_often_its_bytes_come() {
        let mut deadlines = new(Some(5 * SECOND));
        deadlines.hear(false, true);
        for waited in 1..=28 {
            tokio::time::advance(SECOND).await;
            deadlines.hear(false, true);
            let left = (30 - waited).min(5);
            let end = if left < 5 || waited == 25 { End::Slow } else { End::Idle };
            assert_eq!(deadline(&deadlines), Some((left * SECOND, end)), "after {waited} s");
        }
        // These bytes have the end of one frame and the beginning of the next.
        deadlines.hear(true, true);
        tokio::time::advance(4 * SECOND).await;
        assert_eq!(deadline(&deadlines), Some((SECOND, End::Idle)));
        deadlines.hear(true, false);
        assert_eq!(deadlines.frame_since, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_range_of_the_clock_is_no_limit() {
        let limits =
            TimeLimits { first_byte: Some(Duration::MAX), idle: Some(Duration::MAX), frame: Duration::MAX };
        let mut deadlines = Deadlines::new(limits);
        assert_eq!(deadline(&deadlines), None);
        deadlines.hear(false, true);
        assert_eq!(deadline(&deadlines), None);
    }
}
