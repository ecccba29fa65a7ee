//! Decodes the body of the answer to `GET /containers/{id}/logs?timestamps=1`, and the log files of the
//! `json-file` driver.
//!
//! Decoding is sans-IO: bytes in, lines out. The boundaries of HTTP chunks and reads have no meaning.
//!
//! ```text
//! bytes --LogDecoder--> pieces --LineJoiner--> lines
//!      frames, terminal or files
//! ```
//!
//! | module | contents |
//! |---|---|
//! | `reader` | [`LogReader`]: one response, or the files of a log, from bytes to lines |
//! | `undecoded` | `UndecodedBytes`: the bytes of a response that are not decoded yet |
//! | `decoder` | `LogDecoder`: the bytes of a response of either framing, or of files, to pieces |
//! | `framing` | [`Framing`]: detection of the framing |
//! | `frames` | the framing of a container without a terminal |
//! | `json_file` | the records of the log files of the `json-file` driver |
//! | `terminal` | the framing of a container with a terminal |
//! | `stamp` | the timestamp in front of each record |
//! | `piece` | `Piece`: a record of the Engine |
//! | `line` | [`Line`] and `LineJoiner`: pieces to lines |
//! | `long_lines` | [`LongLines`]: the memory that long lines share |
//! | `stream` | [`LogStream`]: stdout or stderr |
//! | `error` | [`LogFormatError`] |

mod decoder;
mod error;
mod frames;
mod framing;
mod json_file;
mod line;
mod long_lines;
mod piece;
mod reader;
mod stamp;
mod stream;
mod terminal;
mod undecoded;

pub(crate) use error::LogFormatError;
pub(crate) use framing::Framing;
pub(crate) use json_file::parse as parse_json_file_record;
pub(crate) use line::Line;
pub(crate) use long_lines::{ALWAYS_KEPT, LongLines};
pub(crate) use reader::{Decoded, LogReader};
pub use stream::LogStream;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use decoder::LogDecoder;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use line::LineJoiner;
pub(crate) use piece::PIECE_LENGTH;
#[cfg(feature = "fuzzing")]
pub(crate) use piece::Piece;
#[cfg(feature = "fuzzing")]
pub(crate) use undecoded::UndecodedBytes;
