//! Receipts of lines.

use std::sync::Arc;

use docker_source::Container;
use docker_source::gelf_core::Timestamp;

/// The line that a receipt is for.
#[derive(Debug)]
pub(crate) struct LineReceipt {
    pub(crate) container: Arc<Container>,
    pub(crate) time: Timestamp,
}
