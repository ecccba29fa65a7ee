//! Random numbers that are the same for the same key: SplitMix64 (Steele, Lea and Flood, 2014).

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A row of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    state: u64,
}

impl Generator {
    /// The row that belongs to this key. Keys that differ anywhere have rows that have nothing to do with each other.
    pub(crate) fn keyed(key: &[u64]) -> Self {
        Self { state: key.iter().fold(0, |state, part| mix(state.wrapping_add(STEP) ^ mix(*part))) }
    }

    /// The next number, any of 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// The next number, below `limit`; 0 if that is 0. It takes one step, whatever the limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The upper half of the product: the bias is at most limit / 2^64.
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// Whether something of this probability happens: never at 0 or less or if it is no number, always at 1 or more.
    /// It takes one step, whatever the probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are all that an f64 can tell apart below 1.
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
    fn the_row_is_the_one_of_splitmix64() {
        // The published first outputs for the seed 1234567.
        let mut generator = Generator { state: 1_234_567 };
        assert_eq!(
            [generator.next(), generator.next(), generator.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn keys_that_differ_in_order_or_length_have_other_rows() {
        let first = |key: &[u64]| Generator::keyed(key).next();
        let rows = [first(&[]), first(&[0]), first(&[0, 0]), first(&[1, 2]), first(&[2, 1]), first(&[3])];
        for (place, row) in rows.iter().enumerate() {
            assert!(!rows[place + 1..].contains(row), "{rows:?}");
        }
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
    }

    #[test]
    fn a_chance_of_zero_never_comes_and_of_one_always() {
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
    fn a_chance_comes_as_often_as_it_says() {
        let mut generator = Generator::keyed(&[2]);
        let count = (0..100_000).filter(|_| generator.chance(0.1)).count();
        // The seed is fixed, so this is no gamble: within three standard deviations of 95 each.
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
