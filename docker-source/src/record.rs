//! Defines records, and the queue in which they wait until the source yields them.

use std::sync::Arc;

use bytes::Bytes;
use gelf_core::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::container::Container;
use crate::log::{Line, LogStream, LongLines};
use crate::position::{Place, Position};
use crate::stats::ContainerStats;

mod builder;
mod gap;

pub use builder::RecordBuilder;
pub(crate) use gap::text as time_text;
pub use gap::{Gap, GapReason};

/// The maximum number of records in the queue. While the queue is full, reading pauses, and further lines
/// stay in the Engine's log files. A source takes up to 64 records out of the queue before it yields the
/// first of them.
pub(crate) const QUEUE_RECORDS: usize = 1024;
/// The maximum number of bytes of all records that are in the queue, or were yielded and are not dropped yet.
/// All containers share this maximum. Without it, a few containers with long lines would fill the memory.
pub(crate) const BUDGET_BYTES: u32 = 16 * 1024 * 1024;
/// The maximum number of bytes of all lines together, not counting the first 64 KiB of each line. The bytes
/// of a line count from their arrival until they are dropped, even as a part of [`RecordParts`]. Without this
/// maximum, many containers with long lines, or with lines that never end, would fill the memory.
const LONG_LINES_BYTES: usize = 64 * 1024 * 1024;
/// The approximate memory of a line besides its text, in bytes.
const RECORD_OVERHEAD: usize = 128;

/// A line that a container wrote, or a [gap](Self::gap) in its log.
///
/// A record counts against a budget of 16 MiB until it is dropped. A caller that keeps records of 16 MiB in
/// total gets no further records.
///
/// # Examples
///
/// ```
/// use docker_source::{LogStream, Record};
///
/// fn print(record: &Record) {
///     let line = String::from_utf8_lossy(record.bytes());
///     match record.stream() {
///         LogStream::Stdout => println!("{} {line}", record.container().name()),
///         LogStream::Stderr => eprintln!("{} {line}", record.container().name()),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Record {
    container: Arc<Container>,
    line: Line,
    place: Place,
    gap: Option<Gap>,
    /// The record's part of the budget. A record that a test has built has no such part.
    _budget: Option<OwnedSemaphorePermit>,
}

impl Record {
    /// Returns a builder of a record that no Engine has written, for tests.
    pub fn builder(container: impl Into<Arc<Container>>, line: impl Into<Bytes>) -> RecordBuilder {
        RecordBuilder::new(container.into(), line.into())
    }

    /// Returns the parts of the record. The parts no longer count against the budget of 16 MiB, so the caller
    /// has to limit their memory.
    pub fn into_parts(self) -> RecordParts {
        let (position, is_whole) = (self.position(), self.is_whole());
        let Line { stream, time, bytes, length, .. } = self.line;
        let gap = self.gap;
        RecordParts { container: self.container, stream, time, position, bytes, length, is_whole, gap }
    }

    /// Returns the container that wrote the line, with its metadata at that time.
    pub fn container(&self) -> &Arc<Container> {
        &self.container
    }

    /// Returns the stream that the line was written to.
    pub fn stream(&self) -> LogStream {
        self.line.stream
    }

    /// Returns Docker's timestamp of the line.
    ///
    /// The timestamps of one stream increase from line to line. There are three exceptions: the Engine's clock
    /// was set back, a line that the Engine had omitted is read late, or Podman or a log driver other than
    /// `json-file` and `local` gives lines the same timestamp.
    pub fn time(&self) -> Timestamp {
        self.line.time
    }

    /// Returns the line without its newline. A line can contain any bytes: Docker does not require UTF-8.
    pub fn bytes(&self) -> &[u8] {
        &self.line.bytes
    }

    /// Returns the place of the line in the log. Another source can resume behind this place.
    pub fn position(&self) -> Position {
        let container = self.container.shared_id();
        let is_gap = self.gap.is_some();
        Position { container, stream: self.line.stream, place: self.place, is_gap }
    }

    /// Returns the gap that the record announces, or `None` if the record is a line of the container. The
    /// bytes of an announcement describe the gap, and its position is the position of the last line before
    /// the gap.
    pub fn gap(&self) -> Option<&Gap> {
        self.gap.as_ref()
    }

    /// Returns the length of the line in bytes. It exceeds the length of [`bytes`](Self::bytes) if the line
    /// was cut. A line is cut at 1 MiB. If the long lines of all containers take 64 MiB together, a line is
    /// cut earlier, but not within its first 64 KiB.
    pub fn length(&self) -> usize {
        self.line.length
    }

    /// Returns whether the record has the whole line: the line was neither cut nor left unfinished when the
    /// container ended. If the log no longer has the beginning of a line, the rest counts as a whole line.
    pub fn is_whole(&self) -> bool {
        self.line.ended && self.line.length == self.line.bytes.len()
    }
}

/// The parts of a [`Record`], see [`Record::into_parts`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecordParts {
    /// The container that wrote the line, with its metadata at that time.
    pub container: Arc<Container>,
    /// The stream that the line was written to.
    pub stream: LogStream,
    /// Docker's timestamp of the line.
    pub time: Timestamp,
    /// The place of the line in the log.
    pub position: Position,
    /// The line without its newline. It need not be UTF-8.
    pub bytes: Bytes,
    /// The length of the line in bytes. It is greater than the length of `bytes` if the line was cut.
    pub length: usize,
    /// True if `bytes` are the whole line: the line was neither cut nor left unfinished.
    pub is_whole: bool,
    /// The gap that the record announces.
    pub gap: Option<Gap>,
}

/// A record in the queue, with the counters of its container.
#[derive(Debug)]
pub(crate) struct QueuedRecord {
    record: Record,
    stats: Arc<ContainerStats>,
}

impl QueuedRecord {
    /// Counts the record as yielded, and returns it.
    pub(crate) fn into_record(self) -> Record {
        self.stats.yielded(self.record.line.time);
        self.record
    }
}

/// The sending half of the queue.
#[derive(Clone, Debug)]
pub(crate) struct RecordQueue {
    sender: mpsc::Sender<QueuedRecord>,
    budget: Arc<Semaphore>,
    long_lines: LongLines,
}

/// The error for a queue whose source was dropped. Nothing reads records from such a queue any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct QueueClosed;

impl RecordQueue {
    pub(crate) fn new() -> (Self, mpsc::Receiver<QueuedRecord>) {
        let (sender, receiver) = mpsc::channel(QUEUE_RECORDS);
        let budget = Arc::new(Semaphore::new(BUDGET_BYTES as usize));
        (Self { sender, budget, long_lines: LongLines::new(LONG_LINES_BYTES) }, receiver)
    }

    /// Returns the budget of long lines, which are joined before they are put into the queue.
    pub(crate) fn long_lines(&self) -> LongLines {
        self.long_lines.clone()
    }

    /// Waits until there is room for a line of this length.
    ///
    /// # Cancel safety
    /// Cancel safe: the line is counted only when it is put into the slot.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<QueueSlot<'_>, QueueClosed> {
        let cost = u32::try_from(bytes + RECORD_OVERHEAD).unwrap_or(BUDGET_BYTES).min(BUDGET_BYTES);
        // Usually there is room. The attempt without waiting then avoids the cost of a future.
        let slot = match self.sender.try_reserve() {
            Ok(slot) => slot,
            Err(_) => self.sender.reserve().await.map_err(|_| QueueClosed)?,
        };
        let budget = match self.budget.clone().try_acquire_many_owned(cost) {
            Ok(budget) => budget,
            Err(_) => self.budget.clone().acquire_many_owned(cost).await.map_err(|_| QueueClosed)?,
        };
        Ok(QueueSlot { slot, budget })
    }
}

/// Room in the queue that is reserved for one line.
#[derive(Debug)]
pub(crate) struct QueueSlot<'a> {
    slot: mpsc::Permit<'a, QueuedRecord>,
    budget: OwnedSemaphorePermit,
}

impl QueueSlot<'_> {
    pub(crate) fn put(
        self,
        container: Arc<Container>,
        line: Line,
        place: Place,
        stats: &Arc<ContainerStats>,
    ) {
        stats.queued(line.time, line.length > line.bytes.len());
        let record = Record { container, line, place, gap: None, _budget: Some(self.budget) };
        self.slot.send(QueuedRecord { record, stats: stats.clone() });
    }

    /// Puts a record that announces a gap into the queue. The gap is behind the line at `place`.
    pub(crate) fn put_gap(
        self,
        container: Arc<Container>,
        (gap, stream): (Gap, LogStream),
        place: Place,
        stats: &Arc<ContainerStats>,
    ) {
        let bytes = Bytes::from(gap.to_string());
        let time = gap.before.or(gap.after).unwrap_or(place.since);
        stats.queued(time, false);
        let line = Line { stream, time, length: bytes.len(), bytes, ended: true };
        let record = Record { container, line, place, gap: Some(gap), _budget: Some(self.budget) };
        self.slot.send(QueuedRecord { record, stats: stats.clone() });
    }
}
