//! Counts the runs whose log several sources could not read.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::ContainerId;

/// The maximum number of containers that are kept. They take about 1 MiB. If more containers have logs that
/// cannot be read, a source that connects later counts the runs of the oldest ones again.
const CONTAINERS_MAX: usize = 4096;

/// The runs of containers whose log could not be read. Sources that
/// [share](crate::SourceBuilder::unavailable_logs) this value count each run once in all, in
/// [`LineCounts::unavailable_logs`](crate::LineCounts::unavailable_logs) of the source that was first.
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
    /// Adds a run that a source could not read, and returns whether it was not counted yet. `own` is the
    /// number of the last such run of this container for this source. The first run of a source is the run
    /// that another source has counted last: if the container had been started since, the other source would
    /// have counted the later run.
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
