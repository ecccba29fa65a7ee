//! Whether a destination can be reached.

use std::fmt;
use std::time::Duration;

use crate::backoff::Backoff;

use super::queue::Queue;

/// What is known of the way to a destination. That it is down is said once for each time that it goes down, whatever
/// the number of attempts.
#[derive(Debug)]
pub(crate) struct Reach {
    destination: String,
    backoff: Backoff,
    is_down: bool,
}

impl Reach {
    pub(crate) fn new(destination: String) -> Self {
        Self { destination, backoff: Backoff::new(), is_down: false }
    }

    /// There is a connection.
    pub(crate) fn connected<R>(&mut self, queue: &Queue<R>) {
        queue.count(|stats| {
            stats.connections += 1;
            stats.is_connected = true;
        });
        self.up();
    }

    /// Something has arrived: the next pauses are short ones.
    pub(crate) fn arrived(&mut self) {
        self.backoff.reset();
    }

    /// An attempt to connect failed. How long to wait before the next.
    pub(crate) fn failed<R>(&mut self, queue: &Queue<R>, error: &dyn fmt::Display) -> Duration {
        queue.count(|stats| stats.failed_connects += 1);
        self.down(error);
        self.backoff.pause()
    }

    /// A connection broke.
    pub(crate) fn broke<R>(&self, queue: &Queue<R>, error: &dyn fmt::Display) {
        queue.count(|stats| {
            stats.broken_connections += 1;
            stats.is_connected = false;
        });
        tracing::debug!(destination = self.destination, %error, "the connection broke");
    }

    /// The pause after a connection that brought nothing.
    pub(crate) fn pause(&mut self) -> Duration {
        self.backoff.pause()
    }

    /// It takes what is sent.
    pub(crate) fn up(&mut self) {
        if std::mem::take(&mut self.is_down) {
            tracing::info!(destination = self.destination, "the destination is back");
        }
    }

    /// It does not.
    pub(crate) fn down(&mut self, error: &dyn fmt::Display) {
        if !std::mem::replace(&mut self.is_down, true) {
            tracing::warn!(destination = self.destination, "the destination is down, trying on: {error}");
        }
    }
}
