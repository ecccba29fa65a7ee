//! Reads the files of a log instead of the Engine's responses.
//!
//! Files omit nothing: each line that is read from them counts like a line of a window, see
//! [`window`](super::window). However, the end of the files need not be the end of the run, since the
//! container may go on writing. The Engine's events and inspections show whether the container still runs.
//! The end of the files is the end of the run only if the container no longer runs.

use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use gelf_core::Timestamp;
use tokio::time::Instant;

use super::opening::Opening;
use super::problems::Problem;
use super::read::{Ending, Input, Response, Silence};
use super::window::{Known, Reach, Scan};
use super::{Following, Step};
use crate::container::Container;
use crate::engine::LogRefusal;
use crate::files::{FilePart, FileStream, LogFileError, Opened};
use crate::follow_state::FollowState;
use crate::log::LogReader;
use crate::record::QueueClosed;

/// The maximum number of bytes that a container is expected to write to its log in a microsecond.
const FASTEST: u64 = 200;
/// The shortest time between two looks at the files of a log. A look costs about 3 microseconds.
const SHORTEST: Duration = Duration::from_millis(5);
/// The maximum number of consecutive attempts that do not find the next line in the files. After more such
/// attempts, the files count as the files of another Engine.
const FAILURES: u32 = 3;

/// The use of the files of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FilesUse {
    /// The log is read through the Engine only.
    Never,
    /// The log is read from its files if they can be opened.
    Wanted,
    /// The log is read through the Engine up to its present end, and then from its files. This is needed
    /// because the next line may be in a compressed file.
    AfterWindow,
    /// A window has read the log through the Engine up to the end that it had then. Now the log is read from
    /// its files.
    Behind,
}

/// An attempt to find the place in the files from which the log is to be read.
#[derive(Clone, Copy, Debug, Default)]
struct Attempt {
    number: u32,
    /// True if the files no longer have the last line that was read before, so that they are read from their
    /// beginning.
    is_whole: bool,
    /// True if, in addition, the clock was set back: no line of the files has a later stamp than the last line
    /// that was read before.
    is_set_back: bool,
}

impl Following {
    /// Reads the log from its files, and sets `response` to the opened files. Returns `None` if the log is to
    /// be read through the Engine. With [`Silence::UntilRemoval`], reads up to the end of the run, unless the
    /// source is to stop earlier. With another value, reads up to the present end of the log. `spare` is a
    /// request to the Engine for the same log. It is dropped once the files are open.
    ///
    /// The future is boxed because it is large, and most sources read no files.
    pub(super) fn read_from_files<'a>(
        &'a mut self,
        response: &'a mut Option<Response>,
        silence: Silence,
        spare: &'a mut Option<Opening<'_>>,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Ending>, QueueClosed>> + Send + 'a>> {
        Box::pin(async move {
            let mut attempt = Attempt::default();
            loop {
                let Some((opened, is_beginning)) = self.open_files(attempt).await else {
                    return Ok(None);
                };
                if silence == Silence::UntilRemoval {
                    self.unproved.get_or_insert_with(|| self.context.stopping.unproved());
                }
                *spare = None;
                (self.left, self.is_behind) = (None, false);
                self.note(Some(FollowState::Followed));
                match self.read(response.insert(opened), silence).await? {
                    Ending::Lost => attempt = Attempt::default(),
                    Ending::TooShort if attempt.is_whole => return Ok(Some(Ending::Broken)),
                    Ending::TooShort => {
                        let is_old =
                            response.as_ref().is_some_and(|read| read.scan().end_before_place().is_some());
                        attempt = Attempt {
                            number: attempt.number + 1,
                            is_whole: is_beginning,
                            is_set_back: is_beginning && is_old,
                        };
                    }
                    ending => return Ok(Some(ending)),
                }
            }
        })
    }

    /// Returns whether the log is to be read from its files if they can be opened.
    pub(super) fn wants_files(&self) -> bool {
        matches!(self.files, FilesUse::Wanted | FilesUse::Behind) && self.context.log_files.is_some()
    }

    /// Notes that the log was read through the Engine up to its present end.
    pub(super) fn note_window(&mut self) {
        if self.files == FilesUse::AfterWindow {
            self.files = FilesUse::Behind;
        }
    }

    /// Follows the log by its files. Returns `None` if the log is to be read through the Engine. In this
    /// case, `spare` was not dropped.
    pub(super) async fn follow_files(
        &mut self,
        spare: &mut Option<Opening<'_>>,
    ) -> Result<Option<Step>, QueueClosed> {
        let mut response = None;
        let ending = self.read_from_files(&mut response, Silence::UntilRemoval, spare).await?;
        Ok(match (ending, response) {
            (Some(Ending::Due), _) => Some(self.stopped().await),
            (Some(_), Some(response)) => Some(Step::Decide(response.into_reader())),
            _ if self.files == FilesUse::AfterWindow => {
                *spare = None;
                Some(self.resume().await?)
            }
            // The files were open at first, but could not be opened again.
            (_, Some(_)) => Some(Step::Follow { tail: None }),
            (_, None) => None,
        })
    }

    /// Opens the files. Returns `None` if the log is to be read through the Engine. The second value is true if
    /// the response begins with the first byte of the oldest file that is not compressed.
    async fn open_files(&mut self, attempt: Attempt) -> Option<(Response, bool)> {
        if !self.wants_files() || !self.can_window() {
            return None;
        }
        let container = self.metadata.container().clone();
        let path = match self.context.log_files.as_ref()?.path(&container) {
            Ok(path) => path,
            Err(LogFileError::Driver { .. }) => {
                self.files = FilesUse::Never;
                return None;
            }
            Err(error) => {
                self.no_files(error);
                return None;
            }
        };
        let mut limit = Some(1);
        let mut reach = match attempt.is_set_back {
            true => self.reach_all(),
            false => self.reach(&mut limit, attempt.is_whole).1,
        };
        let before = match reach {
            _ if attempt.is_whole => Timestamp::UNIX_EPOCH,
            Reach::Line(anchor) => anchor.time(),
            Reach::Time(time) | Reach::Whole(time) => time,
            Reach::Nothing | Reach::End => Timestamp::UNIX_EPOCH,
        };
        let wait = wait_between_looks(&container, self.context.timing.latency);
        let held = self.context.held_bytes.clone();
        let Opened { stream, is_beginning, has_compressed } =
            match FileStream::open(path.clone(), held, before, attempt.number, wait).await {
                Ok(opened) => opened,
                Err(error) => {
                    let is_removed = error.kind() == io::ErrorKind::NotFound;
                    match is_removed && self.metadata.is_removed_at_end() {
                        true => self.files = FilesUse::Never,
                        false => self.no_files(format_args!("{}: {error}", path.display())),
                    }
                    return None;
                }
            };
        let is_line = matches!(reach, Reach::Line(_));
        if is_beginning && !is_line {
            // If a window has shown no line behind the start, the next line was or will be written after the
            // window, so no compressed file has it.
            let is_empty = self.files == FilesUse::Behind && self.known == Known::Start;
            if has_compressed && !is_empty {
                self.failures += 1;
                self.files = FilesUse::AfterWindow;
                if self.failures > FAILURES {
                    self.no_files("they do not have the last line that the Engine has sent");
                }
                return None;
            }
            if !attempt.is_set_back {
                (_, reach) = self.reach(&mut None, true);
            }
        }
        self.files = FilesUse::Wanted;
        let reader = LogReader::of_files(
            container.tty() == Some(true),
            self.context.client.dialect(),
            self.context.queue.long_lines(),
        );
        let response = Response::new(Input::Files(Box::new(stream)), reader, Scan::new(reach, None, false));
        Some((response, is_beginning))
    }

    /// Notes that the log cannot be read from its files.
    fn no_files(&mut self, reason: impl std::fmt::Display) {
        self.files = FilesUse::Never;
        self.warn(
            Problem::NoFiles,
            format_args!("the log is read through the Engine, not from its files: {reason}"),
        );
    }

    /// Reads opened files. `silence` has the same meaning as in [`read_from_files`](Self::read_from_files).
    pub(super) async fn read_files(
        &mut self,
        response: &mut Response,
        silence: Silence,
    ) -> Result<Ending, QueueClosed> {
        let stopping = self.context.stopping.clone();
        let up_to_present = silence != Silence::UntilRemoval;
        let (asked, was_stopping) = (Instant::now(), stopping.is_requested());
        // True if reading ends once all bytes are read that were written before the last look.
        let mut is_last = false;
        let mut runs = false;
        loop {
            if !is_last && (up_to_present || stopping.is_requested() || (runs && self.is_over())) {
                is_last = true;
                response.look_again();
            }
            let part = tokio::select! {
                biased;
                changed = self.commands.changed() => {
                    if changed.is_err() {
                        return Ok(Ending::Complete);
                    }
                    self.take_name();
                    continue;
                }
                () = stopping.requested(), if !is_last => continue,
                part = response.next_of_files() => part,
            };
            match part {
                Ok(FilePart::Bytes(bytes)) => {
                    if !self.take_part(response, bytes).await? {
                        return Ok(Ending::TooShort);
                    }
                    self.note_place(response);
                }
                Ok(FilePart::EndOfFile) => self.end_file(response),
                Ok(FilePart::Lost) => return Ok(Ending::Lost),
                Ok(FilePart::CaughtUp) => {
                    if response.scan().is_reached() {
                        self.failures = 0;
                        self.sink.prove(response.oldest_open());
                    } else if response.scan().lines() > 0 {
                        return Ok(Ending::TooShort);
                    }
                    if up_to_present {
                        self.note_read_up_to(asked, was_stopping);
                        return Ok(Ending::Complete);
                    }
                    if is_last {
                        return Ok(if stopping.is_requested() { Ending::Due } else { Ending::Complete });
                    }
                    if !runs {
                        match self.runs(response).await {
                            Some(true) => runs = true,
                            Some(false) => {
                                is_last = true;
                                response.look_again();
                            }
                            None => return Ok(Ending::Broken),
                        }
                    }
                }
                Err(error) => {
                    self.no_files(error);
                    return Ok(Ending::Broken);
                }
            }
            // A line was not taken: it is not known yet whether the run that wrote it is selected.
            if response.scan().has_held_line() {
                return Ok(Ending::Complete);
            }
        }
    }

    /// Notes the last line of the response up to which no line is missing.
    fn note_place(&mut self, response: &Response) {
        if let Some(anchor) = response.scan().anchor() {
            self.known = Known::Line(anchor);
        }
    }

    /// Returns whether an event or a list indicates that the run may have ended since the last inspection.
    fn is_over(&self) -> bool {
        let commands = self.commands.borrow();
        commands.removed || (commands.ended_at, commands.checks) != self.asked_after
    }

    /// Asks whether the container runs. A removed container does not run. Returns `None` if the inspection
    /// fails for any other reason.
    async fn runs(&mut self, response: &mut Response) -> Option<bool> {
        {
            let commands = self.commands.borrow();
            self.asked_after = (commands.ended_at, commands.checks);
        }
        let context = self.context.clone();
        let inspected = {
            let inspecting = pin!(context.client.inspect(&self.id));
            response.watching(inspecting).await
        };
        match inspected {
            Ok(inspect) => {
                self.refusals = 0;
                Some(inspect.state.is_running())
            }
            Err(error) if error.log_refusal() == LogRefusal::Gone => Some(false),
            Err(error) => {
                self.refused(&error);
                None
            }
        }
    }
}

/// Returns the time between two looks at the files of a log: the time in which the fastest container fills half
/// of the files that the driver keeps, but at most `latency`, and in any case at least [`SHORTEST`].
fn wait_between_looks(container: &Container, latency: Duration) -> Duration {
    let files = container.log_options().get("max-file").and_then(|files| files.parse().ok());
    let files = files.unwrap_or(1_u64).max(1);
    let kept = container.max_log_size().map(|size| size.saturating_mul(files));
    let half = kept.map_or(latency, |kept| Duration::from_micros(kept / 2 / FASTEST));
    half.min(latency).max(SHORTEST)
}
