//! Turns messages into datagrams: encodes and compresses each message, and splits it into chunks.
//!
//! > GELF 1.1: "A message MUST NOT consist of more than 128 chunks."
//!
//! A message is compressed as a whole before it is chunked. A message that does not fit into 128 chunks is an error
//! or is truncated; see [`Overflow`].

use std::fmt;

use bytes::BytesMut;

use super::chunk::{Chunker, DatagramSize, Datagrams};
use super::compress::{Compression, Compressor};
use crate::encode::{Encoder, Fit};
use crate::message::Message;
use crate::too_large::MessageTooLarge;

/// The maximum capacity, in bytes, of a buffer that is kept for the next message. A larger buffer is freed.
const RETAINED_BYTES: usize = 256 * 1024;

/// The maximum number of lengths that are tried to make a truncated message fit in compressed form. If no
/// tried length fits, the message is sent without compression.
const TRIES: u32 = 6;

/// The reaction to a message that is too large for 128 chunks.
///
/// ```
/// use gelf_core::{Compression, DatagramSize, DatagramWriter, Fit, Message, Overflow};
///
/// let mut writer =
///     DatagramWriter::new(Compression::None, DatagramSize::WAN).with_overflow(Overflow::Truncate);
/// let message = Message::new("web-1", "a".repeat(1_000_000));
/// let (_datagrams, fit) = writer.write(&message)?;
/// assert_eq!(fit, Fit::Truncated);
/// # Ok::<(), gelf_core::MessageTooLarge>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Overflow {
    /// Returns an error. This is the default.
    #[default]
    Error,
    /// Truncates the texts of the message so that it fits, and adds their original length as `_truncated`; see
    /// [`Encoder::encode_within`]. If the other fields alone do not fit without compression, the message can be an
    /// error, even if they would fit compressed.
    Truncate,
}

/// Turns messages into datagrams, with one set of buffers for all of them.
///
/// ```
/// use gelf_core::{Compression, DatagramSize, DatagramWriter, Message};
///
/// let mut writer = DatagramWriter::new(Compression::None, DatagramSize::WAN);
/// let (datagrams, _) = writer.write(&Message::new("web-1", "a".repeat(5000)))?;
/// let sizes: Vec<_> = datagrams.map(|datagram| datagram.len()).collect();
/// assert_eq!(sizes, [1420, 1420, 1420, 839]);
/// # Ok::<(), gelf_core::MessageTooLarge>(())
/// ```
pub struct DatagramWriter {
    encoder: Encoder,
    compressor: Compressor,
    chunker: Chunker,
    overflow: Overflow,
    payload: BytesMut,
}

impl DatagramWriter {
    /// Creates a writer that compresses messages and splits them into datagrams of up to `size` bytes.
    pub fn new(compression: Compression, size: DatagramSize) -> Self {
        Self {
            encoder: Encoder::new(),
            compressor: Compressor::new(compression),
            chunker: Chunker::new(size),
            overflow: Overflow::Error,
            payload: BytesMut::new(),
        }
    }

    /// Sets the encoder.
    #[must_use]
    pub fn with_encoder(mut self, encoder: Encoder) -> Self {
        self.encoder = encoder;
        self
    }

    /// Sets the reaction to messages that are too large.
    #[must_use]
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Returns the maximum size of a datagram.
    pub fn datagram_size(&self) -> DatagramSize {
        self.chunker.datagram_size()
    }

    /// Returns the datagrams of a message in send order, and whether the message is whole or
    /// [truncated](Self::with_overflow). Send the datagrams back to back from one socket, since readers
    /// identify the sender by the address of the socket.
    ///
    /// In the steady state, the call allocates no memory for a message of up to 256 KiB.
    ///
    /// # Errors
    /// See [`MessageTooLarge`]. The writer can still be used.
    pub fn write(&mut self, message: &Message<'_>) -> Result<(Datagrams<'_>, Fit), MessageTooLarge> {
        if self.payload.capacity() > RETAINED_BYTES {
            self.payload = BytesMut::new();
        }
        self.payload.clear();
        self.encoder.encode(message, &mut self.payload);
        self.compressor.fill(&self.payload);
        let limit = self.chunker.datagram_size().max_payload();
        let mut fit = Fit::Whole;
        if self.compressor.output(&self.payload).len() > limit && self.overflow == Overflow::Truncate {
            fit = Fit::Truncated;
            self.shorten(message, limit)?;
        }
        let datagrams = self.chunker.split(self.compressor.output(&self.payload))?;
        Ok((datagrams, fit))
    }

    /// Returns the datagrams of an encoded message. The payload is JSON text that is neither compressed nor chunked
    /// yet.
    ///
    /// # Errors
    /// Returns [`MessageTooLarge::Payload`] if the payload is too large for 128 chunks.
    pub fn write_payload<'a>(&'a mut self, payload: &'a [u8]) -> Result<Datagrams<'a>, MessageTooLarge> {
        self.compressor.fill(payload);
        self.chunker.split(self.compressor.output(payload))
    }

    /// Truncates the message so that the output of the compressor has at most `limit` bytes. The compressed
    /// length of a truncated message is known only after its compression, so this method tries up to [`TRIES`]
    /// lengths.
    fn shorten(&mut self, message: &Message<'_>, limit: usize) -> Result<(), MessageTooLarge> {
        for _ in 0..TRIES {
            let packed = self.compressor.output(&self.payload).len();
            if packed <= limit {
                return Ok(());
            }
            // The guess assumes that the shorter message compresses as well as the message before, and leaves
            // 1/16 of the room free in case it compresses worse. A payload of half the limit fits even
            // without compression, so no guess needs to be lower.
            let guess = self.payload.len() as u128 * limit as u128 / packed as u128 * 15 / 16;
            let guess = usize::try_from(guess).unwrap_or(limit).max(limit.min(self.payload.len()) / 2);
            self.payload.clear();
            match self.encoder.encode_within(message, guess, &mut self.payload) {
                Ok(_) => self.compressor.fill(&self.payload),
                // The fields alone are longer than the guess.
                Err(_) => break,
            }
        }
        if self.compressor.output(&self.payload).len() <= limit && !self.payload.is_empty() {
            return Ok(());
        }
        // Without compression, a payload of `limit` bytes always fits.
        self.payload.clear();
        let _ = self.encoder.encode_within(message, limit, &mut self.payload)?;
        self.compressor.discard();
        Ok(())
    }
}

/// Omits the last payload.
impl fmt::Debug for DatagramWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramWriter")
            .field("encoder", &self.encoder)
            .field("compressor", &self.compressor)
            .field("overflow", &self.overflow)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::decode::Decoder;
    use crate::wire::compress::CompressionLevel;
    use crate::wire::datagram_reader::DatagramReader;

    const LEVEL: CompressionLevel = CompressionLevel::DEFAULT;

    fn noise(len: usize, mut seed: u64) -> String {
        std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + (seed >> 58) as u8)
        })
        .take(len)
        .collect()
    }

    /// Writes a message and reads its datagrams. Returns the message as it was read, the number of datagrams,
    /// and whether the message was truncated.
    fn through(
        writer: &mut DatagramWriter,
        message: &Message<'_>,
    ) -> Result<(Message<'static>, usize, Fit), MessageTooLarge> {
        let size = writer.datagram_size().as_usize();
        let (datagrams, fit) = writer.write(message)?;
        let count = datagrams.len();
        let mut reader = DatagramReader::default();
        let mut arrived = None;
        for datagram in datagrams {
            let mut wire = Vec::new();
            datagram.write_to(&mut wire);
            assert!(wire.len() <= size);
            if let Some(payload) = reader.read(Instant::now(), (), &wire).unwrap() {
                arrived = Some(Decoder::strict().decode(payload).unwrap().message.into_owned());
            }
        }
        Ok((arrived.unwrap(), count, fit))
    }

    #[test]
    fn a_message_that_does_not_fit_does_not_affect_the_next() {
        let mut writer = DatagramWriter::new(Compression::None, DatagramSize::new(100).unwrap());
        let error = writer.write(&Message::new("h", "a".repeat(20_000))).unwrap_err();
        assert_eq!(error, MessageTooLarge::Payload { len: 20_047, max: 11_264 });
        let small = Message::new("h", "small");
        assert_eq!(through(&mut writer, &small), Ok((small, 1, Fit::Whole)));
    }

    #[test]
    fn a_message_is_truncated_to_fit_with_any_compression() {
        let text = noise(60_000, 1);
        let message = Message::new("h", "short").with_full_message(text.as_str());
        for compression in [Compression::None, Compression::Gzip(LEVEL), Compression::Zlib(LEVEL)] {
            let mut writer = DatagramWriter::new(compression, DatagramSize::new(100).unwrap())
                .with_overflow(Overflow::Truncate);
            let (arrived, count, fit) = through(&mut writer, &message).unwrap();
            assert_eq!(fit, Fit::Truncated);
            assert_eq!(arrived.short_message(), "short");
            assert!(text.starts_with(arrived.full_message().unwrap()));
            assert_eq!(arrived.field("truncated").unwrap().as_i64(), Some(60_005));
            // Nearly all of the available size is used.
            assert!((110..=128).contains(&count), "{count} {compression:?}");
        }
    }

    #[test]
    fn fields_that_do_not_fit_are_an_error() {
        let mut writer = DatagramWriter::new(Compression::Gzip(LEVEL), DatagramSize::new(100).unwrap())
            .with_overflow(Overflow::Truncate);
        let message = Message::new("h", "m").try_field("x", noise(60_000, 2)).unwrap();
        assert!(matches!(writer.write(&message), Err(MessageTooLarge::Fields { .. })));
        let small = Message::new("h", "small");
        assert_eq!(through(&mut writer, &small), Ok((small, 1, Fit::Whole)));
    }

    #[test]
    fn the_buffer_of_a_huge_message_is_freed() {
        let mut writer = DatagramWriter::new(Compression::default(), DatagramSize::WAN);
        let _ = writer.write(&Message::new("h", "a".repeat(4 << 20))).unwrap();
        assert!(writer.payload.capacity() > 4 << 20);
        let _ = writer.write(&Message::new("h", "a")).unwrap();
        assert!(writer.payload.capacity() <= RETAINED_BYTES);
    }

    proptest! {
        #[test]
        fn every_written_message_arrives_whole_or_marked(
            len in 0usize..30_000,
            seed: u64,
            repetitive: bool,
            size in 60u16..300,
            kind in 0usize..3,
        ) {
            let text = if repetitive { "tick ".repeat(len / 5) } else { noise(len, seed) };
            let compression = [Compression::None, Compression::Gzip(LEVEL), Compression::Zlib(LEVEL)][kind];
            let size = DatagramSize::new(size).unwrap();
            let mut writer = DatagramWriter::new(compression, size).with_overflow(Overflow::Truncate);
            let message = Message::new("h", format!("x{text}"));
            let (arrived, _, fit) = through(&mut writer, &message).unwrap();
            match fit {
                Fit::Whole => prop_assert_eq!(arrived, message),
                Fit::Truncated => {
                    prop_assert!(message.short_message().starts_with(arrived.short_message()));
                    let len = arrived.field("truncated").and_then(|value| value.as_i64());
                    prop_assert_eq!(len, Some(message.short_message().len() as i64));
                }
            }
        }
    }
}
