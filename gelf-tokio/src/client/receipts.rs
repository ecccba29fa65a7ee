//! Receipts: the outcome of each message.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::outcome::Outcome;

use super::queue::Queue;

/// Receives a receipt, with its [`Outcome`], for each queued message of a client. Receipts come in the order
/// of the queue, with two exceptions. If a message is dropped from a full queue, its receipt comes before the
/// receipts of the messages in flight. If a message is dropped from the queue because the time of
/// [`Client::close`](super::Client::close) is over, its receipt may also come before them.
///
/// The client keeps as many unread receipts as the queue may hold messages, but at least 65,536. Further
/// receipts are lost and counted in [`ClientStats::receipts_lost`](crate::stats::ClientStats::receipts_lost);
/// sending continues. The first loss is logged. A program that no longer reads receipts should drop this
/// value.
pub struct Receipts<R> {
    queue: Arc<Queue<R>>,
}

impl<R> Receipts<R> {
    pub(crate) fn new(queue: Arc<Queue<R>>) -> Self {
        Self { queue }
    }

    /// Waits for the next receipt. Returns `None` when the driver has ended and all receipts are read.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no receipt is lost.
    pub async fn recv(&mut self) -> Option<(R, Outcome)> {
        poll_fn(|cx| self.queue.poll_receipt(Some(cx.waker()))).await
    }

    /// Returns the next receipt, if there is one now.
    pub fn try_recv(&mut self) -> Option<(R, Outcome)> {
        match self.queue.poll_receipt(None) {
            Poll::Ready(receipt) => receipt,
            Poll::Pending => None,
        }
    }
}

impl<R> Stream for Receipts<R> {
    type Item = (R, Outcome);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<(R, Outcome)>> {
        self.queue.poll_receipt(Some(cx.waker()))
    }
}

impl<R> Drop for Receipts<R> {
    fn drop(&mut self) {
        self.queue.discard_receipts();
    }
}

impl<R> fmt::Debug for Receipts<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipts").finish_non_exhaustive()
    }
}
