//! Outcomes of messages, and reasons why a message was not queued.

use std::{fmt, io};

use crate::send::SendError;

/// The outcome of a message, as far as a sender can know it. Each queued message gets exactly one outcome.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Over HTTP, the receiver has answered with a 2xx status. Graylog answers before it has read the JSON,
    /// and can still reject the message.
    Accepted,
    /// Over TCP and TLS, the receiver's operating system has acknowledged all bytes of the message, and the
    /// connection has proven itself: it has lasted 500 ms after its first acknowledgement, the receiver has
    /// acknowledged 8 MiB, or both sides have closed the connection without an error. Without this proof, the
    /// peer may be one that acknowledges all bytes and throws them away.
    ///
    /// The acknowledgement does not show that a program has read the bytes. If the receiving program ends before
    /// it reads them, the message is lost. If the connection ends by an error,
    /// [`ClientStats::possibly_lost`](crate::stats::ClientStats::possibly_lost) counts the messages that may be lost in
    /// this way.
    Acknowledged,
    /// The message was dropped.
    Dropped(DropReason),
    /// The sender's operating system has taken the message. This is the best outcome over UDP, and over TCP
    /// and TLS on systems other than Linux, which do not report acknowledgements.
    Sent,
}

impl Outcome {
    /// Returns whether the message was delivered, as far as is known. The result is true for all outcomes but
    /// [`Dropped`](Self::Dropped). Over UDP nothing is known about the arrival of a message, so programs
    /// should report the outcome [`Sent`](Self::Sent) as "sent", not as "delivered".
    pub fn is_delivered(self) -> bool {
        !matches!(self, Self::Dropped(_))
    }
}

/// The reason why a message was dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DropReason {
    /// Over UDP, a datagram of the message is too long for the network interface or for the path to the
    /// destination.
    DatagramTooLong,
    /// The driver ended before the message had another outcome. Over TCP, TLS and HTTP, the message can arrive
    /// nevertheless, because the operating system may still send bytes that it has taken.
    Ended,
    /// The queue was full, and a newer message took the room of this message, as
    /// [`WhenFull::DropOldest`](crate::WhenFull::DropOldest) permits.
    QueueFull,
    /// Over UDP, the destination's host has reported that no program listens there. The report was received
    /// before the next message was sent, or within 10 ms if there was no next message.
    Refused,
    /// Over HTTP, the receiver has answered with this status, which means that the message is at fault: 400,
    /// 413, 415 or 422.
    Rejected(u16),
    /// Over UDP, the operating system did not take the message, for a reason that no other variant names. A message
    /// is not dropped but waits while there is no route, the interface is down, the local address is missing, or a
    /// route or the packet filter of this machine prohibits sending.
    System(io::ErrorKind),
    /// Over UDP, the message does not fit into 128 chunks.
    TooLarge,
}

impl DropReason {
    /// Returns the drop reason for an error of sending over UDP.
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
            Self::Ended => f.write_str("the client ended before the message was known to be delivered"),
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
    /// The driver has ended though the client is not closed: it panicked, or it was dropped, for example with its
    /// task or runtime. [`Client::last_error`](crate::Client::last_error) tells which of the two happened.
    DriverEnded,
    /// The queue is full. With [`WhenFull::DropOldest`](crate::WhenFull::DropOldest), this happens only if
    /// the messages in flight leave too little room. With [`WhenFull::Wait`](crate::WhenFull::Wait), only the
    /// methods `try_send*` and `refuse_if_full` return this reason.
    Full,
    /// The payload is blank, or it contains a null byte or the endpoint's
    /// [delimiter](crate::options::TcpOptions::delimiter). Blank payloads and null bytes are invalid for all
    /// transports.
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
            Self::TooLarge => "the message has more bytes than the queue may hold",
        })
    }
}

/// The error for a message that was not queued. The error returns the receipt, since no outcome is reported for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NotQueued<R = ()> {
    /// The receipt: the value that the caller passed with the message.
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
