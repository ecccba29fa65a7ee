//! Defines the state in which a source reads the log of a container.

/// The state in which a source reads the log of a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FollowState {
    /// The log is read as it grows.
    Followed,
    /// The log is requested, but the Engine has not answered yet or has refused. After a refusal, the log is
    /// requested again.
    Opening,
    /// The container does not run, and its log is read to the end.
    Ended,
    /// The [filter](crate::SourceBuilder::select) does not select the container, the container asks not to be
    /// followed, or this process runs in it.
    NotSelected,
    /// The log driver does not support reading.
    Unreadable,
    /// The log is read in turn with other logs, since no file descriptor is free for a stream of this log.
    WaitingForDescriptor,
}
