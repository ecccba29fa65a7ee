//! Pauses between attempts.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Draws pauses with full jitter. Each pause is a random time between zero and a bound, so that many senders
/// do not reconnect to a receiver at the same moment. The bound doubles with each pause, from 0.1 s to 30 s.
/// After an attempt that failed within 1 s, the bound is at most 5 s: such an attempt costs little, and with
/// short pauses the sender soon notices that the destination is back.
#[derive(Debug)]
pub(crate) struct Backoff {
    bound: Duration,
    random: RandomState,
    /// The number of pauses drawn so far, which makes the hash of each pause different.
    drawn: u64,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(30);

    /// The longest bound after an attempt that took less than [`AT_ONCE`](Self::AT_ONCE).
    const LONGEST_AT_ONCE: Duration = Duration::from_secs(5);
    const AT_ONCE: Duration = Duration::from_secs(1);

    pub(crate) fn new() -> Self {
        Self { bound: Self::FIRST, random: RandomState::new(), drawn: 0 }
    }

    /// Returns the pause after a failed attempt. `took` is the duration of the attempt.
    pub(crate) fn pause_after(&mut self, took: Duration) -> Duration {
        if took < Self::AT_ONCE {
            self.bound = self.bound.min(Self::LONGEST_AT_ONCE);
        }
        self.pause()
    }

    /// Returns the next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(self.drawn);
        self.drawn += 1;
        // A float holds 53 bits exactly, so the upper 53 bits of the hash give a fraction in [0, 1).
        let fraction = (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64;
        let pause = self.bound.mul_f64(fraction);
        self.bound = (self.bound * 2).min(Self::LONGEST);
        pause
    }

    /// Makes the next pauses short again, after a success.
    pub(crate) fn reset(&mut self) {
        self.bound = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_from_100_ms_to_30_s_and_begins_again() {
        let mut backoff = Backoff::new();
        let mut bounds = Vec::new();
        for _ in 0..12 {
            let bound = backoff.bound;
            assert!(backoff.pause() < bound);
            bounds.push(bound.as_millis());
        }
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000];
        assert_eq!(bounds, expected);
        backoff.reset();
        assert_eq!(backoff.bound.as_millis(), 100);
    }

    #[test]
    fn pauses_are_shorter_than_5_s_after_attempts_that_fail_within_1_s() {
        let mut backoff = Backoff::new();
        for _ in 0..100 {
            assert!(backoff.pause_after(Duration::from_millis(999)) < Backoff::LONGEST_AT_ONCE);
        }
        backoff.pause_after(Duration::from_secs(1));
        backoff.pause_after(Duration::from_secs(1));
        assert!(backoff.bound > Backoff::LONGEST_AT_ONCE);
        assert!(backoff.pause_after(Duration::ZERO) < Backoff::LONGEST_AT_ONCE);
    }

    #[test]
    fn pauses_are_spread_over_all_of_the_range() {
        let mut backoff = Backoff::new();
        backoff.bound = Backoff::LONGEST;
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let tenth = backoff.pause().as_secs() / 3;
            tenths[tenth as usize] += 1;
        }
        // Each tenth gets 1,000 pauses on average, with a standard deviation of 30.
        assert!(tenths.iter().all(|count| (700..1300).contains(count)), "{tenths:?}");
    }
}
