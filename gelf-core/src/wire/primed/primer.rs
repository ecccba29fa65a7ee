//! Compresses the payloads that begin with one prefix.
#![allow(clippy::indexing_slicing, reason = "each payload begins with the prefix, and the buffers have room")]

use super::bits::{BitWriter, Code};
use super::block::{CodeLengths, MAX_HEAD};
use super::format::Format;
use super::histogram::Histogram;
use super::huffman::{MAX_BITS, codes};
use super::matcher::{EMPTY, Sink, Table, find_matches};
use super::symbols::{DISTANCES, END, MAX_LENGTH, distance_symbol, length_symbol};

/// The maximum number of payloads between two trainings. One training costs about as much as the compression
/// of a hundred short lines.
const TRAIN_EVERY: u32 = 256;

/// The maximum number of trained lines. At this number, the counts of their symbols are halved, so that later
/// lines count more.
const TRAINED_LINES: u32 = 16;

/// A prefix in compressed form, and the codes for the lines that follow it.
///
/// The codes are trained on the prefix, on the lines of a few payloads, and on typical text. The intervals
/// between trainings are 1, 4, 16, 64, and then always 256 payloads. If the prefix is ASCII, the first line with
/// characters beyond ASCII causes a training, too.
pub(super) struct Primer {
    prefix: Box<[u8]>,
    /// The checksum of the prefix.
    checksum: u32,
    /// The number of the last payload with this prefix.
    used: u64,
    /// The match table after the prefix.
    table: Box<Table>,
    /// The whole bytes at the beginning of each output: the header of the format, the head of the block, and
    /// the compressed prefix.
    head: Vec<u8>,
    /// The bits of the compressed prefix behind the whole bytes, and the number of these bits.
    head_bits: (u8, u32),
    codes: Box<Codes>,
    /// The symbols of the trained lines.
    lines: Box<Histogram>,
    /// The number of trained lines, which is halved together with the counts in `lines`.
    trained: u32,
    /// True if each byte has a code. If false, possibly only ASCII characters have codes.
    is_complete: bool,
    /// The number of payloads before the next training.
    until_training: u32,
    /// The number of payloads from the next training to the training after it.
    interval: u32,
}

struct Codes {
    /// The codes of the bytes, and of the end of a block.
    literals: [Code; END + 1],
    /// The codes of the lengths, with their extra bits.
    lengths: [Code; MAX_LENGTH + 1],
    distances: [Code; DISTANCES],
}

/// Writes literals and matches with the codes of a primer.
struct Encoder<'a, 'b> {
    codes: &'a Codes,
    bits: BitWriter<'b>,
}

impl Sink for Encoder<'_, '_> {
    #[inline(always)]
    fn literals(&mut self, bytes: &[u8]) {
        const { assert!(4 * MAX_BITS <= 56) };
        let mut fours = bytes.chunks_exact(4);
        for four in &mut fours {
            for byte in four {
                self.bits.put(self.codes.literals[usize::from(*byte)]);
            }
            self.bits.flush();
        }
        for byte in fours.remainder() {
            self.bits.put(self.codes.literals[usize::from(*byte)]);
        }
        self.bits.flush();
    }

    #[inline(always)]
    fn matched(&mut self, length: usize, distance: usize) {
        self.bits.put(self.codes.lengths[length]);
        let distance = distance_symbol(distance);
        self.bits.put(self.codes.distances[distance.number]);
        self.bits.put_bits(distance.extra, distance.extra_bits);
        self.bits.flush();
    }
}

impl Primer {
    /// Creates the state for a prefix. Its codes are made at the first payload.
    pub(super) fn new(prefix: &[u8], format: Format) -> Self {
        let codes = Codes {
            literals: [Code::default(); END + 1],
            lengths: [Code::default(); MAX_LENGTH + 1],
            distances: [Code::default(); DISTANCES],
        };
        Self {
            prefix: prefix.into(),
            checksum: format.checksum(prefix),
            used: 0,
            table: Box::new(EMPTY),
            head: Vec::new(),
            head_bits: (0, 0),
            codes: Box::new(codes),
            lines: Box::new(Histogram::new()),
            trained: 0,
            is_complete: !prefix.is_ascii(),
            until_training: 0,
            interval: 1,
        }
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Returns the number of the last payload with this prefix.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Compresses a payload that begins with the prefix into the beginning of `dst`, which grows if
    /// necessary. `number` is the number of the payload. Returns the length of the output.
    pub(super) fn compress(
        &mut self,
        payload: &[u8],
        number: u64,
        format: Format,
        scratch: &mut Table,
        dst: &mut Vec<u8>,
    ) -> usize {
        self.used = number;
        let prefix_len = self.prefix.len();
        let line = &payload[prefix_len..];
        if !self.is_complete && !line.is_ascii() {
            self.is_complete = true;
            self.until_training = 0;
        }
        match self.until_training.checked_sub(1) {
            Some(left) => self.until_training = left,
            None => self.train(payload, format, scratch),
        }
        let head_len = self.head.len();
        // Each byte of the line takes at most `MAX_BITS` bits: a match takes fewer bits than its bytes would
        // take as literals of `MAX_BITS` bits each. The other 64 bytes are for the end of the block, the
        // trailer, and the bit writer.
        let most = head_len + line.len() * MAX_BITS / 8 + 64;
        if dst.len() < most {
            dst.resize(most, 0);
        }
        dst[..head_len].copy_from_slice(&self.head);
        scratch.copy_from_slice(&*self.table);
        let bits = BitWriter::new(dst, head_len, self.head_bits);
        let mut encoder = Encoder { codes: &self.codes, bits };
        find_matches(payload, prefix_len, scratch, &mut encoder);
        encoder.bits.put(self.codes.literals[END]);
        let len = encoder.bits.finish();
        len + format.write_trailer(payload, prefix_len, self.checksum, &mut dst[len..])
    }

    /// Adds the line of a payload to the trained lines, and makes new codes.
    fn train(&mut self, payload: &[u8], format: Format, scratch: &mut Table) {
        let mut prefix = Histogram::new();
        self.table.fill(0);
        find_matches(&self.prefix, 0, &mut self.table, &mut prefix);
        if self.trained == TRAINED_LINES {
            self.lines.halve();
            self.trained /= 2;
        }
        scratch.copy_from_slice(&*self.table);
        find_matches(payload, self.prefix.len(), scratch, &mut *self.lines);
        self.trained += 1;
        self.until_training = self.interval - 1;
        self.interval = (4 * self.interval).min(TRAIN_EVERY);

        let expected = Histogram::expected(&prefix, &self.lines, self.trained, self.is_complete);
        let lengths = CodeLengths::shortest(&expected, Histogram::message_weight(self.trained));
        let literals = codes(&lengths.literals);
        self.codes.literals.copy_from_slice(&literals[..=END]);
        for (length, code) in self.codes.lengths.iter_mut().enumerate().skip(3) {
            let symbol = length_symbol(length);
            *code = literals[symbol.number].followed_by(symbol.extra, symbol.extra_bits);
        }
        self.codes.distances = codes(&lengths.distances);
        self.write_head(format, &lengths, scratch);
    }

    /// Makes the beginning of each output, which precedes the line of a payload.
    fn write_head(&mut self, format: Format, lengths: &CodeLengths, scratch: &mut Table) {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        head.extend_from_slice(format.header());
        let start = head.len();
        head.resize(start + MAX_HEAD + self.prefix.len() * MAX_BITS / 8, 0);
        let mut bits = BitWriter::new(&mut head, start, (0, 0));
        lengths.write_head(&mut bits);
        scratch.fill(0);
        let mut encoder = Encoder { codes: &self.codes, bits };
        find_matches(&self.prefix, 0, scratch, &mut encoder);
        let (len, rest) = encoder.bits.position();
        head.truncate(len);
        (self.head, self.head_bits) = (head, rest);
    }
}
