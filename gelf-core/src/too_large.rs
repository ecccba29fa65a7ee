//! The error for messages that are too large.

use std::fmt;

/// The error for a message that is longer than a limit, such as the capacity of 128 chunks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MessageTooLarge {
    /// The message is too long even with its texts truncated as far as possible.
    Fields {
        /// The length of the truncated message in bytes: without `full_message`, with one byte as
        /// `short_message`, and with the field `_truncated`.
        len: usize,
        /// The maximum length in bytes.
        max: usize,
    },
    /// The encoded and compressed message needs more than 128 chunks.
    Payload {
        /// The length of the payload in bytes.
        len: usize,
        /// The maximum length in bytes.
        max: usize,
    },
}

impl fmt::Display for MessageTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields { len, max } => {
                write!(f, "the message has {len} bytes with its texts truncated, more than {max}")
            }
            Self::Payload { len, max } => {
                write!(f, "the payload has {len} bytes, but 128 chunks hold at most {max}")
            }
        }
    }
}

impl std::error::Error for MessageTooLarge {}
