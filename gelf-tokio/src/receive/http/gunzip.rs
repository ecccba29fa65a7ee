//! gzip of one or several members (RFC 1952), byte by byte where it must be.

use flate2::{Crc, Decompress};

use super::unpack::{UnpackError, inflate_some, next_byte};

/// Inflates gzip data that comes in parts. What follows the last member is left out.
#[derive(Debug)]
pub(super) struct Gunzip {
    inflate: Decompress,
    part: Part,
    flags: u8,
    extra_len: u16,
    /// The second byte that the header's checksum must have.
    checksum_byte: u8,
    header_checksum: Crc,
    data_checksum: Crc,
    trailer: [u8; 8],
}

/// Where in a member it is (RFC 1952, section 2.3), and how many bytes of that part have come, or are to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Fixed(usize),
    ExtraLen(usize),
    Extra(u16),
    Name,
    Comment,
    HeaderChecksum(usize),
    Data,
    Trailer(usize),
    /// Behind a member, perhaps with the first byte of the next one.
    Between(usize),
    /// What follows is no member.
    End,
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
            part: Part::Fixed(0),
            flags: 0,
            extra_len: 0,
            checksum_byte: 0,
            header_checksum: Crc::new(),
            data_checksum: Crc::new(),
            trailer: [0; 8],
        }
    }

    /// Whether the data is complete if nothing follows.
    pub(super) fn may_end(&self) -> bool {
        matches!(self.part, Part::Between(_) | Part::End)
    }

    /// Inflates until something has come out or the input is used up; how much has.
    pub(super) fn inflate(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<usize, UnpackError> {
        loop {
            match self.part {
                Part::Data => {
                    let (len, ended) = inflate_some(&mut self.inflate, input, output)?;
                    self.data_checksum.update(output.get(..len).unwrap_or_default());
                    if ended {
                        self.part = Part::Trailer(0);
                    }
                    if len > 0 || !ended {
                        return Ok(len);
                    }
                }
                Part::End => {
                    *input = &[];
                    return Ok(0);
                }
                part => match next_byte(input) {
                    Some(byte) => self.part = self.after(part, byte)?,
                    None => return Ok(0),
                },
            }
        }
    }

    /// Where it is behind a byte of a header or trailer.
    fn after(&mut self, part: Part, byte: u8) -> Result<Part, UnpackError> {
        const RESERVED: u8 = 0xe0;

        let sum = self.header_checksum.sum();
        self.header_checksum.update(&[byte]);
        let next = match part {
            Part::Fixed(at) => {
                match (at, byte) {
                    (0, 0x1f) | (1, 0x8b) | (2, 8) | (4.., _) => {}
                    (3, flags) if flags & RESERVED == 0 => self.flags = flags,
                    _ => return Err(UnpackError::Corrupt),
                }
                if at < 9 { Part::Fixed(at + 1) } else { Part::ExtraLen(0) }
            }
            Part::ExtraLen(0) => {
                self.extra_len = u16::from(byte);
                Part::ExtraLen(1)
            }
            Part::ExtraLen(_) => match self.extra_len | (u16::from(byte) << 8) {
                0 => Part::Name,
                len => Part::Extra(len),
            },
            Part::Extra(0 | 1) => Part::Name,
            Part::Extra(left) => Part::Extra(left - 1),
            Part::Name if byte == 0 => Part::Comment,
            Part::Comment if byte == 0 => Part::HeaderChecksum(0),
            Part::Name | Part::Comment => return Ok(part),
            Part::HeaderChecksum(0) => {
                // Of what stands before it.
                let [low, high, ..] = sum.to_le_bytes();
                self.checksum_byte = high;
                if byte != low {
                    return Err(UnpackError::Corrupt);
                }
                Part::HeaderChecksum(1)
            }
            Part::HeaderChecksum(_) if byte != self.checksum_byte => return Err(UnpackError::Corrupt),
            Part::HeaderChecksum(_) => return Ok(self.data()),
            Part::Trailer(at) => {
                if let Some(place) = self.trailer.get_mut(at) {
                    *place = byte;
                }
                if at < 7 {
                    return Ok(Part::Trailer(at + 1));
                }
                return self.check_data().map(|()| Part::Between(0));
            }
            Part::Between(0) if byte == 0x1f => {
                self.header_checksum.reset();
                self.header_checksum.update(&[byte]);
                Part::Between(1)
            }
            Part::Between(1) if byte == 0x8b => Part::Fixed(2),
            Part::Between(_) | Part::Data | Part::End => Part::End,
        };
        Ok(self.skip_absent(next))
    }

    /// Passes over the optional parts of the header that the flags say are not there.
    fn skip_absent(&mut self, mut part: Part) -> Part {
        const HEADER_CHECKSUM: u8 = 0x02;
        const EXTRA: u8 = 0x04;
        const NAME: u8 = 0x08;
        const COMMENT: u8 = 0x10;

        loop {
            part = match part {
                Part::ExtraLen(0) if self.flags & EXTRA == 0 => Part::Name,
                Part::Name if self.flags & NAME == 0 => Part::Comment,
                Part::Comment if self.flags & COMMENT == 0 => Part::HeaderChecksum(0),
                Part::HeaderChecksum(0) if self.flags & HEADER_CHECKSUM == 0 => return self.data(),
                part => return part,
            }
        }
    }

    fn data(&mut self) -> Part {
        self.inflate.reset(false);
        self.data_checksum.reset();
        Part::Data
    }

    fn check_data(&self) -> Result<(), UnpackError> {
        let [sum @ .., _, _, _, _] = self.trailer;
        let [_, _, _, _, len @ ..] = self.trailer;
        let matches = self.data_checksum.sum() == u32::from_le_bytes(sum)
            && self.data_checksum.amount() == u32::from_le_bytes(len);
        matches.then_some(()).ok_or(UnpackError::Corrupt)
    }
}
