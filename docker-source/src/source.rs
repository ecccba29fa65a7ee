//! Defines the stream of records.

mod builder;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::builder::SourceBuilder;
use crate::engine::EngineError;
use crate::position::Positions;
use crate::record::{QueuedRecord, Record};
use crate::stats::Stats;
use crate::stopping::Stopping;

/// The maximum number of records that are taken out of the queue together. These records count as in flight
/// until they are yielded.
const TAKEN_AT_ONCE: usize = 64;

/// The file that lists the mounts of this process.
pub(crate) const MOUNTINFO: &str = "/proc/self/mountinfo";

/// A stream of the lines of all selected containers of one Engine. By default, all containers are selected, and
/// the stream begins at the time of connecting.
///
/// The lines of one stream of one container are in order, except lines that the Engine omitted at first: these
/// lines come later. There is no order between streams or containers.
///
/// If [`next`](Self::next) is not called, the source reads until its queue is full, and then pauses. This does
/// not block the containers: the Engine writes their lines to its log files, and the source reads them from
/// there.
///
/// Dropping the source stops all its tasks.
///
/// # Examples
///
/// Print the lines of all containers:
///
/// ```no_run
/// use docker_source::Source;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = Source::builder().connect().await?;
/// while let Some(record) = source.next().await? {
///     println!("{}: {}", record.container().name(), String::from_utf8_lossy(record.bytes()));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Source {
    records: mpsc::Receiver<QueuedRecord>,
    /// Records that were taken out of the queue together, in reverse order: the next record comes last.
    taken: Vec<QueuedRecord>,
    stats: Arc<Stats>,
    engine_host: Arc<str>,
    start: Positions,
    /// The task that reads the logs. `None` once [`next`](Self::next) has reported the end of the task.
    supervisor: Option<JoinHandle<Option<EngineError>>>,
    stopping: Arc<Stopping>,
}

impl Source {
    /// Returns a builder with the default options.
    pub fn builder() -> SourceBuilder {
        SourceBuilder::new()
    }

    /// Returns the next line of any container. Returns `None` once the source was [stopped](Self::stop) and
    /// has yielded all lines that were read.
    ///
    /// # Errors
    /// Returns an error if reading ended early. The error comes after all lines that were read, and further
    /// calls return `None`.
    ///
    /// # Cancel safety
    /// Cancel safe: no record is lost.
    pub async fn next(&mut self) -> Result<Option<Record>, SourceError> {
        poll_fn(|context| self.poll_record(context)).await.transpose()
    }

    fn poll_record(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Record, SourceError>>> {
        if self.taken.is_empty()
            && ready!(self.records.poll_recv_many(context, &mut self.taken, TAKEN_AT_ONCE)) > 0
        {
            self.taken.reverse();
        }
        if let Some(record) = self.taken.pop() {
            return Poll::Ready(Some(Ok(record.into_record())));
        }
        let Some(supervisor) = &mut self.supervisor else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(supervisor).poll(context));
        self.supervisor = None;
        Poll::Ready(match ended {
            Err(error) if error.is_panic() => Some(Err(SourceError::Panicked { message: error.to_string() })),
            Ok(Some(error)) => Some(Err(SourceError::Engine(error))),
            // The source was stopped.
            Ok(None) | Err(_) => None,
        })
    }

    /// Returns the next line if [`next`](Self::next) has already taken it out of the queue. A call of `next`
    /// takes up to 64 lines out of the queue. After such a call, a program can get the other lines by
    /// `try_next`, and handle all of them together. There are other lines if, for example, lines arrived while
    /// the program waited for its destination.
    ///
    /// `None` does not mean that the source has ended, or that no further line was read: only `next` takes
    /// lines out of the queue.
    pub fn try_next(&mut self) -> Option<Record> {
        self.taken.pop().map(QueuedRecord::into_record)
    }

    /// Stops reading, within 4 s. [`next`](Self::next) yields the lines that were read, then `None`. Before
    /// it stops, the source waits for the answers to its last requests for logs. It also reads logs with recent
    /// lines up to their present ends, because the Engine may have omitted some of these lines, and because busy
    /// logs are read only at intervals, see [`Timing::latency`](crate::Timing::latency). Logs that are not read up
    /// to their present ends within the 4 s are counted, see
    /// [`LineCounts::unread_logs`](crate::LineCounts::unread_logs).
    pub fn stop(&mut self) {
        let has_unproved_logs = self.stopping.request();
        if !has_unproved_logs {
            self.abort();
        }
    }

    fn abort(&self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.abort();
        }
    }

    /// Returns the positions from which the source reads: the positions of
    /// [`Start::At`](crate::Start::At), or the time at which another [`Start`](crate::Start) begins. For
    /// [`Start::Now`](crate::Start::Now), this is the time of the Engine's clock at which the source connected.
    pub fn start(&self) -> &Positions {
        &self.start
    }

    /// Returns the host name of the Engine. Returns the host name of this machine if a proxy refuses the
    /// request for the Engine's host name, or if the Engine reports an invalid name.
    pub fn engine_host(&self) -> &str {
        &self.engine_host
    }

    /// Returns the counters of the source.
    pub fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }
}

/// Yields the records that [`Source::next`] returns, for the combinators of other crates.
///
/// The stream ends after an error. Even if `StreamExt` of such a crate is in scope, `source.next()` calls
/// [`Source::next`], which returns `Result<Option<Record>, SourceError>`.
impl Stream for Source {
    type Item = Result<Record, SourceError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_record(context)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.abort();
    }
}

/// The error for a source whose reading ended before it was [stopped](Source::stop).
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// Further attempts to reach the Engine are useless.
    Engine(EngineError),
    /// A task of the source panicked, which is a bug in this crate.
    Panicked {
        /// The message of the panic.
        message: String,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Panicked { message } => write!(f, "reading from the Engine ended early: {message}"),
        }
    }
}

impl std::error::Error for SourceError {}
