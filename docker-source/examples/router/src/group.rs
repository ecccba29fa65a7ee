//! Groups of routes that read from one source.
//!
//! A second reader of a log costs the Engine as much as the first. Therefore routes share a source as long as
//! they keep pace. A route leaves its group if its destination does not take a line within a second and the
//! group has other routes. Once the destination takes lines again, the route reads from a separate source,
//! which starts behind the last line that the destination took. Thus no destination delays another, and
//! Docker's log files serve as the buffer of each destination. A route never returns to its group, because
//! this would require code that joins two streams.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docker_source::{EngineAddress, LineCounts, Record, Source, Start, Stats, Timing};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use crate::deliver::Delivery;
use crate::failure::Failure;
use crate::route::Route;
use crate::settlement::{Settlement, SharedProgress};
use crate::stop::Stop;
use crate::tally::Tally;

/// The time after which the router ends if a mounted socket file refuses connections. A restart policy then
/// mounts the new socket file.
const STALE_SOCKET: Duration = Duration::from_secs(5 * 60);
/// The time for which a group waits for one of its routes; after it, the route counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// A route with its delivery.
pub(crate) struct RouteQueue {
    /// The name of the route in the state folder.
    pub(crate) name: String,
    pub(crate) route: Route,
    pub(crate) delivery: Delivery,
    pub(crate) tally: Arc<Tally>,
    pub(crate) progress: SharedProgress,
}

/// The parts that all groups share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) address: EngineAddress,
    pub(crate) stop: Stop,
    pub(crate) sources: Sources,
    /// Is notified when the progress of a route starts.
    pub(crate) route_started: Arc<Notify>,
    /// Takes the routes that leave their group. Each route leaves at most once, so the queue is bounded.
    pub(crate) leaving: UnboundedSender<LeavingRoute>,
}

/// The counters of all sources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    stats: Arc<Mutex<Vec<Arc<Stats>>>>,
    unrouted: Arc<AtomicU64>,
}

impl Sources {
    fn add(&self, source: &Source) {
        self.lock().push(source.stats());
    }

    /// Returns whether the container may exist: true if a source knows the container, or if there is no
    /// source yet.
    pub(crate) fn know(&self, container_id: &str) -> bool {
        let sources = self.lock();
        sources.is_empty() || sources.iter().any(|stats| stats.knows(container_id))
    }

    /// Returns the number of lines that a source yielded and that none of its remaining routes selected. A
    /// route that has left the source had selected these lines.
    pub(crate) fn unrouted(&self) -> u64 {
        self.unrouted.load(Ordering::Relaxed)
    }

    /// Returns the sum of the counters of all sources.
    pub(crate) fn total(&self) -> LineCounts {
        let mut total = LineCounts::default();
        for stats in self.lock().iter() {
            total += stats.snapshot().total;
        }
        total
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Stats>>> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A route that has left its group, with the line that its destination does not take.
pub(crate) struct LeavingRoute {
    queue: RouteQueue,
    record: Arc<Record>,
    settlement: Settlement,
}

impl LeavingRoute {
    /// Waits until the destination takes the line, and then reads the lines behind this line.
    ///
    /// # Errors
    /// Returns the errors of [`run`].
    pub(crate) async fn run(self, mut shared: Shared) -> Result<Vec<RouteQueue>, Failure> {
        let Self { mut queue, record, settlement } = self;
        if shared.stop.unless_over(queue.delivery.send(&record, settlement)).await.is_none() {
            return Ok(vec![queue]);
        }
        drop(record);
        let start = queue.progress.read_positions().map_or(Start::Now, Start::At);
        run(vec![queue], start, shared).await
    }
}

/// Reads lines and passes them to the routes until the router stops. Lines that were read before the stop are
/// still passed on. Returns the routes that have not left the group.
///
/// # Errors
/// Returns an error if the Engine refuses the router, or if the source ends before the router stops.
pub(crate) async fn run(
    mut routes: Vec<RouteQueue>,
    start: Start,
    mut shared: Shared,
) -> Result<Vec<RouteQueue>, Failure> {
    let mut timing = Timing::default();
    timing.stale_socket = Some(STALE_SOCKET);
    let selecting: Vec<_> = routes.iter().map(|queue| queue.route.clone()).collect();
    let source = Source::builder()
        .address(shared.address.clone())
        .timing(timing)
        .start(start)
        .select(move |container| selecting.iter().any(|route| route.takes(container)))
        .connect();
    let Some(source) = shared.stop.unless_asked(source).await else { return Ok(routes) };
    let mut source = source.map_err(Failure::refused)?;
    shared.sources.add(&source);
    for queue in &routes {
        queue.progress.start(source.start());
    }
    shared.route_started.notify_one();
    let mut stopping = false;
    loop {
        let record = tokio::select! {
            record = source.next() => record.map_err(Failure::refused)?,
            () = shared.stop.asked(), if !stopping => {
                stopping = true;
                source.stop();
                continue;
            }
        };
        let Some(record) = record else {
            return match stopping {
                true => Ok(routes),
                false => Err(Failure::refused("reading from the Engine ended early")),
            };
        };
        if !pass(&Arc::new(record), &mut routes, &mut shared).await {
            return Ok(routes);
        }
    }
}

/// Passes a record to the routes that select its container. Returns false once the grace period is over.
async fn pass(record: &Arc<Record>, routes: &mut Vec<RouteQueue>, shared: &mut Shared) -> bool {
    // All routes count the record before the first route sends it. If the grace period ends while a route
    // sends the record, the record is in flight on all routes.
    let mut takes = Vec::with_capacity(routes.len());
    for queue in routes.iter() {
        let is_taken = queue.route.takes(record.container());
        if is_taken {
            queue.tally.routed();
        }
        takes.push(is_taken);
    }
    shared.sources.unrouted.fetch_add(u64::from(!takes.contains(&true)), Ordering::Relaxed);
    let mut index = 0;
    for is_taken in takes {
        let has_others = routes.len() > 1;
        let Some(queue) = routes.get_mut(index) else { break };
        let settlement = queue.progress.read(record);
        index += 1;
        if !is_taken {
            settlement.settle();
            continue;
        }
        let sending = queue.delivery.send(record, settlement.clone());
        let taken = match has_others {
            true => shared.stop.unless_over(timeout(STALLED_AFTER, sending)).await,
            false => shared.stop.unless_over(sending).await.map(Ok),
        };
        match taken {
            None => return false,
            Some(Ok(())) => {}
            Some(Err(_)) => {
                index -= 1;
                let queue = routes.remove(index);
                let destination = queue.route.to_string();
                tracing::warn!(
                    destination,
                    "the destination takes no lines; the other routes go on without it"
                );
                let leaving = LeavingRoute { queue, record: record.clone(), settlement };
                // The receiver lives as long as the router runs.
                let _ = shared.leaving.send(leaving);
            }
        }
    }
    true
}
