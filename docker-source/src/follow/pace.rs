//! Chooses between a stream, which follows a log, and windows, which are responses with the last records of
//! the log. Sets the times of the windows.
//!
//! For each line, a stream costs the Engine several times as much as a window. A stream may also omit lines.
//! However, a window costs the Engine about half a millisecond even if it has few lines. Therefore a busy log
//! is read by windows, and a quiet log is followed by a stream. While a log is followed, occasional windows
//! prove that the stream has omitted nothing. These windows are called proofs.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The number of records within [`Pace::latency`] that makes a log busy.
const BUSY_RECORDS: u32 = 10;
/// The number of bytes within [`Pace::latency`] that makes a log busy. A log with few but long lines counts
/// as busy, too, since long lines soon fill a small log file, which the Engine then rotates.
const BUSY_BYTES: usize = 16 * 1024;
/// A window with fewer new lines than this is quiet.
const QUIET_LINES: u64 = 5;
/// The number of consecutive quiet windows after which the log is followed.
const QUIET_WINDOWS: u32 = 5;
/// If a window has more new lines than this, the next window follows sooner, since the Engine may keep only a
/// few seconds of a fast log.
const MANY_LINES: u32 = 1000;
/// The margin of a window is the number of records that it requests beyond the expected number. The largest
/// margin is the value of this constant plus a quarter of the expected number.
const MARGIN_RECORDS: u32 = 16;
/// The margin is two records plus the mean deviation of the last windows multiplied by this number, but at most
/// the largest margin. With such a margin, about one window in a hundred is too short and has to be requested
/// again.
const MARGIN_DEVIATIONS: u32 = 3;
/// The weight of the last window in the mean deviation is one divided by this number.
const DEVIATION_WINDOWS: u32 = 8;
/// The longest wait between two windows while windows replace the stream.
const LONGEST: Duration = Duration::from_secs(2);
/// The minimum ratio of the wait between two windows to the duration of a window. Thus windows take at most a
/// twentieth of the time, unless [`LONGEST`] limits the wait. A window can take long, since an Engine before
/// 28.0 decompresses all compressed files of the log for each window.
const SHARE: u32 = 20;
/// The number of recent windows whose shortest duration counts as the duration of a window. The shortest
/// duration is used because a busy machine delays only some windows, whereas compressed files delay each
/// window.
const WINDOWS_TIMED: usize = 5;
/// The time between two proofs while lines arrive, and the longest time between two proofs while no line
/// arrives. If windows take long, both times are longer, see [`SHARE`].
const PROOFS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];
/// The number of consecutive proofs with new lines after which windows replace the stream. One such proof is
/// not enough, since the stream may have brought the same lines a moment later.
const LATE_PROOFS: u32 = 2;

/// The pace of reading one log.
#[derive(Debug)]
pub(super) struct Pace {
    /// The usual maximum time until a line of a busy log is read. If the time is zero, no log counts as busy.
    latency: Duration,
    /// The number of records that arrived since the last window.
    records: u32,
    /// The start of the current interval, which lasts for `latency`.
    interval_start: Instant,
    /// The number of records that arrived in the current interval.
    interval_records: u32,
    /// The number of bytes that arrived in the current interval.
    interval_bytes: usize,
    /// The number of consecutive quiet windows.
    quiet_windows: u32,
    /// The number of consecutive proofs with new lines.
    late_proofs: u32,
    /// The time of the last window, or of the last proof that failed, whichever is later.
    proved_at: Instant,
    /// The time from `proved_at` to the next proof if no line arrives.
    until_proof: Duration,
    /// The durations of the last windows: the times from their requests to the first bytes of their
    /// responses.
    durations: VecDeque<Duration>,
    /// The number of new lines in the last window.
    new_lines: u64,
    /// The number of new records in the last window.
    new_records: u32,
    /// The mean difference between the expected and the actual number of records that the last windows had
    /// behind the place up to which no line was missing, times [`DEVIATION_WINDOWS`].
    deviations: u32,
}

impl Pace {
    pub(super) fn new(latency: Duration, now: Instant) -> Self {
        Self {
            latency,
            records: 0,
            interval_start: now,
            interval_records: 0,
            interval_bytes: 0,
            quiet_windows: 0,
            late_proofs: 0,
            proved_at: now,
            until_proof: PROOFS[0],
            durations: VecDeque::with_capacity(WINDOWS_TIMED),
            new_lines: 0,
            new_records: 0,
            deviations: MARGIN_RECORDS * DEVIATION_WINDOWS / MARGIN_DEVIATIONS,
        }
    }

    /// Counts a record of a stream.
    pub(super) fn record(&mut self) {
        self.records = self.records.saturating_add(1);
        self.interval_records = self.interval_records.saturating_add(1);
    }

    /// Counts `count` bytes of a stream.
    pub(super) fn bytes(&mut self, count: usize) {
        self.interval_bytes = self.interval_bytes.saturating_add(count);
    }

    /// Returns whether records arrive so fast that windows are cheaper than the stream.
    pub(super) fn is_busy(&mut self, now: Instant) -> bool {
        let is_busy = self.interval_records >= BUSY_RECORDS || self.interval_bytes >= BUSY_BYTES;
        if is_busy || now >= self.interval_start + self.latency {
            (self.interval_start, self.interval_records, self.interval_bytes) = (now, 0, 0);
        }
        is_busy && !self.latency.is_zero()
    }

    /// Returns the time of the next proof.
    pub(super) fn proof_due(&self) -> Instant {
        let idle = match self.records {
            0 => self.until_proof,
            _ => PROOFS[0],
        };
        self.proved_at + idle.max(self.window_duration() * SHARE)
    }

    /// Returns whether a proof may be made now, before the next proof is due. A proof may be made if windows
    /// still take no more than their share of the time, see [`SHARE`].
    pub(super) fn may_prove(&self, now: Instant) -> bool {
        now >= self.proved_at + self.window_duration() * SHARE
    }

    /// Returns the number of records that the next window is to request. This number is only a little greater
    /// than the number of records that are expected behind the place up to which no line is missing, since a
    /// record in front of this place costs the Engine and this process as much as a new record.
    pub(super) fn records_to_request(&self) -> u32 {
        let expected = self.expected();
        let deviation = self.deviations.saturating_mul(MARGIN_DEVIATIONS) / DEVIATION_WINDOWS;
        let margin = deviation.saturating_add(2).min(expected / 4 + MARGIN_RECORDS);
        expected.saturating_add(margin)
    }

    fn expected(&self) -> u32 {
        self.records.max(self.new_records)
    }

    /// Notes a proof that failed. The next proof becomes due later, and covers the records since the last
    /// successful proof.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.proved_at = now;
    }

    /// Notes a window that reached back to the place up to which no line was missing. `records` is the number of
    /// records behind this place, including the records that a stream had brought.
    pub(super) fn window(&mut self, now: Instant, new_lines: u64, records: u32, took: Duration) {
        let deviation = records.abs_diff(self.expected());
        self.deviations = (self.deviations - self.deviations / DEVIATION_WINDOWS).saturating_add(deviation);
        // Without new lines, all these records had been read before, by a stream or in a response before this one.
        self.new_records = if new_lines > 0 { records.saturating_sub(self.records) } else { 0 };
        self.until_proof = match self.records == 0 && new_lines == 0 {
            true => (self.until_proof * 2).min(PROOFS[1]),
            false => PROOFS[0],
        };
        (self.records, self.proved_at, self.new_lines) = (0, now, new_lines);
        if self.durations.len() == WINDOWS_TIMED {
            self.durations.pop_front();
        }
        self.durations.push_back(took);
        (self.interval_start, self.interval_records, self.interval_bytes) = (now, 0, 0);
        self.late_proofs = if new_lines > 0 { self.late_proofs + 1 } else { 0 };
        self.quiet_windows = if new_lines < QUIET_LINES { self.quiet_windows + 1 } else { 0 };
    }

    /// Notes that the last window has read a backlog up to the present end of the log. The number of its
    /// lines does not show how fast lines arrive, so few lines are expected in the next window.
    pub(super) fn caught_up(&mut self) {
        (self.new_lines, self.new_records) = (0, 0);
    }

    /// Returns whether the last proofs had new lines, so that the stream omits lines or is late.
    pub(super) fn is_late(&self) -> bool {
        self.late_proofs >= LATE_PROOFS
    }

    /// Begins to read windows instead of a stream.
    pub(super) fn begin_windows(&mut self) {
        (self.quiet_windows, self.late_proofs) = (0, 0);
    }

    /// Returns whether the last windows had so few lines that a stream is cheaper.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet_windows >= QUIET_WINDOWS
    }

    /// Returns the wait until the next window.
    pub(super) fn wait(&self) -> Duration {
        let many = u32::try_from(self.new_lines).unwrap_or(u32::MAX).max(MANY_LINES);
        let wait = self.latency * MANY_LINES / many;
        wait.max(self.window_duration() * SHARE).min(LONGEST)
    }

    /// Returns the duration of a window: the time that the Engine takes to begin its answer to the request
    /// for a window.
    fn window_duration(&self) -> Duration {
        self.durations.iter().min().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENCY: Duration = Duration::from_millis(200);

    #[tokio::test(start_paused = true)]
    async fn a_log_is_busy_from_50_records_or_80_kb_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(LATENCY, start);
        for _ in 0..9 {
            pace.record();
        }
        assert!(!pace.is_busy(start + LATENCY));
        for _ in 0..10 {
            pace.record();
        }
        assert!(pace.is_busy(start + LATENCY * 3 / 2));
        pace.bytes(16 * 1024);
        assert!(pace.is_busy(start + LATENCY * 2));
        assert!(!pace.is_busy(start + LATENCY * 2));
        let mut never = Pace::new(Duration::ZERO, start);
        for _ in 0..100 {
            never.record();
        }
        assert!(!never.is_busy(start));
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_follows_sooner_if_there_are_many_lines_and_later_if_windows_are_slow() {
        let now = Instant::now();
        let mut pace = Pace::new(LATENCY, now);
        let mut wait = |lines, took| {
            pace.window(now, lines, lines as u32, took);
            pace.wait()
        };
        let fast = Duration::from_millis(1);
        assert_eq!(wait(0, fast), LATENCY);
        assert_eq!(wait(1000, fast), LATENCY);
        assert_eq!(wait(4000, fast), LATENCY / 4);
        for (lines, took, expected) in [(4000, 31, Duration::from_millis(620)), (0, 1000, LONGEST)] {
            let took = Duration::from_millis(took);
            // A single slow window does not lengthen the wait.
            assert!(wait(lines, took) < expected);
            for _ in 2..WINDOWS_TIMED {
                wait(lines, took);
            }
            assert_eq!(wait(lines, took), expected);
        }
        assert_eq!(wait(0, fast), LATENCY);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_between_proofs_grows_up_to_30_s_until_a_line_arrives() {
        let mut now = Instant::now();
        let mut pace = Pace::new(LATENCY, now);
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push((pace.proof_due() - now).as_secs());
            now = pace.proof_due();
            pace.window(now, 0, 0, Duration::ZERO);
        }
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
        pace.record();
        assert_eq!(pace.proof_due() - now, PROOFS[0]);
        assert!(!pace.is_late());
        pace.window(now, 1, 1, Duration::ZERO);
        pace.window(now, 1, 1, Duration::ZERO);
        assert!(pace.is_late());
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_requests_few_records_that_were_read_before_while_lines_arrive_steadily() {
        let now = Instant::now();
        let mut pace = Pace::new(LATENCY, now);
        let mut request = |new: u32| {
            pace.window(now, u64::from(new), new, Duration::ZERO);
            pace.records_to_request() - new
        };
        // After a jump, the margin is a quarter of the records and 16.
        assert_eq!(request(400), 116);
        let steady = (0..64).map(|at| request(400 + 10 * (at % 2))).last();
        assert_eq!(steady, Some(34));
        // Single lines that arrive one by one have almost no margin. A burst after them has the largest margin.
        for _ in 0..64 {
            request(1);
        }
        assert_eq!(request(1), 4);
        assert_eq!(request(1000), 266);
    }
}
