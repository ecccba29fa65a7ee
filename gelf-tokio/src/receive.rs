//! What comes out of a receiver.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use gelf_core::{DatagramError, FrameTooLong};

/// A payload that came in.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// The payload: put together, inflated, without a delimiter. JSON text by the rules, which
    /// [`Decoder`](gelf_core::Decoder) checks. It has memory of its own, so keeping it keeps nothing else.
    pub payload: Bytes,
    /// Who sent it.
    pub from: SocketAddr,
}

/// Something that came in and is not a payload. It is over with this: the receiver goes on, and only this is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReceiveError {
    /// A datagram is bad, or completes a message that is.
    Datagram {
        /// Who sent it.
        from: SocketAddr,
        /// What is wrong with it.
        error: DatagramError,
    },
    /// A frame is too long. It is skipped, and the connection goes on.
    Frame {
        /// Who sent it.
        from: SocketAddr,
        /// How long it may be.
        error: FrameTooLong,
    },
    /// A message is too long that came with others in one request, over HTTP. It is skipped, and the others are received.
    ValueTooLong {
        /// Who sent it.
        from: SocketAddr,
        /// How many bytes it may have.
        max: usize,
    },
}

impl ReceiveError {
    /// Who sent it.
    pub fn sender(&self) -> SocketAddr {
        match self {
            Self::Datagram { from, .. } | Self::Frame { from, .. } | Self::ValueTooLong { from, .. } => *from,
        }
    }
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datagram { from, error } => write!(f, "from {from}: {error}"),
            Self::Frame { from, error } => write!(f, "from {from}: {error}"),
            Self::ValueTooLong { from, max } => write!(f, "from {from}: a message of more than {max} bytes"),
        }
    }
}

impl std::error::Error for ReceiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Datagram { error, .. } => Some(error),
            Self::Frame { error, .. } => Some(error),
            Self::ValueTooLong { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_who_sent_what() {
        let from = "10.0.0.7:4711".parse().unwrap();
        let error = ReceiveError::Datagram { from, error: DatagramError::Empty };
        assert_eq!(error.to_string(), "from 10.0.0.7:4711: an empty datagram");
        assert_eq!(error.sender(), from);
    }
}
