//! Ships records from the Engine to the routes, until a signal arrives.

use std::future::{Future, pending};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use docker_source::gelf::InvalidHost;
use docker_source::{EngineAddress, Source, Start};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::cli::Options;
use crate::deliver::{self, Delivery};
use crate::host::{self, HOST_FILE};
use crate::print::Printer;
use crate::route::{AGENT_LABEL, Route};
use crate::settlement::SharedProgress;
use crate::state::{Keeper, StateFolder};
use crate::tally::Tally;

/// The time after a signal for the delivery of lines that were read. ECS and Docker kill after 30 s and 10 s.
const GRACE: Duration = Duration::from_secs(8);

/// An error that ends the router.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    /// The reason, on one line.
    pub(crate) reason: String,
}

impl Failure {
    /// Creates an error of the command line or environment.
    fn usage(reason: impl ToString) -> Self {
        Self { status: 2, reason: reason.to_string() }
    }

    /// Creates an error for which retrying is useless.
    fn refused(reason: impl ToString) -> Self {
        Self { status: 1, reason: reason.to_string() }
    }
}

/// Ships until SIGTERM, SIGHUP or Ctrl-C, then delivers the lines that were read by that time.
///
/// # Errors
/// Returns an error if the configuration is wrong, if the Engine refuses the router, if a task ends that has to
/// run as long as the router, or if lines that were read are given up at the end.
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
    let source = Source::builder()
        .address(address)
        .start(start)
        .select(move |container| selecting.iter().any(|route| route.takes(container)))
        .connect();
    let Some(source) = stop.unless_asked(source).await else { return Ok(()) };
    let mut source = source.map_err(Failure::refused)?;
    let mut keeping =
        state.map(|state| Keeping::start(state, &source)).transpose().map_err(Failure::refused)?;
    let progress = keeping.as_ref().map(|keeping| keeping.progress.clone());

    let mut outputs = Outputs::start(routes, printer)?;
    let mut printer = outputs.printer.take();
    let mut is_unread = false;
    let mut unrouted = 0;
    let pumped = tokio::select! {
        pumped = pump(&mut source, &mut outputs.routes, progress.as_ref(), &mut unrouted, &mut stop) => pumped,
        failure = delivery_ended(&mut outputs.deliveries) => Err(failure),
        reason = printer_ended(&mut printer) => {
            // The reader of stdout has ended, as `head` does, and wants no further lines.
            tracing::info!("stdout is closed: {reason}");
            is_unread = true;
            stop.ask();
            Ok(())
        }
    };
    if pumped.is_err() {
        // The other destinations get the lines that were read, within the grace period.
        stop.ask();
    }
    source.stop();
    outputs.printer = printer;
    let (undelivered, possibly_lost) = outputs.finish(&mut stop).await;
    let total = source.stats().snapshot().total;
    tracing::info!(
        "{} lines read = {} routed + {unrouted} of no route + {} empty + {} repeated + {} too old \
         + {} not routed at the end",
        total.read,
        total.yielded.saturating_sub(unrouted),
        total.skipped_empty,
        total.skipped_repeated,
        total.skipped_old,
        total.in_flight
    );
    pumped?;
    let given_up = undelivered + if stop.is_over() { total.in_flight } else { 0 };
    if let Some(keeping) = keeping.take() {
        match keeping.finish().await {
            Ok(()) if given_up > 0 => {
                tracing::info!("{given_up} lines were not delivered; the next start reads them again");
                return Ok(());
            }
            Ok(()) => {}
            Err(error) => tracing::warn!("the last positions were not written: {error}"),
        }
    }
    if given_up > 0 && !is_unread {
        let mut reason = format!("{}: {given_up} lines were given up", stop.cause());
        if possibly_lost > 0 {
            reason += &format!(", and {possibly_lost} that were delivered are possibly lost");
        }
        return Err(Failure::refused(reason));
    }
    Ok(())
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

/// Waits until the delivery of a route ends, which is an error while the router reads: the lines would be read
/// for nobody.
async fn delivery_ended(deliveries: &mut JoinSet<()>) -> Failure {
    match deliveries.join_next().await {
        Some(Err(error)) => Failure::refused(format!("the delivery to a destination failed: {error}")),
        Some(Ok(())) | None => Failure::refused("the delivery to a destination ended early"),
    }
}

/// Passes each record to the routes that select its container. After a signal, returns once the records that
/// were read by then are passed on. Counts the records that no route selects in `unrouted`; there are none as
/// long as the routes and the source make the same selection.
///
/// # Errors
/// Returns an error if the source ends before a signal.
async fn pump(
    source: &mut Source,
    routes: &mut [RouteQueue],
    progress: Option<&SharedProgress>,
    unrouted: &mut u64,
    stop: &mut Stop,
) -> Result<(), Failure> {
    let mut stopping = false;
    loop {
        let record = tokio::select! {
            record = source.next() => record,
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
        // Each route counts the record before the first one sends it: if the grace period ends meanwhile, the
        // record is in flight on all of them.
        let takers = routes.iter().filter(|route| takes(route)).map(|route| route.tally.routed()).count();
        *unrouted += u64::from(takers == 0);
        let settlement = progress.map(|progress| progress.read(&record, takers));
        for route in routes.iter_mut().filter(|route| takes(route)) {
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
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
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
    task: JoinHandle<std::io::Result<()>>,
}

impl Keeping {
    fn start(folder: StateFolder, source: &Source) -> std::io::Result<Self> {
        let progress = SharedProgress::new(source.start().clone());
        let keeper =
            Keeper { writer: folder.into_writer()?, progress: progress.clone(), stats: source.stats() };
        let (end, ended) = oneshot::channel();
        Ok(Self { progress, end, task: tokio::spawn(keeper.run(ended)) })
    }

    /// Writes the last positions.
    async fn finish(self) -> std::io::Result<()> {
        drop(self.end);
        self.task.await.map_err(std::io::Error::other)?
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

type PrinterTask = (JoinHandle<std::io::Result<()>>, oneshot::Sender<()>);

/// Waits until the printer ends, and returns the reason. Without a printer, waits for ever.
async fn printer_ended(printer: &mut Option<PrinterTask>) -> String {
    let ended = match printer {
        Some((task, _)) => task.await,
        None => pending().await,
    };
    *printer = None;
    match ended {
        Ok(Ok(())) => "the printer ended".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
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

    /// Waits until all lines are delivered and printed, or the grace period is over. Returns the numbers
    /// of lines that were routed and not delivered, and of delivered ones that are possibly lost.
    async fn finish(self, stop: &mut Stop) -> (u64, u64) {
        let Self { routes, mut deliveries, printer } = self;
        let tallies: Vec<_> =
            routes.into_iter().map(|queue| (queue.route.to_string(), queue.tally)).collect();
        let all = async {
            while deliveries.join_next().await.is_some() {}
            if let Some((task, finish)) = printer {
                drop(finish);
                match task.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!("printing failed: {error}"),
                    Err(error) => tracing::warn!("printing failed: {error}"),
                }
            }
        };
        stop.unless_over(all).await;
        let (mut undelivered, mut possibly_lost) = (0, 0);
        for (destination, tally) in tallies {
            let lost = tally.in_flight();
            if lost > 0 {
                tracing::warn!(destination, "{}: {lost} lines were not delivered", stop.cause());
            }
            tracing::info!(destination, "{tally}");
            undelivered += lost;
            possibly_lost += tally.possibly_lost();
        }
        (undelivered, possibly_lost)
    }
}

/// The stage of shutting down.
struct Stop {
    stage: watch::Receiver<Stage>,
    from_within: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    Running,
    /// A signal arrived.
    Asked,
    /// The grace period is over.
    GraceOver,
    /// A second signal arrived within the grace period.
    AskedAgain,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        let mut signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let (sender, stage) = watch::channel(Stage::Running);
        let from_within = Arc::new(Notify::new());
        let asked_within = from_within.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = signals.next() => {}
                () = asked_within.notified() => {}
            }
            tracing::info!("shutting down: delivering the lines that were read");
            sender.send_replace(Stage::Asked);
            sender.send_replace(match tokio::time::timeout(GRACE, signals.next()).await {
                Ok(()) => Stage::AskedAgain,
                Err(_) => Stage::GraceOver,
            });
        });
        Ok(Self { stage, from_within })
    }

    /// Shuts down as a signal does.
    fn ask(&self) {
        self.from_within.notify_one();
    }

    /// Returns whether lines are no longer waited for.
    fn is_over(&self) -> bool {
        *self.stage.borrow() >= Stage::GraceOver
    }

    /// Returns the reason why lines are given up.
    fn cause(&self) -> &'static str {
        match *self.stage.borrow() {
            Stage::Running | Stage::Asked => "the delivery ended early",
            Stage::GraceOver => "the grace period is over",
            Stage::AskedAgain => "a second signal arrived",
        }
    }

    /// Waits for the first signal.
    async fn asked(&mut self) {
        self.reached(Stage::Asked).await;
    }

    /// Returns the result of `work`, or `None` if the first signal arrives first.
    async fn unless_asked<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        self.unless(Stage::Asked, work).await
    }

    /// Returns the result of `work`, or `None` if the grace period is over or a second signal arrives
    /// first.
    async fn unless_over<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        self.unless(Stage::GraceOver, work).await
    }

    async fn unless<T>(&mut self, stage: Stage, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = work => Some(result),
            () = self.reached(stage) => None,
        }
    }

    async fn reached(&mut self, stage: Stage) {
        if self.stage.wait_for(|reached| *reached >= stage).await.is_err() {
            // The task ends only after the last stage, and the value stays.
            pending::<()>().await;
        }
    }
}

/// The signals that end the router.
struct Signals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};

    #[tokio::test]
    async fn records_that_no_route_selects_are_counted() {
        let engine = SimulatedEngine::start().await;
        let address = engine.docker_host().parse().unwrap();
        let mut source = Source::builder().address(address).connect().await.unwrap();
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        for number in 0..3 {
            web.line(Stream::Stdout, number.to_string());
        }
        let mut stop = Stop::new().unwrap();
        let (asked, stats) = (stop.from_within.clone(), source.stats());
        let ask = async {
            while stats.snapshot().total.yielded < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            asked.notify_one();
        };
        let mut unrouted = 0;
        let (pumped, ()) = tokio::join!(pump(&mut source, &mut [], None, &mut unrouted, &mut stop), ask);
        assert!(pumped.is_ok());
        assert_eq!(unrouted, 3);
    }
}
