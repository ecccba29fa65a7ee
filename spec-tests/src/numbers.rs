//! Reproducible pseudo-random numbers.

/// A pseudo-random number generator (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    /// Creates a generator from a seed. With the same seed, each `stream` yields another sequence.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut numbers = Self(seed);
        let mixed = numbers.next();
        Self(mixed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `limit`, or 0 if the limit is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 1).checked_rem(limit as u64).unwrap_or_default() as usize
    }

    /// Returns a number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// Returns true with a probability of 1 in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Returns one of the items.
    pub(crate) fn pick<T: Copy + Default>(&mut self, items: &[T]) -> T {
        let at = self.below(items.len());
        items.get(at).copied().unwrap_or_default()
    }

    /// Returns one of the words. Bars separate the words.
    pub(crate) fn word<'w>(&mut self, words: &'w str) -> &'w str {
        let at = self.below(words.split('|').count());
        words.split('|').nth(at).unwrap_or_default()
    }

    /// Shuffles the items.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_seed_and_stream() {
        let three = |seed, stream| {
            let mut numbers = Numbers::new(seed, stream);
            [numbers.next(), numbers.next(), numbers.next()]
        };
        assert_eq!(three(1, 2), three(1, 2));
        assert_ne!(three(1, 2), three(1, 3));
        assert_ne!(three(1, 2), three(2, 2));
    }

    #[test]
    fn an_empty_range_yields_0() {
        let mut numbers = Numbers::new(0, 0);
        assert_eq!(numbers.below(0), 0);
        assert_eq!(numbers.pick::<u8>(&[]), 0);
        assert_eq!(numbers.between(3, 3), 3);
    }
}
