//! Turns received datagrams into payloads: joins chunks, and inflates compressed payloads.

mod refused;
mod stats;

use std::fmt;
use std::hash::Hash;
use std::time::Instant;

use super::chunk::{ChunkHeader, InvalidChunk};
use super::decompress::Decompressor;
use super::encoding::Encoding;
use super::inflate::DecompressError;
use super::reassemble::{Reassembler, ReassemblyLimits};

use refused::RefusedMessages;

pub use stats::{DatagramErrorCounts, DatagramStats};

/// The limits of a [`DatagramReader`].
///
/// ```
/// use std::time::Duration;
/// use gelf_core::{DatagramLimits, DatagramReader};
///
/// let mut limits = DatagramLimits::default();
/// limits.max_payload_bytes = 1024 * 1024;
/// limits.reassembly.timeout = Duration::from_secs(10);
/// let reader = DatagramReader::<()>::lenient(limits);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramLimits {
    /// The limits of pending chunked messages.
    pub reassembly: ReassemblyLimits,
    /// The maximum length of a payload in bytes, plain or inflated. The default is 8 MiB; see
    /// [`Decompressor::DEFAULT_LIMIT`].
    pub max_payload_bytes: usize,
}

impl Default for DatagramLimits {
    fn default() -> Self {
        Self { reassembly: ReassemblyLimits::default(), max_payload_bytes: Decompressor::DEFAULT_LIMIT }
    }
}

/// Turns datagrams into payloads, for any number of senders.
///
/// `S` identifies a sender; see [`Reassembler`]. An invalid datagram causes an error, or counts as a
/// [refused chunk](DatagramStats::refused_chunks). It does not affect other messages.
///
/// ```
/// use std::time::Instant;
/// use gelf_core::DatagramReader;
///
/// let mut reader = DatagramReader::default();
/// let payload = reader.read(Instant::now(), "10.0.0.7:4711", b"{\"version\":\"1.1\"}");
/// assert_eq!(payload, Ok(Some(&b"{\"version\":\"1.1\"}"[..])));
/// ```
pub struct DatagramReader<S> {
    strict: bool,
    reassembler: Reassembler<S>,
    decompressor: Decompressor,
    max_payload_bytes: usize,
    refused: RefusedMessages<S>,
    stats: DatagramStats,
}

/// A deviation of a datagram from GELF 1.1 that a lenient reader tolerates.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DatagramDeviation {
    /// The bytes `1f 3c` before plain text. Some old senders write these bytes. Wireshark and the first
    /// version of the Ruby library gelfd skip them and read the text.
    LegacyHeader,
    /// A zlib stream with a window of less than 32 KiB. The stream does not begin with `78`, so most readers
    /// take it for plain text.
    SmallWindow,
    /// Bytes behind the compressed data. Java's and Ruby's readers ignore them.
    TrailingData,
}

/// Omits the pending messages.
impl<S> fmt::Debug for DatagramReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramReader")
            .field("strict", &self.strict)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// Creates a lenient reader with the default limits.
impl<S: Clone + Eq + Hash> Default for DatagramReader<S> {
    fn default() -> Self {
        Self::lenient(DatagramLimits::default())
    }
}

impl<S: Clone + Eq + Hash> DatagramReader<S> {
    /// Creates a reader that tolerates and counts deviations.
    pub fn lenient(limits: DatagramLimits) -> Self {
        Self {
            strict: false,
            reassembler: Reassembler::new(limits.reassembly),
            decompressor: Decompressor::new(limits.max_payload_bytes),
            max_payload_bytes: limits.max_payload_bytes,
            refused: RefusedMessages::new(limits.reassembly.timeout),
            stats: DatagramStats::default(),
        }
    }

    /// Creates a reader that treats each [`DatagramDeviation`] as an error, and that drops a message if one
    /// of its chunks arrives twice with different payloads.
    pub fn strict(mut limits: DatagramLimits) -> Self {
        limits.reassembly.discard_conflicts = true;
        Self { strict: true, ..Self::lenient(limits) }
    }

    /// Reads a datagram that arrived at `now` from `source`. Returns the payload that the datagram carries or
    /// completes; the payload should be JSON text. Returns `None` if chunks of the message are missing, or if a
    /// chunk with this number had arrived before.
    ///
    /// # Errors
    /// See [`DatagramError`]. If the payload of a chunked message is invalid, the chunk that completes the
    /// message returns the error. If the chunks themselves are invalid, as in a message of more than 128
    /// chunks, the first invalid chunk returns the error. The reader remembers the last 64 messages with such
    /// chunks, each for the [timeout](ReassemblyLimits::timeout) of chunked messages. Meanwhile, further invalid
    /// chunks with the same id from the same source return `None`, and
    /// [`refused_chunks`](DatagramStats::refused_chunks) counts them. A chunk with an
    /// [`InvalidChunk::CountMismatch`] always returns the error.
    pub fn read<'a>(
        &'a mut self,
        now: Instant,
        source: S,
        datagram: &'a [u8],
    ) -> Result<Option<&'a [u8]>, DatagramError> {
        let Self { strict, reassembler, decompressor, max_payload_bytes, refused, stats } = self;
        stats.datagrams += 1;
        let read = match join(reassembler, now, &source, datagram) {
            Ok(Some(payload)) => unpack(decompressor, payload, *max_payload_bytes).map(Some),
            Ok(None) => Ok(None),
            // Only this chunk is invalid. The message of the earlier chunks is not refused.
            Err(error @ DatagramError::Chunk(InvalidChunk::CountMismatch { .. })) => Err(error),
            Err(DatagramError::Chunk(_)) if refused.is_known(now, source, datagram) => {
                stats.refused_chunks += 1;
                return Ok(None);
            }
            Err(error) => Err(error),
        };
        let read = match read {
            Ok(Some((_, Some(deviation)))) if *strict => Err(DatagramError::Deviation(deviation)),
            read => read,
        };
        match read {
            Ok(Some((payload, deviation))) => {
                stats.payloads += 1;
                if let Some(deviation) = deviation {
                    stats.count(deviation);
                }
                Ok(Some(payload))
            }
            Ok(None) => {
                stats.chunks += 1;
                Ok(None)
            }
            Err(error) => {
                stats.errors.count(error);
                Err(error)
            }
        }
    }

    /// Returns the reassembler, to handle its timeouts and to poll the messages that it has dropped.
    pub fn reassembler_mut(&mut self) -> &mut Reassembler<S> {
        &mut self.reassembler
    }

    /// Returns the counters.
    pub fn stats(&self) -> DatagramStats {
        DatagramStats { reassembly: self.reassembler.stats(), ..self.stats }
    }
}

/// Returns the complete message as it was sent, possibly compressed. Returns `None` if the datagram completes no
/// message.
fn join<'a, S: Clone + Eq + Hash>(
    reassembler: &'a mut Reassembler<S>,
    now: Instant,
    source: &S,
    datagram: &'a [u8],
) -> Result<Option<&'a [u8]>, DatagramError> {
    if datagram.is_empty() {
        return Err(DatagramError::Empty);
    }
    if Encoding::sniff(datagram) != Encoding::Chunk {
        return Ok(Some(datagram));
    }
    let (header, part) = ChunkHeader::parse(datagram).map_err(DatagramError::Chunk)?;
    reassembler.handle_chunk(now, source.clone(), header, part).map_err(DatagramError::Chunk)
}

/// Returns the payload, inflated if it was compressed, and at most one deviation.
fn unpack<'a>(
    decompressor: &'a mut Decompressor,
    message: &'a [u8],
    max_payload_bytes: usize,
) -> Result<(&'a [u8], Option<DatagramDeviation>), DatagramError> {
    let mut deviation = None;
    let payload = match Encoding::sniff(message) {
        Encoding::Gzip | Encoding::Zlib => inflate(decompressor, message, &mut deviation)?,
        Encoding::Plain if Encoding::is_zlib(message) => {
            let payload = inflate(decompressor, message, &mut deviation)?;
            deviation = Some(DatagramDeviation::SmallWindow);
            payload
        }
        Encoding::Plain => message,
        Encoding::Unknown => match message {
            [0x1f, 0x3c, text @ ..] => {
                deviation = Some(DatagramDeviation::LegacyHeader);
                text
            }
            _ => return Err(DatagramError::UnknownMagic),
        },
        Encoding::Chunk => return Err(DatagramError::NestedChunk),
    };
    match Encoding::sniff(payload) {
        Encoding::Chunk => Err(DatagramError::NestedChunk),
        _ if payload.is_empty() => Err(DatagramError::EmptyPayload),
        _ if payload.len() > max_payload_bytes => {
            Err(DatagramError::PayloadTooLarge { limit: max_payload_bytes })
        }
        _ => Ok((payload, deviation)),
    }
}

fn inflate<'a>(
    decompressor: &'a mut Decompressor,
    message: &'a [u8],
    deviation: &mut Option<DatagramDeviation>,
) -> Result<&'a [u8], DatagramError> {
    decompressor.fill(message).map_err(DatagramError::Decompress)?;
    if decompressor.trailing() > 0 {
        *deviation = Some(DatagramDeviation::TrailingData);
    }
    Ok(decompressor.output())
}

/// The reason why a datagram has no payload: a fault of the sender or of the network, or a payload beyond the
/// reader's limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DatagramError {
    /// The datagram begins like a chunk, but it is not a valid chunk or does not belong to the earlier chunks
    /// of its message.
    Chunk(InvalidChunk),
    /// The payload cannot be inflated.
    Decompress(DecompressError),
    /// The datagram deviates from GELF 1.1, and the reader is strict.
    Deviation(DatagramDeviation),
    /// The datagram is empty.
    Empty,
    /// The payload is empty.
    EmptyPayload,
    /// The payload of a message begins like a chunk.
    NestedChunk,
    /// The payload is plain, and longer than [`max_payload_bytes`](DatagramLimits::max_payload_bytes).
    PayloadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The first bytes of the message belong to no known encoding.
    UnknownMagic,
}

impl fmt::Display for DatagramDeviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LegacyHeader => "the bytes 1f 3c precede the text",
            Self::SmallWindow => "the zlib window is less than 32 KiB",
            Self::TrailingData => "there are bytes behind the compressed data",
        })
    }
}

/// Writes the text of the inner error if there is one. Therefore, `source` returns `None`.
impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunk(error) => error.fmt(f),
            Self::Decompress(error) => error.fmt(f),
            Self::Deviation(deviation) => deviation.fmt(f),
            Self::Empty => f.write_str("an empty datagram"),
            Self::EmptyPayload => f.write_str("an empty payload"),
            Self::NestedChunk => f.write_str("the payload of a message is a chunk"),
            Self::PayloadTooLarge { limit } => write!(f, "the payload has more than {limit} bytes"),
            Self::UnknownMagic => f.write_str("the first bytes are neither JSON nor a known encoding"),
        }
    }
}

impl std::error::Error for DatagramError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::compress::{Compression, CompressionLevel, Compressor};

    const PAYLOAD: &[u8] = br#"{"version":"1.1","host":"h","short_message":"m"}"#;

    fn read(reader: &mut DatagramReader<()>, datagram: &[u8]) -> Result<Option<Vec<u8>>, DatagramError> {
        reader.read(Instant::now(), (), datagram).map(|payload| payload.map(<[u8]>::to_vec))
    }

    fn chunk(number: u8, count: u8, payload: &[u8]) -> Vec<u8> {
        [&[0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, number, count], payload].concat()
    }

    #[test]
    fn a_payload_is_bounded_whether_plain_chunked_or_compressed() {
        let limits = DatagramLimits { max_payload_bytes: PAYLOAD.len() - 1, ..DatagramLimits::default() };
        let mut reader = DatagramReader::lenient(limits);
        let too_large = Err(DatagramError::PayloadTooLarge { limit: PAYLOAD.len() - 1 });
        assert_eq!(read(&mut reader, PAYLOAD), too_large);
        assert_eq!(read(&mut reader, &[b"\x1f\x3c", PAYLOAD].concat()), too_large);
        assert_eq!(read(&mut reader, &chunk(0, 2, &PAYLOAD[..20])), Ok(None));
        assert_eq!(read(&mut reader, &chunk(1, 2, &PAYLOAD[20..])), too_large);
        let gzip = Compressor::new(Compression::default()).compress(PAYLOAD).to_vec();
        assert!(matches!(read(&mut reader, &gzip), Err(DatagramError::Decompress(_))));
        assert_eq!(read(&mut reader, &PAYLOAD[1..]), Ok(Some(PAYLOAD[1..].to_vec())));
        assert_eq!(reader.stats().errors.payload_too_large, 3);
    }

    #[test]
    fn a_message_of_too_many_chunks_is_one_error() {
        let mut reader = DatagramReader::<u32>::default();
        let start = Instant::now();
        let mut errors = |source: u32, id: u8, count: u8, millis: u64| {
            let datagrams = (0..count)
                .map(|number| [&[0x1e, 0x0f, id, 0, 0, 0, 0, 0, 0, 0, number, count], &b"x"[..]].concat());
            let now = start + std::time::Duration::from_millis(millis);
            datagrams.filter(|datagram| reader.read(now, source, datagram).is_err()).count()
        };
        assert_eq!(errors(1, 1, 185, 0), 1);
        assert_eq!(errors(1, 2, 129, 0), 1, "another message");
        assert_eq!(errors(2, 1, 185, 0), 1, "another source");
        assert_eq!(errors(1, 1, 185, 4000), 0, "the same id within the time of a message");
        assert_eq!(errors(1, 1, 185, 5001), 1, "the same id in a later message");
        // A flood of refused messages causes errors, but takes only bounded memory.
        for source in 10..10_000 {
            errors(source, 1, 129, 6000);
        }
        assert!(reader.refused.len() <= 64);
        let stats = reader.stats();
        let counted = stats.payloads + stats.chunks + stats.refused_chunks + stats.errors.total();
        assert_eq!((stats.datagrams, stats.errors.chunk), (counted, 4 + 9990));
    }

    /// Reads a datagram with a lenient and with a strict reader.
    fn both(datagram: &[u8]) -> [Result<Option<Vec<u8>>, DatagramError>; 2] {
        let limits = DatagramLimits::default();
        [DatagramReader::lenient(limits), DatagramReader::strict(limits)]
            .map(|mut reader| read(&mut reader, datagram))
    }

    #[test]
    fn a_lenient_reader_counts_deviations_and_a_strict_reader_refuses_them() {
        let gzip = Compressor::new(Compression::default()).compress(PAYLOAD).to_vec();
        let zlib = Compressor::new(Compression::Zlib(CompressionLevel::DEFAULT)).compress(PAYLOAD).to_vec();
        // The header declares a window of 4 KiB, and the text is shorter.
        let small_window = [&[0x48, 0x89], &zlib[2..]].concat();
        let cases = [
            ([b"\x1f\x3c", PAYLOAD].concat(), DatagramDeviation::LegacyHeader, (1, 0, 0)),
            (small_window, DatagramDeviation::SmallWindow, (0, 1, 0)),
            ([&gzip[..], b"xx"].concat(), DatagramDeviation::TrailingData, (0, 0, 1)),
            ([&zlib[..], b"xx"].concat(), DatagramDeviation::TrailingData, (0, 0, 1)),
        ];
        for (datagram, deviation, counts) in cases {
            assert_eq!(
                both(&datagram),
                [Ok(Some(PAYLOAD.to_vec())), Err(DatagramError::Deviation(deviation))],
                "{datagram:x?}"
            );
            let mut reader = DatagramReader::default();
            read(&mut reader, &datagram).unwrap();
            let stats = reader.stats();
            assert_eq!((stats.legacy_headers, stats.small_windows, stats.trailing_data), counts);
            assert_eq!((stats.payloads, stats.errors.total()), (1, 0));
        }
        assert_eq!(both(b"\x1f\x3c"), [Err(DatagramError::EmptyPayload), Err(DatagramError::EmptyPayload)]);
    }

    #[test]
    fn both_readers_treat_the_first_two_bytes_alike_except_for_the_legacy_header() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let datagram = [&[first, second], &PAYLOAD[2..]].concat();
                let [lenient, strict] = both(&datagram);
                let header = u16::from(first) * 256 + u16::from(second);
                match (first, second) {
                    // The header says that this is chunk number 0x3a of 0x22.
                    (0x1e, 0x0f) => assert!(matches!(strict, Err(DatagramError::Chunk(_)))),
                    (0x1f, 0x8b) => assert!(matches!(strict, Err(DatagramError::Decompress(_)))),
                    (0x1f, 0x3c) => {
                        assert_eq!(strict, Err(DatagramError::Deviation(DatagramDeviation::LegacyHeader)));
                        assert_eq!(lenient, Ok(Some(PAYLOAD[2..].to_vec())));
                        continue;
                    }
                    (0x1e | 0x1f, _) => assert_eq!(strict, Err(DatagramError::UnknownMagic)),
                    (0x78, _) if header % 31 != 0 => assert_eq!(strict, Err(DatagramError::UnknownMagic)),
                    (first, _) if first % 16 == 8 && first < 0x80 && header % 31 == 0 => {
                        assert!(matches!(strict, Err(DatagramError::Decompress(_))), "{header:x}");
                    }
                    // The decoder refuses these bytes later, unless they are JSON.
                    _ => assert_eq!(strict, Ok(Some(datagram))),
                }
                assert_eq!(lenient, strict, "{header:x}");
            }
        }
    }
}
