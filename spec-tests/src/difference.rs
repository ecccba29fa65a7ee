//! Differences between a result and the expected one.

use std::fmt;

/// A part of a reply that differs from the expected result.
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
///
/// If the expected result is a [choice](crate::Vector::choice), the verdict is `deviates` instead of `fails`,
/// unless a receiver invents a timestamp or a level.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weight {
    /// The difference makes the verdict `deviates`.
    Small,
    /// A part is missing. The difference makes the verdict `fails` if every implementation has to deliver or
    /// send that part, and otherwise `deviates`.
    Lost,
    /// A part is wrong. The difference makes the verdict `fails`.
    Wrong,
}

impl Difference {
    /// Creates a difference with the weight [`Weight::Wrong`].
    pub(crate) fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), expected: expected.into(), found: found.into(), weight: Weight::Wrong }
    }

    /// Sets the weight to [`Weight::Small`].
    pub(crate) fn small(self) -> Self {
        Self { weight: Weight::Small, ..self }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}
