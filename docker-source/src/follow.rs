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
mod idle;
mod opening;
mod pace;
mod poll;
mod problems;
mod read;
mod search;
mod selection;
mod state;
mod stream;
mod window;

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
use crate::engine::{ContainerId, Inspect, LogsQuery};
use crate::log::LogReader;
use crate::metadata::ContainerMetadata;
use crate::record::QueueClosed;
use crate::stats::{ContainerStats, WaitingContainer};
use crate::stopping::Unproved;
pub(crate) use commands::{ExitReason, FollowCommands, StartReason};
use files::FilesUse;
use pace::Pace;
use problems::Problem;
use selection::Selection;
use window::Known;

/// If a container ran before the source connected, the first request to Docker asks for this number of records from
/// the end of its log. With such a limit, Docker reads its files from the end instead of decoding all of them.
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
    /// Follows the container until one of the [reasons](ExitReason) to end occurs.
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
            readable: None,
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
    /// The number of requests that ended at a format error or at a damaged record since the last new line.
    stuck: u32,
    /// The number of consecutive requests that the Engine refused for a temporary reason.
    refusals: u32,
    /// True if the log possibly has lines that no request has brought.
    is_unread: bool,
    /// True if the log is to be read up to its present end before a stream follows it: the log was not read for
    /// a while, or its last stream ended without a new line.
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
    /// After a damaged record, a number of records that the Engine can read from the end of the log.
    readable: Option<u32>,
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

    /// Inspects the container, unless it was inspected before, and decides whether it is selected. Returns the
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
