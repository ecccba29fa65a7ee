//! The state of a client's link to its destination.

use std::time::Instant;

/// The state of the link to the destination, as [`Client::state`](crate::Client::state) returns it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientState {
    /// The client is closed and its driver has ended; nothing is sent any more.
    Closed,
    /// The connection is open. Over UDP, the socket is open. Over HTTP, the destination has accepted or
    /// rejected the last request.
    Connected,
    /// There is no connection yet, or the last connection has ended and the driver opens the next one when
    /// there are messages to send.
    Connecting,
    /// The driver has ended though the client is not closed (see
    /// [`NotQueuedReason::DriverEnded`](crate::NotQueuedReason::DriverEnded)). Nothing is sent any more. A
    /// program that has further messages should create a new client, or end.
    DriverEnded,
    /// The last attempt to connect or to send failed, or the last connection ended before it had proven
    /// itself (see [`Outcome::Acknowledged`](crate::Outcome::Acknowledged)). The driver tries again.
    /// [`Client::last_error`](crate::Client::last_error) returns the reason of the failure.
    Down {
        /// The time of the first failure since the destination was last up.
        since: Instant,
    },
}
