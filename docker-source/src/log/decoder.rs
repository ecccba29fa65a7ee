//! Decodes a log response into pieces.

use bytes::Buf;
use gelf_core::Timestamp;

use super::error::LogFormatError;
use super::frames;
use super::framing::Framing;
use super::piece::Piece;
use super::terminal::TerminalDecoder;
use crate::dialect::Dialect;

/// Decodes the body of a log response, no matter how it is split into reads.
#[derive(Debug)]
pub(crate) enum LogDecoder {
    Frames,
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

    /// Sets the latest time of the stamps that are recognized in the middle of a terminal's text. By default,
    /// stamps with any time are recognized there. At the start of a record, stamps with any time are always
    /// recognized.
    pub(crate) fn set_latest(&mut self, latest: Timestamp) {
        match self {
            Self::Frames => {}
            Self::Terminal(decoder) => decoder.set_latest(latest),
        }
    }

    /// Takes the next piece from the front of `input`. Returns `Ok(None)` if more bytes have to be appended
    /// to `input`.
    ///
    /// The decoder allocates memory for a piece only when the whole piece has arrived. If `decode` is called
    /// after each read until it returns `Ok(None)`, at most one frame stays in `input`. With a terminal, at
    /// most 64 KiB stay.
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
            Self::Terminal(decoder) => decoder.decode(input),
        }
    }

    /// Returns the number of bytes that have to be appended to `input` before [`decode`](Self::decode) can
    /// return another piece, if this number is known, and otherwise [`usize::MAX`]. `input` must be the
    /// beginning of a record for which `decode` has asked for more bytes.
    pub(super) fn missing(&self, input: &[u8]) -> usize {
        match self {
            Self::Frames => frames::missing(input),
            Self::Terminal(_) => usize::MAX,
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
            Self::Terminal(decoder) => decoder.finish(input),
        }
    }
}
