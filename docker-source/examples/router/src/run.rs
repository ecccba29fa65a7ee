//! Ships records from the Engine to the routes, until a signal arrives.

use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use docker_source::{EngineAddress, Positions, Start};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::backlog::Backlog;
use crate::cli::Options;
use crate::condition::Condition;
use crate::deliver::{OpenRoute, Opener};
use crate::failure::Failure;
use crate::group::{self, LeavingRoute, RouteQueue, Shared, Sources};
use crate::hold_up::{HoldUp, Ticks};
use crate::http::{self, Adding, Addition, Api};
use crate::instance::{self, METADATA_SERVICE};
use crate::lines::{LineStage, WarnedContainers};
use crate::logspout::Environment;
use crate::print::Printer;
use crate::published;
use crate::registry::{Registry, Removal, RunningRoute};
use crate::route::{AGENT_LABEL, Decisions, Route, RouteUri, list};
use crate::routes_folder::RoutesFolder;
use crate::settlement::SharedProgress;
use crate::state::{Keeper, SavedPositions, StateFolder};
use crate::stop::Stop;
use crate::task::task;

/// The name that the state folder uses for the route to the embedded receiver. Other routes have the name of their
/// destination. The embedded receiver needs a fixed name, since its port changes with each start.
const PRINT: &str = "--print";

/// Ships lines until SIGTERM, SIGHUP or Ctrl-C, or until nothing reads the output of `--print` any more. Then delivers
/// the lines that were read by that time.
///
/// # Errors
/// Returns an error if the configuration is wrong, if another router uses the state folder, if the Engine refuses
/// the router, or if a task ends before the router does. If no positions are kept, also returns an error if
/// lines were given up, or if the last lines of a log were not read in time.
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
    let numbering = options.numbers_messages.then(milliseconds_since_1970);
    let instance = instance::is_wanted(|name| std::env::var(name).ok()).then(Arc::default);
    if let Some(id) = instance.clone() {
        tokio::spawn(task(instance::find(METADATA_SERVICE, id)));
    }
    tokio::spawn(task(published::check(address.clone(), options.http.clone())));
    let (routes_folder, kept) = match &options.routes_path {
        Some(path) => load_routes(path, &options.environment),
        None => (None, Vec::new()),
    };
    if routes.is_empty() && kept.is_empty() && options.http.is_none() {
        return Err(Failure::usage(
            "there is no route, and no address of the HTTP API: see gelf-router --help",
        ));
    }
    let mut stop = Stop::new().map_err(Failure::refused)?;
    let all = routes.iter().chain(kept.iter().map(|(_, route)| route));
    let destinations: Vec<_> = all.map(Route::to_string).collect();
    tracing::info!(
        "gelf-router {}: from {address} to {}",
        env!("CARGO_PKG_VERSION"),
        destinations.join(", ")
    );

    let is_writable = Condition::default();
    let (folder, saved) = match &options.state {
        Some(path) => open_state(path, &is_writable)?,
        None => (None, SavedPositions::new()),
    };
    // The outputs start before the router waits for the Engine, so that a wrong route is reported without a
    // wait.
    let registry = Registry::default();
    let opener = Opener { numbering, instance };
    let mut outputs = Outputs::new(registry.clone(), printer);
    let mut queues = Vec::new();
    for route in routes {
        queues.push(outputs.add(opener.open(route)?, None));
    }
    for (id, route) in kept {
        match registry.find(&id) {
            Some(_) => tracing::warn!("the kept route {id} is left out: another route has this id"),
            // A failure is only logged, since a certificate that existed when the route was added may be
            // missing now.
            None => match opener.open(route) {
                Ok(route) => queues.push(outputs.add(route, Some(id))),
                Err(failure) => tracing::warn!("a kept route is left out: {}", failure.reason),
            },
        }
    }
    let (leaving, mut left) = unbounded_channel();
    let sources = Sources::default();
    let shared = Shared {
        address,
        log_files: options.reading.open().map_err(Failure::usage)?,
        stop: stop.clone(),
        sources: sources.clone(),
        route_started: Arc::default(),
        leaving,
        removals: registry.removals(),
        ticks: Ticks::new(Instant::now()),
    };
    let keeping =
        Keeping::start(folder, &registry, &shared, is_writable.clone()).map_err(Failure::refused)?;
    let (sender, additions) = channel(1);
    let adding = Adding { opener, sender };
    let serving = options.http.map(|http| {
        let (registry, kept) = (registry.clone(), (options.environment, routes_folder));
        http::start(Api::new(http, registry, sources.clone(), is_writable, &shared, kept, adding))
    });
    let mut groups = JoinSet::new();
    for (start, queues) in by_start(queues, saved, options.backlog) {
        groups.spawn(task(group::run(queues, start, shared.clone())));
    }
    let requests = Requests { left: &mut left, additions, waits: serving.is_some() };
    let (routed, is_stdout_closed) = route_until_stopped(&mut groups, requests, &shared, &mut outputs).await;
    registry.release();
    let finished = outputs.finish(&mut stop, is_stdout_closed).await;
    let (total, unrouted) = (sources.sum().total, sources.unrouted());
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
    drop(serving);
    routed?;
    let given_up = finished? + if stop.is_over() { sources.in_flight() } else { 0 };
    let unfinished = Unfinished { given_up, unread_logs: total.unread_logs };
    if is_kept {
        unfinished.log();
        return Ok(());
    }
    unfinished.result(stop.cause())
}

/// The work that the router leaves undone at its end.
struct Unfinished {
    /// The number of lines that were read and not delivered.
    given_up: u64,
    /// The number of logs that were not read up to the signal.
    unread_logs: u64,
}

impl Unfinished {
    /// Logs how many lines and logs are left to the next start, which reads them because positions are kept.
    fn log(&self) {
        if self.given_up > 0 {
            tracing::info!("{} lines were not delivered; the next start reads them again", self.given_up);
        }
        if self.unread_logs > 0 {
            tracing::info!("logs whose last lines the next start reads: {}", self.unread_logs);
        }
    }

    /// Returns the result of a router that keeps no positions.
    ///
    /// # Errors
    /// Returns an error if lines were given up, or if logs are unread. The exit status is then 1, and tells
    /// the next agent to start earlier; see [`Start::AfterPredecessor`].
    fn result(&self, cause: &str) -> Result<(), Failure> {
        match *self {
            Self { given_up: 0, unread_logs: 0 } => Ok(()),
            Self { given_up: 0, unread_logs } => {
                Err(Failure::refused(format!("logs whose last lines were not read in time: {unread_logs}")))
            }
            Self { given_up, .. } => {
                Err(Failure::refused(format!("{cause}: {given_up} lines were given up")))
            }
        }
    }
}

/// Returns the present time in milliseconds since 1970. The time of the start is the epoch of the message
/// numbers.
fn milliseconds_since_1970() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

/// The routes that need a new group while the router runs. A group consists of the routes that read from one
/// source.
struct Requests<'a> {
    /// The routes that have left their group.
    left: &'a mut UnboundedReceiver<LeavingRoute>,
    /// The routes that the HTTP API adds. The drop of this receiver refuses the additions that wait.
    additions: Receiver<Addition>,
    /// True if the router waits for additions when it has no route.
    waits: bool,
}

/// Runs the groups, and a new group for each route that leaves its group or is added. Ends when all groups
/// have ended. If the router waits for additions, also waits until the router stops. Returns the first error,
/// and whether stdout was closed.
///
/// If the reader of stdout ends, the router stops as it does after a signal: the other destinations get the
/// lines that were read by then.
///
/// # Errors
/// Returns an error if a source, a delivery or the printer ends early. In this case, the router also stops,
/// and the destinations get the lines that were read.
async fn route_until_stopped(
    groups: &mut JoinSet<Result<Vec<RouteQueue>, Failure>>,
    Requests { left, mut additions, waits }: Requests<'_>,
    shared: &Shared,
    outputs: &mut Outputs,
) -> (Result<(), Failure>, bool) {
    let mut failure = None;
    let mut is_stdout_closed = false;
    // The routes are kept until this function returns, since the drop of a route ends its delivery.
    let mut ended = Vec::new();
    let mut stop = shared.stop.clone();
    while !groups.is_empty() || (waits && !stop.is_asked()) {
        let error = tokio::select! {
            biased;
            () = stop.asked(), if groups.is_empty() => break,
            Some(route) = left.recv() => {
                groups.spawn(task(route.run(shared.clone())));
                continue;
            }
            Some(addition) = additions.recv() => {
                let queue = outputs.add_requested(addition);
                groups.spawn(task(group::run(vec![queue], Start::Now, shared.clone())));
                continue;
            }
            Some(group) = groups.join_next(), if !groups.is_empty() => match group {
                Ok(Ok(routes)) => {
                    ended.extend(routes);
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
                    is_stdout_closed = true;
                    shared.stop.ask();
                    continue;
                }
                Err(error) => error,
            },
        };
        failure.get_or_insert(error);
        shared.stop.ask();
    }
    (failure.map_or(Ok(()), Err), is_stdout_closed)
}

/// Waits until the delivery of a route ends. Ignores the deliveries of removed routes. While the router
/// reads, any other end is an error, because the destination takes no further lines.
async fn delivery_ended(deliveries: &mut JoinSet<Removal>) -> Failure {
    loop {
        match deliveries.join_next().await {
            Some(Ok(removal)) if removal.is_asked() => {}
            Some(Ok(_)) => return Failure::refused("the delivery to a destination ended early"),
            Some(Err(error)) => {
                return Failure::refused(format!("the delivery to a destination failed: {error}"));
            }
            // Without a route, no delivery can end.
            None => return pending().await,
        }
    }
}

/// Opens the folder of the routes that the HTTP API has added, and makes its routes. A route that cannot run
/// is logged and left out, so that the other routes run.
fn load_routes(path: &Path, environment: &Environment) -> (Option<RoutesFolder>, Vec<(String, Route)>) {
    let opened = RoutesFolder::open(path).and_then(|folder| Ok((folder.load()?, folder)));
    let (loaded, folder) = match opened {
        Ok((loaded, folder)) => (loaded, folder),
        Err(error) => {
            tracing::warn!("ROUTESPATH {}: {error}; routes are not kept", path.display());
            return (None, Vec::new());
        }
    };
    let mut routes = Vec::new();
    for (id, uri) in loaded {
        match list::routes(vec![uri], &mut environment.clone(), false) {
            Ok(made) => routes.extend(made.into_iter().map(|route| (id.clone(), route))),
            Err(mistake) => tracing::warn!("the kept route {id} is left out: {mistake}"),
        }
    }
    (Some(folder), routes)
}

/// Opens the state folder and reads the positions. If the folder is unusable, logs a warning, and the router
/// ships lines without keeping positions.
///
/// # Errors
/// Returns an error if another router uses the folder.
fn open_state(
    path: &Path,
    is_writable: &Condition,
) -> Result<(Option<StateFolder>, SavedPositions), Failure> {
    let opened = StateFolder::open(path).and_then(|folder| Ok((folder.load()?, folder)));
    match opened {
        Ok((saved, folder)) => Ok((Some(folder), saved)),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            Err(Failure::refused(format!("--state {}: {error}", path.display())))
        }
        Err(error) => {
            is_writable.failed(format_args!("{}: {error}", path.display()));
            tracing::warn!("--state {}: {error}; positions are not kept", path.display());
            Ok((None, SavedPositions::new()))
        }
    }
}

/// Groups the routes by the place at which they start to read.
///
/// A route without saved positions may be a saved route whose destination has changed, and with it the name in the
/// state folder. Therefore, it takes the positions of a saved route that is not among `queues`. If no such saved
/// route is left, `backlog` decides where the route starts. Without `backlog`, the route starts as
/// [`Start::AfterPredecessor`] describes.
fn by_start(
    queues: Vec<RouteQueue>,
    mut saved: SavedPositions,
    backlog: Option<Backlog>,
) -> Vec<(Start, Vec<RouteQueue>)> {
    let known: Vec<_> = queues.iter().map(|queue| saved.remove(&queue.name)).collect();
    let mut gone = saved.into_values();
    let mut groups: Vec<(Start, Vec<RouteQueue>)> = Vec::new();
    for (queue, known) in queues.into_iter().zip(known) {
        let saved = known.or_else(|| gone.next());
        if let Some(positions) = &saved {
            queue.progress.start(positions);
        }
        let start = start(saved, backlog);
        match groups.iter_mut().find(|(other, _)| *other == start) {
            Some((_, group)) => group.push(queue),
            None => groups.push((start, vec![queue])),
        }
    }
    groups
}

/// Returns the start of a route. Saved positions take precedence over the backlog.
fn start(saved: Option<Positions>, backlog: Option<Backlog>) -> Start {
    match (saved, backlog) {
        (Some(positions), _) => Start::At(positions),
        (None, Some(backlog)) => backlog.start(),
        (None, None) => Start::AfterPredecessor { label: AGENT_LABEL.to_owned() },
    }
}

/// The task that writes positions.
struct Keeping {
    has_folder: bool,
    end: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Keeping {
    fn start(
        folder: Option<StateFolder>,
        registry: &Registry,
        shared: &Shared,
        is_writable: Condition,
    ) -> io::Result<Self> {
        let writer = folder.map(|folder| folder.into_writer(is_writable)).transpose()?;
        let has_folder = writer.is_some();
        let routes = registry.progress().clone();
        let (end, ended) = oneshot::channel();
        let (sources, route_started) = (shared.sources.clone(), Arc::clone(&shared.route_started));
        let keeper = Keeper { writer, routes, sources, route_started };
        Ok(Self { has_folder, end, task: tokio::spawn(task(keeper.run(ended))) })
    }

    /// Writes the last positions. Returns whether the state folder has them.
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
    registry: Registry,
    deliveries: JoinSet<Removal>,
    printer: Option<PrinterTask>,
    warned: WarnedContainers,
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

/// Returns the result of a printer that has ended. A closed stdout is not an error.
fn printed(ended: Result<io::Result<()>, JoinError>) -> Result<(), Failure> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Ok(Err(error)) => Err(Failure::refused(format!("printing failed: {error}"))),
        Err(error) => Err(Failure::refused(format!("printing failed: {error}"))),
    }
}

impl Outputs {
    fn new(registry: Registry, printer: Option<Printer>) -> Self {
        let printer = printer.map(|printer| {
            let (finish, finished) = oneshot::channel();
            (tokio::spawn(task(printer.run(finished))), finish)
        });
        let (deliveries, warned) = (JoinSet::new(), WarnedContainers::default());
        Self { registry, deliveries, printer, warned }
    }

    /// Starts the delivery of a route. The route replaces a running route with the same id. Without `id`, the
    /// route gets an id that is made from its URI.
    fn add(&mut self, route: OpenRoute, id: Option<String>) -> RouteQueue {
        let OpenRoute { route, delivery, destination, tally } = route;
        if let Some(id) = &id {
            self.registry.remove(id);
        }
        let removal = Removal::default();
        let asked = removal.clone();
        self.deliveries.spawn(async move {
            destination.run().await;
            asked
        });
        let name = if route.is_printed() { PRINT.to_owned() } else { route.to_string() };
        let name = self.registry.new_name(name);
        let lines = LineStage::new(&route, self.warned.clone());
        let progress = SharedProgress::default();
        self.registry.progress().add(name.clone(), progress.clone());
        let running = RunningRoute {
            id: id.unwrap_or_else(|| self.registry.new_id(route.uri())),
            name: name.clone(),
            route: route.clone(),
            tally: tally.clone(),
            removal: removal.clone(),
            is_reachable: Condition::default(),
        };
        self.registry.add(running, delivery.closer());
        let decisions = Decisions::default();
        let hold_up = HoldUp::default();
        RouteQueue { name, route, decisions, lines, delivery, tally, progress, removal, hold_up }
    }

    /// Starts the delivery of a route of the HTTP API in place of the route with the same id, and answers the
    /// request.
    fn add_requested(&mut self, Addition { id, route, added }: Addition) -> RouteQueue {
        let queue = self.add(route, Some(id));
        // This fails only if the router ends, which also ends the task that waits for the result.
        let _ = added.send(());
        queue
    }

    /// Waits until all lines are delivered and printed, or until the grace period is over. Returns the number
    /// of lines that were routed but not delivered. If the reader of stdout has ended, this number does not
    /// include the lines for stdout.
    ///
    /// # Errors
    /// Returns an error if printing fails.
    async fn finish(self, stop: &mut Stop, is_stdout_closed: bool) -> Result<u64, Failure> {
        let Self { registry, mut deliveries, printer, .. } = self;
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
        for RunningRoute { route, tally, .. } in registry.routes() {
            let destination = route.to_string();
            let lost = if is_stdout_closed && route.is_printed() { 0 } else { tally.in_flight() };
            if lost > 0 {
                tracing::warn!(destination, "{}: {lost} lines were not delivered", stop.cause());
            }
            tracing::info!(destination, "{tally}");
            undelivered += lost;
        }
        finished.map(|()| undelivered)
    }
}

#[cfg(test)]
mod tests;
