//! A set of numbers as ranges.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

/// A set of numbers, kept as ranges that do not touch. Consecutive numbers therefore take next to no memory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct NumberSet {
    /// The first and the last number of each range.
    ranges: BTreeMap<u64, u64>,
}

impl NumberSet {
    /// Returns the number of elements, at most `u64::MAX`.
    pub(crate) fn len(&self) -> u64 {
        self.ranges()
            .fold(0, |sum, range| sum.saturating_add((range.end() - range.start()).saturating_add(1)))
    }

    /// Returns whether the set contains a number.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.range_at(number).is_some_and(|(_, last)| number <= last)
    }

    /// Returns whether a number extends a range of the set, so that adding it does not add a range.
    pub(crate) fn touches(&self, number: u64) -> bool {
        let before = self.range_at(number).is_some_and(|(_, last)| last.saturating_add(1) >= number);
        before || number.checked_add(1).is_some_and(|next| self.ranges.contains_key(&next))
    }

    /// Adds a number.
    pub(crate) fn insert(&mut self, number: u64) {
        self.insert_inclusive(number, number);
    }

    /// Adds a range of numbers, which may be empty.
    pub(crate) fn insert_range(&mut self, numbers: Range<u64>) {
        if let Some(last) = numbers.end.checked_sub(1).filter(|last| *last >= numbers.start) {
            self.insert_inclusive(numbers.start, last);
        }
    }

    /// Returns the ranges in order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> {
        self.ranges.iter().map(|(first, last)| *first..=*last)
    }

    /// Returns the number of ranges.
    pub(crate) fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// Returns the numbers that are not in the other set, in order, as ranges that do not touch.
    pub(crate) fn without(&self, other: &Self) -> impl Iterator<Item = RangeInclusive<u64>> {
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

    /// Returns the last range that starts at or before a number.
    fn range_at(&self, number: u64) -> Option<(u64, u64)> {
        self.ranges.range(..=number).next_back().map(|(first, last)| (*first, *last))
    }

    fn insert_inclusive(&mut self, mut first: u64, mut last: u64) {
        // Merge all ranges that overlap or touch, from the last to the first.
        while let Some((start, end)) = self.range_at(last.saturating_add(1)) {
            if end.saturating_add(1) < first {
                break;
            }
            self.ranges.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.ranges.insert(first, last);
    }
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
    fn consecutive_numbers_are_one_range() {
        let mut set = NumberSet::default();
        (0..10_000).for_each(|number| set.insert(number));
        set.insert(5);
        assert_eq!((ranges(&set), set.len()), (vec![0..=9_999], 10_000));
    }

    #[test]
    fn the_largest_numbers_are_handled() {
        let mut set = NumberSet::default();
        set.insert(u64::MAX);
        assert!(set.touches(u64::MAX - 1));
        set.insert(u64::MAX - 1);
        set.insert_range(0..1);
        assert_eq!(ranges(&set), [0..=0, u64::MAX - 1..=u64::MAX]);
        set.insert_range(0..u64::MAX);
        assert_eq!((ranges(&set), set.len()), (vec![0..=u64::MAX], u64::MAX));
        assert_eq!(set.without(&NumberSet::default()).collect::<Vec<_>>(), [0..=u64::MAX]);
        assert_eq!(set.without(&set).count(), 0);
    }

    #[test]
    fn an_empty_range_adds_nothing() {
        let mut set = NumberSet::default();
        set.insert_range(5..5);
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range")]
        set.insert_range(5..1);
        assert_eq!(set, NumberSet::default());
    }

    /// Builds a set and its model.
    fn both(ranges: &[(u64, u64)]) -> (NumberSet, BTreeSet<u64>) {
        let (mut set, mut model) = (NumberSet::default(), BTreeSet::new());
        for (start, length) in ranges {
            let touches = set.touches(*start);
            let before = set.range_count();
            if *length == 1 {
                set.insert(*start);
                assert_eq!(set.range_count() > before, !touches);
            } else {
                set.insert_range(*start..start + length);
            }
            model.extend(*start..start + length);
            assert_eq!(set.len(), model.len() as u64);
        }
        (set, model)
    }

    fn assert_ranges(ranges: &[RangeInclusive<u64>], numbers: impl Iterator<Item = u64>) {
        assert!(ranges.iter().cloned().flatten().eq(numbers));
        assert!(ranges.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start()), "{ranges:?}");
    }

    fn any_ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0u64..200, prop_oneof![Just(1u64), 0u64..40]), 0..30)
    }

    proptest! {
        #[test]
        fn the_set_equals_its_model(one in any_ranges(), other in any_ranges()) {
            let (set, model) = both(&one);
            assert_ranges(&ranges(&set), model.iter().copied());
            for number in 0..250 {
                prop_assert_eq!(set.contains(number), model.contains(&number));
            }
            let (other, other_model) = both(&other);
            let difference: Vec<_> = set.without(&other).collect();
            assert_ranges(&difference, model.difference(&other_model).copied());
        }
    }
}
