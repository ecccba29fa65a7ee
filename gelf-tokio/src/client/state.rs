//! The state of a client's link to its destination.

use std::time::Instant;

/// The state of the link to the destination, as [`Client::state`](crate::Client::state) returns it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientState {
    /// The client is closed and its driver has ended; nothing is sent any more.
    Closed,
    /// The destination took the last message, or the connection is open. Over UDP, the socket is open.
    Connected,
    /// There is no connection yet, or the last one ended and the next is about to be made.
    Connecting,
    /// The driver has ended though the client is not closed, as with
    /// [`NotQueuedReason::DriverEnded`](crate::NotQueuedReason::DriverEnded). Nothing is sent any more: a
    /// program that has to send makes a new client, or ends.
    DriverEnded,
    /// The last attempt to connect or to send failed, or the last connection ended
    /// without having proven itself (see [`Outcome::Acknowledged`](crate::Outcome::Acknowledged)). The driver
    /// tries again; [`Client::last_error`](crate::Client::last_error) says why it failed.
    Down {
        /// The time of the first failure since the destination was last up.
        since: Instant,
    },
}
