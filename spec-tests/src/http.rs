//! Reads HTTP/1.1. A request keeps the original bytes of its head, so that the suite can judge these bytes.
//!
//! A [`RequestReader`] takes the bytes of a connection in pieces of any size and returns the requests. A
//! [`ResponseReader`] does the same for answers. Between two pieces, a reader holds at most a head of
//! [`MAX_HEAD_BYTES`] with its parsed headers, a body of the configured length, and an incomplete line of 4 KiB
//! between the chunks of the body. A violation of RFC 9112 is a [`Fault`]. If the request can still be parsed, the
//! fault is listed with the request. Otherwise, the fault ends the connection.

mod body;
mod head;
mod reader;

pub use reader::{BodyCoding, Request, RequestReader, Response, ResponseReader};

use std::fmt;
use std::io::{self, ErrorKind};

/// Maximum length of a head, and of the trailers of a body: 64 KiB.
pub const MAX_HEAD_BYTES: usize = 64 << 10;

/// Maximum number of headers: 256.
pub const MAX_HEADERS: usize = 256;

/// Bytes that violate RFC 9112 or exceed a limit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Description of the fault.
    pub text: String,
    /// Status with which a server refuses the wrong bytes. It has no meaning for a [`ResponseReader`].
    pub status: u16,
    /// Start of the wrong line, head, value or body.
    pub excerpt: String,
}

impl Fault {
    fn new(status: u16, text: impl Into<String>, bytes: &[u8]) -> Self {
        Self { text: text.into(), status, excerpt: excerpt(bytes) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.text, self.excerpt)
    }
}

impl std::error::Error for Fault {}

/// Returns whether a read failed because its time limit was reached or because a signal interrupted it. Such
/// a read can be repeated.
pub fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Maximum number of bytes that an excerpt shows.
const EXCERPT_BYTES: usize = 80;

/// Returns the start of some bytes as quoted text.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.get(..EXCERPT_BYTES).unwrap_or(bytes);
    let more = if shown.len() < bytes.len() { " …" } else { "" };
    format!("{:?}{more}", String::from_utf8_lossy(shown))
}
