//! Inflates gzip, zlib and bare deflate data in pieces, with a limit on the output.
//!
//! One 64 KiB datagram can inflate to 67 MB, and 128 chunks of this size to 8 GB. Therefore the output has a
//! limit: a longer payload is an error and is not truncated. An inflater allocates nothing for a size that
//! the data only claims.
//!
//! The time is bounded by the lengths of input and output. A bound on the ratio of input to output would not exclude
//! input that is slow to inflate: deflate blocks of a few symbols each take as long as blocks without output, and yet
//! have about as many bytes of output for each byte of input as stored blocks.

use std::fmt;

use adler2::Adler32;
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// The data formats that an [`Inflater`] reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum InflateFormat {
    /// A bare deflate stream (RFC 1951), without a header and a checksum.
    Deflate,
    /// gzip of one or several members (RFC 1952, section 2.2).
    Gzip,
    /// zlib (RFC 1950).
    Zlib,
}

/// Inflates data that arrives in pieces.
///
/// ```
/// use gelf_core::{Compression, wire::{Compressor, Inflater}};
///
/// let mut compressor = Compressor::new(Compression::default());
/// let mut inflater = Inflater::gzip(1024);
/// let (mut output, mut text) = ([0; 4], Vec::new());
/// for mut piece in compressor.compress(b"some text").chunks(3) {
///     loop {
///         match inflater.inflate(&mut piece, &mut output)? {
///             0 => break,
///             len => text.extend_from_slice(&output[..len]),
///         }
///     }
/// }
/// inflater.finish()?;
/// assert_eq!(text, b"some text");
/// # Ok::<(), gelf_core::wire::DecompressError>(())
/// ```
pub struct Inflater {
    limit: usize,
    state: State,
    deflate: Decompress,
    /// The number of output bytes of all members so far.
    produced: usize,
    /// The number of input bytes behind the compressed data.
    trailing: usize,
    checksum: Checksum,
    /// The flags of the gzip header.
    flags: u8,
    header_checksum: Crc,
}

/// The position in the data, and the bytes of the current part that have been read.
#[derive(Clone, Copy)]
enum State {
    ZlibHeader(Part<2>),
    ZlibTrailer(Part<4>),
    /// The first ten bytes of a gzip member (RFC 1952, section 2.3). The optional parts of the header follow in the
    /// order of the variants from `ExtraLen` to `HeaderChecksum`.
    GzipHeader(Part<10>),
    ExtraLen(Part<2>),
    Extra(u16),
    Name,
    Comment,
    HeaderChecksum(Part<2>),
    GzipTrailer(Part<8>),
    /// The position is behind a gzip member. The part has the magic bytes of the next member, as far as they
    /// have been read.
    BetweenMembers(Part<2>),
    Data,
    End,
}

/// The checksum of the current member's output.
enum Checksum {
    None,
    Crc32(Crc),
    Adler32(Adler32),
}

/// A part of fixed length.
#[derive(Clone, Copy)]
struct Part<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Part<N> {
    const EMPTY: Self = Self { bytes: [0; N], len: 0 };

    /// Reads from the input. Returns the bytes once all of them have been read.
    fn read(&mut self, input: &mut &[u8]) -> Option<[u8; N]> {
        for place in self.bytes.iter_mut().skip(self.len) {
            let (byte, rest) = input.split_first()?;
            *place = *byte;
            *input = rest;
            self.len += 1;
        }
        Some(self.bytes)
    }
}

// The flags of a gzip header (RFC 1952, section 2.3.1).
const HEADER_CHECKSUM: u8 = 0x02;
const EXTRA: u8 = 0x04;
const NAME: u8 = 0x08;
const COMMENT: u8 = 0x10;
const RESERVED: u8 = 0xe0;

impl Inflater {
    /// Creates an inflater for a bare deflate stream (RFC 1951), without a header and a checksum. If the
    /// output exceeds `limit` bytes, the inflater returns an error.
    pub fn deflate(limit: usize) -> Self {
        Self::new(InflateFormat::Deflate, limit)
    }

    /// Creates an inflater for gzip of one or several members (RFC 1952, section 2.2). The limit has the same
    /// meaning as in [`deflate`](Self::deflate).
    pub fn gzip(limit: usize) -> Self {
        Self::new(InflateFormat::Gzip, limit)
    }

    /// Creates an inflater for zlib (RFC 1950). The limit has the same meaning as in
    /// [`deflate`](Self::deflate).
    pub fn zlib(limit: usize) -> Self {
        Self::new(InflateFormat::Zlib, limit)
    }

    fn new(format: InflateFormat, limit: usize) -> Self {
        let mut inflater = Self {
            limit,
            state: State::End,
            deflate: Decompress::new(false),
            produced: 0,
            trailing: 0,
            checksum: Checksum::None,
            flags: 0,
            header_checksum: Crc::new(),
        };
        inflater.reset(format);
        inflater
    }

    /// Prepares the inflater for other data. The inflater keeps its memory and limit.
    pub(crate) fn reset(&mut self, format: InflateFormat) {
        self.produced = 0;
        self.trailing = 0;
        (self.state, self.checksum) = match format {
            InflateFormat::Deflate => (State::Data, Checksum::None),
            InflateFormat::Gzip => (State::GzipHeader(Part::EMPTY), Checksum::Crc32(Crc::new())),
            InflateFormat::Zlib => (State::ZlibHeader(Part::EMPTY), Checksum::Adler32(Adler32::new())),
        };
        self.deflate.reset(false);
    }

    /// Inflates data from `input` until there is output, and advances `input`. Returns the length of the
    /// output in bytes.
    ///
    /// A length of 0 means that the input is used up, unless `output` is empty. Input behind the compressed
    /// data is [counted](Self::trailing) and ignored.
    ///
    /// # Errors
    /// See [`DecompressError`]. After an error, drop the inflater.
    pub fn inflate(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<usize, DecompressError> {
        loop {
            match self.state {
                State::Data => {
                    let (len, ended) = self.data(input, output)?;
                    if ended {
                        self.state = match self.checksum {
                            Checksum::None => State::End,
                            Checksum::Crc32(_) => State::GzipTrailer(Part::EMPTY),
                            Checksum::Adler32(_) => State::ZlibTrailer(Part::EMPTY),
                        };
                    }
                    if len > 0 || !ended {
                        return Ok(len);
                    }
                }
                State::End => {
                    self.trailing = self.trailing.saturating_add(input.len());
                    *input = &[];
                    return Ok(0);
                }
                _ => match self.header_or_trailer(input)? {
                    Some(next) => self.state = next,
                    None => return Ok(0),
                },
            }
        }
    }

    /// Reads the current part of a header or trailer. Returns the next state, or `None` if more input is
    /// needed.
    fn header_or_trailer(&mut self, input: &mut &[u8]) -> Result<Option<State>, DecompressError> {
        Ok(match &mut self.state {
            State::Data | State::End => None,
            State::GzipHeader(part) => match part.read(input) {
                Some(header) => Some(self.gzip_header(header)?),
                None => None,
            },
            State::ExtraLen(part) => part.read(input).map(|len| {
                self.in_header(&len);
                State::Extra(u16::from_le_bytes(len))
            }),
            State::Extra(0) => Some(self.header_part(NAME)),
            State::Extra(left) => {
                let (extra, rest) = input.split_at(usize::from(*left).min(input.len()));
                // `extra` has at most `left` bytes.
                *left -= extra.len() as u16;
                *input = rest;
                let left = *left;
                self.in_header(extra);
                (left == 0).then(|| self.header_part(NAME))
            }
            State::Name => self.header_text(input).then(|| self.header_part(COMMENT)),
            State::Comment => self.header_text(input).then(|| self.header_part(HEADER_CHECKSUM)),
            State::HeaderChecksum(part) => match part.read(input).map(u16::from_le_bytes) {
                Some(expected) if expected != self.header_checksum.sum() as u16 => {
                    return Err(DecompressError::Checksum);
                }
                complete => complete.map(|_| State::Data),
            },
            State::GzipTrailer(part) => match part.read(input) {
                Some(trailer) => Some(self.gzip_trailer(trailer)?),
                None => None,
            },
            State::BetweenMembers(part) => {
                part.read(input);
                let Part { bytes, len } = *part;
                match (len, bytes) {
                    (2, [0x1f, 0x8b]) => Some(self.next_member()),
                    (0, _) | (1, [0x1f, _]) => None,
                    _ => {
                        self.trailing = len;
                        Some(State::End)
                    }
                }
            }
            State::ZlibHeader(part) => match part.read(input) {
                Some(header) => Some(zlib_header(header)?),
                None => None,
            },
            State::ZlibTrailer(part) => match (part.read(input).map(u32::from_be_bytes), &self.checksum) {
                (Some(expected), Checksum::Adler32(sum)) if sum.checksum() == expected => Some(State::End),
                (Some(_), _) => return Err(DecompressError::Checksum),
                (None, _) => None,
            },
        })
    }

    /// Skips a text of the gzip header up to its null byte. Returns whether the text has ended.
    fn header_text(&mut self, input: &mut &[u8]) -> bool {
        let end = memchr::memchr(0, input);
        let (text, rest) = input.split_at(end.map_or(input.len(), |at| at + 1));
        self.in_header(text);
        *input = rest;
        end.is_some()
    }

    /// Checks that the data is complete, once there is no more input.
    ///
    /// # Errors
    /// Returns [`DecompressError::Truncated`] if the data is not complete.
    pub fn finish(&self) -> Result<(), DecompressError> {
        match self.state {
            State::BetweenMembers(_) | State::End => Ok(()),
            _ => Err(DecompressError::Truncated),
        }
    }

    /// Returns the number of input bytes behind the compressed data. Java's and Ruby's readers ignore them.
    pub fn trailing(&self) -> usize {
        match self.state {
            State::BetweenMembers(part) => part.len,
            _ => self.trailing,
        }
    }

    /// Inflates a part of a deflate stream. Returns the length of the output and whether the stream has
    /// ended.
    fn data(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<(usize, bool), DecompressError> {
        // The room is one byte larger than the limit allows, so that a longer output is noticed.
        let room = self.limit.saturating_add(1).saturating_sub(self.produced).min(output.len());
        let (output, _) = output.split_at_mut(room);
        if output.is_empty() {
            return Ok((0, false));
        }
        loop {
            let before = (self.deflate.total_in(), self.deflate.total_out());
            let status = self.deflate.decompress(input, output, FlushDecompress::None);
            // Both numbers are at most the length of their slice.
            let taken = (self.deflate.total_in() - before.0) as usize;
            let given = (self.deflate.total_out() - before.1) as usize;
            *input = input.split_at_checked(taken).ok_or(DecompressError::Corrupt)?.1;
            self.produced = self.produced.saturating_add(given);
            if self.produced > self.limit {
                return Err(DecompressError::LimitExceeded { limit: self.limit });
            }
            let ended = match status {
                Ok(status) => status == Status::StreamEnd,
                Err(_) => return Err(DecompressError::Corrupt),
            };
            if given > 0 {
                let (given_output, _) = output.split_at_checked(given).ok_or(DecompressError::Corrupt)?;
                match &mut self.checksum {
                    Checksum::None => {}
                    Checksum::Crc32(sum) => sum.update(given_output),
                    Checksum::Adler32(sum) => sum.write_slice(given_output),
                }
            }
            if ended || given > 0 || input.is_empty() {
                return Ok((given, ended));
            }
            if taken == 0 {
                // There is input and room, but no progress.
                return Err(DecompressError::Corrupt);
            }
        }
    }

    fn gzip_header(&mut self, header: [u8; 10]) -> Result<State, DecompressError> {
        let [first, second, method, flags, ..] = header;
        if [first, second] != [0x1f, 0x8b] || method != 8 || flags & RESERVED != 0 {
            return Err(DecompressError::Header);
        }
        self.flags = flags;
        self.header_checksum.reset();
        self.in_header(&header);
        Ok(self.header_part(EXTRA))
    }

    /// Returns the state for the next optional part of the header that has its flag set. `first` is the first
    /// part that can be next. If no flag is set, the data follows.
    fn header_part(&self, first: u8) -> State {
        // The parts are not in the order of the flags' bits.
        let mut skipped = true;
        for part in [EXTRA, NAME, COMMENT, HEADER_CHECKSUM] {
            skipped &= part != first;
            if !skipped && self.flags & part != 0 {
                return match part {
                    EXTRA => State::ExtraLen(Part::EMPTY),
                    NAME => State::Name,
                    COMMENT => State::Comment,
                    _ => State::HeaderChecksum(Part::EMPTY),
                };
            }
        }
        State::Data
    }

    /// Adds bytes to the checksum of the header, if the header has a checksum.
    fn in_header(&mut self, bytes: &[u8]) {
        if self.flags & HEADER_CHECKSUM != 0 {
            self.header_checksum.update(bytes);
        }
    }

    fn gzip_trailer(&self, trailer: [u8; 8]) -> Result<State, DecompressError> {
        let [s0, s1, s2, s3, l0, l1, l2, l3] = trailer;
        match &self.checksum {
            Checksum::Crc32(sum)
                if sum.sum() == u32::from_le_bytes([s0, s1, s2, s3])
                    && sum.amount() == u32::from_le_bytes([l0, l1, l2, l3]) =>
            {
                Ok(State::BetweenMembers(Part::EMPTY))
            }
            _ => Err(DecompressError::Checksum),
        }
    }

    /// Starts the next gzip member, whose first two bytes have been read.
    fn next_member(&mut self) -> State {
        self.deflate.reset(false);
        self.checksum = Checksum::Crc32(Crc::new());
        State::GzipHeader(Part { bytes: [0x1f, 0x8b, 0, 0, 0, 0, 0, 0, 0, 0], len: 2 })
    }
}

fn zlib_header(header: [u8; 2]) -> Result<State, DecompressError> {
    const PRESET_DICTIONARY: u8 = 0x20;
    let [_, flags] = header;
    if !super::Encoding::is_zlib(&header) {
        return Err(DecompressError::Header);
    }
    if flags & PRESET_DICTIONARY != 0 {
        return Err(DecompressError::Dictionary);
    }
    Ok(State::Data)
}

/// Omits the state.
impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("limit", &self.limit)
            .field("produced", &self.produced)
            .field("trailing", &self.trailing())
            .finish_non_exhaustive()
    }
}

/// The reason why data cannot be inflated. All reasons except [`LimitExceeded`](Self::LimitExceeded) are faults of
/// the sender or of the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecompressError {
    /// A checksum or length in the data does not match the content.
    Checksum,
    /// The deflate data is malformed.
    Corrupt,
    /// The zlib data needs a preset dictionary, which GELF does not have.
    Dictionary,
    /// A header is not valid, or is not a header of the expected format.
    Header,
    /// The output is longer than the maximum that the caller has set.
    LimitExceeded {
        /// The limit in bytes.
        limit: usize,
    },
    /// The data ends too early.
    Truncated,
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum => f.write_str("the compressed payload does not match its checksum"),
            Self::Corrupt => f.write_str("the compressed payload is malformed"),
            Self::Dictionary => f.write_str("the zlib payload needs a preset dictionary"),
            Self::Header => f.write_str("the payload has no valid header of gzip or zlib"),
            Self::LimitExceeded { limit } => write!(f, "the payload inflates to more than {limit} bytes"),
            Self::Truncated => f.write_str("the compressed payload is truncated"),
        }
    }
}

impl std::error::Error for DecompressError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::compress::{Compression, CompressionLevel, Compressor};

    fn inflate(inflater: &mut Inflater, mut input: &[u8]) -> Result<Vec<u8>, DecompressError> {
        let (mut output, mut bytes) = ([0; 16], Vec::new());
        loop {
            match inflater.inflate(&mut input, &mut output)? {
                0 => break,
                len => bytes.extend_from_slice(&output[..len]),
            }
        }
        inflater.finish()?;
        Ok(bytes)
    }

    #[test]
    fn bare_deflate_data_is_inflated_up_to_the_limit() {
        let text = [b'a'; 100];
        let zlib = Compressor::new(Compression::Zlib(CompressionLevel::DEFAULT)).compress(&text).to_vec();
        let bare = &zlib[2..zlib.len() - 4];
        let mut inflater = Inflater::new(InflateFormat::Deflate, 100);
        assert_eq!(inflate(&mut inflater, bare), Ok(text.to_vec()));
        assert_eq!(inflater.trailing(), 0);
        inflater.reset(InflateFormat::Deflate);
        assert_eq!(inflate(&mut inflater, &[bare, b"xy"].concat()), Ok(text.to_vec()));
        assert_eq!(inflater.trailing(), 2);
        inflater.reset(InflateFormat::Deflate);
        assert_eq!(inflate(&mut inflater, &bare[..bare.len() - 1]), Err(DecompressError::Truncated));
        let mut inflater = Inflater::new(InflateFormat::Deflate, 99);
        let error = Err(DecompressError::LimitExceeded { limit: 99 });
        assert_eq!(inflate(&mut inflater, bare), error);
    }

    #[test]
    fn an_inflater_can_be_reset_after_an_error() {
        let gzip = Compressor::new(Compression::default()).compress(b"text").to_vec();
        let mut inflater = Inflater::new(InflateFormat::Zlib, 100);
        assert_eq!(inflate(&mut inflater, &gzip), Err(DecompressError::Header));
        for _ in 0..2 {
            inflater.reset(InflateFormat::Gzip);
            assert_eq!(inflate(&mut inflater, &gzip), Ok(b"text".to_vec()));
        }
    }
}
