//! Sends messages from the queue as datagrams.
//!
//! The destination's host refuses a datagram if no program listens on the port. The sender learns of the
//! refusal when it sends the next datagram, or when it asks the socket a little later. A message gets its
//! outcome only then. The messages of a batch get their outcomes together, so that the reader of the receipts
//! is woken once for all of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::endpoint::{Endpoint, Transport, UdpOptions};
use crate::outcome::{DropReason, Outcome};
use crate::resolve::Resolve;
use crate::send::SendError;
use crate::udp::{UdpSender, is_unreachable};

use super::super::in_flight::InFlight;
use super::super::link_state::LinkState;

/// The maximum number of messages of a batch. The messages of a batch are taken from the queue together.
const BATCH_MESSAGES: usize = 64;

/// The divisor of the endpoint's rate that gives the maximum number of messages of a batch. A batch has as many
/// messages as the rate permits datagrams in 16 ms, rounded down, but at least one and at most [`BATCH_MESSAGES`]. At
/// rates from 63 to 2,000 datagrams a second, a sender that has used up its rate waits for about the same time. The
/// messages of a batch get their outcomes together, the last of them after the next message is sent. So the batch
/// delays an outcome by about 16 ms if each message is one datagram, or by the time between two messages if that time
/// is longer.
const BATCHES_PER_SECOND: u32 = 64;

/// The maximum number of bytes of a batch.
const BATCH_BYTES: usize = 256 * 1024;

/// The time to wait for a refusal when no other message is sent. It is many times the round trip of a local
/// network.
const HEAR_REFUSAL: Duration = Duration::from_millis(10);

const REFUSED: Outcome = Outcome::Dropped(DropReason::Refused);

/// Sends messages until the queue is closed and empty. A message that is too long, or that the destination
/// refuses, is dropped for that reason. While there is no route, after the local address is lost, and
/// while this machine prohibits sending, the message waits for a new socket, since the system has not sent it.
pub(crate) async fn run<R>(
    in_flight: &mut InFlight<R>,
    link: &mut LinkState<R>,
    endpoint: &Endpoint,
    resolver: Arc<dyn Resolve>,
) {
    let mut sender = loop {
        let started = Instant::now();
        let connected = tokio::select! {
            biased;
            () = in_flight.ended() => return,
            connected = UdpSender::connect_with_resolver(endpoint, Arc::clone(&resolver)) => connected,
        };
        match connected {
            Ok(sender) => break sender,
            Err(error) => {
                let pause = link.failed(&error, started.elapsed());
                if in_flight.pause(pause).await {
                    return;
                }
            }
        }
    };
    link.connected();
    in_flight.queue().set_local_addr(sender.local_addr().ok());
    let batch = batch_messages(endpoint);
    let mut before = sender.stats();
    loop {
        if in_flight.sent() > 0 {
            let more = timeout(HEAR_REFUSAL, in_flight.queue().has_work()).await;
            if more == Ok(false) {
                sleep(HEAR_REFUSAL).await;
            }
            if more != Ok(true) {
                // Ask the socket for a refusal, since there may be no further send that would report the
                // refusal.
                let is_refused = sender.take_refusal();
                settle_sent(in_flight, link, u64::from(is_refused));
                before = sender.stats();
            }
        }
        if in_flight.sent() == 0 && !in_flight.queue().has_work().await {
            return;
        }
        in_flight.take(batch, BATCH_BYTES);
        while let Some(payload) = in_flight.next_to_send() {
            let result = sender.send_payload(payload).await;
            if result.is_err() {
                // The error may have come before the system reported a refusal of an earlier message.
                sender.take_refusal();
            }
            let stats = sender.stats();
            let before = std::mem::replace(&mut before, stats);
            if stats.reroutes != before.reroutes {
                in_flight.queue().set_local_addr(sender.local_addr().ok());
            }
            let refused = stats.refused - before.refused;
            match result {
                Ok(()) => {
                    if stats.truncated > before.truncated {
                        in_flight.queue().count(|stats| stats.truncated += 1);
                    }
                    if refused > 0 && settle_sent(in_flight, link, refused) > 0 {
                        // A chunk of this message was refused while its other chunks were sent.
                        in_flight.settle(1, REFUSED);
                    } else {
                        in_flight.note_sent();
                    }
                }
                Err(SendError::Io(error)) if is_unreachable(&error) => {
                    settle_sent(in_flight, link, refused);
                    link.down(&error);
                    // The sender looks the name up again, and binds a new socket within the next attempts.
                    sleep(link.pause()).await;
                }
                Err(error) => {
                    let reason = DropReason::of_send(&error);
                    settle_sent(in_flight, link, refused);
                    if reason != DropReason::TooLarge {
                        link.down(&error);
                    }
                    in_flight.settle(1, Outcome::Dropped(reason));
                }
            }
        }
        settle_arrived(in_flight, link);
    }
}

/// Returns the maximum number of messages of a batch.
fn batch_messages(endpoint: &Endpoint) -> usize {
    match endpoint.transport() {
        Transport::Udp(UdpOptions { rate: Some(rate), .. }) => {
            (rate.get() / BATCHES_PER_SECOND).clamp(1, BATCH_MESSAGES as u32) as usize
        }
        _ => BATCH_MESSAGES,
    }
}

/// Gives an outcome to all messages that were sent except the last message, which may still be refused.
fn settle_arrived<R>(in_flight: &mut InFlight<R>, link: &mut LinkState<R>) {
    if in_flight.sent() > 1 {
        link.arrived();
        link.up();
        in_flight.settle(in_flight.sent() - 1, Outcome::Sent);
    }
}

/// Gives an outcome to the messages that were sent, if there are such messages. `refused` is the number of
/// refusals that were received after the last of these messages was sent. The first refusal belongs to this
/// last message. Returns the number of further refusals, which belong to the message whose chunks are being
/// sent.
fn settle_sent<R>(in_flight: &mut InFlight<R>, link: &mut LinkState<R>, refused: u64) -> u64 {
    settle_arrived(in_flight, link);
    if refused > 0 {
        in_flight.queue().count(|stats| stats.refused_datagrams += refused);
        link.down(&"the datagrams are refused");
    }
    if in_flight.sent() == 0 {
        return refused;
    }
    if refused > 0 {
        in_flight.settle(1, REFUSED);
        return refused - 1;
    }
    link.arrived();
    link.up();
    in_flight.settle(1, Outcome::Sent);
    0
}
