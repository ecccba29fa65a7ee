//! Decompresses whole payloads, with a limit on the output.

use std::fmt;

use super::inflate::{DecompressError, InflateFormat, Inflater};

/// The maximum size, in bytes, of a buffer that is kept for the next payload. A larger buffer is freed.
const RETAINED_BYTES: usize = 256 * 1024;

/// Inflates gzip and zlib payloads one after another, with one state and one buffer for all of them.
pub struct Decompressor {
    limit: usize,
    inflater: Inflater,
    /// The output buffer, which may be longer than the last output.
    buffer: Vec<u8>,
    /// The length of the last output, which is at the beginning of the buffer.
    len: usize,
}

/// Creates a decompressor with [`Decompressor::DEFAULT_LIMIT`].
impl Default for Decompressor {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

impl Decompressor {
    /// The default limit: 8 MiB, the same as Graylog's `decompress_size_limit`. The output of a decompression bomb
    /// takes at most 8 MiB and one byte of memory, and 1/32 more while the buffer grows for the last time.
    pub const DEFAULT_LIMIT: usize = 8 * 1024 * 1024;

    /// Creates a decompressor that fails on a payload if the inflated payload has more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, inflater: Inflater::gzip(limit), buffer: Vec::new(), len: 0 }
    }

    /// Inflates a payload: gzip of one or several members (RFC 1952, section 2.2), or zlib.
    ///
    /// # Errors
    /// Returns a [`DecompressError`], such as [`Header`](DecompressError::Header) if the payload is neither
    /// gzip nor zlib. A payload that causes an error has no output.
    pub fn decompress(&mut self, payload: &[u8]) -> Result<&[u8], DecompressError> {
        self.fill(payload)?;
        Ok(self.output())
    }

    /// Returns the number of bytes behind the compressed data of the last payload. Java's and Ruby's readers
    /// ignore such bytes.
    pub fn trailing(&self) -> usize {
        self.inflater.trailing()
    }

    /// Inflates a payload into the buffer.
    #[allow(clippy::indexing_slicing, reason = "`len` is never more than the buffer's length")]
    pub(crate) fn fill(&mut self, payload: &[u8]) -> Result<(), DecompressError> {
        let Self { limit, inflater, buffer, len: output } = self;
        *output = 0;
        if buffer.len() > RETAINED_BYTES {
            *buffer = Vec::new();
        }
        // The reset comes before any error, so that `trailing` never counts bytes of an earlier payload.
        inflater.reset(match payload {
            [0x1f, 0x8b, ..] => InflateFormat::Gzip,
            _ => InflateFormat::Zlib,
        });
        if payload.len() < 2 {
            return Err(DecompressError::Header);
        }
        let (mut rest, mut len) = (payload, 0);
        loop {
            if buffer.len() == len {
                grow(buffer, rest.len(), *limit);
            }
            match inflater.inflate(&mut rest, &mut buffer[len..])? {
                0 => break,
                more => len += more,
            }
        }
        inflater.finish()?;
        *output = len;
        Ok(())
    }

    /// Returns the output of the last payload, which is empty after an error.
    pub(crate) fn output(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

/// Extends a full buffer in proportion to the output so far and to the rest of the input. A size that the input
/// claims, such as gzip's ISIZE, has no influence.
fn grow(buffer: &mut Vec<u8>, rest: usize, limit: usize) {
    let len = buffer.len();
    // The buffer can exceed the limit by one byte. This byte shows that there is more output.
    let room = limit.saturating_add(1).saturating_sub(len);
    let more = len.max(rest.saturating_mul(2)).max(4096).min(room);
    if buffer.capacity() - len < more {
        // An allocator may copy a buffer that grows, and then both copies take memory. Therefore a buffer that
        // becomes large gets up to 64 times the memory in one step, so that the old copy is small. The system
        // provides memory only when it is written.
        let is_large = len + more > RETAINED_BYTES;
        let by_far = if is_large { len.max(more).saturating_mul(64).min(room) } else { 0 };
        // Reserve exactly, since a vector that doubles would exceed the limit.
        buffer.reserve_exact(more.max(by_far));
    }
    buffer.resize(len + more, 0);
}

/// Omits the buffer.
impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::compress::{Compression, Compressor};

    const PAYLOAD: &[u8] = br#"{"version":"1.1","host":"h","short_message":"m"}"#;
    const ZLIB_BODY: &str =
        "ab562a4b2d2acecccf53b25232d43354d251cac82f2e01723280cce28cfca292f8dcd4e2e2c4f454a058ae522d00";
    const GZIP_TRAILER: &str = "09fc93f630000000";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn zlib(header: &str) -> Vec<u8> {
        hex(&format!("{header}{ZLIB_BODY}70550f34"))
    }

    fn gzip(header: &str) -> Vec<u8> {
        hex(&format!("{header}{ZLIB_BODY}{GZIP_TRAILER}"))
    }

    fn inflate(payload: &[u8]) -> Result<(Vec<u8>, usize), DecompressError> {
        let mut decompressor = Decompressor::default();
        let bytes = decompressor.decompress(payload)?.to_vec();
        Ok((bytes, decompressor.trailing()))
    }

    #[test]
    fn the_checksum_of_a_gzip_header_is_checked() {
        assert_eq!(inflate(&gzip("1f8b081e0000000000ff02007879610063009c5e")), Ok((PAYLOAD.to_vec(), 0)));
        let wrong = gzip("1f8b081e0000000000ff02007879610063009c5f");
        assert_eq!(inflate(&wrong), Err(DecompressError::Checksum));
    }

    #[test]
    fn trailing_bytes_are_counted() {
        assert_eq!(inflate(&[zlib("789c"), b"xx".to_vec()].concat()), Ok((PAYLOAD.to_vec(), 2)));
        assert_eq!(
            inflate(&[gzip("1f8b08000000000000ff"), b"xyz".to_vec()].concat()),
            Ok((PAYLOAD.to_vec(), 3))
        );
        for behind in [&b"\x1f"[..], b"\x1fx", b"\x1fxy", b"x\x1f\x8b"] {
            let payload = [&gzip("1f8b08000000000000ff"), behind].concat();
            assert_eq!(inflate(&payload), Ok((PAYLOAD.to_vec(), behind.len())), "{behind:x?}");
        }
    }

    #[test]
    fn a_payload_without_a_header_has_no_trailing_bytes() {
        let mut decompressor = Decompressor::default();
        for short in [&b""[..], b"\x1f"] {
            decompressor.decompress(&[zlib("789c"), b"xx".to_vec()].concat()).unwrap();
            assert_eq!(decompressor.trailing(), 2);
            assert_eq!(decompressor.decompress(short), Err(DecompressError::Header));
            assert_eq!(decompressor.trailing(), 0, "{short:x?}");
        }
    }

    #[test]
    fn a_payload_beyond_the_limit_is_an_error() {
        let mut compressor = Compressor::new(Compression::default());
        let mut decompressor = Decompressor::new(1000);
        assert_eq!(decompressor.decompress(compressor.compress(&[b'a'; 1000])).unwrap().len(), 1000);
        let error = DecompressError::LimitExceeded { limit: 1000 };
        assert_eq!(decompressor.decompress(compressor.compress(&[b'a'; 1001])), Err(error));
        let members =
            [compressor.compress(&[b'a'; 600]).to_vec(), compressor.compress(&[b'a'; 600]).to_vec()];
        assert_eq!(decompressor.decompress(&members.concat()), Err(error));
        assert_eq!(decompressor.decompress(compressor.compress(b"after")).unwrap(), b"after");
    }

    #[test]
    fn a_buffer_that_is_copied_while_it_grows_has_at_most_a_thirty_second_of_the_limit() {
        const KIB: usize = 1024;
        let limit = Decompressor::DEFAULT_LIMIT;
        for rest in [0, KIB, 63 * KIB, 64 * KIB, 64 * KIB + 1, 128 * KIB, 1024 * KIB, 2048 * KIB, 8192 * KIB]
        {
            let mut buffer = Vec::new();
            while buffer.len() <= limit {
                let (len, capacity) = (buffer.len(), buffer.capacity());
                grow(&mut buffer, rest, limit);
                assert!(buffer.capacity() == capacity || len <= limit / 32, "{rest}: {len}");
            }
            assert!(buffer.capacity() == limit + 1, "{rest}: {}", buffer.capacity());
        }
    }

    #[test]
    fn the_buffer_of_a_bomb_exceeds_the_limit_by_at_most_one_byte() {
        let bomb = Compressor::new(Compression::default()).compress(&vec![b'a'; 64 << 20]).to_vec();
        let mut decompressor = Decompressor::default();
        let limit = Decompressor::DEFAULT_LIMIT;
        assert_eq!(decompressor.decompress(&bomb), Err(DecompressError::LimitExceeded { limit }));
        let taken = decompressor.buffer.capacity();
        assert!(taken <= limit + 1, "the buffer has {taken} bytes");
    }
}
