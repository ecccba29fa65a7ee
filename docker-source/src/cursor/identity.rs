//! Identifies lines by their stamp, length and text.

use gelf_core::Timestamp;

use crate::log::{ALWAYS_KEPT, Line};

/// The identity of a line within its stream.
///
/// The hash has no secret key, so a program can write two texts with the same hash. Such lines are confused
/// only if they also have the same stamp and are lines of the same stream of the same container. Docker's own
/// stamps are distinct. Therefore, a program can at most hide lines of its own, as if it had not written
/// them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Identity {
    pub(super) time: Timestamp,
    /// The hash of the length and of the first 64 KiB, which are never cut off.
    hash: u64,
}

impl Identity {
    pub(super) fn of(line: &Line) -> Self {
        let kept = line.bytes.get(..ALWAYS_KEPT).unwrap_or(&line.bytes);
        Self { time: line.time, hash: hash(kept, line.length as u64) }
    }
}

/// Returns the hash of a text and a seed. Multiplies 16 bytes at a time to 128 bits and folds the product to
/// 64 bits, as wyhash does. This takes about a tenth of the time of SipHash.
fn hash(text: &[u8], seed: u64) -> u64 {
    let mut hash = seed;
    let mut blocks = text.chunks_exact(16);
    for block in &mut blocks {
        hash = folded(hash, block);
    }
    let mut last = [0; 16];
    last.iter_mut().zip(blocks.remainder()).for_each(|(place, byte)| *place = *byte);
    folded(hash, &last)
}

/// Mixes a block of 16 bytes into a hash.
#[inline(always)]
fn folded(hash: u64, block: &[u8]) -> u64 {
    /// The first digits of the fractional parts of the square roots of 2 and 3.
    const KEYS: [u64; 2] = [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b];
    let word = |half: Option<&[u8; 8]>| half.map_or(0, |half| u64::from_le_bytes(*half));
    let (first, second) = (word(block.first_chunk()), word(block.last_chunk()));
    let product = u128::from(first ^ KEYS[0] ^ hash) * u128::from(second ^ KEYS[1] ^ hash.rotate_left(32));
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_that_differ_in_a_bit_or_in_their_length_have_different_hashes() {
        let text = b"GET /items/4711 200 in 13 ms".repeat(3);
        let mut hashes = HashSet::new();
        for length in 0..text.len() {
            assert!(hashes.insert(hash(&text[..length], length as u64)), "{length}");
            assert!(hashes.insert(hash(&vec![0; length + 1], length as u64 + 1)), "{length} zeroes");
        }
        for bit in 0..8 * text.len() {
            let mut other = text.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(hashes.insert(hash(&other, text.len() as u64)), "{bit}");
        }
    }
}
