//! Receipts of lines.

use std::sync::Arc;

use docker_source::Container;
use docker_source::gelf_core::Timestamp;

use crate::settlement::Settlement;

/// The line that a receipt is for. Every outcome settles the line, unless the message was not sent because
/// the client ended: in that case, the next start reads the line again.
#[derive(Debug)]
pub(crate) struct LineReceipt {
    pub(crate) container: Arc<Container>,
    pub(crate) time: Timestamp,
    /// Settles the line for its route.
    pub(crate) settlement: Settlement,
}

impl LineReceipt {
    /// Settles the line for its route.
    pub(crate) fn settle(self) {
        self.settlement.settle();
    }
}
