//! Builds records without an Engine, for tests.

use std::sync::Arc;

use bytes::Bytes;
use gelf_core::Timestamp;

use super::{Gap, GapReason, Record};
use crate::container::Container;
use crate::log::{Line, LogStream};
use crate::position::{LinePosition, Origin, Place};

/// Makes a [`Record`] without an Engine, for tests of programs that take records.
///
/// # Examples
///
/// ```
/// use docker_source::gelf_core::Timestamp;
/// use docker_source::{Container, LogStream, Progress, Positions, Record};
///
/// let container = Container::builder("web-1").build();
/// let time = Timestamp::from_rfc3339("2026-11-22T22:44:18.5Z")?;
/// let record = Record::builder(container, "refused").stream(LogStream::Stderr).time(time).build();
/// assert_eq!((record.container().name(), record.bytes()), ("web-1", &b"refused"[..]));
///
/// let mut progress = Progress::new(Positions::from_time(time));
/// let ticket = progress.read(record.position());
/// progress.settle(ticket);
/// assert_eq!(progress.unsettled(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RecordBuilder {
    container: Arc<Container>,
    line: Line,
    earlier: u32,
    gap: Option<Gap>,
}

impl RecordBuilder {
    pub(super) fn new(container: Arc<Container>, bytes: Bytes) -> Self {
        let (stream, time, length) = (LogStream::Stdout, Timestamp::UNIX_EPOCH, bytes.len());
        let line = Line { stream, time, bytes, length, ended: true };
        Self { container, line, earlier: 0, gap: None }
    }

    /// Sets the stream. The default is stdout.
    pub fn stream(mut self, stream: LogStream) -> Self {
        self.line.stream = stream;
        self
    }

    /// Sets Docker's timestamp of the line. The default is the beginning of 1970.
    pub fn time(mut self, time: Timestamp) -> Self {
        self.line.time = time;
        self
    }

    /// Sets how many lines directly before this line in the same stream have the same timestamp. The default
    /// is 0. The positions of two lines differ in their times or in this number.
    pub fn earlier_at_this_time(mut self, lines: u32) -> Self {
        self.earlier = lines;
        self
    }

    /// Makes the record the beginning of a line of `length` bytes. A `length` below the number of the record's
    /// bytes counts as this number.
    pub fn cut_from(mut self, length: usize) -> Self {
        self.line.length = length.max(self.line.bytes.len());
        self
    }

    /// Makes the record a line that was left unfinished when its container ended.
    pub fn unfinished(mut self) -> Self {
        self.line.ended = false;
        self
    }

    /// Makes the record the announcement of a gap instead of a line.
    pub fn gap(mut self, after: Option<Timestamp>, before: Option<Timestamp>, reason: GapReason) -> Self {
        self.gap = Some(Gap { after, before, reason });
        self
    }

    /// Returns the record. The record does not count against the memory budget of a source.
    pub fn build(self) -> Record {
        let Self { container, line, earlier, gap } = self;
        let position = LinePosition { time: line.time, earlier, open_length: None };
        let place = Place { line: position, since: line.time, origin: Origin::Unprovable, proofs: 0 };
        Record { container, line, place, gap, _budget: None }
    }
}
