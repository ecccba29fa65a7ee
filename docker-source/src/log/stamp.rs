//! Splits off the timestamp in front of each record.

use gelf_core::Timestamp;
use memchr::memchr2;

/// The maximum length of a stamp, including the space behind it.
///
/// The longest stamp in use, with nanoseconds and an offset from UTC, takes 36 bytes.
pub(super) const STAMP_MAX: usize = 40;

/// A text that is split behind the stamp at its start.
#[derive(Debug)]
pub(super) struct Stamped<'a> {
    pub(super) time: Timestamp,
    /// The stamp and the space behind it.
    pub(super) stamp: &'a [u8],
    pub(super) text: &'a [u8],
}

/// The error for a text that does not start with a stamp.
#[derive(Debug)]
pub(super) struct MissingTimestamp;

/// Splits `text` behind its initial stamp and the space after it. Returns `Ok(None)` if more bytes are needed:
/// `text` has fewer than [`STAMP_MAX`] bytes, and neither a space nor a newline.
pub(super) fn split_stamp(text: &[u8]) -> Result<Option<Stamped<'_>>, MissingTimestamp> {
    let (start, is_cut) = match text.split_at_checked(STAMP_MAX) {
        Some((start, _)) => (start, false),
        None => (text, true),
    };
    let Some(end) = memchr2(b' ', b'\n', start) else {
        return if is_cut { Ok(None) } else { Err(MissingTimestamp) };
    };
    let (stamp, text) = text.split_at(end + 1);
    let time = stamp
        .strip_suffix(b" ")
        .and_then(|stamp| Timestamp::from_rfc3339_bytes(stamp).ok())
        .ok_or(MissingTimestamp)?;
    Ok(Some(Stamped { time, stamp, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_split_off_with_its_space() {
        let split = split_stamp(b"2026-11-22T22:44:18.5Z a b").unwrap().unwrap();
        assert_eq!(split.time.as_unix(), (1_795_387_458, 500_000_000));
        assert_eq!((split.stamp, split.text), (&b"2026-11-22T22:44:18.5Z "[..], &b"a b"[..]));
    }

    #[test]
    fn fewer_than_40_bytes_without_a_space_are_undecided() {
        assert!(split_stamp(b"").unwrap().is_none());
        assert!(split_stamp(&[b'x'; STAMP_MAX - 1]).unwrap().is_none());
        assert!(split_stamp(&[b'x'; STAMP_MAX]).is_err());
    }
}
