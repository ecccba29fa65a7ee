//! Writes messages from the queue as frames, over one connection after another.
//!
//! ```text
//! in flight:  |  acknowledged, held  |  written, not acknowledged  |  to be written  |      <-- queue
//!             |<--- probation ------>|<---------- window --------->|
//! ```
//! A message is settled (gets its outcome) when the receiver's operating system has acknowledged its last
//! byte, and the connection has proven itself. On systems that do not report acknowledgements, bytes count as
//! acknowledged once the sender's operating system has taken them. When the connection ends, all messages that
//! are still in flight are written to the next connection.
//!
//! # Probation
//!
//! An operating system acknowledges bytes even if no program reads messages from them. For example, a load
//! balancer may have no target, or a receiver may expect TLS or HTTP. In these cases, the connection ends, or
//! an answer comes, soon after the first message. Therefore the acknowledged messages of a new connection are
//! held. They stay in flight, and count towards the limits of the queue, until
//!
//! - the connection has lasted 500 ms after the first acknowledgement, or
//! - 8 MiB are acknowledged, more than a receive buffer holds by default, or
//! - the client is closed, all messages are acknowledged, and the receiver ends the connection without an
//!   error.
//!
//! If a connection ends during its probation, its messages are sent again, the pauses between connections
//! grow, and one warning gives the reason. Until a later connection proves itself, each connection carries
//! only one buffer of messages: 64 KiB, and the rest of the message that crosses this limit. A receiver that
//! reads messages but ends each connection within 500 ms receives the same buffer of messages over each
//! connection.
//!
//! Once a connection has proven itself, its messages are settled as soon as they are acknowledged. If the
//! connection then ends by an error, such as a reset, the messages that were acknowledged last may be lost.
//! Their receipts have been given already, so these messages are counted in
//! [`ClientStats::possibly_lost`](crate::stats::ClientStats::possibly_lost), and a warning is logged. After a
//! TLS alert or an HTTP answer, all messages of the connection may be lost.
//!
//! With several hosts, the driver connects to the next host if a connection ended by an error or did not prove
//! itself. It does so without a pause, unless all hosts have failed one after the other. It connects to the
//! first host if a proven connection ended without an error or was replaced.
//!
//! The client cannot recognize a program of another protocol that reads everything and never answers. An
//! example is an HTTP server that waits for a line feed, since frames that end in a null byte need not
//! contain a line feed.

mod probation;

use std::io;
use std::time::Duration;

use bytes::BufMut;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::codec::write_frame;
use crate::outcome::Outcome;
use crate::resolve::Resolve;
use crate::tcp::connection::{Connection, Dialer, is_answer_of_another_protocol};
use crate::tcp::sender::FLUSH_AT;
use crate::tcp::window::Window;

use super::super::in_flight::InFlight;
use super::super::link_state::LinkState;

use probation::Probation;

/// The maximum number of messages that one call takes from the queue.
const BATCH_MESSAGES: usize = 1024;

/// The maximum time to wait for the end of a connection that is replaced.
const LONGEST_END: Duration = Duration::from_secs(1);

/// `true` if the system reports acknowledgements.
const REPORTS_ACKNOWLEDGEMENTS: bool = cfg!(target_os = "linux");

/// The first and the longest pause between two queries for the number of acknowledged bytes. The system
/// reports this number only when it is asked.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Sends messages until the queue is closed and all messages are acknowledged, then ends the connection.
pub(crate) async fn run<R>(
    in_flight: &mut InFlight<R>,
    link: &mut LinkState<R>,
    dialer: &mut Dialer,
    resolver: &dyn Resolve,
) {
    // How many of the messages in flight were written to an earlier connection. They are the oldest ones.
    let mut written_before = 0;
    loop {
        let started = Instant::now();
        let connected = tokio::select! {
            biased;
            () = in_flight.ended() => return,
            connected = dialer.connect(resolver) => connected,
        };
        let mut connection = match connected {
            Ok(connection) => connection,
            Err(error) => {
                let pause = link.failed(&error, started.elapsed());
                if in_flight.pause(pause).await {
                    return;
                }
                continue;
            }
        };
        link.connected();
        let mut transfer = Transfer {
            written_before,
            replace_at: dialer.reconnect().map(|after| Instant::now() + after),
            window: Window::default(),
            probation: Probation::default(),
            is_trial: link.is_unproven(),
        };
        let error = match transfer.run(in_flight, link, dialer, &mut connection).await {
            Ok(End::Closed) => return,
            Ok(End::Replaced) => {
                // All bytes of this connection are acknowledged, so a short wait for its end is enough.
                if !matches!(timeout(LONGEST_END, connection.finish()).await, Ok(Ok(()))) {
                    tracing::debug!("the connection did not end cleanly");
                }
                link.ended();
                written_before = transfer.written_so_far();
                dialer.hosts().restart();
                continue;
            }
            Err(error) => {
                transfer.end(in_flight, link, &mut connection, &error);
                error
            }
        };
        written_before = transfer.written_so_far();
        drop(connection);
        let is_proven = transfer.probation.is_proven() && !link.is_unproven();
        let is_failing_over = if is_proven && error.kind() == io::ErrorKind::UnexpectedEof {
            dialer.hosts().restart();
            false
        } else {
            dialer.hosts().failed(error).is_none()
        };
        if in_flight.is_empty() && !in_flight.queue().has_work().await {
            return;
        }
        // Pauses, since a proxy may accept, acknowledge and discard everything on each connection.
        if !is_proven && !is_failing_over && in_flight.pause(link.pause()).await {
            return;
        }
    }
}

/// The reason why the client ends a connection.
enum End {
    /// The queue is closed and empty, and the connection is over.
    Closed,
    /// The time of the connection is over, and another connection follows. No message is in flight on the old
    /// connection.
    Replaced,
}

/// The state of one connection.
struct Transfer {
    /// How many of the messages in flight were written to an earlier connection. They are the oldest ones.
    written_before: usize,
    /// The time after which no more messages are written, so that another connection can replace this
    /// connection.
    replace_at: Option<Instant>,
    window: Window,
    probation: Probation,
    /// The value of [`LinkState::is_unproven`] when the connection was made.
    is_trial: bool,
}

/// Waits until `time`, or for ever if `time` is `None`.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Transfer {
    /// Writes messages and settles them. If the queue is closed and all messages are acknowledged, ends the
    /// connection and returns `End::Closed`. If the time of the connection is over and all written messages
    /// are settled, returns `End::Replaced`.
    ///
    /// # Errors
    /// Returns the error by which the connection ended.
    async fn run<R>(
        &mut self,
        in_flight: &mut InFlight<R>,
        link: &mut LinkState<R>,
        dialer: &mut Dialer,
        connection: &mut Connection,
    ) -> io::Result<End> {
        let mut ask_again = ASK_AGAIN.0;
        let mut is_open = true;
        loop {
            if self.acknowledge(in_flight, link, connection) > 0 {
                ask_again = ASK_AGAIN.0;
            }
            if self.probation.is_proven() {
                dialer.hosts().worked();
            }
            let is_over = self.replace_at.is_some_and(|at| Instant::now() >= at);
            if is_over && !connection.has_to_write() && self.written() == 0 {
                return Ok(End::Replaced);
            }
            // A connection on trial carries only one buffer of messages until it has proven itself.
            let may_carry = !self.is_trial || self.probation.is_proven() || self.written() == 0;
            let may_write = may_carry && !is_over;
            if may_write && !connection.has_to_write() && self.fill(in_flight, connection) {
                ask_again = ASK_AGAIN.0;
            }
            if !is_open && in_flight.len() == self.probation.held() {
                self.finish(in_flight, link, connection).await?;
                return Ok(End::Closed);
            }
            // A connection that must not write at the moment takes no more messages from the queue.
            let asks_for_more = is_open && may_write && !connection.has_to_write();
            let ends = self.probation.ends();
            tokio::select! {
                biased;
                result = connection.drive() => result?,
                more = in_flight.queue().has_work(), if asks_for_more => is_open = more,
                () = at(self.replace_at), if !is_over => {}
                () = sleep(ask_again), if self.window.len() > 0 => ask_again = (ask_again * 2).min(ASK_AGAIN.1),
                () = at(ends) => self.prove(in_flight, link),
            }
        }
    }

    /// Returns the number of messages that were written and are not settled.
    fn written(&self) -> usize {
        self.probation.held() + self.window.len()
    }

    /// Returns how many of the messages in flight were written to this or to an earlier connection. They are the
    /// oldest ones.
    fn written_so_far(&self) -> usize {
        self.written_before.max(self.written())
    }

    /// Notes the acknowledged messages, and settles them if the connection has proven itself. Returns how
    /// many were acknowledged.
    fn acknowledge<R>(
        &mut self,
        in_flight: &mut InFlight<R>,
        link: &mut LinkState<R>,
        connection: &mut Connection,
    ) -> usize {
        let Some((count, bytes)) = self.newly_acknowledged(connection) else { return 0 };
        let was_proven = self.probation.is_proven();
        let settled = self.probation.acknowledged(count, bytes, Instant::now());
        self.settle(in_flight, settled);
        if self.probation.is_proven() && !was_proven {
            link.proven();
        }
        count
    }

    /// Returns how many more messages are acknowledged, and how many bytes are acknowledged in all. On systems
    /// that do not report acknowledgements, the number of bytes is 0. Returns `None` if no message waits for its
    /// acknowledgement, or if such a system has not taken all bytes yet.
    fn newly_acknowledged(&mut self, connection: &mut Connection) -> Option<(usize, u64)> {
        if self.window.len() == 0 {
            return None;
        }
        match connection.acknowledged() {
            Some(bytes) => Some((self.window.acknowledge(bytes), bytes)),
            None if connection.has_to_write() => None,
            // The operating system has taken all bytes, and it does not report acknowledgements.
            None => Some((self.window.acknowledge(u64::MAX), 0)),
        }
    }

    fn prove<R>(&mut self, in_flight: &mut InFlight<R>, link: &mut LinkState<R>) {
        let settled = self.probation.prove();
        self.settle(in_flight, settled);
        link.proven();
    }

    fn settle<R>(&mut self, in_flight: &mut InFlight<R>, count: usize) {
        let outcome = if REPORTS_ACKNOWLEDGEMENTS { Outcome::Acknowledged } else { Outcome::Sent };
        in_flight.settle(count, outcome);
        self.written_before = self.written_before.saturating_sub(count);
    }

    /// Ends the connection after all messages are acknowledged. A receiver that then ends its side without an
    /// error has read everything. Such an end proves the connection, even if it is still on
    /// probation.
    async fn finish<R>(
        &mut self,
        in_flight: &mut InFlight<R>,
        link: &mut LinkState<R>,
        connection: &mut Connection,
    ) -> io::Result<()> {
        if let Err(error) = connection.finish().await {
            if !in_flight.is_empty() {
                return Err(error);
            }
            tracing::debug!(%error, "the connection did not end cleanly");
        }
        if let Some(ends) = self.probation.ends() {
            tokio::select! {
                biased;
                error = connection.ended() => {
                    if error.kind() != io::ErrorKind::UnexpectedEof {
                        return Err(error);
                    }
                }
                () = sleep_until(ends) => {}
            }
            self.prove(in_flight, link);
        }
        Ok(())
    }

    /// Judges a connection that has ended. If the connection had proven itself and the receiver did not
    /// answer in another protocol, the acknowledged messages are settled. All other messages in flight will
    /// be sent again.
    fn end<R>(
        &mut self,
        in_flight: &mut InFlight<R>,
        link: &mut LinkState<R>,
        connection: &mut Connection,
        error: &io::Error,
    ) {
        let takes_no_gelf = is_answer_of_another_protocol(error);
        if !(takes_no_gelf && self.probation.is_proven()) {
            self.acknowledge(in_flight, link, connection);
        }
        link.broke(error);
        if !self.probation.is_proven() {
            if !in_flight.is_empty() {
                link.unproven(error, self.probation.held());
            }
        } else if error.kind() != io::ErrorKind::UnexpectedEof {
            link.possibly_lost(self.probation.possibly_lost(takes_no_gelf), error);
            if takes_no_gelf {
                link.unproven(error, 0);
            }
        }
    }

    /// Puts the next frames into the connection's buffer. Returns whether there were such frames.
    fn fill<R>(&mut self, in_flight: &mut InFlight<R>, connection: &mut Connection) -> bool {
        if in_flight.len() == self.written() {
            in_flight.take(BATCH_MESSAGES, FLUSH_AT);
        }
        let (already, mut resent) = (self.written(), 0);
        let delimiter = connection.delimiter();
        let buffer = connection.buffer();
        for message in in_flight.behind(already) {
            if buffer.len() >= FLUSH_AT {
                break;
            }
            if self.written() < self.written_before {
                resent += 1;
            }
            buffer.reserve(message.payload.len() + 1);
            self.window.write(write_frame(delimiter, buffer, |buffer| buffer.put_slice(&message.payload)));
        }
        if resent > 0 {
            in_flight.queue().count(|stats| stats.resent += resent);
        }
        self.written() > already
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::BytesMut;
    use tokio::net::TcpListener;

    use super::*;
    use crate::client::queue::Queue;
    use crate::endpoint::{Endpoint, QueueOptions, Transport};
    use crate::resolve::{Resolving, SystemResolver};

    /// A resolver that never answers for the host `hangs`, and knows no other host.
    #[derive(Debug)]
    struct Hanging;

    impl Resolve for Hanging {
        fn resolve<'a>(&'a self, host: &'a str, _port: u16) -> Resolving<'a> {
            match host {
                "hangs" => Box::pin(std::future::pending()),
                _ => Box::pin(std::future::ready(Err(io::Error::other("no such name")))),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_lookup_that_hangs_for_30_s_the_next_host_is_tried() {
        let endpoint: Endpoint = "gelf+tcp://hangs?failover=next".parse().unwrap();
        let Transport::Tcp(options) = endpoint.transport() else { panic!("{endpoint}") };
        let started = Instant::now();
        let error = Dialer::new(&endpoint, options).unwrap().connect(&Hanging).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "hangs port 12201: the lookup of the name takes longer than 30 s; next port 12201: no such name"
        );
        assert_eq!(started.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn messages_that_are_in_flight_but_do_not_fit_into_the_buffer_do_not_count_as_written() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("gelf+tcp://{}", listener.local_addr().unwrap());
        let endpoint: Endpoint = uri.parse().unwrap();
        let Transport::Tcp(options) = endpoint.transport() else { panic!("{endpoint}") };
        let mut connection = Dialer::new(&endpoint, options).unwrap().connect(&SystemResolver).await.unwrap();
        let queue = Arc::new(Queue::new(QueueOptions::default(), false));
        for _ in 0..1024 {
            queue.try_queue(BytesMut::from(&[b'1'; 64][..]), ()).unwrap();
        }
        let mut in_flight = InFlight::new(queue);
        let mut transfer = Transfer {
            written_before: 0,
            replace_at: None,
            window: Window::default(),
            probation: Probation::default(),
            is_trial: false,
        };
        assert!(transfer.fill(&mut in_flight, &mut connection));
        // With its delimiter, each message takes 65 bytes of the buffer of 64 KiB.
        assert_eq!((in_flight.len(), transfer.written_so_far()), (1024, 1009));
    }
}
