//! From the queue into frames, over as many connections as it takes.
//!
//! ```text
//! flight:   |  written, not acknowledged  |  to be written  |      <-- queue
//!           |<-- window, from the oldest  |
//! ```
//! A message leaves the flight when its last byte is acknowledged by the other side's operating system. When the
//! connection breaks, all of the flight is to be written again, to the next one.

use std::io;
use std::time::Duration;

use bytes::BufMut;
use tokio::time::{Instant, sleep};

use crate::outcome::Outcome;
use crate::resolve::Resolve;
use crate::tcp::connection::{Connection, Dialer};
use crate::tcp::sender::FLUSH_AT;
use crate::tcp::window::Window;

use super::flight::Flight;
use super::reach::Reach;

/// How many messages are taken from the queue at once.
const BATCH_MESSAGES: usize = 1024;

/// After a connection that lived for so long and brought something, the next is made at once; else after a pause.
const LONG_LIVED: Duration = Duration::from_secs(1);

/// The first and the longest pause before the system is asked again what was acknowledged; nothing wakes for it.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Sends until the queue is closed, and all of it is acknowledged, and the receiver has ended the connection too.
pub(crate) async fn run<R>(
    flight: &mut Flight<R>,
    reach: &mut Reach,
    dialer: &mut Dialer,
    resolver: &dyn Resolve,
) {
    loop {
        let mut connection = match dialer.connect(resolver).await {
            Ok(connection) => connection,
            Err(error) => {
                let pause = reach.failed(flight.queue(), &error);
                if flight.pause(pause).await {
                    return;
                }
                continue;
            }
        };
        reach.connected(flight.queue());
        let connected = Instant::now();
        let mut transfer = Transfer { again: flight.len(), window: Window::default(), settled: false };
        let result = transfer.run(flight, &mut connection).await;
        // What was acknowledged before it broke need not be sent again.
        transfer.settle(flight, &mut connection);
        let has_lived = connected.elapsed() >= LONG_LIVED;
        if transfer.settled {
            reach.arrived();
        }
        match result {
            Ok(()) => {
                if let Err(error) = connection.shut_down().await {
                    tracing::debug!(%error, "the connection did not end cleanly");
                }
                return;
            }
            Err(error) => reach.broke(flight.queue(), &error),
        }
        drop(connection);
        if flight.is_empty() && !flight.queue().has_work().await {
            return;
        }
        // Something between here and the receiver may take, acknowledge and throw away all that comes, again and again.
        if !(transfer.settled && has_lived) && flight.pause(reach.pause()).await {
            return;
        }
    }
}

/// The state of one connection.
struct Transfer {
    /// How many of the flight, the oldest, were written to an earlier connection.
    again: usize,
    window: Window,
    /// Whether anything was acknowledged.
    settled: bool,
}

impl Transfer {
    /// Writes and settles until the queue is closed and the flight empty.
    ///
    /// # Errors
    /// The connection is over.
    async fn run<R>(&mut self, flight: &mut Flight<R>, connection: &mut Connection) -> io::Result<()> {
        let mut ask_again = ASK_AGAIN.0;
        let mut is_open = true;
        loop {
            if self.settle(flight, connection) > 0 {
                ask_again = ASK_AGAIN.0;
            }
            if !connection.has_to_write() && self.fill(flight, connection) {
                ask_again = ASK_AGAIN.0;
            }
            if !is_open && flight.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                result = connection.drive() => result?,
                more = flight.queue().has_work(), if is_open && !connection.has_to_write() => is_open = more,
                () = sleep(ask_again), if self.window.len() > 0 => ask_again = (ask_again * 2).min(ASK_AGAIN.1),
            }
        }
    }

    /// Settles what was acknowledged; how many messages.
    fn settle<R>(&mut self, flight: &mut Flight<R>, connection: &mut Connection) -> usize {
        if self.window.len() == 0 {
            return 0;
        }
        let (count, outcome) = match connection.acknowledged() {
            Some(bytes) => (self.window.acknowledge(bytes), Outcome::Acknowledged),
            None if connection.has_to_write() => return 0,
            // All is with the operating system, and this one tells no more.
            None => (self.window.acknowledge(u64::MAX), Outcome::Sent),
        };
        flight.settle(count, outcome);
        self.again = self.again.saturating_sub(count);
        self.settled |= count > 0;
        count
    }

    /// Puts the next frames into the connection's buffer; whether there were any.
    fn fill<R>(&mut self, flight: &mut Flight<R>, connection: &mut Connection) -> bool {
        if flight.len() == self.window.len() {
            flight.take(BATCH_MESSAGES, FLUSH_AT);
        }
        let (already, mut resent) = (self.window.len(), 0);
        let buffer = connection.buffer();
        for message in flight.behind(already) {
            if buffer.len() >= FLUSH_AT {
                break;
            }
            if self.window.len() < self.again {
                resent += 1;
            }
            buffer.reserve(message.payload.len() + 1);
            buffer.put_slice(&message.payload);
            buffer.put_u8(0);
            self.window.write(message.payload.len() + 1);
        }
        if resent > 0 {
            flight.queue().count(|stats| stats.resent += resent);
        }
        self.window.len() > already
    }
}
