//! Decodes the framing of the log of a container without a terminal.
//!
//! A container without a terminal has two streams, and the Engine sends each record as a frame. The Engine's
//! API reference calls this framing "stream format". In Go, it is implemented by the package `stdcopy`:
//!
//! ```text
//! | 0    | 1 2 3 | 4 5 6 7                | 8 …                                        |
//! | type | 0 0 0 | length, big-endian u32 | 2026-11-22T22:44:18.123456789Z text…\n     |
//! ```
//!
//! Types 0 (stdin) and 1 are read as stdout, and type 2 as stderr. Type 3 is a message of the Engine itself.

use bytes::Buf;

use super::error::{ENGINE_MESSAGE_MAX, EngineMessage, LogFormatError};
use super::piece::Piece;
use super::stamp::{MissingTimestamp, split_stamp};
use super::stream::LogStream;

/// The maximum length of a frame: 1 MiB, stamp included.
///
/// Docker's frames are shorter than 50 kB. Podman's frames can be longer: for a request with `tail=`, Podman
/// joins all pieces of a line into one frame. Without a maximum, damaged bytes that look like a header could make the
/// reader collect up to 4 GiB. The maximum is the length at which this crate cuts lines.
const FRAME_MAX: usize = 1024 * 1024;

const HEADER_LENGTH: usize = 8;

/// Takes the next piece from the front of `input`; see
/// [`LogDecoder::decode`](super::decoder::LogDecoder::decode).
pub(super) fn decode(input: &mut (impl Buf + AsRef<[u8]>)) -> Result<Option<Piece>, LogFormatError> {
    let bytes = input.as_ref();
    let stream = match bytes.first() {
        None => return Ok(None),
        Some(0 | 1) => Some(LogStream::Stdout),
        Some(2) => Some(LogStream::Stderr),
        Some(3) => None,
        Some(kind) => return Err(LogFormatError::UnknownStream { kind: *kind }),
    };
    if bytes.iter().skip(1).take(3).any(|byte| *byte != 0) {
        return Err(LogFormatError::Padding);
    }
    let Some((&[_, _, _, _, a, b, c, d], rest)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let Some(stream) = stream else {
        // The Engine ends the response after this message. Therefore the decoder waits only for the first 512
        // bytes of the message, which become a part of the error.
        return match rest.split_at_checked(length.min(ENGINE_MESSAGE_MAX)) {
            Some((text, _)) => Err(LogFormatError::Engine(EngineMessage::new(text))),
            None => Ok(None),
        };
    };
    if length > FRAME_MAX {
        return Err(LogFormatError::TooLong { length, max: FRAME_MAX });
    }
    let Some((frame, _)) = rest.split_at_checked(length) else {
        return Ok(None);
    };
    let piece = match split_stamp(frame) {
        Ok(Some(stamped)) => Ok(Some(Piece::copy(stream, stamped.time, stamped.text))),
        Ok(None) | Err(MissingTimestamp) => Err(LogFormatError::MissingTimestamp),
    };
    input.advance(HEADER_LENGTH + length);
    piece
}

/// Returns the number of bytes that are known to be missing until the frame at the front of `input` is whole.
/// `input` must be the beginning of a frame that [`decode`] has found to be incomplete.
pub(super) fn missing(input: &[u8]) -> usize {
    let length = match input {
        &[_, _, _, _, a, b, c, d, ..] => {
            usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX)
        }
        _ => 0,
    };
    length.saturating_add(HEADER_LENGTH).saturating_sub(input.len())
}

/// Takes the next piece from the front of `input` once the body has ended; see
/// [`LogDecoder::finish`](super::decoder::LogDecoder::finish).
pub(super) fn finish(input: &mut (impl Buf + AsRef<[u8]>)) -> Result<Option<Piece>, LogFormatError> {
    match decode(input)? {
        None if input.has_remaining() => Err(LogFormatError::Truncated),
        piece => Ok(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stamp::STAMP_MAX;
    use super::*;
    use bytes::BytesMut;
    use gelf_core::Timestamp;

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

    fn decode_once(bytes: &[u8]) -> Result<Option<Piece>, LogFormatError> {
        decode(&mut BytesMut::from(bytes))
    }

    fn piece(stream: LogStream, text: &str) -> Piece {
        let time = Timestamp::from_rfc3339(STAMP).unwrap();
        Piece::copy(stream, time, text.as_bytes())
    }

    #[test]
    fn types_0_and_1_are_stdout_and_2_is_stderr() {
        for (kind, stream) in [(0, LogStream::Stdout), (1, LogStream::Stdout), (2, LogStream::Stderr)] {
            assert_eq!(
                decode_once(&frame(kind, &stamped("hi\n"))),
                Ok(Some(piece(stream, "hi\n"))),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_frame_without_a_stamp_is_skipped_and_the_next_frame_is_read() {
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
            assert_eq!(decode(&mut input), Err(LogFormatError::MissingTimestamp), "{text:?}");
            assert_eq!(decode(&mut input), Ok(Some(piece(LogStream::Stderr, "next\n"))));
            assert_eq!(finish(&mut input), Ok(None));
        }
        assert!(!LogFormatError::MissingTimestamp.ends_stream());
    }

    #[test]
    fn a_log_that_ends_within_a_frame_is_truncated() {
        let bytes = frame(1, &stamped("one\n"));
        for cut in 1..bytes.len() {
            let mut input = BytesMut::from(&bytes[..cut]);
            assert_eq!(decode(&mut input), Ok(None), "{cut}");
            assert_eq!(finish(&mut input), Err(LogFormatError::Truncated), "{cut}");
        }
        assert_eq!(finish(&mut BytesMut::new()), Ok(None));
    }

    #[test]
    fn finish_returns_whole_pieces_before_the_error_of_a_cut_piece() {
        let mut input =
            BytesMut::from(&[frame(1, &stamped("one\n")), frame(1, &stamped("two\n"))].concat()[..]);
        input.truncate(input.len() - 1);
        assert_eq!(finish(&mut input), Ok(Some(piece(LogStream::Stdout, "one\n"))));
        assert_eq!(finish(&mut input), Err(LogFormatError::Truncated));
        assert!(LogFormatError::Truncated.ends_stream());
    }

    #[test]
    fn an_unknown_stream_or_nonzero_padding_is_an_error_as_soon_as_its_byte_arrives() {
        let mut input = BytesMut::from(&b"HTTP"[..]);
        assert_eq!(decode(&mut input), Err(LogFormatError::UnknownStream { kind: b'H' }));
        assert_eq!(finish(&mut input), Err(LogFormatError::UnknownStream { kind: b'H' }));
        assert_eq!(decode_once(&[4, 0, 0, 0]), Err(LogFormatError::UnknownStream { kind: 4 }));
        assert_eq!(decode_once(&[1, 0, 0, 1]), Err(LogFormatError::Padding));
        assert_eq!(decode_once(&[3, 1]), Err(LogFormatError::Padding));
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_header_alone() {
        let header = |length: u32| [&[1, 0, 0, 0][..], &length.to_be_bytes()].concat();
        let max = 1_048_576;
        assert_eq!(decode_once(&header(1_048_576)), Ok(None));
        assert_eq!(decode_once(&header(1_048_577)), Err(LogFormatError::TooLong { length: 1_048_577, max }));
        assert_eq!(
            decode_once(&header(u32::MAX)),
            Err(LogFormatError::TooLong { length: 4_294_967_295, max })
        );
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut input = BytesMut::from(&[1, 0, 0, 0, 0, 0x10, 0, 0, b'2'][..]);
        let before = input.capacity();
        assert_eq!(decode(&mut input), Ok(None));
        assert_eq!((input.capacity(), input.len()), (before, 9));
    }

    #[test]
    fn the_engines_own_message_is_an_error_with_its_text() {
        let error = decode_once(&frame(3, b"Error grabbing logs: unexpected EOF\n")).unwrap_err();
        let LogFormatError::Engine(message) = &error else { panic!("{error:?}") };
        assert_eq!(message.to_string(), "Error grabbing logs: unexpected EOF");
        assert_eq!(
            error.to_string(),
            "the Engine ended the log with an error: Error grabbing logs: unexpected EOF"
        );
        assert!(error.ends_stream());
    }

    #[test]
    fn the_engines_message_is_bounded_and_has_no_control_characters() {
        let long = ["x".repeat(512), "y".repeat(1_000_000)].concat();
        let Err(LogFormatError::Engine(message)) = decode_once(&frame(3, long.as_bytes())[..520]) else {
            panic!()
        };
        assert_eq!(message.to_string(), "x".repeat(512));
        let Err(LogFormatError::Engine(message)) = decode_once(&frame(3, b"a\x1b[31m\nb\xff\0")) else {
            panic!()
        };
        assert_eq!(message.to_string(), "a\\u{1b}[31m\\nb\u{fffd}\\0");
    }

    #[test]
    fn a_piece_keeps_only_its_own_bytes_in_memory() {
        let mut input = BytesMut::with_capacity(1 << 20);
        input.extend(frame(1, &stamped("hi\n")));
        let piece = decode(&mut input).unwrap().unwrap();
        // Nothing else shares the buffer of the piece, so `BytesMut::from` takes over the buffer. The
        // capacity is then the size of this buffer.
        drop(input);
        assert!(piece.bytes.is_unique());
        assert_eq!(BytesMut::from(piece.bytes).capacity(), 2);
    }
}
