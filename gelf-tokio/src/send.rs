//! Errors of sending a message.

use std::{fmt, io};

use gelf_core::MessageTooLarge;

/// The reason why a message was not sent, or not sent completely.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closed: the receiver has ended it, or an earlier write failed. Connect again, and
    /// then send again all messages that were not completely
    /// [acknowledged](crate::TcpSender::acknowledged).
    Closed,
    /// An error of the operating system, or of the kind `InvalidInput` for an invalid payload. A
    /// [`UdpSender`](crate::UdpSender) stays usable. A [`TcpSender`](crate::TcpSender) is closed, unless the
    /// payload is invalid.
    Io(io::Error),
    /// The message does not fit into 128 chunks. The sender stays usable.
    TooLarge(MessageTooLarge),
}

impl SendError {
    /// Returns whether the destination's host reports that no program listens there.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closed"),
            Self::Io(error) => error.fmt(f),
            Self::TooLarge(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed => None,
            // `Display` shows the error itself.
            Self::Io(error) => error.source(),
            Self::TooLarge(error) => error.source(),
        }
    }
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<MessageTooLarge> for SendError {
    fn from(error: MessageTooLarge) -> Self {
        Self::TooLarge(error)
    }
}
