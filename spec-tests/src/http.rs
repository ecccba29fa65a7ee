//! HTTP/1.1 as it stands on the wire: small readers that keep the bytes, for they are what is judged.
//!
//! A [`RequestReader`] is given what comes on a connection, in pieces of any size, and gives the requests; a
//! [`ResponseReader`] gives the answers of the other side. Both hold at most a head of [`MAX_HEAD_BYTES`] and a body of the
//! length that they were made with, whatever comes. What breaks RFC 9112 and can be read all the same is listed beside what
//! was read; what cannot is a [`Fault`], after which nothing more is read.

mod body;
mod head;
mod reader;

pub use reader::{BodyCoding, Request, RequestReader, Response, ResponseReader};

use std::fmt;

/// How long a request line with its headers, or the trailers of a body, may be: 64 KiB.
pub const MAX_HEAD_BYTES: usize = 64 << 10;

/// How many headers there may be: 256.
pub const MAX_HEADERS: usize = 256;

/// What comes is no HTTP/1.1, or more than is held.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// How, for people.
    pub text: String,
    /// The status to answer with.
    pub status: u16,
    /// The beginning of the line, or of the head, that is wrong.
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

/// How many bytes are shown of what is wrong.
const EXCERPT_BYTES: usize = 80;

/// The beginning of some bytes, as text in quotes.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.get(..EXCERPT_BYTES).unwrap_or(bytes);
    let more = if shown.len() < bytes.len() { " …" } else { "" };
    format!("{:?}{more}", String::from_utf8_lossy(shown))
}
