//! Outcomes of messages, and reasons why a message was not queued.

use std::{fmt, io};

use crate::send::SendError;

/// The outcome of a message, as far as a sender can know it. Each queued message has exactly one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The receiver has answered 2xx. Over HTTP. Graylog answers before it has read the JSON, so it may still
    /// reject the message.
    Accepted,
    /// The receiver's operating system has acknowledged all bytes of the message, on a connection that has
    /// proven itself: it lasted 500 ms after its first acknowledgement, or took 8 MiB, or both sides ended it
    /// in order. Over TCP and TLS. If the receiver ends before it has read the bytes, they are lost:
    /// [`ClientStats::possibly_lost`](crate::stats::ClientStats::possibly_lost) counts such messages.
    Acknowledged,
    /// The message was dropped.
    Dropped(DropReason),
    /// The sender's operating system has taken the message. The best outcome over UDP, and over TCP on
    /// systems that do not report acknowledgements (all but Linux).
    Sent,
}

impl Outcome {
    /// Returns whether the message was delivered, as far as is known: all but [`Dropped`](Self::Dropped).
    /// Over UDP nothing is known about the arrival, so programs had better say "sent" of
    /// [`Sent`](Self::Sent).
    pub fn is_delivered(self) -> bool {
        !matches!(self, Self::Dropped(_))
    }
}

/// The reason why a message was dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DropReason {
    /// A datagram of the message is larger than the network interface, or the path to the destination, takes.
    /// Over UDP.
    DatagramTooLong,
    /// The driver ended before the message was sent. Over TCP the operating system may still send bytes that
    /// were written and not acknowledged, so the message may arrive nevertheless.
    Ended,
    /// The queue was full, and a newer message took the room, by
    /// [`WhenFull::DropOldest`](crate::WhenFull::DropOldest).
    QueueFull,
    /// The destination's host reports that no program listens there, before the next message is sent or
    /// within 10 ms. Over UDP.
    Refused,
    /// The receiver has answered with this status, which is about the message: 400, 413, 415 or 422. Over
    /// HTTP.
    Rejected(u16),
    /// The operating system did not take the message, for another reason. Over UDP. A message waits while
    /// there is no route, the interface is down, or the local address is gone.
    System(io::ErrorKind),
    /// The message does not fit into 128 chunks. Over UDP.
    TooLarge,
}

impl DropReason {
    /// Returns the reason that a failed send over UDP gives.
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
            Self::Ended => f.write_str("the client ended before the message was sent"),
            Self::QueueFull => f.write_str("the queue was full"),
            Self::Refused => f.write_str("no program listens at the destination"),
            Self::Rejected(status) => write!(f, "the receiver answered with status {status}"),
            Self::System(kind) => write!(f, "the operating system did not take the message: {kind}"),
            Self::TooLarge => f.write_str("the message does not fit into 128 chunks"),
        }
    }
}

/// The reason why a message was not queued.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NotQueuedReason {
    /// The client is closed.
    Closed,
    /// The driver has ended though the client is not closed: it panicked, or its task or runtime was ended.
    /// [`Client::last_error`](crate::Client::last_error) says which.
    DriverEnded,
    /// The queue is full. With [`WhenFull::DropOldest`](crate::WhenFull::DropOldest), only if all messages
    /// are in flight; with [`WhenFull::Wait`](crate::WhenFull::Wait), only from the methods `try_send*`.
    Full,
    /// The payload is blank or has a null byte, which no transport carries, or it has the endpoint's
    /// [delimiter](crate::options::TcpOptions::delimiter).
    Invalid,
    /// The message is longer than the queue's limit of bytes.
    TooLarge,
}

impl fmt::Display for NotQueuedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the client is closed",
            Self::DriverEnded => "the client's driver has ended early",
            Self::Full => "the queue is full",
            Self::Invalid => "the payload is blank, or has a null byte or the delimiter",
            Self::TooLarge => "the message is longer than the queue may be",
        })
    }
}

/// A message was not queued. The error returns the receipt, since no outcome follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NotQueued<R = ()> {
    /// The receipt that was given with the message.
    pub receipt: R,
    /// The reason.
    pub reason: NotQueuedReason,
}

impl<R> fmt::Display for NotQueued<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<R: fmt::Debug> std::error::Error for NotQueued<R> {}
