//! Decodes one response of the log endpoint, or the files of a log, into lines as the bytes arrive.

use std::time::Duration;

use bytes::Bytes;
use gelf_core::Timestamp;

use super::decoder::LogDecoder;
use super::error::LogFormatError;
use super::framing::Framing;
use super::line::{Line, LineJoiner};
use super::long_lines::LongLines;
use super::undecoded::UndecodedBytes;
use crate::clock;
use crate::dialect::Dialect;

/// A stamp in the middle of a terminal's text can be later than the Engine's clock by up to this tolerance. A
/// tolerance is needed because the Engine's clock is only estimated.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// Decodes one response: detects its framing, splits the response into pieces, and joins the pieces into
/// lines.
#[derive(Debug)]
pub(crate) struct LogReader {
    content_type: Option<String>,
    has_terminal: Option<bool>,
    input: UndecodedBytes,
    /// The latest time that a stamp in the middle of a terminal's text can have.
    latest: Timestamp,
    dialect: Dialect,
    budget: LongLines,
    decoding: Option<Decoding>,
}

/// The decoders of a response whose framing is known.
#[derive(Debug)]
struct Decoding {
    framing: Framing,
    decoder: LogDecoder,
    joiner: LineJoiner,
}

/// The result of a call of [`LogReader::decode`].
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Decoded {
    /// A piece was decoded, and the lines that the piece closes were added.
    Piece,
    /// More bytes have to arrive before the next piece can be decoded.
    NeedsMore,
}

impl LogReader {
    /// Creates a reader. `content_type` and `has_terminal` determine the framing if they are known.
    pub(crate) fn new(
        content_type: Option<String>,
        has_terminal: Option<bool>,
        dialect: Dialect,
        budget: LongLines,
    ) -> Self {
        let (input, latest) = (UndecodedBytes::default(), Timestamp::UNIX_EPOCH);
        Self { content_type, has_terminal, input, latest, dialect, budget, decoding: None }
    }

    /// Creates a reader of log files instead of a response. `has_terminal` is true if the container has a
    /// terminal.
    pub(crate) fn of_files(has_terminal: bool, dialect: Dialect, budget: LongLines) -> Self {
        let framing = if has_terminal { Framing::Terminal } else { Framing::Frames };
        let joiner = LineJoiner::new(framing, dialect, budget.clone());
        let decoding = Decoding { framing, decoder: LogDecoder::of_files(), joiner };
        Self { decoding: Some(decoding), ..Self::new(None, Some(has_terminal), dialect, budget) }
    }

    /// Notes that one log file has ended, so that the next part comes from another log file.
    ///
    /// # Errors
    /// Returns an error if this file ended within a record.
    pub(crate) fn end_file(&mut self) -> Result<(), LogFormatError> {
        match &mut self.decoding {
            Some(decoding) => self.input.end_file(&mut decoding.decoder),
            None => Ok(()),
        }
    }

    /// Appends the next part of the response, which arrived at the time `now` of the Engine's clock.
    pub(crate) fn push(&mut self, part: Bytes, now: Timestamp) {
        self.latest = clock::later(now, CLOCK_TOLERANCE);
        self.input.push(part);
    }

    /// Decodes the next piece, and adds the lines that the piece closes to `lines`: at most two lines.
    pub(crate) fn decode(&mut self, lines: &mut Vec<Line>) -> Result<Decoded, LogFormatError> {
        let Decoding { decoder, joiner, .. } = match &mut self.decoding {
            Some(decoding) => decoding,
            empty => {
                match Framing::detect(self.content_type.as_deref(), self.has_terminal, self.input.bytes())? {
                    Some(framing) => empty.insert(Decoding {
                        framing,
                        decoder: LogDecoder::new(framing, self.dialect),
                        joiner: LineJoiner::new(framing, self.dialect, self.budget.clone()),
                    }),
                    None => return Ok(Decoded::NeedsMore),
                }
            }
        };
        decoder.set_latest(self.latest);
        match self.input.decode(decoder)? {
            Some(piece) => {
                joiner.push(piece, &mut |line| lines.push(line));
                Ok(Decoded::Piece)
            }
            None => Ok(Decoded::NeedsMore),
        }
    }

    /// Returns the framing, once it is known.
    pub(crate) fn framing(&self) -> Option<Framing> {
        self.decoding.as_ref().map(|decoding| decoding.framing)
    }

    /// Returns the stamp of the oldest line whose end has not arrived.
    pub(crate) fn oldest_open(&self) -> Option<Timestamp> {
        self.decoding.as_ref().and_then(|decoding| decoding.joiner.oldest_open())
    }

    /// Adds the unfinished lines to `lines`. Call this method only if the rest of these lines will not be
    /// written or cannot be read.
    pub(crate) fn finish(self, lines: &mut Vec<Line>) {
        let Some(Decoding { mut decoder, mut joiner, .. }) = self.decoding else {
            return;
        };
        let mut input = self.input;
        while let Ok(Some(piece)) = input.finish(&mut decoder) {
            joiner.push(piece, &mut |line| lines.push(line));
        }
        joiner.finish(&mut |line| lines.push(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_rfc3339("2026-11-22T22:44:20Z").unwrap()
    }

    fn lines(reader: &mut LogReader) -> Vec<Line> {
        let mut lines = Vec::new();
        while reader.decode(&mut lines).unwrap() == Decoded::Piece {}
        lines
    }

    fn texts(lines: &[Line]) -> Vec<(&[u8], bool)> {
        lines.iter().map(|line| (&line.bytes[..], line.ended)).collect()
    }

    #[test]
    fn the_first_bytes_determine_the_framing_if_nothing_else_does() {
        let mut reader = LogReader::new(None, None, Dialect::Docker, LongLines::unlimited());
        assert_eq!(lines(&mut reader), []);
        reader.push(Bytes::from_static(b"2026-11-22T22:44:18.123456789Z hello\r\n"), now());
        assert_eq!(texts(&lines(&mut reader)), [(&b"hello"[..], true)]);

        let mut reader = LogReader::new(None, None, Dialect::Docker, LongLines::unlimited());
        for byte in b"\x02\0\0\0\0\0\0\x23" {
            reader.push(Bytes::copy_from_slice(&[*byte]), now());
            assert_eq!(lines(&mut reader), []);
        }
        reader.push(Bytes::from_static(b"2026-11-22T22:44:18.123456789Z abc\n"), now());
        assert_eq!(texts(&lines(&mut reader)), [(&b"abc"[..], true)]);
    }

    #[test]
    fn a_stamp_in_a_terminals_text_is_text_if_it_is_later_than_the_engines_clock_by_over_a_minute() {
        let first = "2026-11-22T22:44:18.123456789Z ";
        let long = "x".repeat(16_384);
        let count = |later: &str| {
            let mut reader = LogReader::new(None, Some(true), Dialect::Docker, LongLines::unlimited());
            let log = format!("{first}{long}{first}rest\r{later}next\r\n");
            // The log is split within the last stamp, so that stamp is recognized only when `end` arrives.
            let (start, end) = log.split_at(log.len() - 20);
            reader.push(Bytes::copy_from_slice(start.as_bytes()), now());
            let mut read = lines(&mut reader);
            reader.push(Bytes::copy_from_slice(end.as_bytes()), now());
            read.extend(lines(&mut reader));
            read.len()
        };
        assert_eq!(count("2026-11-22T22:44:19.000000000Z "), 2);
        assert_eq!(count("2026-11-22T22:45:20.000000000Z "), 2, "within the tolerance");
        assert_eq!(count("2026-11-22T22:45:20.000000001Z "), 1);
        assert_eq!(count("2099-01-01T00:00:00.000000000Z "), 1);
    }
}
