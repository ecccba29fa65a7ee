//! Recognizes a line by its stamp and its text, in 16 bytes.

use std::hash::{DefaultHasher, Hasher};

use gelf_core::Timestamp;

use crate::log::{ALWAYS_KEPT, Line};

/// The number of bits of a hash.
const HASH_BITS: u32 = 54;
/// The number of bits of the nanoseconds of a stamp. The other 44 bits have its seconds.
const NANOS_BITS: u32 = 30;

/// The identity of a line within its stream. Identities are ordered by their stamps.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Identity(u128);

impl Identity {
    pub(super) fn of(line: &Line) -> Self {
        let mut hasher = DefaultHasher::new();
        // The hash includes the length and the first 64 KiB, which are never cut off.
        hasher.write_usize(line.length);
        hasher.write(line.bytes.get(..ALWAYS_KEPT).unwrap_or(&line.bytes));
        let (seconds, nanos) = line.time.as_unix();
        // The difference is not negative, and has at most 44 bits.
        let seconds = (seconds + Timestamp::MAX_SECONDS).unsigned_abs();
        let stamp = u128::from(seconds) << NANOS_BITS | u128::from(nanos);
        Self(stamp << HASH_BITS | u128::from(hasher.finish() >> (u64::BITS - HASH_BITS)))
    }

    /// Returns the stamp of the line.
    pub(super) fn time(self) -> Timestamp {
        let stamp = self.0 >> HASH_BITS;
        let seconds = (stamp >> NANOS_BITS) as i64 - Timestamp::MAX_SECONDS;
        let nanos = stamp as u32 & ((1 << NANOS_BITS) - 1);
        Timestamp::from_unix(seconds, nanos).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
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
}
