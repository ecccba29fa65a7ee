//! Frames for tokio-util.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use gelf_core::{FrameTooLong, Framer, Message, encode};
use tokio_util::codec::{Decoder, Encoder};

/// Frames on any stream, for [`FramedRead`](tokio_util::codec::FramedRead) and
/// [`FramedWrite`](tokio_util::codec::FramedWrite): a payload and a null byte behind it.
///
/// Reading, a frame that is too long is an item, since an error would end the stream; the frames behind it follow. At
/// the end of the stream the last frame need not be terminated. A frame shares the memory of the read buffer: copy
/// one that is to be kept.
///
/// Writing, it takes messages, and payloads that are ready. Let `FramedWrite` collect many of them
/// (`feed`, and a backpressure boundary of 64 KiB): one write for each costs seven times the processor time.
#[derive(Clone, Debug, Default)]
pub struct GelfCodec {
    framer: Framer,
}

impl GelfCodec {
    /// A codec that reads frames of up to 2 MiB, see [`Framer::DEFAULT_MAX_FRAME_LEN`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A codec that reads frames of up to `max_frame_len` bytes. The cap stops a stream without a delimiter.
    pub fn with_max_frame_len(max_frame_len: usize) -> Self {
        Self { framer: Framer::new(max_frame_len) }
    }

    /// How many frames held nothing but white space; they are left out.
    pub fn empty_frames(&self) -> u64 {
        self.framer.empty_frames()
    }
}

impl Decoder for GelfCodec {
    type Item = Result<Bytes, FrameTooLong>;
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
        write_message(message, dst);
        Ok(())
    }
}

/// Takes a payload that is ready.
impl Encoder<Bytes> for GelfCodec {
    type Error = io::Error;

    /// # Errors
    /// `InvalidInput` when the payload is blank or has a null byte; nothing is written, and the stream is not harmed.
    fn encode(&mut self, payload: Bytes, dst: &mut BytesMut) -> io::Result<()> {
        Framer::write_frame(&payload, dst).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

/// Appends a message as a frame. What `encode` writes is never blank and has no null byte.
pub(crate) fn write_message(message: &Message<'_>, dst: &mut BytesMut) {
    encode(message, dst);
    dst.put_u8(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds a stream in pieces, as `FramedRead` does, and gives each frame, or the cap that it broke.
    fn frames(codec: &mut GelfCodec, pieces: &[&[u8]]) -> Vec<Result<Bytes, usize>> {
        let mut buffer = BytesMut::new();
        let mut frames = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                frames.push(frame.map_err(|error| error.max));
            }
        }
        while let Some(frame) = codec.decode_eof(&mut buffer).unwrap() {
            frames.push(frame.map_err(|error| error.max));
        }
        assert_eq!(buffer.len(), 0);
        frames
    }

    #[test]
    fn messages_and_ready_payloads_are_framed_alike() {
        let mut codec = GelfCodec::new();
        let mut stream = BytesMut::new();
        codec.encode(&Message::new("h", "nul \0"), &mut stream).unwrap();
        codec.encode(Bytes::from_static(b"{}"), &mut stream).unwrap();
        assert_eq!(stream, "{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"nul \\u0000\"}\0{}\0");
    }

    #[test]
    fn a_payload_that_would_break_the_framing_is_refused_and_nothing_written() {
        let mut codec = GelfCodec::new();
        let mut stream = BytesMut::new();
        for payload in [&b"a\0b"[..], b"", b" "] {
            let error = codec.encode(Bytes::from_static(payload), &mut stream).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(stream.is_empty());
    }

    #[test]
    fn a_frame_that_is_too_long_is_an_item_and_not_the_end() {
        let mut codec = GelfCodec::with_max_frame_len(3);
        let expected = [Ok("abc".into()), Err(3), Ok("M".into())];
        assert_eq!(frames(&mut codec, &[b"abc\0abcdefgh\0M\0"]), expected);
    }

    #[test]
    fn the_last_frame_need_not_be_terminated() {
        assert_eq!(frames(&mut GelfCodec::new(), &[b"a\0b"]), [Ok("a".into()), Ok("b".into())]);
        assert_eq!(frames(&mut GelfCodec::new(), &[b"a\0\n"]), [Ok("a".into())]);
        assert_eq!(frames(&mut GelfCodec::with_max_frame_len(3), &[b"abcd"]), [Err(3)]);
    }

    #[test]
    fn empty_frames_are_counted() {
        let mut codec = GelfCodec::new();
        assert_eq!(frames(&mut codec, &[b"\0a\0\n\0\0"]), [Ok("a".into())]);
        assert_eq!(codec.empty_frames(), 3);
    }

    proptest! {
        #[test]
        fn messages_read_the_same_wherever_the_stream_is_cut(
            texts in prop::collection::vec(any::<String>(), 1..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut codec = GelfCodec::new();
            let mut stream = BytesMut::new();
            let mut expected = Vec::new();
            for text in &texts {
                let message = Message::new("h", text.as_str());
                let mut payload = BytesMut::new();
                encode(&message, &mut payload);
                expected.push(Ok(payload.freeze()));
                codec.encode(&message, &mut stream).unwrap();
            }
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            ends.extend([0, stream.len()]);
            ends.sort_unstable();
            let pieces: Vec<&[u8]> = ends.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(frames(&mut codec, &pieces), expected);
        }
    }
}
