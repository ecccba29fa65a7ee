//! Finds repetitions (LZ77) with a table that has the last position of each hash.
//!
//! The search is greedy: it compares each position with only one earlier position, and takes every match that
//! it finds. Within a match, it enters only every eighth position into the table. Therefore, similar lines
//! mostly match at the same few distances, and the codes of frequent distances are short.
#![allow(
    clippy::indexing_slicing,
    reason = "positions are below the length of the payload, slots below SLOTS"
)]

use super::symbols::MAX_LENGTH;

/// The number of bits of a hash. A table of 2,048 positions takes 4 KiB.
const SLOT_BITS: u32 = 11;

const SLOTS: usize = 1 << SLOT_BITS;

/// The last position of each hash of four bytes. A slot that was never set has the position 0. Such a slot
/// causes no wrong match, since the search compares the bytes.
pub(super) type Table = [u16; SLOTS];

/// The table before any position is entered.
pub(super) const EMPTY: Table = [0; SLOTS];

/// The length of the shortest match in bytes.
const MIN_LENGTH: usize = 4;

/// The distance between two positions of a match that are entered into the table.
const STEP: usize = 8;

/// Receives the literals and matches of a payload in order.
pub(super) trait Sink {
    /// Receives bytes without a match.
    fn literals(&mut self, bytes: &[u8]);

    /// Receives a match: `length` bytes that also stand `distance` bytes before.
    fn matched(&mut self, length: usize, distance: usize);
}

/// Finds the matches of `payload[start..]` with earlier bytes, which may be before `start`. Passes the
/// literals and matches to the sink. The table has positions before `start`, and this function enters further
/// positions. The payload has at most 32 KiB, the longest distance of deflate.
#[inline]
pub(super) fn find_matches(payload: &[u8], start: usize, table: &mut Table, sink: &mut impl Sink) {
    let (mut at, mut literals) = (start, start);
    let end = payload.len().saturating_sub(MIN_LENGTH);
    while at < end {
        let here = word(payload, at);
        let slot = slot(here);
        let earlier = usize::from(table[slot]);
        table[slot] = at as u16;
        if earlier >= at || word(payload, earlier) != here {
            at += 1;
            continue;
        }
        let length = match_length(payload, earlier, at);
        sink.literals(&payload[literals..at]);
        sink.matched(length, at - earlier);
        enter(payload, at + 1, (at + length).min(end), table);
        at += length;
        literals = at;
    }
    sink.literals(&payload[literals..]);
}

/// Enters every [`STEP`]th position from `at` to `end` into the table.
#[inline(always)]
fn enter(payload: &[u8], mut at: usize, end: usize, table: &mut Table) {
    while at < end {
        table[slot(word(payload, at))] = at as u16;
        at += STEP;
    }
}

/// Returns the number of equal bytes at the positions `earlier` and `at`, which is at most [`MAX_LENGTH`]. The
/// caller has found that the first [`MIN_LENGTH`] bytes are equal.
#[inline(always)]
fn match_length(payload: &[u8], earlier: usize, at: usize) -> usize {
    let most = MAX_LENGTH.min(payload.len() - at);
    let (here, before) = (&payload[at..at + most], &payload[earlier..earlier + most]);
    let mut length = MIN_LENGTH;
    while length + 8 <= most {
        let different = eight(here, length) ^ eight(before, length);
        if different != 0 {
            return length + (different.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    while length < most && here[length] == before[length] {
        length += 1;
    }
    length
}

#[inline(always)]
fn word(payload: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&payload[at..at + 4]);
    u32::from_le_bytes(word)
}

#[inline(always)]
fn eight(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

/// Returns the slot of four bytes. The factor is 2^32 divided by the golden ratio.
#[inline(always)]
fn slot(word: u32) -> usize {
    (word.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS)) as usize
}
