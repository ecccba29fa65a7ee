//! Defines the errors in the format of a log response.

use std::fmt;

use crate::one_line::one_line;

/// The maximum length of an Engine's message that is kept, in bytes.
pub(super) const ENGINE_MESSAGE_MAX: usize = 512;

/// An error in the format of a log response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum LogFormatError {
    /// A record of a log file is too long, is cut, is not valid JSON, or has no valid time. The record is
    /// skipped, and the next record is read.
    DamagedRecord,
    /// The Engine ended the response with an error message, such as `Error grabbing logs: …`.
    Engine(EngineMessage),
    /// A record does not start with an RFC 3339 stamp and a space.
    ///
    /// The record is skipped; in a terminal's log, the bytes up to the next newline are skipped. Then the next
    /// record is read.
    MissingTimestamp,
    /// The second to fourth bytes of a frame header are not zero, so the bytes are not a frame.
    Padding,
    /// A frame is longer than `max` bytes, or the bytes are not a frame.
    TooLong { length: usize, max: usize },
    /// The response ended within a frame or a stamp: the connection was cut.
    Truncated,
    /// The first byte of a frame header is not a known stream, so the bytes are not a frame.
    UnknownStream { kind: u8 },
}

impl LogFormatError {
    /// Returns whether the rest of the response is unreadable, so that the log must be requested again.
    pub(crate) const fn ends_stream(&self) -> bool {
        !matches!(self, Self::DamagedRecord | Self::MissingTimestamp)
    }
}

impl fmt::Display for LogFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DamagedRecord => f.write_str("a record of the log file is damaged"),
            Self::Engine(message) => write!(f, "the Engine ended the log with an error: {message}"),
            Self::MissingTimestamp => f.write_str("a record of the log has no timestamp"),
            Self::Padding => f.write_str("a frame header of the log has padding bytes that are not zero"),
            Self::TooLong { length, max } => {
                write!(f, "a frame header of the log claims {length} bytes; the limit is {max}")
            }
            Self::Truncated => f.write_str("the log ended within a record"),
            Self::UnknownStream { kind } => {
                write!(f, "a frame header of the log names the unknown stream {kind}")
            }
        }
    }
}

impl std::error::Error for LogFormatError {}

/// The message with which the Engine ended a response, on one line and escaped, cut to 512 bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EngineMessage(Box<str>);

impl EngineMessage {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(one_line(bytes).into())
    }
}

impl fmt::Display for EngineMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
