//! Ships records from the Engine to the routes, until a signal arrives.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use docker_source::gelf::InvalidHost;
use docker_source::{EngineAddress, Source};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::cli::Options;
use crate::deliver::{self, Delivery};
use crate::host::{self, HOST_FILE};
use crate::print::Printer;
use crate::route::Route;
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

    let selecting = routes.clone();
    let source = Source::builder()
        .address(address)
        .select(move |container| selecting.iter().any(|route| route.takes(container)))
        .connect();
    let Some(source) = stop.unless_asked(source).await else { return Ok(()) };
    let mut source = source.map_err(Failure::refused)?;

    let mut outputs = Outputs::start(routes, printer)?;
    let mut printer = outputs.printer.take();
    let mut is_unread = false;
    let mut unrouted = 0;
    let pumped = tokio::select! {
        pumped = pump(&mut source, &mut outputs.routes, &mut stop, &mut unrouted) => pumped,
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
    let undelivered = outputs.finish(&mut stop).await;
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
    if given_up > 0 && !is_unread {
        return Err(Failure::refused(format!("{}: {given_up} lines were given up", stop.cause())));
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
    stop: &mut Stop,
    unrouted: &mut u64,
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
        let mut is_routed = false;
        for route in routes.iter_mut().filter(|route| route.route.takes(record.container())) {
            is_routed = true;
            route.tally.routed();
            if stop.unless_over(route.delivery.send(&record)).await.is_none() {
                return Ok(());
            }
        }
        *unrouted += u64::from(!is_routed);
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

    /// Waits until all lines are delivered and printed, or the grace period is over. Returns the number of
    /// lines that were routed and not delivered.
    async fn finish(self, stop: &mut Stop) -> u64 {
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
        let mut undelivered = 0;
        for (destination, tally) in tallies {
            let lost = tally.in_flight();
            if lost > 0 {
                tracing::warn!(destination, "{}: {lost} lines were not delivered", stop.cause());
            }
            tracing::info!(destination, "{tally}");
            undelivered += lost;
        }
        undelivered
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
