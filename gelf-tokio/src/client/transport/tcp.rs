//! From the queue into frames, over one connection after another.
//!
//! ```text
//! in flight:  |  written, not acknowledged  |  to be written  |      <-- queue
//!             |<-- window, from the oldest  |
//! ```
//! A message is settled when the receiver's operating system has acknowledged its last byte. When the
//! connection breaks, all messages in flight are written again, to the next one.

use std::io;
use std::time::Duration;

use bytes::BufMut;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::codec::write_frame;
use crate::outcome::Outcome;
use crate::resolve::Resolve;
use crate::tcp::connection::{Connection, Dialer};
use crate::tcp::sender::FLUSH_AT;
use crate::tcp::window::Window;

use super::super::in_flight::InFlight;
use super::super::link_state::LinkState;

/// The number of messages taken from the queue at once.
const BATCH_MESSAGES: usize = 1024;

/// The lifetime after which a connection that delivered something is replaced without a pause.
const LONG_LIVED: Duration = Duration::from_secs(1);

/// The time for the end of a connection that is replaced.
const LONGEST_END: Duration = Duration::from_secs(1);

/// The first and the longest pause between two queries of the acknowledged bytes, which the system does not
/// report by itself.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Sends until the queue is closed and all of it is acknowledged, then ends the connection.
pub(crate) async fn run<R>(
    in_flight: &mut InFlight<R>,
    link: &mut LinkState<R>,
    dialer: &mut Dialer,
    resolver: &dyn Resolve,
) {
    let mut again = 0;
    loop {
        let connected = tokio::select! {
            biased;
            () = in_flight.ended() => return,
            connected = dialer.connect(resolver) => connected,
        };
        let mut connection = match connected {
            Ok(connection) => connection,
            Err(error) => {
                let pause = link.failed(&error);
                if in_flight.pause(pause).await {
                    return;
                }
                continue;
            }
        };
        link.connected();
        let connected = Instant::now();
        let mut transfer = Transfer {
            again,
            replace_at: dialer.reconnect().map(|after| connected + after),
            window: Window::default(),
            settled: false,
        };
        let result = transfer.run(in_flight, &mut connection).await;
        // Messages that were acknowledged before it broke are not sent again.
        transfer.settle(in_flight, &mut connection);
        let has_lived = connected.elapsed() >= LONG_LIVED;
        if transfer.settled {
            link.arrived();
        }
        match result {
            Ok(End::Closed) => {
                if let Err(error) = connection.finish().await {
                    tracing::debug!(%error, "the connection did not end cleanly");
                }
                return;
            }
            Ok(End::Replaced) => {
                // All of it is acknowledged, so the next connection does not wait long for this one.
                if !matches!(timeout(LONGEST_END, connection.finish()).await, Ok(Ok(()))) {
                    tracing::debug!("the connection did not end cleanly");
                }
                again = transfer.again;
                continue;
            }
            Err(error) => link.broke(&error),
        }
        again = in_flight.len();
        drop(connection);
        if in_flight.is_empty() && !in_flight.queue().has_work().await {
            return;
        }
        // A proxy may accept, acknowledge and discard everything on each connection.
        if !(transfer.settled && has_lived) && in_flight.pause(link.pause()).await {
            return;
        }
    }
}

/// The reason why a connection is ended, with nothing in flight on it.
enum End {
    /// The queue is closed and empty.
    Closed,
    /// The time of the connection is over, and another one follows.
    Replaced,
}

/// The state of one connection.
struct Transfer {
    /// The number of messages, the oldest, that were written to an earlier connection.
    again: usize,
    /// The time from which nothing more is written, so that another connection follows.
    replace_at: Option<Instant>,
    window: Window,
    /// Whether any message was acknowledged.
    settled: bool,
}

/// Waits until a time, if there is one; otherwise for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Transfer {
    /// Writes and settles until the queue is closed, or the connection is to be replaced, and all that was written
    /// is acknowledged.
    ///
    /// # Errors
    /// The connection is over.
    async fn run<R>(&mut self, in_flight: &mut InFlight<R>, connection: &mut Connection) -> io::Result<End> {
        let mut ask_again = ASK_AGAIN.0;
        let mut is_open = true;
        loop {
            if self.settle(in_flight, connection) > 0 {
                ask_again = ASK_AGAIN.0;
            }
            let is_over = self.replace_at.is_some_and(|at| Instant::now() >= at);
            if is_over && !connection.has_to_write() && self.window.len() == 0 {
                return Ok(End::Replaced);
            }
            if !is_over && !connection.has_to_write() && self.fill(in_flight, connection) {
                ask_again = ASK_AGAIN.0;
            }
            if !is_open && in_flight.is_empty() {
                return Ok(End::Closed);
            }
            tokio::select! {
                biased;
                result = connection.drive() => result?,
                more = in_flight.queue().has_work(), if is_open && !is_over && !connection.has_to_write() => {
                    is_open = more;
                }
                () = at(self.replace_at), if !is_over => {}
                () = sleep(ask_again), if self.window.len() > 0 => ask_again = (ask_again * 2).min(ASK_AGAIN.1),
            }
        }
    }

    /// Settles the acknowledged messages. Returns how many.
    fn settle<R>(&mut self, in_flight: &mut InFlight<R>, connection: &mut Connection) -> usize {
        if self.window.len() == 0 {
            return 0;
        }
        let (count, outcome) = match connection.acknowledged() {
            Some(bytes) => (self.window.acknowledge(bytes), Outcome::Acknowledged),
            None if connection.has_to_write() => return 0,
            // The operating system has all of it, and this one reports no acknowledgements.
            None => (self.window.acknowledge(u64::MAX), Outcome::Sent),
        };
        in_flight.settle(count, outcome);
        self.again = self.again.saturating_sub(count);
        self.settled |= count > 0;
        count
    }

    /// Puts the next frames into the connection's buffer. Returns whether there were any.
    fn fill<R>(&mut self, in_flight: &mut InFlight<R>, connection: &mut Connection) -> bool {
        if in_flight.len() == self.window.len() {
            in_flight.take(BATCH_MESSAGES, FLUSH_AT);
        }
        let (already, mut resent) = (self.window.len(), 0);
        let delimiter = connection.delimiter();
        let buffer = connection.buffer();
        for message in in_flight.behind(already) {
            if buffer.len() >= FLUSH_AT {
                break;
            }
            if self.window.len() < self.again {
                resent += 1;
            }
            buffer.reserve(message.payload.len() + 1);
            self.window.write(write_frame(delimiter, buffer, |buffer| buffer.put_slice(&message.payload)));
        }
        if resent > 0 {
            in_flight.queue().count(|stats| stats.resent += resent);
        }
        self.window.len() > already
    }
}
