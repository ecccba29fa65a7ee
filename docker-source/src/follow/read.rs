//! Reads one response of the log endpoint, and puts its lines into the queue.

use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use gelf_core::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::Following;
use super::problems::Problem;
use super::window::{Anchor, Known, Placement, Scan};
use crate::clock::later;
use crate::dedup::ReadingState;
use crate::dialect::Dialect;
use crate::engine::{Body, EngineError};
use crate::files::{FilePart, FileStream};
use crate::log::{Decoded, Framing, Line, LogFormatError, LogReader, PIECE_LENGTH};
use crate::position::Origin;
use crate::record::QueueClosed;

/// The maximum number of parts of a response that are taken one after the other without checking the timers
/// and commands.
const PARTS_AT_ONCE: u32 = 64;

/// The bytes of a log.
pub(super) enum Input {
    /// The body of a response of the Engine.
    Engine(Box<Body>),
    /// The files of the log. [`Following::read_files`] reads them.
    Files(Box<FileStream>),
}

impl Input {
    /// Returns the next part of the body.
    async fn next(&mut self) -> Option<Result<Bytes, EngineError>> {
        match self {
            Self::Engine(body) => body.next().await,
            Self::Files(_) => None,
        }
    }

    /// Returns the next part of the body if it has arrived already.
    async fn next_at_once(&mut self) -> Option<Option<Result<Bytes, EngineError>>> {
        match self {
            Self::Engine(body) => body.next_at_once().await,
            Self::Files(_) => None,
        }
    }

    async fn next_within(&mut self, wait: Duration) -> Option<Result<Bytes, EngineError>> {
        match self {
            Self::Engine(body) => body.next_within(wait).await,
            Self::Files(_) => None,
        }
    }

    /// Waits for the future. If the input is files, also opens the files that the driver creates meanwhile.
    async fn watching<T>(&mut self, future: Pin<&mut (dyn Future<Output = T> + Send)>) -> T {
        match self {
            Self::Engine(_) => future.await,
            Self::Files(files) => files.watching(future).await,
        }
    }
}

/// A response of the log endpoint while it is read, or the files of the log in its place.
pub(super) struct Response {
    input: Input,
    reader: LogReader,
    scan: Scan,
    /// The time at which the first part arrived.
    began: Option<Instant>,
    /// The time of the Engine's clock at which the last part arrived.
    arrived: Timestamp,
    /// The oldest stamp of the decoded lines that are possibly not yet in the queue.
    untaken: Option<Timestamp>,
    /// The lines of the last piece. The vector is kept, so that it is not allocated for each part.
    lines: Vec<Line>,
}

impl Response {
    pub(super) fn new(input: Input, reader: LogReader, scan: Scan) -> Self {
        let arrived = Timestamp::UNIX_EPOCH;
        Self { input, reader, scan, began: None, arrived, untaken: None, lines: Vec::new() }
    }

    /// Returns the next part of the files.
    ///
    /// # Cancel safety
    /// Cancel safe: no byte is lost.
    pub(super) async fn next_of_files(&mut self) -> io::Result<FilePart> {
        match &mut self.input {
            Input::Engine(_) => Ok(FilePart::Lost),
            Input::Files(files) => files.next().await,
        }
    }

    /// Looks at the files, so that later calls of [`next_of_files`](Self::next_of_files) return all bytes that
    /// have been written by now.
    pub(super) fn look_again(&mut self) {
        if let Input::Files(files) = &mut self.input {
            files.look_again();
        }
    }

    /// Waits for the future. If the input is files, also opens the files that the driver creates meanwhile.
    pub(super) async fn watching<T>(&mut self, future: Pin<&mut (dyn Future<Output = T> + Send)>) -> T {
        self.input.watching(future).await
    }

    /// Returns the stamp of the oldest line that is incomplete or possibly not in the queue yet.
    pub(super) fn oldest_open(&self) -> Option<Timestamp> {
        self.untaken.into_iter().chain(self.reader.oldest_open()).min()
    }

    /// Returns the scan, which compares the response with the place that it has to reach.
    pub(super) fn scan(&self) -> &Scan {
        &self.scan
    }

    /// Returns the time at which the first part arrived, or `None` if no part has arrived yet.
    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Returns the next part of the response, or an error if no part arrives within `wait`.
    pub(super) async fn next_within(&mut self, wait: Duration) -> Option<Result<Bytes, EngineError>> {
        self.input.next_within(wait).await
    }

    /// Returns the reader, after it has received a part of the response that arrived at the time `now`.
    pub(super) fn push(&mut self, part: Bytes, now: Timestamp) -> &mut LogReader {
        self.reader.push(part, now);
        &mut self.reader
    }

    /// Returns the reader with its unfinished lines, and closes the connection.
    pub(super) fn into_reader(self) -> LogReader {
        self.reader
    }
}

/// The reason why the reading of a response ends or pauses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// The connection broke, no further part arrived in time, or the files of the log could not be read to the
    /// end of the run.
    Broken,
    /// All of the response was read, or as much of it as can be taken now.
    Complete,
    /// An error in the format of the response makes its rest unreadable.
    Invalid,
    /// Files of the log were removed or compressed before they were opened, or the open file was emptied.
    Lost,
    /// The response does not reach back to the place that it has to include.
    TooShort,
    /// The response goes on, but its lines arrive so fast that windows are cheaper.
    Busy,
    /// The response goes on, but it is time for a window to prove that no line is missing, or the source is to
    /// stop.
    Due,
}

/// The result of decoding the bytes that arrived.
enum Taken {
    /// No error ends the response. More bytes are needed.
    All,
    /// An error ends the response.
    Invalid,
    /// The response does not reach back to the place that it has to include.
    Useless,
}

/// The maximum time without a further part of a response. After this time, the response counts as broken or
/// ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Silence {
    AtMost(Duration),
    /// No maximum until the container is removed, and `Timing::removed` after the removal. The time before
    /// the first part is never limited: an Engine under load may begin late, and the open stream is the only
    /// access to the log of a removed container.
    UntilRemoval,
}

impl Following {
    /// Begins to read a response. The response proves that the Engine knows the container and can be reached.
    pub(super) fn response(&mut self, content_type: Option<String>, body: Body, scan: Scan) -> Response {
        self.refusals = 0;
        self.is_gone = false;
        // The answer shows that requests have file descriptors again. A container without a descriptor for
        // its stream still waits for a descriptor.
        self.waiting = self.waiting.take().filter(|_| self.descriptor.is_none());
        let budget = self.context.queue.long_lines();
        let dialect = self.context.client.dialect();
        let reader = LogReader::new(content_type, self.metadata.container().tty(), dialect, budget);
        Response::new(Input::Engine(Box::new(body)), reader, scan)
    }

    /// Reads a response to its end, or until the rest of it cannot be used; see [`Ending`]. If the response follows
    /// the log, also returns as soon as [`Ending::Busy`] or [`Ending::Due`] holds. After these two endings, a later
    /// call can continue to read the same response.
    ///
    /// # Cancel safety
    /// This method is cancel safe, if the next request asks for the log from [`Response::oldest_open`] or an
    /// earlier stamp.
    pub(super) async fn read(
        &mut self,
        response: &mut Response,
        silence: Silence,
    ) -> Result<Ending, QueueClosed> {
        let new_before = self.sink.new_lines();
        let mut at_once = 0;
        let ending = loop {
            if matches!(response.input, Input::Files(_)) {
                break self.read_files(response, silence).await?;
            }
            // Parts that have already arrived are taken without checking the timers and commands, but only a
            // limited number of parts.
            let next = match at_once < PARTS_AT_ONCE {
                true => response.input.next_at_once().await,
                false => None,
            };
            at_once = if next.is_some() { at_once + 1 } else { 0 };
            let part = match (next, silence) {
                (Some(part), _) => part,
                (None, Silence::AtMost(time)) => response.input.next_within(time).await,
                (None, Silence::UntilRemoval) => {
                    if self.pace.is_busy(Instant::now()) && self.can_poll() {
                        break Ending::Busy;
                    }
                    match self.next_part(response).await {
                        Some(part) => part,
                        None => break Ending::Due,
                    }
                }
            };
            match part {
                None => break Ending::Complete,
                Some(Err(error)) => {
                    tracing::debug!(container = self.metadata.name(), %error, "the log stream broke");
                    break Ending::Broken;
                }
                Some(Ok(part)) => {
                    if response.scan.is_live() {
                        self.pace.bytes(part.len());
                    }
                    response.arrived = self.context.clock.now();
                    response.reader.push(part, response.arrived);
                }
            }
            response.began.get_or_insert_with(Instant::now);
            match self.take_all(response).await? {
                Taken::All => {}
                Taken::Invalid => break Ending::Invalid,
                Taken::Useless => break Ending::TooShort,
            }
        };
        if matches!(ending, Ending::Due | Ending::Busy) {
            return Ok(ending);
        }
        // The lines of a window that does not reach back to the lines that were read before are not taken, so
        // they are still unread.
        self.is_unread = ending != Ending::Complete || !response.scan.is_reached();
        self.is_behind |= ending == Ending::Broken;
        self.open = response.oldest_open();
        let has_new = self.sink.new_lines() > new_before;
        if has_new {
            self.backoff.reset();
        }
        match ending {
            _ if has_new => self.stuck = 0,
            Ending::Invalid => self.stuck += 1,
            _ => {}
        }
        if ending == Ending::Invalid {
            self.warn_of_damage();
        }
        Ok(ending)
    }

    /// Puts the lines that the container left unfinished into the queue.
    pub(super) async fn finish(&mut self, reader: LogReader) -> Result<(), QueueClosed> {
        self.open = None;
        // The unfinished lines can come from a response before the last response. Therefore the sink must not
        // expect the last line of the last response in front of them.
        self.sink.expect_any_line();
        let has_terminal = reader.framing() == Some(Framing::Terminal);
        let dialect = self.context.client.dialect();
        let mut lines = Vec::new();
        reader.finish(&mut lines);
        for line in lines {
            if self.writer(&line).is_none() {
                continue;
            }
            // If the container is started again, the terminal's next line follows the unfinished line without
            // a separator. A request that includes the unfinished line would return both lines as a single
            // line with the stamp of the unfinished line, and the follower would skip it as already read.
            if has_terminal && !line.ended && dialect == Dialect::Docker {
                self.floor = self.floor.max(later(line.time, Duration::from_nanos(1)));
                self.known = Known::Resume;
            }
            let (floor, origin) = (self.floor, self.origin(false));
            let reading =
                ReadingState { floor, oldest_open: None, origin, arrived: self.context.clock.now() };
            if let Some(container) = self.writer(&line).cloned() {
                self.sink.take(&container, line, reading).await?;
            }
        }
        Ok(())
    }

    /// Takes the lines of a part of the files. Returns false if the files do not reach back to the place
    /// behind which the log is to be read.
    pub(super) async fn take_part(
        &mut self,
        response: &mut Response,
        part: Bytes,
    ) -> Result<bool, QueueClosed> {
        response.arrived = self.context.clock.now();
        response.reader.push(part, response.arrived);
        Ok(!matches!(self.take_all(response).await?, Taken::Useless))
    }

    /// Ends a file of the log.
    pub(super) fn end_file(&mut self, response: &mut Response) {
        if let Err(error) = response.reader.end_file() {
            self.invalid_format(&error, &response.scan);
        }
    }

    /// Decodes the bytes that arrived, and takes their lines.
    async fn take_all(&mut self, response: &mut Response) -> Result<Taken, QueueClosed> {
        let mut lines = std::mem::take(&mut response.lines);
        loop {
            let begun = response.reader.oldest_open();
            match response.reader.decode(&mut lines) {
                Ok(Decoded::Piece) => {
                    response.scan.record();
                    if response.scan.is_live() {
                        self.pace.record();
                    }
                    let oldest_open = response.reader.oldest_open();
                    response.untaken = lines.iter().map(|line| line.time).chain(begun).min();
                    for line in lines.drain(..) {
                        if self.needs_window(&line, &response.scan) && self.prove().await? {
                            continue;
                        }
                        let taken = pin!(self.take(line, oldest_open, response.arrived, &mut response.scan));
                        response.input.watching(taken).await?;
                    }
                    response.untaken = None;
                    if response.scan.is_useless() {
                        return Ok(Taken::Useless);
                    }
                }
                Ok(Decoded::NeedsMore) => {
                    response.lines = lines;
                    return Ok(Taken::All);
                }
                Err(error) => {
                    self.invalid_format(&error, &response.scan);
                    if error.ends_stream() {
                        return Ok(Taken::Invalid);
                    }
                }
            }
        }
    }

    /// Returns whether a window is to read this line of a stream again. This is needed because a stream of
    /// Docker 20.10 can repeat pieces within a long line. If the window does not have the line, the line is not
    /// complete in the log yet, and is read later.
    fn needs_window(&self, line: &Line, scan: &Scan) -> bool {
        let is_joined = line.length >= PIECE_LENGTH;
        is_joined && scan.is_live() && self.can_window() && self.pace.may_prove(Instant::now())
    }

    /// Returns the next part of a stream; see [`Silence::UntilRemoval`]. Returns `None` if a proof is due
    /// before the next part arrives. A proof is a window that shows that the stream has omitted no line. A
    /// proof is also due when the source is to stop and the stream has brought lines since the last proof.
    async fn next_part(&mut self, response: &mut Response) -> Option<Option<Result<Bytes, EngineError>>> {
        let due = self.proof_due();
        let (stopping, is_unproved) = (self.context.stopping.clone(), self.unproved.is_some());
        loop {
            let is_limited = response.began.is_some() && self.commands.borrow().removed;
            let silence = self.context.timing.removed;
            let silent = async {
                match is_limited {
                    true => sleep(silence).await,
                    false => pending().await,
                }
            };
            let is_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = self.commands.changed() => {
                    if changed.is_err() {
                        return Some(None);
                    }
                    self.take_name();
                }
                () = stopping.requested(), if is_unproved => return None,
                part = response.input.next() => return Some(part),
                () = silent => return Some(None),
                () = is_due => return None,
            }
        }
    }

    /// Puts a line into the queue, unless the line was read before or is to be read by a later request.
    async fn take(
        &mut self,
        line: Line,
        oldest_open: Option<Timestamp>,
        arrived: Timestamp,
        scan: &mut Scan,
    ) -> Result<(), QueueClosed> {
        let anchor = Anchor::at(&line);
        if scan.place(&line) == Placement::Behind {
            let Some(container) = self.writer(&line).cloned() else {
                scan.hold();
                return Ok(());
            };
            let origin = self.origin(scan.follows());
            if origin == Origin::Stream {
                self.unproved.get_or_insert_with(|| self.context.stopping.unproved());
            }
            let reading = ReadingState { floor: self.floor, oldest_open, origin, arrived };
            self.sink.take(&container, line, reading).await?;
        }
        if oldest_open.is_none() {
            scan.note_known_up_to(anchor);
        }
        Ok(())
    }

    /// Returns the origin of the lines of a response.
    fn origin(&self, follows: bool) -> Origin {
        match (self.can_window(), follows) {
            (false, _) => Origin::Unprovable,
            (true, false) => Origin::Window,
            (true, true) => Origin::Stream,
        }
    }

    fn invalid_format(&mut self, error: &LogFormatError, scan: &Scan) {
        self.sink.stats().bad_frame();
        if *error == LogFormatError::DamagedRecord && scan.is_behind() {
            self.sink.skip_damage(None, false);
        }
        if error.ends_stream() {
            // The next request resumes the log. A warning follows if several requests in a row return no
            // new line, or if the log is gone.
            tracing::debug!(container = self.metadata.name(), %error, "requesting the log again");
        } else {
            self.warn(Problem::SkippedRecord, format_args!("{error} and is skipped"));
        }
    }
}
