//! Compresses whole payloads, before they are chunked.
//!
//! > GELF 1.1: a UDP payload may be uncompressed, GZIP'd or ZLIB'd; a receiver recognizes the compression by
//! > the magic bytes. Over TCP there is no compression.

use std::fmt;
use std::str::FromStr;

use flate2::{Compress, Crc, FlushCompress, Status};

use super::primed::{self, Format, Primed};

/// The maximum capacity, in bytes, of a buffer that is kept for the next payload. A larger buffer is freed.
const RETAINED_BYTES: usize = 256 * 1024;

/// The compression of a payload.
///
/// ```
/// use gelf_core::Compression;
///
/// assert_eq!("gzip".parse(), Ok(Compression::default()));
/// assert_eq!("none".parse(), Ok(Compression::None));
/// ```
#[allow(clippy::exhaustive_enums, reason = "GELF 1.1 defines all of them")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Compression {
    /// No compression.
    None,
    /// gzip (RFC 1952), the default. Every known reader of GELF over UDP accepts gzip, except Fluent Bit's UDP
    /// input, which reads only plain payloads.
    Gzip(CompressionLevel),
    /// zlib (RFC 1950). The header is always `78 9c`, since Logstash's input accepts no other.
    Zlib(CompressionLevel),
}

/// Returns gzip at the default level.
impl Default for Compression {
    fn default() -> Self {
        Self::Gzip(CompressionLevel::DEFAULT)
    }
}

/// Parses `none`, `gzip` or `zlib`. For gzip and zlib, the level is [`CompressionLevel::DEFAULT`].
impl FromStr for Compression {
    type Err = InvalidCompression;

    fn from_str(text: &str) -> Result<Self, InvalidCompression> {
        match text {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip(CompressionLevel::DEFAULT)),
            "zlib" => Ok(Self::Zlib(CompressionLevel::DEFAULT)),
            _ => Err(InvalidCompression(())),
        }
    }
}

/// The error for a text that is not the name of a [`Compression`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidCompression(());

impl fmt::Display for InvalidCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the compression is not none, gzip or zlib")
    }
}

impl std::error::Error for InvalidCompression {}

/// The compression level: a number from 1 (the fastest of the numbers) to 9 (the smallest output), or the default,
/// which has no number and is faster than 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CompressionLevel(u8);

impl CompressionLevel {
    /// The level for messages. It takes less than a sixth of the processor time of level 2, and its output is
    /// about a twentieth longer.
    ///
    /// Many messages begin alike, such as those of one [`FieldSet`](crate::FieldSet). At this level, a
    /// [`Compressor`] keeps the compressed form of these beginnings, and Huffman codes that fit earlier
    /// messages. The output for a payload therefore depends on the payloads before it. A payload of more than
    /// 16 KiB is compressed at level 2.
    pub const DEFAULT: Self = Self(0);

    /// The level for payloads that are too long for the default level.
    const LONG_PAYLOADS: Self = Self(2);

    /// Returns the level with this number, 1 to 9. Returns `None` for any other number.
    pub const fn new(level: u8) -> Option<Self> {
        if level >= 1 && level <= 9 { Some(Self(level)) } else { None }
    }

    /// Returns the number, 1 to 9. Returns `None` for [`CompressionLevel::DEFAULT`].
    pub const fn number(self) -> Option<u8> {
        if self.0 == 0 { None } else { Some(self.0) }
    }
}

/// Returns [`CompressionLevel::DEFAULT`].
impl Default for CompressionLevel {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Compresses payloads one after another, with one state and one buffer for all of them.
///
/// ```
/// use gelf_core::{Compression, wire::{Compressor, Decompressor}};
///
/// let payload = br#"{"version":"1.1","host":"h","short_message":"m"}"#;
/// let mut compressor = Compressor::new(Compression::default());
/// let gzip = compressor.compress(payload);
/// assert_eq!(gzip[..2], [0x1f, 0x8b]);
/// assert_eq!(Decompressor::default().decompress(gzip)?, payload);
/// # Ok::<(), gelf_core::wire::DecompressError>(())
/// ```
pub struct Compressor {
    compression: Compression,
    /// The state of the default level.
    primed: Option<Box<Primed>>,
    /// The state of a level with a number. At the default level, the first long payload creates this state.
    deflate: Option<Compress>,
    buffer: Vec<u8>,
    /// The length of the compressed payload at the beginning of the buffer. `None` if the payload is sent
    /// plain.
    filled: Option<usize>,
}

impl Compressor {
    /// Creates a compressor. [`Compression::None`] needs no state.
    ///
    /// A level with a number takes about 300 KiB of memory for its deflate state. The default level takes
    /// this memory only if a payload is longer than 16 KiB. In addition, the default level keeps at most 512
    /// beginnings of messages, of at most 4 KiB each. A beginning of 1 KiB takes about 10 KiB of memory, and one of
    /// 4 KiB about 20 KiB.
    pub fn new(compression: Compression) -> Self {
        let mut new = Self { compression, primed: None, deflate: None, buffer: Vec::new(), filled: None };
        match new.method() {
            None => {}
            Some((format, CompressionLevel::DEFAULT)) => new.primed = Some(Box::new(Primed::new(format))),
            Some((format, level)) => new.deflate = Some(deflate(level, format)),
        }
        new
    }

    /// Returns the compression.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Returns the compressed payload, or the payload itself with [`Compression::None`].
    ///
    /// At a level with a number, the output depends on the payload alone. The header of gzip always has the
    /// time stamp 0 and the operating system "unknown".
    pub fn compress<'a>(&'a mut self, payload: &'a [u8]) -> &'a [u8] {
        self.fill(payload);
        self.output(payload)
    }

    /// Compresses the payload into the buffer.
    pub(crate) fn fill(&mut self, payload: &[u8]) {
        self.filled = None;
        let Some((format, _)) = self.method() else { return };
        if self.buffer.capacity() > RETAINED_BYTES {
            self.buffer = Vec::new();
        }
        if let Some(primed) = self.primed.as_mut().filter(|_| payload.len() <= primed::MAX_PAYLOAD) {
            self.filled = Some(primed.compress(payload, &mut self.buffer));
            return;
        }
        let state = self.deflate.get_or_insert_with(|| deflate(CompressionLevel::LONG_PAYLOADS, format));
        // Compression in memory does not fail. If it failed, the plain payload would be a valid message, too.
        self.filled = fill(state, self.compression, payload, &mut self.buffer);
    }

    /// Discards the compressed payload, so that `output` returns the plain payload.
    pub(crate) fn discard(&mut self) {
        self.filled = None;
    }

    /// Returns the output of `fill` for this payload.
    pub(crate) fn output<'a>(&'a self, payload: &'a [u8]) -> &'a [u8] {
        self.filled.and_then(|len| self.buffer.get(..len)).unwrap_or(payload)
    }

    /// Returns the format and the level, or `None` for [`Compression::None`].
    fn method(&self) -> Option<(Format, CompressionLevel)> {
        match self.compression {
            Compression::None => None,
            Compression::Gzip(level) => Some((Format::Gzip, level)),
            Compression::Zlib(level) => Some((Format::Zlib, level)),
        }
    }
}

/// Creates the deflate state of a level.
fn deflate(level: CompressionLevel, format: Format) -> Compress {
    Compress::new(flate2::Compression::new(level.0.into()), format == Format::Zlib)
}

/// Clears the buffer and compresses the payload into it. Returns the length, or `None` if the compression
/// fails.
fn fill(
    deflate: &mut Compress,
    compression: Compression,
    payload: &[u8],
    buffer: &mut Vec<u8>,
) -> Option<usize> {
    deflate.reset();
    buffer.clear();
    if let Compression::Gzip(level) = compression {
        buffer.extend_from_slice(&gzip_header(level));
    }
    loop {
        let rest = payload.get(usize::try_from(deflate.total_in()).ok()?..)?;
        buffer.reserve(rest.len() / 2 + 64);
        match deflate.compress_vec(rest, buffer, FlushCompress::Finish).ok()? {
            Status::StreamEnd => break,
            Status::Ok | Status::BufError => {}
        }
    }
    match compression {
        Compression::None => return None,
        Compression::Gzip(_) => {
            let mut checksum = Crc::new();
            checksum.update(payload);
            buffer.extend_from_slice(&checksum.sum().to_le_bytes());
            // gzip's ISIZE is the length modulo 2^32.
            buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        }
        Compression::Zlib(_) => {
            // The second byte of the header has the level, which no reader needs, and a checksum of the
            // header. Logstash's input accepts only 9c.
            let [_, flags, ..] = buffer.as_mut_slice() else { return None };
            *flags = 0x9c;
        }
    }
    Some(buffer.len())
}

/// Returns a gzip header: the magic bytes, the method deflate, no flags, no time, a hint at the level, and
/// the operating system "unknown".
fn gzip_header(level: CompressionLevel) -> [u8; 10] {
    let hint = match level.0 {
        1 => 4,
        9 => 2,
        _ => 0,
    };
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, hint, 0xff]
}

/// Omits the state and the buffer.
impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("compression", &self.compression).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decompress::Decompressor;
    use proptest::prelude::*;

    const PAYLOAD: &[u8] = br#"{"version":"1.1","host":"h","short_message":"m"}"#;

    fn every_kind() -> impl Iterator<Item = Compression> {
        (1..=9)
            .filter_map(CompressionLevel::new)
            .chain([CompressionLevel::DEFAULT])
            .flat_map(|level| [Compression::Gzip(level), Compression::Zlib(level)])
    }

    #[test]
    fn zlib_starts_with_78_9c_at_every_level() {
        for compression in every_kind().filter(|kind| matches!(kind, Compression::Zlib(_))) {
            assert_eq!(Compressor::new(compression).compress(PAYLOAD)[..2], [0x78, 0x9c], "{compression:?}");
        }
    }

    #[test]
    fn gzip_has_neither_time_nor_system_and_a_second_output_equals_the_first() {
        for compression in every_kind().filter(|kind| matches!(kind, Compression::Gzip(_))) {
            let mut compressor = Compressor::new(compression);
            let first = compressor.compress(PAYLOAD).to_vec();
            assert_eq!(first[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
            assert_eq!(first[9], 0xff, "{compression:?}");
            assert_eq!(compressor.compress(PAYLOAD), first);
        }
    }

    #[test]
    fn levels_are_1_to_9() {
        assert_eq!(CompressionLevel::new(0), None);
        assert_eq!(CompressionLevel::new(10), None);
        assert_eq!(CompressionLevel::new(9).unwrap().number(), Some(9));
        assert_eq!(CompressionLevel::DEFAULT.number(), None);
    }

    #[test]
    fn a_short_payload_is_compressed_although_it_gets_longer() {
        let mut compressor = Compressor::new(Compression::default());
        assert!(compressor.compress(b"{}").len() > 2);
    }

    #[test]
    fn names_are_parsed() {
        assert_eq!("zlib".parse(), Ok(Compression::Zlib(CompressionLevel::DEFAULT)));
        let error = "zstd".parse::<Compression>().unwrap_err();
        assert_eq!(error.to_string(), "the compression is not none, gzip or zlib");
    }

    #[test]
    fn without_compression_the_payload_is_returned() {
        assert_eq!(Compressor::new(Compression::None).compress(PAYLOAD), PAYLOAD);
    }

    #[test]
    fn the_buffer_of_a_huge_payload_is_freed() {
        let mut compressor = Compressor::new(Compression::default());
        let mut random = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        })
        .take(4 << 20)
        .collect();
        assert!(compressor.compress(&noise).len() > 4 << 20);
        assert!(compressor.compress(PAYLOAD).len() < 100);
        let kept = compressor.buffer.capacity();
        assert!(kept <= RETAINED_BYTES, "the buffer has {kept} bytes");
    }

    proptest! {
        #[test]
        fn payloads_compressed_with_one_state_inflate_to_the_same(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..5),
            kind in 0usize..20,
        ) {
            let compression = every_kind().nth(kind).unwrap();
            let mut compressor = Compressor::new(compression);
            let mut decompressor = Decompressor::default();
            for payload in &payloads {
                let compressed = compressor.compress(payload);
                let inflated = decompressor.decompress(compressed).unwrap();
                prop_assert_eq!(inflated, &payload[..]);
                prop_assert_eq!(decompressor.trailing(), 0);
            }
        }
    }
}
