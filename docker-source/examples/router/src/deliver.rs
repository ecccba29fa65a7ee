//! Delivery of a route's records to its destination.
//!
//! A destination that is down is retried without a limit, and logged once. Meanwhile records wait: the queue
//! fills, reading pauses, and the Engine's log files hold the rest. Over TCP and TLS a record is kept until
//! the destination's operating system has acknowledged all of it. If the connection breaks first, the record
//! is sent again on the next one. Over UDP a host without a listener refuses datagrams. Their lines are
//! dropped and counted, since nothing indicates when the host would accept them.

use std::future::pending;
use std::io;
use std::time::Duration;

use docker_source::content::{ContainerContent, ContentLifter};
use docker_source::gelf::GelfFormatter;
use gelf_tokio::{Client, Driver, DropReason, NotQueued, NotQueuedReason, Outcome, Receipts, Transport};
use tokio::time::{Instant, sleep_until};

use crate::lines::Lines;
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
    lifter: ContentLifter,
    window: Option<Window>,
}

/// The background task of a route: sends lines and reads their receipts. It ends when the [`Delivery`] is
/// dropped and all lines are delivered.
pub(crate) struct Destination {
    name: String,
    driver: Driver<LineReceipt>,
    receipts: Receipts<LineReceipt>,
}

/// Opens the delivery of a route. If the route has a [`Window`], each line waits until the embedded receiver
/// has room for the line.
///
/// # Errors
/// Returns an error if the TLS files are missing or invalid.
pub(crate) fn open(route: &Route) -> io::Result<(Delivery, Destination, Tally)> {
    let (client, receipts, driver) = Client::builder(&route.endpoint).build_with_receipts()?;
    let is_udp = matches!(route.endpoint.transport(), Transport::Udp(_));
    let tally = Tally::new(client.observer(), is_udp);
    if let Some(window) = &route.window {
        window.set_sender(client.observer());
    }
    let destination = Destination { name: route.to_string(), driver: driver.with_grace(GRACE), receipts };
    let formatter = GelfFormatter::new(route.format.clone());
    Ok((
        Delivery { client, formatter, lifter: ContentLifter::default(), window: route.window.clone() },
        destination,
        tally,
    ))
}

impl Delivery {
    /// Queues a message, completed by its content if the container asks for that. If the queue is full, waits
    /// or drops a message, as the route's `when_full` says.
    ///
    /// # Cancel safety
    /// Cancel safe: the message is not queued.
    pub(crate) async fn send(&mut self, lines: &Lines, content: Option<&mut ContainerContent>) {
        if let Some(window) = &self.window {
            window.enter().await;
        }
        let receipt = LineReceipt::new(lines);
        let content = content.map(|content| (content, self.formatter.text(lines.text())));
        let mut message = lines.message(&mut self.formatter);
        if let Some((content, text)) = content {
            self.lifter.apply(content, text, &mut message);
        }
        if let Err(NotQueued { receipt, reason, .. }) = self.client.send_with_receipt(&message, receipt).await
        {
            tracing::debug!(container = receipt.container.name(), time = %receipt.time, "a line was dropped: {reason}");
            if !matches!(reason, NotQueuedReason::Closed | NotQueuedReason::DriverEnded) {
                receipt.settle();
            }
        }
    }
}

impl Destination {
    /// Sends until the [`Delivery`] is dropped and all lines are delivered.
    pub(crate) async fn run(self) {
        let Self { name, driver, mut receipts } = self;
        let hear = async {
            let mut warnings = DropWarnings::default();
            loop {
                let heard = tokio::select! {
                    heard = receipts.recv() => heard,
                    () = warnings.due() => {
                        warnings.summarize(&name);
                        continue;
                    }
                };
                let Some((line, outcome)) = heard else { break };
                match outcome {
                    Outcome::Dropped(DropReason::Ended) => continue,
                    Outcome::Dropped(reason)
                        if is_due_to_line(reason) && warnings.dropped(Instant::now()) =>
                    {
                        let container = line.container.name();
                        tracing::warn!(destination = name, container, time = %line.time, "a line was dropped: {reason}");
                    }
                    _ => {}
                }
                line.settle();
            }
            warnings.summarize(&name);
        };
        tokio::join!(driver.run(), hear);
    }
}

/// The shortest time between two warnings about dropped lines of a route. Without a limit, the router would
/// log a warning for each line that a destination rejects. If another agent collected these warnings, the
/// cycle would never end.
const WARN_INTERVAL: Duration = Duration::from_secs(30);

/// Limits the warnings about dropped lines. The first dropped line is logged at once, and the number of
/// further ones every [`WARN_INTERVAL`].
#[derive(Debug, Default)]
struct DropWarnings {
    next: Option<Instant>,
    /// The number of lines that were dropped since the last warning.
    untold: u64,
}

impl DropWarnings {
    /// Counts a dropped line, and returns whether it is to be logged by itself.
    fn dropped(&mut self, now: Instant) -> bool {
        let is_first = self.untold == 0 && self.next.is_none_or(|next| now >= next);
        if is_first {
            self.next = Some(now + WARN_INTERVAL);
        } else {
            self.untold += 1;
        }
        is_first
    }

    /// Waits until it is time to log the number of lines that were dropped since the last warning. Waits for
    /// ever if there are none.
    async fn due(&self) {
        match self.next {
            Some(next) if self.untold > 0 => sleep_until(next).await,
            _ => pending().await,
        }
    }

    /// Logs the number of lines that were dropped since the last warning.
    fn summarize(&mut self, destination: &str) {
        let untold = std::mem::take(&mut self.untold);
        if untold > 0 {
            self.next = Some(Instant::now() + WARN_INTERVAL);
            tracing::warn!(destination, "{untold} more lines were dropped since the last warning");
        }
    }
}

/// Returns whether the reason is the line itself, not the state of the destination.
fn is_due_to_line(reason: DropReason) -> bool {
    matches!(reason, DropReason::TooLarge | DropReason::DatagramTooLong | DropReason::Rejected(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn dropped_lines_are_logged_once_and_then_counted_every_30_s() {
        let mut warnings = DropWarnings::default();
        let start = Instant::now();
        assert!(warnings.dropped(start));
        for _ in 0..1000 {
            assert!(!warnings.dropped(Instant::now()));
        }
        warnings.due().await;
        assert_eq!((start.elapsed(), warnings.untold), (WARN_INTERVAL, 1000));
        warnings.summarize("gelf://h");
        // The count is a warning, too: the next line is not logged by itself.
        assert!(!warnings.dropped(Instant::now()));
        warnings.due().await;
        assert_eq!(start.elapsed(), 2 * WARN_INTERVAL);
        warnings.summarize("gelf://h");
        tokio::time::advance(WARN_INTERVAL).await;
        assert!(warnings.dropped(Instant::now()));
    }
}
