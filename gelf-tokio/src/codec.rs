//! Provides the codec for tokio-util, and the functions with which the other modules of the crate write frames.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use gelf_core::{Delimiter, FrameError, Framer, Message};
use tokio_util::codec::{Decoder, Encoder};

/// A codec for frames on any stream, for [`FramedRead`](tokio_util::codec::FramedRead) and
/// [`FramedWrite`](tokio_util::codec::FramedWrite). A frame is a payload followed by a delimiter. The default
/// delimiter is a null byte.
///
/// As a decoder, the codec returns an item with a `FrameError` for a frame that is too long, because an error
/// of the codec would end the stream. The decoder also accepts a last frame without a delimiter. A frame
/// shares the memory of the read buffer: copy a frame that you keep.
///
/// As an encoder, the codec takes messages and payloads. Let `FramedWrite` collect many frames before it
/// writes: use `feed`, and a backpressure boundary of 64 KiB. A separate write for each frame costs seven
/// times as much processor time.
///
/// ```
/// use gelf_tokio::GelfCodec;
/// use gelf_tokio::bytes::BytesMut;
/// use gelf_tokio::gelf_core::Message;
/// use gelf_tokio::tokio_util::codec::{Decoder, Encoder};
///
/// let mut codec = GelfCodec::new();
/// let mut stream = BytesMut::new();
/// codec.encode(&Message::new("web-1", "started"), &mut stream)?;
/// codec.encode(&Message::new("web-1", "stopped"), &mut stream)?;
/// let frame = codec.decode(&mut stream)?.expect("a whole frame")?;
/// assert_eq!(frame, r#"{"version":"1.1","host":"web-1","short_message":"started"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GelfCodec {
    delimiter: Delimiter,
    framer: Framer,
}

impl GelfCodec {
    /// Creates a codec that reads frames of up to 2 MiB, see [`Framer::DEFAULT_MAX_FRAME_LEN`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a codec that reads frames of up to `max_frame_len` bytes. The limit bounds the memory that a
    /// stream without a delimiter takes.
    pub fn new_with_max_frame_len(max_frame_len: usize) -> Self {
        Self { delimiter: Delimiter::default(), framer: Framer::new(max_frame_len) }
    }

    /// Sets the delimiter, for both directions.
    #[must_use = "the codec is returned"]
    pub fn with_delimiter(self, delimiter: Delimiter) -> Self {
        Self { delimiter, framer: self.framer.with_delimiter(delimiter) }
    }

    /// Returns the number of frames that were empty or had only white space. The decoder skips such frames.
    pub fn empty_frames(&self) -> u64 {
        self.framer.empty_frames()
    }
}

impl Decoder for GelfCodec {
    type Item = Result<Bytes, FrameError>;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        Ok(self.framer.next_frame(src))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        Ok(self.framer.next_frame(src).or_else(|| self.framer.finish(src).map(Ok)))
    }
}

impl Encoder<&Message<'_>> for GelfCodec {
    type Error = io::Error;

    fn encode(&mut self, message: &Message<'_>, dst: &mut BytesMut) -> io::Result<()> {
        write_message(message, self.delimiter, dst);
        Ok(())
    }
}

/// Encodes a payload, which is JSON text.
impl Encoder<Bytes> for GelfCodec {
    type Error = io::Error;

    /// # Errors
    /// Returns `InvalidInput` if the payload is blank, or has a null byte or the delimiter. In that case,
    /// nothing is written, and the stream stays usable.
    fn encode(&mut self, payload: Bytes, dst: &mut BytesMut) -> io::Result<()> {
        write_payload(&payload, self.delimiter, dst)
    }
}

/// Appends a frame: the payload that `write` appends, and the delimiter. Returns the length of the frame.
pub(crate) fn write_frame(
    delimiter: Delimiter,
    dst: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut),
) -> usize {
    let before = dst.len();
    write(dst);
    dst.put_u8(delimiter.byte());
    dst.len() - before
}

/// Appends a message as a frame. An encoded message is never blank and has neither a null byte nor a line
/// feed.
pub(crate) fn write_message(message: &Message<'_>, delimiter: Delimiter, dst: &mut BytesMut) {
    write_frame(delimiter, dst, |dst| gelf_core::Encoder::new().encode(message, dst));
}

/// Appends a payload as a frame.
///
/// # Errors
/// Returns `InvalidInput` if the payload is [not framable](is_framable). In that case, nothing is written.
pub(crate) fn write_payload(payload: &[u8], delimiter: Delimiter, dst: &mut BytesMut) -> io::Result<()> {
    if !is_framable(payload, delimiter) {
        let error = "the payload is blank, or has a null byte or the delimiter";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    dst.reserve(payload.len() + 1);
    write_frame(delimiter, dst, |dst| dst.put_slice(payload));
    Ok(())
}

/// Returns whether a payload can be sent as a frame: it is not blank, and has neither a null byte nor the
/// delimiter.
pub(crate) fn is_framable(payload: &[u8], delimiter: Delimiter) -> bool {
    !payload.trim_ascii().is_empty() && !payload.iter().any(|byte| *byte == 0 || *byte == delimiter.byte())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a stream in pieces, as `FramedRead` does. Returns the frames and errors.
    fn frames(codec: &mut GelfCodec, pieces: &[&[u8]]) -> Vec<Result<Bytes, FrameError>> {
        let mut buffer = BytesMut::new();
        let mut frames = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                frames.push(frame);
            }
        }
        while let Some(frame) = codec.decode_eof(&mut buffer).unwrap() {
            frames.push(frame);
        }
        assert_eq!(buffer.len(), 0);
        frames
    }

    #[test]
    fn messages_and_encoded_payloads_are_framed_alike() {
        let mut codec = GelfCodec::new();
        let mut stream = BytesMut::new();
        codec.encode(&Message::new("h", "nul \0"), &mut stream).unwrap();
        codec.encode(Bytes::from_static(b"{}"), &mut stream).unwrap();
        assert_eq!(stream, "{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"nul \\u0000\"}\0{}\0");
    }

    #[test]
    fn a_payload_that_cannot_be_a_frame_is_refused_and_nothing_is_written() {
        let mut codec = GelfCodec::new();
        let mut stream = BytesMut::new();
        for payload in [&b"a\0b"[..], b"", b" "] {
            let error = codec.encode(Bytes::from_static(payload), &mut stream).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(stream.is_empty());
    }

    #[test]
    fn with_a_line_feed_as_delimiter_a_payload_is_a_line() {
        let mut codec = GelfCodec::new().with_delimiter(Delimiter::Newline);
        let mut stream = BytesMut::new();
        codec.encode(&Message::new("h", "two\nlines"), &mut stream).unwrap();
        for payload in ["{\n}", "{\0}"] {
            let error = codec.encode(Bytes::from(payload), &mut stream).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        codec.encode(Bytes::from("{\r}"), &mut stream).unwrap();
        let line = r#"{"version":"1.1","host":"h","short_message":"two\nlines"}"#;
        assert_eq!(stream, format!("{line}\n{{\r}}\n"));
        assert_eq!(frames(&mut codec, &[&stream]), [Ok(line.into()), Ok("{\r}".into())]);
    }

    #[test]
    fn a_frame_that_is_too_long_is_an_item_and_not_the_end_of_the_stream() {
        let mut codec = GelfCodec::new_with_max_frame_len(3);
        let expected = [Ok("abc".into()), Err(FrameError::TooLong { max: 3 }), Ok("M".into())];
        assert_eq!(frames(&mut codec, &[b"abc\0\0abcdefgh\0M\0"]), expected);
        assert_eq!(codec.empty_frames(), 1);
    }
}
