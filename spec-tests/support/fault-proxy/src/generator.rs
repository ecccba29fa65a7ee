//! Reproducible random numbers by key: SplitMix64 (Steele, Lea and Flood, 2014).

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A random number generator.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    state: u64,
}

impl Generator {
    /// Creates the generator of a key. Different keys give unrelated numbers.
    pub(crate) fn keyed(key: &[u64]) -> Self {
        Self { state: key.iter().fold(0, |state, part| mix(state.wrapping_add(STEP) ^ mix(*part))) }
    }

    /// Returns the next 64-bit number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// Returns the next number below `limit`, or 0 if `limit` is 0. Takes exactly one step.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The upper half of the product: the bias is at most limit / 2^64.
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// Returns true with this probability: never at 0 or below or for NaN, always at 1 or above. Takes
    /// exactly one step.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        // An f64 below 1 has 53 bits of precision.
        let drawn = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        drawn < probability
    }
}

fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_splitmix64() {
        // The published first outputs for the seed 1234567.
        let mut generator = Generator { state: 1_234_567 };
        assert_eq!(
            [generator.next(), generator.next(), generator.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn keys_that_differ_in_order_or_length_have_different_sequences() {
        let first = |key: &[u64]| Generator::keyed(key).next();
        let rows = [first(&[]), first(&[0]), first(&[0, 0]), first(&[1, 2]), first(&[2, 1]), first(&[3])];
        for (place, row) in rows.iter().enumerate() {
            assert!(!rows[place + 1..].contains(row), "{rows:?}");
        }
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
    }

    #[test]
    fn probability_0_is_never_and_1_is_always() {
        let mut generator = Generator::keyed(&[1]);
        for _ in 0..10_000 {
            assert!(!generator.chance(0.0));
            assert!(!generator.chance(-1.0));
            assert!(!generator.chance(f64::NAN));
            assert!(generator.chance(1.0));
            assert!(generator.chance(f64::INFINITY));
        }
    }

    #[test]
    fn events_are_as_frequent_as_their_probability() {
        let mut generator = Generator::keyed(&[2]);
        let count = (0..100_000).filter(|_| generator.chance(0.1)).count();
        // The seed is fixed, so the result is, too: within three standard deviations of 95 each.
        assert!((9_715..=10_285).contains(&count), "{count}");
    }

    #[test]
    fn numbers_stay_below_their_limit_and_reach_all_of_it() {
        let mut generator = Generator::keyed(&[3]);
        let mut seen = [false; 7];
        for _ in 0..1_000 {
            seen[generator.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(generator.below(0), 0);
        assert_eq!(generator.below(1), 0);
    }
}
