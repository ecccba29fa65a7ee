//! Computes from the acknowledged ciphertext of a TLS connection how much plaintext is acknowledged.

use std::collections::VecDeque;

/// Maps ciphertext offsets to plaintext offsets.
///
/// A flush writes all records. Once the bytes of these records are acknowledged, the plaintext that was
/// written before the flush is acknowledged too.
#[derive(Debug, Default)]
pub(crate) struct AckMap {
    /// The total number of plaintext bytes and of ciphertext bytes at the end of each flush that wrote plaintext.
    /// Flushes that are wholly acknowledged are removed.
    flushes: VecDeque<(u64, u64)>,
    acknowledged: u64,
}

impl AckMap {
    /// Notes the end of a flush. `plaintext` and `ciphertext` are the total numbers of bytes that the connection has
    /// written.
    pub(crate) fn flushed(&mut self, plaintext: u64, ciphertext: u64) {
        if self.flushes.back().is_none_or(|(last, _)| *last < plaintext) && self.acknowledged < plaintext {
            self.flushes.push_back((plaintext, ciphertext));
        }
    }

    /// Returns the number of acknowledged bytes of plaintext. `ciphertext` is the number of acknowledged
    /// bytes of ciphertext.
    pub(crate) fn acknowledge(&mut self, ciphertext: u64) -> u64 {
        while let Some((plaintext, end)) = self.flushes.front() {
            if *end > ciphertext {
                break;
            }
            self.acknowledged = *plaintext;
            self.flushes.pop_front();
        }
        self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushed_plaintext_is_acknowledged_with_all_of_its_ciphertext() {
        let mut acks = AckMap::default();
        acks.flushed(0, 500);
        assert_eq!(acks.acknowledge(500), 0);
        acks.flushed(100, 700);
        acks.flushed(100, 730);
        acks.flushed(250, 900);
        assert_eq!(acks.acknowledge(699), 0);
        assert_eq!(acks.acknowledge(700), 100);
        assert_eq!(acks.acknowledge(899), 100);
        assert_eq!(acks.acknowledge(1000), 250);
        assert!(acks.flushes.is_empty());
    }
}
