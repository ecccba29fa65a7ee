//! Reads and writes frames, which carry payloads one after another on a stream.
//!
//! > GELF 1.1: "GELF TCP does not support compression [...] each message is terminated by a null byte
//! > (`\0`)".
//!
//! JSON text contains no raw null byte, so the delimiter is unambiguous.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The delimiter at the end of a frame.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Delimiter {
    /// A line feed. A reader also accepts a carriage return before it. Senders use this delimiter to send
    /// GELF to an input that reads lines.
    Newline,
    /// A null byte, as GELF specifies.
    #[default]
    Nul,
}

impl Delimiter {
    /// Returns the byte at the end of a frame.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Newline => b'\n',
            Self::Nul => 0,
        }
    }
}

/// Splits a stream into frames.
///
/// Each byte is searched once, however the stream is split into reads. A frame that is too long is an error
/// and is skipped up to its delimiter; the frames after it are read as usual.
///
/// ```
/// use gelf_core::{Framer, bytes::BytesMut};
///
/// let mut framer = Framer::default();
/// let mut stream = BytesMut::from(&b"{\"a\":1}\0{\"b\""[..]);
/// assert_eq!(framer.next_frame(&mut stream).unwrap().unwrap(), r#"{"a":1}"#);
/// assert!(framer.next_frame(&mut stream).is_none());
/// stream.extend_from_slice(b":2}\0");
/// assert_eq!(framer.next_frame(&mut stream).unwrap().unwrap(), r#"{"b":2}"#);
/// ```
#[derive(Clone, Debug)]
pub struct Framer {
    delimiter: Delimiter,
    max_frame_len: usize,
    /// The number of bytes of the buffer that are known to contain no delimiter.
    searched: usize,
    /// True while the rest of a frame that is too long is skipped.
    skipping: bool,
    empty_frames: u64,
}

/// Creates a framer with [`Framer::DEFAULT_MAX_FRAME_LEN`].
impl Default for Framer {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_FRAME_LEN)
    }
}

impl Framer {
    /// The default maximum length of a frame: 2 MiB, the same as Graylog's `max_message_size`. Once
    /// [`next_frame`](Self::next_frame) has returned `None`, the buffer has no more bytes than the maximum length.
    pub const DEFAULT_MAX_FRAME_LEN: usize = 2 * 1024 * 1024;

    /// Creates a framer for frames of up to `max_frame_len` bytes, not counting the delimiter.
    pub fn new(max_frame_len: usize) -> Self {
        Self { delimiter: Delimiter::Nul, max_frame_len, searched: 0, skipping: false, empty_frames: 0 }
    }

    /// Sets the delimiter.
    #[must_use]
    pub fn with_delimiter(self, delimiter: Delimiter) -> Self {
        Self { delimiter, ..self }
    }

    /// Takes the next frame out of `src`, without its delimiter. Returns `None` if `src` has no complete
    /// frame.
    ///
    /// Empty frames and frames of only white space are skipped and [counted](Self::empty_frames), since some
    /// senders write a newline in addition to the null byte of each message. Graylog is stricter: it closes the
    /// connection at an empty frame.
    ///
    /// The frame shares the memory of `src`; copy a frame that is kept for long.
    ///
    /// # Errors
    /// Returns [`FrameError::TooLong`] if a frame is longer than the maximum length; the frame is skipped.
    pub fn next_frame(&mut self, src: &mut BytesMut) -> Option<Result<Bytes, FrameError>> {
        loop {
            // If the buffer is shorter than its searched part, the caller has passed another buffer.
            let (searched, unsearched) = src.split_at_checked(self.searched).unwrap_or((&[], &src[..]));
            let Some(at) = memchr::memchr(self.delimiter.byte(), unsearched).map(|at| searched.len() + at)
            else {
                return self.without_delimiter(src);
            };
            self.searched = 0;
            let mut frame = src.split_to(at);
            src.advance(1);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            // A carriage return counts towards the maximum length. If it arrives earlier than its line feed, it
            // cannot be told from a byte of the frame, and the result must not depend on that.
            if frame.len() > self.max_frame_len {
                return Some(Err(FrameError::TooLong { max: self.max_frame_len }));
            }
            if self.delimiter == Delimiter::Newline && frame.last() == Some(&b'\r') {
                frame.truncate(at - 1);
            }
            if is_blank(&frame) {
                self.empty_frames += 1;
                continue;
            }
            return Some(Ok(frame.freeze()));
        }
    }

    /// Handles a buffer that contains no delimiter: waits for more, or discards a frame that is too long.
    /// Only the first call for such a frame returns the error.
    fn without_delimiter(&mut self, src: &mut BytesMut) -> Option<Result<Bytes, FrameError>> {
        if self.skipping || src.len() > self.max_frame_len {
            src.clear();
            self.searched = 0;
            return (!std::mem::replace(&mut self.skipping, true))
                .then_some(Err(FrameError::TooLong { max: self.max_frame_len }));
        }
        self.searched = src.len();
        None
    }

    /// Takes the last frame at the end of the stream if it has no delimiter. Graylog, Logstash and Seq
    /// deliver such a frame; a strict reader treats it as an error.
    pub fn finish(&mut self, src: &mut BytesMut) -> Option<Bytes> {
        self.searched = 0;
        let frame = src.split();
        (!std::mem::take(&mut self.skipping) && !is_blank(&frame)).then(|| frame.freeze())
    }

    /// Returns the number of frames that [`next_frame`](Self::next_frame) has skipped because they were empty or
    /// only white space.
    pub fn empty_frames(&self) -> u64 {
        self.empty_frames
    }

    /// Appends a payload and a null byte.
    ///
    /// # Errors
    /// Returns [`FrameError::Blank`] if the payload is blank, and [`FrameError::Delimiter`] if it contains a
    /// null byte. An [`Encoder`](crate::Encoder) never writes such a payload.
    pub fn write_frame(payload: &[u8], dst: &mut BytesMut) -> Result<(), FrameError> {
        if is_blank(payload) {
            return Err(FrameError::Blank);
        }
        if memchr::memchr(0, payload).is_some() {
            return Err(FrameError::Delimiter);
        }
        dst.reserve(payload.len() + 1);
        dst.put_slice(payload);
        dst.put_u8(0);
        Ok(())
    }
}

fn is_blank(frame: &[u8]) -> bool {
    frame.iter().all(u8::is_ascii_whitespace)
}

/// The error of reading or writing a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FrameError {
    /// A payload that was to be written is empty or only white space.
    Blank,
    /// A payload that was to be written contains a null byte.
    Delimiter,
    /// A frame that was read is too long. This error is the sender's fault.
    TooLong {
        /// The maximum length in bytes.
        max: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("a blank payload cannot be a frame"),
            Self::Delimiter => f.write_str("a payload with a null byte cannot be a frame"),
            Self::TooLong { max } => write!(f, "the frame has more than {max} bytes"),
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use super::*;

    const TOO_LONG: Result<&[u8], ()> = Err(());

    /// Feeds the stream in pieces, and returns every frame and error.
    fn frames(framer: &mut Framer, pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, ()>> {
        let mut src = BytesMut::new();
        let mut frames = Vec::new();
        for piece in pieces {
            src.extend_from_slice(piece);
            while let Some(frame) = framer.next_frame(&mut src) {
                frames.push(frame.map(|frame| frame.to_vec()).map_err(|_| ()));
            }
        }
        frames.extend(framer.finish(&mut src).map(|frame| Ok(frame.to_vec())));
        frames
    }

    fn expect(expected: &[Result<&[u8], ()>]) -> Vec<Result<Vec<u8>, ()>> {
        expected.iter().map(|frame| frame.map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn empty_frames_are_skipped_and_counted() {
        let mut framer = Framer::default();
        assert_eq!(frames(&mut framer, &[b"\0\0\0M\0\n\0"]), expect(&[Ok(b"M")]));
        assert_eq!(framer.empty_frames(), 4);
    }

    #[test]
    fn the_limit_is_exact_and_reading_continues_behind_a_long_frame() {
        assert_eq!(frames(&mut Framer::new(3), &[b"abc\0M\0"]), expect(&[Ok(b"abc"), Ok(b"M")]));
        assert_eq!(frames(&mut Framer::new(3), &[b"abcd\0M\0"]), expect(&[TOO_LONG, Ok(b"M")]));
        assert_eq!(frames(&mut Framer::new(3), &[b"abcd", b"efg", b"h\0M\0"]), expect(&[TOO_LONG, Ok(b"M")]));
        assert_eq!(
            frames(&mut Framer::new(1), &[&[1, 2], &[0], b"A\0", &[1, 2], &[0], b"A\0"]),
            expect(&[TOO_LONG, Ok(b"A"), TOO_LONG, Ok(b"A")])
        );
        assert_eq!(frames(&mut Framer::new(3), &[b"abcdef"]), expect(&[TOO_LONG]));
    }

    #[test]
    fn a_stream_without_a_delimiter_occupies_no_more_than_the_limit() {
        let mut framer = Framer::new(1000);
        let mut src = BytesMut::new();
        let mut errors = 0;
        for _ in 0..10_000 {
            src.extend_from_slice(&[b'x'; 100]);
            errors += usize::from(framer.next_frame(&mut src).is_some());
            assert!(src.len() <= 1000);
        }
        assert_eq!(errors, 1);
    }

    #[test]
    fn each_byte_is_searched_once() {
        let mut framer = Framer::default();
        let mut src = BytesMut::new();
        for len in (1..=100).map(|kilobytes| kilobytes * 1024) {
            src.resize(len, b'x');
            assert!(framer.next_frame(&mut src).is_none());
            assert_eq!(framer.searched, len);
        }
    }

    #[test]
    fn lines_end_with_a_line_feed_and_an_optional_carriage_return() {
        let lines =
            |pieces: &[&[u8]]| frames(&mut Framer::default().with_delimiter(Delimiter::Newline), pieces);
        assert_eq!(lines(&[b"first\r\nsecond\nthird"]), expect(&[Ok(b"first"), Ok(b"second"), Ok(b"third")]));
        assert_eq!(lines(&[b"Test", b"Line\r\ng\r\n"]), expect(&[Ok(b"TestLine"), Ok(b"g")]));
        assert_eq!(lines(&[b"a\r", b"\nb\n\r\n\n"]), expect(&[Ok(b"a"), Ok(b"b")]));
        assert_eq!(lines(&[b"a\0b\r\r\n"]), expect(&[Ok(b"a\0b\r")]));
        // The split of the stream does not change which lines are too long.
        for pieces in [&[&b"abc\r\nd\n"[..]][..], &[b"abc\r", b"\nd\n"]] {
            let mut framer = Framer::new(3).with_delimiter(Delimiter::Newline);
            assert_eq!(frames(&mut framer, pieces), expect(&[TOO_LONG, Ok(b"d")]));
        }
    }

    #[test]
    fn blank_payloads_and_payloads_with_a_delimiter_are_refused() {
        let mut dst = BytesMut::new();
        assert_eq!(Framer::write_frame(b"a\0b", &mut dst), Err(FrameError::Delimiter));
        assert_eq!(Framer::write_frame(b" \n", &mut dst), Err(FrameError::Blank));
        assert_eq!(Framer::write_frame(b"M", &mut dst), Ok(()));
        assert_eq!(dst, &b"M\0"[..]);
    }
}
