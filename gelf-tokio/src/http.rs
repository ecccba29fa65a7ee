//! GELF over HTTP/1.1.

mod sender;

pub(crate) use sender::BulkBody;
pub use sender::{HttpError, HttpSender};
