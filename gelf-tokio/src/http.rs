//! GELF over HTTP/1.1.

mod bulk;
mod receiver;
mod sender;

pub use receiver::{HttpDroppedValues, HttpReceiver, HttpReceiverOptions, HttpReceiverStats, HttpRefusals};
pub use sender::{BulkBody, HttpError, HttpSender};
