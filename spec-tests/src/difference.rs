//! Differences between a result and the expected one.

use std::fmt;

/// One point in which a reply differs from the expected result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Name of the compared part, such as a member.
    pub what: String,
    /// Expected value.
    pub expected: String,
    /// Found value.
    pub found: String,
    /// Effect on the verdict.
    pub weight: Weight,
}

/// Weight of a [`Difference`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weight {
    /// The result is a deviation.
    Small,
    /// A part is missing, and the result is a failure if the input is valid GELF.
    Lost,
    /// A part is wrong, and the result is a failure.
    Wrong,
}

impl Difference {
    pub(crate) fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), expected: expected.into(), found: found.into(), weight: Weight::Wrong }
    }

    /// Makes the difference a deviation.
    pub(crate) fn small(self) -> Self {
        Self { weight: Weight::Small, ..self }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}
