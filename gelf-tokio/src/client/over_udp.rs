//! From the queue into datagrams.
//!
//! That nobody listens at the destination is heard after the fact, from its host, with the next datagram or a little later.
//! So a message that the operating system has taken is settled only then.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

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

/// How long a refusal is waited for when no other message is sent: many times the way there and back in a local network.
const HEAR_REFUSAL: Duration = Duration::from_millis(10);

const REFUSED: Outcome = Outcome::Dropped(DropReason::Refused);

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
            Err(error) => {
                let pause = reach.failed(flight.queue(), &error);
                if flight.pause(pause).await {
                    return;
                }
            }
        }
    };
    reach.connected(flight.queue());
    loop {
        if flight.has_sent() {
            let more = timeout(HEAR_REFUSAL, flight.queue().has_work()).await;
            if more == Ok(false) {
                sleep(HEAR_REFUSAL).await;
            }
            if more != Ok(true) {
                // Perhaps there is no next datagram to hear of it with.
                let is_refused = sender.take_refusal();
                settle_sent(flight, reach, u64::from(is_refused));
            }
        }
        if !flight.has_sent() && !flight.queue().has_work().await {
            return;
        }
        flight.take(BATCH_MESSAGES, BATCH_BYTES);
        while let Some(payload) = flight.next_to_send() {
            match sender.send_payload(payload).await {
                Ok(sent) => {
                    let refused = settle_sent(flight, reach, sent.refused as u64);
                    if refused > 0 {
                        // A chunk of its own was refused while the others were sent.
                        flight.settle(1, REFUSED);
                    } else {
                        flight.sent();
                    }
                }
                Err(error) => {
                    let reason = DropReason::of_send(&error);
                    settle_sent(flight, reach, u64::from(reason == DropReason::Refused));
                    if reason != DropReason::TooLarge {
                        reach.down(&error);
                    }
                    flight.settle(1, Outcome::Dropped(reason));
                }
            }
        }
    }
}

/// Settles the message that was sent before, if there is one: so many refusals were heard since. How many of them are not
/// that message's.
fn settle_sent<R>(flight: &mut Flight<R>, reach: &mut Reach, refused: u64) -> u64 {
    if refused > 0 {
        flight.queue().count(|stats| stats.refused_datagrams += refused);
        reach.down(&"the datagrams are refused");
    }
    if !flight.has_sent() {
        return refused;
    }
    if refused > 0 {
        flight.settle(1, REFUSED);
        return refused - 1;
    }
    reach.up();
    flight.settle(1, Outcome::Sent);
    0
}
