//! Decodes a log response, or the files of a log, into pieces.

use bytes::Buf;
use gelf_core::Timestamp;
use memchr::memchr;

use super::error::LogFormatError;
use super::frames;
use super::framing::Framing;
use super::json_file::JsonFileDecoder;
use super::piece::Piece;
use super::terminal::TerminalDecoder;
use crate::dialect::Dialect;

/// Decodes the body of a log response, or the files of a log, no matter how the bytes are split into reads.
#[derive(Debug)]
pub(crate) enum LogDecoder {
    Frames,
    JsonFile(JsonFileDecoder),
    Terminal(TerminalDecoder),
}

impl LogDecoder {
    /// Creates a decoder for one response.
    pub(crate) const fn new(framing: Framing, dialect: Dialect) -> Self {
        match framing {
            Framing::Frames => Self::Frames,
            Framing::Terminal => Self::Terminal(TerminalDecoder::new(dialect)),
        }
    }

    /// Creates a decoder for the files of a log.
    pub(crate) fn of_files() -> Self {
        Self::JsonFile(JsonFileDecoder::default())
    }

    /// Notes that one file has ended, so that the next bytes come from another file.
    ///
    /// # Errors
    /// Returns [`LogFormatError::DamagedRecord`] if this file ended within a record.
    pub(super) fn end_file(&mut self, input: &mut impl Buf) -> Result<(), LogFormatError> {
        match self {
            Self::JsonFile(decoder) => decoder.end_file(input),
            Self::Frames | Self::Terminal(_) => Ok(()),
        }
    }

    /// Sets the latest time of the stamps that are recognized in the middle of a terminal's text. By default,
    /// stamps with any time are recognized there. At the start of a record, stamps with any time are always
    /// recognized.
    pub(crate) fn set_latest(&mut self, latest: Timestamp) {
        match self {
            Self::Frames | Self::JsonFile(_) => {}
            Self::Terminal(decoder) => decoder.set_latest(latest),
        }
    }

    /// Takes the next piece from the front of `input`. Returns `Ok(None)` if more bytes have to be appended
    /// to `input`.
    ///
    /// The decoder allocates memory for a piece only when the whole piece has arrived. If `decode` is called
    /// after each read until it returns `Ok(None)`, little stays in `input`: less than one frame, less than 64 KiB
    /// of a terminal's log, or at most 1 MiB of a log file.
    ///
    /// # Errors
    /// After an error that [ends the stream](LogFormatError::ends_stream), every further call returns the
    /// same error. After another error, the invalid bytes have been removed from `input`, and the next call
    /// goes on behind them.
    pub(crate) fn decode(
        &mut self,
        input: &mut (impl Buf + AsRef<[u8]>),
    ) -> Result<Option<Piece>, LogFormatError> {
        match self {
            Self::Frames => frames::decode(input),
            Self::JsonFile(decoder) => decoder.decode(input),
            Self::Terminal(decoder) => decoder.decode(input),
        }
    }

    /// Returns the number of bytes at the start of `part` that have to be appended to `begun` before
    /// [`decode`](Self::decode) can return the next piece. These are the bytes of the rest of the record, or
    /// all bytes of `part` if the end of the record is not known. `begun` must be the beginning of a record
    /// for which `decode` has asked for more bytes.
    pub(super) fn missing(&self, begun: &[u8], part: &[u8]) -> usize {
        match self {
            Self::Frames => frames::missing(begun).min(part.len()),
            Self::JsonFile(_) => memchr(b'\n', part).map_or(part.len(), |newline| newline + 1),
            Self::Terminal(_) => part.len(),
        }
    }

    /// Takes the next piece once the body has ended. Call this method until it returns `Ok(None)` or an error
    /// that ends the stream.
    ///
    /// The unfinished line of a terminal is a piece without a newline.
    ///
    /// # Errors
    /// Returns the errors of [`decode`](Self::decode), and [`LogFormatError::Truncated`] if the body ends
    /// within a frame or a stamp.
    pub(crate) fn finish(
        &mut self,
        input: &mut (impl Buf + AsRef<[u8]>),
    ) -> Result<Option<Piece>, LogFormatError> {
        match self {
            Self::Frames => frames::finish(input),
            // A record at the end of a file is whole only if its newline has arrived.
            Self::JsonFile(_) => Ok(None),
            Self::Terminal(decoder) => decoder.finish(input),
        }
    }
}
