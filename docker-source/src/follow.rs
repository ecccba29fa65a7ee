//! Follows one container: requests its log, passes its lines on, and requests the log again whenever the
//! Engine stops sending.
//!
//! A stream is a response that follows the log. The end of a stream proves little: a stream ends when the
//! container ends, but also when the Engine restarts, when a proxy cuts idle connections, and when a file
//! cannot be decoded. With Docker 20.10, a stream can end before all of the log is sent. Therefore the
//! follower asks at the end of a stream whether the container still runs. If the container runs, the follower
//! requests the log from the end of the stream on. Otherwise, the follower reads the log again and again,
//! until a read brings nothing new.

mod begin;
mod catch_up;
mod commands;
mod damage;
mod files;
mod opening;
mod pace;
mod poll;
mod problems;
mod read;
mod selection;
mod state;
mod window;

use std::future::{Future, pending};
use std::sync::{Arc, Mutex};

use gelf_core::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::container::PartialMetadata;
use crate::context::Context;
use crate::cursor::Cursor;
use crate::dedup::DedupSink;
use crate::dialect::Dialect;
use crate::engine::{ApiVersion, ContainerId, EngineError, Inspect, LogRefusal, LogsQuery};
use crate::follow_state::FollowState;
use crate::log::LogReader;
use crate::metadata::ContainerMetadata;
use crate::record::QueueClosed;
use crate::stats::{ContainerStats, WaitingContainer};
use crate::stopping::Unproved;
pub(crate) use commands::{ExitReason, FollowCommands, StartReason};
use files::FilesUse;
use opening::Opening;
use pace::Pace;
use problems::{Problem, past_damage};
use read::{Ending, Silence};
use selection::Selection;
use window::{Known, Reach, Scan};

/// If a container ran before the source connected, the first request asks for this number of records from the
/// end of its log. With such a limit, the Engine reads its files from the end instead of decoding all of
/// them.
const TAIL: u32 = 1024;

/// A follower that has not begun yet.
pub(crate) struct Follower {
    pub(crate) context: Arc<Context>,
    pub(crate) id: ContainerId,
    pub(crate) commands: watch::Receiver<FollowCommands>,
    pub(crate) partial: PartialMetadata,
    pub(crate) cursor: Arc<Mutex<Cursor>>,
    pub(crate) stats: Arc<ContainerStats>,
    /// The earliest stamp of the lines to read.
    pub(crate) since: Timestamp,
    /// Exists if the log can have lines from before the source connected. While it exists, a source that is
    /// being stopped waits for these lines.
    pub(crate) unproved: Option<Unproved>,
    /// Sends once whether the container is followed.
    pub(crate) decided: Option<oneshot::Sender<bool>>,
}

impl Follower {
    /// Follows the container until it is removed.
    pub(crate) async fn run(self, reason: StartReason) -> ExitReason {
        let timing = self.context.timing;
        let sink = DedupSink::new(self.context.clone(), self.cursor, self.stats);
        let metadata = ContainerMetadata::new(self.context.clone(), self.id.clone(), self.partial);
        // A run whose start the source has seen is read from its beginning, even if only the last records are
        // wanted.
        let is_earlier = reason != StartReason::Started && !sink.resumes();
        let tail = self.context.start.tail.filter(|_| is_earlier);
        let mut following = Following {
            backoff: Backoff::new(timing.resume_min, timing.resume_max),
            floor: self.since,
            drained: if tail.is_some() { Timestamp::UNIX_EPOCH } else { self.since },
            tail,
            selection: Selection::default(),
            open: None,
            known: if sink.resumes() { Known::Resume } else { Known::Start },
            pace: Pace::new(timing.latency, Instant::now()),
            is_first_run: reason == StartReason::Started,
            stuck: 0,
            refusals: 0,
            is_unread: reason != StartReason::Stopped,
            is_behind: self.unproved.is_some(),
            is_gone: false,
            left: None,
            warned: Vec::new(),
            descriptor: None,
            waiting: None,
            unproved: self.unproved,
            seen: FollowCommands::default(),
            files: FilesUse::Wanted,
            failures: 0,
            asked_after: (None, 0),
            context: self.context,
            id: self.id,
            commands: self.commands,
            metadata,
            sink,
            decided: self.decided,
        };
        let step = match reason {
            StartReason::RanBefore => Step::Follow { tail: Some(TAIL) },
            StartReason::Started | StartReason::Resumed => Step::Follow { tail: None },
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
    /// The time at which the reading of this log begins. No request asks for earlier lines.
    floor: Timestamp,
    /// The number of records before the floor that are also to be read. `None` once the floor has been moved
    /// in front of these records.
    tail: Option<u32>,
    /// The end of the last run whose log was read completely, as an inspection showed it.
    drained: Timestamp,
    selection: Selection,
    /// The stamp of the oldest line that the last response left incomplete.
    open: Option<Timestamp>,
    /// The place up to which no line of the log is missing.
    known: Known,
    pace: Pace,
    /// True if the log can only have lines of the container's first run, and this run was followed from its
    /// start.
    is_first_run: bool,
    /// The number of consecutive requests that ended in a format error before they brought a new line.
    stuck: u32,
    /// The number of consecutive requests that the Engine refused for a temporary reason.
    refusals: u32,
    /// True if the log possibly has lines that no request has brought.
    is_unread: bool,
    /// True if the log was not read for a while, and possibly has many lines that no request has brought.
    is_behind: bool,
    /// True if the Engine no longer knows the container.
    is_gone: bool,
    /// The reader of the last response, with its unfinished lines. The next response begins before these
    /// lines.
    left: Option<LogReader>,
    /// Exists if a stream has brought lines that no window has proved to be complete, or if the log was not
    /// yet read up to its present end since the source started. While it exists, a source that is being
    /// stopped waits for this log.
    unproved: Option<Unproved>,
    /// The commands that have been executed.
    seen: FollowCommands,
    files: FilesUse,
    /// The number of consecutive attempts that did not find the next line in the log's files.
    failures: u32,
    /// The values of `FollowCommands::ended_at` and `FollowCommands::checks` at the last inspection that was
    /// made while the log was read from its files.
    asked_after: (Option<Timestamp>, u64),
    /// The problems that were logged. Each problem is logged once for each container.
    warned: Vec<Problem>,
    /// The permit for the file descriptor of the stream that follows the log. It is kept for the next stream
    /// when a stream ends.
    descriptor: Option<OwnedSemaphorePermit>,
    /// Counts the container in the statistics while no file descriptor is free for the stream or for
    /// requests.
    waiting: Option<WaitingContainer>,
}

enum Step {
    /// No file descriptor is free for a stream: read the log up to its present end when its turn among other
    /// logs comes.
    Turn,
    /// Read the log as it grows, by a stream. `tail` limits the stream to the last records and all later
    /// records.
    Follow {
        tail: Option<u32>,
    },
    /// Read the log by windows, because its lines arrive fast, or because the stream may have omitted lines.
    Poll {
        left: Option<LogReader>,
        /// The number of lines that the log is known to have behind the last line that was read before.
        lines_behind: u32,
    },
    /// The stream ended: ask whether the container still runs.
    Decide(LogReader),
    /// The container does not run: read its log again and again, until a read brings nothing new.
    CatchUp(LogReader),
    /// The container is not selected for the run that has begun: read the rest of the previous run.
    Leave(LogReader),
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

impl Following {
    async fn run(&mut self, first: Step) -> Result<ExitReason, QueueClosed> {
        let mut step = first;
        loop {
            self.note(step.state());
            step = match step {
                Step::Turn => self.turn().await?,
                Step::Follow { tail } => self.follow(tail).await?,
                Step::Poll { left, lines_behind } => self.poll(left, lines_behind).await?,
                Step::Decide(reader) => self.decide(reader).await,
                Step::CatchUp(reader) => self.catch_up(reader).await?,
                Step::Leave(reader) => match self.catch_up(reader).await? {
                    Step::Wait(_) => self.not_selected(),
                    next => next,
                },
                Step::Check => self.check().await,
                Step::Wait(waiting) => {
                    self.descriptor = None;
                    self.waiting = None;
                    self.unproved = None;
                    self.send_decision(false);
                    self.wait(waiting).await
                }
                Step::End(reason) => return Ok(reason),
            };
        }
    }

    async fn follow(&mut self, tail: Option<u32>) -> Result<Step, QueueClosed> {
        let commands = self.commands.borrow_and_update().clone();
        if commands.starts != self.seen.starts {
            self.selection.note_end();
        }
        self.seen = commands;
        if let Some(records) = self.tail {
            if let Some(step) = self.begin_at_tail(records).await? {
                return Ok(step);
            }
        }
        self.descriptor = self.descriptor.take().or_else(|| self.context.descriptors.log());
        if self.descriptor.is_none() {
            return Ok(Step::Turn);
        }
        // The log of a container that was just started is requested immediately: the container and its log can
        // be removed before the inspection names the files.
        if self.wants_files() && (self.metadata.is_inspected() || !self.is_first_run) {
            if let Some(step) = self.decide_to_follow().await {
                return Ok(step);
            }
            if let Some(step) = self.follow_files(&mut None).await? {
                return Ok(step);
            }
        }
        let is_behind = (self.is_behind || self.files == FilesUse::AfterWindow)
            && (self.stuck == 0 || (self.can_window() && past_damage(self.stuck).is_none()));
        if is_behind || (self.known == Known::Resume && self.sink.resumes()) {
            return self.resume().await;
        }
        let tail = match self.tail_past_damage().await {
            Ok(records) => records.or(tail),
            Err(error) => return self.not_opened(&error).await,
        };
        let unanswered = self.context.stopping.unproved();
        let (query, scan) = self.opening(tail);
        let (context, id) = (self.context.clone(), self.id.clone());
        let mut opening = Opening::new(&context.client, &id, query);
        // The first inspection and the request run at the same time, since the container and its log can be
        // removed before the inspection is answered. An open log can be read to its end even after the
        // removal.
        if !self.metadata.is_inspected() {
            let inspected = opening.beside(self.metadata.inspect()).await;
            if !self.note_first_inspection(inspected) {
                return Ok(self.not_selected());
            }
        }
        let mut opening = Some(opening);
        if self.wants_files() {
            if let Some(step) = self.select() {
                return Ok(step);
            }
            self.send_decision(true);
            if let Some(step) = self.follow_files(&mut opening).await? {
                return Ok(step);
            }
        }
        let Some(opening) = opening else { return Ok(Step::Follow { tail: None }) };
        let opened = opening.answer().await;
        if let Some(step) = self.select() {
            return Ok(step);
        }
        self.send_decision(opened.is_ok());
        let (content_type, body) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.not_opened(&error).await,
        };
        // If the first inspection failed, a second inspection may succeed now, since the Engine has just
        // answered another request.
        if self.metadata.is_partial() {
            if let Ok(inspect) = context.client.inspect(&self.id).await {
                if !self.metadata.update(inspect) {
                    return Ok(self.not_selected());
                }
            }
        }
        self.note(Some(FollowState::Followed));
        self.left = None;
        let mut response = self.response(content_type, body, scan);
        // The stream may be late, so a window has to read the log before the source ends.
        match context.stopping.is_requested() {
            true => self.unproved = self.unproved.take().or(Some(unanswered)),
            false => drop(unanswered),
        }
        let new_before = self.sink.new_lines();
        let may_be_cut = self.may_be_cut();
        // If a window can be read, the container has not ended before its stream began: the Engine would have
        // removed the log.
        let has_begun = may_be_cut && self.can_window() && self.prove().await?;
        loop {
            let ending = self.read(&mut response, Silence::UntilRemoval).await?;
            if let (Known::Damage, Some(first)) = (self.known, response.scan().first()) {
                self.known = Known::Line(first);
            }
            if ending == Ending::Due {
                let is_stopping = self.context.stopping.is_requested();
                if self.can_window() {
                    self.prove().await?;
                } else {
                    self.open = response.oldest_open();
                    let _ = self.read_rest(&mut None).await?;
                }
                if is_stopping {
                    return Ok(self.stopped().await);
                }
                if !(self.pace.is_late() && self.can_poll()) {
                    continue;
                }
            }
            let lines_behind = response.scan().lines_of_tail();
            let is_empty = response.scan().records() == 0;
            let reader = response.into_reader();
            // The stream possibly ended in front of a damaged record. A window shows whether the log has lines
            // behind this record.
            let is_over = matches!(ending, Ending::Complete | Ending::Invalid);
            self.is_behind |= is_over && self.sink.new_lines() == new_before && self.can_window();
            if ending == Ending::Complete && may_be_cut {
                self.is_unread = is_empty && !has_begun;
                // The Engine is about to remove the container, so its log is read before the next inspection.
                // The result is ignored: if the log cannot be read, the inspection shows the reason.
                let _ = self.read_rest(&mut None).await?;
            }
            return Ok(match ending {
                Ending::Broken | Ending::Complete | Ending::Invalid | Ending::Lost => Step::Decide(reader),
                Ending::Busy | Ending::Due | Ending::TooShort => {
                    Step::Poll { left: Some(reader), lines_behind }
                }
            });
        }
    }

    /// Returns whether lines can be lost at the end of a stream: the Engine may end the stream without an
    /// error before it has sent all lines, and may then remove the log before the log can be read again.
    fn may_be_cut(&self) -> bool {
        let client = &self.context.client;
        let is_old = client.dialect() == Dialect::Docker && client.version() < ApiVersion::DOCKER_23;
        is_old && (self.metadata.is_partial() || self.metadata.is_removed_at_end())
    }

    /// Notes the result of the first inspection, `None` if it failed. Returns false if this process runs in
    /// the container.
    fn note_first_inspection(&mut self, inspected: Option<Inspect>) -> bool {
        let finished_at = inspected.as_ref().and_then(|inspect| inspect.state.finished_at());
        self.is_first_run &= inspected.is_some() && finished_at.is_none();
        self.selection.note_inspection(finished_at);
        let is_other = self.metadata.set(inspected);
        if !is_other {
            self.send_decision(false);
        }
        is_other
    }

    /// Returns the request that follows the log, and the scan that checks how far its response reaches.
    /// Docker 20.10 can skip lines if a request has the parameter `since=`. Therefore a request that follows
    /// earlier lines asks for the last records instead, if the log can be read in this way.
    fn opening(&mut self, tail: Option<u32>) -> (LogsQuery, Scan) {
        self.sink.count_request();
        if tail.is_none() && self.sink.has_lines() && self.can_window() {
            let mut limit = window::first_limit(self.pace.records_to_request());
            let (since, reach) = self.reach(&mut limit, false);
            return (LogsQuery { follow: true, since, tail: limit }, Scan::new(reach, limit, true));
        }
        let mut reach = Reach::Nothing;
        if self.stuck > 0 && tail.is_some() {
            self.sink.skip_damage();
            (self.known, reach) = (Known::Damage, Reach::End);
        }
        (self.query(true, tail), Scan::new(reach, None, true))
    }

    /// Handles the refusal of a request for the log.
    async fn not_opened(&mut self, error: &EngineError) -> Result<Step, QueueClosed> {
        match error.log_refusal() {
            LogRefusal::Unreadable => Ok(self.unreadable(error)),
            LogRefusal::Temporary if !self.commands.borrow().removed => {
                self.refused(error);
                self.pause().await;
                // Unless damage is skipped, the next request has no limit for the number of records, since
                // the container can write any number of lines before the log is read.
                Ok(Step::Follow { tail: past_damage(self.stuck) })
            }
            LogRefusal::Gone | LogRefusal::Temporary => {
                if let Some(left) = self.left.take() {
                    self.finish(left).await?;
                }
                self.note_removal().await?;
                Ok(Step::Wait(Waiting::Ended))
            }
        }
    }

    /// Inspects the container and decides whether it is selected, unless this was done before. Returns the
    /// next step if the container is not followed.
    async fn decide_to_follow(&mut self) -> Option<Step> {
        if !self.metadata.is_inspected() {
            let inspected = self.metadata.inspect().await;
            if !self.note_first_inspection(inspected) {
                return Some(self.not_selected());
            }
        }
        let step = self.select();
        self.send_decision(step.is_none());
        step
    }

    /// Waits until the container is started again.
    fn wait_for_start(&self) -> impl Future<Output = ()> + use<> {
        let (mut commands, starts) = (self.commands.clone(), self.seen.starts);
        async move {
            if commands.wait_for(|commands| commands.starts != starts).await.is_err() {
                // The source was dropped, and this task is about to be dropped, too.
                pending::<()>().await;
            }
        }
    }

    /// Follows a run that began while the log of the previous run was read. The new run is followed immediately,
    /// since it can end at any time, and its log can then be removed. The stream also brings the rest of the
    /// previous run, which precedes the new run in the log.
    fn next_run(&mut self, left: Option<LogReader>) -> Step {
        self.left = left;
        self.selection.note_end();
        self.note_start();
        Step::Follow { tail: past_damage(self.stuck) }
    }

    fn note_start(&mut self) {
        // A container that is gone cannot be started: the event of the start has arrived late.
        self.is_unread |= !self.is_gone;
        // The log may be removed soon, so the next request for it does not wait for the turns of other logs.
        self.is_behind = false;
    }

    async fn check(&mut self) -> Step {
        self.seen.checks = self.commands.borrow_and_update().checks;
        // If the container is started meanwhile, its log is followed without waiting for the answer, since
        // the container can be removed before the answer arrives.
        tokio::select! {
            biased;
            () = self.wait_for_start() => {
                self.note_start();
                Step::Follow { tail: None }
            }
            step = self.ask() => step,
        }
    }

    /// Asks whether the container has run since its log was last read to the end.
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
                    false => {
                        self.is_unread = false;
                        Step::Wait(Waiting::Ended)
                    }
                }
            }
            Err(error) if error.log_refusal() == LogRefusal::Gone => {
                self.unavailable(&error);
                Step::Wait(Waiting::Ended)
            }
            Err(error) => {
                self.refused(&error);
                self.pause().await;
                Step::Check
            }
        }
    }

    async fn wait(&mut self, waiting: Waiting) -> Step {
        self.selection.note_end();
        if self.sink.has_requested() {
            self.seen.sightings = self.commands.borrow().sightings;
        }
        loop {
            {
                let commands = self.commands.borrow_and_update();
                let is_readable = waiting != Waiting::Unreadable;
                if commands.starts != self.seen.starts {
                    drop(commands);
                    self.note_start();
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

    fn query(&mut self, follow: bool, tail: Option<u32>) -> LogsQuery {
        let dialect = self.context.client.dialect();
        let tail = tail.filter(|_| dialect == Dialect::Docker);
        let since = self.sink.begin_request(dialect, self.floor, self.open, tail.is_none());
        LogsQuery { follow, since, tail }
    }

    fn take_name(&mut self) {
        if let Some(name) = &self.commands.borrow().name {
            self.metadata.rename(name);
            self.note(None);
        }
    }

    fn send_decision(&mut self, follows: bool) {
        if let Some(decided) = self.decided.take() {
            // A receiver that was dropped no longer needs the decision.
            let _ = decided.send(follows);
        }
    }

    /// Waits before the next attempt. A start of the container ends the wait.
    async fn pause(&mut self) {
        let wait = self.backoff.next();
        tokio::select! {
            () = self.wait_for_start() => {}
            () = sleep(wait) => {}
        }
    }
}
