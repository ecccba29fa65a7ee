//! Reads chunks, compressed payloads and frames, and writes the chunks and compressed data of the vectors.

use std::io::{ErrorKind, Read, Write};

use flate2::Compression;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::Fault;

const CHUNK_MAGIC: [u8; 2] = [0x1e, 0x0f];

/// Length of a chunk's header, in bytes.
pub(crate) const CHUNK_HEADER_BYTES: usize = 12;

/// Maximum number of chunks of a message (R17).
const MAX_CHUNKS: usize = 128;

/// Maximum length of an inflated payload: 8 MiB, as in Graylog.
pub(crate) const MAX_INFLATED_BYTES: usize = 8 << 20;

/// A chunk of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chunk<'d> {
    pub(crate) id: [u8; 8],
    pub(crate) number: u8,
    pub(crate) count: u8,
    pub(crate) payload: &'d [u8],
}

/// Returns whether a datagram begins with the magic bytes of a chunk.
pub(crate) fn is_chunk(datagram: &[u8]) -> bool {
    datagram.starts_with(&CHUNK_MAGIC)
}

impl<'d> Chunk<'d> {
    /// Reads a datagram that [is a chunk](is_chunk).
    ///
    /// # Errors
    /// Returns the fault of the header.
    pub(crate) fn read(datagram: &'d [u8]) -> Result<Self, Fault> {
        let Some(([_, _, id @ .., number, count], payload)) =
            datagram.split_first_chunk::<CHUNK_HEADER_BYTES>()
        else {
            return Err(Fault::new("ChunkHeaderTruncated", datagram.len()));
        };
        match (*number, *count) {
            (_, 0) => Err(Fault::new("ChunkCountZero", 11)),
            (_, count) if usize::from(count) > MAX_CHUNKS => Err(Fault::new("ChunkCountTooLarge", 11)),
            (number, count) if number >= count => Err(Fault::new("ChunkSequenceOutOfRange", 10)),
            (number, count) => Ok(Self { id: *id, number, count, payload }),
        }
    }
}

/// Splits a payload into chunks of at most `size` bytes, header included. Returns `None` if there would be
/// more than 128 chunks, or if the header alone fills `size` bytes.
pub(crate) fn split(payload: &[u8], size: usize) -> Option<Vec<Vec<u8>>> {
    let parts: Vec<&[u8]> =
        payload.chunks(size.checked_sub(CHUNK_HEADER_BYTES).filter(|share| *share > 0)?).collect();
    let count = u8::try_from(parts.len()).ok().filter(|count| usize::from(*count) <= MAX_CHUNKS)?;
    let chunk = |(number, part): (u8, &&[u8])| {
        [&CHUNK_MAGIC, b"gelfconf".as_slice(), &[number, count], part].concat()
    };
    Some((0..count).zip(&parts).map(chunk).collect())
}

/// Encoding of a payload, as its first bytes show it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Encoding {
    Chunk,
    Gzip,
    /// zlib data with a window of 32 KiB. The first byte is `78`.
    Zlib,
    /// zlib data with a smaller window.
    SmallZlib,
    Plain,
    Unknown,
}

/// Determines the encoding of a payload.
pub(crate) fn encoding(payload: &[u8]) -> Encoding {
    match payload {
        [0x1e, 0x0f, ..] => Encoding::Chunk,
        [0x1f, 0x8b, ..] => Encoding::Gzip,
        // RFC 1950, section 2.2: the method is deflate, and the two bytes form a multiple of 31.
        [method, flags, ..] if method & 0x8f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0 => {
            if *method == 0x78 {
                Encoding::Zlib
            } else {
                Encoding::SmallZlib
            }
        }
        [0x1e | 0x1f | 0x78, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => Encoding::Unknown,
        _ => Encoding::Plain,
    }
}

/// Returns the uncompressed payload of a message, and the names of deviations.
///
/// # Errors
/// Returns the reason why the message cannot be read.
pub(crate) fn payload(message: &[u8]) -> Result<(Vec<u8>, Vec<&'static str>), Fault> {
    let mut names = Vec::new();
    let found = encoding(message);
    let payload = match (found, message) {
        (Encoding::Gzip | Encoding::Zlib | Encoding::SmallZlib, _) => {
            let (payload, trailing) = inflated(message)?;
            if found == Encoding::SmallZlib {
                names.push("SmallWindow");
            } else if trailing > 0 {
                names.push("TrailingAfterCompressed");
            }
            payload
        }
        (Encoding::Plain, _) => message.to_vec(),
        (Encoding::Unknown, [0x1f, 0x3c, text @ ..]) => {
            names.push("LegacyHeader");
            text.to_vec()
        }
        (Encoding::Unknown, _) => return Err(Fault::new("UnknownMagic", 0)),
        (Encoding::Chunk, _) => return Err(Fault::new("NestedChunk", 0)),
    };
    match payload.as_slice() {
        [] => Err(Fault::new("EmptyPayload", 0)),
        inner if is_chunk(inner) => Err(Fault::new("NestedChunk", 0)),
        inner if inner.len() > MAX_INFLATED_BYTES => Err(Fault::new("PayloadTooLarge", MAX_INFLATED_BYTES)),
        _ => Ok((payload, names)),
    }
}

/// Inflates gzip or zlib. Returns the payload and the number of bytes after the compressed data.
///
/// # Errors
/// Returns the reason why the data cannot be inflated.
pub(crate) fn inflated(data: &[u8]) -> Result<(Vec<u8>, usize), Fault> {
    let mut rest = data;
    let mut payload = Vec::new();
    if encoding(data) == Encoding::Gzip {
        // gzip data consists of one or several members. This loop reads the first, and each that follows it.
        while payload.is_empty() && rest.len() == data.len() || rest.starts_with(&[0x1f, 0x8b]) {
            let mut decoder = GzDecoder::new(rest);
            let result = read_to_limit(&mut decoder, &mut payload);
            rest = decoder.into_inner();
            result?;
        }
    } else {
        if data.get(1).is_some_and(|flags| flags & 0x20 != 0) {
            return Err(Fault::new("CompressionDictionary", 1));
        }
        let mut decoder = ZlibDecoder::new(rest);
        let result = read_to_limit(&mut decoder, &mut payload);
        rest = decoder.into_inner();
        result.map_err(|fault| {
            // `ZlibDecoder` reports a wrong checksum as corrupt data. If the data inflate without the zlib
            // header and checksum, only the checksum is wrong.
            let mut decoder = DeflateDecoder::new(data.get(2..).unwrap_or_default());
            let is_sound = read_to_limit(&mut decoder, &mut Vec::new()).is_ok();
            let is_checksum = fault.name == "CompressionCorrupt" && is_sound;
            if is_checksum { Fault::new("CompressionChecksum", fault.at) } else { fault }
        })?;
    }
    Ok((payload, rest.len()))
}

fn read_to_limit(decoder: &mut impl Read, payload: &mut Vec<u8>) -> Result<(), Fault> {
    let room = (MAX_INFLATED_BYTES - payload.len()) as u64;
    let result = decoder.take(room + 1).read_to_end(payload);
    let at = payload.len();
    match result {
        Ok(_) if at > MAX_INFLATED_BYTES => Err(Fault::new("CompressionLimit", MAX_INFLATED_BYTES)),
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::new(
            match (error.kind(), error.to_string()) {
                (ErrorKind::UnexpectedEof, _) => "CompressionTruncated",
                (_, text) if text.contains("checksum") => "CompressionChecksum",
                (_, text) if text.contains("header") => "CompressionHeader",
                _ => "CompressionCorrupt",
            },
            at,
        )),
    }
}

/// Compresses data as the recipes of the vectors require: level 6, gzip without a timestamp, and zlib with
/// the header `78 9c`.
pub(crate) fn deflated(data: &[u8], is_gzip: bool) -> Vec<u8> {
    let level = Compression::new(6);
    let compressed = if is_gzip {
        let mut encoder = flate2::GzBuilder::new().operating_system(0xff).write(Vec::new(), level);
        encoder.write_all(data).and_then(|()| encoder.finish())
    } else {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
        encoder.write_all(data).and_then(|()| encoder.finish())
    };
    // Writing to memory does not fail.
    compressed.unwrap_or_default()
}

/// Splits a stream into frames, at null bytes.
#[derive(Debug)]
pub(crate) struct Frames {
    /// The bytes after the last null byte.
    rest: Vec<u8>,
    max_bytes: usize,
    /// True up to the end of a frame that is too long.
    is_skipping: bool,
}

/// A frame, or the event in its place.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Frame {
    /// A frame without its null byte.
    Whole(Vec<u8>),
    /// A frame without bytes, or of only white space.
    Empty,
    /// A frame that is longer than the maximum length. It is left out.
    TooLong,
}

impl Frames {
    /// Maximum length of a frame: 2 MiB, as in Graylog.
    pub(crate) const MAX_BYTES: usize = 2 << 20;

    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { rest: Vec::new(), max_bytes, is_skipping: false }
    }

    /// Adds bytes. Returns the frames that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == 0) {
            let (part, is_end) = match piece {
                [part @ .., 0] => (part, true),
                part => (part, false),
            };
            if !self.is_skipping {
                self.rest.extend_from_slice(part);
                if self.rest.len() > self.max_bytes {
                    self.rest.clear();
                    self.is_skipping = true;
                    frames.push(Frame::TooLong);
                }
            }
            if is_end && !std::mem::take(&mut self.is_skipping) {
                let frame = std::mem::take(&mut self.rest);
                let is_blank = frame.iter().all(u8::is_ascii_whitespace);
                frames.push(if is_blank { Frame::Empty } else { Frame::Whole(frame) });
            }
        }
        frames
    }

    /// Returns the unterminated frame at the end of the stream, unless it is blank.
    pub(crate) fn finish(&mut self) -> Option<Vec<u8>> {
        let frame = std::mem::take(&mut self.rest);
        (!frame.iter().all(u8::is_ascii_whitespace)).then_some(frame)
    }
}
