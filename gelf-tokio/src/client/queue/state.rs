//! The state of a queue that its lock protects.

use std::collections::VecDeque;
use std::mem::{replace, take};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{QueueOptions, WhenFull};
use crate::outcome::{DropReason, NotQueuedReason, Outcome};
use crate::stats::ClientStats;

use super::super::state::ClientState;
use super::QueuedMessage;
use super::spare_buffers::SpareBuffers;
use super::unread_receipts::UnreadReceipts;

/// The number of unread receipts that even a small queue keeps, so that no receipt is lost while the reader
/// is slightly behind.
const MIN_UNREAD_RECEIPTS: usize = 65_536;

/// The room in bytes with which a queue is not full yet, although a longer message found no room. In a small
/// queue, a 64th of its limit is enough.
const SMALL_MESSAGE_BYTES: usize = 1024;

/// The state of a queue. No method drops a receipt, since the drop of a receipt can run any code.
pub(super) struct State<R> {
    pub(super) spare: SpareBuffers,
    pub(super) waiting: VecDeque<QueuedMessage<R>>,
    pub(super) waiting_bytes: usize,
    pub(super) in_flight: usize,
    pub(super) in_flight_bytes: usize,
    /// The number of the oldest message in flight.
    pub(super) oldest_in_flight: Option<u64>,
    pub(super) next_number: u64,
    pub(super) receipts: UnreadReceipts<R>,
    /// The number of clients, clones included.
    pub(super) clients: usize,
    /// The time that `close` gives the driver for the queued messages; `None` before a call of `close`.
    pub(super) closing: Option<Duration>,
    pub(super) is_aborted: bool,
    /// `true` once the number of unsent messages was taken for the log.
    pub(super) has_logged_unsent: bool,
    pub(super) has_driver: bool,
    pub(super) link: ClientState,
    pub(super) last_error: Option<Arc<str>>,
    /// The local address of the socket of a UDP destination.
    pub(super) local_addr: Option<SocketAddr>,
    pub(super) stats: ClientStats,
}

impl<R> State<R> {
    /// Creates the state of a queue with one client and one driver.
    pub(super) fn new(options: &QueueOptions, has_receipts: bool) -> Self {
        Self {
            spare: SpareBuffers::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: 0,
            in_flight_bytes: 0,
            oldest_in_flight: None,
            next_number: 0,
            receipts: UnreadReceipts::new(has_receipts, options.max_messages.max(MIN_UNREAD_RECEIPTS)),
            clients: 1,
            closing: None,
            is_aborted: false,
            has_logged_unsent: false,
            has_driver: true,
            link: ClientState::Connecting,
            last_error: None,
            local_addr: None,
            stats: ClientStats::default(),
        }
    }

    /// Returns how many messages have no outcome yet. Returns 0 from the second call on, so that the number
    /// is logged once, although both the driver and a caller of `close` wait until the time is over.
    pub(super) fn unsent_to_log(&mut self) -> usize {
        if replace(&mut self.has_logged_unsent, true) {
            return 0;
        }
        self.waiting.len() + self.in_flight
    }

    /// Returns whether the queue was closed or aborted, or all clients are dropped.
    pub(super) fn is_closed(&self) -> bool {
        self.clients == 0 || self.closing.is_some() || self.is_aborted
    }

    pub(super) fn has_room(&self, options: &QueueOptions, len: usize) -> bool {
        self.waiting.len() + self.in_flight < options.max_messages
            && self.waiting_bytes + self.in_flight_bytes + len <= options.max_bytes
    }

    /// Returns whether a small message would find room, or would get it from waiting messages.
    pub(super) fn has_room_for_small(&self, options: &QueueOptions) -> bool {
        let len = SMALL_MESSAGE_BYTES.min(options.max_bytes / 64);
        match options.when_full {
            WhenFull::DropOldest => {
                self.in_flight < options.max_messages && self.in_flight_bytes + len <= options.max_bytes
            }
            WhenFull::DropNewest | WhenFull::Wait => self.has_room(options, len),
        }
    }

    /// Makes room for a message of `len` bytes, or returns the reason for its refusal. Waiting messages are
    /// dropped for it only with `WhenFull::DropOldest`. Returns these messages, so that they and their receipts
    /// are freed outside of the lock.
    pub(super) fn make_room(
        &mut self,
        options: &QueueOptions,
        len: usize,
    ) -> Result<Vec<QueuedMessage<R>>, NotQueuedReason> {
        if self.link == ClientState::DriverEnded {
            return Err(NotQueuedReason::DriverEnded);
        }
        if !self.has_driver || self.closing.is_some() || self.is_aborted {
            return Err(NotQueuedReason::Closed);
        }
        if len > options.max_bytes {
            return Err(NotQueuedReason::TooLarge);
        }
        if self.has_room(options, len) {
            return Ok(Vec::new());
        }
        if options.when_full != WhenFull::DropOldest {
            return Err(NotQueuedReason::Full);
        }
        // Counts the oldest messages that would have to be dropped. They are dropped only if this makes
        // enough room.
        let (mut count, mut bytes) = (0, 0);
        for message in &self.waiting {
            count += 1;
            bytes += message.payload.len();
            if self.waiting_bytes + self.in_flight_bytes - bytes + len <= options.max_bytes {
                break;
            }
        }
        let fits = self.waiting_bytes + self.in_flight_bytes - bytes + len <= options.max_bytes;
        if count == 0 || !fits {
            return Err(NotQueuedReason::Full);
        }
        let mut dropped: Vec<_> = self.waiting.drain(..count).collect();
        self.waiting_bytes -= bytes;
        for message in &mut dropped {
            self.settle(message, Outcome::Dropped(DropReason::QueueFull));
        }
        Ok(dropped)
    }

    /// Drops the waiting messages, and returns them, so that they are freed outside of the lock.
    pub(super) fn give_up(&mut self) -> VecDeque<QueuedMessage<R>> {
        let mut given_up = take(&mut self.waiting);
        self.waiting_bytes = 0;
        for message in &mut given_up {
            self.settle(message, Outcome::Dropped(DropReason::Ended));
        }
        given_up
    }

    /// Counts the outcome. If there is a reader of receipts that is not too far behind, keeps the receipt for
    /// the reader.
    pub(super) fn settle(&mut self, message: &mut QueuedMessage<R>, outcome: Outcome) {
        self.stats.count(outcome);
        self.receipts.push(&mut message.receipt, outcome);
    }

    pub(super) fn oldest_unsettled(&self) -> u64 {
        let waiting = self.waiting.front().map(|message| message.number);
        self.oldest_in_flight.or(waiting).unwrap_or(self.next_number)
    }
}
