//! Notices parts of the router that make no progress: a source whose lines are not passed on, a route whose
//! destination takes nothing, a log that the Engine does not open, and a list of containers that the Engine
//! does not return.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use docker_source::FollowState;
use tokio::time::{MissedTickBehavior, interval};

use super::Api;

/// The time without progress after which a part counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// The time between two readings of the counters.
const INTERVAL: Duration = Duration::from_secs(1);

/// A part of the router that can stall.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Part {
    /// The log of the container with this name, which the Engine has to open.
    Log(String),
    /// The list of containers of the source with this index.
    Lists(usize),
    /// The route with this id.
    Route(String),
    /// The source with this index.
    Source(usize),
}

/// The work of a part: the number of finished items, and the number of waiting items.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Work {
    pub(super) done: u64,
    pub(super) waiting: u64,
}

/// The last noted work of each part, and the time of its last progress.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<HashMap<Part, (Work, Instant)>>);

impl Progress {
    /// Notes the counters of all parts at the time `now`. Forgets the parts that are not in `parts`.
    fn note(&self, parts: impl IntoIterator<Item = (Part, Work)>, now: Instant) {
        let last = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut noted = HashMap::new();
        for (part, work) in parts {
            let since = match last.get(&part) {
                Some((before, since)) if before.done == work.done && work.waiting > 0 => *since,
                _ => now,
            };
            noted.insert(part, (work, since));
        }
        *last = noted;
    }

    /// Returns the stalled parts, each with the number of waiting items and the time of its last progress.
    pub(super) fn stalled(&self, now: Instant) -> Vec<(Part, u64, Instant)> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stalled = parts.iter().filter(|(_, (work, since))| {
            work.waiting > 0 && now.saturating_duration_since(*since) >= STALLED_AFTER
        });
        stalled.map(|(part, (work, since))| (part.clone(), work.waiting, *since)).collect()
    }
}

/// Notes the counters of the sources and routes once a second.
pub(super) async fn watch(api: Arc<Api>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lists = HashMap::new();
    loop {
        ticks.tick().await;
        let mut parts = Vec::new();
        for (index, stats) in api.sources.reading().iter().enumerate() {
            let snapshot = stats.snapshot();
            let total = snapshot.total;
            parts.push((Part::Source(index), Work { done: total.yielded, waiting: total.in_flight }));
            let opening =
                stats.containers().into_iter().filter(|status| status.state == FollowState::Opening);
            parts.extend(opening.map(|status| {
                let work = Work { done: status.counts.read, waiting: 1 };
                (Part::Log(status.container.name().to_owned()), work)
            }));
            // Only failures since the last successful list count as waiting.
            let failures = lists.entry(index).or_insert((snapshot.lists, snapshot.list_failures));
            if failures.0 != snapshot.lists {
                *failures = (snapshot.lists, snapshot.list_failures);
            }
            let waiting = snapshot.list_failures.saturating_sub(failures.1);
            parts.push((Part::Lists(index), Work { done: snapshot.lists, waiting }));
        }
        for route in api.registry.routes() {
            let figures = route.tally.figures();
            let work = Work { done: figures.done(), waiting: figures.waiting() };
            parts.push((Part::Route(route.id), work));
        }
        api.progress.note(parts, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_wait_for_five_seconds_without_progress_are_stalled() {
        let (progress, start) = (Progress::default(), Instant::now());
        let part = || Part::Source(0);
        let at = |second| start + Duration::from_secs(second);
        let note = |done, waiting, second| {
            progress.note([(part(), Work { done, waiting })], at(second));
            progress.stalled(at(second))
        };
        // A part in which nothing waits is not stalled.
        assert_eq!(note(7, 0, 0), []);
        assert_eq!(note(7, 0, 60), []);
        // A part that makes progress is not stalled, even if many lines wait.
        assert_eq!(note(7, 9, 61), []);
        assert_eq!(note(8, 9, 65), []);
        assert_eq!(note(8, 9, 69), []);
        assert_eq!(note(8, 10, 70), [(part(), 10, at(65))]);
        assert_eq!(note(9, 10, 71), []);
        progress.note([], at(99));
        assert_eq!(progress.stalled(at(99)), []);
    }
}
