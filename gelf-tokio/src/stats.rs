//! What a client has done.

use crate::client::Refused;
use crate::outcome::{DropReason, Outcome};

/// What a [`Client`](crate::Client) has done so far, in messages unless it says otherwise. At every moment,
/// `queued = accepted + acknowledged + sent + dropped.total() + waiting + in_flight`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Queued, of all that were offered; see `refused` for the others.
    pub queued: u64,
    /// That wait in the queue now.
    pub waiting: usize,
    /// That are being sent now: written and not acknowledged, requested and not answered.
    pub in_flight: usize,
    /// [`Outcome::Accepted`].
    pub accepted: u64,
    /// [`Outcome::Acknowledged`].
    pub acknowledged: u64,
    /// [`Outcome::Sent`].
    pub sent: u64,
    /// [`Outcome::Dropped`], by reason.
    pub dropped: DropCounts,
    /// Never queued, by reason.
    pub refused: RefusedCounts,
    /// Written again on a new connection, since the one before broke before they were acknowledged. The receiver may
    /// have them twice. Over TCP; over HTTP, requests that were made again.
    pub resent: u64,
    /// Datagrams that the destination's host was heard to refuse. Over UDP.
    pub refused_datagrams: u64,
    /// Connections made. Over UDP, sockets.
    pub connections: u64,
    /// Attempts to connect that failed, the lookup of the name and the TLS handshake included.
    pub failed_connects: u64,
    /// Connections that ended before they were closed from here.
    pub broken_connections: u64,
    /// Whether there is a connection now.
    pub is_connected: bool,
}

/// Messages given up, by [`DropReason`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DropCounts {
    /// [`DropReason::DatagramTooLong`].
    pub datagram_too_long: u64,
    /// [`DropReason::Ended`].
    pub ended: u64,
    /// [`DropReason::QueueFull`].
    pub queue_full: u64,
    /// [`DropReason::Refused`].
    pub refused: u64,
    /// [`DropReason::Rejected`].
    pub rejected: u64,
    /// [`DropReason::System`].
    pub system: u64,
    /// [`DropReason::TooLarge`].
    pub too_large: u64,
}

impl DropCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { datagram_too_long, ended, queue_full, refused, rejected, system, too_large } = self;
        datagram_too_long + ended + queue_full + refused + rejected + system + too_large
    }
}

/// Messages never queued, by [`Refused`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RefusedCounts {
    /// [`Refused::Closed`].
    pub closed: u64,
    /// [`Refused::Full`].
    pub full: u64,
    /// [`Refused::Invalid`].
    pub invalid: u64,
    /// [`Refused::TooLarge`].
    pub too_large: u64,
}

impl RefusedCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { closed, full, invalid, too_large } = self;
        closed + full + invalid + too_large
    }

    pub(crate) fn count(&mut self, reason: Refused) {
        let count = match reason {
            Refused::Closed => &mut self.closed,
            Refused::Full => &mut self.full,
            Refused::Invalid => &mut self.invalid,
            Refused::TooLarge => &mut self.too_large,
        };
        *count += 1;
    }
}

impl ClientStats {
    /// Messages that went out, as far as the transport can know: see [`Outcome::is_delivered`].
    pub fn delivered(&self) -> u64 {
        self.accepted + self.acknowledged + self.sent
    }

    pub(crate) fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Accepted => &mut self.accepted,
            Outcome::Acknowledged => &mut self.acknowledged,
            Outcome::Sent => &mut self.sent,
            Outcome::Dropped(reason) => match reason {
                DropReason::DatagramTooLong => &mut self.dropped.datagram_too_long,
                DropReason::Ended => &mut self.dropped.ended,
                DropReason::QueueFull => &mut self.dropped.queue_full,
                DropReason::Refused => &mut self.dropped.refused,
                DropReason::Rejected(_) => &mut self.dropped.rejected,
                DropReason::System(_) => &mut self.dropped.system,
                DropReason::TooLarge => &mut self.dropped.too_large,
            },
        };
        *count += 1;
    }
}
