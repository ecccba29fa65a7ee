//! Counters of clients, senders and receivers.
//!
//! With the feature `serde`, all of them can be serialized and deserialized.

use crate::outcome::{DropReason, NotQueuedReason, Outcome};

#[cfg(feature = "http")]
pub use crate::receive::{HttpDropCounts, HttpReceiverStats, HttpRejectionCounts};
pub use crate::receive::{TcpReceiverStats, UdpReceiverStats};
pub use crate::udp::UdpSenderStats;

/// Counters of a [`Client`](crate::Client), in messages unless stated otherwise. At every moment,
/// `queued = accepted + acknowledged + sent + dropped.total() + waiting + in_flight`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[non_exhaustive]
pub struct ClientStats {
    /// Messages that were queued. `not_queued` counts the messages that were refused.
    pub queued: u64,
    /// Messages that wait in the queue now.
    pub waiting: usize,
    /// Messages that the driver has taken from the queue and that have no outcome yet. Over TCP, such a
    /// message is being written, is not acknowledged yet, or is acknowledged on a connection that has not
    /// proven itself yet (see [`Outcome::Acknowledged`]). Over HTTP, its request has no answer yet.
    pub in_flight: usize,
    /// Messages with the outcome [`Outcome::Accepted`].
    pub accepted: u64,
    /// Messages with the outcome [`Outcome::Acknowledged`].
    pub acknowledged: u64,
    /// Messages with the outcome [`Outcome::Sent`].
    pub sent: u64,
    /// Messages with the outcome [`Outcome::Dropped`], by reason.
    pub dropped: DropCounts,
    /// Messages that were not queued, by reason.
    pub not_queued: NotQueuedCounts,
    /// Messages with the outcome [`Outcome::Acknowledged`] that may be lost nevertheless, because their TCP
    /// connection ended by an error, such as a reset. The counter includes all messages that were
    /// acknowledged in the second before the connection's last acknowledgement, and some messages that were
    /// acknowledged earlier. If the receiver answered with TLS or HTTP, the counter includes all acknowledged
    /// messages of the connection.
    pub possibly_lost: u64,
    /// Messages that were sent again. The receiver may have them twice. Over TCP, these are messages that
    /// were written again on a new connection, because the previous connection ended before they were
    /// acknowledged, or before it had proven itself. Over HTTP, these are messages of repeated requests.
    pub resent: u64,
    /// Messages that were cut to fit into 128 chunks. This happens only over UDP, if
    /// [`UdpOptions::overflow`](crate::options::UdpOptions::overflow) permits it.
    pub truncated: u64,
    /// Receipts that were lost, because too many were unread: see [`Receipts`](crate::Receipts).
    pub receipts_lost: u64,
    /// UDP datagrams for which the destination's host reported a refusal.
    pub refused_datagrams: u64,
    /// Connections made. Over UDP, the first socket counts as a connection; the sockets that replace it are
    /// not counted.
    pub connections: u64,
    /// Attempts to connect that failed. An attempt includes the lookup of the name and the TLS handshake. It
    /// fails when all hosts of the endpoint have failed.
    pub failed_connects: u64,
    /// TCP connections, with or without TLS, that the other side or the network ended. Connections of HTTP are
    /// not counted here.
    pub broken_connections: u64,
    /// `true` if there is a connection now.
    pub is_connected: bool,
}

/// Counts of dropped messages, by [`DropReason`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
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
    /// Returns the sum.
    pub fn total(&self) -> u64 {
        let Self { datagram_too_long, ended, queue_full, refused, rejected, system, too_large } = self;
        datagram_too_long + ended + queue_full + refused + rejected + system + too_large
    }
}

/// Counts of messages that were not queued, by [`NotQueuedReason`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[non_exhaustive]
pub struct NotQueuedCounts {
    /// [`NotQueuedReason::Closed`].
    pub closed: u64,
    /// [`NotQueuedReason::DriverEnded`].
    pub driver_ended: u64,
    /// [`NotQueuedReason::Full`].
    pub full: u64,
    /// [`NotQueuedReason::Invalid`].
    pub invalid: u64,
    /// [`NotQueuedReason::TooLarge`].
    pub too_large: u64,
}

impl NotQueuedCounts {
    /// Returns the sum.
    pub fn total(&self) -> u64 {
        let Self { closed, driver_ended, full, invalid, too_large } = self;
        closed + driver_ended + full + invalid + too_large
    }

    pub(crate) fn count(&mut self, reason: NotQueuedReason) {
        let count = match reason {
            NotQueuedReason::Closed => &mut self.closed,
            NotQueuedReason::DriverEnded => &mut self.driver_ended,
            NotQueuedReason::Full => &mut self.full,
            NotQueuedReason::Invalid => &mut self.invalid,
            NotQueuedReason::TooLarge => &mut self.too_large,
        };
        *count += 1;
    }
}

impl ClientStats {
    /// Returns how many messages were delivered, as far as the transport can know: see
    /// [`Outcome::is_delivered`].
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

#[cfg(all(test, feature = "serde"))]
mod tests {
    #[test]
    fn all_statistics_have_the_traits_of_serde() {
        fn check<T: serde::de::DeserializeOwned + serde::Serialize>() {}
        check::<super::ClientStats>();
        check::<super::TcpReceiverStats>();
        check::<super::UdpReceiverStats>();
        check::<super::UdpSenderStats>();
        #[cfg(feature = "http")]
        check::<super::HttpReceiverStats>();
    }
}
