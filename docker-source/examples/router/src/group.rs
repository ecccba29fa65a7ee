//! Runs groups of routes. The routes of a group read from one source.
//!
//! A second reader of a log costs the Engine as much as the first. Therefore routes share a source as long as
//! they keep pace. A route leaves its group if it has held up other routes for 250 ms, see [`HoldUp`]. Once
//! the destination of such a route has taken all lines that were read for the route, the route reads from a
//! separate source, which starts behind the last of these lines. Thus a destination delays others only for a
//! short time, and Docker's log files serve as the buffer of each destination. A route never returns to its
//! group, because this would require code that joins two streams.

mod sources;

use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use docker_source::{EngineAddress, LogFiles, Record, Source, Start, Timing};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::deliver::Delivery;
use crate::failure::Failure;
use crate::hold_up::{HoldUp, Ticks};
use crate::lines::LineStage;
use crate::registry::Removal;
use crate::route::{Decisions, Route};
use crate::settlement::SharedProgress;
use crate::stop::Stop;
use crate::tally::Tally;
use crate::task::task;

use self::sources::Reading;
pub(crate) use self::sources::Sources;

/// The time after which the router ends if the Engine's socket file is mounted without its folder and refuses
/// connections. An Engine that restarts makes a new socket file, which such a mount does not show. If the last Engine
/// that answered was Docker, the router ends immediately. When Docker then restarts the router's container, the
/// container gets the new socket file.
const STALE_SOCKET: Duration = Duration::from_secs(5 * 60);
/// The expected time until a route that has left its group gets lines from its new source. The time limits of open
/// messages are prolonged by this time, since the new lines may continue these messages.
const CATCH_UP: Duration = Duration::from_secs(5);
/// A wait for destinations prolongs the time limit of open messages only if it takes at least this time. A
/// message is open while further lines may continue it.
const NOTICEABLE: Duration = Duration::from_millis(10);

/// A route with its delivery.
pub(crate) struct RouteQueue {
    /// The name of the route in the state folder.
    pub(crate) name: String,
    pub(crate) route: Route,
    pub(crate) decisions: Decisions,
    pub(crate) lines: LineStage,
    pub(crate) delivery: Delivery,
    pub(crate) tally: Arc<Tally>,
    pub(crate) progress: SharedProgress,
    pub(crate) removal: Removal,
    pub(crate) hold_up: HoldUp,
}

impl RouteQueue {
    /// Sends completed messages until the destination does not take the next message immediately.
    async fn send_at_once(&mut self) {
        tokio::select! {
            biased;
            () = send(&mut self.lines, &mut self.delivery, &self.tally) => {}
            () = ready(()) => {}
        }
    }

    /// Returns whether completed messages wait because the destination has not taken them.
    fn is_full(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Sends all messages, including the open messages that further lines might continue.
    async fn drain(mut self) {
        self.lines.flush();
        send(&mut self.lines, &mut self.delivery, &self.tally).await;
    }

    /// Returns whether the route takes the line.
    fn takes(&mut self, record: &Record) -> bool {
        self.decisions.takes(&self.route, record)
    }
}

/// Sends the completed messages.
///
/// # Cancel safety
/// If the future is dropped before it completes, a message that is not sent stays the first message.
async fn send(lines: &mut LineStage, delivery: &mut Delivery, tally: &Tally) {
    while let Some((message, content)) = lines.first() {
        delivery.send(message, content).await;
        tally.handed(message.lines());
        lines.pop();
    }
}

/// The parts that all groups share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) address: EngineAddress,
    /// The files of the logs, if they are to be read instead of the Engine's responses.
    pub(crate) log_files: Option<LogFiles>,
    pub(crate) stop: Stop,
    pub(crate) sources: Sources,
    /// Notifies a task that the progress of a route has started.
    pub(crate) route_started: Arc<Notify>,
    /// Takes the routes that leave their group. Each route leaves at most once, so the queue is bounded.
    pub(crate) leaving: UnboundedSender<LeavingRoute>,
    /// Receives a new value at each removal of a route.
    pub(crate) removals: watch::Receiver<u64>,
    pub(crate) ticks: Ticks,
}

/// A route that has left its group, with the messages that its destination has not taken yet.
pub(crate) struct LeavingRoute {
    queue: RouteQueue,
    /// The time since which no line has been read for the route.
    since: Instant,
}

impl LeavingRoute {
    /// Waits until the destination has taken the messages. Then reads the lines behind the last line that was
    /// read for the route. Reads nothing if the grace period is over or the route is removed before that.
    ///
    /// # Errors
    /// Returns the errors of [`run`].
    pub(crate) async fn run(self, mut shared: Shared) -> Result<Vec<RouteQueue>, Failure> {
        let Self { mut queue, since } = self;
        let sending = send(&mut queue.lines, &mut queue.delivery, &queue.tally);
        if shared.stop.unless_over(sending).await.is_none() {
            return Ok(vec![queue]);
        }
        if queue.removal.is_asked() {
            shared.stop.unless_over(queue.drain()).await;
            return Ok(Vec::new());
        }
        queue.lines.delay(since.elapsed() + CATCH_UP);
        let start = queue.progress.read_positions().map_or(Start::Now, Start::At);
        run(vec![queue], start, shared).await
    }
}

/// Reads lines and passes them to the routes until the router stops, or until all routes are removed. Lines that
/// were read before the stop are still passed on, until the grace period is over. Returns the routes that have
/// neither left the group nor been removed.
///
/// # Errors
/// Returns an error if the Engine refuses the router, or if the source ends before the router stops.
pub(crate) async fn run(
    mut routes: Vec<RouteQueue>,
    start: Start,
    mut shared: Shared,
) -> Result<Vec<RouteQueue>, Failure> {
    let result = match connect(&routes, start, &mut shared).await {
        Some(Ok((source, reading))) => {
            let result = read(source, &mut routes, &mut shared).await;
            if routes.is_empty() {
                reading.unwanted();
            }
            result
        }
        Some(Err(error)) => Err(error),
        None => {
            remove(&mut routes);
            Ok(())
        }
    };
    // The source has ended, so no further line continues the open messages.
    routes.iter_mut().for_each(|queue| queue.lines.flush());
    deliver(&mut routes, &mut shared).await;
    result.map(|()| routes)
}

/// Connects the source of a group. The source counts as reading while the second value of the result exists.
/// Returns `None` if the router stops or all routes are removed before the source is connected.
async fn connect(
    routes: &[RouteQueue],
    start: Start,
    shared: &mut Shared,
) -> Option<Result<(Source, Reading), Failure>> {
    let mut timing = Timing::default();
    timing.stale_socket = Some(STALE_SOCKET);
    if let Some(latency) = routes.iter().filter_map(|queue| queue.route.latency).min() {
        timing.latency = latency;
    }
    let selecting: Vec<_> = routes.iter().map(|queue| queue.route.clone()).collect();
    let mut source = Source::builder()
        .address(shared.address.clone())
        .timing(timing)
        .start(start)
        .unavailable_logs(shared.sources.unavailable_logs())
        .select(move |container| selecting.iter().any(|route| route.takes(container)));
    if let Some(files) = shared.log_files.clone() {
        source = source.log_files(files);
    }
    let connecting = async {
        tokio::select! {
            connected = source.connect() => Some(connected),
            () = all_removed(routes, shared.removals.clone()) => None,
        }
    };
    let source = match shared.stop.unless_asked(connecting).await?? {
        Ok(source) => source,
        Err(error) => return Some(Err(Failure::refused(error))),
    };
    let reading = shared.sources.add(&source);
    for queue in routes {
        queue.progress.start(source.start());
    }
    shared.route_started.notify_one();
    Some(Ok((source, reading)))
}

/// Waits until all routes are removed.
async fn all_removed(routes: &[RouteQueue], mut removals: watch::Receiver<u64>) {
    while !routes.iter().all(|queue| queue.removal.is_asked()) {
        if removals.changed().await.is_err() {
            return pending().await;
        }
    }
}

/// Reads lines and passes them to the routes. Ends when the router has stopped and the source has no further
/// line, when the grace period is over, or when all routes are removed.
///
/// # Errors
/// Returns an error if the source fails or ends before the router stops.
async fn read(mut source: Source, routes: &mut Vec<RouteQueue>, shared: &mut Shared) -> Result<(), Failure> {
    let mut stopping = false;
    loop {
        if !stopping && shared.stop.is_asked() {
            stopping = true;
            source.stop();
        }
        // A busy source always has a line, so the removals are not left to the `select` below.
        if routes.iter().any(|queue| queue.removal.is_asked()) {
            remove(routes);
            if routes.is_empty() {
                return Ok(());
            }
        }
        let due = routes.iter().filter_map(|queue| queue.lines.due()).min();
        // A line that was already read may continue a message that is due. Therefore, the line is handled
        // before the message expires.
        let record = tokio::select! {
            biased;
            record = source.next() => Some(record.map_err(Failure::refused)?),
            () = shared.stop.asked(), if !stopping => continue,
            Ok(()) = shared.removals.changed() => continue,
            () = until(due), if due.is_some() => None,
        };
        match record {
            Some(Some(record)) => {
                route(&Arc::new(record), routes, shared);
                // The lines that have been read already are sent together.
                for record in std::iter::from_fn(|| source.try_next()) {
                    route(&Arc::new(record), routes, shared);
                }
            }
            Some(None) if stopping => return Ok(()),
            Some(None) => return Err(Failure::refused("reading from the Engine ended early")),
            None => {}
        }
        if let Some(due) = due {
            let now = now();
            if due <= now {
                routes.iter_mut().for_each(|queue| queue.lines.expire(now));
            }
        }
        if !deliver(routes, shared).await {
            return Ok(());
        }
    }
}

/// Takes the removed routes out of the group. A separate task sends the messages of each removed route.
fn remove(routes: &mut Vec<RouteQueue>) {
    let (removed, kept): (Vec<_>, _) =
        std::mem::take(routes).into_iter().partition(|queue| queue.removal.is_asked());
    *routes = kept;
    removed.into_iter().for_each(|queue| drop(tokio::spawn(task(queue.drain()))));
}

/// Returns the time by tokio's clock, which tests can move.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => pending().await,
    }
}

/// Adds a record to the lines of each route that takes the record.
fn route(record: &Arc<Record>, routes: &mut [RouteQueue], shared: &Shared) {
    // All routes count the record before the first route sends the record. Thus the record counts as in
    // flight on all routes, even if the grace period ends while the first route sends.
    let mut takers = 0;
    for queue in routes {
        let settlement = queue.progress.read(record);
        if queue.takes(record) {
            takers += 1;
            queue.tally.routed(record.time());
            queue.lines.push(record, settlement, now);
        } else {
            settlement.settle();
        }
    }
    shared.sources.routed(takers);
    if let Some(gap) = record.gap() {
        shared.sources.gaps().add(record.container(), gap);
    }
}

/// Sends the completed messages of all routes. A route that holds up the others for too long leaves the group.
/// Returns false if the grace period ends before all messages are sent.
async fn deliver(routes: &mut Vec<RouteQueue>, shared: &mut Shared) -> bool {
    // The time is needed only for the time limits of open messages. Without open messages, the clock is not
    // read here, since reading it for each batch of lines takes processor time.
    let since = routes.iter().any(|queue| queue.lines.due().is_some()).then(Instant::now);
    for queue in routes.iter_mut() {
        queue.send_at_once().await;
    }
    while routes.iter().any(RouteQueue::is_full) {
        if shared.stop.unless_over(send_or_hold_up(routes, shared.ticks)).await.is_none() {
            return false;
        }
        let stays = |queue: &RouteQueue| !(queue.is_full() && queue.hold_up.is_too_long());
        while let Some(index) = routes.iter().position(|queue| !stays(queue)) {
            let queue = routes.remove(index);
            let destination = queue.route.to_string();
            tracing::warn!(destination, "the destination is full; the other routes go on without it");
            // This cannot fail, since the receiver lives as long as the router runs.
            let _ = shared.leaving.send(LeavingRoute { queue, since: since.unwrap_or_else(Instant::now) });
        }
    }
    // While this function waited, lines that continue the open messages may have waited in the source.
    if let Some(waited) = since.map(|since| since.elapsed()).filter(|waited| *waited >= NOTICEABLE) {
        routes.iter_mut().for_each(|queue| queue.lines.delay(waited));
    }
    true
}

/// Sends the completed messages of all routes together, and waits until all are sent, or until a full route has held
/// up the others for too long.
async fn send_or_hold_up(routes: &mut [RouteQueue], ticks: Ticks) {
    let has_others = routes.len() > 1;
    let mut routes: Vec<_> = routes.iter_mut().map(Sending::new).collect();
    loop {
        tokio::select! {
            biased;
            () = poll_fn(|context| poll_all(&mut routes, context)) => return,
            () = sleep_until(ticks.after(Instant::now())), if has_others => {}
        }
        if routes.iter().any(Sending::is_idle) {
            let now = Instant::now();
            let mut is_too_long = false;
            for route in routes.iter_mut().filter(|route| route.sending.is_some()) {
                route.hold_up.sample(now);
                is_too_long |= route.hold_up.is_too_long();
            }
            if is_too_long {
                return;
            }
        }
    }
}

/// A route that sends its completed messages.
struct Sending<'a> {
    /// `None` once the destination has taken all completed messages.
    sending: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
    tally: &'a Tally,
    hold_up: &'a mut HoldUp,
}

impl<'a> Sending<'a> {
    fn new(queue: &'a mut RouteQueue) -> Self {
        let is_full = queue.is_full();
        let RouteQueue { lines, delivery, tally, hold_up, .. } = queue;
        let sending = is_full.then(|| Box::pin(send(lines, delivery, tally)) as Pin<Box<_>>);
        Self { sending, tally, hold_up }
    }

    /// Returns whether the route has nothing to send.
    fn is_idle(&self) -> bool {
        self.sending.is_none() && !self.tally.has_waiting()
    }
}

/// Polls all routes that are sending. Returns `Ready` if no route is sending.
fn poll_all(routes: &mut [Sending<'_>], context: &mut Context<'_>) -> Poll<()> {
    for route in &mut *routes {
        if route.sending.as_mut().is_some_and(|sending| sending.as_mut().poll(context).is_ready()) {
            route.sending = None;
        }
    }
    match routes.iter().all(|route| route.sending.is_none()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }
}

#[cfg(test)]
mod tests;
