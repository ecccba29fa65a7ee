//! The state that all followers of a source share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::clock::EngineClock;
use crate::container::Container;
use crate::descriptors::Descriptors;
use crate::engine::EngineClient;
use crate::own_container::OwnContainer;
use crate::position::Positions;
use crate::record::RecordQueue;
use crate::stats::Stats;
use crate::stopping::Stopping;
use crate::timing::Timing;
use crate::warnings::Warnings;

/// The maximum number of concurrent reads to the end of a log. Each read makes the Engine decode whole files.
pub(crate) const CATCH_UPS: usize = 4;

/// The state that all followers of a source share.
pub(crate) struct Context {
    pub(crate) client: EngineClient,
    pub(crate) engine_host: Arc<str>,
    /// The Engine's clock, which starts when the source first connects.
    pub(crate) clock: EngineClock,
    /// The positions from which logs are read, and the time from which a log without a position is read.
    pub(crate) start: Positions,
    /// True if logs are read from a time before the source connected. Containers may have ended since that
    /// time.
    pub(crate) resumes: bool,
    pub(crate) own_container: OwnContainer,
    pub(crate) select: Box<dyn Fn(&Container) -> bool + Send + Sync>,
    pub(crate) timing: Timing,
    pub(crate) queue: RecordQueue,
    pub(crate) stats: Arc<Stats>,
    pub(crate) catch_ups: Semaphore,
    pub(crate) descriptors: Descriptors,
    pub(crate) stopping: Arc<Stopping>,
    pub(crate) warnings: Warnings,
}
