//! Defines the state that all followers of a source share.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

use crate::clock::EngineClock;
use crate::container::Container;
use crate::descriptors::Descriptors;
use crate::engine::EngineClient;
use crate::files::{HeldBytes, LogFiles};
use crate::own_container::OwnContainer;
use crate::position::Positions;
use crate::record::RecordQueue;
use crate::stats::Stats;
use crate::stopping::Stopping;
use crate::timing::Timing;
use crate::unavailable_logs::UnavailableLogs;
use crate::warnings::Warnings;

/// The maximum number of logs that are read up to their present end at the same time. Such a read can keep one
/// processor of the Engine's machine busy, because the Engine may decode whole files. In a measurement with 50 logs
/// of 10,000 lines each and Docker 20.10, the maxima 1, 2, 4 and 50 took the same time and the same processor time.
/// With a maximum of two, these reads occupy at most two processors, and while one read waits, the other read goes
/// on. A read that takes longer than [`Timing::catch_up`] no longer counts, and a read of a log that may be removed
/// soon does not count.
pub(crate) const CATCH_UPS: usize = 2;

/// The state that all followers of a source share.
pub(crate) struct Context {
    pub(crate) client: EngineClient,
    pub(crate) engine_host: Arc<str>,
    /// The Engine's clock, which starts when the source first connects.
    pub(crate) clock: EngineClock,
    /// The positions from which logs are read, and the time from which a log without a position is read.
    pub(crate) start: Positions,
    /// True if logs are read from a time before the source connected. Containers can have ended between that
    /// time and the time of connecting.
    pub(crate) resumes: bool,
    pub(crate) own_container: OwnContainer,
    pub(crate) select: Box<dyn Fn(&Container) -> bool + Send + Sync>,
    pub(crate) timing: Timing,
    /// The files of the logs, if the logs are to be read from files instead of the Engine's responses.
    pub(crate) log_files: Option<LogFiles>,
    /// The bytes of the removed files that are still open.
    pub(crate) held_bytes: Arc<HeldBytes>,
    pub(crate) queue: RecordQueue,
    pub(crate) stats: Arc<Stats>,
    pub(crate) unavailable_logs: UnavailableLogs,
    pub(crate) catch_ups: Semaphore,
    pub(crate) descriptors: Descriptors,
    pub(crate) stopping: Arc<Stopping>,
    /// Notifies the supervisor when the Engine refuses a connection. Without this notification, the
    /// supervisor would notice the end of the Engine late: an Engine that ends can keep the event stream open
    /// for some seconds.
    pub(crate) refused: Notify,
    pub(crate) warnings: Warnings,
}
