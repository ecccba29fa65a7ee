//! Numbers that look random, and are the same in every run.

/// A generator of such numbers (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    /// Those of a seed; each `stream` has its own.
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

    /// Below a limit; 0, where the limit is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 1).checked_rem(limit as u64).unwrap_or_default() as usize
    }

    /// From the least up to the most, both among them.
    pub(crate) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// Whether it is one time in so many.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub(crate) fn pick<T: Copy + Default>(&mut self, items: &[T]) -> T {
        let at = self.below(items.len());
        items.get(at).copied().unwrap_or_default()
    }

    /// In any order.
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
    fn a_seed_gives_the_same_numbers_and_another_others() {
        let three = |seed, stream| {
            let mut numbers = Numbers::new(seed, stream);
            [numbers.next(), numbers.next(), numbers.next()]
        };
        assert_eq!(three(1, 2), three(1, 2));
        assert_ne!(three(1, 2), three(1, 3));
        assert_ne!(three(1, 2), three(2, 2));
    }

    #[test]
    fn of_nothing_there_is_nothing_to_pick() {
        let mut numbers = Numbers::new(0, 0);
        assert_eq!(numbers.below(0), 0);
        assert_eq!(numbers.pick::<u8>(&[]), 0);
        assert_eq!(numbers.between(3, 3), 3);
    }
}
