//! The driver's view of the link to its destination, and the pauses between attempts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

use super::queue::Queue;
use super::state::ClientState;

/// The state of the link. Each outage is logged once, whatever the number of attempts.
///
/// A TCP connection proves itself by showing that a program reads the messages: see `transport::tcp`.
#[derive(Debug)]
pub(crate) struct LinkState<R> {
    queue: Arc<Queue<R>>,
    destination: String,
    backoff: Backoff,
    state: ClientState,
    /// `true` from the end of a TCP connection that did not prove itself and had messages in flight, or that ended
    /// with an answer in another protocol, until a later connection proves itself.
    is_unproven: bool,
    /// The time of the last warning about messages that may be lost.
    warned: Option<Instant>,
    /// `true` if a request was rejected, and none was accepted since.
    #[cfg(feature = "http")]
    is_rejecting: bool,
}

impl<R> LinkState<R> {
    pub(crate) fn new(queue: Arc<Queue<R>>, destination: String) -> Self {
        Self {
            queue,
            destination,
            backoff: Backoff::new(),
            state: ClientState::Connecting,
            is_unproven: false,
            warned: None,
            #[cfg(feature = "http")]
            is_rejecting: false,
        }
    }

    /// Notes that a connection was made.
    pub(crate) fn connected(&mut self) {
        self.queue.count(|stats| {
            stats.connections += 1;
            stats.is_connected = true;
        });
        if !self.is_unproven {
            self.up();
        }
    }

    /// Notes that a connection has proven itself: the destination takes messages.
    pub(crate) fn proven(&mut self) {
        self.is_unproven = false;
        self.arrived();
        self.up();
    }

    /// Returns whether an earlier connection did not prove itself, or ended with an answer in another protocol, and
    /// no connection has proven itself since.
    pub(crate) fn is_unproven(&self) -> bool {
        self.is_unproven
    }

    /// Notes that a connection ended before it proved itself, or with an answer in another protocol. The receiver's
    /// system had acknowledged `acknowledged` messages, which will be sent again. Logs a warning unless the
    /// destination is already down.
    pub(crate) fn unproven(&mut self, error: &dyn fmt::Display, acknowledged: usize) {
        self.is_unproven = true;
        if acknowledged > 0 {
            self.down(&format_args!(
                "it ended the connection after it had acknowledged {acknowledged} messages, which are sent \
                 again: {error}"
            ));
        } else {
            self.down(&format_args!("it does not keep connections: {error}"));
        }
    }

    /// Notes that `messages` messages may be lost although their outcome was reported as delivered. Logs a
    /// warning at most once a minute.
    pub(crate) fn possibly_lost(&mut self, messages: u64, error: &dyn fmt::Display) {
        const EVERY: Duration = Duration::from_secs(60);
        if messages == 0 {
            return;
        }
        self.queue.count(|stats| stats.possibly_lost += messages);
        if self.warned.is_none_or(|warned| warned.elapsed() >= EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(
                destination = self.destination,
                messages,
                "the connection broke, and messages that were acknowledged last may be lost: {error}"
            );
        }
    }

    /// Notes that the destination has taken or answered a message, as far as is known. The next pauses are short
    /// again.
    pub(crate) fn arrived(&mut self) {
        self.backoff.reset();
    }

    /// Notes that an attempt to connect failed after `took`. Returns the pause before the next attempt.
    pub(crate) fn failed(&mut self, error: &dyn fmt::Display, took: Duration) -> Duration {
        self.queue.count(|stats| stats.failed_connects += 1);
        self.down(error);
        self.backoff.pause_after(took)
    }

    /// Notes that the client has ended a connection, which a new connection is to replace.
    pub(crate) fn ended(&self) {
        self.queue.count(|stats| stats.is_connected = false);
    }

    /// Notes that a connection broke.
    pub(crate) fn broke(&mut self, error: &dyn fmt::Display) {
        self.queue.count(|stats| {
            stats.broken_connections += 1;
            stats.is_connected = false;
        });
        self.queue.set_last_error(error);
        if !self.is_unproven {
            self.set(ClientState::Connecting);
        }
        tracing::debug!(destination = self.destination, %error, "the connection broke");
    }

    /// Returns the pause after a connection that did not prove itself, or after a message that the system
    /// could not send.
    pub(crate) fn pause(&mut self) -> Duration {
        self.backoff.pause_after(Duration::ZERO)
    }

    /// Returns the pause before an HTTP request is sent again. The pauses grow to 30 s.
    #[cfg(feature = "http")]
    pub(crate) fn long_pause(&mut self) -> Duration {
        self.backoff.pause()
    }

    /// Notes that the destination takes or answers messages.
    pub(crate) fn up(&mut self) {
        if matches!(self.state, ClientState::Down { .. }) {
            tracing::info!(destination = self.destination, "the destination is back");
        }
        self.set(ClientState::Connected);
    }

    /// Notes that the destination does not take messages.
    pub(crate) fn down(&mut self, error: &dyn fmt::Display) {
        self.queue.set_last_error(error);
        if !matches!(self.state, ClientState::Down { .. }) {
            tracing::warn!(destination = self.destination, "the destination is down, retrying: {error}");
            self.set(ClientState::Down { since: Instant::now().into_std() });
        }
    }

    /// Notes that the destination has accepted an HTTP request.
    #[cfg(feature = "http")]
    pub(crate) fn accepted(&mut self) {
        self.is_rejecting = false;
        self.up();
    }

    /// Notes that the destination has rejected an HTTP request. Logs a warning for the first rejection. The
    /// next warning can only follow after the destination has accepted a request.
    #[cfg(feature = "http")]
    pub(crate) fn rejected(&mut self, messages: usize, error: &dyn fmt::Display) {
        self.queue.set_last_error(error);
        if std::mem::replace(&mut self.is_rejecting, true) {
            tracing::debug!(destination = self.destination, messages, "a request was rejected: {error}");
        } else {
            tracing::warn!(destination = self.destination, messages, "requests are rejected: {error}");
        }
        self.up();
    }

    /// Sets the state. Takes the lock of the queue only if the state has changed, since `up` is also called while
    /// the destination is up already, for example after each HTTP request.
    fn set(&mut self, state: ClientState) {
        if self.state != state {
            self.state = state;
            self.queue.set_link(state);
        }
    }
}
