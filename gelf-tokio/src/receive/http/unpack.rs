//! Inflates the body of a request as it arrives.
//!
//! The first bytes tell the format of the body (GELF: "magic bytes"). `Content-Encoding` is not reliable,
//! since some senders declare a coding that they do not use, or declare none. The header is used only if the
//! first bytes are neither gzip nor zlib nor the beginning of JSON: `deflate` then means the bare deflate
//! data of some clients, and `gzip` is an error. Any other body is text, and so is a body of one byte.

use gelf_core::wire::{DecompressError, Encoding, Inflater};

/// The maximum length, in bytes, of one piece of inflated output.
const PIECE_BYTES: usize = 16 * 1024;

/// A request's `Content-Encoding`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Declared {
    Deflate,
    Gzip,
    /// No coding, or `identity`.
    #[default]
    Nothing,
    /// More than one coding: pygelf sends `gzip,deflate`, and means either.
    Several,
}

impl Declared {
    /// Parses the values of `Content-Encoding`. Returns `None` if a coding is not known, or is applied twice,
    /// since a body is unpacked only once.
    pub(super) fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut declared = Self::Nothing;
        for coding in values.into_iter().flat_map(|value| value.split(',')).map(str::trim) {
            let coding = match coding {
                coding if coding.is_empty() || coding.eq_ignore_ascii_case("identity") => continue,
                coding if coding.eq_ignore_ascii_case("deflate") => Self::Deflate,
                coding if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => {
                    Self::Gzip
                }
                _ => return None,
            };
            declared = match declared {
                Self::Nothing => coding,
                Self::Gzip | Self::Deflate if declared != coding => Self::Several,
                _ => return None,
            };
        }
        Some(declared)
    }
}

/// The reason why a body cannot be unpacked. Each reason is the sender's fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum UnpackError {
    /// The body is malformed or truncated, or does not have the declared coding.
    Corrupt,
    /// The body exceeds its maximum length, in its compressed or in its unpacked form.
    TooLarge,
}

impl From<DecompressError> for UnpackError {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::LimitExceeded { .. } => Self::TooLarge,
            _ => Self::Corrupt,
        }
    }
}

/// Unpacks one body. The unpacker holds one piece and the state of the inflater, whatever the size of the
/// body.
#[derive(Debug)]
pub(super) struct Unpacker {
    declared: Declared,
    limit: usize,
    /// The number of bytes of the body that were taken from the input.
    taken: usize,
    /// The number of unpacked bytes that were returned.
    given: usize,
    /// The first bytes, until there are enough to tell the format of the body.
    head: Vec<u8>,
    state: State,
    output: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Sniffing,
    Plain,
    Compressed(Box<Inflater>),
    Failed(UnpackError),
}

/// The number of first bytes that tell the format of a body.
const HEAD_BYTES: usize = 2;

/// Returns the maximum length of a compressed body. Headers, checksums and incompressible data can make a
/// compressed body longer than its text.
pub(super) fn max_packed_len(limit: usize) -> usize {
    limit.saturating_add(limit / 8).saturating_add(1024)
}

impl Unpacker {
    /// Creates an unpacker for a body that may have up to `limit` bytes in unpacked form.
    pub(super) fn new(declared: Declared, limit: usize) -> Self {
        Self {
            declared,
            limit,
            taken: 0,
            given: 0,
            head: Vec::with_capacity(HEAD_BYTES),
            state: State::Sniffing,
            output: Vec::new(),
        }
    }

    /// Unpacks a piece from `input`, and advances `input`. An empty piece means that the input is used up.
    /// After an error, every call returns the same error.
    pub(super) fn unpack<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<&'a [u8], UnpackError> {
        let Self { declared, limit, taken, given, head, state, output } = self;
        let before = input.len();
        let result = step(*declared, *limit, head, state, output, input).and_then(|piece| {
            *taken = taken.saturating_add(before - input.len());
            *given = given.saturating_add(piece.len());
            let is_within = *given <= *limit && *taken <= max_packed_len(*limit);
            if is_within { Ok(piece) } else { Err(UnpackError::TooLarge) }
        });
        if let Err(error) = result {
            *state = State::Failed(error);
        }
        result
    }

    /// Ends the body, and returns the output that is left. A further call returns no output.
    pub(super) fn finish(&mut self) -> Result<&[u8], UnpackError> {
        match &self.state {
            State::Failed(error) => Err(*error),
            State::Plain => Ok(&[]),
            State::Compressed(inflater) => inflater.finish().map(|()| &[][..]).map_err(UnpackError::from),
            // The head has at most one byte here, since two bytes tell the format.
            State::Sniffing if self.head.len() > self.limit => Err(UnpackError::TooLarge),
            State::Sniffing => {
                self.state = State::Plain;
                Ok(&self.head)
            }
        }
    }
}

fn step<'a, 'i: 'a>(
    declared: Declared,
    limit: usize,
    head: &'a mut Vec<u8>,
    state: &mut State,
    output: &'a mut Vec<u8>,
    input: &mut &'i [u8],
) -> Result<&'a [u8], UnpackError> {
    if let State::Sniffing = state {
        let (first, rest) = input.split_at((HEAD_BYTES - head.len()).min(input.len()));
        head.extend_from_slice(first);
        *input = rest;
        if head.len() < HEAD_BYTES {
            return Ok(&[]);
        }
        *state = match inflater(head, declared, limit)? {
            Some(inflater) => State::Compressed(Box::new(inflater)),
            None => State::Plain,
        };
        if let State::Compressed(inflater) = state {
            output.resize(PIECE_BYTES, 0);
            // The first bytes belong to the compressed data. Inflating them may already produce output.
            let len = inflater.inflate(&mut head.as_slice(), output)?;
            if len > 0 {
                return piece(output, len);
            }
        } else {
            return Ok(head);
        }
    }
    match state {
        State::Failed(error) => Err(*error),
        State::Plain | State::Sniffing => Ok(std::mem::take(input)),
        State::Compressed(inflater) => {
            let len = inflater.inflate(input, output)?;
            piece(output, len)
        }
    }
}

fn piece(output: &[u8], len: usize) -> Result<&[u8], UnpackError> {
    // The inflater wrote no more than there is room for.
    output.split_at_checked(len).map(|(piece, _)| piece).ok_or(UnpackError::Corrupt)
}

/// Returns the inflater for a body that begins with these bytes; `None` if the body is plain.
fn inflater(head: &[u8], declared: Declared, limit: usize) -> Result<Option<Inflater>, UnpackError> {
    let is_json =
        head.first().is_some_and(|first| matches!(first, b'{' | b'[') || first.is_ascii_whitespace());
    match (Encoding::sniff(head), declared) {
        (Encoding::Gzip, _) => Ok(Some(Inflater::gzip(limit))),
        // Zlib data may have any window size.
        _ if Encoding::is_zlib(head) => Ok(Some(Inflater::zlib(limit))),
        _ if is_json => Ok(None),
        (_, Declared::Deflate) => Ok(Some(Inflater::deflate(limit))),
        (_, Declared::Gzip) => Err(UnpackError::Corrupt),
        (_, Declared::Nothing | Declared::Several) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelf_core::wire::Compressor;
    use gelf_core::{Compression, CompressionLevel};

    const TEXT: &[u8] = b"{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"m\"}";
    const LIMIT: usize = 65_536;

    fn unpack<'a>(
        parts: impl IntoIterator<Item = &'a [u8]>,
        declared: Declared,
        limit: usize,
    ) -> Result<Vec<u8>, UnpackError> {
        let mut unpacker = Unpacker::new(declared, limit);
        let mut text = Vec::new();
        for mut part in parts {
            loop {
                let piece = unpacker.unpack(&mut part)?;
                if piece.is_empty() {
                    break;
                }
                text.extend_from_slice(piece);
            }
            assert!(part.is_empty());
        }
        text.extend_from_slice(unpacker.finish()?);
        assert!(unpacker.output.len() <= PIECE_BYTES);
        Ok(text)
    }

    fn packed(compression: Compression, text: &[u8]) -> Vec<u8> {
        Compressor::new(compression).compress(text).to_vec()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        packed(Compression::Gzip(CompressionLevel::default()), text)
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        packed(Compression::Zlib(CompressionLevel::default()), text)
    }

    const EACH: [Declared; 4] = [Declared::Deflate, Declared::Gzip, Declared::Nothing, Declared::Several];

    #[test]
    fn content_encoding_is_parsed() {
        for (values, declared) in [
            (&[][..], Some(Declared::Nothing)),
            (&["identity"], Some(Declared::Nothing)),
            (&["GZIP"], Some(Declared::Gzip)),
            (&[" x-gzip , identity"], Some(Declared::Gzip)),
            (&["deflate"], Some(Declared::Deflate)),
            (&["gzip,deflate"], Some(Declared::Several)),
            (&["gzip", "deflate"], Some(Declared::Several)),
            // These codings are unknown, or are applied twice.
            (&["br"], None),
            (&["gzip, zstd"], None),
            (&["gzip, gzip"], None),
            (&["gzip", "x-gzip"], None),
            (&["deflate,identity,deflate"], None),
            (&["gzip,deflate,gzip"], None),
        ] {
            assert_eq!(Declared::parse(values.iter().copied()), declared, "{values:?}");
        }
    }

    #[test]
    fn first_bytes_tell_the_format_and_content_encoding_tells_bare_deflate() {
        let small_window = [b"\x48\x89", &zlib(TEXT)[2..]].concat();
        for body in [TEXT.to_vec(), gzip(TEXT), zlib(TEXT), small_window] {
            for declared in EACH {
                assert_eq!(unpack([&body[..]], declared, LIMIT), Ok(TEXT.to_vec()), "{declared:?}");
            }
        }
        let zlib = zlib(TEXT);
        let bare = &zlib[2..zlib.len() - 4];
        assert_eq!(unpack([bare], Declared::Deflate, LIMIT), Ok(TEXT.to_vec()));
        assert_eq!(unpack([bare], Declared::Nothing, LIMIT), Ok(bare.to_vec()));
        assert_eq!(unpack([bare], Declared::Gzip, LIMIT), Err(UnpackError::Corrupt));
        assert_eq!(unpack([&b"no JSON"[..]], Declared::Deflate, LIMIT), Err(UnpackError::Corrupt));
        for short in [&b""[..], b"x", b"\x1f"] {
            assert_eq!(unpack([short], Declared::Gzip, LIMIT), Ok(short.to_vec()));
        }
    }

    #[test]
    fn the_limit_is_exact_and_counts_the_output() {
        for len in [1, 2, 3, 1000, LIMIT] {
            let text = vec![b'x'; len];
            for body in [text.clone(), gzip(&text), zlib(&text)] {
                assert_eq!(unpack([&body[..]], Declared::Nothing, len), Ok(text.clone()));
                assert_eq!(unpack(body.chunks(1), Declared::Nothing, len), Ok(text.clone()));
                assert_eq!(unpack([&body[..]], Declared::Nothing, len - 1), Err(UnpackError::TooLarge));
                assert_eq!(unpack(body.chunks(1), Declared::Nothing, len - 1), Err(UnpackError::TooLarge));
            }
        }
    }

    #[test]
    fn input_without_output_is_limited() {
        let empty_member = gzip(b"");
        let endless = std::iter::repeat_n(&empty_member[..], 10_000);
        assert_eq!(unpack(endless, Declared::Gzip, LIMIT), Err(UnpackError::TooLarge));
        let behind = [&gzip(TEXT)[..], &[b'x'; 100_000]].concat();
        assert_eq!(unpack([&behind[..]], Declared::Gzip, LIMIT), Err(UnpackError::TooLarge));
    }
}
