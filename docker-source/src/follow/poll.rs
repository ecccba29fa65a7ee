//! Reads a log by windows: requests the last records of the log, and takes the lines behind the last line
//! that was read before.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use gelf_core::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::problems::ATTEMPTS_AT_DAMAGE;
use super::read::{Ending, Response};
use super::window::{Known, Reach};
use super::{ExitReason, Following, Step};
use crate::dialect::Dialect;
use crate::engine::ApiVersion;
use crate::log::LogReader;
use crate::record::QueueClosed;

/// A log counts as read up to the present for this time after the request that read it. This time is shorter
/// than a second because a source that replaces this source begins one second before the signal that ended this
/// source, see [`Start::AfterPredecessor`](crate::Start::AfterPredecessor).
const RECENT: Duration = Duration::from_millis(300);
/// The longest time that a proof waits for a file descriptor.
const PROOF_WITHIN: Duration = Duration::from_secs(1);

impl Following {
    /// Returns whether the log can be read by windows. This is possible if the stamps of its lines are
    /// distinct and the Engine can read the log from the end at little cost.
    pub(super) fn can_window(&self) -> bool {
        self.context.client.dialect() == Dialect::Docker
            && matches!(self.metadata.container().log_driver(), "json-file" | "local")
    }

    /// Returns whether windows can replace the stream. If a container is removed when it ends, only a stream
    /// can read its log to the end.
    pub(super) fn can_poll(&self) -> bool {
        self.can_window() && !self.metadata.is_removed_at_end() && !self.context.timing.latency.is_zero()
    }

    /// Returns the time at which a window has to prove that the stream has omitted no line.
    pub(super) fn proof_due(&self) -> Option<Instant> {
        self.can_window().then(|| self.pace.proof_due())
    }

    /// Reads a window while a stream is open. Returns whether the window has proved that no line up to the
    /// present is missing.
    ///
    /// The future is boxed because the calls form a cycle: [`read`](Self::read) awaits this method for a
    /// stream, and this method calls `read` for a window.
    pub(super) fn prove(&mut self) -> Pin<Box<dyn Future<Output = Result<bool, QueueClosed>> + Send + '_>> {
        Box::pin(async {
            let (open, stuck) = (self.open, self.stuck);
            // The stream keeps its own descriptor, and the window needs another descriptor. The stream is not
            // read meanwhile.
            let context = self.context.clone();
            let Ok(_descriptor) = timeout(PROOF_WITHIN, context.descriptors.request()).await else {
                self.pace.postpone(Instant::now());
                return Ok(false);
            };
            // If the window cannot be read, the next proof is due later. The error needs no handling here,
            // since the stream reports the same problem.
            let is_proved = matches!(self.window(&mut None, 0).await?, Ok(Ending::Complete));
            if !is_proved {
                self.pace.postpone(Instant::now());
            }
            (self.open, self.stuck, self.is_unread) = (open, stuck, true);
            // After a failed window, the sink may still expect the last line again. The stream does not
            // repeat this line.
            self.sink.expect_any_line();
            Ok(is_proved)
        })
    }

    /// Notes that the log was read up to the time `asked`. The log need not be read again before the source
    /// ends, if `asked` is recent and the source is not to stop yet, or if the source was already to stop at
    /// the time `asked` (`was_stopping`).
    pub(super) fn note_read_up_to(&mut self, asked: Instant, was_stopping: bool) {
        let is_recent = !self.context.stopping.is_requested() && asked.elapsed() < RECENT;
        if was_stopping || is_recent {
            self.unproved = None;
        }
    }

    /// Waits for the end of the source, which ends this task.
    pub(super) async fn stopped(&mut self) -> Step {
        self.unproved = None;
        pending::<()>().await;
        Step::End(ExitReason::Stopped)
    }

    /// Reads windows until so few lines arrive that a stream is cheaper, until the run ends, or until a window
    /// cannot be read.
    pub(super) async fn poll(
        &mut self,
        mut left: Option<LogReader>,
        mut lines_behind: u32,
    ) -> Result<Step, QueueClosed> {
        self.pace.begin_windows();
        let stopping = self.context.stopping.clone();
        let unproved = stopping.unproved();
        let ended_at = self.commands.borrow().ended_at;
        loop {
            self.take_name();
            let is_stopping = stopping.is_requested();
            // If the run has ended before this point, the following window includes all lines of the run.
            let (is_over, is_started) = {
                let commands = self.commands.borrow();
                (commands.removed || commands.ended_at != ended_at, commands.starts != self.seen.starts)
            };
            let mut response = None;
            let read = self.window(&mut response, std::mem::take(&mut lines_behind)).await?;
            left = response.map(Response::into_reader).or(left);
            match read {
                Ok(Ending::Complete) => {}
                Ok(_) => return Ok(self.step_after_windows(left)),
                Err(error) => {
                    self.left = left;
                    return self.not_opened(&error).await;
                }
            }
            if is_stopping {
                drop(unproved);
                return Ok(self.stopped().await);
            }
            if is_started {
                return Ok(self.next_run(left));
            }
            if is_over {
                return Ok(self.step_after_windows(left));
            }
            if self.pace.is_quiet() || !self.can_poll() {
                self.left = left;
                return Ok(Step::Follow { tail: None });
            }
            self.is_unread = true;
            let mut commands = self.commands.clone();
            let starts = self.seen.starts;
            tokio::select! {
                () = sleep(self.pace.wait()) => {}
                () = stopping.requested() => {}
                _ = commands.wait_for(|commands| {
                    commands.removed || commands.ended_at != ended_at || commands.starts != starts
                }) => {}
            }
        }
    }

    /// Returns the `since` and the reach of a window, or of a stream that begins with a window. Sets `limit` to
    /// `None` if the whole log is to be requested.
    pub(super) fn reach(&mut self, limit: &mut Option<u32>, is_whole: bool) -> (Option<Timestamp>, Reach) {
        if let (Known::Line(anchor), false) = (self.known, is_whole) {
            self.sink.begin_window(self.open);
            return (None, Reach::Line(anchor));
        }
        let since = self.sink.begin_request(Dialect::Docker, self.floor, self.open, true);
        let time = match self.known {
            // All lines of the log are to be read. The floor, the time at which reading begins, is not used
            // here: if the clock was set back, a line can have a stamp before the floor.
            Known::Start if self.is_first_run => Timestamp::UNIX_EPOCH,
            Known::Start => self.floor,
            Known::Resume => self.sink.proved().unwrap_or(self.floor).max(self.floor),
            Known::Damage => since.unwrap_or(self.floor),
            Known::Line(anchor) => anchor.time().max(self.floor),
        };
        if self.known == Known::Start && self.is_first_run {
            *limit = None;
        }
        if limit.is_none() {
            let lost = match self.known {
                Known::Line(anchor) => Some(anchor.time()),
                Known::Start => self.sink.first(),
                Known::Resume | Known::Damage => None,
            };
            if let Some(lost) = lost {
                self.sink.begins_behind(lost);
            }
        }
        if self.metadata.container().tty() == Some(true) {
            *limit = None;
            // In the log of a terminal, a later run continues the unfinished line of an earlier run without a
            // separator. With `since`, the Engine leaves out the unfinished line.
            let since = self.sink.ends_unfinished() || self.context.client.version() >= ApiVersion::DOCKER_23;
            return (since.then_some(time), Reach::Whole(time));
        }
        match limit {
            Some(_) => (None, Reach::Time(time)),
            None => (None, Reach::Whole(time)),
        }
    }

    /// Returns the reach of a response with all lines of the log. The log no longer has the last line that was
    /// read before, and the clock was set back, so no stamp distinguishes new lines from earlier lines.
    pub(super) fn reach_all(&mut self) -> Reach {
        self.sink.begin_window(self.open);
        if let Known::Line(anchor) = self.known {
            self.sink.begins_with_gap(anchor.time());
        }
        Reach::Whole(Timestamp::UNIX_EPOCH)
    }

    /// Returns the reach of a response with the records behind a damaged record. The lines between `place` and
    /// these records are given up. If the clock was set back, each line of the response may be new.
    pub(super) fn reach_past_damage(
        &mut self,
        place: Timestamp,
        is_set_back: bool,
    ) -> (Option<Timestamp>, Reach) {
        match self.known {
            Known::Line(_) => self.sink.begin_window(self.open),
            _ => drop(self.sink.begin_request(Dialect::Docker, self.floor, self.open, false)),
        }
        let after = Some(place).filter(|place| *place > Timestamp::UNIX_EPOCH);
        self.sink.skip_damage(after, is_set_back);
        self.warn_of_skipped_part();
        (None, Reach::Whole(if is_set_back { Timestamp::UNIX_EPOCH } else { place }))
    }

    /// Returns the step that follows the last window.
    pub(super) fn step_after_windows(&self, left: Option<LogReader>) -> Step {
        match left {
            Some(left) => Step::Decide(left),
            None => Step::Follow { tail: self.past_damage() },
        }
    }

    /// If the last request was the last attempt to read a part of the log, warns once that this part is
    /// skipped.
    pub(super) fn warn_of_damage(&mut self) {
        if self.stuck == ATTEMPTS_AT_DAMAGE {
            self.warn_of_skipped_part();
        }
    }

    fn warn_of_skipped_part(&mut self) {
        self.warn(
            super::problems::Problem::SkippedPart,
            "a part of the log is unreadable and skipped; lines may be missing",
        );
    }
}
