//! Puts the new lines of one container into the queue, except blank lines, and counts all lines.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gelf_core::Timestamp;

use crate::container::Container;
use crate::context::Context;
use crate::cursor::{Cursor, Novelty};
use crate::dialect::Dialect;
use crate::log::{Line, LogStream};
use crate::position::Origin;
use crate::record::{Gap, GapReason, QueueClosed};
use crate::stats::ContainerStats;

/// The maximum length of the text of a gap, in bytes.
const GAP_BYTES: usize = 256;

/// The state of a request when the end of a line has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadingState {
    /// The earliest stamp of the lines to read. No request asks for earlier lines.
    pub(crate) floor: Timestamp,
    /// The stamp of the oldest line that is open in this request.
    pub(crate) oldest_open: Option<Timestamp>,
    pub(crate) origin: Origin,
    /// The time of the Engine's clock at which the end of the line arrived.
    pub(crate) arrived: Timestamp,
}

/// Receives the lines of one container from all requests for its log.
pub(crate) struct DedupSink {
    context: Arc<Context>,
    /// The place up to which the log was read. The supervisor has the same cursor. If the follower of the log
    /// panics, or if the container is selected again after a renaming, the supervisor gives the cursor to a new
    /// follower.
    cursor: Arc<Mutex<Cursor>>,
    stats: Arc<ContainerStats>,
    has_requested: bool,
    new_lines: u64,
    /// Exists if the requests skip a part of the log that the Engine cannot read, and the gap is not announced yet.
    skipped: Option<Skipped>,
    /// The line that the log no longer has. `None` once the next line is taken.
    lost: Option<Lost>,
}

/// A part of the log that the Engine cannot read.
#[derive(Clone, Copy, Debug)]
struct Skipped {
    /// The time behind which this part begins. `None` if it begins behind the newest line.
    after: Option<Timestamp>,
    /// True if there is a gap before the next line, whatever the stamp of that line is.
    is_before_any_line: bool,
}

/// A line that the log no longer has.
#[derive(Clone, Copy, Debug)]
struct Lost {
    time: Timestamp,
    /// True if there is a gap before the next line, whatever the stamp of that line is.
    is_before_any_line: bool,
}

impl DedupSink {
    pub(crate) fn new(context: Arc<Context>, cursor: Arc<Mutex<Cursor>>, stats: Arc<ContainerStats>) -> Self {
        Self { context, cursor, stats, has_requested: false, new_lines: 0, skipped: None, lost: None }
    }

    pub(crate) fn stats(&self) -> &ContainerStats {
        &self.stats
    }

    /// Returns whether a request for the log has begun since this sink was created.
    pub(crate) fn has_requested(&self) -> bool {
        self.has_requested
    }

    /// Returns whether a line was read by this source or by an earlier source.
    pub(crate) fn has_lines(&self) -> bool {
        lock(&self.cursor).has_lines()
    }

    /// Returns whether the first request is still to begin, and will continue behind earlier lines: the lines that an
    /// earlier source has settled, or that an earlier follower of this log has read.
    pub(crate) fn resumes(&self) -> bool {
        !self.has_requested && self.has_lines()
    }

    /// Returns the number of lines that had not been read before.
    pub(crate) fn new_lines(&self) -> u64 {
        self.new_lines
    }

    /// Counts a request that follows the log.
    pub(crate) fn count_request(&self) {
        self.stats.request(self.has_requested);
    }

    /// Begins a request for a part of the log; see [`Cursor::begin_window`].
    pub(crate) fn begin_window(&mut self, oldest_open: Option<Timestamp>) {
        (self.has_requested, self.lost) = (true, None);
        lock(&self.cursor).begin_window(oldest_open);
    }

    /// Begins a request for the log and returns its `since`; see [`Cursor::begin_request`]. If `is_whole` is
    /// false, the request is limited to the end of the log, so that the last line that was read may be
    /// missing.
    pub(crate) fn begin_request(
        &mut self,
        dialect: Dialect,
        floor: Timestamp,
        oldest_open: Option<Timestamp>,
        is_whole: bool,
    ) -> Option<Timestamp> {
        (self.has_requested, self.lost) = (true, None);
        let mut cursor = lock(&self.cursor);
        let since = cursor.begin_request(dialect, Some(floor), oldest_open);
        if !is_whole {
            cursor.expect_any_line();
        }
        since
    }

    /// Puts a line into the queue, unless it is blank, was read before or is too old. Announces a gap first if
    /// there is a gap in front of the line.
    ///
    /// # Cancel safety
    /// Cancel safe: if the future is dropped before it completes, the line is not in the queue and does not
    /// count as read. A gap is announced at most once.
    pub(crate) async fn take(
        &mut self,
        container: &Arc<Container>,
        line: Line,
        reading: ReadingState,
    ) -> Result<(), QueueClosed> {
        if let Some(gap) = self.gap_before(&line) {
            self.announce(container, line.stream, gap).await?;
        }
        self.lost = None;
        let slot = match is_blank(&line) {
            true => None,
            false => Some(self.context.queue.reserve(line.bytes.len()).await?),
        };
        let mut cursor = lock(&self.cursor);
        match cursor.accept(&line, reading.origin, reading.arrived) {
            Novelty::Repeated => self.stats.skipped_repeated(),
            Novelty::TooOld => {
                self.stats.skipped_old();
                self.context.warnings.old_lines.warn(
                    Some(container.name()),
                    "skipping a line that is older than all remembered lines; if the Engine's clock was \
                     set back, the line may be new",
                );
            }
            Novelty::New => {
                self.new_lines += 1;
                match slot {
                    Some(slot) => {
                        let ReadingState { floor, oldest_open, origin, .. } = reading;
                        let place = cursor.place(&line, oldest_open, floor, origin);
                        slot.put(container.clone(), line, place, &self.stats);
                    }
                    None => self.stats.skipped_empty(),
                }
            }
        }
        Ok(())
    }

    /// Stops expecting the last line of each stream; see [`Cursor::expect_any_line`].
    pub(crate) fn expect_any_line(&mut self) {
        self.lost = None;
        lock(&self.cursor).expect_any_line();
    }

    /// Notes that no line is missing up to the newest line that was read; see [`Cursor::prove`].
    pub(crate) fn prove(&self, oldest_open: Option<Timestamp>) {
        lock(&self.cursor).prove(oldest_open);
    }

    /// Returns the start of a request that returns all lines behind the proved place; see [`Cursor::proved`].
    pub(crate) fn proved(&self) -> Option<Timestamp> {
        lock(&self.cursor).proved()
    }

    /// Returns whether the last line of stdout was unfinished when the container ended.
    pub(crate) fn ends_unfinished(&self) -> bool {
        lock(&self.cursor).ends_unfinished()
    }

    /// Returns the stamp of the first new line; see [`Cursor::first`].
    pub(crate) fn first(&self) -> Option<Timestamp> {
        lock(&self.cursor).first()
    }

    /// Notes that the log no longer has the line of this stamp or any earlier line. If the next line has a
    /// later stamp, there is a gap before it.
    pub(crate) fn begins_behind(&mut self, lost: Timestamp) {
        self.expect_any_line();
        self.lost = Some(Lost { time: lost, is_before_any_line: false });
    }

    /// Notes that the log no longer has the line of this stamp, and that the next line was written later,
    /// although it may have an earlier stamp. There is a gap before that line.
    pub(crate) fn begins_with_gap(&mut self, lost: Timestamp) {
        self.expect_any_line();
        self.lost = Some(Lost { time: lost, is_before_any_line: true });
    }

    /// Notes that the Engine cannot read a part of the log, which begins behind the time `after`, or without `after`
    /// behind the newest line. The sink announces a gap before the next line that is newer than this time or this
    /// line. If `is_before_any_line` is true, it announces the gap before the next line, whatever its stamp is.
    pub(crate) fn skip_damage(&mut self, after: Option<Timestamp>, is_before_any_line: bool) {
        self.skipped = Some(Skipped { after, is_before_any_line });
    }

    /// Returns the gap in front of a line, if there is a gap.
    fn gap_before(&self, line: &Line) -> Option<Gap> {
        let cursor = lock(&self.cursor);
        let before = Some(line.time);
        if let Some(Skipped { after, is_before_any_line }) = self.skipped {
            let after = after.or_else(|| cursor.newest());
            if is_before_any_line || before > after {
                return Some(Gap { after, before, reason: GapReason::Damaged });
            }
        }
        if let Some(Lost { time, is_before_any_line }) = self.lost {
            let after = cursor.newest_before(line.time).or(Some(time));
            let is_gap = is_before_any_line || line.time > time;
            return is_gap.then_some(Gap { after, before, reason: GapReason::Rotated });
        }
        let after = Some(cursor.missing_before(line)?);
        Some(Gap { after, before, reason: GapReason::Rotated })
    }

    /// Announces that the container was removed before its log was read to the end.
    ///
    /// # Cancel safety
    /// Cancel safe: if the future is dropped before it completes, nothing is announced.
    pub(crate) async fn announce_removal(&mut self, container: &Arc<Container>) -> Result<(), QueueClosed> {
        let after = lock(&self.cursor).newest();
        let gap = Gap { after, before: None, reason: GapReason::Removed };
        self.announce(container, LogStream::Stdout, gap).await
    }

    async fn announce(
        &mut self,
        container: &Arc<Container>,
        stream: LogStream,
        gap: Gap,
    ) -> Result<(), QueueClosed> {
        let slot = self.context.queue.reserve(GAP_BYTES).await?;
        let mut cursor = lock(&self.cursor);
        let place = cursor.last_place(stream);
        match gap.reason {
            GapReason::Rotated => cursor.expect_any_line_of(stream),
            GapReason::Damaged => {
                self.skipped = None;
                cursor.expect_any_line();
            }
            GapReason::Removed => {}
        }
        self.stats.gap();
        self.context.warnings.gaps.warn(Some(container.name()), format_args!("{stream}: {gap}"));
        slot.put_gap(container.clone(), (gap, stream), place, &self.stats);
        Ok(())
    }
}

fn is_blank(line: &Line) -> bool {
    !line.is_cut() && line.bytes.iter().all(u8::is_ascii_whitespace)
}

/// Locks the cursor. A panic of another thread cannot leave the cursor half changed, since no method of the
/// cursor panics.
fn lock(cursor: &Mutex<Cursor>) -> MutexGuard<'_, Cursor> {
    cursor.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn only_a_whole_line_of_white_space_is_blank() {
        let line = |bytes: &'static [u8], length| Line {
            stream: LogStream::Stdout,
            time: Timestamp::UNIX_EPOCH,
            bytes: Bytes::from_static(bytes),
            length,
            ended: true,
        };
        assert!(is_blank(&line(b"", 0)));
        assert!(is_blank(&line(b" \t\r", 3)));
        assert!(!is_blank(&line(b" . ", 3)));
        assert!(!is_blank(&line(b"\0", 1)));
        assert!(!is_blank(&line(b"  ", 3)));
    }
}
