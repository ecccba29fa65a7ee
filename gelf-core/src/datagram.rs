//! The whole way of a datagram: look at its first bytes, put chunks together, inflate, hand out the payload.

use std::fmt;
use std::hash::Hash;
use std::time::Instant;

use crate::chunk::{ChunkHeader, InvalidChunk};
use crate::decompress::{DecompressError, Decompressor, Encoding};
use crate::reassemble::{Progress, Reassembler, ReassemblyError, ReassemblyLimits, ReassemblyStats};

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
    reassembler: Reassembler<S>,
    decompressor: Decompressor,
    stats: DatagramStats,
}

/// What a [`DatagramReader`] has done so far: `datagrams = payloads + errors + chunks` that completed nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramStats {
    /// Datagrams taken.
    pub datagrams: u64,
    /// Payloads handed out.
    pub payloads: u64,
    /// Datagrams that ended in an error.
    pub errors: u64,
    /// Chunks that were taken and completed no message, repeated ones included.
    pub chunks: u64,
    /// Payloads behind whose compressed data other bytes stood, which were ignored.
    pub trailing: u64,
    /// What the reassembler has done.
    pub reassembly: ReassemblyStats,
}

impl<S: Clone + Eq + Hash> Default for DatagramReader<S> {
    fn default() -> Self {
        Self::new(DatagramLimits::default())
    }
}

impl<S: Clone + Eq + Hash> DatagramReader<S> {
    /// A reader with these limits.
    pub fn new(limits: DatagramLimits) -> Self {
        Self {
            reassembler: Reassembler::new(limits.reassembly),
            decompressor: Decompressor::new(limits.max_payload_bytes),
            stats: DatagramStats::default(),
        }
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
        let Self { reassembler, decompressor, stats } = self;
        stats.datagrams += 1;
        let payload = read(reassembler, decompressor, now, source, datagram);
        match &payload {
            Ok(Some((_, trailing))) => {
                stats.payloads += 1;
                stats.trailing += u64::from(*trailing > 0);
            }
            Ok(None) => stats.chunks += 1,
            Err(_) => stats.errors += 1,
        }
        payload.map(|payload| payload.map(|(bytes, _)| bytes))
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

/// The payload, and how many bytes stood behind its compressed data.
fn read<'a, S: Clone + Eq + Hash>(
    reassembler: &'a mut Reassembler<S>,
    decompressor: &'a mut Decompressor,
    now: Instant,
    source: S,
    datagram: &'a [u8],
) -> Result<Option<(&'a [u8], usize)>, DatagramError> {
    if datagram.is_empty() {
        return Err(DatagramError::Empty);
    }
    let mut payload = datagram;
    if Encoding::sniff(datagram) == Encoding::Chunk {
        let (header, part) = ChunkHeader::parse(datagram).map_err(DatagramError::Chunk)?;
        match reassembler.handle_chunk(now, source, header, part).map_err(DatagramError::Reassembly)? {
            Progress::Complete(message) => payload = message,
            Progress::Duplicate { .. } | Progress::Pending => return Ok(None),
        }
    }
    let mut trailing = 0;
    match Encoding::sniff(payload) {
        Encoding::Plain => {}
        Encoding::Gzip | Encoding::Zlib => {
            let inflated = decompressor.decompress(payload).map_err(DatagramError::Decompress)?;
            (payload, trailing) = (inflated.bytes, inflated.trailing);
        }
        Encoding::Chunk => return Err(DatagramError::NestedChunk),
        Encoding::Unknown => return Err(DatagramError::UnknownMagic),
    }
    match Encoding::sniff(payload) {
        Encoding::Chunk => Err(DatagramError::NestedChunk),
        _ if payload.is_empty() => Err(DatagramError::EmptyPayload),
        _ => Ok(Some((payload, trailing))),
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

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunk(error) => error.fmt(f),
            Self::Decompress(error) => error.fmt(f),
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
            Self::Empty | Self::EmptyPayload | Self::NestedChunk | Self::UnknownMagic => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Chunker, DatagramSize};
    use crate::compress::{Compression, CompressionLevel, Compressor};

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
                assert_eq!(stats.datagrams, stats.payloads + stats.chunks + stats.errors);
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
        for datagram in [&b"\x1e"[..], b"\x1f", b"\x78", b"\x1f\x3c{}", b"\x28\xb5\x2f\xfd"] {
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
        assert_eq!((stats.datagrams, stats.payloads, stats.chunks, stats.errors), (6, 1, 2, 3));
    }
}
