//! Delivers a route's records to the destination of the route.
//!
//! If a destination over TCP, TLS or HTTP is down, the router retries for an unlimited time, and logs the outage
//! once. Meanwhile, the records wait: the queue fills, reading pauses, and the Engine's log files hold the
//! further records. With some values of the option `when_full`, records are dropped instead.
//!
//! Over TCP and TLS, a record is kept until it is delivered, see [`Outcome::Acknowledged`]. If the connection
//! breaks before that, the record is sent again on the next connection. Over UDP, a host without a listener
//! refuses datagrams. A line whose refusal the system reports is dropped and counted, since nothing indicates
//! when the host would accept the line.

use std::iter;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use docker_source::Container;
use docker_source::content::{ContainerContent, ContentLifter};
use docker_source::gelf::GelfFormatter;
use docker_source::gelf_core::Timestamp;
use gelf_tokio::{Client, Driver, DropReason, NotQueued, NotQueuedReason, Outcome, Receipts, Transport};
use tokio::time::{MissedTickBehavior, interval};

use crate::failure::Failure;
use crate::lines::Lines;
use crate::print::Window;
use crate::receipt::LineReceipt;
use crate::route::Route;
use crate::tally::Tally;

/// The time that the driver has for the queued messages after the last client is dropped. A day is never reached,
/// since the module `run` limits the time that the router has after a signal.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// The handle that queues the messages of a route.
pub(crate) struct Delivery {
    client: Client<LineReceipt>,
    formatter: GelfFormatter,
    lifter: ContentLifter,
    window: Option<Window>,
}

/// A handle that closes the delivery of a route.
#[derive(Clone, Debug)]
pub(crate) struct Closer(Client<LineReceipt>);

impl Closer {
    /// Refuses further lines and gives up the queued lines.
    pub(crate) async fn close(self) {
        // The result is not needed, since the counters include the lines that are given up.
        let _ = self.0.close(Duration::ZERO).await;
    }
}

/// The background task of a route: sends lines and reads their receipts. It ends when the [`Delivery`] and its
/// [`Closer`]s are dropped and no line waits, or when a [`Closer`] closes the delivery.
pub(crate) struct Destination {
    name: String,
    driver: Driver<LineReceipt>,
    receipts: Receipts<LineReceipt>,
    tally: Arc<Tally>,
    window: Option<Window>,
}

/// Opens routes, with the settings that all routes of the router share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opener {
    /// The epoch of the numbers of messages, if messages are numbered.
    pub(crate) numbering: Option<u64>,
    /// The id of the EC2 instance, if messages contain the id.
    pub(crate) instance: Option<Arc<OnceLock<String>>>,
}

/// A route whose delivery is open. Its destination does not run yet.
pub(crate) struct OpenRoute {
    pub(crate) route: Route,
    pub(crate) delivery: Delivery,
    pub(crate) destination: Destination,
    pub(crate) tally: Arc<Tally>,
}

impl Opener {
    /// Opens the delivery of a route. A route with a [`Window`] goes to the receiver of `--print`, so each of
    /// its messages waits until this receiver has room for the message.
    ///
    /// # Errors
    /// Returns an error if the TLS files of the route are missing or invalid.
    pub(crate) fn open(&self, mut route: Route) -> Result<OpenRoute, Failure> {
        if let Some(id) = &self.instance {
            route.send_instance(id.clone());
        }
        if let Some(epoch) = self.numbering {
            route.number_messages(epoch);
        }
        let (client, receipts, driver) = Client::builder(&route.endpoint)
            .build_with_receipts()
            .map_err(|error| Failure::refused(format!("{route}: {error}")))?;
        let is_udp = matches!(route.endpoint.transport(), Transport::Udp(_));
        let tally = Arc::new(Tally::new(client.observer(), is_udp));
        if let Some(window) = &route.window {
            window.set_sender(client.observer());
        }
        let (name, driver) = (route.to_string(), driver.with_grace(GRACE));
        let window = route.window.clone();
        let destination =
            Destination { name, driver, receipts, tally: tally.clone(), window: window.clone() };
        let formatter = GelfFormatter::new(route.format.clone());
        let lifter = ContentLifter::default();
        let delivery = Delivery { client, formatter, lifter, window };
        Ok(OpenRoute { route, delivery, destination, tally })
    }
}

impl Delivery {
    /// Returns a handle that closes the delivery.
    pub(crate) fn closer(&self) -> Closer {
        Closer(self.client.clone())
    }

    /// Queues the message of `lines`. If `content` is given, the level, the time and the fields that the text
    /// contains are added to the message. If the queue is full, the route's option `when_full` decides
    /// whether the call waits or drops a message.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the message is not queued.
    pub(crate) async fn send(&mut self, lines: &Lines, content: Option<&mut ContainerContent>) {
        let room = match &self.window {
            Some(window) => Some(window.enter().await),
            None => None,
        };
        let receipt = LineReceipt::new(lines.record(), lines.tickets().cloned());
        let content = content.map(|content| (content, self.formatter.text(lines.text())));
        let mut message = lines.message(&mut self.formatter);
        if let Some((content, text)) = content {
            self.lifter.apply(content, text, &mut message);
        }
        match self.client.send_with_receipt(&message, receipt).await {
            Ok(_) => {
                if let Some(room) = room {
                    room.keep();
                }
            }
            Err(NotQueued { receipt, reason, .. }) => {
                tracing::debug!(container = receipt.container.name(), time = %receipt.time, "a line was dropped: {reason}");
                if !matches!(reason, NotQueuedReason::Closed | NotQueuedReason::DriverEnded) {
                    receipt.settle();
                }
            }
        }
    }
}

impl Destination {
    /// Sends lines and reads their receipts until the delivery ends, see [`Destination`].
    pub(crate) async fn run(self) {
        let Self { name, driver, mut receipts, tally, window } = self;
        let read_receipts = async {
            let mut dropped = DroppedLines::default();
            let mut due = interval(WARN_INTERVAL);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let received = tokio::select! {
                    biased;
                    _ = due.tick(), if dropped.first.is_some() => {
                        dropped.log(&name);
                        continue;
                    }
                    received = receipts.recv() => received,
                };
                let Some(first) = received else { break };
                // The receipts of messages that were sent together arrive together.
                for (line, outcome) in iter::once(first).chain(iter::from_fn(|| receipts.try_recv())) {
                    tally.settled(line.time);
                    if let (Outcome::Dropped(_), Some(window)) = (&outcome, &window) {
                        window.leave();
                    }
                    match outcome {
                        Outcome::Dropped(DropReason::Ended) => continue,
                        Outcome::Dropped(reason) if is_due_to_line(reason) => dropped.add(&line, reason),
                        _ => {}
                    }
                    line.settle();
                }
            }
            dropped.log(&name);
        };
        tokio::join!(driver.run(), read_receipts);
    }
}

/// The shortest time between two warnings about dropped lines of a route. Only the warning at the end of the
/// delivery may follow sooner. Without a limit, the router would log a warning for each line that a destination
/// rejects. If another agent shipped these warnings to the same destination, each warning would cause a further
/// warning.
const WARN_INTERVAL: Duration = Duration::from_secs(30);

/// The lines that were dropped since the last warning.
#[derive(Default)]
struct DroppedLines {
    /// The first line: its container, its time, and the reason.
    first: Option<(Arc<Container>, Timestamp, DropReason)>,
    /// The number of lines after the first one.
    more: u64,
}

impl DroppedLines {
    fn add(&mut self, line: &LineReceipt, reason: DropReason) {
        match self.first {
            Some(_) => self.more += 1,
            None => self.first = Some((Arc::clone(&line.container), line.time, reason)),
        }
    }

    /// Logs the first line and the number of further lines. Logs nothing if no line was dropped.
    fn log(&mut self, destination: &str) {
        let Self { first, more } = std::mem::take(self);
        let Some((container, time, reason)) = first else { return };
        let container = container.name();
        match more {
            0 => tracing::warn!(destination, container, %time, "a line was dropped: {reason}"),
            _ => tracing::warn!(
                destination, container, %time,
                "a line was dropped: {reason}; and {more} more lines were dropped"
            ),
        }
    }
}

/// Returns whether the reason is the line itself, not the state of the destination.
fn is_due_to_line(reason: DropReason) -> bool {
    matches!(reason, DropReason::TooLarge | DropReason::DatagramTooLong | DropReason::Rejected(_))
}
