//! Waits for the signals that end the router, and tracks the stages of its end.

use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::task::task;

/// The time within which the router has to deliver the lines that it has read before a signal. By default, ECS kills
/// a container 30 s after the signal, and Docker 10 s after the signal.
const GRACE: Duration = Duration::from_secs(8);

/// A handle to the present stage of shutting down. Clones share the stage.
#[derive(Clone)]
pub(crate) struct Stop {
    stage: watch::Receiver<Stage>,
    /// Begins the shutdown without a signal.
    from_within: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    Running,
    /// A signal arrived, or [`Stop::ask`] was called.
    Asked,
    /// The grace period is over.
    GraceOver,
    /// A further signal arrived within the grace period. After [`Stop::ask`], the first signal has this effect.
    AskedAgain,
}

impl Stop {
    /// Listens for the signals.
    pub(crate) fn new() -> io::Result<Self> {
        let mut signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let (sender, stage) = watch::channel(Stage::Running);
        let from_within = Arc::new(Notify::new());
        let asked_within = from_within.clone();
        tokio::spawn(task(async move {
            tokio::select! {
                () = signals.next() => {}
                () = asked_within.notified() => {}
            }
            tracing::info!("shutting down");
            sender.send_replace(Stage::Asked);
            sender.send_replace(match tokio::time::timeout(GRACE, signals.next()).await {
                Ok(()) => Stage::AskedAgain,
                Err(_) => Stage::GraceOver,
            });
        }));
        Ok(Self { stage, from_within })
    }

    /// Makes the router shut down as after a signal.
    pub(crate) fn ask(&self) {
        self.from_within.notify_one();
    }

    /// Returns whether the router has begun to shut down.
    pub(crate) fn is_asked(&self) -> bool {
        *self.stage.borrow() >= Stage::Asked
    }

    /// Returns whether the router has stopped waiting for the delivery of lines.
    pub(crate) fn is_over(&self) -> bool {
        *self.stage.borrow() >= Stage::GraceOver
    }

    /// Returns the reason why lines are given up.
    pub(crate) fn cause(&self) -> &'static str {
        match *self.stage.borrow() {
            Stage::Running | Stage::Asked => "the delivery ended early",
            Stage::GraceOver => "the grace period is over",
            Stage::AskedAgain => "a further signal arrived",
        }
    }

    /// Waits until the router begins to shut down.
    pub(crate) async fn asked(&mut self) {
        self.reached(Stage::Asked).await;
    }

    /// Returns the result of `work`, or `None` if the router begins to shut down before the result.
    pub(crate) async fn unless_asked<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        self.unless(Stage::Asked, work).await
    }

    /// Returns the result of `work`, or `None` if the grace period ends, or a signal arrives within it, before
    /// the result.
    pub(crate) async fn unless_over<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
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
            // The task sends its last stage before it ends, and that stage remains readable. Therefore, the
            // wait fails only if the task was dropped, for example when the runtime shuts down.
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
