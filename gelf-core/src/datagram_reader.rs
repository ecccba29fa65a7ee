//! The whole way of a datagram: look at its first bytes, put chunks together, inflate, hand out the payload.

use std::fmt;
use std::hash::Hash;
use std::time::Instant;

use crate::chunk::{ChunkHeader, InvalidChunk};
use crate::decompress::{DecompressError, Decompressor, Encoding};
use crate::reassemble::{
    OnConflict, Progress, Reassembler, ReassemblyError, ReassemblyLimits, ReassemblyStats,
};

/// How much a [`DatagramReader`] holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramLimits {
    /// What may be pending of chunked messages.
    pub reassembly: ReassemblyLimits,
    /// How large a payload may be once it is inflated: 8 MiB, see [`Decompressor::DEFAULT_LIMIT`].
    pub max_payload_bytes: usize,
}

impl Default for DatagramLimits {
    fn default() -> Self {
        Self { reassembly: ReassemblyLimits::default(), max_payload_bytes: Decompressor::DEFAULT_LIMIT }
    }
}

/// Turns datagrams into payloads, for any number of senders at once.
///
/// `S` tells one sender from another; see [`Reassembler`]. A bad datagram is an error and changes nothing else.
///
/// ```
/// use std::time::Instant;
/// use gelf_core::DatagramReader;
///
/// let mut reader = DatagramReader::default();
/// let payload = reader.read(Instant::now(), "10.0.0.7:4711", b"{\"version\":\"1.1\"}");
/// assert_eq!(payload, Ok(Some(&b"{\"version\":\"1.1\"}"[..])));
/// ```
#[derive(Debug)]
pub struct DatagramReader<S> {
    strict: bool,
    reassembler: Reassembler<S>,
    decompressor: Decompressor,
    stats: DatagramStats,
}

/// What a [`DatagramReader`] has done so far: `datagrams = payloads + chunks + errors.total()`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramStats {
    /// Datagrams taken.
    pub datagrams: u64,
    /// Payloads handed out.
    pub payloads: u64,
    /// Chunks that were taken and completed no message, repeated ones included.
    pub chunks: u64,
    /// Datagrams that ended in an error, by its kind.
    pub errors: DatagramErrorCounts,
    /// Payloads handed out although they deviate, by how.
    pub deviations: DatagramDeviationCounts,
    /// What the reassembler has done.
    pub reassembly: ReassemblyStats,
}

/// How many datagrams ended in each [`DatagramError`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramErrorCounts {
    /// [`DatagramError::Chunk`]
    pub chunk: u64,
    /// [`DatagramError::Decompress`]
    pub decompress: u64,
    /// [`DatagramError::Deviation`]
    pub deviation: u64,
    /// [`DatagramError::Empty`]
    pub empty: u64,
    /// [`DatagramError::EmptyPayload`]
    pub empty_payload: u64,
    /// [`DatagramError::NestedChunk`]
    pub nested_chunk: u64,
    /// [`DatagramError::Reassembly`]
    pub reassembly: u64,
    /// [`DatagramError::UnknownMagic`]
    pub unknown_magic: u64,
}

impl DatagramErrorCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self {
            chunk,
            decompress,
            deviation,
            empty,
            empty_payload,
            nested_chunk,
            reassembly,
            unknown_magic,
        } = self;
        chunk + decompress + deviation + empty + empty_payload + nested_chunk + reassembly + unknown_magic
    }

    fn count(&mut self, error: DatagramError) {
        let count = match error {
            DatagramError::Chunk(_) => &mut self.chunk,
            DatagramError::Decompress(_) => &mut self.decompress,
            DatagramError::Deviation(_) => &mut self.deviation,
            DatagramError::Empty => &mut self.empty,
            DatagramError::EmptyPayload => &mut self.empty_payload,
            DatagramError::NestedChunk => &mut self.nested_chunk,
            DatagramError::Reassembly(_) => &mut self.reassembly,
            DatagramError::UnknownMagic => &mut self.unknown_magic,
        };
        *count += 1;
    }
}

/// How many payloads were handed out in spite of each [`DatagramDeviation`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramDeviationCounts {
    /// [`DatagramDeviation::LegacyHeader`]
    pub legacy_header: u64,
    /// [`DatagramDeviation::SmallWindow`]
    pub small_window: u64,
    /// [`DatagramDeviation::TrailingData`]
    pub trailing_data: u64,
}

impl DatagramDeviationCounts {
    fn count(&mut self, deviation: DatagramDeviation) {
        let count = match deviation {
            DatagramDeviation::LegacyHeader => &mut self.legacy_header,
            DatagramDeviation::SmallWindow => &mut self.small_window,
            DatagramDeviation::TrailingData => &mut self.trailing_data,
        };
        *count += 1;
    }
}

/// Where a datagram is not what GELF 1.1 and its senders agree upon, and can be read all the same.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DatagramDeviation {
    /// `1f 3c` stands before plain text, as some old senders put it there. Wireshark and the first gelfd read on.
    LegacyHeader,
    /// zlib of a window of less than 32 KiB, which does not begin with `78`: most readers take it for plain text.
    SmallWindow,
    /// Something stands behind the compressed data. Java's and Ruby's readers do not see it.
    TrailingData,
}

impl<S: Clone + Eq + Hash> Default for DatagramReader<S> {
    fn default() -> Self {
        Self::lenient(DatagramLimits::default())
    }
}

impl<S: Clone + Eq + Hash> DatagramReader<S> {
    /// A reader that takes what can be understood, and counts how it deviates.
    pub fn lenient(limits: DatagramLimits) -> Self {
        Self {
            strict: false,
            reassembler: Reassembler::new(limits.reassembly),
            decompressor: Decompressor::new(limits.max_payload_bytes),
            stats: DatagramStats::default(),
        }
    }

    /// A reader to which each [`DatagramDeviation`] is an error, and that gives up a message when one of its chunks
    /// comes twice with different payloads.
    pub fn strict(mut limits: DatagramLimits) -> Self {
        limits.reassembly.on_conflict = OnConflict::Discard;
        Self { strict: true, ..Self::lenient(limits) }
    }

    /// Takes a datagram that came at `now` from `source`. Gives the payload, JSON text by the rules, that it carries or
    /// completes; `None` when chunks are missing, or this one had come before.
    ///
    /// # Errors
    /// See [`DatagramError`]. Where a message of several chunks fails, the last of them gets the error.
    pub fn read<'a>(
        &'a mut self,
        now: Instant,
        source: S,
        datagram: &'a [u8],
    ) -> Result<Option<&'a [u8]>, DatagramError> {
        let Self { strict, reassembler, decompressor, stats } = self;
        stats.datagrams += 1;
        let read = match join(reassembler, now, source, datagram) {
            Ok(Some(payload)) => unpack(decompressor, payload).map(Some),
            Ok(None) => Ok(None),
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
                    stats.deviations.count(deviation);
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

    /// The reassembler, for its timeouts and the messages it has dropped.
    pub fn reassembler_mut(&mut self) -> &mut Reassembler<S> {
        &mut self.reassembler
    }

    /// What was done so far.
    pub fn stats(&self) -> DatagramStats {
        DatagramStats { reassembly: self.reassembler.stats(), ..self.stats }
    }
}

/// The whole message, packed as it was sent; nothing, as long as chunks are missing.
fn join<'a, S: Clone + Eq + Hash>(
    reassembler: &'a mut Reassembler<S>,
    now: Instant,
    source: S,
    datagram: &'a [u8],
) -> Result<Option<&'a [u8]>, DatagramError> {
    if datagram.is_empty() {
        return Err(DatagramError::Empty);
    }
    if Encoding::sniff(datagram) != Encoding::Chunk {
        return Ok(Some(datagram));
    }
    let (header, part) = ChunkHeader::parse(datagram).map_err(DatagramError::Chunk)?;
    match reassembler.handle_chunk(now, source, header, part).map_err(DatagramError::Reassembly)? {
        Progress::Complete(message) => Ok(Some(message)),
        Progress::Duplicate { .. } | Progress::Pending => Ok(None),
    }
}

/// The payload, inflated, and how it was not what it should be.
fn unpack<'a>(
    decompressor: &'a mut Decompressor,
    message: &'a [u8],
) -> Result<(&'a [u8], Option<DatagramDeviation>), DatagramError> {
    let mut deviation = None;
    let payload = match Encoding::sniff(message) {
        Encoding::Gzip | Encoding::Zlib => inflate(decompressor, message, &mut deviation)?,
        // No JSON text begins so.
        Encoding::Plain if has_small_window(message) => {
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
        _ => Ok((payload, deviation)),
    }
}

fn inflate<'a>(
    decompressor: &'a mut Decompressor,
    message: &'a [u8],
    deviation: &mut Option<DatagramDeviation>,
) -> Result<&'a [u8], DatagramError> {
    let inflated = decompressor.decompress(message).map_err(DatagramError::Decompress)?;
    if inflated.trailing > 0 {
        *deviation = Some(DatagramDeviation::TrailingData);
    }
    Ok(inflated.bytes)
}

/// Whether it begins as zlib of a window of 256 bytes to 16 KiB (RFC 1950, section 2.2).
fn has_small_window(message: &[u8]) -> bool {
    match message {
        [method, flags, ..] => {
            method & 0x0f == 8
                && method >> 4 < 7
                && (u16::from(*method) * 256 + u16::from(*flags)).is_multiple_of(31)
        }
        _ => false,
    }
}

/// Why a datagram gives no payload. Each is the sender's fault, or that of something on the way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DatagramError {
    /// It begins as a chunk and is none.
    Chunk(InvalidChunk),
    /// The payload cannot be inflated.
    Decompress(DecompressError),
    /// It deviates, and the reader is strict.
    Deviation(DatagramDeviation),
    /// It has no bytes.
    Empty,
    /// The payload has no bytes.
    EmptyPayload,
    /// The payload, put together or inflated, is a chunk.
    NestedChunk,
    /// The chunk does not go with those before it.
    Reassembly(ReassemblyError),
    /// The first bytes are those of no encoding.
    UnknownMagic,
}

impl fmt::Display for DatagramDeviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LegacyHeader => "1f 3c stands before the text",
            Self::SmallWindow => "zlib of a window of less than 32 KiB",
            Self::TrailingData => "something stands behind the compressed data",
        })
    }
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunk(error) => error.fmt(f),
            Self::Decompress(error) => error.fmt(f),
            Self::Deviation(deviation) => deviation.fmt(f),
            Self::Empty => f.write_str("an empty datagram"),
            Self::EmptyPayload => f.write_str("an empty payload"),
            Self::NestedChunk => f.write_str("a chunk within a message"),
            Self::Reassembly(error) => error.fmt(f),
            Self::UnknownMagic => f.write_str("the first bytes are neither JSON's nor those of an encoding"),
        }
    }
}

impl std::error::Error for DatagramError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Chunk(error) => Some(error),
            Self::Decompress(error) => Some(error),
            Self::Reassembly(error) => Some(error),
            Self::Deviation(_)
            | Self::Empty
            | Self::EmptyPayload
            | Self::NestedChunk
            | Self::UnknownMagic => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Chunker, DatagramSize};
    use crate::compress::{Compression, CompressionLevel, Compressor};
    use proptest::prelude::*;

    const PAYLOAD: &[u8] = br#"{"version":"1.1","host":"h","short_message":"m"}"#;

    fn read(reader: &mut DatagramReader<()>, datagram: &[u8]) -> Result<Option<Vec<u8>>, DatagramError> {
        reader.read(Instant::now(), (), datagram).map(|payload| payload.map(<[u8]>::to_vec))
    }

    fn read_new(datagram: &[u8]) -> Result<Option<Vec<u8>>, DatagramError> {
        read(&mut DatagramReader::default(), datagram)
    }

    fn chunk(number: u8, count: u8, payload: &[u8]) -> Vec<u8> {
        [&[0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, number, count], payload].concat()
    }

    #[test]
    fn every_encoding_whole_or_chunked_gives_the_payload() {
        let level = CompressionLevel::DEFAULT;
        for compression in [Compression::None, Compression::Gzip(level), Compression::Zlib(level)] {
            let mut compressor = Compressor::new(compression);
            let compressed = compressor.compress(PAYLOAD);
            for size in [13, 20, 64, 1420] {
                let mut reader = DatagramReader::default();
                let mut chunker = Chunker::new(DatagramSize::new(size).unwrap());
                let mut payloads = Vec::new();
                for datagram in chunker.split(compressed).unwrap() {
                    let mut wire = Vec::new();
                    datagram.write_to(&mut wire);
                    payloads.extend(read(&mut reader, &wire).unwrap());
                }
                assert_eq!(payloads, [PAYLOAD], "{compression:?} {size}");
                let stats = reader.stats();
                assert_eq!(stats.datagrams, stats.payloads + stats.chunks + stats.errors.total());
            }
        }
    }

    #[test]
    fn the_encoding_is_told_from_the_joined_bytes() {
        let gzip = Compressor::new(Compression::default()).compress(PAYLOAD).to_vec();
        let mut reader = DatagramReader::default();
        assert_eq!(read(&mut reader, &chunk(0, 2, &gzip[..1])), Ok(None));
        assert_eq!(read(&mut reader, &chunk(1, 2, &gzip[1..])), Ok(Some(PAYLOAD.to_vec())));
    }

    #[test]
    fn chunks_that_are_gzip_members_each_are_joined() {
        let mut compressor = Compressor::new(Compression::default());
        let members = [&PAYLOAD[..20], &PAYLOAD[20..]].map(|part| compressor.compress(part).to_vec());
        let mut reader = DatagramReader::default();
        assert_eq!(read(&mut reader, &chunk(0, 2, &members[0])), Ok(None));
        assert_eq!(read(&mut reader, &chunk(1, 2, &members[1])), Ok(Some(PAYLOAD.to_vec())));
    }

    #[test]
    fn a_chunk_within_a_message_is_refused_however_it_is_packed() {
        let inner = chunk(0, 1, PAYLOAD);
        assert_eq!(read_new(&chunk(0, 1, &inner)), Err(DatagramError::NestedChunk));
        let gzip = Compressor::new(Compression::default()).compress(&inner).to_vec();
        assert_eq!(read_new(&gzip), Err(DatagramError::NestedChunk));
    }

    #[test]
    fn nothing_is_an_error_and_not_a_message() {
        assert_eq!(read_new(b""), Err(DatagramError::Empty));
        assert_eq!(read_new(&chunk(0, 1, b"")), Err(DatagramError::EmptyPayload));
        let gzip = Compressor::new(Compression::default()).compress(b"").to_vec();
        assert_eq!(read_new(&gzip), Err(DatagramError::EmptyPayload));
    }

    #[test]
    fn unknown_first_bytes_are_refused_by_name() {
        for datagram in [&b"\x1e"[..], b"\x1f", b"\x78", b"\x1f\x00{}", b"\x78\x9d{}", b"\x28\xb5\x2f\xfd"] {
            assert_eq!(read_new(datagram), Err(DatagramError::UnknownMagic), "{datagram:x?}");
        }
    }

    #[test]
    fn a_bad_datagram_leaves_pending_messages_alone() {
        let mut reader = DatagramReader::default();
        assert_eq!(read(&mut reader, &chunk(0, 2, b"{")), Ok(None));
        assert!(read(&mut reader, &chunk(2, 2, b"x")).is_err());
        assert!(read(&mut reader, &chunk(1, 3, b"x")).is_err());
        assert!(read(&mut reader, b"").is_err());
        assert_eq!(read(&mut reader, &chunk(0, 2, b"{")), Ok(None));
        assert_eq!(read(&mut reader, &chunk(1, 2, b"}")), Ok(Some(b"{}".to_vec())));
        let stats = reader.stats();
        assert_eq!((stats.datagrams, stats.payloads, stats.chunks, stats.errors.total()), (6, 1, 2, 3));
        assert_eq!((stats.errors.chunk, stats.errors.reassembly, stats.errors.empty), (1, 1, 1));
    }

    /// What a lenient reader and a strict one make of a datagram.
    fn both(datagram: &[u8]) -> [Result<Option<Vec<u8>>, DatagramError>; 2] {
        let limits = DatagramLimits::default();
        [DatagramReader::lenient(limits), DatagramReader::strict(limits)]
            .map(|mut reader| read(&mut reader, datagram))
    }

    #[test]
    fn what_old_or_odd_senders_send_is_taken_and_counted_or_refused_by_name() {
        let gzip = Compressor::new(Compression::default()).compress(PAYLOAD).to_vec();
        let zlib = Compressor::new(Compression::Zlib(CompressionLevel::DEFAULT)).compress(PAYLOAD).to_vec();
        // The header says a window of 4 KiB; the text is shorter.
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
            let DatagramDeviationCounts { legacy_header, small_window, trailing_data } = stats.deviations;
            assert_eq!((legacy_header, small_window, trailing_data), counts);
            assert_eq!((stats.payloads, stats.errors.total()), (1, 0));
        }
        assert_eq!(both(b"\x1f\x3c"), [Err(DatagramError::EmptyPayload), Err(DatagramError::EmptyPayload)]);
    }

    #[test]
    fn chunks_that_contradict_each_other_end_the_message_for_a_strict_reader_only() {
        let limits = DatagramLimits::default();
        let sequence = [chunk(0, 2, b"{"), chunk(0, 2, b"["), chunk(1, 2, b"}")];
        let mut lenient = DatagramReader::lenient(limits);
        let read_all = |reader: &mut DatagramReader<()>| {
            sequence.iter().map(|datagram| read(reader, datagram)).collect::<Vec<_>>()
        };
        assert_eq!(read_all(&mut lenient), [Ok(None), Ok(None), Ok(Some(b"{}".to_vec()))]);
        let mut strict = DatagramReader::strict(limits);
        assert_eq!(read_all(&mut strict), [Ok(None), Ok(None), Ok(None)]);
        assert_eq!((strict.stats().reassembly.conflicts, strict.stats().reassembly.pending), (1, 1));
    }

    #[test]
    fn every_first_two_bytes_are_judged_alike_by_each_reader() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let datagram = [&[first, second], &PAYLOAD[2..]].concat();
                let [lenient, strict] = both(&datagram);
                let header = u16::from(first) * 256 + u16::from(second);
                match (first, second) {
                    // A count of 0x22 chunks, of which this is number 0x3a.
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
                    // To be refused by the decoder, unless it is JSON.
                    _ => assert_eq!(strict, Ok(Some(datagram))),
                }
                assert_eq!(lenient, strict, "{header:x}");
            }
        }
    }

    proptest! {
        #[test]
        fn each_datagram_is_counted_once_whatever_it_is(
            datagrams in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..20),
                    (0u8..4, 0u8..4, prop::collection::vec(any::<u8>(), 0..4))
                        .prop_map(|(number, count, part)| chunk(number, count, &part)),
                    Just(PAYLOAD.to_vec()),
                    Just(vec![0x1f, 0x3c, b'{']),
                ],
                0..60,
            ),
            strict: bool,
        ) {
            let limits = DatagramLimits::default();
            let mut reader =
                if strict { DatagramReader::strict(limits) } else { DatagramReader::lenient(limits) };
            let (mut payloads, mut errors) = (0, 0);
            for datagram in &datagrams {
                match read(&mut reader, datagram) {
                    Ok(payload) => payloads += u64::from(payload.is_some()),
                    Err(_) => errors += 1,
                }
            }
            let stats = reader.stats();
            prop_assert_eq!(stats.datagrams, datagrams.len() as u64);
            prop_assert_eq!((stats.payloads, stats.errors.total()), (payloads, errors));
            prop_assert_eq!(stats.datagrams, stats.payloads + stats.chunks + stats.errors.total());
        }
    }
}
