//! Decompression of whole payloads, with a cap on what comes out.
//!
//! One 64 KiB datagram can inflate to 67 MB, and 128 chunks to a gigabyte. So the output stops at a limit, with an
//! error and not with a cut message; and nothing is allocated because a header claims a size.

use std::fmt;

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Buffers larger than this are given back after the payload that needed them.
const RETAINED_BYTES: usize = 256 * 1024;

/// What a payload or datagram is, by its first bytes (GELF: "magic bytes").
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Encoding {
    /// `1e 0f`: a chunk of a message.
    Chunk,
    /// `1f 8b`: gzip.
    Gzip,
    /// Anything else, to be read as JSON text.
    Plain,
    /// The beginning of none of the others: `1e`, `1f` or `78` with a wrong second byte, or Zstandard, which no
    /// reader of GELF takes.
    Unknown,
    /// `78` and a second byte that completes a zlib header: the two, as a big-endian number, divide by 31.
    Zlib,
}

impl Encoding {
    /// Looks at the first bytes; any length will do.
    pub fn sniff(bytes: &[u8]) -> Self {
        match bytes {
            [0x1e, 0x0f, ..] => Self::Chunk,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x78, second, ..] if (0x7800 + u16::from(*second)) % 31 == 0 => Self::Zlib,
            [0x1e | 0x1f | 0x78, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Unknown,
            _ => Self::Plain,
        }
    }
}

/// Inflates gzip and zlib payloads one after another, with one state and one buffer for all of them.
#[derive(Debug)]
pub struct Decompressor {
    limit: usize,
    inflate: Decompress,
    /// Its length is how much was allocated, not how much the last payload filled.
    buffer: Vec<u8>,
}

/// A payload that was inflated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Inflated<'a> {
    /// The payload.
    pub bytes: &'a [u8],
    /// How many bytes stood behind the compressed data; Java's and Ruby's readers ignore them.
    pub trailing: usize,
}

/// Inflates up to [`Decompressor::DEFAULT_LIMIT`].
impl Default for Decompressor {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

impl Decompressor {
    /// 8 MiB, as Graylog's `decompress_size_limit`: a decompression bomb costs no more memory than this.
    pub const DEFAULT_LIMIT: usize = 8 * 1024 * 1024;

    /// A decompressor that fails on a payload of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, inflate: Decompress::new(false), buffer: Vec::new() }
    }

    /// Inflates a payload: gzip of one or several members (RFC 1952, section 2.2), or zlib.
    ///
    /// # Errors
    /// [`DecompressError::Header`] for what is neither, and the others as they say. Nothing is given out of a
    /// payload that fails.
    pub fn decompress<'a>(&'a mut self, payload: &'a [u8]) -> Result<Inflated<'a>, DecompressError> {
        if self.buffer.len() > RETAINED_BYTES {
            self.buffer = Vec::new();
        }
        let (len, trailing) = match payload {
            [0x1f, 0x8b, ..] => self.gunzip(payload)?,
            _ => self.unzlib(payload)?,
        };
        Ok(Inflated { bytes: self.buffer.get(..len).unwrap_or_default(), trailing })
    }

    fn gunzip(&mut self, payload: &[u8]) -> Result<(usize, usize), DecompressError> {
        let mut rest = payload;
        let mut len = 0;
        // What follows a member and does not begin as one is not compressed data.
        while rest.starts_with(&[0x1f, 0x8b]) {
            let body = skip_gzip_header(rest)?;
            let (end, consumed) = self.inflate(body, len)?;
            let trailer = body.get(consumed..).unwrap_or_default();
            let (trailer, next) = trailer.split_first_chunk::<8>().ok_or(DecompressError::Truncated)?;
            let mut checksum = Crc::new();
            checksum.update(self.buffer.get(len..end).unwrap_or_default());
            let [sum @ .., _, _, _, _] = *trailer;
            let [_, _, _, _, size @ ..] = *trailer;
            if checksum.sum() != u32::from_le_bytes(sum) || (end - len) as u32 != u32::from_le_bytes(size) {
                return Err(DecompressError::Checksum);
            }
            (len, rest) = (end, next);
        }
        Ok((len, rest.len()))
    }

    fn unzlib(&mut self, payload: &[u8]) -> Result<(usize, usize), DecompressError> {
        let body = match payload {
            [method, flags, body @ ..] => {
                // CM 8 is deflate, CINFO up to 7 a window of up to 32 KiB (RFC 1950, section 2.2).
                let checked = (u16::from(*method) * 256 + u16::from(*flags)) % 31 == 0;
                if method & 0x0f != 8 || method >> 4 > 7 || !checked {
                    return Err(DecompressError::Header);
                }
                if flags & 0x20 != 0 {
                    return Err(DecompressError::Dictionary);
                }
                body
            }
            _ => return Err(DecompressError::Header),
        };
        let (len, consumed) = self.inflate(body, 0)?;
        let trailer = body.get(consumed..).unwrap_or_default();
        let (checksum, trailing) = trailer.split_first_chunk::<4>().ok_or(DecompressError::Truncated)?;
        if adler2::adler32_slice(self.buffer.get(..len).unwrap_or_default()) != u32::from_be_bytes(*checksum)
        {
            return Err(DecompressError::Checksum);
        }
        Ok((len, trailing.len()))
    }

    /// Inflates one deflate stream behind the first `start` bytes of the buffer. Gives the end of the output, and how
    /// much of the input it was.
    fn inflate(&mut self, input: &[u8], start: usize) -> Result<(usize, usize), DecompressError> {
        self.inflate.reset(false);
        loop {
            let consumed = usize::try_from(self.inflate.total_in()).unwrap_or(usize::MAX);
            let produced = usize::try_from(self.inflate.total_out()).unwrap_or(usize::MAX);
            let end = start.saturating_add(produced);
            let rest = input.get(consumed..).unwrap_or_default();
            // One byte beyond the limit shows that there is more.
            let room = self.limit.saturating_add(1).saturating_sub(end);
            if room == 0 {
                return Err(DecompressError::LimitExceeded { limit: self.limit });
            }
            if self.buffer.len() <= end {
                // By what has come out so far, never by what a header claims.
                let more = end.max(rest.len().saturating_mul(2)).max(4096).min(room);
                // Exactly, for a vector that doubles would go beyond the limit.
                self.buffer.reserve_exact(end + more - self.buffer.len());
                self.buffer.resize(end + more, 0);
            }
            let window_end = self.buffer.len().min(end.saturating_add(room));
            let output = self.buffer.get_mut(end..window_end).unwrap_or_default();
            let status = self.inflate.decompress(rest, output, FlushDecompress::None);
            let end = start + usize::try_from(self.inflate.total_out()).unwrap_or(usize::MAX);
            if end > self.limit {
                return Err(DecompressError::LimitExceeded { limit: self.limit });
            }
            match status {
                Ok(Status::StreamEnd) => {
                    return Ok((end, usize::try_from(self.inflate.total_in()).unwrap_or(usize::MAX)));
                }
                Ok(Status::Ok | Status::BufError) => {
                    let progress = self.inflate.total_in() != consumed as u64
                        || self.inflate.total_out() != produced as u64;
                    if !progress {
                        return Err(DecompressError::Truncated);
                    }
                }
                Err(_) => return Err(DecompressError::Corrupt),
            }
        }
    }
}

/// What follows the header of a gzip member (RFC 1952, section 2.3).
fn skip_gzip_header(member: &[u8]) -> Result<&[u8], DecompressError> {
    const HEADER_CHECKSUM: u8 = 0x02;
    const EXTRA: u8 = 0x04;
    const NAME: u8 = 0x08;
    const COMMENT: u8 = 0x10;
    const RESERVED: u8 = 0xe0;

    let (header, mut rest) = member.split_first_chunk::<10>().ok_or(DecompressError::Truncated)?;
    let [_, _, method, flags, ..] = *header;
    if method != 8 || flags & RESERVED != 0 {
        return Err(DecompressError::Header);
    }
    if flags & EXTRA != 0 {
        let (len, tail) = rest.split_first_chunk::<2>().ok_or(DecompressError::Truncated)?;
        rest = tail.get(usize::from(u16::from_le_bytes(*len))..).ok_or(DecompressError::Truncated)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = memchr::memchr(0, rest).ok_or(DecompressError::Truncated)?;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    if flags & HEADER_CHECKSUM != 0 {
        let (expected, tail) = rest.split_first_chunk::<2>().ok_or(DecompressError::Truncated)?;
        let mut checksum = Crc::new();
        checksum.update(member.get(..member.len() - rest.len()).unwrap_or_default());
        if checksum.sum() as u16 != u16::from_le_bytes(*expected) {
            return Err(DecompressError::Checksum);
        }
        rest = tail;
    }
    Ok(rest)
}

/// Why a payload cannot be inflated. All but the limit are the sender's fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecompressError {
    /// A checksum or length in the payload is not that of its content.
    Checksum,
    /// The deflate data is malformed.
    Corrupt,
    /// zlib with a preset dictionary, which GELF does not have.
    Dictionary,
    /// Neither gzip nor zlib.
    Header,
    /// More would come out than the limit allows.
    LimitExceeded {
        /// The limit in bytes.
        limit: usize,
    },
    /// The payload ends too early.
    Truncated,
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum => f.write_str("the compressed payload does not match its checksum"),
            Self::Corrupt => f.write_str("the compressed payload is malformed"),
            Self::Dictionary => f.write_str("the zlib payload needs a preset dictionary"),
            Self::Header => f.write_str("the payload is neither gzip nor zlib"),
            Self::LimitExceeded { limit } => write!(f, "the payload inflates to more than {limit} bytes"),
            Self::Truncated => f.write_str("the compressed payload is cut short"),
        }
    }
}

impl std::error::Error for DecompressError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Compression, Compressor};

    /// `{"version":"1.1","host":"h","short_message":"m"}`
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
        Decompressor::default()
            .decompress(payload)
            .map(|inflated| (inflated.bytes.to_vec(), inflated.trailing))
    }

    #[test]
    fn every_zlib_level_and_window_is_read() {
        for header in ["7801", "785e", "789c", "78da", "4889", "1895"] {
            assert_eq!(inflate(&zlib(header)), Ok((PAYLOAD.to_vec(), 0)), "{header}");
        }
        let stored = [hex("7801013000cfff"), PAYLOAD.to_vec(), hex("70550f34")].concat();
        assert_eq!(inflate(&stored), Ok((PAYLOAD.to_vec(), 0)));
    }

    #[test]
    fn every_optional_part_of_a_gzip_header_is_skipped() {
        for header in
            ["1f8b08000000000000ff", "1f8b08080000000000ff6100", "1f8b081e0000000000ff02007879610063009c5e"]
        {
            assert_eq!(inflate(&gzip(header)), Ok((PAYLOAD.to_vec(), 0)), "{header}");
        }
        assert_eq!(
            inflate(&gzip("1f8b081e0000000000ff02007879610063009c5f")),
            Err(DecompressError::Checksum)
        );
        assert_eq!(inflate(&gzip("1f8b08200000000000ff")), Err(DecompressError::Header));
    }

    #[test]
    fn all_gzip_members_are_read() {
        let two = hex(
            "1f8b08000000000000ffab562a4b2d2acecccf53b25232d43354d251cac807003e76666b140000001f8b08000000000000ff2b2e51b252ca50d2512acec82f2a89cf4d2d2e4e4c4f058ae52ad50200109933491c000000",
        );
        assert_eq!(inflate(&two), Ok((PAYLOAD.to_vec(), 0)));
        let empty_first =
            [hex("1f8b08000000000000ff03000000000000000000"), gzip("1f8b08000000000000ff")].concat();
        assert_eq!(inflate(&empty_first), Ok((PAYLOAD.to_vec(), 0)));
    }

    #[test]
    fn bytes_behind_the_compressed_data_are_counted() {
        assert_eq!(inflate(&[zlib("789c"), b"xx".to_vec()].concat()), Ok((PAYLOAD.to_vec(), 2)));
        assert_eq!(
            inflate(&[gzip("1f8b08000000000000ff"), b"xyz".to_vec()].concat()),
            Ok((PAYLOAD.to_vec(), 3))
        );
    }

    #[test]
    fn wrong_checksums_and_lengths_are_errors() {
        for (at, payload) in
            [(1, zlib("789c")), (1, gzip("1f8b08000000000000ff")), (8, gzip("1f8b08000000000000ff"))]
        {
            let mut payload = payload;
            let at = payload.len() - at;
            payload[at] ^= 1;
            assert_eq!(inflate(&payload), Err(DecompressError::Checksum), "byte {at}");
        }
    }

    #[test]
    fn a_preset_dictionary_is_refused() {
        let payload = hex(
            "78bb26c30575ab562a4b2d2acecccf53b25232d43354d251cac82f2e01723280cc62649540b15ca55a0070550f34",
        );
        assert_eq!(inflate(&payload), Err(DecompressError::Dictionary));
    }

    #[test]
    fn a_payload_cut_anywhere_is_truncated() {
        for payload in [zlib("789c"), gzip("1f8b08000000000000ff")] {
            for len in 2..payload.len() {
                assert_eq!(
                    inflate(&payload[..len]),
                    Err(DecompressError::Truncated),
                    "{len} of {}",
                    payload.len()
                );
            }
        }
        assert_eq!(inflate(b""), Err(DecompressError::Header));
        assert_eq!(inflate(b"x"), Err(DecompressError::Header));
    }

    #[test]
    fn the_limit_is_exact_and_an_error() {
        let mut compressor = Compressor::new(Compression::default());
        let mut decompressor = Decompressor::new(1000);
        assert_eq!(decompressor.decompress(compressor.compress(&[b'a'; 1000])).unwrap().bytes.len(), 1000);
        let error = DecompressError::LimitExceeded { limit: 1000 };
        assert_eq!(decompressor.decompress(compressor.compress(&[b'a'; 1001])), Err(error));
        let members =
            [compressor.compress(&[b'a'; 600]).to_vec(), compressor.compress(&[b'a'; 600]).to_vec()];
        assert_eq!(decompressor.decompress(&members.concat()), Err(error));
        assert_eq!(decompressor.decompress(compressor.compress(b"after")).unwrap().bytes, b"after");
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_limit() {
        let bomb = Compressor::new(Compression::default()).compress(&vec![b'a'; 64 << 20]).to_vec();
        let mut decompressor = Decompressor::default();
        let limit = Decompressor::DEFAULT_LIMIT;
        assert_eq!(decompressor.decompress(&bomb), Err(DecompressError::LimitExceeded { limit }));
        assert!(decompressor.buffer.capacity() <= limit + 1, "{}", decompressor.buffer.capacity());
    }

    #[test]
    fn magic_bytes_tell_the_encoding() {
        assert_eq!(Encoding::sniff(b""), Encoding::Plain);
        assert_eq!(Encoding::sniff(b"{"), Encoding::Plain);
        assert_eq!(Encoding::sniff(b" \r\n{"), Encoding::Plain);
        assert_eq!(Encoding::sniff(b"<34>Oct 11"), Encoding::Plain);
        assert_eq!(Encoding::sniff(&[0x1e, 0x0f]), Encoding::Chunk);
        assert_eq!(Encoding::sniff(&[0x1f, 0x8b]), Encoding::Gzip);
        for second in 0..=u8::MAX {
            let zlib = [0x01, 0x20, 0x3f, 0x5e, 0x7d, 0x9c, 0xbb, 0xda, 0xf9].contains(&second);
            let expected = if zlib { Encoding::Zlib } else { Encoding::Unknown };
            assert_eq!(Encoding::sniff(&[0x78, second]), expected, "{second:#x}");
        }
        for unknown in
            [&[0x1e][..], &[0x1f], &[0x78], &[0x1e, 0x10], &[0x1f, 0x3c, b'{'], &[0x28, 0xb5, 0x2f, 0xfd]]
        {
            assert_eq!(Encoding::sniff(unknown), Encoding::Unknown, "{unknown:x?}");
        }
    }
}
