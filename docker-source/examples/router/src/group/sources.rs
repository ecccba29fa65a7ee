//! Keeps the counters of the sources.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docker_source::{Source, Stats, StatsSnapshot, UnavailableLogs};

use crate::gaps::Gaps;

/// The counters of all sources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    all: Arc<Mutex<AllStats>>,
    unrouted: Arc<AtomicU64>,
    copies: Arc<AtomicU64>,
    gaps: Gaps,
    unavailable_logs: UnavailableLogs,
}

#[derive(Debug, Default)]
struct AllStats {
    /// The sources that read, and the ended sources whose counters may still change.
    sources: Vec<SourceStats>,
    /// The sums of the counters of the other sources.
    ended: StatsSnapshot,
    /// The share of the other sources in the result of [`Sources::left_unread`].
    left_unread: u64,
}

/// The counters of one source.
#[derive(Debug)]
struct SourceStats {
    stats: Arc<Stats>,
    reading: Reading,
}

/// Marks a source as reading until all clones but the one of [`Sources`] are dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// True if the source ends because all its routes are removed.
    is_unwanted: Arc<AtomicBool>,
}

impl Reading {
    /// Notes that the source ends because all its routes are removed.
    pub(super) fn unwanted(&self) {
        self.is_unwanted.store(true, Ordering::Relaxed);
    }
}

impl SourceStats {
    fn is_reading(&self) -> bool {
        Arc::strong_count(&self.reading.is_unwanted) > 1
    }

    /// Returns the number of lines that the source has read and that no route wants any more.
    fn left_unread(&self) -> u64 {
        match self.reading.is_unwanted.load(Ordering::Relaxed) {
            true => self.stats.snapshot().total.in_flight,
            false => 0,
        }
    }
}

impl AllStats {
    /// Adds the final counters of ended sources to the sums, and forgets these sources. Otherwise, they would
    /// accumulate in memory with the metadata of all containers, since each added route has a source.
    fn fold(&mut self) {
        let (ended, left_unread) = (&mut self.ended, &mut self.left_unread);
        self.sources.retain(|source| {
            // Once nothing else holds the counters, they are final.
            let is_final = !source.is_reading() && Arc::strong_count(&source.stats) == 1;
            if is_final {
                add(ended, &source.stats.snapshot());
                *left_unread += source.left_unread();
            }
            !is_final
        });
    }

    fn reading(&self) -> impl Iterator<Item = &Arc<Stats>> {
        self.sources.iter().filter(|source| source.is_reading()).map(|source| &source.stats)
    }
}

/// Adds the counters of a source to the sums, without the counters of single containers.
fn add(sum: &mut StatsSnapshot, source: &StatsSnapshot) {
    sum.total += source.total;
    sum.engine_requests += source.engine_requests;
    sum.events_connections += source.events_connections;
    sum.events_bad += source.events_bad;
    sum.list_bad += source.list_bad;
    sum.lists += source.lists;
    sum.list_failures += source.list_failures;
    sum.metadata_cut += source.metadata_cut;
    sum.follower_restarts += source.follower_restarts;
    sum.waiting_for_descriptor += source.waiting_for_descriptor;
}

impl Sources {
    /// Adds a source. The source counts as reading until the returned value is dropped.
    pub(super) fn add(&self, source: &Source) -> Reading {
        let reading = Reading::default();
        self.lock().sources.push(SourceStats { stats: source.stats(), reading: reading.clone() });
        reading
    }

    /// Returns the counters of the sources that read.
    pub(crate) fn reading(&self) -> Vec<Arc<Stats>> {
        self.lock().reading().cloned().collect()
    }

    /// Returns whether the container may exist: true if a source that reads knows the container, or if no
    /// source reads.
    pub(crate) fn know(&self, container_id: &str) -> bool {
        let all = self.lock();
        let mut reading = all.reading().peekable();
        reading.peek().is_none() || reading.any(|stats| stats.knows(container_id))
    }

    /// Returns the number of lines that sources yielded and that no route of their group selected. These
    /// include lines that are selected only by routes that have left the group: the source of the group still
    /// yields such lines.
    pub(crate) fn unrouted(&self) -> u64 {
        self.unrouted.load(Ordering::Relaxed)
    }

    /// Returns the number of copies of lines. If several routes of a group select a line, the line has a copy
    /// for each of these routes after the first.
    pub(crate) fn copies(&self) -> u64 {
        self.copies.load(Ordering::Relaxed)
    }

    /// Returns the last gaps of all sources.
    pub(crate) fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Returns the count of the runs of containers whose log could not be read. All sources share this count.
    pub(super) fn unavailable_logs(&self) -> UnavailableLogs {
        self.unavailable_logs.clone()
    }

    /// Counts a line that this number of routes selected.
    pub(super) fn routed(&self, takers: u64) {
        match takers {
            0 => drop(self.unrouted.fetch_add(1, Ordering::Relaxed)),
            1 => {}
            _ => drop(self.copies.fetch_add(takers - 1, Ordering::Relaxed)),
        }
    }

    /// Returns the number of lines that sources had read and not passed on when all their routes were removed.
    pub(crate) fn left_unread(&self) -> u64 {
        let all = self.lock();
        all.sources.iter().map(SourceStats::left_unread).sum::<u64>() + all.left_unread
    }

    /// Returns the number of lines that were read and are still to be passed on.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sum().total.in_flight.saturating_sub(self.left_unread())
    }

    /// Returns the sums of the counters of all sources, without the counters of single containers.
    pub(crate) fn sum(&self) -> StatsSnapshot {
        let all = self.lock();
        let mut sum = all.ended.clone();
        all.sources.iter().for_each(|source| add(&mut sum, &source.stats.snapshot()));
        sum
    }

    fn lock(&self) -> MutexGuard<'_, AllStats> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.fold();
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};
    use tokio::time::{sleep, timeout};

    use super::*;

    async fn wait_until(mut is_true: impl FnMut() -> bool) {
        let waiting = async {
            while !is_true() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(60), waiting).await.unwrap();
    }

    #[tokio::test]
    async fn the_counters_of_an_ended_source_are_kept_and_its_containers_are_not() {
        let engine = SimulatedEngine::start().await;
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        let sources = Sources::default();
        let connect = async || {
            let address = engine.docker_host().parse().unwrap();
            let source = Source::builder().address(address).connect().await.unwrap();
            let reading = sources.add(&source);
            (source, reading)
        };
        let (mut first, reading) = connect().await;
        web.wait_for_followers(1).await;
        web.line(Stream::Stdout, "one");
        first.next().await.unwrap();
        web.line(Stream::Stdout, "two");
        web.line(Stream::Stdout, "three");
        wait_until(|| sources.in_flight() == 2).await;
        reading.unwanted();
        assert_eq!((sources.in_flight(), sources.left_unread()), (0, 2));
        drop((first, reading));
        wait_until(|| sources.lock().sources.is_empty()).await;
        let sum = sources.sum();
        assert_eq!((sum.total.read, sum.total.yielded, sum.events_connections), (3, 1, 1));
        assert_eq!((sources.in_flight(), sources.left_unread()), (0, 2), "nobody waits for these lines");

        let (second, _reading) = connect().await;
        assert_eq!(sources.reading().len(), 1);
        let stats = second.stats();
        wait_until(|| stats.snapshot().lists > 0).await;
        assert!(sources.know(web.id()));
        web.die();
        web.destroy();
        wait_until(|| !stats.knows(web.id())).await;
        assert!(!sources.know(web.id()));
    }
}
