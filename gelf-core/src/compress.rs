//! Compression of whole payloads, before they are chunked.
//!
//! > GELF 1.1: a UDP payload may be uncompressed, GZIP'd or ZLIB'd; a receiver tells by the magic bytes. Over TCP
//! > there is no compression.

//!
//! The work is done by flate2, or by libdeflate with the feature of that name; what comes out differs in length alone.

#[cfg(not(feature = "libdeflate"))]
mod flate;
#[cfg(feature = "libdeflate")]
mod libdeflate;

use std::fmt;

#[cfg(not(feature = "libdeflate"))]
use flate::Deflate;
#[cfg(feature = "libdeflate")]
use libdeflate::Deflate;

/// Buffers larger than this are given back after the message that needed them.
const RETAINED_BYTES: usize = 256 * 1024;

/// How a payload is compressed.
#[allow(clippy::exhaustive_enums, reason = "GELF 1.1 has closed the list")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), which GELF calls its default and every reader of UDP takes.
    Gzip(CompressionLevel),
    /// zlib (RFC 1950). The header is always `78 9c`: Logstash's input knows no other.
    Zlib(CompressionLevel),
}

/// gzip at the default level.
impl Default for Compression {
    fn default() -> Self {
        Self::Gzip(CompressionLevel::DEFAULT)
    }
}

/// How hard to compress: 1, the fastest, to 9, the smallest.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CompressionLevel(u8);

impl CompressionLevel {
    /// 2: on log messages nearly as small as any higher level, at half the cost.
    pub const DEFAULT: Self = Self(2);

    /// The level with this number, 1 to 9.
    pub const fn new(level: u8) -> Option<Self> {
        if level >= 1 && level <= 9 { Some(Self(level)) } else { None }
    }

    /// The number, 1 to 9.
    pub const fn as_u8(self) -> u8 {
        self.0
    }
}

impl Default for CompressionLevel {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Which payloads are compressed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CompressWhen {
    /// All, the default: before its version 3.3.0, Logstash's input reads no plain payload.
    #[default]
    Always,
    /// Those that are longer than so many bytes and become shorter. With the size of a datagram, what fits one is sent
    /// as it is: two thirds of what containers write, at a tenth of the processor time.
    LongerThan(usize),
    /// Those that become shorter.
    Shorter,
}

/// Compresses payloads one after another, with one deflate state and one buffer for all of them.
///
/// ```
/// use gelf_core::{Compression, Compressor, Decompressor};
///
/// let payload = br#"{"version":"1.1","host":"h","short_message":"m"}"#;
/// let mut compressor = Compressor::new(Compression::default());
/// let gzip = compressor.compress(payload);
/// assert_eq!(gzip[..2], [0x1f, 0x8b]);
/// assert_eq!(Decompressor::default().decompress(gzip)?.bytes, payload);
/// # Ok::<(), gelf_core::DecompressError>(())
/// ```
pub struct Compressor {
    compression: Compression,
    when: CompressWhen,
    deflate: Option<Deflate>,
    /// Its length is how much was allocated, not how much the last payload filled.
    buffer: Vec<u8>,
    /// How much the last payload filled; nothing, if it goes out as it is.
    filled: Option<usize>,
}

impl Compressor {
    /// A compressor of this kind. The deflate state takes about 300 KiB; [`Compression::None`] has none.
    pub fn new(compression: Compression) -> Self {
        let deflate = (compression != Compression::None).then(|| Deflate::new(compression));
        Self { compression, when: CompressWhen::Always, deflate, buffer: Vec::new(), filled: None }
    }

    /// Sets which payloads it compresses.
    #[must_use]
    pub fn with_when(mut self, when: CompressWhen) -> Self {
        self.when = when;
        self
    }

    /// How it compresses.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Which payloads it compresses.
    pub fn when(&self) -> CompressWhen {
        self.when
    }

    /// The payload as it goes out: compressed; or itself, with [`Compression::None`] and where [`CompressWhen`] says so.
    ///
    /// The result is deterministic: gzip's time stamp is 0 and its system "unknown".
    pub fn compress<'a>(&'a mut self, payload: &'a [u8]) -> &'a [u8] {
        self.fill(payload);
        self.output(payload)
    }

    /// Compresses into the buffer.
    pub(crate) fn fill(&mut self, payload: &[u8]) {
        self.filled = None;
        let Some(deflate) = &mut self.deflate else { return };
        if matches!(self.when, CompressWhen::LongerThan(len) if payload.len() <= len) {
            return;
        }
        if self.buffer.len() > RETAINED_BYTES {
            self.buffer = Vec::new();
        }
        // Deflate of memory into memory has no way to fail; if it did, the plain payload is as good a message.
        let filled = deflate.compress(self.compression, payload, &mut self.buffer);
        self.filled = filled.filter(|len| self.when == CompressWhen::Always || *len < payload.len());
    }

    /// Lets the payload go out as it is.
    pub(crate) fn skip(&mut self) {
        self.filled = None;
    }

    /// What `fill` has made of this payload.
    pub(crate) fn output<'a>(&'a self, payload: &'a [u8]) -> &'a [u8] {
        self.filled.and_then(|len| self.buffer.get(..len)).unwrap_or(payload)
    }
}

/// Without the state and the buffer.
impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("compression", &self.compression)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decompress::Decompressor;
    use proptest::prelude::*;

    const PAYLOAD: &[u8] = br#"{"version":"1.1","host":"h","short_message":"m"}"#;

    fn every_kind() -> impl Iterator<Item = Compression> {
        (1..=9)
            .filter_map(CompressionLevel::new)
            .flat_map(|level| [Compression::Gzip(level), Compression::Zlib(level)])
    }

    #[test]
    fn zlib_starts_with_78_9c_at_every_level() {
        for compression in every_kind().filter(|kind| matches!(kind, Compression::Zlib(_))) {
            assert_eq!(Compressor::new(compression).compress(PAYLOAD)[..2], [0x78, 0x9c], "{compression:?}");
        }
    }

    #[test]
    fn gzip_has_no_time_and_no_system_so_that_it_is_deterministic() {
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
        assert_eq!(CompressionLevel::new(9).unwrap().as_u8(), 9);
    }

    #[test]
    fn what_does_not_get_shorter_is_sent_plain_where_that_is_asked_for() {
        let level = CompressionLevel::DEFAULT;
        for compression in [Compression::Gzip(level), Compression::Zlib(level)] {
            let mut compressor = Compressor::new(compression);
            assert_ne!(compressor.compress(b"{}"), b"{}");
            let mut compressor = Compressor::new(compression).with_when(CompressWhen::Shorter);
            assert_eq!(compressor.compress(b"{}"), b"{}");
            let repetitive = PAYLOAD.repeat(4);
            assert!(compressor.compress(&repetitive).len() < PAYLOAD.len() + 40);
            assert_eq!(compressor.compress(b"{}"), b"{}");
        }
    }

    #[test]
    fn what_fits_one_datagram_is_sent_plain_where_that_is_asked_for() {
        let when = CompressWhen::LongerThan(1420);
        let mut compressor = Compressor::new(Compression::default()).with_when(when);
        assert_eq!(compressor.when(), when);
        assert_eq!(compressor.compress(&[b'a'; 1420]), [b'a'; 1420]);
        assert_eq!(compressor.compress(&[b'a'; 1421])[..2], [0x1f, 0x8b]);
        let mut random = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        })
        .take(1421)
        .collect();
        assert_eq!(compressor.compress(&noise), noise);
    }

    #[test]
    fn none_hands_the_payload_through() {
        assert_eq!(Compressor::new(Compression::None).compress(PAYLOAD), PAYLOAD);
    }

    #[test]
    fn a_huge_payload_does_not_pin_its_buffer() {
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
        assert!(compressor.buffer.capacity() <= RETAINED_BYTES, "{}", compressor.buffer.capacity());
    }

    proptest! {
        #[test]
        fn what_one_state_compresses_in_a_row_inflates_to_the_same(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..5),
            kind in 0usize..18,
        ) {
            let compression = every_kind().nth(kind).unwrap();
            let mut compressor = Compressor::new(compression);
            let mut decompressor = Decompressor::default();
            for payload in &payloads {
                let compressed = compressor.compress(payload);
                let inflated = decompressor.decompress(compressed).unwrap();
                prop_assert_eq!(inflated.bytes, &payload[..]);
                prop_assert_eq!(inflated.trailing, 0);
            }
        }
    }
}
