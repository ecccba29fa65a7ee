//! The messages that a driver has taken from the queue.

use std::collections::VecDeque;
use std::collections::vec_deque::Iter;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::outcome::{DropReason, Outcome};

use super::queue::{Queue, QueuedMessage};

/// The messages in flight, oldest first. Dropping this value gives these messages and all waiting messages an
/// outcome, however the driver ends.
#[derive(Debug)]
pub(crate) struct InFlight<R> {
    queue: Arc<Queue<R>>,
    messages: VecDeque<QueuedMessage<R>>,
    /// The number of messages, counted from the oldest, that the operating system has taken. Their outcome is
    /// [`Outcome::Sent`], unless a refusal is received.
    sent: usize,
}

impl<R> InFlight<R> {
    pub(crate) fn new(queue: Arc<Queue<R>>) -> Self {
        Self { queue, messages: VecDeque::new(), sent: 0 }
    }

    pub(crate) fn queue(&self) -> &Queue<R> {
        &self.queue
    }

    pub(crate) fn queue_handle(&self) -> Arc<Queue<R>> {
        Arc::clone(&self.queue)
    }

    /// Takes up to `max_messages` waiting messages with up to `max_bytes` bytes in total. Takes the first
    /// message even if it is longer than `max_bytes`. Returns the number of messages taken.
    pub(crate) fn take(&mut self, max_messages: usize, max_bytes: usize) -> usize {
        self.queue.take(&mut self.messages, max_messages, max_bytes)
    }

    /// Gives the oldest `count` messages their outcome.
    pub(crate) fn settle(&mut self, count: usize, outcome: Outcome) {
        self.sent = self.sent.saturating_sub(count);
        self.queue.settle(&mut self.messages, count, outcome);
    }

    /// Waits for `duration`, and returns `false`. Returns `true` as soon as no message is left and no further
    /// message can come.
    pub(crate) async fn pause(&self, duration: Duration) -> bool {
        timeout(duration, self.ended()).await.is_ok()
    }

    /// Waits until no message is left and no further message can come. The wait never ends if a message is in
    /// flight, is queued already, or is queued during the wait.
    pub(crate) async fn ended(&self) {
        if !self.is_empty() || self.queue.has_work().await {
            pending::<()>().await;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Notes that the operating system has taken the next message.
    pub(crate) fn note_sent(&mut self) {
        self.sent += 1;
    }

    /// Returns the number of messages without an outcome that the operating system has taken.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// Returns the payload of the oldest message that the operating system has not taken.
    pub(crate) fn next_to_send(&self) -> Option<&[u8]> {
        self.messages.get(self.sent).map(|message| &*message.payload)
    }

    /// Returns the messages in flight, oldest first, without the first `skipped` messages.
    pub(crate) fn behind(&self, skipped: usize) -> Iter<'_, QueuedMessage<R>> {
        self.messages.range(skipped.min(self.messages.len())..)
    }
}

impl<R> Drop for InFlight<R> {
    fn drop(&mut self) {
        self.settle(self.sent, Outcome::Sent);
        self.settle(self.messages.len(), Outcome::Dropped(DropReason::Ended));
        self.queue.end();
    }
}
