//! Keeps account of the numbers of one container: the numbers that have arrived, and the missing ranges.

use std::collections::BTreeMap;
use std::fmt;

/// The maximum number of missing ranges that an account stores. The numbers of further missing ranges are
/// only counted.
const RANGES_AT_MOST: usize = 10_000;
/// The maximum number of missing ranges that are printed.
const PRINTED_AT_MOST: usize = 20;

/// The account of one container.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Account {
    received: u64,
    repeated: u64,
    out_of_order: u64,
    /// The highest number that has arrived. Before the first arrival, this is the number before the first
    /// expected number.
    highest: u64,
    missing: u64,
    /// The stored missing ranges: the first number of each range, with the last number.
    ranges: BTreeMap<u64, u64>,
    /// The count of missing numbers that are in no stored range.
    unlisted: u64,
    /// A lower bound of the missing numbers that are in no stored range, if there are such numbers.
    first_unlisted: u64,
}

impl Account {
    /// Creates an account that expects number 1 first.
    pub(super) fn from_one() -> Self {
        Self::default()
    }

    /// Creates an account that expects this number first.
    pub(super) fn from_first(number: u64) -> Self {
        Self { highest: number.saturating_sub(1), ..Self::default() }
    }

    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// Returns the number of stored missing ranges.
    pub(super) fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// Notes that a number has arrived. Stores further missing ranges only if `has_room` is true.
    pub(super) fn take(&mut self, number: u64, has_room: bool) {
        if number > self.highest {
            self.received += 1;
            let (first, last) = (self.highest + 1, number - 1);
            if first <= last {
                self.add_missing(first, last, has_room);
            }
            self.highest = number;
        } else if self.remove_missing(number, has_room) {
            self.received += 1;
            self.out_of_order += 1;
            self.missing -= 1;
        } else {
            self.repeated += 1;
        }
    }

    fn add_missing(&mut self, first: u64, last: u64, has_room: bool) {
        let count = (last - first).saturating_add(1);
        self.missing = self.missing.saturating_add(count);
        if has_room && self.ranges.len() < RANGES_AT_MOST {
            self.ranges.insert(first, last);
        } else {
            self.add_unlisted(first, count);
        }
    }

    /// Counts missing numbers from `first` on that are in no stored range.
    fn add_unlisted(&mut self, first: u64, count: u64) {
        self.first_unlisted = if self.unlisted == 0 { first } else { first.min(self.first_unlisted) };
        self.unlisted = self.unlisted.saturating_add(count);
    }

    /// Removes a number from the missing numbers. Returns false if the number is not missing.
    ///
    /// A number in no stored range can be a missing number that is only counted, or a repeated number. It
    /// counts as missing if it is at least `first_unlisted` and `unlisted` is not 0.
    fn remove_missing(&mut self, number: u64, has_room: bool) -> bool {
        let range = self.ranges.range(..=number).next_back().map(|(first, last)| (*first, *last));
        let Some((first, last)) = range.filter(|(_, last)| number <= *last) else {
            let may_be_missing = self.unlisted > 0 && number >= self.first_unlisted;
            self.unlisted -= u64::from(may_be_missing);
            return may_be_missing;
        };
        self.ranges.remove(&first);
        if first < number {
            self.ranges.insert(first, number - 1);
        }
        if number < last {
            if has_room && self.ranges.len() < RANGES_AT_MOST {
                self.ranges.insert(number + 1, last);
            } else {
                self.add_unlisted(number + 1, last - number);
            }
        }
        true
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} received, {} missing", self.received, self.missing)?;
        for (index, (first, last)) in self.ranges.iter().take(PRINTED_AT_MOST).enumerate() {
            f.write_str(if index == 0 { " (" } else { ", " })?;
            match first == last {
                true => write!(f, "{first}")?,
                false => write!(f, "{first}-{last}")?,
            }
        }
        let has_others = self.ranges.len() > PRINTED_AT_MOST || self.unlisted > 0;
        f.write_str(match (self.ranges.is_empty(), has_others) {
            (true, false) => "",
            (true, true) => " (not listed)",
            (false, false) => ")",
            (false, true) => " and others)",
        })?;
        write!(f, ", {} repeated, {} out of order", self.repeated, self.out_of_order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(numbers: impl IntoIterator<Item = u64>) -> Account {
        let mut account = Account::from_one();
        numbers.into_iter().for_each(|number| account.take(number, true));
        account
    }

    #[test]
    fn a_late_number_shrinks_a_missing_range_and_a_repeated_number_is_counted() {
        let words = |numbers: &[u64]| account(numbers.iter().copied()).to_string();
        assert_eq!(words(&[]), "0 received, 0 missing, 0 repeated, 0 out of order");
        assert_eq!(words(&[1, 2, 3]), "3 received, 0 missing, 0 repeated, 0 out of order");
        assert_eq!(words(&[2, 6]), "2 received, 4 missing (1, 3-5), 0 repeated, 0 out of order");
        assert_eq!(words(&[2, 6, 4]), "3 received, 3 missing (1, 3, 5), 0 repeated, 1 out of order");
        assert_eq!(words(&[2, 6, 4, 4, 1, 3, 5, 0, 6]), "6 received, 0 missing, 3 repeated, 4 out of order");
        assert_eq!(
            words(&[u64::MAX]),
            "1 received, 18446744073709551614 missing (1-18446744073709551614), 0 repeated, 0 out of order"
        );
    }

    #[test]
    fn ranges_are_bounded_and_the_count_of_missing_numbers_is_exact() {
        let account = account((0..30_000).map(|n| 2 * n + 2));
        assert_eq!((account.received, account.missing, account.ranges.len()), (30_000, 30_000, 10_000));
        assert!(account.to_string().contains(", 39 and others), "), "{account}");
    }

    #[test]
    fn numbers_in_no_stored_range_are_counted() {
        let mut account = Account::from_one();
        account.take(3, false);
        assert_eq!(account.to_string(), "1 received, 2 missing (not listed), 0 repeated, 0 out of order");
        account.take(9, true);
        assert_eq!(account.to_string(), "2 received, 7 missing (4-8 and others), 0 repeated, 0 out of order");
    }

    #[test]
    fn late_numbers_that_split_a_range_keep_the_ranges_bounded_and_the_count_of_missing_numbers_exact() {
        let account = account([1, 1_000_000_000].into_iter().chain((0..30_000).map(|n| 2 * n + 3)));
        assert_eq!((account.received, account.repeated, account.ranges.len()), (30_002, 0, 10_000));
        assert_eq!(account.missing, 1_000_000_000 - 30_002);
        let listed: u64 = account.ranges.iter().map(|(first, last)| last - first + 1).sum();
        assert_eq!(listed + account.unlisted, account.missing);
    }

    #[test]
    fn a_late_number_of_a_range_that_is_not_stored_is_no_longer_missing() {
        let mut account = account((0..10_002).map(|n| 2 * n + 2));
        assert_eq!((account.missing, account.unlisted), (10_002, 2));
        // The numbers 2 and 20,000 are lower than each number that is only counted.
        for number in [2, 20_000, 20_003, 20_001, 20_003] {
            account.take(number, true);
        }
        assert_eq!((account.missing, account.unlisted), (10_000, 0));
        assert_eq!((account.received, account.out_of_order, account.repeated), (10_004, 2, 3));
    }
}
