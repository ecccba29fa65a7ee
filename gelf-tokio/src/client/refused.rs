//! Why a client did not take a message.

use std::fmt;

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refused {
    /// The driver has ended.
    Closed,
    /// There is no room, and [`WhenFull`](crate::WhenFull) says not to make or await any. Also where
    /// [`WhenFull::DropOldest`](crate::WhenFull) finds no older message to drop: all are in flight, or nobody reads the
    /// receipts that tell of those dropped before.
    Full,
    /// The payload is blank or has a null byte, which no transport carries.
    Invalid,
    /// It is longer than all of the queue may be.
    TooLarge,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the client's driver has ended",
            Self::Full => "the queue is full",
            Self::Invalid => "the payload is blank or has a null byte",
            Self::TooLarge => "the message is longer than the queue may be",
        })
    }
}

/// A message was not queued. Its receipt comes back, for there will be no other word of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NotQueued<R> {
    /// The receipt that was to be for it.
    pub receipt: R,
    /// Why.
    pub reason: Refused,
}

impl<R> fmt::Display for NotQueued<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<R: fmt::Debug> std::error::Error for NotQueued<R> {}
