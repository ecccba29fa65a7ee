//! Counts lines and requests.
//!
//! Each container has a lock, under which all of its counters change together. No thread holds the lock for
//! long. Independent atomics would be as fast, but a reader could see the counters between two changes, and
//! the sum in `LineCounts` would be wrong.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gelf_core::Timestamp;
use tokio::sync::watch;

use crate::container::Container;
use crate::engine::{ContainerId, EngineClient};
use crate::follow_state::FollowState;
use crate::unavailable_logs::UnavailableLogs;

/// The counters of one container, or their sum over all containers.
///
/// At every moment `read = yielded + skipped_empty + skipped_repeated + skipped_old + in_flight`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct LineCounts {
    /// Lines that were read. A line counts again each time that the Engine sends it again.
    pub read: u64,
    /// Lines that the [`Source`](crate::Source) yielded.
    pub yielded: u64,
    /// Lines that were skipped because they are empty or only white space.
    pub skipped_empty: u64,
    /// Lines that were skipped because they had been read before. The Engine sends some lines again when a
    /// log is requested again. Docker 20.10 also sends lines again when it rotates its files.
    pub skipped_repeated: u64,
    /// Lines that were skipped because they are older than all remembered lines of their stream, and arrived
    /// when a log was requested again. By the order of the stamps, these lines were read before. They occur
    /// when one stream has more than 65,536 lines in a second, or when the clock was set back.
    pub skipped_old: u64,
    /// Lines that were read and are not yielded yet.
    pub in_flight: u64,
    /// [Gaps](crate::Gap): places where lines may be missing. A record announces each gap. This record counts
    /// as a line that was read.
    pub gaps: u64,
    /// Lines that were cut. A line is cut if it is longer than 1 MiB. It is also cut if it is longer than 64
    /// KiB and the long lines of all containers have used up the memory that they share.
    pub truncated: u64,
    /// Violations of Docker's log format. Most violations end their request, and the next request resumes the
    /// log.
    pub bad_frames: u64,
    /// Requests for the log.
    pub requests: u64,
    /// Requests that follow the log and come after an earlier request for the log.
    pub resumes: u64,
    /// Requests that read the log up to its present end and do not follow it. They read a log whose lines arrive
    /// fast, catch up with a log, or prove that a request that follows the log has omitted no line.
    pub windows: u64,
    /// Runs of a container whose log could not be read, or could not be read to its end, so that lines may be
    /// missing:
    ///
    /// * the container was removed before its log was open (status 404 or 409), for example while it waited
    ///   for a file descriptor;
    /// * its log driver does not support reading (status 501);
    /// * the Engine refused the log for another reason: five times in a row, or until the container was
    ///   removed;
    /// * the Engine did not answer within [`Timing::catch_up`](crate::Timing::catch_up).
    ///
    /// In the last two cases, the log is requested again as long as the container exists. If a later request
    /// succeeds, the lines are read.
    ///
    /// If several sources share [`UnavailableLogs`], only one of them counts a run.
    pub unavailable_logs: u64,
    /// Logs that were not read up to the present when the source was [stopped](crate::Source::stop). Possibly
    /// their last lines are unread.
    pub unread_logs: u64,
}

impl AddAssign for LineCounts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.yielded += other.yielded;
        self.skipped_empty += other.skipped_empty;
        self.skipped_repeated += other.skipped_repeated;
        self.skipped_old += other.skipped_old;
        self.in_flight += other.in_flight;
        self.gaps += other.gaps;
        self.truncated += other.truncated;
        self.bad_frames += other.bad_frames;
        self.requests += other.requests;
        self.resumes += other.resumes;
        self.windows += other.windows;
        self.unavailable_logs += other.unavailable_logs;
        self.unread_logs += other.unread_logs;
    }
}

/// The values of all counters. The values of one container are from one moment; other values can be from slightly
/// different moments.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct StatsSnapshot {
    /// The sum over all containers, including removed containers.
    pub total: LineCounts,
    /// The counters of each container, by id, as long as the container exists or has lines in flight. Containers
    /// whose counters are all 0 are left out.
    pub containers: BTreeMap<String, LineCounts>,
    /// Requests of all kinds that were sent to the Engine.
    pub engine_requests: u64,
    /// The number of times that the event stream was opened: once at first, and once after each loss.
    pub events_connections: u64,
    /// Unreadable events. After an unreadable event, the source lists all containers, since the event
    /// possibly reported the start of a container.
    pub events_bad: u64,
    /// Unreadable entries of the list of containers. The source reads the other entries of the list.
    pub list_bad: u64,
    /// The number of times that a complete list of all containers was compared with the followed containers.
    pub lists: u64,
    /// The number of times that a list of all containers failed: the request failed, or the end of the list
    /// is missing. After a failure, the source requests the list again.
    pub list_failures: u64,
    /// Containers of which only a part of the metadata is kept, because their labels, arguments or environment
    /// are too long.
    pub metadata_cut: u64,
    /// Followers that panicked and were started again.
    pub follower_restarts: u64,
    /// Containers that wait for a file descriptor for the stream of their log or for another request.
    /// Meanwhile, their logs are read in turn.
    pub waiting_for_descriptor: u64,
}

/// The status of a container that a [`Source`](crate::Source) knows, at one moment. [`Stats::containers`]
/// returns the status of all such containers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ContainerStatus {
    /// The metadata of the container.
    pub container: Arc<Container>,
    /// The state in which the log of the container is read.
    pub state: FollowState,
    /// The counters of the container.
    pub counts: LineCounts,
    /// The latest stamp of the lines that were read and not skipped.
    pub last_line: Option<Timestamp>,
    /// The latest stamp of the lines that the [`Source`](crate::Source) yielded.
    pub last_yielded: Option<Timestamp>,
    /// The time since which lines wait to be yielded, or `None` if no line is in flight. It is the later of
    /// two stamps: the latest stamp of the lines that were yielded, and the stamp of the last line that found
    /// no other line in flight when it was read.
    pub waiting_since: Option<Timestamp>,
}

/// The counters of a [`Source`](crate::Source). They can be read after the source was dropped.
///
/// # Examples
///
/// ```no_run
/// # fn example(source: &docker_source::Source) {
/// let total = source.stats().snapshot().total;
/// println!("{} lines read, {} yielded, {} in flight", total.read, total.yielded, total.in_flight);
/// # }
/// ```
#[derive(Debug)]
pub struct Stats {
    client: EngineClient,
    containers: Mutex<Containers>,
    events_connections: AtomicU64,
    events_bad: AtomicU64,
    list_bad: AtomicU64,
    lists: AtomicU64,
    list_failures: AtomicU64,
    metadata_cut: AtomicU64,
    follower_restarts: AtomicU64,
    waiting_for_descriptor: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Containers {
    known: HashMap<ContainerId, Arc<ContainerStats>>,
    /// Removed containers that possibly still have lines in flight.
    leaving: Vec<(ContainerId, Arc<ContainerStats>)>,
    /// The sum over the removed containers that are not in `leaving`.
    left: LineCounts,
}

impl Containers {
    /// Adds the counters of removed containers without lines in flight to the sum `left`, and forgets these
    /// containers. Otherwise, the many short-lived containers of a host would accumulate in memory.
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
            list_failures: AtomicU64::new(0),
            metadata_cut: AtomicU64::new(0),
            follower_restarts: AtomicU64::new(0),
            waiting_for_descriptor: watch::Sender::new(0),
        }
    }

    /// Returns the current values. The values of one container are from the same moment.
    pub fn snapshot(&self) -> StatsSnapshot {
        let mut all = lock(&self.containers);
        all.fold();
        let mut total = all.left;
        let leaving = all.leaving.iter().map(|(id, stats)| (id, stats));
        let mut containers = BTreeMap::<String, LineCounts>::new();
        for (id, stats) in all.known.iter().chain(leaving) {
            *containers.entry(id.to_string()).or_default() += stats.counts();
        }
        drop(all);
        containers.retain(|_, counts| *counts != LineCounts::default());
        for counts in containers.values() {
            total += *counts;
        }
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StatsSnapshot {
            total,
            containers,
            engine_requests: self.client.requests(),
            events_connections: load(&self.events_connections),
            events_bad: load(&self.events_bad),
            list_bad: load(&self.list_bad),
            lists: load(&self.lists),
            list_failures: load(&self.list_failures),
            metadata_cut: load(&self.metadata_cut),
            follower_restarts: load(&self.follower_restarts),
            waiting_for_descriptor: *self.waiting_for_descriptor.borrow(),
        }
    }

    /// Returns the status of each container whose state is known, in no particular order. Removed containers
    /// are left out.
    pub fn containers(&self) -> Vec<ContainerStatus> {
        let known: Vec<_> = lock(&self.containers).known.values().cloned().collect();
        known.iter().filter_map(|stats| stats.status()).collect()
    }

    /// Returns false if the Engine no longer has the container with this id. Returns true until the first
    /// complete list of containers is read.
    pub fn knows(&self, id: &str) -> bool {
        self.lists.load(Ordering::Acquire) == 0
            || ContainerId::parse(id).is_some_and(|id| lock(&self.containers).known.contains_key(&id))
    }

    /// Returns the counters of a container, and creates them if there are none.
    pub(crate) fn container(&self, id: &ContainerId) -> Arc<ContainerStats> {
        lock(&self.containers).known.entry(id.clone()).or_default().clone()
    }

    /// Handles the removal of a container. Its counters become part of the sum when its last line is yielded.
    pub(crate) fn forget(&self, id: &ContainerId) {
        let mut all = lock(&self.containers);
        if let Some(stats) = all.known.remove(id) {
            all.leaving.push((id.clone(), stats));
        }
        all.fold();
    }

    /// Counts logs that were not read up to their present ends before the source ended.
    pub(crate) fn unread_logs(&self, logs: u64) {
        lock(&self.containers).left.unread_logs += logs;
    }

    /// Counts a container as one that waits for a file descriptor, until the result is dropped.
    pub(crate) fn wait_for_descriptor(self: &Arc<Self>) -> WaitingContainer {
        self.waiting_for_descriptor.send_modify(|number| *number += 1);
        WaitingContainer(self.clone())
    }

    /// Returns a receiver of the number of containers that wait for a file descriptor.
    pub(crate) fn waiting(&self) -> watch::Receiver<u64> {
        self.waiting_for_descriptor.subscribe()
    }

    pub(crate) fn events_connected(&self) {
        self.events_connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bad_events(&self, count: u64) {
        self.events_bad.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn bad_list_elements(&self, count: u64) {
        self.list_bad.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts a list that was applied and has not broken off.
    pub(crate) fn listed(&self) {
        self.lists.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn list_failed(&self) {
        self.list_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a container whose metadata are cut.
    pub(crate) fn metadata_cut(&self) {
        self.metadata_cut.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn follower_restarted(&self) {
        self.follower_restarts.fetch_add(1, Ordering::Relaxed);
    }
}

/// A container that waits for a file descriptor.
#[derive(Debug)]
pub(crate) struct WaitingContainer(Arc<Stats>);

impl Drop for WaitingContainer {
    fn drop(&mut self) {
        self.0.waiting_for_descriptor.send_modify(|number| *number -= 1);
    }
}

/// The counters of one container, and the state in which its log is read.
#[derive(Debug, Default)]
pub(crate) struct ContainerStats {
    lines: Mutex<Lines>,
    reading: Mutex<Option<(Arc<Container>, FollowState)>>,
}

#[derive(Debug, Default)]
struct Lines {
    counts: LineCounts,
    last: Option<Timestamp>,
    last_yielded: Option<Timestamp>,
    /// The stamp of the last line that found no other line in flight when it was read.
    busy_since: Option<Timestamp>,
    /// The number of the last run whose log could not be read, as [`UnavailableLogs`] numbers these runs.
    last_unavailable: Option<u64>,
}

impl ContainerStats {
    pub(crate) fn counts(&self) -> LineCounts {
        lock(&self.lines).counts
    }

    /// Sets the present metadata of the container. Also sets the state in which its log is read, unless
    /// `state` is `None`.
    pub(crate) fn note(&self, container: &Arc<Container>, state: Option<FollowState>) {
        let reading = &mut *lock(&self.reading);
        if let Some(state) = state.or_else(|| reading.as_ref().map(|(_, state)| *state)) {
            *reading = Some((container.clone(), state));
        }
    }

    fn status(&self) -> Option<ContainerStatus> {
        let (container, state) = lock(&self.reading).clone()?;
        let Lines { counts, last: last_line, last_yielded, busy_since, .. } = *lock(&self.lines);
        let waiting_since = busy_since.max(last_yielded).filter(|_| counts.in_flight > 0);
        Some(ContainerStatus { container, state, counts, last_line, last_yielded, waiting_since })
    }

    pub(crate) fn request(&self, resumes: bool) {
        let counts = &mut lock(&self.lines).counts;
        counts.requests += 1;
        counts.resumes += u64::from(resumes);
    }

    pub(crate) fn window(&self) {
        let counts = &mut lock(&self.lines).counts;
        counts.requests += 1;
        counts.windows += 1;
    }

    pub(crate) fn bad_frame(&self) {
        lock(&self.lines).counts.bad_frames += 1;
    }

    /// Counts a run of the container `id` whose log cannot be read, unless another source has counted it.
    pub(crate) fn unavailable_log(&self, id: &ContainerId, shared: &UnavailableLogs) {
        let lines = &mut *lock(&self.lines);
        let is_new = shared.count(id, &mut lines.last_unavailable);
        lines.counts.unavailable_logs += u64::from(is_new);
    }

    pub(crate) fn gap(&self) {
        lock(&self.lines).counts.gaps += 1;
    }

    pub(crate) fn skipped_empty(&self) {
        let counts = &mut lock(&self.lines).counts;
        counts.read += 1;
        counts.skipped_empty += 1;
    }

    pub(crate) fn skipped_repeated(&self) {
        let counts = &mut lock(&self.lines).counts;
        counts.read += 1;
        counts.skipped_repeated += 1;
    }

    pub(crate) fn skipped_old(&self) {
        let counts = &mut lock(&self.lines).counts;
        counts.read += 1;
        counts.skipped_old += 1;
    }

    /// Counts a line with this stamp as read and in flight.
    pub(crate) fn queued(&self, time: Timestamp, truncated: bool) {
        let lines = &mut *lock(&self.lines);
        lines.last = lines.last.max(Some(time));
        let counts = &mut lines.counts;
        if counts.in_flight == 0 {
            lines.busy_since = Some(time);
        }
        counts.read += 1;
        counts.in_flight += 1;
        counts.truncated += u64::from(truncated);
    }

    pub(crate) fn yielded(&self, time: Timestamp) {
        let lines = &mut *lock(&self.lines);
        lines.last_yielded = lines.last_yielded.max(Some(time));
        let counts = &mut lines.counts;
        counts.in_flight = counts.in_flight.saturating_sub(1);
        counts.yielded += 1;
    }
}

/// Locks the mutex, even if another thread panicked while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineAddress, Limits};
    use std::time::Duration;

    fn stats() -> Stats {
        let limits = Limits { headers: Duration::ZERO, log: Duration::ZERO, body: Duration::ZERO };
        Stats::new(EngineClient::new(EngineAddress::Unix("/none".into()), limits))
    }

    #[test]
    fn lines_read_are_the_sum_of_lines_yielded_skipped_and_in_flight_after_every_step() {
        let stats = stats();
        let id = ContainerId::parse("0123456789ab").unwrap();
        let container = stats.container(&id);
        let steps: [fn(&ContainerStats); 9] = [
            |c| c.queued(Timestamp::UNIX_EPOCH, false),
            ContainerStats::skipped_empty,
            |c| c.queued(Timestamp::UNIX_EPOCH, true),
            |c| c.yielded(Timestamp::UNIX_EPOCH),
            ContainerStats::skipped_repeated,
            ContainerStats::skipped_old,
            |c| c.yielded(Timestamp::UNIX_EPOCH),
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
    fn lines_wait_since_the_last_yielded_line_and_not_since_a_line_before_a_quiet_time() {
        let stats = stats();
        let container = stats.container(&ContainerId::parse("0123456789ab").unwrap());
        container.note(&Arc::new(Container::builder("web").build()), Some(FollowState::Followed));
        let at = |second| Timestamp::from_unix(second, 0).unwrap();
        let since = || stats.containers()[0].waiting_since;
        assert_eq!(since(), None);
        container.queued(at(10), false);
        container.yielded(at(10));
        assert_eq!(since(), None);
        container.queued(at(3600), false);
        container.queued(at(3610), false);
        assert_eq!(since(), Some(at(3600)));
        container.queued(at(3620), false);
        container.yielded(at(3600));
        container.yielded(at(3610));
        assert_eq!(since(), Some(at(3610)));
    }

    #[test]
    fn a_removed_container_counts_in_the_total_and_leaves_the_list_of_containers() {
        let stats = stats();
        let id = ContainerId::parse("0123456789ab").unwrap();
        let container = stats.container(&id);
        container.queued(Timestamp::UNIX_EPOCH, false);
        stats.forget(&id);
        assert_eq!(stats.snapshot().containers.len(), 1);
        assert_eq!(stats.snapshot().total.in_flight, 1);
        container.yielded(Timestamp::UNIX_EPOCH);
        let after = stats.snapshot();
        assert!(after.containers.is_empty());
        assert_eq!((after.total.read, after.total.yielded, after.total.in_flight), (1, 1, 0));
        assert_eq!(lock(&stats.containers).leaving.len(), 0);
    }
}
