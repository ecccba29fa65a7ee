//! Decodes the framing of the log of a container with a terminal: bare lines, each behind a stamp.
//!
//! Nothing but the text itself shows where a record ends, and a record is not always a line:
//!
//! * A newline ends a record. (A terminal writes `\r\n`. The `\r` is cut off when records become lines.)
//! * A line over 16 KiB is several records. *The same stamp* stands in front of each of these records. Each
//!   of these records except the last has 16,384 bytes, or more if the `json-file` driver has replaced bytes
//!   that are not UTF-8.
//! * The `local` driver omits the newline at the end of a line over 16 KiB. The *later stamp* of the next
//!   line then directly follows the `\r` of the last record.
//!
//! A line can contain text that looks like a stamp. Therefore the decoder looks for the same stamp only behind
//! the first 16,384 bytes of a record. It looks for a later stamp only in a record that continues a long line:
//! at the start of the record, and behind a `\r`. A later stamp counts only if it is not in the future by the
//! Engine's clock (with a tolerance), otherwise a container could forge stamps of any year.
//!
//! Podman ends a record wherever a read of the terminal's output ended. Therefore *the same stamp or a later
//! stamp* can stand anywhere within a line. The decoder cannot tell such a stamp of Podman from a stamp that
//! the container wrote.
//!
//! One case is ambiguous with Docker: if the output of a container ends without a newline and the container
//! is started again, the stamp of the next line directly follows the text of the last line. The decoder reads
//! the two lines as one line.

use bytes::Buf;
use gelf_core::Timestamp;
use memchr::{memchr, memchr_iter, memmem};

use super::error::LogFormatError;
use super::piece::{PIECE_LENGTH, Piece};
use super::stamp::{MissingTimestamp, Stamped, split_stamp};
use super::stream::LogStream;
use crate::dialect::Dialect;

/// The length of the window in which the decoder searches for the end of a record: 64 KiB. If the end is not
/// in the window, the decoder emits a part of the record.
///
/// If the Engine splits lines, a record has at most three times [`PIECE_LENGTH`] bytes: 49,152. If the Engine
/// does not split lines, the window limits the memory that a line without an end can take.
const WINDOW: usize = 64 * 1024;

/// The number of bytes at the end of the window that are not emitted with a part. They are searched again
/// when more bytes have arrived. A `\r` and a stamp together are shorter than 64 bytes, so a stamp that
/// crosses the end of the window is still found.
const OVERLAP: usize = 64;

/// The length of the date in front of the `T` of a stamp.
const DATE_LENGTH: usize = "2026-11-22".len();

#[derive(Debug)]
pub(crate) struct TerminalDecoder {
    state: State,
    /// The stamp of the current record, space included.
    stamp: Vec<u8>,
    /// The latest time that a stamp in the middle of a text can have. `None` if it can have any time.
    latest: Option<Timestamp>,
    dialect: Dialect,
}

#[derive(Debug)]
enum State {
    /// A stamp comes next. `continues` is true if the stamp is in the middle of a line.
    Stamp { continues: bool },
    /// The text behind a stamp comes next.
    Text(Record),
    /// A line without a stamp is skipped up to its newline.
    Skip,
}

impl TerminalDecoder {
    pub(super) const fn new(dialect: Dialect) -> Self {
        Self { state: State::Stamp { continues: false }, stamp: Vec::new(), latest: None, dialect }
    }

    pub(super) fn set_latest(&mut self, latest: Timestamp) {
        self.latest = Some(latest);
    }

    pub(super) fn decode(
        &mut self,
        input: &mut (impl Buf + AsRef<[u8]>),
    ) -> Result<Option<Piece>, LogFormatError> {
        loop {
            match &mut self.state {
                State::Stamp { continues } => match split_stamp(input.as_ref()) {
                    Ok(None) => return Ok(None),
                    Ok(Some(Stamped { time, stamp, .. })) => {
                        self.stamp.clear();
                        self.stamp.extend_from_slice(stamp);
                        input.advance(self.stamp.len());
                        let continues = *continues;
                        self.state = State::Text(Record { time, continues, emitted: 0, searched: 0 });
                    }
                    Err(MissingTimestamp) => {
                        self.state = State::Skip;
                        return Err(LogFormatError::MissingTimestamp);
                    }
                },
                State::Text(record) => {
                    let time = record.time;
                    let found = record.find_end(input.as_ref(), &self.stamp, self.latest, self.dialect);
                    let Some((end, length)) = found else {
                        return Ok(None);
                    };
                    match end {
                        End::Newline | End::LaterStamp => self.state = State::Stamp { continues: false },
                        End::SameStamp | End::NextStamp => self.state = State::Stamp { continues: true },
                        End::Window => {
                            record.emitted += length;
                            record.searched = 0;
                        }
                    }
                    return Ok(Some(take(input, time, length)));
                }
                State::Skip => {
                    let Some(newline) = memchr(b'\n', input.as_ref()) else {
                        input.advance(input.remaining());
                        return Ok(None);
                    };
                    input.advance(newline + 1);
                    self.state = State::Stamp { continues: false };
                }
            }
        }
    }

    pub(super) fn finish(
        &mut self,
        input: &mut (impl Buf + AsRef<[u8]>),
    ) -> Result<Option<Piece>, LogFormatError> {
        if let Some(piece) = self.decode(input)? {
            return Ok(Some(piece));
        }
        let state = std::mem::replace(&mut self.state, State::Stamp { continues: false });
        if !input.has_remaining() {
            return Ok(None);
        }
        match state {
            State::Text(record) => Ok(Some(take(input, record.time, input.remaining()))),
            State::Stamp { .. } | State::Skip => Err(LogFormatError::Truncated),
        }
    }
}

/// Takes a piece of `length` bytes from `input`, which has at least that many bytes.
fn take(input: &mut (impl Buf + AsRef<[u8]>), time: Timestamp, length: usize) -> Piece {
    // Copy: a slice would keep the whole read buffer in memory.
    let piece = Piece::copy(LogStream::Stdout, time, input.as_ref().split_at(length).0);
    input.advance(length);
    piece
}

#[derive(Debug)]
struct Record {
    time: Timestamp,
    /// True if this record continues the line of the record before it.
    continues: bool,
    /// The number of bytes of this record that have been emitted.
    emitted: usize,
    /// The number of bytes at the front of the input that have been searched for the end of the record. A stamp that
    /// ends the record can still begin in the last [`OVERLAP`] of these bytes.
    searched: usize,
}

/// The end of a record, or of the part of a record that is emitted.
enum End {
    Newline,
    SameStamp,
    LaterStamp,
    /// A stamp of Podman in the middle of the line.
    NextStamp,
    /// The record goes on behind the window.
    Window,
}

impl Record {
    /// Finds the end of the record, or of the part of the record to emit. Returns the kind of this end, and the
    /// number of bytes of `input` up to it. Returns `None` if more bytes are needed.
    fn find_end(
        &mut self,
        input: &[u8],
        stamp: &[u8],
        latest: Option<Timestamp>,
        dialect: Dialect,
    ) -> Option<(End, usize)> {
        let (window, is_full) = match input.split_at_checked(WINDOW) {
            Some((window, _)) => (window, true),
            None => (input, false),
        };
        let (_, unseen) = window.split_at(self.searched);
        let newline = memchr(b'\n', unseen).map(|at| self.searched + at);
        let line = match newline {
            Some(end) => window.split_at(end).0,
            None => window,
        };
        // If the line has both the same stamp and a later stamp, the one that comes first ends the record.
        // Otherwise, the pieces would depend on the split of the log into reads.
        let found = match dialect {
            Dialect::Docker => {
                let same = self.same_stamp_in(line, stamp).map(|at| (End::SameStamp, at));
                let later = self.later_stamp_in(line, stamp.len(), latest).map(|at| (End::LaterStamp, at));
                same.into_iter().chain(later).min_by_key(|(_, at)| *at)
            }
            Dialect::Podman => self.next_stamp_in(line, latest).map(|at| (End::NextStamp, at)),
        };
        if found.is_some() {
            return found;
        }
        self.searched = window.len();
        match newline {
            Some(at) => Some((End::Newline, at + 1)),
            None => is_full.then_some((End::Window, WINDOW - OVERLAP)),
        }
    }

    fn same_stamp_in(&self, line: &[u8], stamp: &[u8]) -> Option<usize> {
        let from = PIECE_LENGTH.saturating_sub(self.emitted).max(self.searched.saturating_sub(OVERLAP));
        let (_, behind) = line.split_at_checked(from)?;
        memmem::find(behind, stamp).map(|at| from + at)
    }

    fn later_stamp_in(&self, line: &[u8], stamp_length: usize, latest: Option<Timestamp>) -> Option<usize> {
        if !self.continues {
            return None;
        }
        let from = self.searched.saturating_sub(OVERLAP);
        let (_, behind) = line.split_at_checked(from)?;
        let at_start = (from == 0 && self.emitted == 0).then_some(0);
        at_start.into_iter().chain(memchr_iter(b'\r', behind).map(|at| from + at + 1)).find(|at| {
            let stamp = line.get(*at..*at + stamp_length);
            matches!(
                stamp.map(split_stamp),
                Some(Ok(Some(Stamped { time, text: [], .. })))
                    if time > self.time && latest.is_none_or(|latest| time <= latest)
            )
        })
    }

    fn next_stamp_in(&self, line: &[u8], latest: Option<Timestamp>) -> Option<usize> {
        // A stamp that directly follows the stamp of the record is text of the container, since no record is
        // empty.
        let from = self.searched.saturating_sub(OVERLAP).max(usize::from(self.emitted == 0));
        let (_, behind) = line.split_at_checked(from)?;
        let date = |separator: usize| separator.checked_sub(DATE_LENGTH);
        memchr_iter(b'T', behind).filter_map(date).map(|at| from + at).find(|at| {
            let stamp = line.get(*at..).map(split_stamp);
            matches!(
                stamp,
                Some(Ok(Some(Stamped { time, .. })))
                    if time >= self.time && latest.is_none_or(|latest| time <= latest)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use proptest::prelude::*;

    const T1: &str = "2026-11-22T22:44:18.123456781Z ";
    const T2: &str = "2026-11-22T22:44:18.123456782Z ";
    const T3: &str = "2026-11-22T22:44:18.123456783Z ";

    fn time(stamp: &str) -> Timestamp {
        Timestamp::from_rfc3339(stamp.trim_end()).unwrap()
    }

    type Read = Vec<(Timestamp, Vec<u8>)>;

    /// Decodes `bytes` in parts of `step` bytes. Returns the pieces, and the error that ended decoding, if
    /// any.
    fn decode_by(bytes: &[u8], step: usize) -> (Read, Option<LogFormatError>) {
        let mut decoder = TerminalDecoder::new(Dialect::Docker);
        let mut input = BytesMut::new();
        let mut read = Vec::new();
        let mut push = |piece: Piece| read.push((piece.time, piece.record()));
        for part in bytes.chunks(step) {
            input.extend_from_slice(part);
            while let Some(piece) = decoder.decode(&mut input).unwrap() {
                push(piece);
            }
            assert!(input.len() < WINDOW);
        }
        loop {
            match decoder.finish(&mut input) {
                Ok(Some(piece)) => push(piece),
                Ok(None) => return (read, None),
                Err(error) => return (read, Some(error)),
            }
        }
    }

    fn decode(bytes: &[u8]) -> Read {
        let (read, error) = decode_by(bytes, 64 * 1024);
        assert_eq!(error, None);
        read
    }

    fn expected(pieces: &[(&str, &str)]) -> Read {
        pieces.iter().map(|(stamp, text)| (time(stamp), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn each_line_has_its_stamp_and_keeps_its_ending() {
        let text = format!("{T1}one\r\n{T2}\r\n{T3}three\n");
        assert_eq!(decode(text.as_bytes()), expected(&[(T1, "one\r\n"), (T2, "\r\n"), (T3, "three\n")]));
    }

    #[test]
    fn a_line_of_a_terminal_is_stdout() {
        let mut input = BytesMut::from(&*format!("{T1}one\r\n"));
        assert_eq!(
            TerminalDecoder::new(Dialect::Docker).decode(&mut input).unwrap().unwrap().stream,
            LogStream::Stdout
        );
    }

    #[test]
    fn a_piece_whose_bad_bytes_were_replaced_is_longer_than_16384() {
        let first = "\u{fffd}".repeat(16_384);
        assert_eq!(first.len(), 49_152);
        let text = format!("{T1}{first}{T1}rest\r\n");
        assert_eq!(decode(text.as_bytes()), expected(&[(T1, &first), (T1, "rest\r\n")]));
    }

    #[test]
    fn the_same_stamp_before_16384_bytes_is_text() {
        let line = format!("{}{T1}{}\r\n", "x".repeat(16_383 - T1.len()), "y".repeat(100));
        assert_eq!(decode(format!("{T1}{line}").as_bytes()), expected(&[(T1, &line)]));
    }

    #[test]
    fn stamps_within_a_line_of_one_piece_are_text() {
        for line in [format!("at\r{T2}x\r\n"), format!("{T2}x\r\n"), format!("a {T1}\r\n")] {
            assert_eq!(decode(format!("{T1}{line}").as_bytes()), expected(&[(T1, &line)]));
        }
    }

    #[test]
    fn an_earlier_stamp_or_a_stamp_in_another_format_is_text_even_in_a_long_line() {
        let first = "x".repeat(16_384);
        for rest in [
            format!("\r{T1}\r\n"),
            "\r2026-11-22T23:00:00Z up again and well\r\n".to_owned(),
            format!("a {T3}b\r\n"),
        ] {
            let text = format!("{T2}{first}{T2}{rest}");
            assert_eq!(decode(text.as_bytes()), expected(&[(T2, &first), (T2, &rest)]));
        }
    }

    #[test]
    fn a_record_ends_at_the_first_equal_or_later_stamp_in_small_and_in_large_parts() {
        let (first, text) = ("x".repeat(16_384), "y".repeat(20_000));
        let log = format!("{T1}{first}{T1}{T2}{text}{T1}z\r\n");
        let next = format!("{text}{T1}z\r\n");
        let expected = (expected(&[(T1, &first), (T1, ""), (T2, &next)]), None);
        for step in [7, 1000, 64 * 1024] {
            assert_eq!(decode_by(log.as_bytes(), step), expected, "{step}");
        }
    }

    #[test]
    fn a_line_without_a_stamp_is_skipped_up_to_its_newline() {
        for bad in ["bad\r\n", "\r\n", "2026-11-22 22:44:18 \n", &format!("{}\n", "z".repeat(100_000))] {
            let mut input = BytesMut::from(&*format!("{bad}{T1}one\r\n"));
            let mut decoder = TerminalDecoder::new(Dialect::Docker);
            assert_eq!(decoder.decode(&mut input), Err(LogFormatError::MissingTimestamp));
            assert_eq!(decoder.decode(&mut input).unwrap().unwrap().record(), b"one\r\n");
            assert_eq!(decoder.decode(&mut input), Ok(None));
        }
    }

    #[test]
    fn at_the_end_a_cut_line_is_a_piece_and_a_cut_stamp_is_an_error() {
        let text = format!("{T1}one\r\n{T2}abc");
        assert_eq!(decode(text.as_bytes()), expected(&[(T1, "one\r\n"), (T2, "abc")]));
        assert_eq!(decode(T1.as_bytes()), expected(&[]));
        for cut in 1..T1.len() {
            assert_eq!(
                decode_by(&T1.as_bytes()[..cut], 7),
                (Vec::new(), Some(LogFormatError::Truncated)),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_line_that_never_ends_is_emitted_in_parts() {
        let line = "x".repeat(1_000_000);
        let read = decode(format!("{T1}{line}").as_bytes());
        assert_eq!(read.len(), 16);
        assert!(read.iter().all(|(stamp, part)| *stamp == time(T1) && part.len() <= WINDOW));
        assert_eq!(read.iter().map(|(_, part)| part.len()).sum::<usize>(), 1_000_000);
        assert_eq!(read[0].1.len(), WINDOW - OVERLAP);
    }

    #[test]
    fn a_stamp_across_the_edge_of_the_window_is_found() {
        for before in WINDOW - 40..WINDOW + 40 {
            let text = format!("{T1}{}{T1}rest\r\n", "x".repeat(before));
            let read = decode(text.as_bytes());
            let joined: Vec<u8> = read.iter().flat_map(|(_, part)| part.clone()).collect();
            assert_eq!(joined.len(), before + 6, "{before}");
        }
    }

    #[test]
    fn a_part_that_starts_like_a_later_stamp_is_text() {
        let (first, part) = ("x".repeat(16_384), "y".repeat(WINDOW - OVERLAP));
        let rest = format!("{T2}{}\r\n", "z".repeat(OVERLAP));
        let read = decode(format!("{T1}{first}{T1}{part}{rest}").as_bytes());
        assert_eq!(read.last(), Some(&(time(T1), rest.into_bytes())));
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn podmans_stamps_within_a_line_are_left_out_unless_they_are_earlier_or_at_the_start_of_a_text() {
        const S1: &str = "2026-11-22T23:44:18+01:00 ";
        const S2: &str = "2026-11-22T23:44:19+01:00 ";
        const EARLIER: &str = "2026-11-22T23:44:17+01:00 ";
        let long = "x".repeat(2 * WINDOW);
        let own = format!("{S2}ThT{EARLIER}T");
        let log = format!("{S1}{own}\r\n{S1}$ {S1}l{S2}s\r\n{S2}{long}{S2}end\r\n{S2}rest");
        for step in [1, 7, 4096, log.len()] {
            let mut decoder = TerminalDecoder::new(Dialect::Podman);
            let (mut input, mut text, mut stamps) = (BytesMut::new(), String::new(), Vec::new());
            for part in log.as_bytes().chunks(step) {
                input.extend_from_slice(part);
                while let Some(piece) = decoder.decode(&mut input).unwrap() {
                    text.push_str(std::str::from_utf8(&piece.record()).unwrap());
                    stamps.push(piece.time);
                }
            }
            text.push_str(
                std::str::from_utf8(&decoder.finish(&mut input).unwrap().unwrap().record()).unwrap(),
            );
            assert_eq!(text, format!("{own}\r\n$ ls\r\n{long}end\r\nrest"), "{step}");
            assert_eq!(stamps[..4], [S1, S1, S1, S2].map(time), "{step}");
        }
    }

    #[test]
    fn each_byte_is_searched_once_for_a_newline() {
        let mut decoder = TerminalDecoder::new(Dialect::Docker);
        let mut input = BytesMut::from(T1);
        for length in 1..10_000 {
            input.extend_from_slice(b"x");
            assert_eq!(decoder.decode(&mut input), Ok(None));
            let State::Text(record) = &decoder.state else { panic!() };
            assert_eq!(record.searched, length);
        }
    }

    proptest! {
        #[test]
        fn a_log_that_arrives_in_parts_has_the_written_lines(
            lines in prop::collection::vec((0usize..40_000, any::<bool>()), 1..4),
            step in prop_oneof![1usize..100, 16_000usize..17_000],
        ) {
            let mut bytes = Vec::new();
            let mut written = Vec::new();
            for (number, (length, local)) in lines.iter().enumerate() {
                let stamp = format!("2026-11-22T22:44:18.{number:09}Z ");
                let mut line = vec![b'a' + number as u8; *length];
                line.extend(b"\r\n");
                let records = line.len().div_ceil(PIECE_LENGTH);
                for (index, record) in line.chunks(PIECE_LENGTH).enumerate() {
                    bytes.extend(stamp.as_bytes());
                    bytes.extend(record);
                    // Docker's `local` driver omits this newline. A last record that consists only of the
                    // newline becomes empty.
                    if *local && records > 1 && index + 1 == records {
                        bytes.pop();
                    }
                }
                written.push((time(&stamp), length + 1));
            }
            let (read, error) = decode_by(&bytes, step);
            prop_assert_eq!(error, None);
            let mut lengths: Vec<(Timestamp, usize)> = Vec::new();
            for (stamp, part) in read {
                let length = part.iter().filter(|byte| **byte != b'\n').count();
                match lengths.last_mut() {
                    Some((last, sum)) if *last == stamp => *sum += length,
                    _ => lengths.push((stamp, length)),
                }
            }
            prop_assert_eq!(lengths, written);
        }
    }
}
