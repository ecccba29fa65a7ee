//! Reports of an oracle.

use std::fmt;
use std::ops::RangeInclusive;

/// Maximum number of events of a kind that a report lists.
pub const FIRST_FEW: usize = 8;

/// Maximum length of an altered text in a report, in characters.
pub const LONGEST_SAMPLE: usize = 200;

/// Position of a message.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Stream.
    pub stream: u32,
    /// Number in the stream.
    pub number: u64,
}

/// Consecutive messages.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Run {
    /// Stream.
    pub stream: u32,
    /// Numbers in the stream.
    pub numbers: RangeInclusive<u64>,
}

/// Report of an oracle. All counts are exact. The first `lost` and `unexpected` runs are sorted by stream and
/// number, the other lists by order of arrival.
///
/// `expected = delivered + lost`, and `arrived = delivered + unexpected + duplicated + altered + foreign +
/// over_limit`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Expected messages.
    pub expected: u64,
    /// Arrived texts of any kind.
    pub arrived: u64,
    /// Expected messages that arrived intact, at least once.
    pub delivered: u64,
    /// Expected messages that did not arrive intact.
    pub lost: u64,
    /// Repeated arrivals.
    pub duplicated: u64,
    /// Messages that arrived after one with a higher number in their stream, as defined in RFC 4737, section
    /// 3: a message that overtakes ten others makes ten reordered ones. Duplicates are not counted.
    pub reordered: u64,
    /// Texts that are not intact messages. Their messages are unknown and count as lost unless they arrive
    /// intact, too.
    pub altered: u64,
    /// Intact messages with another seed.
    pub foreign: u64,
    /// Intact messages that were not expected.
    pub unexpected: u64,
    /// Intact messages ignored because of a limit of the oracle. They are lost if they were expected.
    pub over_limit: u64,
    /// First runs of lost messages.
    pub first_lost: Vec<Run>,
    /// First duplicates.
    pub first_duplicated: Vec<Place>,
    /// First reordered messages.
    pub first_reordered: Vec<Place>,
    /// First altered texts, shortened to 200 characters.
    pub first_altered: Vec<String>,
    /// First runs of unexpected messages.
    pub first_unexpected: Vec<Run>,
}

impl Report {
    /// Returns whether every expected message arrived intact, and nothing else except duplicates.
    pub fn is_complete(&self) -> bool {
        self.lost + self.altered + self.foreign + self.unexpected + self.over_limit == 0
    }

    /// Returns whether the report [is complete](Self::is_complete), and every message arrived once and in
    /// order.
    pub fn is_exact(&self) -> bool {
        self.is_complete() && self.duplicated + self.reordered == 0
    }
}

impl fmt::Display for Report {
    /// Writes a line of counts, and a line for each kind of event that occurred.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} expected, {} arrived, {} delivered", self.expected, self.arrived, self.delivered)?;
        line(out, "lost", self.lost, &self.first_lost)?;
        line(out, "duplicated", self.duplicated, &self.first_duplicated)?;
        line(out, "reordered", self.reordered, &self.first_reordered)?;
        line(out, "altered", self.altered, &self.first_altered.iter().map(Quoted).collect::<Vec<_>>())?;
        line(out, "unexpected", self.unexpected, &self.first_unexpected)?;
        line::<Place>(out, "foreign", self.foreign, &[])?;
        line::<Place>(out, "over the limit", self.over_limit, &[])
    }
}

fn line<T: fmt::Display>(out: &mut fmt::Formatter<'_>, name: &str, count: u64, first: &[T]) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    write!(out, "\n{count} {name}")?;
    for (place, one) in first.iter().enumerate() {
        write!(out, "{} {one}", if place == 0 { ":" } else { "," })?;
    }
    Ok(())
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.stream, self.number)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.numbers.start(), self.numbers.end());
        write!(out, "{}.{first}", self.stream)?;
        if first == last { Ok(()) } else { write!(out, "-{last}") }
    }
}

/// Quotes an arbitrary text.
struct Quoted<'a>(&'a String);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_lists_only_events_that_occurred() {
        let mut report = Report { expected: 3, arrived: 3, delivered: 3, ..Report::default() };
        assert_eq!(report.to_string(), "3 expected, 3 arrived, 3 delivered");
        assert!(report.is_exact());
        report.duplicated = 1;
        report.first_duplicated = vec![Place { stream: 0, number: 2 }];
        assert!(report.is_complete() && !report.is_exact());
        report.lost = 6;
        report.first_lost = vec![Run { stream: 0, numbers: 4..=8 }, Run { stream: 1, numbers: 9..=9 }];
        report.altered = 1;
        report.first_altered = vec!["a\n".into()];
        report.foreign = 2;
        assert!(!report.is_complete());
        assert_eq!(
            report.to_string(),
            "3 expected, 3 arrived, 3 delivered\n6 lost: 0.4-8, 1.9\n1 duplicated: 0.2\n1 altered: \"a\\n\"\n2 foreign"
        );
    }
}
