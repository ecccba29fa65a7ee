//! The codes and the head of a deflate block (RFC 1951, section 3.2).
#![allow(clippy::indexing_slicing, reason = "symbols are below the lengths of the arrays")]

use super::bits::BitWriter;
use super::histogram::Histogram;
use super::huffman::{MAX_BITS, code_lengths, codes};
use super::symbols::{DISTANCES, LITERALS};

/// The number of fixed codes for literals and lengths. The last two of these codes are never used.
const FIXED_LITERALS: usize = 288;

/// The order of the 19 code length symbols in a head (RFC 1951, section 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// An upper bound for the length of a head in bytes, with room for the bit writer.
pub(super) const MAX_HEAD: usize = 512;

/// The lengths of the codes of a block in bits.
#[derive(Debug)]
pub(super) struct CodeLengths {
    pub(super) literals: [u8; FIXED_LITERALS],
    pub(super) distances: [u8; DISTANCES],
    is_fixed: bool,
}

impl CodeLengths {
    /// Returns the best lengths for a histogram.
    fn best(histogram: &Histogram) -> Self {
        let mut lengths = Self { literals: [0; FIXED_LITERALS], distances: [0; DISTANCES], is_fixed: false };
        code_lengths(&histogram.literals, MAX_BITS, &mut lengths.literals[..LITERALS]);
        code_lengths(&histogram.distances, MAX_BITS, &mut lengths.distances);
        lengths
    }

    /// Returns the fixed lengths, which need no description in the head.
    fn fixed() -> Self {
        let mut literals = [8; FIXED_LITERALS];
        literals[144..256].fill(9);
        literals[256..280].fill(7);
        Self { literals, distances: [5; DISTANCES], is_fixed: true }
    }

    /// Returns the lengths that make a block shortest: the best lengths if they save more bits than their
    /// description takes, otherwise the fixed lengths. `weight` is the weight that the histogram gives to a symbol
    /// that occurs once in each block.
    pub(super) fn shortest(expected: &Histogram, weight: u64) -> Self {
        let (best, fixed) = (Self::best(expected), Self::fixed());
        let head = |lengths: &Self| {
            let mut head = [0; MAX_HEAD];
            let mut bits = BitWriter::new(&mut head, 0, (0, 0));
            lengths.write_head(&mut bits);
            let (bytes, (_, bits)) = bits.position();
            weight * (8 * bytes as u64 + u64::from(bits))
        };
        let is_best = best.bits(expected) + head(&best) < fixed.bits(expected) + head(&fixed);
        if is_best { best } else { fixed }
    }

    /// Returns the length in bits of the symbols of a histogram, without their extra bits.
    fn bits(&self, histogram: &Histogram) -> u64 {
        let bits = |(count, length): (&u32, &u8)| u64::from(*count) * u64::from(*length);
        let literals: u64 = histogram.literals.iter().zip(&self.literals).map(bits).sum();
        literals + histogram.distances.iter().zip(&self.distances).map(bits).sum::<u64>()
    }

    /// Writes the head of a block that is the last one of its stream.
    pub(super) fn write_head(&self, bits: &mut BitWriter<'_>) {
        if self.is_fixed {
            // The lowest bit marks the last block. The bits above it are the type: 01 for fixed codes.
            bits.put_bits(0b011, 3);
            bits.flush();
            return;
        }
        let steps = || run_lengths(self.literals[..LITERALS].iter().chain(&self.distances).copied());
        let mut weights = [0; 19];
        for (symbol, ..) in steps() {
            weights[symbol] += 1;
        }
        let mut lengths = [0; 19];
        code_lengths(&weights, 7, &mut lengths);
        let last = ORDER.iter().rposition(|symbol| lengths[*symbol] > 0);
        let count = last.map_or(4, |last| (last + 1).max(4));
        // The type 10 announces codes that the head describes.
        bits.put_bits(0b101, 3);
        bits.put_bits((LITERALS - 257) as u32, 5);
        bits.put_bits((DISTANCES - 1) as u32, 5);
        bits.put_bits((count - 4) as u32, 4);
        for symbol in &ORDER[..count] {
            bits.flush();
            bits.put_bits(u32::from(lengths[*symbol]), 3);
        }
        let codes = codes(&lengths);
        for (symbol, extra, extra_bits) in steps() {
            bits.flush();
            bits.put(codes[symbol].followed_by(extra, extra_bits));
        }
        bits.flush();
    }
}

/// A code length, or a repetition of code lengths: the symbol, the value of its extra bits, and their number.
type Step = (usize, u32, u32);

/// Returns code lengths with their repetitions replaced by the symbols 16, 17 and 18.
fn run_lengths(lengths: impl Iterator<Item = u8>) -> impl Iterator<Item = Step> {
    let mut lengths = lengths.peekable();
    // A length, and the number of times that it still has to be written.
    let (mut length, mut run) = (0, 0_u32);
    std::iter::from_fn(move || {
        if run == 0 {
            length = lengths.next()?;
            run = 1;
            while lengths.next_if_eq(&length).is_some() {
                run += 1;
            }
            if length > 0 {
                // The first length is written as it is: the symbol 16 can only repeat the length before it.
                run -= 1;
                return Some((usize::from(length), 0, 0));
            }
        }
        let (written, step) = match (length, run) {
            (0, 11..) => (run.min(138), (18, run.min(138) - 11, 7)),
            (0, 3..) => (run.min(10), (17, run.min(10) - 3, 3)),
            (1.., 3..) => (run.min(6), (16, run.min(6) - 3, 2)),
            _ => (1, (usize::from(length), 0, 0)),
        };
        run -= written;
        Some(step)
    })
}
