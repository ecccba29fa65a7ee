//! Ships records from the Engine to the routes, until a signal arrives.

use std::future::pending;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use docker_source::gelf::InvalidHost;
use docker_source::{EngineAddress, Source, Start, Timing};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::cli::Options;
use crate::deliver::{self, Delivery};
use crate::host::{self, HOST_FILE};
use crate::print::Printer;
use crate::route::{AGENT_LABEL, Route};
use crate::settlement::SharedProgress;
use crate::state::{Keeper, StateFolder};
use crate::stop::Stop;
use crate::tally::Tally;

/// The time after which a mounted socket file that refuses connections ends the router, so that a restart
/// policy mounts the new one.
const STALE_SOCKET: Duration = Duration::from_secs(5 * 60);

/// An error that ends the router.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    /// The reason, on one line.
    pub(crate) reason: String,
}

impl Failure {
    /// Creates an error of the command line or environment.
    pub(crate) fn usage(reason: impl ToString) -> Self {
        Self { status: 2, reason: reason.to_string() }
    }

    /// Creates an error for which retrying is useless.
    pub(crate) fn refused(reason: impl ToString) -> Self {
        Self { status: 1, reason: reason.to_string() }
    }
}

/// Ships until SIGTERM, SIGHUP or Ctrl-C, then delivers the lines that were read by that time.
///
/// # Errors
/// Returns an error if the configuration is wrong, if the Engine refuses the router, if a task ends that has
/// to run as long as the router, or if lines that were read are given up at the end.
pub(crate) async fn run(address: EngineAddress, options: Options) -> Result<(), Failure> {
    let mut routes = options.routes;
    let mut printer = None;
    if let Some(route_options) = &options.print {
        let bound = Printer::bind().await.map_err(|error| Failure::refused(format!("--print: {error}")))?;
        let uri = format!("gelf://{}?{route_options}", bound.address());
        let mut route = Route::parse(&uri).map_err(|error| Failure::usage(format!("--print: {error}")))?;
        route.window = Some(bound.window());
        routes.push(route);
        printer = Some(bound);
    }
    set_hosts(&mut routes).map_err(Failure::usage)?;
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

    let (state, start) = match &options.state {
        Some(folder) => open_state(folder)?,
        None => (None, default_start()),
    };
    let selecting = routes.clone();
    let mut timing = Timing::default();
    timing.stale_socket = Some(STALE_SOCKET);
    let source = Source::builder()
        .address(address)
        .timing(timing)
        .start(start)
        .select(move |container| selecting.iter().any(|route| route.takes(container)))
        .connect();
    // Before the Engine is waited for, so that a wrong route is told at once.
    let mut outputs = Outputs::start(routes, printer)?;
    let source = tokio::select! {
        source = stop.unless_asked(source) => source,
        failure = delivery_ended(&mut outputs.deliveries) => return Err(failure),
    };
    let Some(source) = source else { return Ok(()) };
    let mut source = source.map_err(Failure::refused)?;
    let keeping = state.map(|state| Keeping::start(state, &source)).transpose().map_err(Failure::refused)?;
    let progress = keeping.as_ref().map(|keeping| keeping.progress.clone());

    let (routed, is_unread) =
        route_until_stopped(&mut source, &mut outputs, progress.as_ref(), &mut stop).await;
    source.stop();
    let finished = outputs.finish(&mut stop, is_unread).await;
    let total = source.stats().snapshot().total;
    tracing::info!(
        "{} lines read = {} routed + {} empty + {} read again + {} too old + {} not routed at the end",
        total.read,
        total.yielded,
        total.skipped_empty,
        total.skipped_repeated,
        total.skipped_old,
        total.in_flight
    );
    if total.unavailable_logs > 0 {
        tracing::warn!("logs that could not be read to the end: {}", total.unavailable_logs);
    }
    if total.gaps > 0 {
        tracing::warn!(
            "lines may be missing at {} places, where the Engine had rotated its logs",
            total.gaps
        );
    }
    let is_kept = match keeping.map(Keeping::finish) {
        Some(finishing) => finishing
            .await
            .inspect_err(|error| tracing::warn!("the last positions were not written: {error}"))
            .is_ok(),
        None => false,
    };
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

/// Passes records to the routes until the source has no more. Returns the result, and whether the reader of
/// stdout has ended, which stops the router as a signal does: the other destinations get the lines that were
/// read by then.
///
/// # Errors
/// Returns an error if the source, a delivery or the printer ends early. Then, too, the router is stopped,
/// and the destinations get the lines that were passed on.
async fn route_until_stopped(
    source: &mut Source,
    outputs: &mut Outputs,
    progress: Option<&SharedProgress>,
    stop: &mut Stop,
) -> (Result<(), Failure>, bool) {
    let ending = stop.clone();
    let mut is_unread = false;
    let mut routing = pin!(pump(source, &mut outputs.routes, progress, stop));
    let routed = loop {
        tokio::select! {
            routed = &mut routing => break routed,
            failure = delivery_ended(&mut outputs.deliveries) => break Err(failure),
            ended = printer_ended(&mut outputs.printer) => match ended {
                // `head` ends so.
                Ok(()) => {
                    tracing::info!("stdout is closed");
                    is_unread = true;
                    ending.ask();
                }
                Err(failure) => break Err(failure),
            },
        }
    };
    if routed.is_err() {
        ending.ask();
    }
    (routed, is_unread)
}

/// Sets the host of routes that have none, to the name in the host file or the environment, if there is one.
fn set_hosts(routes: &mut [Route]) -> Result<(), InvalidHost> {
    let (host, warning) = host::find(std::fs::read_to_string(HOST_FILE), |name| std::env::var(name).ok());
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    if let Some(host) = host {
        tracing::info!("the host of messages is {:?}, from {}", host.name, host.source);
        for route in routes {
            route.set_default_host(&host.name)?;
        }
    }
    Ok(())
}

/// Waits until the delivery of a route ends, which is an error while the router reads: the lines would be
/// read for nobody.
async fn delivery_ended(deliveries: &mut JoinSet<()>) -> Failure {
    match deliveries.join_next().await {
        Some(Err(error)) => Failure::refused(format!("the delivery to a destination failed: {error}")),
        Some(Ok(())) | None => Failure::refused("the delivery to a destination ended early"),
    }
}

/// Passes each record to the routes that select its container. After a signal, returns once the records that
/// were read by then are passed on.
///
/// # Errors
/// Returns an error if the source ends before a signal.
async fn pump(
    source: &mut Source,
    routes: &mut [RouteQueue],
    progress: Option<&SharedProgress>,
    stop: &mut Stop,
) -> Result<(), Failure> {
    let mut stopping = false;
    loop {
        let record = tokio::select! {
            record = source.next() => record.map_err(Failure::refused)?,
            () = stop.asked(), if !stopping => {
                stopping = true;
                source.stop();
                continue;
            }
        };
        let Some(record) = record else {
            return if stopping {
                Ok(())
            } else {
                Err(Failure::refused("reading from the Engine ended early"))
            };
        };
        // A destination that is down holds up the others once its queue is full. Only a route whose
        // `when_full` says so drops lines because its destination is slow.
        let takes = |route: &RouteQueue| route.route.takes(record.container());
        let settlement = progress
            .map(|progress| progress.read(&record, routes.iter().filter(|route| takes(route)).count()));
        for route in routes.iter_mut().filter(|route| takes(route)) {
            route.tally.routed();
            if stop.unless_over(route.delivery.send(&record, settlement.clone())).await.is_none() {
                return Ok(());
            }
        }
    }
}

/// Opens the state folder and reads where to start. Without a usable folder, the router ships all the same.
///
/// # Errors
/// Returns an error if another router uses the folder.
fn open_state(path: &Path) -> Result<(Option<StateFolder>, Start), Failure> {
    let opened = StateFolder::open(path).and_then(|folder| Ok((folder.load()?, folder)));
    match opened {
        Ok((Some(positions), folder)) => Ok((Some(folder), Start::At(positions))),
        Ok((None, folder)) => Ok((Some(folder), default_start())),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            Err(Failure::refused(format!("--state {}: {error}", path.display())))
        }
        Err(error) => {
            tracing::warn!("--state {}: {error}; positions are not kept", path.display());
            Ok((None, default_start()))
        }
    }
}

/// Returns the start without positions: the end of the agent that this one replaces.
fn default_start() -> Start {
    Start::AfterPredecessor { label: AGENT_LABEL.to_owned() }
}

/// The task that writes positions.
struct Keeping {
    progress: SharedProgress,
    end: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Keeping {
    fn start(folder: StateFolder, source: &Source) -> io::Result<Self> {
        let progress = SharedProgress::new(source.start().clone());
        let keeper =
            Keeper { writer: folder.into_writer()?, progress: progress.clone(), stats: source.stats() };
        let (end, ended) = oneshot::channel();
        Ok(Self { progress, end, task: tokio::spawn(keeper.run(ended)) })
    }

    /// Writes the last positions.
    async fn finish(self) -> io::Result<()> {
        drop(self.end);
        self.task.await.map_err(io::Error::other)?
    }
}

/// A route with its delivery.
struct RouteQueue {
    route: Route,
    delivery: Delivery,
    tally: Tally,
}

/// The deliveries of all routes, and the printer.
struct Outputs {
    routes: Vec<RouteQueue>,
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
    fn start(routes: Vec<Route>, printer: Option<Printer>) -> Result<Self, Failure> {
        let mut deliveries = JoinSet::new();
        let mut queues = Vec::with_capacity(routes.len());
        for route in routes {
            let (delivery, destination, tally) =
                deliver::open(&route).map_err(|error| Failure::refused(format!("{route}: {error}")))?;
            deliveries.spawn(destination.run());
            queues.push(RouteQueue { route, delivery, tally });
        }
        let printer = printer.map(|printer| {
            let (finish, finished) = oneshot::channel();
            (tokio::spawn(printer.run(finished)), finish)
        });
        Ok(Self { routes: queues, deliveries, printer })
    }

    /// Waits until all lines are delivered and printed, or the grace period is over. Returns the number of
    /// lines that were routed and not delivered. If stdout is unread, its lines are not among them.
    ///
    /// # Errors
    /// Returns an error if printing fails.
    async fn finish(self, stop: &mut Stop, is_unread: bool) -> Result<u64, Failure> {
        let Self { routes, mut deliveries, printer } = self;
        // The end of the deliveries drops the senders.
        let routes: Vec<_> = routes.into_iter().map(|queue| (queue.route, queue.tally)).collect();
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

#[cfg(test)]
mod tests;
