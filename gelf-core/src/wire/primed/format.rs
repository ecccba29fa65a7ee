//! The formats around a deflate stream.

use adler2::Adler32;
use flate2::Crc;

/// The format of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::wire) enum Format {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
}

impl Format {
    /// Returns the bytes before the deflate stream. The header of gzip has no time and the system "unknown".
    pub(super) const fn header(self) -> &'static [u8] {
        match self {
            Self::Gzip => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff],
            Self::Zlib => &[0x78, 0x9c],
        }
    }

    /// Returns the checksum of a prefix.
    pub(super) fn checksum(self, prefix: &[u8]) -> u32 {
        match self {
            Self::Gzip => {
                let mut checksum = Crc::new();
                checksum.update(prefix);
                checksum.sum()
            }
            Self::Zlib => {
                let mut checksum = Adler32::new();
                checksum.write_slice(prefix);
                checksum.checksum()
            }
        }
    }

    /// Returns the checksum of a payload whose first `prefix_len` bytes have the checksum `prefix_checksum`.
    fn continued(self, payload: &[u8], prefix_len: usize, prefix_checksum: u32) -> u32 {
        let Some(line) = payload.get(prefix_len..) else { return self.checksum(payload) };
        match (self, line.split_first_chunk()) {
            (Self::Gzip, Some((first, rest))) => {
                // A CRC combines its state with the next four bytes by XOR. If these bytes are combined with
                // the checksum of the prefix first, a new CRC continues as if it had read the prefix.
                let mut checksum = Crc::new();
                checksum.update(&(u32::from_le_bytes(*first) ^ prefix_checksum).to_le_bytes());
                checksum.update(rest);
                checksum.sum()
            }
            // The line has fewer than four bytes.
            (Self::Gzip, None) => self.checksum(payload),
            (Self::Zlib, _) => {
                let mut checksum = Adler32::from_checksum(prefix_checksum);
                checksum.write_slice(line);
                checksum.checksum()
            }
        }
    }

    /// Writes the trailer of a payload, which follows the deflate stream. `dst` must have room for it. Returns
    /// the length of the trailer in bytes.
    pub(super) fn write_trailer(
        self,
        payload: &[u8],
        prefix_len: usize,
        prefix_checksum: u32,
        dst: &mut [u8],
    ) -> usize {
        let checksum = self.continued(payload, prefix_len, prefix_checksum);
        let trailer = match self {
            // gzip's ISIZE is the length modulo 2^32.
            Self::Gzip => u64::from(checksum) | (payload.len() as u64) << 32,
            Self::Zlib => u64::from(checksum.swap_bytes()),
        };
        let len = self.trailer_len();
        for (byte, new) in dst.iter_mut().zip(trailer.to_le_bytes()).take(len) {
            *byte = new;
        }
        len
    }

    /// Returns the length of the trailer in bytes.
    pub(super) const fn trailer_len(self) -> usize {
        match self {
            Self::Gzip => 8,
            Self::Zlib => 4,
        }
    }
}
