//! Keeps conditions for the health check, which reports each condition that does not hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The failure of a condition: the time of the first error since the condition last held, and the text of the last
/// error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    pub(crate) since: Instant,
    /// The last error, on one line.
    pub(crate) error: String,
}

/// A condition, such as "the state folder can be written". It holds until a failure is noted. Clones share
/// the condition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition(Arc<Mutex<Option<Problem>>>);

impl Condition {
    /// Notes a failure. If the condition already does not hold, the time of its first failure is kept.
    pub(crate) fn failed(&self, error: impl ToString) {
        let problem = &mut *self.lock();
        let since = problem.as_ref().map_or_else(Instant::now, |problem| problem.since);
        *problem = Some(Problem { since, error: error.to_string() });
    }

    /// Notes that the condition holds again.
    pub(crate) fn holds(&self) {
        *self.lock() = None;
    }

    /// Returns the problem, if the condition does not hold.
    pub(crate) fn problem(&self) -> Option<Problem> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Problem>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
