//! Reports of an oracle.

use std::fmt;

/// Maximum number of events of a kind that a report lists.
pub(crate) const FIRST_FEW: usize = 8;

/// Maximum length of an altered text in a report, in characters.
pub(crate) const LONGEST_SAMPLE: usize = 200;

/// Report of an oracle. All counts are exact. The `Display` form also lists the first eight events of each
/// kind.
///
/// `expected = delivered + lost`, and, without overflow, `arrived = delivered + unexpected + duplicated +
/// altered`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
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
    /// 3: if a message overtakes ten others, these ten are reordered. Duplicates are not counted.
    pub reordered: u64,
    /// Texts that are not intact messages with the oracle's seed. A message that arrives altered counts as
    /// lost unless it also arrives intact.
    pub altered: u64,
    /// Intact messages that were not expected.
    pub unexpected: u64,
    /// Expected and arrived messages beyond the limit of the oracle. These messages were not compared.
    pub overflowed: u64,
    pub(crate) first_lost: Vec<String>,
    pub(crate) first_duplicated: Vec<String>,
    pub(crate) first_reordered: Vec<String>,
    pub(crate) first_altered: Vec<String>,
    pub(crate) first_unexpected: Vec<String>,
}

impl Report {
    /// Returns whether every expected message arrived intact, and nothing else arrived except duplicates.
    pub fn is_complete(&self) -> bool {
        self.lost + self.altered + self.unexpected + self.overflowed == 0
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
        for (name, count, first) in [
            ("lost", self.lost, &self.first_lost),
            ("duplicated", self.duplicated, &self.first_duplicated),
            ("reordered", self.reordered, &self.first_reordered),
            ("altered", self.altered, &self.first_altered),
            ("unexpected", self.unexpected, &self.first_unexpected),
        ] {
            if count > 0 {
                write!(out, "\n{count} {name}: {}", first.join(", "))?;
            }
        }
        if self.overflowed > 0 {
            write!(out, "\n{} beyond the limit of the oracle, not compared", self.overflowed)?;
        }
        Ok(())
    }
}
