//! Sends the messages of a queue in HTTP requests, and retries each request until there is a final answer.

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::http::{BulkBody, HttpError, HttpSender};
use crate::outcome::{DropReason, Outcome};

use super::super::in_flight::InFlight;
use super::super::link_state::LinkState;

/// Sends messages until the queue is closed and empty, one request at a time. With `bulk`, a request carries
/// all waiting messages, up to 64 KiB and 1,024 messages.
pub(crate) async fn run<R>(
    in_flight: &mut InFlight<R>,
    link: &mut LinkState<R>,
    sender: &mut HttpSender,
    bulk: bool,
) {
    let most = if bulk { BulkBody::DEFAULT_MAX_MESSAGES } else { 1 };
    let mut bulk_body = BulkBody::new();
    while in_flight.queue().has_work().await {
        in_flight.take(most, BulkBody::DEFAULT_MAX_BYTES);
        // The number of messages that are still to be sent alone. After a body is rejected, each of its
        // messages is sent alone, since perhaps only one of them is at fault.
        let mut alone = 0;
        while !in_flight.is_empty() {
            for message in in_flight.behind(0).take(if alone > 0 { 1 } else { most }) {
                if !bulk_body.push(&message.payload) {
                    break;
                }
            }
            let messages = bulk_body.messages();
            let body = bulk_body.take();
            match post(in_flight, link, sender, body, messages).await {
                Ok(()) => in_flight.settle(messages, Outcome::Accepted),
                Err(_) if messages > 1 => {
                    alone = messages;
                    continue;
                }
                Err(status) => in_flight.settle(1, Outcome::Dropped(DropReason::Rejected(status))),
            }
            alone = alone.saturating_sub(messages);
        }
    }
}

/// Sends a body until there is a final answer.
///
/// # Errors
/// Returns the status of the final answer if it is not 2xx.
async fn post<R>(
    in_flight: &InFlight<R>,
    link: &mut LinkState<R>,
    sender: &mut HttpSender,
    body: Bytes,
    messages: usize,
) -> Result<(), u16> {
    let first_request = sender.requests();
    loop {
        let (started, connections, requests) = (Instant::now(), sender.connections(), sender.requests());
        let result = sender.post(body.clone()).await;
        // The first request with this body is no repetition.
        let repeated = sender.requests().saturating_sub(requests.max(first_request + 1));
        in_flight.queue().count(|stats| {
            stats.connections += sender.connections() - connections;
            stats.is_connected = sender.is_connected();
            stats.resent += repeated * messages as u64;
        });
        let error = match result {
            Ok(()) => {
                link.accepted();
                link.arrived();
                return Ok(());
            }
            Err(error) => error,
        };
        let pause = match &error {
            HttpError::Status { status, .. } if !error.is_retriable() => {
                link.rejected(messages, &error);
                link.arrived();
                return Err(*status);
            }
            HttpError::Connect(_) => link.failed(&error, started.elapsed()),
            _ => {
                link.down(&error);
                link.long_pause()
            }
        };
        if !sender.hosts().is_failing_over() {
            sleep(error.retry_after().unwrap_or(pause).max(pause)).await;
        }
    }
}
