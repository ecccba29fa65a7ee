//! Defines the state in which a source reads the log of a container.

/// The state in which a source reads the log of a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FollowState {
    /// The log is read: as it grows, or, if the container has ended, up to the end of the log.
    Followed,
    /// The log is requested, or the Engine is asked whether the container has run, but the Engine has not
    /// answered yet or has refused. After a refusal, the request is sent again.
    Opening,
    /// The container does not run, and no more of its log is to be read.
    Ended,
    /// The [filter](crate::SourceBuilder::select) does not select the container, the container asks not to be
    /// followed, or this process runs in it.
    NotSelected,
    /// The log driver does not support reading.
    Unreadable,
    /// The log is read in turn with other logs, since no file descriptor is free for a stream of this log.
    WaitingForDescriptor,
}
