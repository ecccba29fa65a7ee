//! Limits the rate of datagrams with a token bucket.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The number of parts of one datagram: the bucket counts billionths of a datagram. At a rate of n datagrams
/// per second, each nanosecond adds exactly n parts, so nothing is lost to rounding.
const PER_DATAGRAM: u128 = NANOS_PER_SECOND;

/// The time by which a timer can fire late. A full bucket also has room for the datagrams that the rate adds in
/// this time, so that a sender that was woken late catches up.
const LATENESS: Duration = Duration::from_millis(5);

/// The time in which the rate adds a refill, if that is at most [`REFILL_MAX`]. When the bucket is empty, the
/// sender waits for a whole refill: a wait for each single datagram would cost more than the datagrams, and would
/// send the chunks of a message one by one.
const REFILL: Duration = Duration::from_millis(16);
/// The maximum number of datagrams of a refill, unless the rate adds more of them in [`LATENESS`]. By default,
/// the receive buffer of a socket on Linux has room for about 90 datagrams of 1,420 bytes, and other senders
/// need some of this room.
const REFILL_MAX: u128 = 32;

/// A token bucket that fills at the rate.
///
/// A refill consists of the datagrams that the rate adds in 16 ms. It is limited to 32 datagrams, or to the
/// datagrams that the rate adds in 5 ms if these are more. A full bucket holds one datagram, a refill, and the
/// datagrams that the rate adds in 5 ms. In any span of time, the number of sent datagrams is at most what the
/// rate adds in that span plus a full bucket. For example, a rate of 1,000 datagrams a second allows at most
/// 1,022 datagrams in the first second. The caller passes the current time.
#[derive(Clone, Debug)]
pub(crate) struct Pacing {
    rate: NonZeroU32,
    /// The content of the bucket, in parts of a datagram, as of `updated`.
    filled: u128,
    updated: Instant,
}

impl Pacing {
    /// Creates a full bucket for `rate` datagrams a second.
    pub(crate) fn new(rate: NonZeroU32, now: Instant) -> Self {
        Self { rate, filled: Self::capacity(rate), updated: now }
    }

    /// Takes at least one datagram and at most `wanted` datagrams. `wanted` must be at least 1.
    ///
    /// # Errors
    /// If no datagram may be sent now, returns the time at which to ask again. At that time, the bucket has a
    /// refill or one datagram, whichever is more.
    pub(crate) fn take(&mut self, wanted: usize, now: Instant) -> Result<usize, Instant> {
        let rate = u128::from(self.rate.get());
        let elapsed = now.saturating_duration_since(self.updated);
        self.updated = self.updated.max(now);
        self.filled = (self.filled + elapsed.as_nanos() * rate).min(Self::capacity(self.rate));
        let whole = usize::try_from(self.filled / PER_DATAGRAM).unwrap_or(usize::MAX);
        if whole == 0 {
            // The wait is at most a second, so the conversion succeeds.
            let wait = (Self::refill(self.rate).max(PER_DATAGRAM) - self.filled).div_ceil(rate);
            return Err(self.updated + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)));
        }
        let taken = whole.min(wanted);
        self.filled -= taken as u128 * PER_DATAGRAM;
        Ok(taken)
    }

    fn capacity(rate: NonZeroU32) -> u128 {
        PER_DATAGRAM + Self::refill(rate) + Self::in_time(LATENESS, rate)
    }

    fn refill(rate: NonZeroU32) -> u128 {
        let few = Self::in_time(REFILL, rate).min(REFILL_MAX * PER_DATAGRAM);
        few.max(Self::in_time(LATENESS, rate))
    }

    /// Returns the parts that the rate adds in `time`.
    fn in_time(time: Duration, rate: NonZeroU32) -> u128 {
        time.as_nanos() * u128::from(rate.get())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(rate: u32) -> NonZeroU32 {
        NonZeroU32::new(rate).unwrap()
    }

    #[test]
    fn a_full_bucket_is_spent_and_then_the_rate_permits_the_datagrams_of_16_ms_together() {
        let mut now = Instant::now();
        let mut pacing = Pacing::new(rate(1000), now);
        assert_eq!(pacing.take(8, now), Ok(8));
        assert_eq!(pacing.take(128, now), Ok(14));
        for _ in 0..200 {
            assert_eq!(pacing.take(128, now), Err(now + Duration::from_millis(16)));
            now += Duration::from_millis(16);
            assert_eq!(pacing.take(128, now), Ok(16));
        }
        now += Duration::from_secs(1_000_000_000);
        assert_eq!(pacing.take(128, now), Ok(22));
    }

    #[test]
    fn the_sender_waits_for_32_datagrams_or_for_those_of_5_ms() {
        for (per_second, full, wait) in [(2000, 43, 16_000), (4000, 53, 8000), (20_000, 201, 5000)] {
            let now = Instant::now();
            let mut pacing = Pacing::new(rate(per_second), now);
            assert_eq!(pacing.take(1000, now), Ok(full), "{per_second}");
            assert_eq!(pacing.take(1000, now), Err(now + Duration::from_micros(wait)), "{per_second}");
        }
    }

    #[test]
    fn the_slowest_and_the_fastest_rate_are_kept() {
        let now = Instant::now();
        let mut slow = Pacing::new(rate(1), now);
        assert_eq!(slow.take(2, now), Ok(1));
        assert_eq!(slow.take(2, now), Err(now + Duration::from_millis(979)));
        let mut fast = Pacing::new(rate(u32::MAX), now);
        assert_eq!(fast.take(usize::MAX, now), Ok(42_949_673));
        assert_eq!(fast.take(1, now), Err(now + Duration::from_millis(5)));
    }

    #[test]
    fn a_rate_whose_interval_is_no_whole_number_of_nanoseconds_has_no_drift() {
        let start = Instant::now();
        let mut pacing = Pacing::new(rate(7), start);
        let (mut sent, mut now) = (0, start);
        while sent < 701 {
            match pacing.take(1, now) {
                Ok(taken) => sent += taken,
                Err(when) => now = when,
            }
        }
        // At this rate, 700 datagrams take 100 s. The first datagram is permitted immediately, and the full
        // bucket saves 21 ms.
        let took = now - start;
        assert_eq!(took.as_millis(), 99_979);
    }

    #[test]
    fn a_clock_that_goes_back_adds_nothing_to_the_bucket() {
        let now = Instant::now() + Duration::from_secs(10);
        let mut pacing = Pacing::new(rate(1000), now);
        assert_eq!(pacing.take(100, now), Ok(22));
        let when = now + Duration::from_millis(16);
        assert_eq!(pacing.take(1, now - Duration::from_secs(5)), Err(when));
        assert_eq!(pacing.take(1, when), Ok(1));
    }

    proptest! {
        #[test]
        fn no_span_of_time_has_more_datagrams_than_the_rate_and_a_full_bucket_permit(
            per_second in 1u32..100_000,
            steps in prop::collection::vec((0u64..50_000_000, 1usize..130), 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut pacing = Pacing::new(rate(per_second), now);
            let mut taken = vec![(now, 0_usize)];
            for (pause, wanted) in steps {
                now += Duration::from_nanos(pause);
                match pacing.take(wanted, now) {
                    Ok(count) => {
                        prop_assert!((1..=wanted).contains(&count));
                        taken.push((now, count));
                    }
                    Err(when) => {
                        prop_assert!(when > now);
                        // At that instant, a refill is permitted. A nanosecond earlier it is not, unless the
                        // refill includes a fraction of a datagram.
                        let parts = Pacing::refill(rate(per_second)).max(PER_DATAGRAM);
                        let refill = usize::try_from(parts / PER_DATAGRAM).unwrap();
                        prop_assert!(when - now <= Duration::from_secs(1));
                        let mut earlier = pacing.clone();
                        let before = earlier.take(refill, when - Duration::from_nanos(1));
                        prop_assert!(before.is_err() || before.unwrap() < refill || parts % PER_DATAGRAM > 0);
                        let count = pacing.take(wanted.min(refill), when);
                        prop_assert_eq!(count, Ok(wanted.min(refill)));
                        now = when;
                        taken.push((now, wanted.min(refill)));
                    }
                }
            }
            for (at, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (until, count) in &taken[at..] {
                    sum += *count as u128 * PER_DATAGRAM;
                    let span = (*until - *from).as_nanos() * u128::from(per_second);
                    prop_assert!(sum <= span + Pacing::capacity(rate(per_second)));
                }
            }
        }
    }
}
