//! Follows one container: requests its log, passes its lines on, and requests the log again whenever the
//! Engine stops sending.
//!
//! The end of a stream proves little: streams end when the container ends, but also when the Engine restarts,
//! when a proxy cuts idle connections, when a file cannot be decoded, and with Docker 20.10 when the
//! container ends before all of its log is sent. So the follower asks whether the container still runs. If
//! so, it resumes; if not, it reads the log until a read brings nothing new.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gelf_core::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::clock::later;
use crate::container::PartialMetadata;
use crate::context::Context;
use crate::cursor::Cursor;
use crate::dedup::{DedupSink, ReadingState};
use crate::engine::{Body, ContainerId, EngineError, LogRefusal, LogsQuery};
use crate::log::{Decoded, Framing, Line, LogFormatError, LogReader};
use crate::metadata::ContainerMetadata;
use crate::record::QueueClosed;
use crate::stats::ContainerStats;

/// The number of pieces that are requested of a container that ran before the source connected. With a limit,
/// the Engine reads its files from the end instead of decoding all of them.
const TAIL: u32 = 1024;
/// The maximum number of consecutive reads to the end. The log of an ended container does not grow, so the
/// second read usually brings nothing new.
const CATCH_UPS_IN_A_ROW: usize = 16;

/// The number of requests that fail at an unreadable part of the log before it is skipped.
const ATTEMPTS_AT_DAMAGE: u32 = 3;

/// The supervisor's commands to a follower. The counters only grow, so that no command is missed.
#[derive(Clone, Debug, Default)]
pub(crate) struct FollowCommands {
    /// The number of times that the container was started.
    pub(crate) starts: u64,
    /// The Engine's time of the last event of an end. The log of the run has no later line.
    pub(crate) ended_at: Option<Timestamp>,
    /// The number of lists that showed the container running.
    pub(crate) sightings: u64,
    /// The number of requests to check whether the container ran meanwhile, because events may have been
    /// missed.
    pub(crate) checks: u64,
    /// The container's name, if it was renamed.
    pub(crate) name: Option<Arc<str>>,
    /// Whether the container was removed.
    pub(crate) removed: bool,
}

/// The reason why a follower starts, which determines the first step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StartReason {
    /// The container ran before the source connected.
    RanBefore,
    /// The container was started, or found, later.
    Started,
    /// The container was not running before the source connected.
    Stopped,
    /// The container was found later and not running; it may have run unnoticed.
    Unclear,
}

/// The reason why a follower ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExitReason {
    /// The container was removed, and its log read to the end.
    Removed,
    /// The source was dropped.
    Stopped,
    /// The container is not selected.
    NotSelected,
}

/// A follower before it begins.
pub(crate) struct Follower {
    pub(crate) context: Arc<Context>,
    pub(crate) id: ContainerId,
    pub(crate) commands: watch::Receiver<FollowCommands>,
    pub(crate) partial: PartialMetadata,
    pub(crate) cursor: Arc<Mutex<Cursor>>,
    pub(crate) stats: Arc<ContainerStats>,
    /// The earliest stamp of the lines to read.
    pub(crate) since: Timestamp,
    /// Receives once whether the container is followed.
    pub(crate) decided: Option<oneshot::Sender<bool>>,
}

impl Follower {
    /// Follows the container until it is removed.
    pub(crate) async fn run(self, reason: StartReason) -> ExitReason {
        let timing = self.context.timing;
        let sink = DedupSink::new(self.context.queue.clone(), self.context.clock, self.cursor, self.stats);
        let metadata = ContainerMetadata::new(self.context.clone(), self.id.clone(), self.partial);
        let mut following = Following {
            backoff: Backoff::new(timing.resume_min, timing.resume_max),
            floor: self.since,
            drained: self.since,
            is_selected: false,
            is_catching_up: false,
            open: None,
            stuck: 0,
            has_warned: false,
            is_gone: false,
            left: None,
            seen: FollowCommands::default(),
            context: self.context,
            id: self.id,
            commands: self.commands,
            metadata,
            sink,
            decided: self.decided,
        };
        let step = match reason {
            StartReason::RanBefore => Step::Follow { tail: Some(TAIL) },
            StartReason::Started => Step::Follow { tail: None },
            StartReason::Stopped => Step::Wait(Waiting::Ended),
            StartReason::Unclear => Step::Check,
        };
        following.run(step).await.unwrap_or(ExitReason::Stopped)
    }
}

struct Following {
    context: Arc<Context>,
    id: ContainerId,
    commands: watch::Receiver<FollowCommands>,
    metadata: ContainerMetadata,
    sink: DedupSink,
    decided: Option<oneshot::Sender<bool>>,
    backoff: Backoff,
    /// The earliest `since` of all requests.
    floor: Timestamp,
    /// The end of the last run whose log was read to the end.
    drained: Timestamp,
    /// Whether the container is selected for its present run.
    is_selected: bool,
    /// Whether the log is read to the end of a run.
    is_catching_up: bool,
    /// The stamp of the oldest line whose end the last response did not have.
    open: Option<Timestamp>,
    /// The number of consecutive requests that ended in a format error before they brought a new line.
    stuck: u32,
    has_warned: bool,
    /// Whether the Engine no longer knows the container.
    is_gone: bool,
    /// The reader of the last response with its unfinished lines; the next response begins before them.
    left: Option<LogReader>,
    /// The commands that have been executed.
    seen: FollowCommands,
}

enum Step {
    /// Read the log as it grows.
    Follow {
        tail: Option<u32>,
    },
    /// The stream ended: ask whether the container still runs.
    Decide(LogReader),
    /// A run has ended: read its log until a read brings nothing new.
    CatchUp {
        reader: LogReader,
        is_started_again: bool,
    },
    /// Ask whether the container ran unnoticed.
    Check,
    Wait(Waiting),
    End(ExitReason),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waiting {
    /// The log is read to its end.
    Ended,
    /// The log driver does not support reading. That does not change while the container runs.
    Unreadable,
}

/// The end of a response of the log endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Broken,
    Complete,
    Invalid,
}

impl Following {
    async fn run(&mut self, first: Step) -> Result<ExitReason, QueueClosed> {
        let mut step = first;
        loop {
            step = match step {
                Step::Follow { tail } => self.follow(tail).await?,
                Step::Decide(reader) => self.decide(reader).await,
                Step::CatchUp { reader, is_started_again } => match self.catch_up(reader).await? {
                    Step::Wait(Waiting::Ended) if is_started_again => {
                        self.is_selected = false;
                        Step::Follow { tail: None }
                    }
                    next => next,
                },
                Step::Check => self.check().await,
                Step::Wait(waiting) => {
                    self.announce(false);
                    self.wait(waiting).await
                }
                Step::End(reason) => return Ok(reason),
            };
        }
    }

    async fn follow(&mut self, tail: Option<u32>) -> Result<Step, QueueClosed> {
        self.is_catching_up = false;
        self.seen = self.commands.borrow_and_update().clone();
        let query = self.query(true, tail);
        let context = self.context.clone();
        // A container may be removed, with its log, before an inspection is answered. A log that is open by
        // then can still be read to its end.
        let opened = match self.metadata.is_inspected() {
            true => context.client.logs(&self.id, query).await,
            false => {
                let (opened, inspected) =
                    tokio::join!(context.client.logs(&self.id, query), self.metadata.inspect());
                if !self.metadata.set(inspected) {
                    self.announce(false);
                    return Ok(Step::End(ExitReason::NotSelected));
                }
                opened
            }
        };
        self.take_name();
        if !self.is_selected && !self.metadata.select() {
            self.announce(false);
            return Ok(Step::End(ExitReason::NotSelected));
        }
        self.is_selected = true;
        self.announce(opened.is_ok());
        match opened {
            Ok((content_type, body)) => {
                self.left = None;
                let (reader, _) = self.read(content_type, body, None).await?;
                Ok(Step::Decide(reader))
            }
            Err(error) => match error.log_refusal() {
                LogRefusal::Gone => {
                    if let Some(left) = self.left.take() {
                        self.finish(left).await?;
                    }
                    Ok(Step::Wait(Waiting::Ended))
                }
                LogRefusal::Unreadable => Ok(self.unreadable(&error)),
                LogRefusal::Temporary if self.commands.borrow().removed => Ok(Step::Wait(Waiting::Ended)),
                LogRefusal::Temporary => {
                    tracing::debug!(container = self.metadata.name(), %error, "requesting the log again");
                    self.pause().await;
                    Ok(Step::Follow { tail })
                }
            },
        }
    }

    async fn decide(&mut self, reader: LogReader) -> Step {
        match self.context.client.inspect(&self.id).await {
            Ok(inspect) => {
                let is_running = inspect.state.is_running();
                let finished_at = inspect.state.finished_at();
                if !self.metadata.update(inspect) {
                    return Step::End(ExitReason::NotSelected);
                }
                // After a renaming, the selection is made again for the next run, once the log of the last one
                // is read.
                let has_ended = finished_at.is_some_and(|end| end > self.drained);
                if is_running && !(has_ended && self.metadata.is_renamed()) {
                    self.left = Some(reader);
                    self.pause().await;
                    return Step::Follow { tail: past_damage(self.stuck) };
                }
                self.drained = finished_at.unwrap_or(self.drained);
                Step::CatchUp { reader, is_started_again: is_running }
            }
            Err(error) if error.log_refusal() == LogRefusal::Gone => {
                self.is_gone = true;
                Step::CatchUp { reader, is_started_again: false }
            }
            Err(_) => {
                self.pause().await;
                Step::Decide(reader)
            }
        }
    }

    async fn catch_up(&mut self, mut reader: LogReader) -> Result<Step, QueueClosed> {
        let context = self.context.clone();
        self.is_catching_up = true;
        for _ in 0..CATCH_UPS_IN_A_ROW {
            let permit = context.catch_ups.acquire().await;
            let query = self.query(false, past_damage(self.stuck));
            match context.client.logs(&self.id, query).await {
                Ok((content_type, body)) => {
                    let (read, ending) = self.read(content_type, body, Some(context.timing.catch_up)).await?;
                    match ending {
                        Ending::Complete if self.sink.new_lines() == 0 => {
                            reader = read;
                            break;
                        }
                        Ending::Complete => reader = read,
                        Ending::Broken => {
                            drop(permit);
                            self.pause().await;
                            return Ok(Step::Decide(reader));
                        }
                        Ending::Invalid => {}
                    }
                }
                Err(error) => match error.log_refusal() {
                    LogRefusal::Gone => break,
                    LogRefusal::Unreadable => return Ok(self.unreadable(&error)),
                    // Some Engines answer like this while a container is being removed.
                    LogRefusal::Temporary if self.is_gone && error.is_status() => break,
                    LogRefusal::Temporary => {
                        drop(permit);
                        self.pause().await;
                        return Ok(Step::Decide(reader));
                    }
                },
            }
        }
        self.finish(reader).await?;
        Ok(Step::Wait(Waiting::Ended))
    }

    /// Passes on the lines that the container left unfinished.
    async fn finish(&mut self, reader: LogReader) -> Result<(), QueueClosed> {
        self.open = None;
        let has_terminal = reader.framing() == Some(Framing::Terminal);
        let mut lines = Vec::new();
        reader.finish(&mut lines);
        for line in lines {
            if self.is_of_next_run(&line) {
                continue;
            }
            // If the container is started again, the terminal's next line follows this one without a
            // separator. If this line were requested again, both would be taken for one line that was read
            // before.
            if has_terminal && !line.ended {
                self.floor = self.floor.max(later(line.time, Duration::from_nanos(1)));
            }
            self.take(line, None).await?;
        }
        Ok(())
    }

    async fn check(&mut self) -> Step {
        self.seen.checks = self.commands.borrow_and_update().checks;
        let starts = self.seen.starts;
        let mut commands = self.commands.clone();
        // A start needs no answer, and a container that was just started may be removed before one arrives.
        tokio::select! {
            biased;
            Ok(_) = commands.wait_for(|commands| commands.starts != starts) => Step::Follow { tail: None },
            step = self.ask() => step,
        }
    }

    /// Asks whether the container ran since its log was last read to the end.
    async fn ask(&mut self) -> Step {
        let context = self.context.clone();
        let inspected = {
            let _permit = context.catch_ups.acquire().await;
            context.client.inspect(&self.id).await
        };
        match inspected {
            Ok(inspect) => {
                let ran = inspect.state.finished_at().is_some_and(|end| end > self.drained);
                match ran || inspect.state.is_running() {
                    true => Step::Follow { tail: None },
                    false => Step::Wait(Waiting::Ended),
                }
            }
            Err(error) if error.log_refusal() == LogRefusal::Gone => Step::Wait(Waiting::Ended),
            Err(_) => {
                self.pause().await;
                Step::Check
            }
        }
    }

    /// Waits for the next run.
    async fn wait(&mut self, waiting: Waiting) -> Step {
        self.is_selected = false;
        if self.sink.has_requested() {
            self.seen.sightings = self.commands.borrow().sightings;
        }
        loop {
            {
                let commands = self.commands.borrow_and_update();
                let is_readable = waiting != Waiting::Unreadable;
                if commands.starts != self.seen.starts {
                    return Step::Follow { tail: None };
                }
                if commands.removed {
                    return Step::End(ExitReason::Removed);
                }
                if is_readable && commands.sightings != self.seen.sightings {
                    return Step::Follow { tail: None };
                }
                if is_readable && commands.checks != self.seen.checks {
                    return Step::Check;
                }
            }
            if self.commands.changed().await.is_err() {
                return Step::End(ExitReason::Stopped);
            }
        }
    }

    /// Reads a response to its end. `silence` limits the time between two parts.
    async fn read(
        &mut self,
        content_type: Option<String>,
        mut body: Body,
        silence: Option<Duration>,
    ) -> Result<(LogReader, Ending), QueueClosed> {
        let mut reader = LogReader::new(content_type, self.metadata.container().tty());
        let mut lines = Vec::new();
        let ending = loop {
            let part = match silence {
                Some(silence) => body.next_within(silence).await,
                None => self.next_part(&mut body).await,
            };
            match part {
                None => break Ending::Complete,
                Some(Err(error)) => {
                    tracing::debug!(container = self.metadata.name(), %error, "the log stream broke");
                    break Ending::Broken;
                }
                Some(Ok(part)) => reader.push(&part, self.context.clock.now()),
            }
            if self.take_all(&mut reader, &mut lines).await?.is_err() {
                break Ending::Invalid;
            }
        };
        self.open = reader.oldest_open();
        let has_new = self.sink.new_lines() > 0;
        if has_new {
            self.backoff.reset();
        }
        self.stuck = if ending == Ending::Invalid && !has_new { self.stuck + 1 } else { 0 };
        if self.stuck == ATTEMPTS_AT_DAMAGE {
            tracing::warn!(
                container = self.metadata.name(),
                "a part of the log is unreadable and skipped; lines may be missing"
            );
        }
        Ok((reader, ending))
    }

    /// Decodes all bytes that arrived. The inner error ends the response.
    async fn take_all(
        &mut self,
        reader: &mut LogReader,
        lines: &mut Vec<Line>,
    ) -> Result<Result<(), LogFormatError>, QueueClosed> {
        loop {
            match reader.decode(lines) {
                Ok(Decoded::Piece) => {
                    let oldest_open = reader.oldest_open();
                    for line in lines.drain(..) {
                        if self.is_of_next_run(&line) {
                            continue;
                        }
                        self.take(line, oldest_open).await?;
                    }
                }
                Ok(Decoded::NeedsMore) => return Ok(Ok(())),
                Err(error) => {
                    self.invalid_format(&error);
                    if error.ends_stream() {
                        return Ok(Err(error));
                    }
                }
            }
        }
    }

    /// Returns the next part of a stream. The stream may be silent without a limit until its container is
    /// removed.
    async fn next_part(&mut self, body: &mut Body) -> Option<Result<Bytes, EngineError>> {
        loop {
            let is_removed = self.commands.borrow().removed;
            let silence = self.context.timing.removed;
            let silent = async {
                match is_removed {
                    true => sleep(silence).await,
                    false => pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = self.commands.changed() => {
                    changed.ok()?;
                    self.take_name();
                }
                part = body.next() => return part,
                () = silent => return None,
            }
        }
    }

    async fn take(&mut self, line: Line, oldest_open: Option<Timestamp>) -> Result<(), QueueClosed> {
        let reading = ReadingState { floor: self.floor, oldest_open };
        self.sink.take(self.metadata.container(), line, reading).await
    }

    /// Returns whether the line is left for the next run, which is selected by another name than the one whose
    /// log is being read to its end.
    fn is_of_next_run(&self, line: &Line) -> bool {
        self.is_catching_up && self.metadata.is_renamed() && {
            let ended_at = self.commands.borrow().ended_at;
            ended_at.is_some_and(|end| end >= self.drained && line.time > end)
        }
    }

    fn query(&mut self, follow: bool, tail: Option<u32>) -> LogsQuery {
        let since = self.sink.begin_request(self.floor, self.open);
        LogsQuery { follow, since, tail }
    }

    fn take_name(&mut self) {
        if let Some(name) = &self.commands.borrow().name {
            self.metadata.rename(name);
        }
    }

    fn announce(&mut self, follows: bool) {
        if let Some(decided) = self.decided.take() {
            // The receiver may have been dropped.
            let _ = decided.send(follows);
        }
    }

    fn invalid_format(&mut self, error: &LogFormatError) {
        self.sink.stats().bad_frame();
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(container = self.metadata.name(), %error, "invalid log format; requesting the log again");
        }
    }

    fn unreadable(&self, error: &EngineError) -> Step {
        self.sink.stats().unreadable();
        tracing::warn!(container = self.metadata.name(), %error, "the log driver cannot be read; lines of this container are not read");
        Step::Wait(Waiting::Unreadable)
    }

    async fn pause(&mut self) {
        sleep(self.backoff.next()).await;
    }
}

/// Returns the number of pieces to request from the end of the log once a format error recurs. An Engine
/// that reads from the beginning meets the damage each time; from the end it may not. Each further attempt
/// requests fewer pieces and gives up the others.
fn past_damage(stuck: u32) -> Option<u32> {
    match stuck {
        0..ATTEMPTS_AT_DAMAGE => None,
        ATTEMPTS_AT_DAMAGE => Some(TAIL),
        _ if stuck == ATTEMPTS_AT_DAMAGE + 1 => Some(TAIL / 32),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_part_is_skipped_from_the_third_attempt_on() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 9].map(past_damage),
            [None, None, None, Some(1024), Some(32), Some(0), Some(0)]
        );
    }
}
