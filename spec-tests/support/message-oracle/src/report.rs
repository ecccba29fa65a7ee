//! What became of messages.

use std::fmt;
use std::ops::RangeInclusive;

/// Of how many mishaps of a kind a report says which they were: the first so many.
pub const FIRST_FEW: usize = 8;

/// How much of an altered text a report shows, in characters.
pub const LONGEST_SAMPLE: usize = 200;

/// Where a message stands.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Its stream.
    pub stream: u32,
    /// Its number there.
    pub number: u64,
}

/// Messages that follow each other.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Run {
    /// Their stream.
    pub stream: u32,
    /// Their numbers there.
    pub numbers: RangeInclusive<u64>,
}

/// What became of messages. All counts are exact; what names the first few is by stream and number for `lost` and `unexpected`, and in
/// the order of arrival for the others.
///
/// `expected = delivered + lost`, and all that arrived is
/// `arrived = delivered + unexpected + duplicated + altered + foreign + over_limit`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Messages that were expected.
    pub expected: u64,
    /// Texts that arrived, whatever they were.
    pub arrived: u64,
    /// Messages that were expected and arrived whole, once or more often.
    pub delivered: u64,
    /// Messages that were expected and did not arrive whole.
    pub lost: u64,
    /// Arrivals of a message that had arrived before.
    pub duplicated: u64,
    /// Messages that arrived after one of a higher number in their stream, as RFC 4737, section 3 has it: one that overtakes ten
    /// others makes ten that are reordered. A duplicate is not counted again.
    pub reordered: u64,
    /// Texts that are no whole messages. Which messages they were is not known; those count as lost unless they arrive whole too.
    pub altered: u64,
    /// Whole messages with another seed.
    pub foreign: u64,
    /// Messages that arrived whole and were not expected.
    pub unexpected: u64,
    /// Whole messages that were not looked at because of a limit of the oracle; those are lost if they were expected.
    pub over_limit: u64,
    /// The first runs of messages that were lost.
    pub first_lost: Vec<Run>,
    /// The first duplicates.
    pub first_duplicated: Vec<Place>,
    /// The first messages that were reordered.
    pub first_reordered: Vec<Place>,
    /// The first texts that were altered, each shortened to 200 characters.
    pub first_altered: Vec<String>,
    /// The first runs of messages that were not expected.
    pub first_unexpected: Vec<Run>,
}

impl Report {
    /// Whether everything that was expected arrived whole, and nothing else but duplicates.
    pub fn is_complete(&self) -> bool {
        self.lost + self.altered + self.foreign + self.unexpected + self.over_limit == 0
    }

    /// Whether it [is complete](Self::is_complete), and everything arrived once and in order.
    pub fn is_exact(&self) -> bool {
        self.is_complete() && self.duplicated + self.reordered == 0
    }
}

impl fmt::Display for Report {
    /// One line of counts, and one for each mishap that there was.
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

/// A text that may hold anything.
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
    fn a_report_says_what_there_was_and_nothing_else() {
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
