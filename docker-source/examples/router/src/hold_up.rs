//! Measures the time for which a route holds up the other routes of its group, which read from the same
//! source.
//!
//! A group waits for a route whose queue is full. The wait delays another route only if the other route has
//! nothing to send. For example, if the network is down for all routes, all routes have messages to send, and
//! no route delays another. Therefore the wait is sampled at certain times, the [`Ticks`]. A tick counts if the
//! group waits for the route at that moment and another route has nothing to send. The samples measure a
//! destination that takes lines slowly as well as a destination that takes no lines.

use std::time::Duration;

use tokio::time::Instant;

/// The mean time between two samples.
const TICK: Duration = Duration::from_millis(25);
/// 2^32 divided by the golden ratio. The multiples of this number, modulo 2^32, are spread evenly.
const SPREAD: u32 = 0x9e37_79b9;
/// The maximum time for which a route is allowed to hold up the others, in addition to the time that does not count
/// by [`FREE_SHARE`].
const LIMIT: Duration = Duration::from_millis(250);
/// The divisor for the share of time that does not count: a route may hold up the others for 1/100 of the
/// time without reaching the limit. Thus a destination may pause now and then.
const FREE_SHARE: u32 = 100;

/// The times at which samples are taken: one in each interval of 25 ms, at a place that differs between intervals. The
/// times do not depend on when a group begins to wait. Therefore, many short waits count as much as one long wait. The
/// places differ because a destination may take a line every 25 ms, for example, always at the same place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    start: Instant,
}

impl Ticks {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start }
    }

    /// Returns the first tick after `now`.
    pub(crate) fn after(self, now: Instant) -> Instant {
        let since = now - self.start;
        let interval = (since.as_millis() / TICK.as_millis()) as u64;
        let tick = Some(Self::tick(interval)).filter(|tick| *tick > since);
        self.start + tick.unwrap_or_else(|| Self::tick(interval + 1))
    }

    /// Returns the time from the start to the tick of an interval.
    fn tick(interval: u64) -> Duration {
        let place = (u64::from((interval as u32).wrapping_mul(SPREAD)) * TICK.as_micros() as u64) >> 32;
        Duration::from_micros(interval * TICK.as_micros() as u64 + place)
    }
}

/// The samples of one route.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HoldUp {
    /// The time for which the route has held up the others, minus the share that does not count.
    time: Duration,
    /// The time of the last sample.
    last: Option<Instant>,
}

impl HoldUp {
    /// Notes that the route holds up another route at the tick `now`. Deducts the share that does not count:
    /// 1/100 of the time between the last sample and the tick before `now`.
    pub(crate) fn sample(&mut self, now: Instant) {
        let since = self.last.replace(now).map_or(Duration::ZERO, |last| now - last);
        self.time = self.time.saturating_sub(since.saturating_sub(TICK) / FREE_SHARE) + TICK;
    }

    /// Returns whether the route has held up the others for too long: for 250 ms more than 1 % of the time.
    pub(crate) fn is_too_long(&self) -> bool {
        self.time >= LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples a route that holds up the others during the first `held` of every `period`, until the limit is
    /// reached. Returns the time for which the route held up the others in the whole periods before. Returns
    /// `None` if the limit is not reached within an hour.
    fn held_until_too_long(held: Duration, period: Duration) -> Option<Duration> {
        let start = Instant::now();
        let (ticks, mut hold_up, mut now) = (Ticks::new(start), HoldUp::default(), start);
        while now - start < Duration::from_secs(3600) {
            now = ticks.after(now);
            let (periods, rest) =
                ((now - start).as_nanos() / period.as_nanos(), (now - start).as_nanos() % period.as_nanos());
            if rest < held.as_nanos() {
                hold_up.sample(now);
            }
            if hold_up.is_too_long() {
                return Some(held * u32::try_from(periods).unwrap());
            }
        }
        None
    }

    #[test]
    fn many_short_waits_count_as_much_as_one_long_wait() {
        let second = Duration::from_secs(1);
        assert_eq!(held_until_too_long(second, second), Some(Duration::ZERO));
        for (held, period) in [(7, 10), (30, 300), (400, 1000), (1, 7)] {
            let (held, period) = (Duration::from_millis(held), Duration::from_millis(period));
            let total = held_until_too_long(held, period).unwrap();
            assert!(total <= LIMIT * 3 / 2, "{held:?} of {period:?}: {total:?}");
        }
    }

    #[test]
    fn each_interval_has_one_tick_and_the_ticks_meet_all_places() {
        let start = Instant::now();
        let (ticks, mut now, mut places) = (Ticks::new(start), start, [0; 5]);
        for interval in 1..=1000 {
            now = ticks.after(now);
            assert_eq!((now - start).as_millis() / 25, interval);
            places[(now - start).as_millis() as usize % 25 / 5] += 1;
        }
        assert!(places.iter().all(|count| (195..=205).contains(count)), "{places:?}");
    }

    #[test]
    fn a_route_may_hold_up_the_others_for_one_percent_of_the_time() {
        assert_eq!(held_until_too_long(Duration::from_millis(20), Duration::from_secs(3)), None);
        assert_eq!(held_until_too_long(Duration::from_millis(200), Duration::from_secs(25)), None);
        assert!(held_until_too_long(Duration::from_millis(200), Duration::from_secs(5)).is_some());
    }
}
