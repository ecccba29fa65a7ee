//! Reads one response of the log endpoint, and puts its lines into the queue.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use gelf_core::Timestamp;
use tokio::time::sleep;

use super::Following;
use super::problems::{ATTEMPTS_AT_DAMAGE, Problem};
use crate::clock::later;
use crate::dedup::ReadingState;
use crate::dialect::Dialect;
use crate::engine::{Body, EngineError};
use crate::log::{Decoded, Framing, Line, LogFormatError, LogReader};
use crate::record::QueueClosed;

/// A response of the log endpoint while it is read.
pub(super) struct Response {
    body: Body,
    reader: LogReader,
    has_begun: bool,
    /// The oldest stamp of the decoded lines that may not be in the queue yet.
    untaken: Option<Timestamp>,
}

impl Response {
    /// Returns the stamp of the oldest line that is incomplete or may not be in the queue yet.
    pub(super) fn oldest_open(&self) -> Option<Timestamp> {
        self.untaken.into_iter().chain(self.reader.oldest_open()).min()
    }

    /// Returns the reader with its unfinished lines, and closes the connection.
    pub(super) fn into_reader(self) -> LogReader {
        self.reader
    }
}

/// The end of a response of the log endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    Broken,
    Complete,
    Invalid,
}

/// The limit of the time between two parts of a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Silence {
    AtMost(Duration),
    /// The time is unlimited until the container is removed. Then the limit is `Timing::removed`. The time
    /// before the first part is never limited: an Engine under load may begin late, and the open stream is
    /// the only access to the log of a removed container.
    UntilRemoval,
}

impl Following {
    /// Begins to read a response. The response proves that the Engine knows the container and can be reached.
    pub(super) fn response(&mut self, content_type: Option<String>, body: Body) -> Response {
        self.refusals = 0;
        self.is_gone = false;
        self.waiting = None;
        let budget = self.context.queue.long_lines();
        let dialect = self.context.client.dialect();
        let reader = LogReader::new(content_type, self.metadata.container().tty(), dialect, budget);
        Response { body, reader, has_begun: false, untaken: None }
    }

    /// Reads a response to its end.
    ///
    /// # Cancel safety
    /// This method is cancel safe, if the next request asks for the log from [`Response::oldest_open`] or an
    /// earlier stamp.
    pub(super) async fn read(
        &mut self,
        response: &mut Response,
        silence: Silence,
    ) -> Result<Ending, QueueClosed> {
        let ending = loop {
            let part = match silence {
                Silence::AtMost(time) => response.body.next_within(time).await,
                Silence::UntilRemoval => self.next_part(response).await,
            };
            match part {
                None => break Ending::Complete,
                Some(Err(error)) => {
                    tracing::debug!(container = self.metadata.name(), %error, "the log stream broke");
                    break Ending::Broken;
                }
                Some(Ok(part)) => response.reader.push(&part, self.context.clock.now()),
            }
            response.has_begun = true;
            if self.take_all(response).await?.is_err() {
                break Ending::Invalid;
            }
        };
        self.is_unread = ending != Ending::Complete;
        self.open = response.oldest_open();
        let has_new = self.sink.new_lines() > 0;
        if has_new {
            self.backoff.reset();
        }
        self.stuck = if ending == Ending::Invalid && !has_new { self.stuck + 1 } else { 0 };
        if self.stuck == ATTEMPTS_AT_DAMAGE {
            self.warn(
                Problem::SkippedPart,
                "a part of the log is unreadable and skipped; lines may be missing",
            );
        }
        Ok(ending)
    }

    /// Passes on the lines that the container left unfinished.
    pub(super) async fn finish(&mut self, reader: LogReader) -> Result<(), QueueClosed> {
        self.open = None;
        let has_terminal = reader.framing() == Some(Framing::Terminal);
        let dialect = self.context.client.dialect();
        let mut lines = Vec::new();
        reader.finish(&mut lines);
        for line in lines {
            if self.writer(&line).is_none() {
                continue;
            }
            // If the container is started again, the terminal's next line follows this one without a
            // separator. A request that includes this line would return both lines as a single line with the
            // stamp of this line, and the follower would skip the single line as already read.
            if has_terminal && !line.ended && dialect == Dialect::Docker {
                self.floor = self.floor.max(later(line.time, Duration::from_nanos(1)));
            }
            self.take(line, None).await?;
        }
        Ok(())
    }

    /// Decodes all bytes that arrived. The inner error ends the response.
    async fn take_all(&mut self, response: &mut Response) -> Result<Result<(), LogFormatError>, QueueClosed> {
        let mut lines = Vec::new();
        loop {
            let begun = response.reader.oldest_open();
            match response.reader.decode(&mut lines) {
                Ok(Decoded::Piece) => {
                    let oldest_open = response.reader.oldest_open();
                    response.untaken = lines.iter().map(|line| line.time).chain(begun).min();
                    for line in lines.drain(..) {
                        self.take(line, oldest_open).await?;
                    }
                    response.untaken = None;
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

    /// Returns the next part of a stream; see [`Silence::UntilRemoval`].
    async fn next_part(&mut self, response: &mut Response) -> Option<Result<Bytes, EngineError>> {
        loop {
            let is_limited = response.has_begun && self.commands.borrow().removed;
            let silence = self.context.timing.removed;
            let silent = async {
                match is_limited {
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
                part = response.body.next() => return part,
                () = silent => return None,
            }
        }
    }

    async fn take(&mut self, line: Line, oldest_open: Option<Timestamp>) -> Result<(), QueueClosed> {
        let reading = ReadingState { floor: self.floor, oldest_open };
        match self.writer(&line).cloned() {
            Some(container) => self.sink.take(&container, line, reading).await,
            None => Ok(()),
        }
    }

    fn invalid_format(&mut self, error: &LogFormatError) {
        self.sink.stats().bad_frame();
        if error.ends_stream() {
            // The next request resumes the log. A warning follows if several requests in a row return no
            // new line, or if the log is gone.
            tracing::debug!(container = self.metadata.name(), %error, "requesting the log again");
        } else {
            self.warn(Problem::SkippedRecord, format_args!("{error} and is skipped"));
        }
    }
}
