//! Reads the rest of a log after its stream has ended.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::problems::past_damage;
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
            () = self.started() => return self.next_run(Some(reader)),
            inspected = context.client.inspect(&self.id) => inspected,
        };
        match inspected {
            Ok(inspect) => {
                let is_running = inspect.state.is_running();
                let finished_at = inspect.state.finished_at();
                self.selection.inspected(finished_at);
                if !self.metadata.update(inspect) {
                    return self.not_selected();
                }
                if is_running {
                    self.is_unread = true;
                    self.left = Some(reader);
                    self.pause().await;
                    return Step::Follow { tail: past_damage(self.stuck) };
                }
                let is_known = self.drained == finished_at.unwrap_or(self.drained);
                self.drained = finished_at.unwrap_or(self.drained);
                match is_known || self.end_is_known().await {
                    true => Step::CatchUp(reader),
                    // The event was lost, and the event of the next start may be lost, too.
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

    /// Reads the log of a container that does not run until a read brings nothing new.
    pub(super) async fn catch_up(&mut self, mut reader: LogReader) -> Result<Step, QueueClosed> {
        let Context { catch_ups, timing, .. } = &*self.context.clone();
        for _ in 0..CATCH_UPS_IN_A_ROW {
            let new_before = self.sink.new_lines();
            let started = self.started();
            let mut response = None;
            let read = async {
                let permit = catch_ups.acquire().await;
                // A read that is slow or waits for room in the queue does not keep others waiting.
                hold(permit, timing.catch_up, self.read_rest(&mut response)).await
            };
            let read = tokio::select! {
                biased;
                () = started => None,
                read = read => Some(read?),
            };
            match (read, response) {
                (None, response) => {
                    self.open = response.map_or(self.open, |response| response.oldest_open());
                    return Ok(self.next_run(Some(reader)));
                }
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
                    // Some Engines answer with another status while a container is being removed.
                    LogRefusal::Temporary if !(self.is_gone && error.is_status()) => {
                        self.refused(&error);
                        self.pause().await;
                        return Ok(Step::Decide(reader));
                    }
                    LogRefusal::Gone | LogRefusal::Temporary => {
                        self.removed(&error).await?;
                        break;
                    }
                },
            }
        }
        self.finish(reader).await?;
        Ok(Step::Wait(Waiting::Ended))
    }

    /// Reads the log as it is to its end, or to the error that ends it. Sets `response` as soon as there is
    /// one.
    async fn read_rest(
        &mut self,
        response: &mut Option<Response>,
    ) -> Result<Result<Ending, EngineError>, QueueClosed> {
        let tail = past_damage(self.stuck);
        if tail.is_none() && self.can_window() {
            return self.window(response, 0).await;
        }
        if tail.is_some() {
            self.sink.skip_damage();
        }
        let query = self.query(false, tail);
        self.sink.stats().window();
        match self.context.client.logs(&self.id, query).await {
            Ok((content_type, body)) => {
                let scan = Scan::new(Reach::Nothing, None, false);
                let response = response.insert(self.response(content_type, body, scan));
                let silence = Silence::AtMost(self.context.timing.catch_up);
                let ending = self.read(response, silence).await?;
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

/// Runs the future and holds the permit meanwhile, for `limit` at most.
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
