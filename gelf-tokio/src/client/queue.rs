//! The state that clients, the driver and the reader of receipts share.
//!
//! A queued message waits, is then in flight, and finally has one outcome. One lock protects the whole state; only
//! `refuse_if_full` does without it. The lock is held briefly and never across an await, so the counters always add
//! up. Events are logged, wakers are woken, and receipts are dropped outside of the lock, since each of these can
//! run code that uses the queue.
//!
//! ```text
//! offered = queued + not queued, by reason
//! queued  = delivered by outcome + dropped by reason + waiting + in flight
//! ```

mod spare_buffers;
mod state;
mod thread_counter;
mod unread_receipts;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::Notify;

use crate::endpoint::{QueueOptions, WhenFull};
use crate::outcome::{NotQueued, NotQueuedReason, Outcome};
use crate::stats::ClientStats;

use super::state::ClientState;
use state::State;
use thread_counter::ThreadCounter;

/// A message that has no outcome yet.
pub(crate) struct QueuedMessage<R> {
    /// The JSON text. Its buffer is exactly as long as the text, unless it is the [spare
    /// buffer](Queue::spare) of an earlier message.
    pub(crate) payload: BytesMut,
    /// The receipt, which is taken when the message is settled, that is, gets its outcome.
    receipt: Option<R>,
    /// The number of the message: all queued messages are numbered from 0.
    number: u64,
}

/// The queue in front of a destination.
pub(crate) struct Queue<R> {
    options: QueueOptions,
    state: Mutex<State<R>>,
    /// `true` from the moment at which a message finds no room, and even a [small
    /// message](State::has_room_for_small) would find none, until messages in flight are settled, or until the
    /// queue is closed or ends. Changes only while `state` is locked.
    is_full: AtomicBool,
    /// Messages that `refuse_if_full` refused.
    refused_unmade: ThreadCounter,
    /// Wakes the driver when a message waits, or when no further message can come.
    work: Notify,
    /// Wakes the driver when the queue is closed or aborted.
    ending: Notify,
    /// Wakes a sender when there is room. That sender wakes the next one if room remains.
    room: Notify,
    /// Wakes callers of flush and close when messages have been settled, or when the driver has ended.
    settled: Notify,
}

impl<R> Queue<R> {
    /// Creates a queue with one client and one driver. With `has_receipts`, it also has a reader of receipts.
    pub(crate) fn new(mut options: QueueOptions, has_receipts: bool) -> Self {
        options.max_messages = options.max_messages.max(1);
        Self {
            state: Mutex::new(State::new(&options, has_receipts)),
            options,
            is_full: AtomicBool::new(false),
            refused_unmade: ThreadCounter::new(),
            work: Notify::new(),
            ending: Notify::new(),
            room: Notify::new(),
            settled: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        // No code panics while the lock is held, and the state would be consistent after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock. After that, wakes the reader of receipts and logs a warning, if the state requires
    /// it.
    fn release(mut guard: MutexGuard<'_, State<R>>) {
        let is_over = !guard.has_driver;
        let reader = guard.receipts.reader_to_wake(is_over);
        let has_to_warn = guard.receipts.take_warning();
        drop(guard);
        if let Some(reader) = reader {
            reader.wake();
        }
        if has_to_warn {
            tracing::warn!(
                "receipts are not read: receipts beyond the limit of the queue are lost, and only counted"
            );
        }
    }

    pub(crate) fn stats(&self) -> ClientStats {
        let state = self.state();
        let mut stats = ClientStats {
            waiting: state.waiting.len(),
            in_flight: state.in_flight,
            receipts_lost: state.receipts.lost(),
            ..state.stats
        };
        stats.not_queued.full += self.refused_unmade.get();
        stats
    }

    /// Changes the counters that the driver keeps.
    pub(crate) fn count(&self, change: impl FnOnce(&mut ClientStats)) {
        change(&mut self.state().stats);
    }

    pub(crate) fn link(&self) -> ClientState {
        self.state().link
    }

    pub(crate) fn last_error(&self) -> Option<Arc<str>> {
        self.state().last_error.clone()
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.state().local_addr
    }

    pub(crate) fn set_local_addr(&self, address: Option<SocketAddr>) {
        self.state().local_addr = address;
    }

    /// Sets the state of the link to the destination.
    pub(crate) fn set_link(&self, link: ClientState) {
        self.state().link = link;
    }

    pub(crate) fn set_last_error(&self, error: &dyn fmt::Display) {
        let error = Arc::from(error.to_string());
        self.state().last_error = Some(error);
    }

    // Clients

    pub(crate) fn add_client(&self) {
        self.state().clients += 1;
    }

    pub(crate) fn remove_client(&self) {
        let mut state = self.state();
        state.clients -= 1;
        if state.clients == 0 {
            drop(state);
            self.work.notify_one();
            self.ending.notify_one();
        }
    }

    /// Returns the empty buffer of an earlier message, if the queue keeps such a buffer and few messages
    /// wait.
    pub(crate) fn spare(&self) -> Option<BytesMut> {
        let mut state = self.state();
        let waiting = state.waiting.len();
        state.spare.take(waiting)
    }

    /// Queues a message and counts it. If the message cannot be queued, returns it with the reason, which is
    /// not counted, because the caller may wait and offer the message again.
    fn offer(&self, payload: BytesMut, receipt: R) -> Result<(), (BytesMut, R, NotQueuedReason)> {
        let mut guard = self.state();
        let state = &mut *guard;
        let dropped = match state.make_room(&self.options, payload.len()) {
            Ok(dropped) => dropped,
            Err(reason) => {
                if reason == NotQueuedReason::Full && !state.has_room_for_small(&self.options) {
                    self.is_full.store(true, Ordering::Relaxed);
                }
                return Err((payload, receipt, reason));
            }
        };
        let number = state.next_number;
        state.next_number += 1;
        state.stats.queued += 1;
        state.waiting_bytes += payload.len();
        state.waiting.push_back(QueuedMessage { payload, receipt: Some(receipt), number });
        let is_first = state.waiting.len() == 1;
        let has_room = state.has_room(&self.options, 0);
        Self::release(guard);
        if is_first {
            self.work.notify_one();
        }
        if has_room {
            // Room remains, so another sender that waits for room is woken.
            self.room.notify_one();
        }
        if !dropped.is_empty() {
            self.settled.notify_waiters();
        }
        Ok(())
    }

    /// Queues a message. With `WhenFull::Wait`, the call waits for room.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing is queued.
    pub(crate) async fn queue(&self, payload: BytesMut, receipt: R) -> Result<(), NotQueued<R>> {
        let queued = self.queue_uncounted(payload, receipt).await;
        queued.inspect_err(|refused| self.count_not_queued(refused.reason))
    }

    /// Queues a message as [`queue`](Self::queue) does, but does not count it if it is refused.
    pub(crate) async fn queue_uncounted(&self, payload: BytesMut, receipt: R) -> Result<(), NotQueued<R>> {
        let mut offered = self.offer(payload, receipt);
        loop {
            let (payload, receipt) = match offered {
                Ok(()) => return Ok(()),
                Err((payload, receipt, NotQueuedReason::Full))
                    if self.options.when_full == WhenFull::Wait =>
                {
                    (payload, receipt)
                }
                Err((_, receipt, reason)) => return Err(NotQueued { receipt, reason }),
            };
            let mut room = std::pin::pin!(self.room.notified());
            // The registration comes before the next attempt, so that room that becomes free after this
            // attempt wakes the task.
            room.as_mut().enable();
            offered = self.offer(payload, receipt);
            if let Err((_, _, NotQueuedReason::Full)) = offered {
                room.await;
            }
        }
    }

    /// Queues a message as [`queue`](Self::queue) does, but never waits.
    pub(crate) fn try_queue(&self, payload: BytesMut, receipt: R) -> Result<(), NotQueued<R>> {
        self.offer(payload, receipt).map_err(|(_, receipt, reason)| {
            self.count_not_queued(reason);
            NotQueued { receipt, reason }
        })
    }

    /// Refuses and counts a message that the program has not made yet, if `is_full` is set. Takes no lock.
    pub(crate) fn refuse_if_full(&self) -> Result<(), NotQueued> {
        if !self.is_full.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.refused_unmade.increment();
        Err(NotQueued { receipt: (), reason: NotQueuedReason::Full })
    }

    /// Counts a message that was not queued.
    pub(crate) fn count_not_queued(&self, reason: NotQueuedReason) {
        self.state().stats.not_queued.count(reason);
    }

    /// Returns the number that the next queued message gets. A flush waits for all messages with a lower
    /// number.
    pub(crate) fn next_number(&self) -> u64 {
        self.state().next_number
    }

    /// Waits until all messages with a number below `end` have their outcome.
    pub(crate) async fn flushed(&self, end: u64) {
        self.wait_until(|state| state.oldest_unsettled() >= end).await;
    }

    /// Returns how many messages have no outcome yet. Returns 0 if only messages with a number of `end` or
    /// more have no outcome.
    pub(crate) fn unflushed(&self, end: u64) -> usize {
        let state = self.state();
        if state.oldest_unsettled() >= end { 0 } else { state.waiting.len() + state.in_flight }
    }

    /// Refuses further messages, and lets the driver run for `within`.
    pub(crate) fn close(&self, within: Duration) {
        let mut state = self.state();
        state.closing.get_or_insert(within);
        self.is_full.store(false, Ordering::Relaxed);
        drop(state);
        self.work.notify_one();
        self.ending.notify_one();
        // Senders that wait for room wake up, and find that the queue is closed.
        self.room.notify_waiters();
    }

    /// Waits until the driver has ended.
    pub(crate) async fn ended(&self) {
        self.wait_until(|state| !state.has_driver).await;
    }

    /// Drops the waiting messages, and tells the driver to drop the messages in flight. Logs the number of
    /// these messages, unless the driver has logged it.
    pub(crate) fn abort(&self) {
        let mut guard = self.state();
        guard.is_aborted = true;
        self.is_full.store(false, Ordering::Relaxed);
        let unsent = guard.unsent_to_log();
        let given_up = guard.give_up();
        Self::release(guard);
        drop(given_up);
        self.work.notify_one();
        self.ending.notify_one();
        self.settled.notify_waiters();
        log_unsent(unsent);
    }

    /// Logs how many messages have no outcome when the time for sending them is over, unless
    /// [`abort`](Self::abort) has logged it.
    pub(crate) fn log_unsent(&self) {
        let unsent = self.state().unsent_to_log();
        log_unsent(unsent);
    }

    async fn wait_until(&self, is_met: impl Fn(&State<R>) -> bool) {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if is_met(&self.state()) {
                return;
            }
            settled.await;
        }
    }

    // The driver

    /// Waits until a message waits to be sent. Returns false when no further message can come.
    pub(crate) async fn has_work(&self) -> bool {
        loop {
            {
                let state = self.state();
                if !state.waiting.is_empty() {
                    return true;
                }
                if state.is_closed() {
                    return false;
                }
            }
            self.work.notified().await;
        }
    }

    /// Waits until the queue is closed or the last client is dropped. Returns the time that `close` gives the
    /// driver for the queued messages, or `None` without a call of `close`.
    pub(crate) async fn closed(&self) -> Option<Duration> {
        loop {
            {
                let state = self.state();
                if state.is_closed() {
                    return state.closing;
                }
            }
            self.ending.notified().await;
        }
    }

    /// Waits until the queue is aborted.
    pub(crate) async fn aborted(&self) {
        while !self.state().is_aborted {
            self.ending.notified().await;
        }
    }

    /// Moves up to `max_messages` waiting messages, of up to `max_bytes` bytes in total, into `in_flight`.
    /// The first message may be longer than `max_bytes`. Returns the number of messages that were moved.
    pub(crate) fn take(
        &self,
        in_flight: &mut VecDeque<QueuedMessage<R>>,
        max_messages: usize,
        max_bytes: usize,
    ) -> usize {
        let mut guard = self.state();
        let state = &mut *guard;
        let (mut messages, mut bytes) = (0, 0);
        while messages < max_messages {
            let Some(next) = state.waiting.front() else { break };
            let len = next.payload.len();
            if messages > 0 && bytes + len > max_bytes {
                break;
            }
            state.oldest_in_flight.get_or_insert(next.number);
            in_flight.extend(state.waiting.pop_front());
            state.waiting_bytes -= len;
            state.in_flight += 1;
            state.in_flight_bytes += len;
            messages += 1;
            bytes += len;
        }
        messages
    }

    /// Gives the oldest `count` messages of `in_flight` their outcome.
    pub(crate) fn settle(&self, in_flight: &mut VecDeque<QueuedMessage<R>>, count: usize, outcome: Outcome) {
        let count = count.min(in_flight.len());
        if count == 0 {
            return;
        }
        let mut guard = self.state();
        let state = &mut *guard;
        for message in in_flight.iter_mut().take(count) {
            state.in_flight -= 1;
            state.in_flight_bytes -= message.payload.len();
            state.settle(message, outcome);
            state.spare.put(&mut message.payload);
        }
        state.oldest_in_flight = in_flight.get(count).map(|message| message.number);
        self.is_full.store(false, Ordering::Relaxed);
        Self::release(guard);
        // Memory is freed outside of the lock.
        in_flight.drain(..count);
        self.room.notify_one();
        self.settled.notify_waiters();
    }

    /// Drops the waiting messages and refuses further messages, since the driver ends.
    pub(crate) fn end(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.has_driver = false;
        state.stats.is_connected = false;
        let is_early = !state.is_closed();
        let panicked = std::thread::panicking();
        if is_early {
            state.link = ClientState::DriverEnded;
            state.last_error =
                Some(Arc::from(if panicked { "the driver panicked" } else { "the driver was dropped" }));
        } else {
            state.link = ClientState::Closed;
        }
        let given_up = state.give_up();
        self.is_full.store(false, Ordering::Relaxed);
        Self::release(guard);
        drop(given_up);
        // Senders that wait for room wake up, and find that there is no driver.
        self.room.notify_waiters();
        self.settled.notify_waiters();
        if is_early {
            tracing::error!(panicked, "the driver of a client has ended early: nothing more is sent");
        }
    }

    // The reader of receipts

    /// Returns the next receipt, or `Ready(None)` when no further receipt can come. If the result is
    /// `Pending`, the waker is kept. Without a waker, the one that was kept before stays.
    pub(crate) fn poll_receipt(&self, waker: Option<&Waker>) -> Poll<Option<(R, Outcome)>> {
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(next) = state.receipts.pop() {
            return Poll::Ready(Some(next));
        }
        if !state.has_driver || !state.receipts.has_reader() {
            return Poll::Ready(None);
        }
        let replaced = waker.and_then(|waker| state.receipts.set_reader(waker));
        drop(guard);
        // The drop of a waker can drop a task, and so a client of this queue.
        drop(replaced);
        Poll::Pending
    }

    /// Drops all receipts, and keeps no further receipts.
    pub(crate) fn discard_receipts(&self) {
        let receipts = self.state().receipts.discard();
        // The receipts are dropped outside of the lock, since the drop of a receipt can run any code.
        drop(receipts);
    }
}

/// Logs the number of unsent messages, if it is not 0. The caller does not hold the lock.
fn log_unsent(messages: usize) {
    if messages > 0 {
        tracing::warn!(messages, "the time for sending the queued messages is over: they are dropped");
    }
}

/// Shows no payload, because a payload is private and may be megabytes long.
impl<R> fmt::Debug for QueuedMessage<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedMessage")
            .field("number", &self.number)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// Shows only the counters.
impl<R> fmt::Debug for Queue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("options", &self.options)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
