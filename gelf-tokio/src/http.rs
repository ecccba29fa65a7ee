//! GELF over HTTP/1.1.

mod sender;

pub use sender::{BulkBody, HttpError, HttpSender};
