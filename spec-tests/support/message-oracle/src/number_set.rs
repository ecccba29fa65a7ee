//! A set of numbers that takes little memory when they lie close together.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

/// How many numbers a block has.
const BLOCK: u64 = 1_024;

const WORDS: usize = BLOCK as usize / 64;

/// A set of numbers: ranges of blocks of 1,024 numbers that are all there, and a bitmap for each block with only some of them.
///
/// A bitmap takes about 150 bytes with its place, so that numbers that come in any order take at most about 150 bytes for each
/// thousand that they span, and numbers that come in order next to nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NumberSet {
    /// Blocks that are all there: the first, and one past the last. No two ranges touch.
    full: BTreeMap<u64, u64>,
    /// Blocks of which some numbers are there and some are not.
    partial: BTreeMap<u64, [u64; WORDS]>,
    count: u64,
}

impl NumberSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many numbers are in it; all of them would be one more than can be said, which is `u64::MAX` too.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is none in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this one is in it.
    pub fn contains(&self, number: u64) -> bool {
        let block = number / BLOCK;
        match self.partial.get(&block) {
            Some(words) => bit(number, words),
            None => self.is_full(block),
        }
    }

    /// Adds one; whether it was not there before.
    pub fn insert(&mut self, number: u64) -> bool {
        let block = number / BLOCK;
        let added = self.change(block, |words| {
            let (word, mask) = place(number);
            if let Some(word) = words.get_mut(word) {
                *word |= mask;
            }
        });
        added > 0
    }

    /// Adds all of these.
    pub fn insert_range(&mut self, numbers: Range<u64>) {
        let Some(last) = numbers.end.checked_sub(1).filter(|last| *last >= numbers.start) else { return };
        let (first_block, last_block) = (numbers.start / BLOCK, last / BLOCK);
        let whole_from = if numbers.start.is_multiple_of(BLOCK) { first_block } else { first_block + 1 };
        let whole_to = if last % BLOCK == BLOCK - 1 { last_block + 1 } else { last_block };
        if whole_from < whole_to {
            self.fill(whole_from, whole_to);
        }
        // What is left of the first block and of the last, which may be the same.
        for block in [first_block, last_block] {
            if block < whole_from || block >= whole_to {
                self.change(block, |words| {
                    let start = block * BLOCK;
                    for (place, word) in words.iter_mut().enumerate() {
                        let word_start = start + place as u64 * 64;
                        let from = numbers.start.saturating_sub(word_start);
                        let to = last.checked_sub(word_start);
                        if let Some(to) = to.filter(|_| from < 64) {
                            *word |= (u64::MAX << from) & (u64::MAX >> (63 - to.min(63)));
                        }
                    }
                });
            }
        }
    }

    /// The numbers in it, in order, as ranges that do not touch.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> {
        let mut full =
            self.full.iter().map(|(from, to)| from * BLOCK..=(to - 1) * BLOCK + (BLOCK - 1)).peekable();
        let mut partial =
            self.partial.iter().flat_map(|(block, words)| runs(block * BLOCK, words)).peekable();
        let pieces = std::iter::from_fn(move || match (full.peek(), partial.peek()) {
            (Some(one), Some(other)) if one.start() > other.start() => partial.next(),
            (Some(_), _) => full.next(),
            (None, _) => partial.next(),
        });
        joined(pieces)
    }

    /// The numbers that are in it and not in the other, in order, as ranges that do not touch.
    pub fn without(&self, other: &Self) -> impl Iterator<Item = RangeInclusive<u64>> {
        let mut holes = other.ranges().peekable();
        let mut ranges = self.ranges();
        let mut rest: Option<RangeInclusive<u64>> = None;
        std::iter::from_fn(move || {
            loop {
                let range = rest.take().or_else(|| ranges.next())?;
                let (start, end) = range.into_inner();
                while holes.next_if(|hole| *hole.end() < start).is_some() {}
                let Some(hole) = holes.peek().filter(|hole| *hole.start() <= end) else {
                    return Some(start..=end);
                };
                if *hole.end() < end {
                    rest = Some(hole.end() + 1..=end);
                }
                if start < *hole.start() {
                    return Some(start..=hole.start() - 1);
                }
            }
        })
    }

    /// How many entries it keeps, ranges and bitmaps: what its memory goes by, at about 150 bytes each.
    pub fn entries(&self) -> usize {
        self.full.len() + self.partial.len()
    }

    /// Whether this one can be added without another entry, but for one in the place of a bitmap.
    pub(crate) fn has_block_of(&self, number: u64) -> bool {
        self.partial.contains_key(&(number / BLOCK))
    }

    fn is_full(&self, block: u64) -> bool {
        self.full.range(..=block).next_back().is_some_and(|(_, to)| block < *to)
    }

    /// Changes the bitmap of a block, which may only add numbers, and returns how many it has added.
    fn change(&mut self, block: u64, change: impl FnOnce(&mut [u64; WORDS])) -> u64 {
        if !self.partial.contains_key(&block) && self.is_full(block) {
            return 0;
        }
        let words = self.partial.entry(block).or_insert([0; WORDS]);
        let before = ones(words);
        change(words);
        let after = ones(words);
        self.count += after - before;
        if after == BLOCK {
            self.partial.remove(&block);
            self.join(block, block + 1);
        }
        after - before
    }

    /// Makes all of these blocks full.
    fn fill(&mut self, from: u64, to: u64) {
        let within: Vec<u64> = self.partial.range(from..to).map(|(block, _)| *block).collect();
        for block in within {
            if let Some(words) = self.partial.remove(&block) {
                self.count -= ones(&words);
            }
        }
        let mut added = to - from;
        for (start, end) in self.full.range(..to) {
            let common = (*end).min(to).saturating_sub((*start).max(from));
            added -= common;
        }
        self.count = self.count.saturating_add(added.saturating_mul(BLOCK));
        self.join(from, to);
    }

    /// Adds a range of full blocks, joined with those that it meets.
    fn join(&mut self, mut from: u64, mut to: u64) {
        while let Some((start, end)) = self.full.range(..=to).next_back().map(|(start, end)| (*start, *end)) {
            if end < from {
                break;
            }
            self.full.remove(&start);
            from = from.min(start);
            to = to.max(end);
        }
        self.full.insert(from, to);
    }
}

/// In which word of its block the bit of a number is, and which it is there.
fn place(number: u64) -> (usize, u64) {
    ((number % BLOCK / 64) as usize, 1 << (number % 64))
}

fn bit(number: u64, words: &[u64; WORDS]) -> bool {
    let (word, mask) = place(number);
    words.get(word).is_some_and(|word| word & mask != 0)
}

fn ones(words: &[u64; WORDS]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// The numbers of a bitmap, as ranges; two may touch where a word ends.
fn runs(start: u64, words: &[u64; WORDS]) -> impl Iterator<Item = RangeInclusive<u64>> {
    words.iter().enumerate().flat_map(move |(place, word)| {
        let start = start + place as u64 * 64;
        let mut rest = *word;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let from = rest.trailing_zeros();
            let length = (rest >> from).trailing_ones();
            rest &= !((u64::MAX >> (64 - length)) << from);
            let from = start + u64::from(from);
            Some(from..=from + u64::from(length - 1))
        })
    })
}

/// Ranges in order, those that touch made one.
fn joined(ranges: impl Iterator<Item = RangeInclusive<u64>>) -> impl Iterator<Item = RangeInclusive<u64>> {
    let mut ranges = ranges.peekable();
    std::iter::from_fn(move || {
        let (start, mut end) = ranges.next()?.into_inner();
        while let Some(next) = ranges.next_if(|next| end.checked_add(1) == Some(*next.start())) {
            end = *next.end();
        }
        Some(start..=end)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges(set: &NumberSet) -> Vec<RangeInclusive<u64>> {
        set.ranges().collect()
    }

    #[test]
    fn numbers_in_order_are_one_range() {
        let mut set = NumberSet::new();
        for number in 0..10_000 {
            assert!(set.insert(number));
            assert!(set.entries() <= 2);
        }
        assert!(!set.insert(5));
        assert!(!set.insert(9_999));
        assert_eq!(ranges(&set), [0..=9_999]);
        assert_eq!((set.len(), set.entries()), (10_000, 2));
    }

    #[test]
    fn every_second_number_of_a_million_takes_a_bit_for_each() {
        let mut set = NumberSet::new();
        (0..1_000_000).step_by(2).for_each(|number| assert!(set.insert(number)));
        assert_eq!((set.len(), set.entries()), (500_000, 977));
        assert_eq!(set.ranges().count(), 500_000);
        (1..1_000_000).step_by(2).for_each(|number| assert!(set.insert(number)));
        assert_eq!(ranges(&set), [0..=999_999]);
        assert_eq!(set.entries(), 2);
    }

    #[test]
    fn the_last_numbers_are_numbers_too() {
        let mut set = NumberSet::new();
        assert!(set.insert(u64::MAX));
        assert!(set.insert(u64::MAX - 1));
        set.insert_range(0..1);
        assert_eq!(ranges(&set), [0..=0, u64::MAX - 1..=u64::MAX]);
        set.insert_range(u64::MAX - 3_000..u64::MAX);
        assert_eq!(ranges(&set), [0..=0, u64::MAX - 3_000..=u64::MAX]);
        set.insert_range(0..u64::MAX);
        assert_eq!((ranges(&set), set.len()), (vec![0..=u64::MAX], u64::MAX));
        assert_eq!(set.without(&NumberSet::new()).collect::<Vec<_>>(), [0..=u64::MAX]);
        assert_eq!(set.without(&set).count(), 0);
    }

    #[test]
    fn a_range_that_has_no_numbers_adds_none() {
        let mut set = NumberSet::new();
        set.insert_range(5..5);
        #[expect(clippy::reversed_empty_ranges, reason = "a range that is none")]
        set.insert_range(5..1);
        assert!(set.is_empty());
        assert_eq!(set, NumberSet::default());
    }

    #[derive(Clone, Debug)]
    enum Operation {
        Insert(u64),
        InsertRange(u64, u64),
    }

    fn any_set() -> impl Strategy<Value = Vec<Operation>> {
        // Most numbers lie where blocks and words begin and end.
        let number = || {
            prop_oneof![
                0u64..6_000,
                (0u64..6, 0u64..3).prop_map(|(block, by)| (block * 1_024 + by).saturating_sub(1))
            ]
        };
        let operation = prop_oneof![
            number().prop_map(Operation::Insert),
            (number(), number())
                .prop_map(|(one, other)| Operation::InsertRange(one.min(other), one.max(other))),
            (number(), 0u64..130).prop_map(|(start, length)| Operation::InsertRange(start, start + length)),
        ];
        prop::collection::vec(operation, 0..12)
    }

    fn both(operations: &[Operation]) -> (NumberSet, BTreeSet<u64>) {
        let (mut set, mut model) = (NumberSet::new(), BTreeSet::new());
        for operation in operations {
            match *operation {
                Operation::Insert(number) => assert_eq!(set.insert(number), model.insert(number)),
                Operation::InsertRange(start, end) => {
                    set.insert_range(start..end);
                    model.extend(start..end);
                }
            }
            assert_eq!(set.len(), model.len() as u64);
        }
        (set, model)
    }

    fn assert_ranges(ranges: &[RangeInclusive<u64>], numbers: impl Iterator<Item = u64>) {
        assert!(ranges.iter().cloned().flatten().eq(numbers));
        assert!(ranges.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start()), "{ranges:?}");
    }

    proptest! {
        #[test]
        fn it_is_a_set(operations in any_set(), others in any_set()) {
            let (set, model) = both(&operations);
            assert_ranges(&ranges(&set), model.iter().copied());
            for number in 0..7_000 {
                prop_assert_eq!(set.contains(number), model.contains(&number));
            }
            let (other, other_model) = both(&others);
            let difference: Vec<_> = set.without(&other).collect();
            assert_ranges(&difference, model.difference(&other_model).copied());
        }

        #[test]
        fn the_order_of_insertion_does_not_matter(mut numbers in prop::collection::vec(0u64..3_000, 0..3_000)) {
            let set_of = |numbers: &[u64]| {
                let mut set = NumberSet::new();
                numbers.iter().for_each(|number| { set.insert(*number); });
                set
            };
            let set = set_of(&numbers);
            numbers.sort_unstable();
            prop_assert_eq!(set_of(&numbers), set);
        }
    }
}
