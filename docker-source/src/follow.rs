//! Follows one container: asks for its log, hands its lines on, and asks again whenever the Engine stops sending.
//!
//! That a stream ended says little. A container that ended does it, and so do a restart of the Engine, a proxy that
//! cuts idle connections, a file that cannot be decoded, and Docker 20.10 when the container ends before all is read. So
//! the follower asks whether the container still runs. If so it resumes; if not it reads what is there until a read
//! brings nothing new.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gelf_core::Timestamp;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::sleep;

use crate::container::{Container, Glimpse};
use crate::cursor::Cursor;
use crate::engine::{Body, ContainerId, EngineClient, EngineError, LogsQuery};
use crate::intake::Intake;
use crate::known::Known;
use crate::line::Line;
use crate::read::{self, LogReader};
use crate::record::{QueueClosed, RecordQueue};
use crate::stats::{ContainerStats, Stats};
use crate::stdcopy::{BadFrame, Framing};
use crate::timing::{Backoff, Timing};

/// How many of its pieces are read of a container that ran before the source connected. With a limit the Engine reads
/// its files from the end instead of decoding all of them.
const TAIL: u32 = 1024;
/// How many reads to the end of one log may run at once: each makes the Engine decode whole files.
pub(crate) const CATCH_UPS: usize = 4;
/// How many reads to the end may follow each other. The log of a container that ended does not grow, so that the second
/// mostly brings nothing new.
const CATCH_UPS_IN_A_ROW: usize = 16;

/// How often a part of the log that cannot be read is tried before it is passed over.
const PATIENCE: u32 = 3;

/// What all followers of a source have in common.
pub(crate) struct Shared {
    pub(crate) client: EngineClient,
    pub(crate) engine_host: Arc<str>,
    /// The Engine's clock when the source first connected. What was written before is not read.
    pub(crate) floor: Timestamp,
    pub(crate) own_container: Option<ContainerId>,
    pub(crate) select: Box<dyn Fn(&Container) -> bool + Send + Sync>,
    pub(crate) timing: Timing,
    pub(crate) queue: RecordQueue,
    pub(crate) stats: Arc<Stats>,
    pub(crate) catch_ups: Semaphore,
}

/// What the supervisor has to tell a follower. The figures only ever grow, so that none of what they tell is missed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    /// How often the container was started.
    pub(crate) starts: u64,
    /// How often a list showed it running.
    pub(crate) sightings: u64,
    /// How often it should be asked whether it ran meanwhile, because events may have been missed.
    pub(crate) checks: u64,
    /// Its name, when it was given another.
    pub(crate) name: Option<Arc<str>>,
    /// It was removed.
    pub(crate) removed: bool,
}

/// Why a follower starts, which decides what it does first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Beginning {
    /// The container ran before the source connected.
    RanBefore,
    /// The container was started, or found, later.
    Started,
    /// The container was not running before the source connected.
    Stopped,
    /// The container was found later, not running; it may have run unseen.
    Unclear,
}

/// Why a follower ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The container was removed and its log read to the end.
    Removed,
    /// Nobody takes records any more.
    Stopped,
    /// The container is not to be followed.
    Unwanted,
}

/// A follower before it begins.
pub(crate) struct Follower {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: ContainerId,
    pub(crate) orders: watch::Receiver<Orders>,
    pub(crate) glimpse: Glimpse,
    pub(crate) cursor: Arc<Mutex<Cursor>>,
    pub(crate) stats: Arc<ContainerStats>,
    /// Told once, whether the container is followed.
    pub(crate) decided: Option<oneshot::Sender<bool>>,
}

impl Follower {
    /// Follows the container until it is removed.
    pub(crate) async fn run(self, beginning: Beginning) -> Outcome {
        let timing = self.shared.timing;
        let intake = Intake::new(self.shared.queue.clone(), self.cursor, self.stats);
        let known = Known::new(self.shared.clone(), self.id.clone(), self.glimpse);
        let mut following = Following {
            backoff: Backoff::new(timing.resume_min, timing.resume_max),
            floor: self.shared.floor,
            drained: self.shared.floor,
            open: None,
            stuck: 0,
            has_warned: false,
            is_gone: false,
            left: None,
            seen: Orders::default(),
            shared: self.shared,
            id: self.id,
            orders: self.orders,
            known,
            intake,
            decided: self.decided,
        };
        let step = match beginning {
            Beginning::RanBefore => Step::Follow { tail: Some(TAIL) },
            Beginning::Started => Step::Follow { tail: None },
            Beginning::Stopped => Step::Wait(Waiting::Ended),
            Beginning::Unclear => Step::Check,
        };
        following.run(step).await.unwrap_or(Outcome::Stopped)
    }
}

struct Following {
    shared: Arc<Shared>,
    id: ContainerId,
    orders: watch::Receiver<Orders>,
    known: Known,
    intake: Intake,
    decided: Option<oneshot::Sender<bool>>,
    backoff: Backoff,
    /// No request asks for anything before this.
    floor: Timestamp,
    /// When the last run ended whose log was read to the end.
    drained: Timestamp,
    /// The stamp of the oldest line whose end the last answer did not have.
    open: Option<Timestamp>,
    /// How many requests in a row were ended by a bad frame before they brought anything new.
    stuck: u32,
    has_warned: bool,
    /// The Engine does not know the container any more.
    is_gone: bool,
    /// What the last answer left unfinished; the next one begins before it.
    left: Option<LogReader>,
    /// The orders that are followed already.
    seen: Orders,
}

enum Step {
    /// Read the log as it grows.
    Follow {
        tail: Option<u32>,
    },
    /// The stream ended: find out what that means.
    Decide(LogReader),
    /// The container does not run: read what is there until there is nothing new.
    CatchUp(LogReader),
    /// Find out whether the container ran unseen.
    Check,
    Wait(Waiting),
    End(Outcome),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waiting {
    /// All is read.
    Ended,
    /// The log driver cannot be read. That does not change while the container runs.
    Unreadable,
}

/// How an answer of the log endpoint ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    BadFrame,
    Broken,
    Complete,
}

/// What a refused request for a log means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    Gone,
    Later,
    Unreadable,
}

impl Refusal {
    pub(crate) fn of(error: &EngineError) -> Self {
        match error.status() {
            // 409: "dead or marked for removal"
            Some(404 | 409) => Self::Gone,
            Some(501) => Self::Unreadable,
            _ => Self::Later,
        }
    }
}

impl Following {
    async fn run(&mut self, first: Step) -> Result<Outcome, QueueClosed> {
        let mut step = first;
        loop {
            step = match step {
                Step::Follow { tail } => self.follow(tail).await?,
                Step::Decide(reader) => self.decide(reader).await,
                Step::CatchUp(reader) => self.catch_up(reader).await?,
                Step::Check => self.check().await,
                Step::Wait(waiting) => {
                    self.announce(false);
                    self.wait(waiting).await
                }
                Step::End(outcome) => return Ok(outcome),
            };
        }
    }

    async fn follow(&mut self, tail: Option<u32>) -> Result<Step, QueueClosed> {
        self.seen = self.orders.borrow_and_update().clone();
        let query = self.query(true, tail);
        let shared = self.shared.clone();
        // A container may be gone before an inspection is answered, and its log with it: whoever has the log open by
        // then can read all of it.
        let opened = match self.known.container().is_some() {
            true => shared.client.logs(&self.id, query).await,
            false => {
                let (opened, learned) = tokio::join!(shared.client.logs(&self.id, query), self.known.learn());
                if !self.known.begin(learned) {
                    self.announce(false);
                    return Ok(Step::End(Outcome::Unwanted));
                }
                opened
            }
        };
        self.take_name();
        self.announce(opened.is_ok());
        match opened {
            Ok((content_type, body)) => {
                self.left = None;
                let (reader, _) = self.read(content_type, body, None).await?;
                Ok(Step::Decide(reader))
            }
            Err(error) => match Refusal::of(&error) {
                Refusal::Gone => {
                    if let Some(left) = self.left.take() {
                        self.finish(left).await?;
                    }
                    Ok(Step::Wait(Waiting::Ended))
                }
                Refusal::Unreadable => Ok(self.unreadable(&error)),
                Refusal::Later if self.orders.borrow().removed => Ok(Step::Wait(Waiting::Ended)),
                Refusal::Later => {
                    tracing::debug!(container = self.known.name(), %error, "the log is asked for again");
                    self.pause().await;
                    Ok(Step::Follow { tail })
                }
            },
        }
    }

    async fn decide(&mut self, reader: LogReader) -> Step {
        match self.shared.client.inspect(&self.id).await {
            Ok(inspect) => {
                let is_running = inspect.state.is_running();
                let finished_at = inspect.state.finished_at();
                if !self.known.update(inspect) {
                    return Step::End(Outcome::Unwanted);
                }
                if is_running {
                    self.left = Some(reader);
                    self.pause().await;
                    return Step::Follow { tail: past_damage(self.stuck) };
                }
                self.drained = finished_at.unwrap_or(self.drained);
                Step::CatchUp(reader)
            }
            Err(error) if Refusal::of(&error) == Refusal::Gone => {
                self.is_gone = true;
                Step::CatchUp(reader)
            }
            Err(_) => {
                self.pause().await;
                Step::Decide(reader)
            }
        }
    }

    async fn catch_up(&mut self, mut reader: LogReader) -> Result<Step, QueueClosed> {
        let shared = self.shared.clone();
        for _ in 0..CATCH_UPS_IN_A_ROW {
            let permit = shared.catch_ups.acquire().await;
            let query = self.query(false, past_damage(self.stuck));
            match shared.client.logs(&self.id, query).await {
                Ok((content_type, body)) => {
                    let (read, ending) = self.read(content_type, body, Some(shared.timing.catch_up)).await?;
                    match ending {
                        Ending::Complete if self.intake.new_lines() == 0 => {
                            reader = read;
                            break;
                        }
                        Ending::Complete => reader = read,
                        Ending::Broken => {
                            drop(permit);
                            self.pause().await;
                            return Ok(Step::Decide(reader));
                        }
                        Ending::BadFrame => {}
                    }
                }
                Err(error) => match Refusal::of(&error) {
                    Refusal::Gone => break,
                    Refusal::Unreadable => return Ok(self.unreadable(&error)),
                    // Some Engines answer so for a container that is just being removed.
                    Refusal::Later if self.is_gone && error.status().is_some() => break,
                    Refusal::Later => {
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

    /// Hands on what the container left unfinished.
    async fn finish(&mut self, reader: LogReader) -> Result<(), QueueClosed> {
        self.open = None;
        let is_tty = reader.framing() == Some(Framing::Tty);
        let mut lines = Vec::new();
        reader.finish(&mut lines);
        for line in lines {
            // If the container is started again, what a terminal shows next follows on this line with nothing between
            // them, and both would be taken for one line that was read before. So this one must not be sent again.
            if is_tty && !line.ended {
                self.floor = self.floor.max(next_moment(line.time));
            }
            self.take(line).await?;
        }
        Ok(())
    }

    async fn check(&mut self) -> Step {
        self.seen.checks = self.orders.borrow_and_update().checks;
        let shared = self.shared.clone();
        let inspected = {
            let _permit = shared.catch_ups.acquire().await;
            shared.client.inspect(&self.id).await
        };
        match inspected {
            Ok(inspect) => {
                let ran = inspect.state.finished_at().is_some_and(|end| end > self.drained);
                match ran || inspect.state.is_running() {
                    true => Step::Follow { tail: None },
                    false => Step::Wait(Waiting::Ended),
                }
            }
            Err(error) if Refusal::of(&error) == Refusal::Gone => Step::Wait(Waiting::Ended),
            Err(_) => {
                self.pause().await;
                Step::Check
            }
        }
    }

    async fn wait(&mut self, waiting: Waiting) -> Step {
        if self.intake.has_requested() {
            self.seen.sightings = self.orders.borrow().sightings;
        }
        loop {
            {
                let orders = self.orders.borrow_and_update();
                let is_readable = waiting != Waiting::Unreadable;
                if orders.starts != self.seen.starts {
                    return Step::Follow { tail: None };
                }
                if orders.removed {
                    return Step::End(Outcome::Removed);
                }
                if is_readable && orders.sightings != self.seen.sightings {
                    return Step::Follow { tail: None };
                }
                if is_readable && orders.checks != self.seen.checks {
                    return Step::Check;
                }
            }
            if self.orders.changed().await.is_err() {
                return Step::End(Outcome::Stopped);
            }
        }
    }

    /// Reads an answer to its end, however that comes. Without `silence` it may take for ever between two lines.
    async fn read(
        &mut self,
        content_type: Option<String>,
        mut body: Body,
        silence: Option<Duration>,
    ) -> Result<(LogReader, Ending), QueueClosed> {
        let mut reader = LogReader::new(content_type, self.known.tty());
        let mut lines = Vec::new();
        let ending = loop {
            let part = match silence {
                Some(silence) => body.next_within(silence).await,
                None => self.next_part(&mut body).await,
            };
            match part {
                None => break Ending::Complete,
                Some(Err(error)) => {
                    tracing::debug!(container = self.known.name(), %error, "the log broke off");
                    break Ending::Broken;
                }
                Some(Ok(part)) => reader.push(&part),
            }
            if self.take_all(&mut reader, &mut lines).await?.is_err() {
                break Ending::BadFrame;
            }
        };
        self.open = reader.oldest_open();
        let has_new = self.intake.new_lines() > 0;
        if has_new {
            self.backoff.reset();
        }
        self.stuck = if ending == Ending::BadFrame && !has_new { self.stuck + 1 } else { 0 };
        if self.stuck == PATIENCE {
            tracing::warn!(
                container = self.known.name(),
                "a part of the log cannot be read at all and is passed over; lines may be missing"
            );
        }
        Ok((reader, ending))
    }

    /// Decodes all that came in. The inner error ends the answer.
    async fn take_all(
        &mut self,
        reader: &mut LogReader,
        lines: &mut Vec<Line>,
    ) -> Result<Result<(), BadFrame>, QueueClosed> {
        loop {
            match reader.step(lines) {
                Ok(read::Step::Piece) => {
                    for line in lines.drain(..) {
                        self.take(line).await?;
                    }
                }
                Ok(read::Step::NeedsMore) => return Ok(Ok(())),
                Err(error) => {
                    self.bad_frame(&error);
                    if error.ends_stream() {
                        return Ok(Err(error));
                    }
                }
            }
        }
    }

    /// The next part of a stream that may be silent for ever, except when its container was removed.
    async fn next_part(&mut self, body: &mut Body) -> Option<Result<Bytes, EngineError>> {
        loop {
            let is_removed = self.orders.borrow().removed;
            let silence = self.shared.timing.removed;
            let silent = async {
                match is_removed {
                    true => sleep(silence).await,
                    false => pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = self.orders.changed() => {
                    changed.ok()?;
                    self.take_name();
                }
                part = body.next() => return part,
                () = silent => return None,
            }
        }
    }

    async fn take(&mut self, line: Line) -> Result<(), QueueClosed> {
        match self.known.container() {
            Some(container) => self.intake.take(container, line).await,
            None => Ok(()),
        }
    }

    fn query(&mut self, follow: bool, tail: Option<u32>) -> LogsQuery {
        let since = self.intake.begin_request(self.floor, self.open);
        LogsQuery { follow, since, tail }
    }

    fn take_name(&mut self) {
        if let Some(name) = &self.orders.borrow().name {
            self.known.rename(name);
        }
    }

    fn announce(&mut self, follows: bool) {
        if let Some(decided) = self.decided.take() {
            // Nobody may be waiting to hear it.
            let _ = decided.send(follows);
        }
    }

    fn bad_frame(&mut self, error: &BadFrame) {
        self.intake.stats().bad_frame();
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(container = self.known.name(), %error, "a part of the log cannot be read and is tried again");
        }
    }

    fn unreadable(&self, error: &EngineError) -> Step {
        self.intake.stats().unreadable();
        tracing::warn!(container = self.known.name(), %error, "its log driver cannot be read, so none of its lines will come");
        Step::Wait(Waiting::Unreadable)
    }

    async fn pause(&mut self) {
        sleep(self.backoff.next()).await;
    }
}

/// How many pieces to ask for from the end of the log, when a bad frame keeps coming back. The Engine reads up to the
/// damage from the beginning each time, and from the end it need not: what lies between is given up, little by little.
fn past_damage(stuck: u32) -> Option<u32> {
    match stuck {
        0..PATIENCE => None,
        PATIENCE => Some(TAIL),
        _ if stuck == PATIENCE + 1 => Some(TAIL / 32),
        _ => Some(0),
    }
}

fn next_moment(time: Timestamp) -> Timestamp {
    let (seconds, nanos) = time.as_unix();
    Timestamp::from_unix(seconds, nanos + 1).or_else(|| Timestamp::from_unix(seconds + 1, 0)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_moment_is_a_nanosecond_later() {
        let next = |seconds, nanos| next_moment(Timestamp::from_unix(seconds, nanos).unwrap()).as_unix();
        assert_eq!(next(7, 0), (7, 1));
        assert_eq!(next(7, 999_999_999), (8, 0));
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_from_the_third_time_on() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 9].map(past_damage),
            [None, None, None, Some(1024), Some(32), Some(0), Some(0)]
        );
    }

    #[test]
    fn a_refusal_is_told_by_its_status() {
        let refusal = |code| Refusal::of(&EngineError::from_status("logs", code, b""));
        assert_eq!(refusal(404), Refusal::Gone);
        assert_eq!(refusal(409), Refusal::Gone);
        assert_eq!(refusal(501), Refusal::Unreadable);
        assert_eq!(refusal(500), Refusal::Later);
        assert_eq!(Refusal::of(&EngineError::answer("logs", "broken")), Refusal::Later);
    }
}
