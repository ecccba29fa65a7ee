//! Inflates the body of a request as it comes.
//!
//! What the body is, its first bytes say (GELF: "magic bytes"). What the request says of it (`Content-Encoding`) only tells
//! the bare deflate data that some clients send from text: senders name a coding that they do not use, or none.

use flate2::{Decompress, FlushDecompress, Status};
use gelf_core::Encoding;

use super::gunzip::Gunzip;

/// How much is inflated at once.
const PIECE_BYTES: usize = 16 * 1024;

/// What a request says of its body.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Declared {
    Deflate,
    Gzip,
    /// Nothing, or that it is not packed.
    #[default]
    Nothing,
    /// More than one: pygelf sends `gzip,deflate`, and means either.
    Several,
}

impl Declared {
    /// Reads the values of `Content-Encoding`; none if there is a coding that is not known.
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
            declared = if declared == Self::Nothing { coding } else { Self::Several };
        }
        Some(declared)
    }
}

/// Why a body cannot be unpacked. Each is the sender's fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum UnpackError {
    /// It is damaged or cut short, or not what the request says.
    Corrupt,
    /// More came, or would come out, than the limit allows.
    TooLarge,
}

/// Unpacks one body. It holds one piece and the state of the inflating, whatever the body would grow to.
#[derive(Debug)]
pub(super) struct Unpacker {
    declared: Declared,
    limit: usize,
    taken: usize,
    given: usize,
    /// The first bytes, until there are enough to know what the body is.
    head: [u8; 2],
    head_len: usize,
    state: State,
    output: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Sniffing,
    Plain,
    /// zlib, or bare deflate data.
    Deflate(Decompress),
    Gzip(Box<Gunzip>),
    /// What follows compressed data is left out, as gelf-core and Java do.
    Behind,
}

/// What a step gives.
enum Step<'a> {
    /// Bytes as they came.
    Plain(&'a [u8]),
    /// The first bytes.
    Head,
    /// That many bytes of the output.
    Unpacked(usize),
}

/// How much more may come than comes out of it: headers, checksums, and data that cannot be compressed.
pub(super) fn max_packed_len(limit: usize) -> usize {
    limit.saturating_add(limit / 8).saturating_add(1024)
}

impl Unpacker {
    /// For a body that may have `limit` bytes once it is unpacked.
    pub(super) fn new(declared: Declared, limit: usize) -> Self {
        Self {
            declared,
            limit,
            taken: 0,
            given: 0,
            head: [0; 2],
            head_len: 0,
            state: State::Sniffing,
            output: Vec::new(),
        }
    }

    /// Unpacks from `input`, which is moved forward. It is used up when an empty piece comes.
    pub(super) fn unpack<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<&'a [u8], UnpackError> {
        let before = input.len();
        let step = self.step(input)?;
        self.taken = self.taken.saturating_add(before - input.len());
        let piece = match step {
            Step::Plain(piece) => piece,
            Step::Head => self.head.get(..self.head_len).unwrap_or_default(),
            Step::Unpacked(len) => self.output.get(..len).unwrap_or_default(),
        };
        self.given = self.given.saturating_add(piece.len());
        if self.given > self.limit || self.taken > max_packed_len(self.limit) {
            return Err(UnpackError::TooLarge);
        }
        Ok(piece)
    }

    /// What is left at the end of the body.
    pub(super) fn finish(&self) -> Result<&[u8], UnpackError> {
        match &self.state {
            State::Plain | State::Behind => Ok(&[]),
            State::Gzip(gunzip) if gunzip.may_end() => Ok(&[]),
            State::Deflate(_) | State::Gzip(_) => Err(UnpackError::Corrupt),
            // A single byte, or none.
            State::Sniffing if self.head_len > self.limit => Err(UnpackError::TooLarge),
            State::Sniffing => Ok(self.head.get(..self.head_len).unwrap_or_default()),
        }
    }

    fn step<'a>(&mut self, input: &mut &'a [u8]) -> Result<Step<'a>, UnpackError> {
        while let State::Sniffing = self.state {
            let Some(byte) = next_byte(input) else { return Ok(Step::Plain(&[])) };
            if let Some(place) = self.head.get_mut(self.head_len) {
                *place = byte;
                self.head_len += 1;
            }
            if self.head_len < self.head.len() {
                continue;
            }
            self.state = sniff(self.head, self.declared)?;
            if let State::Plain = self.state {
                return Ok(Step::Head);
            }
            self.output.resize(PIECE_BYTES, 0);
            // The first bytes belong to the compressed data.
            let head = self.head;
            let mut head = &head[..];
            let len = self.inflate(&mut head)?;
            if len > 0 {
                return Ok(Step::Unpacked(len));
            }
        }
        match self.state {
            State::Plain | State::Sniffing => Ok(Step::Plain(std::mem::take(input))),
            State::Behind => {
                *input = &[];
                Ok(Step::Plain(&[]))
            }
            State::Deflate(_) | State::Gzip(_) => self.inflate(input).map(Step::Unpacked),
        }
    }

    /// Inflates until there is a piece or the input is used up.
    fn inflate(&mut self, input: &mut &[u8]) -> Result<usize, UnpackError> {
        match &mut self.state {
            State::Deflate(inflate) => {
                let (len, ended) = inflate_some(inflate, input, &mut self.output)?;
                if ended {
                    *input = &[];
                    self.state = State::Behind;
                }
                Ok(len)
            }
            State::Gzip(gunzip) => gunzip.inflate(input, &mut self.output),
            State::Behind | State::Plain | State::Sniffing => Ok(0),
        }
    }
}

/// What a body is that begins with these bytes.
fn sniff(head: [u8; 2], declared: Declared) -> Result<State, UnpackError> {
    let [first, second] = head;
    // A window of less than 32 KiB is not `78`; no JSON text begins so (RFC 1950, section 2.2).
    let is_zlib = first & 0x0f == 8
        && first >> 4 <= 7
        && (u16::from(first) * 256 + u16::from(second)).is_multiple_of(31);
    let is_json = matches!(first, b'{' | b'[') || first.is_ascii_whitespace();
    match (Encoding::sniff(&head), declared) {
        (Encoding::Gzip, _) => Ok(State::Gzip(Box::new(Gunzip::new()))),
        _ if is_zlib => Ok(State::Deflate(Decompress::new(true))),
        _ if is_json => Ok(State::Plain),
        (_, Declared::Deflate) => Ok(State::Deflate(Decompress::new(false))),
        (_, Declared::Gzip) => Err(UnpackError::Corrupt),
        (_, Declared::Nothing | Declared::Several) => Ok(State::Plain),
    }
}

pub(super) fn next_byte(input: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = input.split_first()?;
    *input = rest;
    Some(*byte)
}

/// Fills the output as far as the input goes: how far, and whether the data has ended.
pub(super) fn inflate_some(
    inflate: &mut Decompress,
    input: &mut &[u8],
    output: &mut [u8],
) -> Result<(usize, bool), UnpackError> {
    loop {
        let (taken, given) = (inflate.total_in(), inflate.total_out());
        let status =
            inflate.decompress(input, output, FlushDecompress::None).map_err(|_| UnpackError::Corrupt)?;
        let taken = usize::try_from(inflate.total_in() - taken).unwrap_or(usize::MAX);
        let given = usize::try_from(inflate.total_out() - given).unwrap_or(usize::MAX);
        *input = input.get(taken..).unwrap_or_default();
        let ended = matches!(status, Status::StreamEnd);
        if ended || given > 0 || input.is_empty() {
            return Ok((given, ended));
        }
        if taken == 0 {
            return Err(UnpackError::Corrupt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelf_core::{Compression, CompressionLevel, Compressor, Decompressor};
    use proptest::prelude::*;

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
    fn content_encoding_is_read() {
        let parse = |values: &[&str]| Declared::parse(values.iter().copied());
        assert_eq!(parse(&[]), Some(Declared::Nothing));
        assert_eq!(parse(&["identity"]), Some(Declared::Nothing));
        assert_eq!(parse(&["GZIP"]), Some(Declared::Gzip));
        assert_eq!(parse(&[" x-gzip , identity"]), Some(Declared::Gzip));
        assert_eq!(parse(&["deflate"]), Some(Declared::Deflate));
        assert_eq!(parse(&["gzip,deflate"]), Some(Declared::Several));
        assert_eq!(parse(&["gzip", "deflate"]), Some(Declared::Several));
        assert_eq!(parse(&["br"]), None);
        assert_eq!(parse(&["gzip, zstd"]), None);
    }

    #[test]
    fn a_body_is_what_its_first_bytes_say_and_bare_deflate_what_the_request_says() {
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
    fn every_optional_part_of_a_gzip_header_is_skipped() {
        let gzip = gzip(TEXT);
        let with = |header: &[u8]| [header, &gzip[10..]].concat();
        let all = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x02\0xya\0c\0\x9c\x5e";
        let none_extra = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\0\0";
        let name = b"\x1f\x8b\x08\x08\0\0\0\0\0\xffa\0";
        for header in [&all[..], none_extra, name] {
            assert_eq!(unpack(with(header).chunks(1), Declared::Gzip, LIMIT), Ok(TEXT.to_vec()));
        }
        let mut wrong = *all;
        for at in [wrong.len() - 1, wrong.len() - 2, 0, 1, 2] {
            wrong[at] ^= 1;
            assert_eq!(unpack([&with(&wrong)[..]], Declared::Gzip, LIMIT), Err(UnpackError::Corrupt), "{at}");
            wrong[at] ^= 1;
        }
        let reserved = b"\x1f\x8b\x08\x20\0\0\0\0\0\xff";
        assert_eq!(unpack([&with(reserved)[..]], Declared::Gzip, LIMIT), Err(UnpackError::Corrupt));
    }

    #[test]
    fn the_limit_is_exact_and_counts_what_comes_out() {
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
    fn what_comes_is_limited_although_nothing_comes_out() {
        let empty_member = gzip(b"");
        let endless = std::iter::repeat_n(&empty_member[..], 10_000);
        assert_eq!(unpack(endless, Declared::Gzip, LIMIT), Err(UnpackError::TooLarge));
        let behind = [&gzip(TEXT)[..], &[b'x'; 100_000]].concat();
        assert_eq!(unpack([&behind[..]], Declared::Gzip, LIMIT), Err(UnpackError::TooLarge));
    }

    proptest! {
        /// gelf-core inflates whole payloads; this inflates parts, and must not differ.
        #[test]
        fn what_comes_out_is_what_gelf_core_makes_of_the_whole(
            text in prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..1000),
            second in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
            is_gzip: bool,
            behind in prop::collection::vec(any::<u8>(), 0..12),
            damage in prop::option::of((any::<prop::sample::Index>(), 1u8..)),
            cut in prop::option::of(any::<prop::sample::Index>()),
            limit in prop_oneof![Just(LIMIT), 0..1500_usize],
            part_len in 1..500_usize,
        ) {
            let pack = if is_gzip { gzip } else { zlib };
            let mut body = pack(&text);
            body.extend(second.iter().flat_map(|text| pack(text)));
            body.extend(behind);
            if let Some((at, bits)) = damage {
                let at = at.index(body.len());
                body[at] ^= bits;
            }
            if let Some(cut) = cut {
                body.truncate(cut.index(body.len()));
            }
            // Else it is not for both to inflate.
            prop_assume!(matches!(Encoding::sniff(&body), Encoding::Gzip | Encoding::Zlib));
            prop_assume!(body.len() >= 2);
            let expected = Decompressor::new(limit).decompress(&body).map(|inflated| inflated.bytes.to_vec());
            let unpacked = unpack(body.chunks(part_len), Declared::Gzip, limit);
            match (expected, unpacked) {
                (Ok(expected), unpacked) => prop_assert_eq!(unpacked, Ok(expected)),
                (Err(error), unpacked) => prop_assert!(unpacked.is_err(), "{error} and {unpacked:?}"),
            }
        }

        #[test]
        fn nothing_comes_that_it_cannot_bear(
            body in prop::collection::vec(any::<u8>(), 0..300),
            magic in prop::sample::select(vec![&b""[..], b"\x1f\x8b\x08", b"\x78\x9c", b"\x08\x1d"]),
            declared in prop::sample::select(EACH.to_vec()),
            part_len in 1..20_usize,
        ) {
            let body = [magic, &body].concat();
            let at_once = unpack([&body[..]], declared, 1000);
            let in_parts = unpack(body.chunks(part_len), declared, 1000);
            match (at_once, in_parts) {
                (Ok(at_once), in_parts) => prop_assert_eq!(in_parts, Ok(at_once)),
                // Which fault is found first depends on how it comes.
                (Err(_), in_parts) => prop_assert!(in_parts.is_err()),
            }
        }
    }
}
