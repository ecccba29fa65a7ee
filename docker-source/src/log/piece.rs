//! Defines the records of the Engine.

use bytes::Bytes;
use gelf_core::Timestamp;

use super::stream::LogStream;

/// The length at which Docker splits a line into records: 16 KiB, newline included.
///
/// Docker splits a longer line into pieces of exactly this length and a last piece with the rest. All pieces
/// carry the stamp of the first piece. The `json-file` driver replaces each byte that is not UTF-8 by the
/// three bytes of U+FFFD, so a stored piece can be up to three times as long. No driver shortens a piece, except
/// that the `local` driver omits the newline of a last piece.
pub(crate) const PIECE_LENGTH: usize = 16 * 1024;

/// A record of the Engine: a line, or a piece of a long line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Piece {
    pub(crate) stream: LogStream,
    /// The Engine's stamp. With Docker, all pieces of a line carry the same stamp.
    pub(crate) time: Timestamp,
    /// The bytes that the container wrote, without the newline that ends a line.
    ///
    /// These bytes are a copy: a slice of the read buffer would keep all of that buffer in memory.
    pub(crate) bytes: Bytes,
    /// True if a newline follows the bytes and belongs to the record.
    pub(crate) has_newline: bool,
}

impl Piece {
    /// Copies a record.
    pub(crate) fn copy(stream: LogStream, time: Timestamp, record: &[u8]) -> Self {
        let (text, has_newline) = match record.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (record, false),
        };
        Self { stream, time, bytes: Bytes::copy_from_slice(text), has_newline }
    }

    /// Returns the record, with its newline.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn record(&self) -> Vec<u8> {
        let newline: &[u8] = if self.has_newline { b"\n" } else { b"" };
        [&*self.bytes, newline].concat()
    }

    /// Returns the length of the record in bytes, with its newline.
    pub(super) fn length(&self) -> usize {
        self.bytes.len() + usize::from(self.has_newline)
    }
}
