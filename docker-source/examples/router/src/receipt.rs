//! Defines the receipts of messages.

use std::sync::Arc;

use docker_source::gelf_core::Timestamp;
use docker_source::{Container, Record};

use crate::settlement::Settlement;

/// The lines of one message. When the receipt of the message arrives, the lines are settled, so that the next
/// start does not read them again. If the client ended before it had sent the message, the lines are not
/// settled, so that the next start reads them.
#[derive(Debug)]
pub(crate) struct LineReceipt {
    pub(crate) container: Arc<Container>,
    /// The time of the first line.
    pub(crate) time: Timestamp,
    /// Settles the first line for its route.
    settlement: Settlement,
    /// Settles the other lines of the message.
    others: Vec<Settlement>,
}

impl LineReceipt {
    /// Creates the receipt of a message. `record` is the first line of the message, and `settlements` has a
    /// settlement for each line.
    pub(crate) fn new(record: &Record, mut settlements: impl Iterator<Item = Settlement>) -> Self {
        let settlement = settlements.next().unwrap_or_default();
        let (container, time) = (Arc::clone(record.container()), record.time());
        Self { container, time, settlement, others: settlements.collect() }
    }

    /// Settles the lines for their route.
    pub(crate) fn settle(self) {
        self.settlement.settle();
        self.others.into_iter().for_each(Settlement::settle);
    }
}
