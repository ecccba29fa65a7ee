//! Recognizes a line by its stamp and its text, in 16 bytes.

use gelf_core::Timestamp;

use crate::log::{ALWAYS_KEPT, Line};

/// The number of bits of a hash.
const HASH_BITS: u32 = 54;
/// The number of bits of the nanoseconds of a stamp. The remaining 44 of the 128 bits hold its seconds.
const NANOS_BITS: u32 = 30;

/// The identity of a line within its stream. Identities are ordered by their stamps.
///
/// The hash has no secret key, so a program can write two texts with the same hash. Such lines are confused
/// only if they also have the same stamp and are lines of the same stream of the same container. Docker's own
/// stamps are distinct. Therefore, a program can at most hide its own lines, as if it had not written them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Identity(u128);

impl Identity {
    pub(super) fn of(line: &Line) -> Self {
        // The hash includes the length and the first 64 KiB, which are never cut off.
        let hash = hash(line.bytes.get(..ALWAYS_KEPT).unwrap_or(&line.bytes), line.length as u64);
        let (seconds, nanos) = line.time.as_unix();
        // The sum is not negative, and has at most 44 bits.
        let seconds = (seconds + Timestamp::MAX_SECONDS).unsigned_abs();
        let stamp = u128::from(seconds) << NANOS_BITS | u128::from(nanos);
        Self(stamp << HASH_BITS | u128::from(hash >> (u64::BITS - HASH_BITS)))
    }

    /// Returns the stamp of the line.
    pub(super) fn time(self) -> Timestamp {
        let stamp = self.0 >> HASH_BITS;
        let seconds = (stamp >> NANOS_BITS) as i64 - Timestamp::MAX_SECONDS;
        let nanos = stamp as u32 & ((1 << NANOS_BITS) - 1);
        Timestamp::from_unix(seconds, nanos).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Returns the hash of a text and a seed. The text is read in blocks of 16 bytes. The two halves of each block
/// are multiplied, and the product of 128 bits is folded to 64 bits, as in wyhash. This takes a fraction of the
/// time of SipHash.
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
    use crate::log::LogStream;
    use bytes::Bytes;

    #[test]
    fn identities_keep_every_stamp_and_its_order() {
        let max = Timestamp::MAX_SECONDS;
        let stamps =
            [(-max, 0), (-max, 1), (-1, 999_999_999), (0, 0), (1_772_496_245, 250), (max, 999_999_999)];
        let stamps = stamps.map(|(seconds, nanos)| Timestamp::from_unix(seconds, nanos).unwrap());
        let identities = stamps.map(|time| {
            let bytes = Bytes::from_static(b"x");
            Identity::of(&Line { stream: LogStream::Stdout, time, length: 1, bytes, ended: true })
        });
        assert_eq!(identities.map(Identity::time), stamps);
        assert!(identities.is_sorted());
        assert_eq!(size_of::<Identity>(), 16);
    }

    #[test]
    fn texts_that_differ_in_a_bit_or_in_their_length_have_different_identities() {
        let mut identities = HashSet::new();
        let mut is_first = |bytes: &[u8]| {
            let (bytes, length, time) = (Bytes::copy_from_slice(bytes), bytes.len(), Timestamp::UNIX_EPOCH);
            let line = Line { stream: LogStream::Stdout, time, length, bytes, ended: true };
            identities.insert(Identity::of(&line))
        };
        let text = b"GET /items/4711 200 in 13 ms".repeat(3);
        for length in 1..text.len() {
            assert!(is_first(&text[..length]), "{length}");
            assert!(is_first(&vec![0; length]), "{length} zeroes");
        }
        for bit in 0..8 * text.len() {
            let mut other = text.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(is_first(&other), "{bit}");
        }
    }
}
