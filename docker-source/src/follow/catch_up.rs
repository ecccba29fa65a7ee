//! Catches up with a log: reads the log up to its present end. For such a read, the Engine may decode whole
//! files. Therefore [`CATCH_UPS`](crate::context::CATCH_UPS) limits the number of logs that are read in this way
//! at the same time. Slow reads, and reads that must not wait because the log may be removed soon, are exempt
//! from the limit.
//!
//! A follower, the task that reads one log, catches up in three cases:
//!
//! * The stream of a container has ended.
//! * A log is to be followed again after it was not read for a while, or after its last stream ended without a
//!   new line. After a restart of the Engine, this holds for all logs. Once the follower has caught up, a new
//!   stream begins near the present end of the log. The first read after a start of the container does not wait
//!   for other logs.
//! * No file descriptor is free for a stream.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::read::{Ending, Response, Silence};
use super::window::{Known, Reach, Scan};
use super::{Following, Step, Waiting};
use crate::context::Context;
use crate::engine::{EngineError, LogRefusal};
use crate::log::LogReader;
use crate::record::QueueClosed;

/// The maximum number of consecutive reads to the end. The log of an ended container does not grow, so the
/// second read usually brings nothing new.
const CATCH_UPS_IN_A_ROW: usize = 16;

impl Following {
    /// Asks whether the container still runs, after its stream has ended.
    pub(super) async fn decide(&mut self, reader: LogReader) -> Step {
        let context = self.context.clone();
        let inspected = tokio::select! {
            biased;
            () = self.wait_for_start() => return self.next_run(Some(reader)),
            inspected = context.client.inspect(&self.id) => inspected,
        };
        match inspected {
            Ok(inspect) => {
                let is_running = inspect.state.is_running();
                let finished_at = inspect.state.finished_at();
                self.selection.note_inspection(finished_at);
                if !self.metadata.update(inspect) {
                    return self.not_selected();
                }
                if is_running {
                    self.is_unread = true;
                    self.left = Some(reader);
                    self.pause().await;
                    return Step::Follow { tail: self.past_damage() };
                }
                let is_known = self.drained == finished_at.unwrap_or(self.drained);
                self.drained = finished_at.unwrap_or(self.drained);
                match is_known || self.end_is_known().await {
                    true => Step::CatchUp(reader),
                    // The event of this end was lost. The event of the next start can be lost, too, so the
                    // follower asks again whether the container runs.
                    false => Step::Decide(reader),
                }
            }
            Err(error) if error.log_refusal() == LogRefusal::Gone => {
                self.is_gone = true;
                Step::CatchUp(reader)
            }
            Err(error) => {
                self.refused(&error);
                self.pause().await;
                Step::Decide(reader)
            }
        }
    }

    /// Reads the log of an ended container again and again, until a read brings nothing new.
    pub(super) async fn catch_up(&mut self, mut reader: LogReader) -> Result<Step, QueueClosed> {
        for _ in 0..CATCH_UPS_IN_A_ROW {
            let new_before = self.sink.new_lines();
            let mut response = None;
            match (self.read_to_present(&mut response, true).await?, response) {
                (None, _) => return Ok(self.next_run(Some(reader))),
                (Some(Ok(Ending::Complete)), Some(response)) => {
                    reader = response.into_reader();
                    if self.sink.new_lines() == new_before {
                        break;
                    }
                }
                (Some(Ok(Ending::Invalid)), _) => {}
                (Some(Ok(_)), _) => {
                    self.pause().await;
                    return Ok(Step::Decide(reader));
                }
                (Some(Err(error)), _) => match error.log_refusal() {
                    LogRefusal::Unreadable => return Ok(self.unreadable(&error)),
                    // Some Engines answer with a status other than 404 or 409 while they remove a container.
                    LogRefusal::Temporary if !(self.is_gone && error.is_status()) => {
                        self.refused(&error);
                        self.pause().await;
                        return Ok(Step::Decide(reader));
                    }
                    LogRefusal::Gone | LogRefusal::Temporary => {
                        self.note_removal().await?;
                        break;
                    }
                },
            }
        }
        self.finish(reader).await?;
        Ok(Step::Wait(Waiting::Ended))
    }

    /// Reads a log up to its present end before a stream follows it. The stream then goes on at this end.
    pub(super) async fn resume(&mut self) -> Result<Step, QueueClosed> {
        if let Some(step) = self.decide_to_follow().await {
            return Ok(step);
        }
        // If the Engine removes the container when the container ends, the log can be gone before its turn comes.
        // Therefore such a log is read without waiting for a turn.
        let in_turn = self.is_behind && !self.metadata.is_removed_at_end();
        let mut response = None;
        let read = self.read_to_present(&mut response, in_turn).await?;
        let read_now = response.map(Response::into_reader);
        let left = self.left.take();
        Ok(match read {
            None => self.next_run(left),
            Some(Ok(Ending::Complete)) => {
                // The stream may begin late. Until a window shows that the stream has brought all lines, a
                // source that is being stopped waits for the log.
                if self.can_window() {
                    self.unproved.get_or_insert_with(|| self.context.stopping.unproved());
                }
                (self.left, self.is_behind) = (read_now, false);
                self.pace.caught_up();
                Step::Follow { tail: self.past_damage() }
            }
            Some(Ok(_)) => self.step_after_windows(read_now),
            Some(Err(error)) => {
                self.left = left;
                self.not_opened(&error).await?
            }
        })
    }

    /// Reads the log up to its present end, since no file descriptor is free for a stream. The next read of
    /// this log follows after a pause.
    pub(super) async fn turn(&mut self) -> Result<Step, QueueClosed> {
        if let Some(step) = self.decide_to_follow().await {
            return Ok(step);
        }
        self.waiting.get_or_insert_with(|| self.context.stats.wait_for_descriptor());
        let mut response = None;
        let read = self.read_to_present(&mut response, true).await?;
        let left = self.left.take();
        Ok(match read {
            None => self.next_run(left),
            Some(Ok(_)) => self.step_after_windows(response.map(Response::into_reader)),
            Some(Err(error)) => {
                self.left = left;
                self.not_opened(&error).await?
            }
        })
    }

    /// Reads the log up to its present end. If `in_turn` is true, first waits for a permit. The permits limit
    /// the number of logs that are read at the same time. Sets `response` as soon as the Engine has answered.
    /// Returns `None` if the container is started before the read ends. The new run can then be followed
    /// immediately.
    async fn read_to_present(
        &mut self,
        response: &mut Option<Response>,
        in_turn: bool,
    ) -> Result<Option<Result<Ending, EngineError>>, QueueClosed> {
        let Context { catch_ups, timing, .. } = &*self.context.clone();
        let started = self.wait_for_start();
        let read = async {
            let permit = match in_turn {
                true => Some(catch_ups.acquire().await),
                false => None,
            };
            // A read that is slow, or waits for room in the queue, gives its permit back before it ends, so
            // that other logs need not wait for it.
            hold(permit, timing.catch_up, self.read_rest(response)).await
        };
        let read = tokio::select! {
            biased;
            () = started => None,
            read = read => Some(read?),
        };
        if let (None, Some(response)) = (&read, response) {
            self.open = response.oldest_open();
        }
        Ok(read)
    }

    /// Reads the log up to its present end, or up to the error that ends the response. Sets `response` as
    /// soon as the Engine has answered.
    pub(super) async fn read_rest(
        &mut self,
        response: &mut Option<Response>,
    ) -> Result<Result<Ending, EngineError>, QueueClosed> {
        let silence = Silence::AtMost(self.context.timing.catch_up);
        if let Some(ending) = self.read_from_files(response, silence, &mut None).await? {
            return Ok(Ok(ending));
        }
        let tail = self.past_damage();
        if tail.is_none() && self.can_window() {
            let read = self.window(response, 0).await?;
            if matches!(read, Ok(Ending::Complete)) {
                self.note_window();
            }
            return Ok(read);
        }
        if tail.is_some() {
            self.sink.skip_damage(None, false);
        }
        let query = self.query(false, tail);
        self.sink.stats().window();
        let (asked, was_stopping) = (Instant::now(), self.context.stopping.is_requested());
        match self.context.client.logs(&self.id, query).await {
            Ok((content_type, body)) => {
                let scan = Scan::new(Reach::Nothing, None, false);
                let response = response.insert(self.response(content_type, body, scan));
                let ending = self.read(response, silence).await?;
                if ending == Ending::Complete {
                    self.note_read_up_to(asked, was_stopping);
                }
                let anchor = response.scan().anchor().filter(|_| ending == Ending::Complete);
                if let Some(anchor) = anchor.filter(|_| self.can_window()) {
                    self.known = Known::Line(anchor);
                }
                Ok(Ok(ending))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

/// Runs the future to its end. Holds the permit until then, but no longer than `limit`.
async fn hold<T>(permit: impl Sized, limit: Duration, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match timeout(limit, future.as_mut()).await {
        Ok(output) => output,
        Err(_) => {
            drop(permit);
            future.await
        }
    }
}
