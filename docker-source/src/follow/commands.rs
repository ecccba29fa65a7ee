//! Defines the commands of the supervisor to its followers, and the reasons why a follower starts and ends.

use std::sync::Arc;

use gelf_core::Timestamp;

/// The supervisor's commands to a follower. The counters only grow, so that no command is missed.
#[derive(Clone, Debug, Default)]
pub(crate) struct FollowCommands {
    /// The number of times that the container was started.
    pub(crate) starts: u64,
    /// The Engine's time of the last event that reported an end of the container. The run that ended has no
    /// line with a later stamp.
    pub(crate) ended_at: Option<Timestamp>,
    /// The number of container lists that showed the container as running.
    pub(crate) sightings: u64,
    /// The number of orders to check whether the container has run unnoticed. The supervisor gives such an
    /// order whenever it possibly missed events.
    pub(crate) checks: u64,
    /// The container's name, if it was renamed.
    pub(crate) name: Option<Arc<str>>,
    /// True if the container was removed.
    pub(crate) removed: bool,
}

/// The reason why a follower starts. It determines the first step of the follower.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StartReason {
    /// The container ran before the source connected.
    RanBefore,
    /// The container was started or first found after the source connected.
    Started,
    /// The last run of the container possibly began before the time from which its log is read, or an earlier
    /// follower of the log panicked.
    Resumed,
    /// The container was not running when a list first showed it, and no earlier run of it is to be read.
    Stopped,
    /// The container was not running when a list first showed it, but possibly it ran unnoticed before.
    Unclear,
}

/// The reason why a follower ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ExitReason {
    /// The container was removed, and its log was read as far as possible.
    Removed,
    /// The source was dropped.
    Stopped,
    /// The container is not selected under this name.
    NotSelected(String),
}
