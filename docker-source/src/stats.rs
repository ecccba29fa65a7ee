//! The accounts: how many lines were read, and where each of them is.
//!
//! The figures of a container change together under a lock of its own, which nobody else holds for long. Independent
//! atomics would be as fast, but between two of them the sums would not hold.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::{ContainerId, EngineClient};

/// What was counted of one container, or of all.
///
/// At every moment `read = yielded + skipped_empty + skipped_repeated + skipped_old + in_flight`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Lines that were read, each time that the Engine sent them.
    pub read: u64,
    /// Lines that [`Source::next`](crate::Source::next) handed out.
    pub yielded: u64,
    /// Lines with nothing but white space in them; they are not handed out.
    pub skipped_empty: u64,
    /// Lines that had been read before: the Engine sends some again when its log is asked for anew, Docker 20.10 also
    /// when it rotates its files.
    pub skipped_repeated: u64,
    /// Lines that came when a log was asked for anew, and are older than all that is remembered of their stream. They
    /// were read before, as far as the order of the stamps tells. More than 65,536 lines of one stream in a second
    /// make such lines, and a clock that was set back.
    pub skipped_old: u64,
    /// Lines that are read and wait to be handed out.
    pub in_flight: u64,
    /// Lines of which only the beginning was kept, because they were longer than a line may be.
    pub truncated: u64,
    /// Frames that were not as Docker writes them. Each ends its request, and the next one resumes.
    pub bad_frames: u64,
    /// Requests for the log.
    pub requests: u64,
    /// Those of the requests that resumed an earlier one or looked for what it had left out.
    pub resumes: u64,
    /// Starts of the container at which its log driver could not be read (status 501).
    pub unreadable: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.yielded += other.yielded;
        self.skipped_empty += other.skipped_empty;
        self.skipped_repeated += other.skipped_repeated;
        self.skipped_old += other.skipped_old;
        self.in_flight += other.in_flight;
        self.truncated += other.truncated;
        self.bad_frames += other.bad_frames;
        self.requests += other.requests;
        self.resumes += other.resumes;
        self.unreadable += other.unreadable;
    }
}

/// The counts of one container.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ContainerCounts {
    /// The container's id.
    pub id: Arc<str>,
    /// What was counted of it.
    pub counts: Counts,
}

/// All figures at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The sum over all containers, including those that are no more.
    pub total: Counts,
    /// Each container whose log was asked for and that still exists or has lines in flight, ordered by id.
    pub containers: Vec<ContainerCounts>,
    /// Requests of all kinds that were sent to the Engine.
    pub engine_requests: u64,
    /// Times that the stream of events was opened: one more than it was lost.
    pub events_connections: u64,
    /// Events that could not be read.
    pub events_bad: u64,
    /// Entries of the list of containers that could not be read.
    pub list_bad: u64,
    /// Times that a list of all containers was compared with what is followed.
    pub lists: u64,
    /// Followers that ended by a panic and were started again.
    pub follower_restarts: u64,
}

/// The accounts of a [`Source`](crate::Source); they outlive it.
#[derive(Debug)]
pub struct Stats {
    client: EngineClient,
    containers: Mutex<Containers>,
    events_connections: AtomicU64,
    events_bad: AtomicU64,
    list_bad: AtomicU64,
    lists: AtomicU64,
    follower_restarts: AtomicU64,
}

#[derive(Debug, Default)]
struct Containers {
    known: HashMap<ContainerId, Arc<ContainerStats>>,
    /// Containers that are no more, but may have lines in flight.
    leaving: Vec<(ContainerId, Arc<ContainerStats>)>,
    /// The sum over all that are neither.
    left: Counts,
}

impl Containers {
    /// Those without lines in flight become part of the sum, so that a host's many short-lived containers do not
    /// add up in memory.
    fn fold(&mut self) {
        let left = &mut self.left;
        self.leaving.retain(|(_, stats)| {
            let counts = stats.counts();
            if counts.in_flight == 0 {
                *left += counts;
            }
            counts.in_flight > 0
        });
    }
}

impl Stats {
    pub(crate) fn new(client: EngineClient) -> Self {
        Self {
            client,
            containers: Mutex::default(),
            events_connections: AtomicU64::new(0),
            events_bad: AtomicU64::new(0),
            list_bad: AtomicU64::new(0),
            lists: AtomicU64::new(0),
            follower_restarts: AtomicU64::new(0),
        }
    }

    /// All figures as they are now. Those of one container are of the same moment.
    pub fn snapshot(&self) -> Snapshot {
        let mut all = lock(&self.containers);
        all.fold();
        let mut total = all.left;
        let leaving = all.leaving.iter().map(|(id, stats)| (id, stats));
        let mut containers: Vec<_> = all
            .known
            .iter()
            .chain(leaving)
            .map(|(id, stats)| ContainerCounts { id: id.to_shared(), counts: stats.counts() })
            .filter(|container| container.counts != Counts::default())
            .collect();
        drop(all);
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        for container in &containers {
            total += container.counts;
        }
        let figure = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Snapshot {
            total,
            containers,
            engine_requests: self.client.requests(),
            events_connections: figure(&self.events_connections),
            events_bad: figure(&self.events_bad),
            list_bad: figure(&self.list_bad),
            lists: figure(&self.lists),
            follower_restarts: figure(&self.follower_restarts),
        }
    }

    /// The account of a container, opened when there is none.
    pub(crate) fn container(&self, id: &ContainerId) -> Arc<ContainerStats> {
        lock(&self.containers).known.entry(id.clone()).or_default().clone()
    }

    /// The container is no more; its account closes when its last line is handed out.
    pub(crate) fn forget(&self, id: &ContainerId) {
        let mut all = lock(&self.containers);
        if let Some(stats) = all.known.remove(id) {
            all.leaving.push((id.clone(), stats));
        }
        all.fold();
    }

    pub(crate) fn events_connected(&self) {
        self.events_connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bad_events(&self, count: u64) {
        self.events_bad.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn listed(&self, bad: u64) {
        self.list_bad.fetch_add(bad, Ordering::Relaxed);
        self.lists.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn follower_restarted(&self) {
        self.follower_restarts.fetch_add(1, Ordering::Relaxed);
    }
}

/// The account of one container.
#[derive(Debug, Default)]
pub(crate) struct ContainerStats(Mutex<Counts>);

impl ContainerStats {
    pub(crate) fn counts(&self) -> Counts {
        *lock(&self.0)
    }

    pub(crate) fn request(&self, resumes: bool) {
        let mut counts = lock(&self.0);
        counts.requests += 1;
        counts.resumes += u64::from(resumes);
    }

    pub(crate) fn bad_frame(&self) {
        lock(&self.0).bad_frames += 1;
    }

    pub(crate) fn unreadable(&self) {
        lock(&self.0).unreadable += 1;
    }

    pub(crate) fn skipped_empty(&self) {
        let mut counts = lock(&self.0);
        counts.read += 1;
        counts.skipped_empty += 1;
    }

    pub(crate) fn skipped_repeated(&self) {
        let mut counts = lock(&self.0);
        counts.read += 1;
        counts.skipped_repeated += 1;
    }

    pub(crate) fn skipped_old(&self) {
        let mut counts = lock(&self.0);
        counts.read += 1;
        counts.skipped_old += 1;
    }

    pub(crate) fn queued(&self, truncated: bool) {
        let mut counts = lock(&self.0);
        counts.read += 1;
        counts.in_flight += 1;
        counts.truncated += u64::from(truncated);
    }

    pub(crate) fn yielded(&self) {
        let mut counts = lock(&self.0);
        counts.in_flight = counts.in_flight.saturating_sub(1);
        counts.yielded += 1;
    }
}

/// Counting goes on even where somebody panicked while it counted.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineAddress, Limits};
    use std::time::Duration;

    fn stats() -> Stats {
        let limits = Limits { headers: Duration::ZERO, body: Duration::ZERO };
        Stats::new(EngineClient::new(EngineAddress::Unix("/none".into()), limits))
    }

    #[test]
    fn the_equation_holds_after_every_step() {
        let stats = stats();
        let id = ContainerId::parse("0123456789ab").unwrap();
        let container = stats.container(&id);
        let steps: [fn(&ContainerStats); 9] = [
            |c| c.queued(false),
            ContainerStats::skipped_empty,
            |c| c.queued(true),
            ContainerStats::yielded,
            ContainerStats::skipped_repeated,
            ContainerStats::skipped_old,
            ContainerStats::yielded,
            |c| c.request(true),
            ContainerStats::bad_frame,
        ];
        for step in steps {
            step(&container);
            let total = stats.snapshot().total;
            assert_eq!(
                total.read,
                total.yielded
                    + total.skipped_empty
                    + total.skipped_repeated
                    + total.skipped_old
                    + total.in_flight
            );
        }
        let total = stats.snapshot().total;
        assert_eq!((total.read, total.yielded, total.truncated, total.in_flight), (5, 2, 1, 0));
        assert_eq!((total.requests, total.resumes, total.bad_frames), (1, 1, 1));
    }

    #[test]
    fn a_container_that_is_no_more_stays_in_the_total_and_leaves_the_list_with_its_last_line() {
        let stats = stats();
        let id = ContainerId::parse("0123456789ab").unwrap();
        let container = stats.container(&id);
        container.queued(false);
        stats.forget(&id);
        assert_eq!(stats.snapshot().containers.len(), 1);
        assert_eq!(stats.snapshot().total.in_flight, 1);
        container.yielded();
        let after = stats.snapshot();
        assert_eq!(after.containers, []);
        assert_eq!((after.total.read, after.total.yielded, after.total.in_flight), (1, 1, 0));
        assert_eq!(lock(&stats.containers).leaving.len(), 0);
    }
}
