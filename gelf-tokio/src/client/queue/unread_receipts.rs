//! Keeps receipts until they are read.

use std::collections::VecDeque;
use std::mem::take;
use std::task::Waker;

use crate::outcome::Outcome;

/// The receipts that are not read yet, up to a maximum number.
pub(super) struct UnreadReceipts<R> {
    /// `None` if there is no reader.
    receipts: Option<VecDeque<(R, Outcome)>>,
    max: usize,
    lost: u64,
    /// `true` if the first loss of a receipt is still to be logged.
    has_to_warn: bool,
    /// Wakes the reader.
    reader: Option<Waker>,
}

impl<R> UnreadReceipts<R> {
    /// Creates an empty list. Without a reader, no receipt is kept, and none counts as lost.
    pub(super) fn new(has_reader: bool, max: usize) -> Self {
        Self { receipts: has_reader.then(VecDeque::new), max, lost: 0, has_to_warn: false, reader: None }
    }

    /// Returns the number of receipts that were lost, since too many were unread.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn has_reader(&self) -> bool {
        self.receipts.is_some()
    }

    /// Takes the receipt for the reader. If there is no reader, or too many receipts are unread, leaves the
    /// receipt where it is, for the caller to drop.
    pub(super) fn push(&mut self, receipt: &mut Option<R>, outcome: Outcome) {
        let Some(receipts) = &mut self.receipts else { return };
        if receipts.len() < self.max {
            receipts.extend(receipt.take().map(|receipt| (receipt, outcome)));
        } else {
            self.has_to_warn |= self.lost == 0;
            self.lost += 1;
        }
    }

    /// Returns the oldest receipt.
    pub(super) fn pop(&mut self) -> Option<(R, Outcome)> {
        self.receipts.as_mut()?.pop_front()
    }

    /// Keeps the waker of the reader. Returns the waker that it replaces.
    pub(super) fn set_reader(&mut self, waker: &Waker) -> Option<Waker> {
        match &self.reader {
            Some(known) if known.will_wake(waker) => None,
            _ => self.reader.replace(waker.clone()),
        }
    }

    /// Returns the waker of the reader if there are receipts, or if `is_over` says that no further receipt can
    /// come.
    pub(super) fn reader_to_wake(&mut self, is_over: bool) -> Option<Waker> {
        let has_news = is_over || self.receipts.as_ref().is_some_and(|receipts| !receipts.is_empty());
        self.reader.take_if(|_| has_news)
    }

    /// Returns whether the first loss of a receipt is still to be logged. The next call returns `false`.
    pub(super) fn take_warning(&mut self) -> bool {
        take(&mut self.has_to_warn)
    }

    /// Returns all receipts, and keeps no further receipts.
    pub(super) fn discard(&mut self) -> Option<VecDeque<(R, Outcome)>> {
        self.receipts.take()
    }

    #[cfg(test)]
    pub(super) fn max(&mut self) -> &mut usize {
        &mut self.max
    }
}
