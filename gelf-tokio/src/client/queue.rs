//! What clients, the driver and the reader of receipts share.
//!
//! A message that is queued waits, is then in flight, and has at last one outcome. All of that is under one lock, which
//! is held for moments and never across an await, so that the account adds up whenever it is read:
//!
//! ```text
//! offered = queued + refused by reason
//! queued  = delivered by outcome + dropped by reason + waiting + in flight
//! ```

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use tokio::sync::Notify;

use crate::endpoint::{QueueOptions, WhenFull};
use crate::outcome::{DropReason, Outcome};
use crate::stats::ClientStats;

use super::refused::{NotQueued, Refused};

/// A message that has no outcome yet.
#[derive(Debug)]
pub(crate) struct Queued<R> {
    /// JSON text, of just the memory that it needs.
    pub(crate) payload: Box<[u8]>,
    /// Taken when it is settled.
    receipt: Option<R>,
    /// Counts all messages that were queued, from 0.
    number: u64,
}

/// The queue in front of a destination.
#[derive(Debug)]
pub(crate) struct Queue<R> {
    options: QueueOptions,
    state: Mutex<State<R>>,
    /// For the driver: there is something to take, or never will be again.
    work: Notify,
    /// For the driver: no client is left.
    closed: Notify,
    /// For senders: there is room. One is told, and tells the next if there is more.
    room: Notify,
    /// For those that flush: messages have got their outcomes.
    settled: Notify,
}

#[derive(Debug)]
struct State<R> {
    waiting: VecDeque<Queued<R>>,
    waiting_bytes: usize,
    in_flight: usize,
    in_flight_bytes: usize,
    /// The number of the oldest message in flight.
    oldest_in_flight: Option<u64>,
    next_number: u64,
    /// Outcomes that nobody has read yet; none when nobody is going to.
    receipts: Option<VecDeque<(R, Outcome)>>,
    reader: Option<Waker>,
    /// How many can still send.
    clients: usize,
    has_driver: bool,
    stats: ClientStats,
}

impl<R> Queue<R> {
    /// A queue with one client, a driver and a reader of receipts.
    pub(crate) fn new(mut options: QueueOptions) -> Self {
        options.max_messages = options.max_messages.max(1);
        let state = State {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: 0,
            in_flight_bytes: 0,
            oldest_in_flight: None,
            next_number: 0,
            receipts: Some(VecDeque::new()),
            reader: None,
            clients: 1,
            has_driver: true,
            stats: ClientStats::default(),
        };
        Self {
            options,
            state: Mutex::new(state),
            work: Notify::new(),
            closed: Notify::new(),
            room: Notify::new(),
            settled: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        // Nothing panics while it is held; and the state would be whole if something did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> ClientStats {
        let state = self.state();
        ClientStats { waiting: state.waiting.len(), in_flight: state.in_flight, ..state.stats }
    }

    /// Changes the figures that the driver keeps: of connections.
    pub(crate) fn count(&self, change: impl FnOnce(&mut ClientStats)) {
        change(&mut self.state().stats);
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
            self.closed.notify_one();
        }
    }

    /// Queues a message, or says why not; both are counted. `WhenFull::Wait` gives [`Refused::Full`], uncounted.
    pub(crate) fn offer(&self, payload: Box<[u8]>, receipt: R) -> Result<(), (Box<[u8]>, R, Refused)> {
        let mut guard = self.state();
        let state = &mut *guard;
        if let Err(reason) = state.make_room(&self.options, payload.len()) {
            if !(reason == Refused::Full && self.options.when_full == WhenFull::Wait) {
                state.stats.refused.count(reason);
            }
            return Err((payload, receipt, reason));
        }
        let number = state.next_number;
        state.next_number += 1;
        state.stats.queued += 1;
        state.waiting_bytes += payload.len();
        state.waiting.push_back(Queued { payload, receipt: Some(receipt), number });
        let is_first = state.waiting.len() == 1;
        let has_room = state.has_room(&self.options, 0);
        let reader = state.reader.take_if(|_| state.receipts.as_ref().is_some_and(|list| !list.is_empty()));
        drop(guard);
        if is_first {
            self.work.notify_one();
        }
        if has_room {
            // Of the room that one was told of there is some left.
            self.room.notify_one();
        }
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    /// As [`offer`](Self::offer), but with `WhenFull::Wait` it waits for room. Dropped before it is ready, nothing is
    /// queued.
    pub(crate) async fn queue(&self, payload: Box<[u8]>, receipt: R) -> Result<(), NotQueued<R>> {
        let mut offered = self.offer(payload, receipt);
        loop {
            let (payload, receipt) = match offered {
                Ok(()) => return Ok(()),
                Err((payload, receipt, Refused::Full)) if self.options.when_full == WhenFull::Wait => {
                    (payload, receipt)
                }
                Err((_, receipt, reason)) => return Err(NotQueued { receipt, reason }),
            };
            let mut room = std::pin::pin!(self.room.notified());
            // Before it is tried again, so that room which comes meanwhile is not missed.
            room.as_mut().enable();
            offered = self.offer(payload, receipt);
            if let Err((_, _, Refused::Full)) = offered {
                room.await;
            }
        }
    }

    /// As [`queue`](Self::queue), but never waits.
    pub(crate) fn try_queue(&self, payload: Box<[u8]>, receipt: R) -> Result<(), NotQueued<R>> {
        self.offer(payload, receipt).map_err(|(_, receipt, reason)| {
            if reason == Refused::Full && self.options.when_full == WhenFull::Wait {
                self.refuse(reason);
            }
            NotQueued { receipt, reason }
        })
    }

    /// Counts a message that was not offered, or not again.
    pub(crate) fn refuse(&self, reason: Refused) {
        self.state().stats.refused.count(reason);
    }

    /// Waits until all that is queued now has its outcome.
    pub(crate) async fn flushed(&self) {
        let end = self.state().next_number;
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if self.state().oldest_unsettled() >= end {
                return;
            }
            settled.await;
        }
    }

    /// How many messages have no outcome yet.
    pub(crate) fn unsettled(&self) -> usize {
        let state = self.state();
        state.waiting.len() + state.in_flight
    }

    // The driver

    /// Waits until there is something to take; false when there never will be again.
    pub(crate) async fn has_work(&self) -> bool {
        loop {
            {
                let state = self.state();
                if !state.waiting.is_empty() && state.has_room_for_receipts(&self.options) {
                    return true;
                }
                if state.clients == 0 && state.waiting.is_empty() {
                    return false;
                }
            }
            self.work.notified().await;
        }
    }

    /// Waits until no client is left.
    pub(crate) async fn closed(&self) {
        while self.state().clients > 0 {
            self.closed.notified().await;
        }
    }

    /// Moves messages that wait into `flight`: at least one if one may be taken, and no more than `max_messages` or,
    /// but for the first, `max_bytes`. How many it has taken.
    pub(crate) fn take(
        &self,
        flight: &mut VecDeque<Queued<R>>,
        max_messages: usize,
        max_bytes: usize,
    ) -> usize {
        let mut guard = self.state();
        let state = &mut *guard;
        let (mut messages, mut bytes) = (0, 0);
        while messages < max_messages && state.has_room_for_receipts(&self.options) {
            let Some(next) = state.waiting.front() else { break };
            let len = next.payload.len();
            if messages > 0 && bytes + len > max_bytes {
                break;
            }
            state.oldest_in_flight.get_or_insert(next.number);
            flight.extend(state.waiting.pop_front());
            state.waiting_bytes -= len;
            state.in_flight += 1;
            state.in_flight_bytes += len;
            messages += 1;
            bytes += len;
        }
        messages
    }

    /// Gives the oldest `count` messages of `flight` their outcome.
    pub(crate) fn settle(&self, flight: &mut VecDeque<Queued<R>>, count: usize, outcome: Outcome) {
        let count = count.min(flight.len());
        if count == 0 {
            return;
        }
        let mut guard = self.state();
        let state = &mut *guard;
        for message in flight.iter_mut().take(count) {
            state.in_flight -= 1;
            state.in_flight_bytes -= message.payload.len();
            state.settle(message, outcome);
        }
        state.oldest_in_flight = flight.get(count).map(|message| message.number);
        let reader = state.reader.take();
        drop(guard);
        // Memory is given back outside of the lock.
        flight.drain(..count);
        self.room.notify_one();
        self.settled.notify_waiters();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The driver ends, and its connection with it: what waits is given up, and nothing is queued any more.
    pub(crate) fn end(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.has_driver = false;
        state.stats.is_connected = false;
        let mut given_up = std::mem::take(&mut state.waiting);
        state.waiting_bytes = 0;
        for message in &mut given_up {
            state.settle(message, Outcome::Dropped(DropReason::Ended));
        }
        let reader = state.reader.take();
        drop(guard);
        drop(given_up);
        // Each that waits for room finds that there is no driver, and tells the next.
        self.room.notify_waiters();
        self.settled.notify_waiters();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    // The reader of receipts

    /// The next receipt; `Ready(None)` when there will be none any more. The waker is kept if it is pending.
    pub(crate) fn poll_receipt(&self, waker: &Waker) -> Poll<Option<(R, Outcome)>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let had_room = state.has_room_for_receipts(&self.options);
        let Some(receipts) = &mut state.receipts else { return Poll::Ready(None) };
        let Some(next) = receipts.pop_front() else {
            if !state.has_driver {
                return Poll::Ready(None);
            }
            match &mut state.reader {
                Some(known) => known.clone_from(waker),
                None => state.reader = Some(waker.clone()),
            }
            return Poll::Pending;
        };
        drop(guard);
        if !had_room {
            self.work.notify_one();
            self.room.notify_one();
        }
        Poll::Ready(Some(next))
    }

    /// Nobody reads receipts any more.
    pub(crate) fn discard_receipts(&self) {
        let receipts = self.state().receipts.take();
        self.work.notify_one();
        // Outside of the lock, since what a receipt does when it is dropped is not known.
        drop(receipts);
    }
}

impl<R> State<R> {
    fn has_room(&self, options: &QueueOptions, len: usize) -> bool {
        self.waiting.len() + self.in_flight < options.max_messages
            && self.waiting_bytes + self.in_flight_bytes + len <= options.max_bytes
    }

    /// Whether what is in flight, and one more, could all be settled without anybody reading receipts.
    fn has_room_for_receipts(&self, options: &QueueOptions) -> bool {
        self.receipts.as_ref().is_none_or(|receipts| self.in_flight + receipts.len() < options.max_messages)
    }

    fn make_room(&mut self, options: &QueueOptions, len: usize) -> Result<(), Refused> {
        if !self.has_driver {
            return Err(Refused::Closed);
        }
        if len > options.max_bytes {
            return Err(Refused::TooLarge);
        }
        if self.has_room(options, len) {
            return Ok(());
        }
        if options.when_full != WhenFull::DropOldest {
            return Err(Refused::Full);
        }
        // First whether it will do, so that none is dropped in vain.
        let room_for_receipts = match &self.receipts {
            Some(receipts) => options.max_messages.saturating_sub(self.in_flight + receipts.len()),
            None => usize::MAX,
        };
        let (mut dropped, mut bytes) = (0, 0);
        for message in &self.waiting {
            dropped += 1;
            bytes += message.payload.len();
            if self.waiting_bytes + self.in_flight_bytes - bytes + len <= options.max_bytes {
                break;
            }
        }
        let fits = self.waiting_bytes + self.in_flight_bytes - bytes + len <= options.max_bytes;
        if dropped == 0 || dropped > room_for_receipts || !fits {
            return Err(Refused::Full);
        }
        for _ in 0..dropped {
            if let Some(mut message) = self.waiting.pop_front() {
                self.waiting_bytes -= message.payload.len();
                self.settle(&mut message, Outcome::Dropped(DropReason::QueueFull));
            }
        }
        Ok(())
    }

    /// Counts the outcome, and leaves it for the reader of receipts, if there is one.
    fn settle(&mut self, message: &mut Queued<R>, outcome: Outcome) {
        self.stats.count(outcome);
        if let Some(receipts) = &mut self.receipts {
            receipts.extend(message.receipt.take().map(|receipt| (receipt, outcome)));
        }
    }

    fn oldest_unsettled(&self) -> u64 {
        let waiting = self.waiting.front().map(|message| message.number);
        self.oldest_in_flight.or(waiting).unwrap_or(self.next_number)
    }
}

#[cfg(test)]
mod tests;
