//! Remembers the names of a message's fields, to detect a name that occurs twice.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// The number of names that are compared one by one. Further names are looked up in a hash set.
const FEW: usize = 32;

/// The names of the fields of one message, as fingerprints of 64 bits. The memory is reused for the next message.
///
/// Two different names have the same fingerprint with a probability of about 2^-64. If they do, the second name
/// is wrongly reported as repeated. A sender cannot provoke this, since the fingerprints depend on a random key.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The key of the fingerprints.
    state: RandomKey,
    /// One bit for each value of the lowest seven bits of a fingerprint. If the bit of a name is not set, the
    /// name is not in `few`.
    seen: u128,
    few: Vec<u64>,
    many: HashSet<u64, BuildHasherDefault<Unhashed>>,
}

impl Names {
    pub(super) fn clear(&mut self) {
        self.seen = 0;
        self.few.clear();
        if !self.many.is_empty() {
            self.many.clear();
        }
    }

    /// Adds a name, and returns whether it is new.
    pub(super) fn insert(&mut self, name: &str) -> bool {
        let fingerprint = self.state.fingerprint(name.as_bytes());
        let bit = 1 << (fingerprint % 128);
        let among_few = self.seen & bit != 0 && self.few.contains(&fingerprint);
        if among_few || self.few.len() >= FEW {
            return !among_few && self.many.insert(fingerprint);
        }
        self.seen |= bit;
        self.few.push(fingerprint);
        true
    }
}

/// Two random multipliers.
#[derive(Clone, Copy, Debug)]
struct RandomKey {
    first: u64,
    second: u64,
}

impl Default for RandomKey {
    fn default() -> Self {
        let random = RandomState::new();
        // The multipliers are odd, so that multiplication loses no bit of the other factor.
        Self { first: random.hash_one(1) | 1, second: random.hash_one(2) | 1 }
    }
}

impl RandomKey {
    /// Hashes eight bytes at a time: names are short, and a general hash would cost more than reading the
    /// names.
    fn fingerprint(self, name: &[u8]) -> u64 {
        let mut state = self.first;
        let mut rest = name;
        while let Some((word, tail)) = rest.split_first_chunk::<8>() {
            state = fold(state ^ u64::from_le_bytes(*word), self.second);
            rest = tail;
        }
        // The last word has the last eight bytes of the name, even if the loop has read some of them. If the
        // name has fewer than eight bytes, the word has all of them.
        let last = match name.last_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        // The length distinguishes names that begin with zero bytes.
        fold(fold(state ^ last, self.first) ^ (name.len() as u64), self.second)
    }
}

/// Multiplies two numbers and combines both halves of the product, so that each bit of the input affects each
/// bit of the output.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

/// A hasher for fingerprints, which are their own hash.
#[derive(Clone, Copy, Debug, Default)]
struct Unhashed(u64);

impl Hasher for Unhashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only `write_u64` is used.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_many_names_is_new_only_the_first_time() {
        let mut names = Names::default();
        for _ in 0..2 {
            for number in 0..1000 {
                assert!(names.insert(&format!("name{number}")), "{number}");
            }
            for number in 0..1000 {
                assert!(!names.insert(&format!("name{number}")), "{number}");
            }
            names.clear();
        }
    }

    #[test]
    fn similar_names_have_different_fingerprints() {
        let mut names = Names::default();
        for name in
            ["", "a", "b", "aa", "a\0", "\0", "\0\0", "12345678", "123456780", "12345678\0", "1234567\0"]
        {
            assert!(names.insert(name), "{name:?}");
        }
    }
}
