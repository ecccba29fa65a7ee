//! One line on its way out, and the queue in which lines wait.

use std::sync::Arc;

use gelf_core::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::container::Container;
use crate::line::Line;
use crate::stats::ContainerStats;
use crate::stream::LogStream;

/// How many lines may wait to be handed out. When so many do, reading pauses: the Engine's own log files are the better
/// place to wait in.
pub(crate) const QUEUE_RECORDS: usize = 1024;
/// How many bytes the lines of all containers may hold, those waiting and those handed out and not yet dropped. It stops a
/// few containers with long lines from filling the memory.
pub(crate) const BUDGET_BYTES: usize = 16 * 1024 * 1024;
/// What a line costs besides its bytes, roughly.
const RECORD_OVERHEAD: usize = 128;

/// A line that a container wrote.
///
/// It counts against a budget of 16 MiB until it is dropped: whoever keeps that many bytes of records gets no more of them.
#[derive(Debug)]
pub struct Record {
    container: Arc<Container>,
    line: Line,
    /// Its part of the budget.
    _budget: OwnedSemaphorePermit,
}

impl Record {
    #[cfg(test)]
    pub(crate) fn for_test(container: Arc<Container>, line: Line) -> Self {
        let budget = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Self { container, line, _budget: budget }
    }

    /// The container that wrote the line, as it was known then.
    pub fn container(&self) -> &Arc<Container> {
        &self.container
    }

    /// The stream to which it was written.
    pub fn stream(&self) -> LogStream {
        self.line.stream
    }

    /// Docker's own stamp. Those of one stream increase from line to line as long as the Engine's clock does.
    pub fn time(&self) -> Timestamp {
        self.line.time
    }

    /// The line without its end. Any bytes: Docker does not ask for UTF-8.
    pub fn bytes(&self) -> &[u8] {
        &self.line.bytes
    }

    /// How many bytes the line had. More than [`bytes`](Self::bytes) when it was longer than a line may be (1 MiB).
    pub fn length(&self) -> usize {
        self.line.length
    }

    /// Whether this is the whole line: neither cut at the longest that a line may be, nor left unfinished when the
    /// container ended.
    pub fn is_whole(&self) -> bool {
        self.line.ended && self.line.length == self.line.bytes.len()
    }
}

/// A record in the queue, with the account to which it belongs.
#[derive(Debug)]
pub(crate) struct Queued {
    record: Record,
    stats: Arc<ContainerStats>,
}

impl Queued {
    /// Hands the record out.
    pub(crate) fn into_record(self) -> Record {
        self.stats.yielded();
        self.record
    }
}

/// The way into the queue.
#[derive(Clone, Debug)]
pub(crate) struct RecordQueue {
    sender: mpsc::Sender<Queued>,
    budget: Arc<Semaphore>,
}

/// The source was dropped, so nobody will take a record again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct QueueClosed;

impl RecordQueue {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Queued>) {
        let (sender, receiver) = mpsc::channel(QUEUE_RECORDS);
        (Self { sender, budget: Arc::new(Semaphore::new(BUDGET_BYTES)) }, receiver)
    }

    /// Waits until there is room for a line of so many bytes.
    ///
    /// The line is counted only when it is put there. Whoever stops waiting loses nothing from the accounts.
    pub(crate) async fn room_for(&self, bytes: usize) -> Result<Room<'_>, QueueClosed> {
        let cost = u32::try_from((bytes + RECORD_OVERHEAD).min(BUDGET_BYTES)).unwrap_or(u32::MAX);
        let slot = self.sender.reserve().await.map_err(|_| QueueClosed)?;
        let budget = self.budget.clone().acquire_many_owned(cost).await.map_err(|_| QueueClosed)?;
        Ok(Room { slot, budget })
    }
}

/// A place in the queue for one line.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    slot: mpsc::Permit<'a, Queued>,
    budget: OwnedSemaphorePermit,
}

impl Room<'_> {
    pub(crate) fn put(self, container: Arc<Container>, line: Line, stats: &Arc<ContainerStats>) {
        stats.queued(line.length > line.bytes.len());
        let record = Record { container, line, _budget: self.budget };
        self.slot.send(Queued { record, stats: stats.clone() });
    }
}
