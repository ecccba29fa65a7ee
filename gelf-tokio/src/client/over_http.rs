//! From the queue into requests, each tried as often as it takes.

use bytes::Bytes;
use tokio::time::sleep;

use crate::http::{BulkBody, HttpError, HttpSender};
use crate::outcome::{DropReason, Outcome};

use super::flight::Flight;
use super::reach::Reach;

/// Sends until the queue is closed and empty. One request is under way at a time; with `bulk` it carries what waits, up to
/// 64 KiB.
pub(crate) async fn run<R>(flight: &mut Flight<R>, reach: &mut Reach, sender: &mut HttpSender, bulk: bool) {
    let most = if bulk { BulkBody::DEFAULT_MAX_MESSAGES } else { 1 };
    let mut bulk_body = BulkBody::new();
    while flight.queue().has_work().await {
        flight.take(most, BulkBody::DEFAULT_MAX_BYTES);
        // Messages of a body that was rejected, each of which has to be tried alone: it may be only one of them.
        let mut alone = 0;
        while let Some(first) = flight.next_to_send() {
            let (body, messages) = if bulk {
                for message in flight.behind(0).take(if alone > 0 { 1 } else { most }) {
                    if !bulk_body.push(&message.payload) {
                        break;
                    }
                }
                let messages = bulk_body.messages();
                (bulk_body.take(), messages)
            } else {
                (Bytes::copy_from_slice(first), 1)
            };
            match post(flight, reach, sender, body, messages).await {
                Ok(()) => flight.settle(messages, Outcome::Accepted),
                Err(_) if messages > 1 => {
                    alone = messages;
                    continue;
                }
                Err(status) => flight.settle(1, Outcome::Dropped(DropReason::Rejected(status))),
            }
            alone = alone.saturating_sub(messages);
        }
    }
}

/// Sends a body until there is an answer that is the receiver's last word.
///
/// # Errors
/// The status of that answer, when it is none of success.
async fn post<R>(
    flight: &Flight<R>,
    reach: &mut Reach,
    sender: &mut HttpSender,
    body: Bytes,
    messages: usize,
) -> Result<(), u16> {
    loop {
        let connections = sender.connections();
        let result = sender.post(body.clone()).await;
        flight.queue().count(|stats| {
            stats.connections += sender.connections() - connections;
            stats.is_connected = sender.is_connected();
        });
        let error = match result {
            Ok(()) => {
                reach.up();
                reach.arrived();
                return Ok(());
            }
            Err(error) => error,
        };
        if let HttpError::Status { status, .. } = error
            && !error.is_retriable()
        {
            reach.up();
            reach.arrived();
            tracing::warn!(messages, "a request was rejected: {error}");
            return Err(status);
        }
        let pause = match &error {
            HttpError::Connect(_) => reach.failed(flight.queue(), &error),
            _ => {
                reach.down(&error);
                reach.pause()
            }
        };
        // A receiver that says when knows better.
        sleep(error.retry_after().unwrap_or(pause).max(pause)).await;
        flight.queue().count(|stats| stats.resent += messages as u64);
    }
}
