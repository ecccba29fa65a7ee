//! Unescapes JSON strings (RFC 8259, section 7).
//!
//! A payload may have millions of escapes in an order that no processor can predict, and a wrong prediction
//! costs as much time as ten bytes. Therefore, in a message with many escapes, short escapes are read a block
//! at a time, without branches on the text. In other messages, reading one by one is faster.

use super::escape_block::{put_block, unescaped};
use crate::encode::escape::{escapes, put, put_clean_blocks};

/// The number of clean bytes in front of an escape above which the following bytes are probably clean.
const LONG: usize = 32;
/// The number of characters that are read one by one behind an escape that has more than two bytes.
const STEPS: usize = 16;
/// The number of free bytes that [`unescape`] needs.
pub(super) const ROOM: usize = 256;

/// The result of [`unescape`].
#[derive(Default)]
pub(super) struct Unescaped {
    /// The number of bytes read.
    pub(super) read: usize,
    /// The number of bytes written.
    pub(super) written: usize,
    /// The number of escapes that are half of a surrogate pair. Each one is replaced by U+FFFD.
    pub(super) lone_surrogates: usize,
    /// The number of bytes in front of the first of these escapes.
    pub(super) before_first: usize,
}

/// Unescapes the text into the room. Stops at the end of the string or of the text, at an invalid escape, at
/// a control character unless `RAW` accepts it, or when the room has fewer than [`ROOM`] bytes. The content
/// of the room behind the written bytes is undefined. `MANY` tells whether the message has many escapes.
#[allow(clippy::indexing_slicing, reason = "each step reads bytes that it has seen, and has room")]
pub(super) fn unescape<const RAW: bool, const MANY: bool>(text: &[u8], room: &mut [u8]) -> Unescaped {
    let mut result = Unescaped::default();
    let len = room.len();
    let (mut rest, mut room) = (text, room);
    // The next run of clean bytes is probably like the last one. The first escapes are read one by one, since
    // many strings are short.
    let (mut run, mut run_from) = (LONG, text.len() + LONG);
    loop {
        if run >= LONG {
            (rest, room) = put_clean_blocks::<RAW>(rest, room);
        }
        if room.len() < ROOM {
            break;
        }
        if let Some((word, tail)) = rest.split_first_chunk::<8>() {
            let escapes = escapes::<RAW>(u64::from_le_bytes(*word));
            if escapes == 0 {
                room = put(room, *word, word.len());
                rest = tail;
                run = LONG;
                continue;
            }
            let clean = escapes.trailing_zeros() as usize / 8;
            room = put(room, *word, clean);
            rest = &rest[clean..];
        }
        run = run_from - rest.len();
        run_from = rest.len();
        if MANY && run < LONG && !rest.starts_with(b"\\u") {
            let (read, written) = put_block::<RAW>(rest, room);
            rest = &rest[read..];
            room = &mut room[written..];
            if read > 0 && !rest.starts_with(b"\\u") {
                run_from = rest.len();
                continue;
            }
        }
        // The number of characters since the last long escape.
        let mut steps = 0;
        while (!MANY || steps < STEPS) && room.len() >= 8 {
            match rest {
                [b'\\', b'u', a, b, c, d, tail @ ..] => {
                    let Some(unit) = hexadecimal([*a, *b, *c, *d]) else { break };
                    let (character, tail) = match char::from_u32(unit) {
                        Some(character) => (character, tail),
                        None => surrogates(unit, tail).unwrap_or_else(|| {
                            if result.lone_surrogates == 0 {
                                result.before_first = text.len() - rest.len();
                            }
                            result.lone_surrogates += 1;
                            (char::REPLACEMENT_CHARACTER, tail)
                        }),
                    };
                    steps = 0;
                    let mut bytes = [0; 4];
                    let len = character.encode_utf8(&mut bytes).len();
                    room = put(room, bytes, len);
                    rest = tail;
                }
                // One or two bytes between two escapes.
                [byte, b'\\', ..] if is_clean::<RAW>(*byte) => {
                    room = put(room, [*byte], 1);
                    rest = &rest[1..];
                }
                [first, second, b'\\', ..] if is_clean::<RAW>(*first) && is_clean::<RAW>(*second) => {
                    room = put(room, [*first, *second], 2);
                    rest = &rest[2..];
                }
                [b'\\', second, tail @ ..] => {
                    let short = unescaped(*second);
                    if short == 0 {
                        break;
                    }
                    room = put(room, [short], 1);
                    rest = tail;
                }
                [byte, tail @ ..] if rest.len() < 8 && is_clean::<RAW>(*byte) => {
                    room = put(room, [*byte], 1);
                    rest = tail;
                }
                _ => break,
            }
            steps += 1;
        }
        if rest.len() == run_from {
            break;
        }
        run_from = rest.len();
    }
    result.read = text.len() - rest.len();
    result.written = len - room.len();
    result
}

/// Returns whether a byte of a JSON string stands for itself; `RAW` accepts control characters.
#[inline(always)]
const fn is_clean<const RAW: bool>(byte: u8) -> bool {
    byte != b'"' && byte != b'\\' && (RAW || byte >= 0x20)
}

/// Reads the second half of a surrogate pair at the start of the text. Returns the character and the rest of
/// the text.
#[inline(always)]
fn surrogates(high: u32, text: &[u8]) -> Option<(char, &[u8])> {
    let (0xd800..0xdc00, [b'\\', b'u', a, b, c, d, tail @ ..]) = (high, text) else { return None };
    let low @ 0xdc00..0xe000 = hexadecimal([*a, *b, *c, *d])? else { return None };
    Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, tail))
}

/// Returns the number that four hexadecimal digits stand for.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a byte is within the table of 256 entries")]
fn hexadecimal(digits: [u8; 4]) -> Option<u32> {
    let [a, b, c, d] = digits.map(|digit| u32::from(HEX[usize::from(digit)]));
    ((a | b | c | d) <= 0xf).then_some(a << 12 | b << 8 | c << 4 | d)
}

/// The value of each byte as a hexadecimal digit, or 255 if the byte is not such a digit.
static HEX: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut rest: &mut [u8] = &mut values;
    let mut byte = 0_u8;
    while let [value, tail @ ..] = rest {
        *value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => u8::MAX,
        };
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Unescapes a string that ends with a quotation mark, in rooms of this length.
    fn whole<const MANY: bool>(text: &str, room: usize) -> (String, usize) {
        let (mut rest, mut written, mut lone) = (text.as_bytes(), Vec::new(), 0);
        while rest != b"\"" {
            let mut room = vec![0; room];
            let step = unescape::<false, MANY>(rest, &mut room);
            assert!(step.read > 0, "stopped at {:?}", String::from_utf8_lossy(rest));
            written.extend_from_slice(&room[..step.written]);
            if step.lone_surrogates > 0 {
                assert!(rest[step.before_first..].starts_with(b"\\ud"));
            }
            lone += step.lone_surrogates;
            rest = &rest[step.read..];
        }
        (String::from_utf8(written).unwrap(), lone)
    }

    proptest! {
        #[test]
        fn escapes_are_read_alike_one_by_one_and_in_blocks(
            mut tokens in prop::collection::vec(prop::sample::select(vec![
                ("a", "a"),
                ("bé", "bé"),
                ("thirty clean bytes and some more", "thirty clean bytes and some more"),
                ("\\n", "\n"),
                ("\\\\", "\\"),
                ("\\\"", "\""),
                ("\\/\\b\\f\\r\\t", "/\u{8}\u{c}\r\t"),
                ("\\u0041", "A"),
                ("\\u00e9", "é"),
                ("\\u20AC", "€"),
                ("\\ud83d\\ude00", "😀"),
                ("\\udc00", "\u{fffd}"),
                ("\\ud800", "\u{fffd}"),
            ]), 0..80),
            room in ROOM..2 * ROOM,
        ) {
            // Two halves that follow one another would be a pair.
            tokens.dedup_by(|next, last| last.0 == "\\ud800" && next.0 == "\\udc00");
            let text: String = tokens.iter().map(|token| token.0).chain(["\""]).collect();
            let expected: String = tokens.iter().map(|token| token.1).collect();
            let lone = text.matches("\\udc00").count() + text.matches("\\ud800").count();
            prop_assert_eq!(whole::<false>(&text, room), (expected.clone(), lone));
            prop_assert_eq!(whole::<true>(&text, room), (expected, lone));
        }
    }
}
