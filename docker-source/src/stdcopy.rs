//! The body of `GET /containers/{id}/logs?timestamps=1`, decoded into [`Piece`]s as its bytes arrive.
//!
//! A container without a terminal has two outputs, and the Engine sends each record as a frame (the format of the
//! Engine API's "stream format" section, in Go the package `stdcopy`):
//!
//! ```text
//! | 0    | 1 2 3 | 4 5 6 7                | 8 …                                        |
//! | type | 0 0 0 | length, big-endian u32 | 2026-11-22T22:44:18.123456789Z text…\n     |
//! ```
//!
//! Types 0 (stdin) and 1 are stdout, 2 is stderr, 3 is a message of the Engine itself. A container with a terminal has
//! one output, sent bare: lines that start with a stamp. Where HTTP chunks or reads end means nothing in either.
//!
//! Decoding is sans-IO: bytes in, pieces out. [`LineJoiner`](crate::line::LineJoiner) makes lines of the pieces.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use gelf_core::Timestamp;

use crate::stream::LogStream;
use crate::tty::TtyDecoder;

/// The longest piece of a line that Docker takes in one record: 16 KiB, newline included.
///
/// A longer line is stored as pieces of exactly this length and a rest, all with the stamp of the first. The `json-file`
/// driver writes each byte that is not UTF-8 as the three of U+FFFD, so a piece may leave it up to three times as long;
/// no driver makes it shorter.
pub const PIECE_LENGTH: usize = 16 * 1024;

/// Where a stamp ends at the latest, its space included. The longest in use, to the nanosecond and with an offset from
/// UTC, takes 36.
pub(crate) const STAMP_MAX: usize = 40;

const HEADER_LENGTH: usize = 8;
const ENGINE_MESSAGE_MAX: usize = 512;

/// How the Engine sends a container's log.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Framing {
    /// In frames: the container has no terminal, and two outputs.
    Framed,
    /// Bare lines: the container has a terminal (`docker run -t`), and one output.
    Tty,
}

impl Framing {
    /// Tells the two apart by the response's `Content-Type`, else by `Config.Tty` of the container, else by the first
    /// bytes of the body. `Ok(None)`: the answer needs more of those.
    ///
    /// Only the content type `application/vnd.docker.multiplexed-stream` is proof. An Engine labels *every* log
    /// `application/vnd.docker.raw-stream` for a client that speaks an API below 1.42, and Engines before 23.0, as well
    /// as Podman, label none. The first bytes settle it, as the log is asked for with stamps: bare, it starts with the
    /// digit of a year; framed, with a type (0 to 3) and three zeros.
    ///
    /// # Errors
    /// [`BadFrame::UnknownStream`] or [`BadFrame::Padding`] for first bytes that start neither.
    pub fn detect(
        content_type: Option<&str>,
        tty: Option<bool>,
        first_bytes: &[u8],
    ) -> Result<Option<Self>, BadFrame> {
        let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/vnd.docker.multiplexed-stream") {
            return Ok(Some(Self::Framed));
        }
        if let Some(tty) = tty {
            return Ok(Some(if tty { Self::Tty } else { Self::Framed }));
        }
        match first_bytes {
            [b'0'..=b'9', ..] => Ok(Some(Self::Tty)),
            [0..=3, 0, 0, 0, ..] => Ok(Some(Self::Framed)),
            [] | [0..=3] | [0..=3, 0] | [0..=3, 0, 0] => Ok(None),
            [0..=3, ..] => Err(BadFrame::Padding),
            [kind, ..] => Err(BadFrame::UnknownStream { kind: *kind }),
        }
    }
}

/// A record of the Engine: a line, or a piece of a long one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// The output that it was written to.
    pub stream: LogStream,
    /// The Engine's stamp; all pieces of a line carry the same.
    pub time: Timestamp,
    /// What the container wrote, the line's ending newline included. A buffer of its own, of this size: keeping the
    /// piece keeps nothing else in memory.
    pub bytes: Bytes,
}

/// Decodes the body of a log response, however it was cut into reads.
///
/// ```
/// use bytes::BytesMut;
/// use docker_source::stdcopy::{Framing, LogDecoder};
///
/// let mut decoder = LogDecoder::new(Framing::Tty);
/// let mut input = BytesMut::from("2026-11-22T22:44:18.123456789Z hel");
/// assert_eq!(decoder.decode(&mut input)?, None);
/// input.extend_from_slice(b"lo\r\n");
/// assert_eq!(&decoder.decode(&mut input)?.unwrap().bytes[..], b"hello\r\n");
/// assert_eq!(decoder.finish(&mut input)?, None);
/// # Ok::<(), docker_source::stdcopy::BadFrame>(())
/// ```
#[derive(Debug)]
pub struct LogDecoder {
    decoder: Decoder,
}

#[derive(Debug)]
enum Decoder {
    Framed { max_frame: usize },
    Tty(TtyDecoder),
}

impl LogDecoder {
    /// The longest frame that is accepted by default: 1 MiB.
    ///
    /// Docker's own frames stay below 50 KB; Podman joins the pieces of a line into one frame. Lines are cut at 1 MiB by
    /// default in any case ([`DEFAULT_MAX_LINE`](crate::line::LineJoiner::DEFAULT_MAX_LINE)). The limit stops a header
    /// that is none, read from damaged or foreign bytes, from making the reader collect up to 4 GiB.
    pub const DEFAULT_MAX_FRAME: usize = 1024 * 1024;

    /// A decoder for one response.
    pub const fn new(framing: Framing) -> Self {
        Self {
            decoder: match framing {
                Framing::Framed => Decoder::Framed { max_frame: Self::DEFAULT_MAX_FRAME },
                Framing::Tty => Decoder::Tty(TtyDecoder::new()),
            },
        }
    }

    /// Accepts frames of at most `bytes`, stamp included. Default: [`DEFAULT_MAX_FRAME`](Self::DEFAULT_MAX_FRAME).
    /// Means nothing for the log of a terminal, which has no frames.
    #[must_use]
    pub const fn max_frame(mut self, bytes: usize) -> Self {
        if let Decoder::Framed { max_frame } = &mut self.decoder {
            *max_frame = bytes;
        }
        self
    }

    /// Takes the next piece from the front of `input`; `Ok(None)` when it needs more bytes at the end of it.
    ///
    /// The decoder allocates for a piece only when all of it has arrived. Called until it returns `None` after each
    /// read, it leaves at most one frame (64 KiB for a terminal) in `input`.
    ///
    /// # Errors
    /// [`BadFrame`]. After one that [ends the stream](BadFrame::ends_stream), every further call returns it again;
    /// after another, the bytes at fault are gone from `input` and the next call goes on behind them.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, BadFrame> {
        match &mut self.decoder {
            Decoder::Framed { max_frame } => decode_frame(input, *max_frame),
            Decoder::Tty(decoder) => decoder.decode(input),
        }
    }

    /// Takes the next piece when the body is at its end; to be called until it returns `Ok(None)` or an error that ends
    /// the stream.
    ///
    /// What is left of a terminal's line is a piece without a newline.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and [`BadFrame::Truncated`] where the end cuts a frame or a stamp.
    pub fn finish(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, BadFrame> {
        match &mut self.decoder {
            Decoder::Framed { max_frame } => match decode_frame(input, *max_frame)? {
                None if !input.is_empty() => Err(BadFrame::Truncated),
                piece => Ok(piece),
            },
            Decoder::Tty(decoder) => decoder.finish(input),
        }
    }
}

fn decode_frame(input: &mut BytesMut, max_frame: usize) -> Result<Option<Piece>, BadFrame> {
    let stream = match input.first() {
        None => return Ok(None),
        Some(0 | 1) => Some(LogStream::Stdout),
        Some(2) => Some(LogStream::Stderr),
        Some(3) => None,
        Some(kind) => return Err(BadFrame::UnknownStream { kind: *kind }),
    };
    if input.iter().skip(1).take(3).any(|byte| *byte != 0) {
        return Err(BadFrame::Padding);
    }
    let Some((&[_, _, _, _, a, b, c, d], rest)) = input.split_first_chunk::<HEADER_LENGTH>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let Some(stream) = stream else {
        // The Engine ends the response after its message, so what is kept of it needs no more than to be there.
        let kept = rest.get(..length.min(ENGINE_MESSAGE_MAX));
        return kept.map_or(Ok(None), |text| Err(BadFrame::Engine(EngineMessage::new(text))));
    };
    if length > max_frame {
        return Err(BadFrame::TooLong { length, max: max_frame });
    }
    let Some(frame) = rest.get(..length) else {
        return Ok(None);
    };
    let piece = match read_stamp(frame) {
        Some(Ok((time, stamp_length))) => {
            let bytes = Bytes::copy_from_slice(frame.get(stamp_length..).unwrap_or_default());
            Ok(Some(Piece { stream, time, bytes }))
        }
        Some(Err(MissingTimestamp)) | None => Err(BadFrame::MissingTimestamp),
    };
    input.advance(HEADER_LENGTH + length);
    piece
}

/// The text does not start with a stamp.
pub(crate) struct MissingTimestamp;

/// Reads the stamp that `text` starts with: the moment, and its length up to and with the space behind it. `None` when
/// `text` ends before it tells.
pub(crate) fn read_stamp(text: &[u8]) -> Option<Result<(Timestamp, usize), MissingTimestamp>> {
    let start = text.get(..STAMP_MAX).unwrap_or(text);
    let Some(end) = memchr::memchr2(b' ', b'\n', start) else {
        return (start.len() == STAMP_MAX).then_some(Err(MissingTimestamp));
    };
    let stamp = start.get(..end).filter(|_| start.get(end) == Some(&b' '));
    let time = stamp
        .and_then(|stamp| std::str::from_utf8(stamp).ok())
        .and_then(|stamp| Timestamp::from_rfc3339(stamp).ok());
    Some(time.map(|time| (time, end + 1)).ok_or(MissingTimestamp))
}

/// Why a log response cannot be read on, or a part of it not at all.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BadFrame {
    /// The Engine broke off with a message, such as `Error grabbing logs: …`.
    Engine(EngineMessage),
    /// A record does not start with an RFC 3339 stamp and a space. The record (a terminal's up to its newline) is
    /// passed over: only this error lets the stream go on.
    MissingTimestamp,
    /// A frame header's second to fourth byte are not zero: these bytes are no frame.
    Padding,
    /// A frame is longer than the [limit](LogDecoder::max_frame), or these bytes are no frame.
    TooLong {
        /// The length that the header claims, in bytes.
        length: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The response ended within a frame or a stamp: the connection was cut.
    Truncated,
    /// A frame header's first byte is no known stream: these bytes are no frame.
    UnknownStream {
        /// That byte.
        kind: u8,
    },
}

impl BadFrame {
    /// Whether nothing behind it can be read, so that the log has to be asked for again.
    pub const fn ends_stream(&self) -> bool {
        !matches!(self, Self::MissingTimestamp)
    }
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(message) => write!(f, "the Engine broke off the log: {message}"),
            Self::MissingTimestamp => f.write_str("a record of the log has no timestamp"),
            Self::Padding => {
                f.write_str("the log's frame header has bytes that are not zero where they must be")
            }
            Self::TooLong { length, max } => {
                write!(f, "a frame of the log claims {length} bytes, and at most {max} are accepted")
            }
            Self::Truncated => f.write_str("the log ended within a record"),
            Self::UnknownStream { kind } => write!(f, "the log has a frame of the unknown stream {kind}"),
        }
    }
}

impl std::error::Error for BadFrame {}

/// What the Engine said when it broke off: the first 512 bytes, on one line. Control characters are shown as U+FFFD, so
/// that a message cannot steer the terminal it is printed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EngineMessage(Box<str>);

impl EngineMessage {
    fn new(bytes: &[u8]) -> Self {
        let shown = |character: char| if character.is_control() { '\u{fffd}' } else { character };
        Self(String::from_utf8_lossy(bytes).trim().chars().map(shown).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EngineMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: &str = "2026-11-22T22:44:18.123456789Z";

    fn frame(kind: u8, text: &[u8]) -> Vec<u8> {
        let mut frame = vec![kind, 0, 0, 0];
        frame.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        frame.extend(text);
        frame
    }

    fn stamped(text: &str) -> Vec<u8> {
        format!("{STAMP} {text}").into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Option<Piece>, BadFrame> {
        LogDecoder::new(Framing::Framed).decode(&mut BytesMut::from(bytes))
    }

    fn piece(stream: LogStream, text: &str) -> Piece {
        let time = Timestamp::from_rfc3339(STAMP).unwrap();
        Piece { stream, time, bytes: Bytes::copy_from_slice(text.as_bytes()) }
    }

    #[test]
    fn types_0_and_1_are_stdout_and_2_is_stderr() {
        for (kind, stream) in [(0, LogStream::Stdout), (1, LogStream::Stdout), (2, LogStream::Stderr)] {
            assert_eq!(decode(&frame(kind, &stamped("hi\n"))), Ok(Some(piece(stream, "hi\n"))), "{kind}");
        }
    }

    #[test]
    fn the_stamp_is_removed_and_the_newline_stays() {
        assert_eq!(decode(&frame(1, &stamped("\n"))), Ok(Some(piece(LogStream::Stdout, "\n"))));
        assert_eq!(decode(&frame(1, &stamped(""))), Ok(Some(piece(LogStream::Stdout, ""))));
        assert_eq!(decode(&frame(1, &stamped(" a b \r\n"))), Ok(Some(piece(LogStream::Stdout, " a b \r\n"))));
    }

    #[test]
    fn a_stamp_may_have_an_offset_and_fewer_decimals() {
        let time = |text: &str| decode(&frame(2, text.as_bytes())).unwrap().unwrap().time.as_unix();
        assert_eq!(time("2026-11-23T00:44:18.12345678+02:00 x\n"), (1_795_387_458, 123_456_780));
        assert_eq!(time("2026-11-22T22:44:18Z x\n"), (1_795_387_458, 0));
        assert_eq!(time("2026-11-22T15:14:18.000000001-07:30 x\n"), (1_795_387_458, 1));
    }

    #[test]
    fn a_frame_without_a_stamp_is_passed_over_and_the_next_one_is_read() {
        let far_space = format!("2026-11-22T22:44:18.{}Z ", "1".repeat(STAMP_MAX));
        for text in [
            "",
            "hello\n",
            "2026-11-22\n",
            STAMP,
            &format!("{STAMP}\n"),
            &far_space,
            "\n\n\n",
            "Error grabbing logs: x\n",
        ] {
            let mut input = BytesMut::from(&frame(1, text.as_bytes())[..]);
            input.extend(frame(2, &stamped("next\n")));
            let mut decoder = LogDecoder::new(Framing::Framed);
            assert_eq!(decoder.decode(&mut input), Err(BadFrame::MissingTimestamp), "{text:?}");
            assert_eq!(decoder.decode(&mut input), Ok(Some(piece(LogStream::Stderr, "next\n"))));
            assert_eq!(decoder.finish(&mut input), Ok(None));
        }
        assert!(!BadFrame::MissingTimestamp.ends_stream());
    }

    #[test]
    fn a_frame_split_at_any_byte_reads_the_same() {
        let bytes = [frame(1, &stamped("one\n")), frame(2, &stamped("two\n"))].concat();
        for cut in 0..bytes.len() {
            let mut decoder = LogDecoder::new(Framing::Framed);
            let mut input = BytesMut::new();
            let mut pieces = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                input.extend_from_slice(part);
                while let Some(piece) = decoder.decode(&mut input).unwrap() {
                    pieces.push(piece);
                }
            }
            assert_eq!(
                pieces,
                [piece(LogStream::Stdout, "one\n"), piece(LogStream::Stderr, "two\n")],
                "{cut}"
            );
        }
    }

    #[test]
    fn an_end_at_any_byte_of_a_frame_is_truncated() {
        let bytes = frame(1, &stamped("one\n"));
        for cut in 1..bytes.len() {
            let mut decoder = LogDecoder::new(Framing::Framed);
            let mut input = BytesMut::from(&bytes[..cut]);
            assert_eq!(decoder.decode(&mut input), Ok(None), "{cut}");
            assert_eq!(decoder.finish(&mut input), Err(BadFrame::Truncated), "{cut}");
        }
        assert_eq!(LogDecoder::new(Framing::Framed).finish(&mut BytesMut::new()), Ok(None));
    }

    #[test]
    fn finish_hands_out_what_is_whole_before_it_tells_of_the_cut() {
        let mut input =
            BytesMut::from(&[frame(1, &stamped("one\n")), frame(1, &stamped("two\n"))].concat()[..]);
        input.truncate(input.len() - 1);
        let mut decoder = LogDecoder::new(Framing::Framed);
        assert_eq!(decoder.finish(&mut input), Ok(Some(piece(LogStream::Stdout, "one\n"))));
        assert_eq!(decoder.finish(&mut input), Err(BadFrame::Truncated));
        assert!(BadFrame::Truncated.ends_stream());
    }

    #[test]
    fn an_unknown_stream_or_padding_is_told_as_soon_as_its_byte_is_there_and_again_after() {
        let mut decoder = LogDecoder::new(Framing::Framed);
        let mut input = BytesMut::from(&b"HTTP"[..]);
        assert_eq!(decoder.decode(&mut input), Err(BadFrame::UnknownStream { kind: b'H' }));
        assert_eq!(decoder.finish(&mut input), Err(BadFrame::UnknownStream { kind: b'H' }));
        assert_eq!(decode(&[4, 0, 0, 0]), Err(BadFrame::UnknownStream { kind: 4 }));
        assert_eq!(decode(&[1, 0, 0, 1]), Err(BadFrame::Padding));
        assert_eq!(decode(&[3, 1]), Err(BadFrame::Padding));
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_header_alone() {
        let header = |length: u32| [&[1, 0, 0, 0][..], &length.to_be_bytes()].concat();
        let max = LogDecoder::DEFAULT_MAX_FRAME;
        assert_eq!(max, 1_048_576);
        assert_eq!(decode(&header(1_048_576)), Ok(None));
        assert_eq!(decode(&header(1_048_577)), Err(BadFrame::TooLong { length: 1_048_577, max }));
        assert_eq!(decode(&header(u32::MAX)), Err(BadFrame::TooLong { length: 4_294_967_295, max }));
        let mut small = LogDecoder::new(Framing::Framed).max_frame(34);
        let mut input = BytesMut::from(&[frame(1, &stamped("abc")), frame(1, &stamped("abcd"))].concat()[..]);
        assert_eq!(small.decode(&mut input), Ok(Some(piece(LogStream::Stdout, "abc"))));
        assert_eq!(small.decode(&mut input), Err(BadFrame::TooLong { length: 35, max: 34 }));
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut input = BytesMut::from(&[1, 0, 0, 0, 0, 0x10, 0, 0, b'2'][..]);
        let before = input.capacity();
        assert_eq!(LogDecoder::new(Framing::Framed).decode(&mut input), Ok(None));
        assert_eq!((input.capacity(), input.len()), (before, 9));
    }

    #[test]
    fn the_engines_own_message_is_an_error_with_its_text() {
        let error = decode(&frame(3, b"Error grabbing logs: unexpected EOF\n")).unwrap_err();
        let BadFrame::Engine(message) = &error else { panic!("{error:?}") };
        assert_eq!(message.as_str(), "Error grabbing logs: unexpected EOF");
        assert_eq!(error.to_string(), "the Engine broke off the log: Error grabbing logs: unexpected EOF");
        assert!(error.ends_stream());
    }

    #[test]
    fn the_engines_message_is_kept_up_to_512_bytes_and_without_control_characters() {
        let long = ["x".repeat(512), "y".repeat(1_000_000)].concat();
        let Err(BadFrame::Engine(message)) = decode(&frame(3, long.as_bytes())[..520]) else { panic!() };
        assert_eq!(message.as_str(), "x".repeat(512));
        let Err(BadFrame::Engine(message)) = decode(&frame(3, b"a\x1b[31m\nb\xff\0")) else { panic!() };
        assert_eq!(message.as_str(), "a\u{fffd}[31m\u{fffd}b\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_piece_pins_no_more_than_its_own_bytes() {
        let mut input = BytesMut::with_capacity(1 << 20);
        input.extend(frame(1, &stamped("hi\n")));
        let piece = LogDecoder::new(Framing::Framed).decode(&mut input).unwrap().unwrap();
        // Only the sole owner of a buffer of exactly this size gets all of it back.
        drop(input);
        assert!(piece.bytes.is_unique());
        assert_eq!(BytesMut::from(piece.bytes).capacity(), 3);
    }

    #[test]
    fn only_the_multiplexed_content_type_settles_the_framing() {
        let multiplexed = Some("application/vnd.docker.multiplexed-stream");
        let raw = Some("application/vnd.docker.raw-stream");
        assert_eq!(Framing::detect(multiplexed, None, b""), Ok(Some(Framing::Framed)));
        assert_eq!(Framing::detect(multiplexed, Some(true), b"2026"), Ok(Some(Framing::Framed)));
        let with_parameter = Some("Application/vnd.docker.multiplexed-stream; charset=utf-8");
        assert_eq!(Framing::detect(with_parameter, None, b""), Ok(Some(Framing::Framed)));
        assert_eq!(Framing::detect(raw, None, b""), Ok(None));
        assert_eq!(Framing::detect(raw, None, &[1, 0, 0, 0]), Ok(Some(Framing::Framed)));
        assert_eq!(Framing::detect(raw, None, b"2026"), Ok(Some(Framing::Tty)));
        assert_eq!(Framing::detect(raw, Some(true), b""), Ok(Some(Framing::Tty)));
    }

    #[test]
    fn without_a_telling_content_type_the_containers_tty_setting_does() {
        for content_type in [None, Some("text/plain"), Some("")] {
            assert_eq!(Framing::detect(content_type, Some(true), b""), Ok(Some(Framing::Tty)));
            assert_eq!(Framing::detect(content_type, Some(false), b""), Ok(Some(Framing::Framed)));
        }
    }

    #[test]
    fn the_first_bytes_settle_what_nothing_else_does() {
        assert_eq!(Framing::detect(None, None, b"2"), Ok(Some(Framing::Tty)));
        for kind in 0..=3 {
            for length in 0..4 {
                assert_eq!(Framing::detect(None, None, &[kind, 0, 0, 0][..length]), Ok(None));
            }
            assert_eq!(Framing::detect(None, None, &[kind, 0, 0, 0, 9]), Ok(Some(Framing::Framed)));
        }
        assert_eq!(Framing::detect(None, None, &[1, 0, 1]), Err(BadFrame::Padding));
        assert_eq!(Framing::detect(None, None, b"{"), Err(BadFrame::UnknownStream { kind: b'{' }));
    }

    proptest! {
        #[test]
        fn garbage_is_pieces_or_a_typed_error_and_never_grows(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), 0u8..4, any::<u8>()], 0..200),
            framing in prop_oneof![Just(Framing::Framed), Just(Framing::Tty)],
        ) {
            let mut decoder = LogDecoder::new(framing);
            let mut input = BytesMut::from(&bytes[..]);
            let mut handed_out = 0;
            // Each turn consumes a byte at least, so that this ends.
            for _ in 0..=bytes.len() {
                match decoder.finish(&mut input) {
                    Ok(Some(piece)) => handed_out += piece.bytes.len(),
                    Ok(None) => { prop_assert!(input.is_empty()); return Ok(()); }
                    Err(error) if error.ends_stream() => return Ok(()),
                    Err(_) => {}
                }
                prop_assert!(handed_out + input.len() <= bytes.len());
            }
            prop_assert!(false, "the decoder does not come to an end");
        }
    }
}
