//! Compression of whole payloads, before they are chunked.
//!
//! > GELF 1.1: a UDP payload may be uncompressed, GZIP'd or ZLIB'd; a receiver tells by the magic bytes. Over TCP
//! > there is no compression.

use flate2::{Compress, Crc, FlushCompress, Status};

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
#[derive(Debug)]
pub struct Compressor {
    compression: Compression,
    deflate: Option<Compress>,
    /// Its length is how much was allocated, not how much the last payload filled.
    buffer: Vec<u8>,
}

impl Compressor {
    /// A compressor of this kind. The deflate state takes about 300 KiB; [`Compression::None`] has none.
    pub fn new(compression: Compression) -> Self {
        let deflate = match compression {
            Compression::None => None,
            Compression::Gzip(level) => Some(Compress::new(flate2::Compression::new(level.0.into()), false)),
            Compression::Zlib(level) => Some(Compress::new(flate2::Compression::new(level.0.into()), true)),
        };
        Self { compression, deflate, buffer: Vec::new() }
    }

    /// How it compresses.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The compressed payload; with [`Compression::None`] the payload itself.
    ///
    /// The result is deterministic: gzip's time stamp is 0 and its system "unknown".
    pub fn compress<'a>(&'a mut self, payload: &'a [u8]) -> &'a [u8] {
        // Deflate of memory into memory has no way to fail; if it did, the plain payload is as good a message.
        match self.deflate(payload) {
            Some(len) => self.buffer.get(..len).unwrap_or(payload),
            None => payload,
        }
    }

    fn deflate(&mut self, payload: &[u8]) -> Option<usize> {
        let state = self.deflate.as_mut()?;
        if self.buffer.len() > RETAINED_BYTES {
            self.buffer = Vec::new();
        }
        state.reset();
        let mut len = 0;
        if let Compression::Gzip(level) = self.compression {
            len = write(&mut self.buffer, 0, &gzip_header(level));
        }
        let start = len;
        loop {
            let consumed = usize::try_from(state.total_in()).ok()?;
            len = start + usize::try_from(state.total_out()).ok()?;
            let rest = payload.get(consumed..)?;
            grow(&mut self.buffer, len, rest.len() / 2 + 64);
            match state.compress(rest, self.buffer.get_mut(len..)?, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => break,
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => return None,
            }
        }
        len = start + usize::try_from(state.total_out()).ok()?;
        match self.compression {
            Compression::None => None,
            Compression::Gzip(_) => {
                let mut checksum = Crc::new();
                checksum.update(payload);
                len = write(&mut self.buffer, len, &checksum.sum().to_le_bytes());
                // gzip's ISIZE is the length modulo 2^32.
                Some(write(&mut self.buffer, len, &(payload.len() as u32).to_le_bytes()))
            }
            Compression::Zlib(_) => {
                // The second byte holds the level, for information only, and a checksum over the two.
                *self.buffer.get_mut(1)? = 0x9c;
                Some(len)
            }
        }
    }
}

/// Magic, deflate, no flags, no time, a hint at the level, system unknown.
fn gzip_header(level: CompressionLevel) -> [u8; 10] {
    let hint = match level.0 {
        1 => 4,
        9 => 2,
        _ => 0,
    };
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, hint, 0xff]
}

/// Makes room for `more` bytes after `len`; what is there already stays allocated, and is not cleared again.
fn grow(buffer: &mut Vec<u8>, len: usize, more: usize) {
    if buffer.len() < len + more {
        buffer.resize(len + more, 0);
    }
}

fn write(buffer: &mut Vec<u8>, at: usize, bytes: &[u8]) -> usize {
    grow(buffer, at, bytes.len());
    if let Some(room) = buffer.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
    at + bytes.len()
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
            assert_eq!(first[9], 0xff);
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
