//! Unescapes a block of a JSON string, in a time that hardly depends on the order of its escapes.
//!
//! A payload may have many escapes in an order that no processor can predict, and a wrong prediction costs as
//! much time as reading ten bytes. Therefore the escapes of a block are found by arithmetic on numbers that
//! have a bit for each byte. The bytes between two escapes are copied without a branch that depends on how many
//! there are.

use super::unescape::{ROOM, Unescaped, code_unit, surrogates};

/// The number of bytes in a block: a `u64` has one bit for each of them.
pub(super) const BLOCK: usize = 64;
/// The length of the longest escape, a pair of surrogates.
const LONGEST: usize = 12;
/// The number of bytes that may be read to unescape a block: the block, an escape that begins at its last byte,
/// and another block, since clean bytes are copied in blocks.
const WINDOW: usize = 2 * BLOCK + LONGEST;

/// Unescapes the start of a string. Stops behind the block, at the end of the string or of the text, at a
/// control character unless `raw` is true, or at an invalid escape. The content of the room behind the
/// written bytes is undefined.
#[inline(never)]
#[allow(clippy::indexing_slicing, reason = "the text is shorter than the window")]
pub(super) fn put_block(text: &[u8], raw: bool, room: &mut [u8; ROOM]) -> Unescaped {
    match text.first_chunk::<WINDOW>() {
        Some(window) => put_window(window, BLOCK, raw, room),
        None => {
            // Null bytes follow the text. They are part of no escape, so an escape that the end of the text cuts
            // off is invalid.
            let mut padded = [0; WINDOW];
            padded[..text.len()].copy_from_slice(text);
            put_window(&padded, text.len().min(BLOCK), raw, room)
        }
    }
}

/// Does the same as [`put_block`] for the first `len` bytes of the window, and for the rest of an escape that
/// begins in them.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "the window and the room exceed the block by more than an escape")]
fn put_window(window: &[u8; WINDOW], len: usize, raw: bool, room: &mut [u8; ROOM]) -> Unescaped {
    let (mut starts, end) = find(window, raw);
    let mut end = end.min(len);
    if end < BLOCK {
        starts &= (1 << end) - 1;
    }
    let mut result = Unescaped::default();
    let (mut read, mut written) = (0, 0);
    while starts != 0 {
        let start = starts.trailing_zeros() as usize;
        starts &= starts - 1;
        put_clean(window, read, room, written);
        written += start - read;
        read = start;
        let second = window[start + 1];
        let short = unescaped(second);
        if short != 0 {
            room[written] = short;
            written += 1;
            read += 2;
        } else {
            let Some(mut unit) = code_unit(&window[start..]).filter(|_| second == b'u') else {
                end = start;
                break;
            };
            read += 6;
            if (0xd800..0xe000).contains(&unit) {
                match surrogates(unit, &window[read..]) {
                    Some((character, _)) => {
                        // The backslash of the second half starts no further escape.
                        starts &= u64::MAX.checked_shl(read as u32 + 1).unwrap_or_default();
                        result.escapes += 1;
                        read += 6;
                        unit = u32::from(character);
                    }
                    None => {
                        result.note_lone_surrogate(start);
                        unit = u32::from(char::REPLACEMENT_CHARACTER);
                    }
                }
            }
            let (bytes, len) = utf8(unit);
            room[written..written + 4].copy_from_slice(&bytes);
            written += len;
        }
        result.escapes += 1;
    }
    if read < end {
        put_clean(window, read, room, written);
        (read, written) = (end, written + end - read);
    }
    (result.read, result.written) = (read, written);
    result
}

/// Copies [`BLOCK`] bytes of the window, from the offset `from` on. Later writes replace the bytes from the next
/// escape on.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "the window and the room have a block behind each offset")]
fn put_clean(window: &[u8; WINDOW], from: usize, room: &mut [u8; ROOM], written: usize) {
    room[written..written + BLOCK].copy_from_slice(&window[from..from + BLOCK]);
}

/// Returns the UTF-8 of a character, and its length.
#[inline(always)]
const fn utf8(character: u32) -> ([u8; 4], usize) {
    let last = 0x80 | character & 0x3f;
    let third = 0x80 | character >> 6 & 0x3f;
    let (word, len) = match character {
        0..0x80 => (character, 1),
        0x80..0x800 => (0xc0 | character >> 6 | last << 8, 2),
        0x800..0x1_0000 => (0xe0 | character >> 12 | third << 8 | last << 16, 3),
        _ => (0xf0 | character >> 18 | (0x80 | character >> 12 & 0x3f) << 8 | third << 16 | last << 24, 4),
    };
    (word.to_le_bytes(), len)
}

/// Returns a bit for each backslash with which an escape starts, and the offset of the first byte that ends the
/// string: a quotation mark without a backslash, or a control character unless `raw` is true. If no byte of the
/// block ends the string, the offset is the length of the block.
#[inline(always)]
fn find(window: &[u8; WINDOW], raw: bool) -> (u64, usize) {
    let first_character = if raw { 0 } else { 0x20 };
    let starts = escape_starts(bits(window, |byte| byte == b'\\'));
    let ends = bits(window, |byte| (byte == b'"') | (byte < first_character));
    (starts, (ends & !(starts << 1)).trailing_zeros() as usize)
}

/// Returns a bit for each byte of the block for which `is_of_kind` returns true. Compilers can vectorize the
/// comparisons.
#[inline(always)]
pub(super) fn bits(block: &[u8], is_of_kind: impl Fn(u8) -> bool) -> u64 {
    // For each byte of the kind, `flags` has the bit for the byte's place in its group of eight bytes. The
    // multiplication adds the eight bytes of a group: the sum is the highest byte of the product.
    let mut flags = [0; BLOCK];
    for ((flag, byte), place) in flags.iter_mut().zip(block).zip(PLACES) {
        *flag = if is_of_kind(*byte) { place } else { 0 };
    }
    let words = flags.chunks_exact(8).enumerate().map(|(at, word)| {
        let word = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        (word.wrapping_mul(u64::MAX / 0xff) >> 56) << (8 * at)
    });
    words.fold(0, |all, word| all | word)
}

/// For each byte of a block, the bit for its place in its group of eight bytes: 1, 2, 4, up to 128, repeated.
const PLACES: [u8; BLOCK] = {
    let mut places = [1; BLOCK];
    let mut rest: &mut [u8] = &mut places;
    while let [_, b, c, d, e, f, g, h, tail @ ..] = rest {
        (*b, *c, *d, *e, *f, *g, *h) = (2, 4, 8, 16, 32, 64, 128);
        rest = tail;
    }
    places
};

/// Returns a bit for each backslash with which an escape starts: the first, third, fifth and so on of each run of
/// adjacent backslashes.
#[inline(always)]
const fn escape_starts(backslashes: u64) -> u64 {
    // This is the formula of simdjson. The subtraction borrows through each run of backslashes, and `ODD` makes
    // the result the same for runs that begin at even places and for runs that begin at odd places.
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

    /// Does the same as [`put_block`], one character after another. Returns the number of bytes read, the
    /// bytes written, the number of escapes, and the offsets of the escapes that are half of a surrogate pair.
    fn naive(text: &[u8], raw: bool) -> (usize, Vec<u8>, usize, Vec<usize>) {
        let (mut read, mut written, mut escapes, mut lone) = (0, Vec::new(), 0, Vec::new());
        while read < text.len().min(BLOCK) {
            let rest = &text[read..];
            match rest {
                [b'"', ..] => break,
                [0..0x20, ..] if !raw => break,
                [b'\\', b'u', tail @ ..] => {
                    let Some(unit) = code_unit(rest) else { break };
                    let (character, len) = match (char::from_u32(unit), surrogates(unit, &tail[4..])) {
                        (Some(character), _) => (character, 6),
                        (None, Some((character, _))) => (character, 12),
                        (None, None) => {
                            lone.push(read);
                            (char::REPLACEMENT_CHARACTER, 6)
                        }
                    };
                    written.extend(character.to_string().bytes());
                    (read, escapes) = (read + len, escapes + len / 6);
                }
                [b'\\', second, ..] if unescaped(*second) != 0 => {
                    written.push(unescaped(*second));
                    (read, escapes) = (read + 2, escapes + 1);
                }
                [b'\\', ..] | [] => break,
                [byte, ..] => {
                    written.push(*byte);
                    read += 1;
                }
            }
        }
        (read, written, escapes, lone)
    }

    proptest! {
        #[test]
        fn a_block_gives_the_same_result_as_reading_one_character_after_another(
            tokens in prop::collection::vec(prop::sample::select(vec![
                "a", "more than a piece", "é", "\\n", "\\\\", "\\\"", "\\u0041", "\\u00e9", "\\u20AC",
                "\\ud83d\\ude00", "\\ud800", "\\udc00", "\\", "\"", "\u{1}", "\\u00g0", "\\x",
            ]), 0..60),
            with_ends: bool,
            len in 0usize..200,
            raw: bool,
        ) {
            let ends = |token: &str| matches!(token, "\\" | "\"" | "\u{1}" | "\\u00g0" | "\\x");
            let text: String = tokens.into_iter().filter(|token| with_ends || !ends(token)).collect();
            let text = &text.as_bytes()[..text.len().min(len)];
            let mut room = [0; ROOM];
            let block = put_block(text, raw, &mut room);
            let (read, written, escapes, lone) = naive(text, raw);
            prop_assert_eq!((block.read, &room[..block.written]), (read, &written[..]));
            prop_assert_eq!((block.escapes, block.lone_surrogates), (escapes, lone.len()));
            prop_assert_eq!(block.before_first, lone.first().copied().unwrap_or_default());
        }
    }
}
