//! The probation of a connection, which decides when acknowledged messages are settled (get their outcome).

use std::time::Duration;

use tokio::time::Instant;

/// The time that a connection has to last after the first acknowledgement. The time begins with an
/// acknowledgement, so it does not depend on the round trip.
const LASTS: Duration = Duration::from_millis(500);

/// The number of acknowledged bytes that ends the probation early. By default, a receive buffer of Linux grows to
/// at most 6 MiB (`tcp_rmem`), so a program must have read some of the bytes, unless that limit was raised.
const READ_BYTES: u64 = 8 * 1024 * 1024;

/// The minimum length of a period in which acknowledged messages are counted together. A period ends with the
/// first acknowledgement after this time. If a proven connection is reset, the messages of the last two
/// periods may be lost.
const RECENT: Duration = Duration::from_secs(1);

/// Counts the acknowledged messages of one connection. The caller passes the time.
#[derive(Debug, Default)]
pub(super) struct Probation {
    /// The time of the first acknowledgement.
    begun: Option<Instant>,
    is_proven: bool,
    /// The number of messages that were acknowledged during the probation and are not settled yet.
    held: usize,
    /// The number of all acknowledged messages.
    acknowledged: u64,
    /// The number of messages that were acknowledged since `recent_since`, and the number in the period
    /// before.
    recent: [u64; 2],
    recent_since: Option<Instant>,
}

impl Probation {
    /// Notes that `count` more messages are acknowledged, and that `bytes` bytes are acknowledged in all.
    /// Returns how many of the oldest messages are to be settled.
    pub(super) fn acknowledged(&mut self, count: usize, bytes: u64, now: Instant) -> usize {
        if count == 0 {
            return 0;
        }
        self.begun.get_or_insert(now);
        self.acknowledged += count as u64;
        let since = *self.recent_since.get_or_insert(now);
        if now - since >= RECENT {
            self.recent = [0, self.recent[0]];
            self.recent_since = Some(now);
        }
        self.recent[0] += count as u64;
        self.held += count;
        self.is_proven |= bytes >= READ_BYTES;
        if self.is_proven { self.release() } else { 0 }
    }

    /// Ends the probation, since the connection has proven itself. Returns how many messages are to be
    /// settled.
    pub(super) fn prove(&mut self) -> usize {
        self.is_proven = true;
        self.release()
    }

    fn release(&mut self) -> usize {
        std::mem::take(&mut self.held)
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Returns the number of messages that are acknowledged and not settled.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Returns the end of the probation, if it has begun and not ended.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.begun.filter(|_| !self.is_proven).map(|begun| begun + LASTS)
    }

    /// Returns how many of the settled messages may be lost after the connection has ended by an error. These
    /// are the messages that were acknowledged in the last two periods (see [`RECENT`]), or all messages if
    /// the receiver takes no GELF at all.
    pub(super) fn possibly_lost(&self, takes_no_gelf: bool) -> u64 {
        match (self.is_proven, takes_no_gelf) {
            (false, _) => 0,
            (true, false) => self.recent.iter().sum(),
            (true, true) => self.acknowledged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn acknowledged_messages_are_held_until_the_connection_has_proven_itself() {
        let (mut probation, start) = (Probation::default(), Instant::now());
        assert_eq!(probation.acknowledged(0, 0, start), 0);
        assert_eq!(probation.ends(), None);
        assert_eq!(probation.acknowledged(2, 100, start), 0);
        assert_eq!(probation.acknowledged(3, 200, after(start, 400)), 0);
        assert_eq!((probation.held(), probation.ends()), (5, Some(after(start, 500))));
        assert_eq!(probation.possibly_lost(false), 0);
        assert_eq!((probation.prove(), probation.held(), probation.ends()), (5, 0, None));
        assert_eq!(probation.acknowledged(1, 201, after(start, 600)), 1);
    }

    #[test]
    fn more_bytes_than_a_receive_buffer_holds_prove_a_connection_immediately() {
        let (mut probation, now) = (Probation::default(), Instant::now());
        assert_eq!(probation.acknowledged(5, READ_BYTES - 1, now), 0);
        assert_eq!(probation.acknowledged(1, READ_BYTES, now), 6);
        assert!(probation.is_proven());
    }

    #[test]
    fn the_last_messages_may_be_lost_after_an_error_and_all_messages_after_an_answer() {
        let (mut probation, start) = (Probation::default(), Instant::now());
        probation.prove();
        for second in 0..10 {
            assert_eq!(probation.acknowledged(1, second, start + RECENT * second as u32), 1);
        }
        assert_eq!((probation.possibly_lost(false), probation.possibly_lost(true)), (2, 10));
    }
}
