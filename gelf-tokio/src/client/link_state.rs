//! The driver's view of the link to its destination, and the pauses between attempts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

use super::queue::Queue;
use super::state::ClientState;

/// The state of the link. Each outage is logged once, whatever the number of attempts.
#[derive(Debug)]
pub(crate) struct LinkState<R> {
    queue: Arc<Queue<R>>,
    destination: String,
    backoff: Backoff,
    state: ClientState,
    /// Whether the last request was rejected.
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
        self.up();
    }

    /// Notes that a message has arrived, which makes the next pauses short.
    pub(crate) fn arrived(&mut self) {
        self.backoff.reset();
    }

    /// Notes that an attempt to connect failed. Returns the pause before the next.
    pub(crate) fn failed(&mut self, error: &dyn fmt::Display) -> Duration {
        self.queue.count(|stats| stats.failed_connects += 1);
        self.down(error);
        self.backoff.pause()
    }

    /// Notes that a connection broke.
    pub(crate) fn broke(&mut self, error: &dyn fmt::Display) {
        self.queue.count(|stats| {
            stats.broken_connections += 1;
            stats.is_connected = false;
        });
        self.queue.set_last_error(error);
        self.set(ClientState::Connecting);
        tracing::debug!(destination = self.destination, %error, "the connection broke");
    }

    /// Returns the pause after a connection that delivered nothing.
    pub(crate) fn pause(&mut self) -> Duration {
        self.backoff.pause()
    }

    /// Notes that the destination takes what is sent.
    pub(crate) fn up(&mut self) {
        if matches!(self.state, ClientState::Down { .. }) {
            tracing::info!(destination = self.destination, "the destination is back");
        }
        self.set(ClientState::Connected);
    }

    /// Notes that the destination does not take what is sent.
    pub(crate) fn down(&mut self, error: &dyn fmt::Display) {
        self.queue.set_last_error(error);
        if !matches!(self.state, ClientState::Down { .. }) {
            tracing::warn!(destination = self.destination, "the destination is down, retrying: {error}");
            self.set(ClientState::Down { since: Instant::now().into_std() });
        }
    }

    /// Notes that the destination has accepted a request. Over HTTP.
    #[cfg(feature = "http")]
    pub(crate) fn accepted(&mut self) {
        self.is_rejecting = false;
        self.up();
    }

    /// Notes that the destination has rejected a request, which is logged once until it accepts one. Over
    /// HTTP.
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

    /// Reports only changes to the queue, since `up` is called for each message.
    fn set(&mut self, state: ClientState) {
        if self.state != state {
            self.state = state;
            self.queue.set_link(state);
        }
    }
}
