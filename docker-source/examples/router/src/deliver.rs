//! Delivery of a route's records to its destination.
//!
//! A destination that is down is retried without a limit, and logged once. Meanwhile records wait: the queue
//! fills, reading pauses, and the Engine's log files hold the rest. Over TCP and TLS a record is kept until
//! the destination's operating system has acknowledged all of it. If the connection breaks first, the record
//! is sent again on the next one. Over UDP a host without a listener refuses datagrams. Their lines are
//! dropped and counted, since nothing indicates when the host would accept them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use docker_source::Record;
use docker_source::gelf::GelfFormatter;
use gelf_tokio::{Client, Driver, DropReason, NotQueued, Outcome, Receipts};

use crate::print::Window;
use crate::receipt::LineReceipt;
use crate::route::Route;
use crate::tally::Tally;

/// The grace period of the driver: practically unlimited, since `run` limits the time after a signal.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// The sending handle of a route.
pub(crate) struct Delivery {
    client: Client<LineReceipt>,
    formatter: GelfFormatter,
    window: Option<Window>,
}

/// The background task of a route: sends lines and reads their receipts. It ends when the [`Delivery`] is
/// dropped and all lines are delivered.
pub(crate) struct Destination {
    name: String,
    driver: Driver<LineReceipt>,
    receipts: Receipts<LineReceipt>,
}

/// Opens the delivery of a route. If the route has a window, each line waits until the receiver behind it has
/// room.
///
/// # Errors
/// Returns an error if the TLS files are missing or invalid.
pub(crate) fn open(route: &Route) -> io::Result<(Delivery, Destination, Tally)> {
    let (client, receipts, driver) = Client::builder(&route.endpoint).build_with_receipts()?;
    let tally = Tally::new(client.observer());
    let destination = Destination { name: route.to_string(), driver: driver.with_grace(GRACE), receipts };
    let formatter = GelfFormatter::new(route.format.clone());
    Ok((Delivery { client, formatter, window: route.window.clone() }, destination, tally))
}

impl Delivery {
    /// Queues a record. If the queue is full, waits or drops a message, as the route's `when_full` says.
    pub(crate) async fn send(&mut self, record: &Record) {
        if let Some(window) = &self.window {
            window.enter().await;
        }
        let line = LineReceipt { container: Arc::clone(record.container()), time: record.time() };
        let message = self.formatter.message(record);
        if let Err(NotQueued { receipt, reason, .. }) = self.client.send_with_receipt(&message, line).await {
            tracing::debug!(container = receipt.container.name(), time = %receipt.time, "a line was dropped: {reason}");
        }
    }
}

impl Destination {
    /// Sends until the [`Delivery`] is dropped and all lines are delivered.
    pub(crate) async fn run(self) {
        let Self { name, driver, mut receipts } = self;
        let hear = async {
            while let Some((line, outcome)) = receipts.recv().await {
                match outcome {
                    Outcome::Dropped(reason) if is_due_to_line(reason) => {
                        let container = line.container.name();
                        tracing::warn!(destination = name, container, time = %line.time, "a line was dropped: {reason}");
                    }
                    _ => {}
                }
            }
        };
        tokio::join!(driver.run(), hear);
    }
}

/// Returns whether the reason is the line itself, not the state of the destination.
fn is_due_to_line(reason: DropReason) -> bool {
    matches!(reason, DropReason::TooLarge | DropReason::DatagramTooLong | DropReason::Rejected(_))
}
