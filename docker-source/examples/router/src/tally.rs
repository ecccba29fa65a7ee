//! Counts a route's lines.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use docker_source::gelf_core::Timestamp;
use gelf_tokio::stats::ClientStats;
use gelf_tokio::{ClientState, Observer};

use crate::receipt::LineReceipt;

/// The counters of a route: `routed = delivered + dropped by reason + joined + in flight`. A message of
/// several lines counts as one delivered or dropped line. Its other lines count as joined once the client has
/// been handed the message. Over UDP, the word `sent` takes the place of `delivered`.
#[derive(Debug)]
pub(crate) struct Tally {
    routed: AtomicU64,
    joined: AtomicU64,
    /// Messages that were handed to the client, whether or not the client has queued them.
    handed: AtomicU64,
    /// The approximate time of the oldest line in flight, in milliseconds since 1970: the latest time of a settled
    /// line, or the time of the first line if none is settled yet. The value is [`NONE`] before the first line, and
    /// after [`lag`](Self::lag) has found no line in flight.
    waiting_since: AtomicI64,
    client: Observer<LineReceipt>,
    /// True if the transport is UDP, which shows that a line was sent, but never that the line arrived.
    is_udp: bool,
}

impl Tally {
    pub(crate) fn new(client: Observer<LineReceipt>, is_udp: bool) -> Self {
        let (routed, joined, handed) = Default::default();
        Self { routed, joined, handed, waiting_since: AtomicI64::new(NONE), client, is_udp }
    }

    /// Counts a line that the route selects. `time` is the time of the line.
    pub(crate) fn routed(&self, time: Timestamp) {
        self.routed.fetch_add(1, Ordering::Relaxed);
        if self.waiting_since.load(Ordering::Relaxed) == NONE {
            self.waiting_since.store(milliseconds(time), Ordering::Relaxed);
        }
    }

    /// Counts a message of this number of lines that was handed to the client.
    pub(crate) fn handed(&self, lines: usize) {
        self.handed.fetch_add(1, Ordering::Relaxed);
        self.joined.fetch_add(lines.saturating_sub(1) as u64, Ordering::Relaxed);
    }

    /// Notes that the line with this time is no longer in flight.
    pub(crate) fn settled(&self, time: Timestamp) {
        self.waiting_since.fetch_max(milliseconds(time), Ordering::Relaxed);
    }

    /// Returns the approximate age of the oldest line in flight at the time `now`, in milliseconds, or 0 if no
    /// line is in flight. If lines are settled in the order of their times, the result exceeds the true age by
    /// at most the time between two successive lines. Otherwise, for example if an old log is read beside a new
    /// one, it can also be too low.
    pub(crate) fn lag(&self, now: Timestamp) -> u64 {
        if self.in_flight() == 0 {
            // The next line sets the value to its time.
            self.waiting_since.store(NONE, Ordering::Relaxed);
            return 0;
        }
        let since = self.waiting_since.load(Ordering::Relaxed);
        u64::try_from(milliseconds(now).saturating_sub(since)).unwrap_or(0)
    }

    /// Returns the number of lines that are neither delivered nor dropped nor joined.
    pub(crate) fn in_flight(&self) -> u64 {
        self.figures().in_flight()
    }

    /// Returns whether messages of the client wait to be sent.
    pub(crate) fn has_waiting(&self) -> bool {
        self.client.stats().waiting > 0
    }

    /// Returns the state of the link to the destination.
    pub(crate) fn state(&self) -> ClientState {
        self.client.state()
    }

    /// Returns the text of the last error of connecting or sending, if there was one.
    pub(crate) fn last_error(&self) -> Option<Arc<str>> {
        self.client.last_error()
    }

    /// Returns the counters at this moment.
    pub(crate) fn figures(&self) -> Figures {
        // `routed` is counted first and read last, so that the sum of the other counters never exceeds it.
        let client = self.client.stats();
        let joined = self.joined.load(Ordering::Relaxed);
        let handed = self.handed.load(Ordering::Relaxed);
        Figures { client, is_udp: self.is_udp, joined, handed, routed: self.routed.load(Ordering::Acquire) }
    }
}

/// The value of [`Tally::waiting_since`] if it holds no time.
const NONE: i64 = 0;

/// Returns the milliseconds since 1970.
fn milliseconds(time: Timestamp) -> i64 {
    let (seconds, nanos) = time.as_unix();
    seconds.saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000))
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.figures().fmt(f)
    }
}

/// A snapshot of the counters.
pub(crate) struct Figures {
    pub(crate) routed: u64,
    pub(crate) joined: u64,
    /// Messages that were handed to the client.
    pub(crate) handed: u64,
    pub(crate) client: ClientStats,
    is_udp: bool,
}

impl Figures {
    /// Returns the figures of a route that has handed `handed` messages of one line each to the client.
    #[cfg(test)]
    pub(crate) fn of(routed: u64, handed: u64, client: ClientStats) -> Self {
        Self { routed, joined: 0, handed, client, is_udp: false }
    }

    /// Returns the number of messages that wait for the destination. A line of an open message, which further
    /// lines may continue, is in flight but does not wait for the destination.
    pub(crate) fn waiting(&self) -> u64 {
        (self.client.waiting + self.client.in_flight) as u64
    }

    /// Returns the number of lines that are delivered, dropped or joined.
    pub(crate) fn done(&self) -> u64 {
        self.client.delivered() + self.dropped() + self.joined
    }

    /// Returns the number of lines that the router and its client still hold: the lines that were not handed
    /// to the client, and the messages of the client. The result equals [`in_flight`](Self::in_flight),
    /// unless a line was lost on the way from the router to its client.
    pub(crate) fn held(&self) -> u64 {
        self.routed.saturating_sub(self.joined + self.handed) + self.waiting()
    }

    /// Returns the number of dropped lines.
    pub(crate) fn dropped(&self) -> u64 {
        self.client.dropped.total() + self.client.not_queued.total()
    }

    /// Returns the number of lines that are neither delivered nor dropped nor joined.
    pub(crate) fn in_flight(&self) -> u64 {
        self.routed.saturating_sub(self.done())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dropped = self.client.dropped;
        let done = if self.is_udp { "sent" } else { "delivered" };
        write!(f, "{} lines routed = {} {done}", self.routed, self.client.delivered())?;
        write!(f, " + {} dropped as refused + {} dropped as too large", dropped.refused, dropped.too_large)?;
        let full = dropped.queue_full + self.client.not_queued.full;
        let rare = [(full, "dropped for a full queue"), (dropped.rejected, "dropped as rejected")];
        let named = dropped.refused + dropped.too_large + full + dropped.rejected;
        for (count, what) in rare.into_iter().chain([(self.dropped() - named, "dropped for another reason")])
        {
            if count > 0 {
                write!(f, " + {count} {what}")?;
            }
        }
        if self.joined > 0 {
            write!(f, " + {} joined to the line before", self.joined)?;
        }
        write!(f, " + {} in flight", self.in_flight())?;
        match self.client.possibly_lost {
            0 => Ok(()),
            lines => write!(f, "; {lines} of the delivered ones may be lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routed_lines_are_the_sum_of_the_other_counters() {
        let mut client = ClientStats::default();
        client.sent = 3;
        client.dropped.refused = 2;
        client.dropped.too_large = 1;
        let figures = Figures { routed: 10, joined: 0, handed: 6, client, is_udp: true };
        // The lines in flight are part of open messages.
        assert_eq!((figures.in_flight(), figures.held(), figures.waiting()), (4, 4, 0));
        assert_eq!(
            figures.to_string(),
            "10 lines routed = 3 sent + 2 dropped as refused + 1 dropped as too large + 4 in flight"
        );
    }

    #[test]
    fn a_line_that_is_lost_between_the_route_and_its_client_is_not_held() {
        let mut client = ClientStats::default();
        client.sent = 3;
        client.waiting = 2;
        let figures = Figures { routed: 10, joined: 1, handed: 6, client, is_udp: true };
        // Three lines are part of open messages, and two messages wait. The client was handed six messages,
        // but counts only five.
        assert_eq!((figures.in_flight(), figures.held()), (6, 5));
    }

    #[test]
    fn rare_reasons_and_possible_losses_are_shown_if_they_occurred() {
        let mut client = ClientStats::default();
        client.acknowledged = 8;
        client.possibly_lost = 7;
        client.dropped.queue_full = 1;
        client.dropped.rejected = 2;
        client.dropped.system = 3;
        client.not_queued.full = 4;
        let figures = Figures { routed: 21, joined: 2, handed: 18, client, is_udp: false };
        assert_eq!(
            figures.to_string(),
            "21 lines routed = 8 delivered + 0 dropped as refused + 0 dropped as too large + 5 dropped for a full queue \
             + 2 dropped as rejected + 3 dropped for another reason + 2 joined to the line before + 1 in flight; 7 of the delivered ones may be lost"
        );
    }
}
