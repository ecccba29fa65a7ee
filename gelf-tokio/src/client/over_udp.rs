//! From the queue into datagrams.

use std::sync::Arc;

use tokio::time::sleep;

use crate::endpoint::Endpoint;
use crate::outcome::{DropReason, Outcome};
use crate::resolve::Resolve;
use crate::udp::UdpSender;

use super::flight::Flight;
use super::reach::Reach;

/// How many messages are taken from the queue at once.
const BATCH_MESSAGES: usize = 64;

/// How many bytes they may have.
const BATCH_BYTES: usize = 256 * 1024;

/// Sends until the queue is closed and empty. What a message cannot be sent for is the outcome of that message.
pub(crate) async fn run<R>(
    flight: &mut Flight<R>,
    reach: &mut Reach,
    endpoint: &Endpoint,
    resolver: Arc<dyn Resolve>,
) {
    let mut sender = loop {
        match UdpSender::connect_with(endpoint, Arc::clone(&resolver)).await {
            Ok(sender) => break sender,
            Err(error) => sleep(reach.failed(flight.queue(), &error)).await,
        }
    };
    reach.connected(flight.queue());
    while flight.queue().has_work().await {
        flight.take(BATCH_MESSAGES, BATCH_BYTES);
        while let Some(payload) = flight.first() {
            let outcome = match sender.send_payload(payload).await {
                Ok(sent) => {
                    if sent.refused == 0 {
                        reach.up();
                    } else {
                        flight.queue().count(|stats| stats.refused_datagrams += sent.refused as u64);
                        reach.down(&"the datagrams are refused");
                    }
                    Outcome::Sent
                }
                Err(error) => {
                    let reason = DropReason::of_send(&error);
                    if reason != DropReason::TooLarge {
                        reach.down(&error);
                    }
                    Outcome::Dropped(reason)
                }
            };
            flight.settle(1, outcome);
        }
    }
}
