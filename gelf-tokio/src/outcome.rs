//! What became of a message.

use std::{fmt, io};

use crate::send::SendError;

/// What became of a message, as far as a sender can know. Each message has exactly one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The receiver has answered that it accepts it. Over HTTP. What it does with it then is not known: Graylog answers
    /// before it has read the JSON.
    Accepted,
    /// The receiver's operating system has acknowledged all of its bytes. Over TCP and TLS. If the receiver ends
    /// before it has read them, they are lost.
    Acknowledged,
    /// It is given up.
    Dropped(DropReason),
    /// The sender's own operating system has taken it. Over UDP, that is all that can be known; over TCP, where the
    /// system does not tell what was acknowledged (any but Linux).
    Sent,
}

impl Outcome {
    /// Whether it went out: all but [`Dropped`](Self::Dropped).
    pub fn is_delivered(self) -> bool {
        !matches!(self, Self::Dropped(_))
    }
}

/// Why a message is given up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DropReason {
    /// A datagram of it is larger than what the network interface, or the way that is known to the destination, takes.
    /// Over UDP.
    DatagramTooLong,
    /// The client has ended, and the time for what was still to be sent is over. Over TCP the operating system may go on
    /// to send what was written and not acknowledged, so it may arrive nevertheless.
    Ended,
    /// The queue was full, and a newer message had the room, by [`WhenFull::DropOldest`](crate::WhenFull).
    QueueFull,
    /// The destination's host says that nobody listens there, before the next message is sent or within 10 ms. Over UDP.
    Refused,
    /// The receiver answers that it does not want it: the status. Over HTTP.
    Rejected(u16),
    /// The operating system did not take it, for another reason. Over UDP.
    System(io::ErrorKind),
    /// It does not fit into 128 chunks. Over UDP.
    TooLarge,
}

impl DropReason {
    /// Why a message is given up for which a send failed, over UDP.
    pub(crate) fn of_send(error: &SendError) -> Self {
        match error {
            SendError::TooLarge(_) => Self::TooLarge,
            SendError::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Self::Refused,
                _ if crate::sys::is_message_too_long(error) => Self::DatagramTooLong,
                kind => Self::System(kind),
            },
            SendError::Closed => Self::System(io::ErrorKind::NotConnected),
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DatagramTooLong => f.write_str("a datagram is too long for the network"),
            Self::Ended => f.write_str("the client ended before it could be sent"),
            Self::QueueFull => f.write_str("the queue was full"),
            Self::Refused => f.write_str("nobody listens at the destination"),
            Self::Rejected(status) => write!(f, "the receiver answered with status {status}"),
            Self::System(kind) => write!(f, "the operating system did not take it: {kind}"),
            Self::TooLarge => f.write_str("it does not fit into 128 chunks"),
        }
    }
}
