//! The way of a route's records to its destination.
//!
//! A destination that is down is tried for ever, and said to be down once. Meanwhile records wait: the queue fills,
//! reading pauses, and the Engine's own log files hold the rest. Over TCP and TLS a record is kept until the
//! destination's system has acknowledged all of it, and is sent again on the next connection if it has not. Over UDP a
//! host without a listener refuses what it got; such a line is dropped and counted, since nothing tells when one would
//! be taken.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use docker_source::gelf::{GelfFormat, GelfFormatter};
use docker_source::{Container, Record};
use gelf_tokio::gelf_core::Timestamp;
use gelf_tokio::{Client, Driver, DropReason, Endpoint, NotQueued, Outcome, Receipts};

use crate::print::Window;
use crate::tally::Tally;

/// A driver goes on as long as it is let; when it is too late is the caller's to say.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Which line a receipt is for.
#[derive(Debug)]
pub(crate) struct Line {
    container: Arc<Container>,
    time: Timestamp,
}

/// The near end of the way.
pub(crate) struct Delivery {
    client: Client<Line>,
    formatter: GelfFormatter,
    window: Option<Window>,
}

/// Its far end: what sends, and hears what became of each line. It ends when all is delivered and the near end is gone.
pub(crate) struct Destination {
    name: String,
    driver: Driver<Line>,
    receipts: Receipts<Line>,
}

/// Prepares the way to a destination. With a `window`, each line waits until the receiver behind it has room.
///
/// # Errors
/// What is wrong with the files of TLS.
pub(crate) fn open(
    endpoint: &Endpoint,
    format: GelfFormat,
    window: Option<Window>,
) -> io::Result<(Delivery, Destination, Tally)> {
    let (client, receipts, driver) = Client::builder(endpoint).build_with_receipts()?;
    let tally = Tally::new(client.observer());
    let destination = Destination { name: endpoint.to_string(), driver: driver.with_grace(GRACE), receipts };
    Ok((Delivery { client, formatter: GelfFormatter::new(format), window }, destination, tally))
}

impl Delivery {
    /// Hands a record on; while there is no room it waits, or drops what the route says.
    pub(crate) async fn send(&mut self, record: &Record) {
        if let Some(window) = &self.window {
            window.enter().await;
        }
        let line = Line { container: Arc::clone(record.container()), time: record.time() };
        let message = self.formatter.message(record);
        if let Err(NotQueued { receipt, reason, .. }) = self.client.send_with(&message, line).await {
            tracing::debug!(container = receipt.container.name(), time = %receipt.time, "a line was dropped: {reason}");
        }
    }
}

impl Destination {
    /// Sends until the near end is gone and all is delivered.
    pub(crate) async fn run(self) {
        let Self { name, driver, mut receipts } = self;
        let hear = async {
            while let Some((line, outcome)) = receipts.recv().await {
                if let Outcome::Dropped(reason) = outcome
                    && is_of_the_line(reason)
                {
                    let container = line.container.name();
                    tracing::warn!(destination = name, container, time = %line.time, "a line was dropped: {reason}");
                }
            }
        };
        tokio::join!(driver.run(), hear);
    }
}

/// Whether it is for the line itself that it is dropped, and not for the state of the destination.
fn is_of_the_line(reason: DropReason) -> bool {
    matches!(reason, DropReason::TooLarge | DropReason::DatagramTooLong | DropReason::Rejected(_))
}
