//! Ships records from the Engine to the routes, until a signal arrives.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use docker_source::{EngineAddress, Start};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::backlog::Backlog;
use crate::cli::Options;
use crate::deliver;
use crate::failure::Failure;
use crate::group::{self, LeavingRoute, RouteQueue, Shared, Sources};
use crate::instance::{self, METADATA_SERVICE};
use crate::lines::{LineStage, WarnedContainers};
use crate::print::Printer;
use crate::route::{AGENT_LABEL, Decisions, Route, RouteUri};
use crate::settlement::SharedProgress;
use crate::state::{Keeper, SavedPositions, StateFolder};
use crate::stop::Stop;
use crate::tally::Tally;

/// The name of the route to the embedded receiver in the state folder. The URI cannot be the name, since the
/// port changes with each start.
const PRINT: &str = "--print";

/// Ships until SIGTERM, SIGHUP or Ctrl-C, then delivers the lines that were read by that time.
///
/// # Errors
/// Returns an error if the configuration is wrong, if the Engine refuses the router, if a task ends before
/// the router does, or if lines that were read are given up at the end.
pub(crate) async fn run(address: EngineAddress, options: Options) -> Result<(), Failure> {
    let mut routes = options.routes;
    let mut printer = None;
    if let Some(uri) = options.print {
        let bound = Printer::bind().await.map_err(|error| Failure::refused(format!("--print: {error}")))?;
        let uri = RouteUri { location: format!("gelf://{}", bound.address()), ..uri };
        let mut route = Route::new(uri).map_err(|error| Failure::usage(format!("--print: {error}")))?;
        route.window = Some(bound.window());
        routes.push(route);
        printer = Some(bound);
    }
    if let Some(host) = options.host {
        tracing::info!("the host of messages is {:?}, from {}", host.name, host.source);
    }
    if instance::is_wanted(|name| std::env::var(name).ok()) {
        let id = Arc::new(OnceLock::new());
        routes.iter_mut().for_each(|route| route.send_instance(id.clone()));
        tokio::spawn(instance::find(METADATA_SERVICE, id));
    }
    if options.numbers_messages {
        let epoch = milliseconds_since_1970();
        routes.iter_mut().for_each(|route| route.number_messages(epoch));
    }
    let mut stop = Stop::new().map_err(Failure::refused)?;
    let destinations: Vec<_> = routes.iter().map(Route::to_string).collect();
    tracing::info!(
        "gelf-router {}: from {address} to {}",
        env!("CARGO_PKG_VERSION"),
        destinations.join(", ")
    );

    let (folder, saved) = match &options.state {
        Some(path) => open_state(path)?,
        None => (None, SavedPositions::new()),
    };
    // The outputs start before the router waits for the Engine, so that a wrong route is reported at once.
    let (mut outputs, queues) = Outputs::start(routes, printer)?;
    let (leaving, mut left) = unbounded_channel();
    let sources = Sources::default();
    let shared = Shared {
        address,
        stop: stop.clone(),
        sources: sources.clone(),
        route_started: Arc::default(),
        leaving,
    };
    let keeping = Keeping::start(folder, &queues, &shared).map_err(Failure::refused)?;
    let mut groups = JoinSet::new();
    for (start, queues) in by_start(queues, saved, options.backlog) {
        groups.spawn(group::run(queues, start, shared.clone()));
    }
    let (routed, is_unread) = route_until_stopped(&mut groups, &mut left, &shared, &mut outputs).await;
    let finished = outputs.finish(&mut stop, is_unread).await;
    let (total, unrouted) = (sources.total(), sources.unrouted());
    tracing::info!(
        "{} lines read = {} routed + {unrouted} of no route + {} empty + {} read again + {} too old \
         + {} not routed at the end",
        total.read,
        total.yielded.saturating_sub(unrouted),
        total.skipped_empty,
        total.skipped_repeated,
        total.skipped_old,
        total.in_flight
    );
    if total.unavailable_logs > 0 {
        tracing::warn!("logs that could not be read to the end: {}", total.unavailable_logs);
    }
    if total.gaps > 0 {
        tracing::warn!("lines may be missing at {} places, which messages have announced", total.gaps);
    }
    let is_kept = keeping.finish().await;
    routed?;
    let given_up = finished? + if stop.is_over() { total.in_flight } else { 0 };
    if given_up > 0 && is_kept {
        tracing::info!("{given_up} lines were not delivered; the next start reads them again");
        return Ok(());
    }
    if given_up > 0 {
        return Err(Failure::refused(format!("{}: {given_up} lines were given up", stop.cause())));
    }
    Ok(())
}

/// Returns the epoch of the numbers of messages: the time of the start.
fn milliseconds_since_1970() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

/// Runs the groups, and a new group for each route that leaves its group, until all groups have ended.
/// Returns the first error, and whether the reader of stdout has ended.
///
/// If the reader of stdout ends, the router stops as it does after a signal: the other destinations get the
/// lines that were read by then.
///
/// # Errors
/// Returns an error if a source, a delivery or the printer ends early. In this case, the router also stops,
/// and the destinations get the lines that were read.
async fn route_until_stopped(
    groups: &mut JoinSet<Result<Vec<RouteQueue>, Failure>>,
    left: &mut UnboundedReceiver<LeavingRoute>,
    shared: &Shared,
    outputs: &mut Outputs,
) -> (Result<(), Failure>, bool) {
    let mut failure = None;
    let mut is_unread = false;
    // Routes are dropped at the end, since their deliveries end with them.
    let mut ended = Vec::new();
    while !groups.is_empty() {
        let result = tokio::select! {
            biased;
            Some(route) = left.recv() => {
                groups.spawn(route.run(shared.clone()));
                continue;
            }
            Some(group) = groups.join_next() => match group {
                Ok(Ok(routes)) => {
                    ended.push(routes);
                    continue;
                }
                Ok(Err(error)) => error,
                Err(error) => Failure::refused(format!("reading from the Engine ended early: {error}")),
            },
            error = delivery_ended(&mut outputs.deliveries), if failure.is_none() => error,
            printed = printer_ended(&mut outputs.printer) => match printed {
                // This is the usual end if stdout is piped to `head`.
                Ok(()) => {
                    tracing::info!("stdout is closed");
                    is_unread = true;
                    shared.stop.ask();
                    continue;
                }
                Err(error) => error,
            },
        };
        failure.get_or_insert(result);
        shared.stop.ask();
    }
    (failure.map_or(Ok(()), Err), is_unread)
}

/// Waits until the delivery of a route ends. While the router reads, this is an error, because no destination
/// would take the lines.
async fn delivery_ended(deliveries: &mut JoinSet<()>) -> Failure {
    match deliveries.join_next().await {
        Some(Err(error)) => Failure::refused(format!("the delivery to a destination failed: {error}")),
        Some(Ok(())) | None => Failure::refused("the delivery to a destination ended early"),
    }
}

/// Opens the state folder and reads the positions. Without a usable folder, the router ships all the same.
///
/// # Errors
/// Returns an error if another router uses the folder.
fn open_state(path: &Path) -> Result<(Option<StateFolder>, SavedPositions), Failure> {
    let opened = StateFolder::open(path).and_then(|folder| Ok((folder.load()?, folder)));
    match opened {
        Ok((saved, folder)) => Ok((Some(folder), saved)),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            Err(Failure::refused(format!("--state {}: {error}", path.display())))
        }
        Err(error) => {
            tracing::warn!("--state {}: {error}; positions are not kept", path.display());
            Ok((None, SavedPositions::new()))
        }
    }
}

/// Groups the routes by the places at which they start.
///
/// A route without saved positions may have been renamed. Therefore, it takes the positions of a saved route
/// that is not among `queues`. If there is no such saved route, the new route starts at the backlog, or, by
/// default, where the previous agent ended.
fn by_start(
    queues: Vec<RouteQueue>,
    mut saved: SavedPositions,
    backlog: Option<Backlog>,
) -> Vec<(Start, Vec<RouteQueue>)> {
    let known: Vec<_> = queues.iter().map(|queue| saved.remove(&queue.name)).collect();
    let mut gone = saved.into_values();
    let mut groups: Vec<(Start, Vec<RouteQueue>)> = Vec::new();
    for (queue, known) in queues.into_iter().zip(known) {
        let start = match known.or_else(|| gone.next()) {
            Some(positions) => {
                queue.progress.start(&positions);
                Start::At(positions)
            }
            None => backlog
                .map_or_else(|| Start::AfterPredecessor { label: AGENT_LABEL.to_owned() }, Backlog::start),
        };
        match groups.iter_mut().find(|(other, _)| *other == start) {
            Some((_, group)) => group.push(queue),
            None => groups.push((start, vec![queue])),
        }
    }
    groups
}

/// The task that writes positions.
struct Keeping {
    has_folder: bool,
    end: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Keeping {
    fn start(folder: Option<StateFolder>, queues: &[RouteQueue], shared: &Shared) -> io::Result<Self> {
        let writer = folder.map(StateFolder::into_writer).transpose()?;
        let has_folder = writer.is_some();
        let routes = queues.iter().map(|queue| (queue.name.clone(), queue.progress.clone())).collect();
        let (end, ended) = oneshot::channel();
        let (sources, route_started) = (shared.sources.clone(), Arc::clone(&shared.route_started));
        let keeper = Keeper { writer, routes, sources, route_started };
        Ok(Self { has_folder, end, task: tokio::spawn(keeper.run(ended)) })
    }

    /// Writes the last positions. Returns whether they are kept.
    async fn finish(self) -> bool {
        drop(self.end);
        let finished = self.task.await.map_err(io::Error::other).and_then(|written| written);
        let written =
            finished.inspect_err(|error| tracing::warn!("the last positions were not written: {error}"));
        self.has_folder && written.is_ok()
    }
}

/// The deliveries of all routes, and the printer.
struct Outputs {
    routes: Vec<(Route, Arc<Tally>)>,
    deliveries: JoinSet<()>,
    printer: Option<PrinterTask>,
}

type PrinterTask = (JoinHandle<io::Result<()>>, oneshot::Sender<()>);

/// Waits until the printer ends because nothing reads stdout any more. Without a printer, waits for ever.
///
/// # Errors
/// Returns an error if the printer ends for another reason.
async fn printer_ended(printer: &mut Option<PrinterTask>) -> Result<(), Failure> {
    let ended = match printer {
        Some((task, _)) => task.await,
        None => pending().await,
    };
    *printer = None;
    printed(ended)
}

/// Returns the result of a printer that has ended. A reader that has closed stdout is not an error.
fn printed(ended: Result<io::Result<()>, JoinError>) -> Result<(), Failure> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Ok(Err(error)) => Err(Failure::refused(format!("printing failed: {error}"))),
        Err(error) => Err(Failure::refused(format!("printing failed: {error}"))),
    }
}

impl Outputs {
    fn start(routes: Vec<Route>, printer: Option<Printer>) -> Result<(Self, Vec<RouteQueue>), Failure> {
        let mut deliveries = JoinSet::new();
        let mut queues = Vec::with_capacity(routes.len());
        let mut names = BTreeMap::new();
        let warned = WarnedContainers::default();
        for route in routes {
            let (delivery, destination, tally) =
                deliver::open(&route).map_err(|error| Failure::refused(format!("{route}: {error}")))?;
            deliveries.spawn(destination.run());
            let name =
                unique(if route.is_printed() { PRINT.to_owned() } else { route.to_string() }, &mut names);
            let lines = LineStage::new(&route, warned.clone());
            let (tally, progress) = (Arc::new(tally), SharedProgress::default());
            queues.push(RouteQueue {
                name,
                route,
                decisions: Decisions::default(),
                lines,
                delivery,
                tally,
                progress,
            });
        }
        let printer = printer.map(|printer| {
            let (finish, finished) = oneshot::channel();
            (tokio::spawn(printer.run(finished)), finish)
        });
        let routes = queues.iter().map(|queue| (queue.route.clone(), queue.tally.clone())).collect();
        Ok((Self { routes, deliveries, printer }, queues))
    }

    /// Waits until all lines are delivered and printed, or the grace period is over. Returns the number of
    /// lines that were routed and not delivered. If the reader of stdout has ended, the lines for stdout are
    /// not counted.
    ///
    /// # Errors
    /// Returns an error if printing fails.
    async fn finish(self, stop: &mut Stop, is_unread: bool) -> Result<u64, Failure> {
        let Self { routes, mut deliveries, printer } = self;
        let all = async {
            while deliveries.join_next().await.is_some() {}
            match printer {
                Some((task, finish)) => {
                    drop(finish);
                    printed(task.await)
                }
                None => Ok(()),
            }
        };
        let finished = stop.unless_over(all).await.unwrap_or(Ok(()));
        let mut undelivered = 0;
        for (route, tally) in routes {
            let destination = route.to_string();
            let lost = if is_unread && route.is_printed() { 0 } else { tally.in_flight() };
            if lost > 0 {
                tracing::warn!(destination, "{}: {lost} lines were not delivered", stop.cause());
            }
            tracing::info!(destination, "{tally}");
            undelivered += lost;
        }
        finished.map(|()| undelivered)
    }
}

/// Returns the name, and appends a number if the same name was used before.
fn unique(name: String, names: &mut BTreeMap<String, u32>) -> String {
    let count = names.entry(name.clone()).or_default();
    *count += 1;
    match *count {
        1 => name,
        count => format!("{name} #{count}"),
    }
}

#[cfg(test)]
mod tests;
