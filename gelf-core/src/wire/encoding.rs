//! Determines the encoding of a payload by its first bytes.

/// The encoding of a payload or datagram, determined by its first bytes (GELF: "magic bytes").
///
/// ```
/// use gelf_core::wire::Encoding;
///
/// assert_eq!(Encoding::sniff(b"\x1f\x8b\x08"), Encoding::Gzip);
/// assert_eq!(Encoding::sniff(b"{}"), Encoding::Plain);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Encoding {
    /// `1e 0f`: a chunk of a message.
    Chunk,
    /// `1f 8b`: gzip.
    Gzip,
    /// Any other bytes: JSON text, or zlib with a small window; see [`is_zlib`](Self::is_zlib).
    Plain,
    /// No known encoding: `1e`, `1f` or `78` with a wrong second byte or without a second byte, or Zstandard,
    /// which no reader of GELF supports.
    Unknown,
    /// `78` and a second byte that completes a zlib header: the two bytes, as a big-endian number, are a
    /// multiple of 31.
    Zlib,
}

impl Encoding {
    /// Determines the encoding by the first bytes. The input may have any length.
    pub fn sniff(bytes: &[u8]) -> Self {
        match bytes {
            [0x1e, 0x0f, ..] => Self::Chunk,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x78, second, ..] if is_zlib_header(0x78, *second) => Self::Zlib,
            [0x1e | 0x1f | 0x78, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Unknown,
            _ => Self::Plain,
        }
    }

    /// Returns whether the bytes begin with a zlib header of any window size. No JSON object begins with such
    /// a header. A header for a window of less than 32 KiB does not begin with `78`, and most readers take a
    /// payload with such a header for plain text.
    pub fn is_zlib(bytes: &[u8]) -> bool {
        matches!(bytes, [method, flags, ..] if is_zlib_header(*method, *flags))
    }
}

/// Returns whether the two bytes are a zlib header (RFC 1950, section 2.2): a CM of 8 means deflate, and a
/// CINFO of up to 7 means a window of up to 32 KiB.
fn is_zlib_header(method: u8, flags: u8) -> bool {
    method & 0x0f == 8 && method >> 4 <= 7 && (u16::from(method) * 256 + u16::from(flags)) % 31 == 0
}
