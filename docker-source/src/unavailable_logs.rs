//! Counts the runs whose log cannot be read. Several sources can share the count, so that each run counts
//! once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::ContainerId;

/// The maximum number of containers whose runs are kept. This number of containers takes about 1 MiB. If more
/// containers have logs that cannot be read, a source that connects later counts runs of the oldest
/// containers again.
const CONTAINERS_MAX: usize = 4096;

/// The runs of containers whose log could not be read. Several sources can
/// [share](crate::SourceBuilder::unavailable_logs) this value. Only the first source that cannot read the log
/// of a run then counts the run, in its
/// [`LineCounts::unavailable_logs`](crate::LineCounts::unavailable_logs).
///
/// Clones share the runs. The runs of the last 4,096 containers are kept.
#[derive(Clone, Debug, Default)]
pub struct UnavailableLogs {
    runs: Arc<Mutex<Runs>>,
}

#[derive(Debug, Default)]
struct Runs {
    /// The number of runs of each container that were counted.
    counted: HashMap<ContainerId, u64>,
    /// The containers, in the order of their first count.
    order: VecDeque<ContainerId>,
}

impl UnavailableLogs {
    /// Adds a run whose log a source could not read. Returns whether no source has counted this run before.
    ///
    /// The unreadable runs of a container have numbers. `own` is the number of the last run that this source
    /// has added, or `None`. If another source has already counted runs of the container, the first run that
    /// this source adds gets the number of the last of those runs, because it is the same run: if the container
    /// had been started again since then, the other source would have counted the later run, too.
    pub(crate) fn count(&self, id: &ContainerId, own: &mut Option<u64>) -> bool {
        let runs = &mut *self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = runs.counted.get(id).copied();
        let number = match *own {
            Some(last) => last + 1,
            None => counted.unwrap_or(1),
        };
        *own = Some(number);
        if counted >= Some(number) {
            return false;
        }
        if runs.counted.insert(id.clone(), number).is_none() {
            runs.order.push_back(id.clone());
            if runs.order.len() > CONTAINERS_MAX {
                runs.order.pop_front().and_then(|oldest| runs.counted.remove(&oldest));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ContainerId {
        ContainerId::parse(&format!("{number:064x}")).unwrap()
    }

    #[test]
    fn a_run_is_counted_once_however_many_sources_cannot_read_it() {
        let logs = UnavailableLogs::default();
        let [mut one, mut two, mut three] = [None; 3];
        assert!(logs.count(&id(1), &mut one), "the first run");
        assert!(!logs.clone().count(&id(1), &mut two));
        assert!(logs.count(&id(1), &mut two), "the second run");
        assert!(!logs.count(&id(1), &mut one));
        assert!(!logs.count(&id(1), &mut three), "a source that connects during the second run");
        assert!(logs.count(&id(1), &mut three), "the third run, when the other sources have ended");
        assert!(logs.count(&id(2), &mut None), "another container");
    }

    #[test]
    fn the_runs_of_at_most_4096_containers_are_kept() {
        let logs = UnavailableLogs::default();
        (0..5_000).for_each(|number| assert!(logs.count(&id(number), &mut None)));
        let runs = logs.runs.lock().unwrap();
        assert_eq!((runs.counted.len(), runs.order.len()), (4_096, 4_096));
    }
}
