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

/// Ships until SIGTERM or Ctrl-C, then delivers the lines that were read by that time.
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
    tokio::select! {
        () = pump(&mut source, &mut outputs.routes, &mut stop) => {}
        reason = printer_ended(&mut printer) => {
            // The reader of stdout has ended, as `head` does.
            tracing::info!("stdout is closed: {reason}");
            stop.ask();
        }
    }
    source.stop();
    outputs.printer = printer;
    outputs.finish(&mut stop).await;
    let total = source.stats().snapshot().total;
    tracing::info!(
        "{} lines read = {} routed + {} empty + {} repeated + {} too old + {} not routed at the end",
        total.read,
        total.yielded,
        total.skipped_empty,
        total.skipped_repeated,
        total.skipped_old,
        total.in_flight
    );
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

/// Passes each record to the routes that select its container. After a signal, returns once the records that
/// were read by then are passed on.
async fn pump(source: &mut Source, routes: &mut [RouteQueue], stop: &mut Stop) {
    let mut stopping = false;
    loop {
        let record = tokio::select! {
            record = source.next() => record,
            () = stop.asked(), if !stopping => {
                tracing::info!("shutting down: delivering the lines that were read");
                stopping = true;
                source.stop();
                continue;
            }
        };
        let Some(record) = record else { return };
        // A destination that is down holds up the others once its queue is full. Only a route whose
        // `when_full` says so drops lines because its destination is slow.
        for route in routes.iter_mut().filter(|route| route.route.takes(record.container())) {
            route.tally.routed();
            if stop.unless_over(route.delivery.send(&record)).await.is_none() {
                return;
            }
        }
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

    /// Waits until all lines are delivered and printed, or the grace period is over.
    async fn finish(self, stop: &mut Stop) {
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
        let complete = stop.unless_over(all).await.is_some();
        for (destination, tally) in tallies {
            let lost = tally.in_flight();
            if lost > 0 || !complete {
                tracing::warn!(destination, "the grace period is over: {lost} lines were not delivered");
            }
            tracing::info!(destination, "{tally}");
        }
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
    /// The grace period is over, or a second signal arrived.
    Over,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (sender, stage) = watch::channel(Stage::Running);
        let from_within = Arc::new(Notify::new());
        let asked_within = from_within.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = next_signal(&mut terminate, &mut interrupt) => {}
                () = asked_within.notified() => {}
            }
            sender.send_replace(Stage::Asked);
            let _ = tokio::time::timeout(GRACE, next_signal(&mut terminate, &mut interrupt)).await;
            sender.send_replace(Stage::Over);
        });
        Ok(Self { stage, from_within })
    }

    /// Shuts down as a signal does.
    fn ask(&self) {
        self.from_within.notify_one();
    }

    /// Waits for the first signal.
    async fn asked(&mut self) {
        self.reached(Stage::Asked).await;
    }

    /// Returns the result of `work`, or `None` if the first signal arrives first.
    async fn unless_asked<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        self.unless(Stage::Asked, work).await
    }

    /// Returns the result of `work`, or `None` if the grace period is over first.
    async fn unless_over<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        self.unless(Stage::Over, work).await
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

async fn next_signal(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
