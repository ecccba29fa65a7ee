//! Accounts for the lines of a route: how many lines the route selected, and what became of these lines.

use std::ops::AddAssign;

use crate::tally::Figures;

/// The reasons for which lines are dropped, in the order of [`RouteAccount::dropped`].
pub(crate) const DROP_REASONS: [&str; 10] = [
    "closed",
    "datagram_too_long",
    "driver_ended",
    "ended",
    "invalid",
    "queue_full",
    "refused",
    "rejected",
    "system",
    "too_large",
];

/// The account of a route, in lines: `selected = delivered + joined + in_flight + the sum of dropped`. The term
/// `in_flight` consists of the lines that were not handed to the client yet, and of the messages that the client
/// holds. If the client lost a message without a count, the two sides would differ.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct RouteAccount {
    pub(crate) selected: u64,
    pub(crate) delivered: u64,
    /// Lines that were sent with the line before them, as one message.
    pub(crate) joined: u64,
    pub(crate) in_flight: u64,
    /// Dropped lines by reason, see [`DROP_REASONS`].
    pub(crate) dropped: [u64; DROP_REASONS.len()],
    /// Delivered lines that may be lost, since their connection broke.
    pub(crate) possibly_lost: u64,
}

impl RouteAccount {
    /// Returns the sum of the dropped lines.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Returns the right side of the equation, which equals `selected` if no line is lost without a count.
    pub(crate) fn sum(&self) -> u64 {
        self.delivered + self.joined + self.in_flight + self.dropped()
    }
}

impl From<&Figures> for RouteAccount {
    fn from(figures: &Figures) -> Self {
        let (dropped, refused) = (figures.client.dropped, figures.client.not_queued);
        Self {
            selected: figures.routed,
            delivered: figures.client.delivered(),
            joined: figures.joined,
            in_flight: figures.held(),
            dropped: [
                refused.closed,
                dropped.datagram_too_long,
                refused.driver_ended,
                dropped.ended,
                refused.invalid,
                dropped.queue_full + refused.full,
                dropped.refused,
                dropped.rejected,
                dropped.system,
                dropped.too_large + refused.too_large,
            ],
            possibly_lost: figures.client.possibly_lost,
        }
    }
}

impl AddAssign for RouteAccount {
    fn add_assign(&mut self, other: Self) {
        self.selected += other.selected;
        self.delivered += other.delivered;
        self.joined += other.joined;
        self.in_flight += other.in_flight;
        self.possibly_lost += other.possibly_lost;
        for (sum, dropped) in self.dropped.iter_mut().zip(other.dropped) {
            *sum += dropped;
        }
    }
}

#[cfg(test)]
mod tests {
    use gelf_tokio::stats::{ClientStats, DropCounts, NotQueuedCounts};

    use super::*;

    #[test]
    fn each_reason_of_the_client_is_a_reason_of_the_account() {
        let mut client = ClientStats::default();
        let DropCounts { datagram_too_long, ended, queue_full, refused, rejected, system, too_large, .. } =
            &mut client.dropped;
        for count in [datagram_too_long, ended, queue_full, refused, rejected, system, too_large] {
            *count = 1;
        }
        let NotQueuedCounts { closed, driver_ended, full, invalid, too_large, .. } = &mut client.not_queued;
        for count in [closed, driver_ended, full, invalid, too_large] {
            *count = 1;
        }
        assert_eq!(client.dropped.total() + client.not_queued.total(), 12);
        let account = RouteAccount::from(&Figures::of(12, 12, client));
        assert_eq!(account.dropped, [1, 1, 1, 1, 1, 2, 1, 1, 1, 2]);
        assert_eq!(account.sum(), account.selected);
        let mut sum = account;
        sum += account;
        assert_eq!((sum.selected, sum.dropped(), sum.sum()), (24, 24, 24));
    }
}
