//! Unescapes JSON strings (RFC 8259, section 7).
//!
//! A message with few escapes is read fastest one escape after another. In a message with many escapes, the
//! time has to be bounded whatever their order is: such a message is read in [blocks](super::escape_block).

use super::escape_block::{BLOCK, put_block, unescaped};
use crate::encode::escape::{escapes, put, put_clean_blocks};

/// If at least this number of clean bytes precedes an escape, the bytes behind the escape are probably clean.
const LONG: usize = 32;
/// The number of free bytes that a step of [`unescape`] needs, and that a block needs.
pub(super) const ROOM: usize = 256;

/// The result of [`unescape`] and [`unescape_in_blocks`].
#[derive(Clone, Copy, Default)]
pub(super) struct Unescaped {
    /// The number of bytes read.
    pub(super) read: usize,
    /// The number of bytes written.
    pub(super) written: usize,
    /// The number of escapes. A pair of surrogates counts as two.
    pub(super) escapes: usize,
    /// The number of escapes that are half of a surrogate pair. Each one is replaced by U+FFFD.
    pub(super) lone_surrogates: usize,
    /// The number of bytes in front of the first escape that is half of a surrogate pair.
    pub(super) before_first: usize,
}

impl Unescaped {
    /// Counts an escape that is half of a surrogate pair, with this number of bytes in front of it.
    #[inline]
    pub(super) fn note_lone_surrogate(&mut self, before: usize) {
        if self.lone_surrogates == 0 {
            self.before_first = before;
        }
        self.lone_surrogates += 1;
    }
}

/// Unescapes the text into the room, block by block. Stops as [`unescape`] does, and accepts control
/// characters if `raw` is true.
#[allow(clippy::indexing_slicing, reason = "a block reads and writes what it has seen and has room for")]
pub(super) fn unescape_in_blocks(text: &[u8], raw: bool, room: &mut [u8]) -> Unescaped {
    let mut result = Unescaped::default();
    while let Some(room) = room[result.written..].first_chunk_mut() {
        let rest = &text[result.read..];
        let block = put_block(rest, raw, room);
        if block.lone_surrogates > 0 && result.lone_surrogates == 0 {
            result.before_first = result.read + block.before_first;
        }
        result.lone_surrogates += block.lone_surrogates;
        result.escapes += block.escapes;
        result.read += block.read;
        result.written += block.written;
        if block.read < BLOCK {
            break;
        }
    }
    result
}

/// Unescapes the text into the room. Stops at the end of the string or of the text, at an invalid escape, at
/// a control character unless `RAW` is true, or when the room has fewer than [`ROOM`] bytes. The content of
/// the room behind the written bytes is undefined.
#[allow(clippy::indexing_slicing, reason = "each step reads bytes that it has seen, and has room")]
pub(super) fn unescape<const RAW: bool>(text: &[u8], room: &mut [u8]) -> Unescaped {
    let mut result = Unescaped::default();
    let len = room.len();
    let (mut rest, mut room) = (text, room);
    // `run` is the length of the last run of clean bytes: the next run is probably like the last run. `run_from`
    // is the length of `rest` at the start of the current run. The run in front of the first escape counts as
    // long, whatever its length is.
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
        while room.len() >= 8 {
            match rest {
                [b'\\', b'u', _, _, _, _, tail @ ..] => {
                    let Some(unit) = code_unit(rest) else { break };
                    let (character, tail) = match char::from_u32(unit) {
                        Some(character) => (character, tail),
                        None => match surrogates(unit, tail) {
                            Some(pair) => {
                                result.escapes += 1;
                                pair
                            }
                            None => {
                                result.note_lone_surrogate(text.len() - rest.len());
                                (char::REPLACEMENT_CHARACTER, tail)
                            }
                        },
                    };
                    result.escapes += 1;
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
                    result.escapes += 1;
                    room = put(room, [short], 1);
                    rest = tail;
                }
                [byte, tail @ ..] if rest.len() < 8 && is_clean::<RAW>(*byte) => {
                    room = put(room, [*byte], 1);
                    rest = tail;
                }
                _ => break,
            }
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

/// Returns whether a byte of a JSON string stands for itself. Control characters do only if `RAW` is true.
#[inline(always)]
const fn is_clean<const RAW: bool>(byte: u8) -> bool {
    byte != b'"' && byte != b'\\' && (RAW || byte >= 0x20)
}

/// Reads the second half of a surrogate pair at the start of the text; `high` is the first half. Returns the
/// character and the rest of the text, or `None` if there is no pair.
#[inline(always)]
pub(super) fn surrogates(high: u32, text: &[u8]) -> Option<(char, &[u8])> {
    let (0xd800..0xdc00, [b'\\', b'u', _, _, _, _, tail @ ..]) = (high, text) else { return None };
    let low @ 0xdc00..0xe000 = code_unit(text)? else { return None };
    Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, tail))
}

/// Parses the four hexadecimal digits behind the first two bytes of an escape.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a byte is within the table of 256 entries")]
pub(super) fn code_unit(escape: &[u8]) -> Option<u32> {
    let [_, _, digits @ ..] = escape.first_chunk::<6>()?;
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
    fn whole(
        text: &str,
        room: usize,
        unescape: impl Fn(&[u8], &mut [u8]) -> Unescaped,
    ) -> (String, usize, usize) {
        let (mut rest, mut written, mut lone, mut escapes) = (text.as_bytes(), Vec::new(), 0, 0);
        while rest != b"\"" {
            let mut room = vec![0; room];
            let step = unescape(rest, &mut room);
            assert!(step.read > 0, "stopped at {:?}", String::from_utf8_lossy(rest));
            written.extend_from_slice(&room[..step.written]);
            if step.lone_surrogates > 0 {
                assert!(rest[step.before_first..].starts_with(b"\\ud"));
            }
            lone += step.lone_surrogates;
            escapes += step.escapes;
            rest = &rest[step.read..];
        }
        (String::from_utf8(written).unwrap(), lone, escapes)
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
            // A high surrogate and a low surrogate behind it would be a pair.
            tokens.dedup_by(|next, last| last.0 == "\\ud800" && next.0 == "\\udc00");
            let text: String = tokens.iter().map(|token| token.0).chain(["\""]).collect();
            let expected: String = tokens.iter().map(|token| token.1).collect();
            let lone = text.matches("\\udc00").count() + text.matches("\\ud800").count();
            let escapes = tokens.iter().map(|token| token.0.matches('\\').count()).sum::<usize>();
            // Two backslashes are one escape.
            let right = (expected, lone, escapes - text.matches("\\\\").count());
            prop_assert_eq!(&whole(&text, room, unescape::<false>), &right);
            prop_assert_eq!(&whole(&text, room, |text, room| unescape_in_blocks(text, false, room)), &right);
        }
    }
}
