//! Unescapes the escapes of two bytes in a block of a JSON string, without branches on the text.
//!
//! The escapes are found by arithmetic on numbers that have a bit for each byte of the block.

use super::unescape::ROOM;

/// The number of bytes in a block. A number of 64 bits has a bit for each byte.
const BLOCK: usize = 64;
/// The number of bytes that are copied at once.
const PIECE: usize = 16;
/// The length of a block with the bytes behind it that are copied together with bytes of the block.
const WINDOW: usize = BLOCK + PIECE;

/// Unescapes the start of a string. Stops behind the block, at the end of the string or of the text, at a
/// control character unless `RAW` accepts it, or at an escape that has more than two bytes or is invalid.
/// Returns the number of bytes read and the number of bytes written. The content of the room behind the
/// written bytes is undefined.
#[inline(never)]
#[allow(clippy::indexing_slicing, reason = "the text is shorter than the window")]
pub(super) fn put_block<const RAW: bool>(text: &[u8], room: &mut [u8]) -> (usize, usize) {
    let Some(room) = room.first_chunk_mut::<ROOM>() else { return (0, 0) };
    match text.first_chunk::<WINDOW>() {
        Some(window) => put_window::<RAW>(window, BLOCK, room),
        None => {
            let mut padded = [0; WINDOW];
            padded[..text.len()].copy_from_slice(text);
            put_window::<RAW>(&padded, text.len().min(BLOCK), room)
        }
    }
}

/// Does the same as [`put_block`] for a block of this length and the bytes behind it.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "the window and the room are longer than the block by a piece")]
fn put_window<const RAW: bool>(window: &[u8; WINDOW], len: usize, room: &mut [u8; ROOM]) -> (usize, usize) {
    let (backslashes, ends) = find::<RAW>(window);
    let mut starts = escape_starts(backslashes);
    let end = (ends & !(starts << 1)).trailing_zeros() as usize;
    let mut end = end.min(len);
    starts &= u64::MAX.checked_shr((BLOCK - end) as u32).unwrap_or_default();
    let (mut read, mut written) = (0, 0);
    while starts != 0 {
        let start = starts.trailing_zeros() as usize;
        let short = unescaped(window[start + 1]);
        if short == 0 {
            end = start;
            break;
        }
        put_clean(window, read, start, room, written);
        written += start - read;
        room[written] = short;
        (read, written) = (start + 2, written + 1);
        starts &= starts - 1;
    }
    if read < end {
        put_clean(window, read, end, room, written);
        (read, written) = (end, written + end - read);
    }
    (read, written)
}

/// Copies the bytes between two offsets of the block.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a piece is visible behind the block, and there is room for it")]
fn put_clean(window: &[u8; WINDOW], from: usize, to: usize, room: &mut [u8; ROOM], written: usize) {
    room[written..written + PIECE].copy_from_slice(&window[from..from + PIECE]);
    if to - from > PIECE {
        room[written + PIECE..written + to - from].copy_from_slice(&window[from + PIECE..to]);
    }
}

/// Returns a bit for each backslash of the block, and a bit for each byte with which a string can end: a
/// quotation mark, or a control character unless `RAW` accepts it.
#[inline(always)]
fn find<const RAW: bool>(window: &[u8; WINDOW]) -> (u64, u64) {
    let (mut backslashes, mut ends) = (0, 0);
    for (place, word) in window.chunks_exact(8).take(BLOCK / 8).enumerate() {
        let word = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let control = if RAW { 0 } else { !(((word & LOW_BITS) + ONES * 0x60) | word) };
        backslashes |= high_bits(equal(word, b'\\')) << (8 * place);
        ends |= high_bits(equal(word, b'"') | control) << (8 * place);
    }
    (backslashes, ends)
}

/// A word with 1 in each byte.
const ONES: u64 = u64::MAX / 0xff;
/// A word with all bits but the highest one of each byte.
const LOW_BITS: u64 = ONES * 0x7f;

/// Sets the highest bit of each byte of the word that equals this ASCII character. The other bits are
/// undefined.
#[inline(always)]
const fn equal(word: u64, character: u8) -> u64 {
    let difference = word ^ (ONES * character as u64);
    !(((difference & LOW_BITS) + LOW_BITS) | difference)
}

/// Collects the highest bits of the bytes of a word.
#[inline(always)]
pub(super) const fn high_bits(word: u64) -> u64 {
    (word >> 7 & ONES).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Returns a bit for each backslash with which an escape starts: every other one of adjacent backslashes.
#[inline(always)]
const fn escape_starts(backslashes: u64) -> u64 {
    // The subtraction borrows through each run of backslashes, as in simdjson. The result depends on the
    // parity of the place at which the run begins.
    const ODD: u64 = u64::MAX / 3 * 2;
    ((backslashes << 1 | ODD).wrapping_sub(backslashes) ^ ODD) & backslashes
}

/// Returns the byte that a backslash and this byte stand for, or 0 if they are no escape of two bytes.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a byte is within the table of 256 entries")]
pub(super) fn unescaped(byte: u8) -> u8 {
    UNESCAPED[usize::from(byte)]
}

static UNESCAPED: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut rest: &mut [u8] = &mut bytes;
    let mut byte = 0_u8;
    while let [unescaped, tail @ ..] = rest {
        *unescaped = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            _ => 0,
        };
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Does the same as [`put_block`], byte by byte.
    fn naive<const RAW: bool>(text: &[u8]) -> (usize, Vec<u8>) {
        let (mut read, mut written) = (0, Vec::new());
        while read < text.len().min(BLOCK) {
            match text[read] {
                b'"' => break,
                0..0x20 if !RAW => break,
                b'\\' => match text.get(read + 1).map_or(0, |second| unescaped(*second)) {
                    0 => break,
                    short => (read, written) = (read + 2, [&written[..], &[short]].concat()),
                },
                byte => (read, written) = (read + 1, [&written[..], &[byte]].concat()),
            }
        }
        (read, written)
    }

    proptest! {
        #[test]
        fn a_block_is_read_as_byte_by_byte(
            tokens in prop::collection::vec(prop::sample::select(vec![
                "a", "more than a piece", "é", "\\n", "\\\\", "\\\"", "\\", "\"", "\u{1}", "\\u0041", "\\x",
            ]), 0..60),
            with_ends: bool,
            len in 0usize..100,
        ) {
            let ends = |token: &str| matches!(token, "\\" | "\"" | "\u{1}" | "\\u0041" | "\\x");
            let text: String = tokens.into_iter().filter(|token| with_ends || !ends(token)).collect();
            let text = &text.as_bytes()[..text.len().min(len)];
            let mut room = [0; ROOM];
            let (read, written) = put_block::<false>(text, &mut room);
            prop_assert_eq!((read, room[..written].to_vec()), naive::<false>(text));
            let (read, written) = put_block::<true>(text, &mut room);
            prop_assert_eq!((read, room[..written].to_vec()), naive::<true>(text));
        }
    }
}
