//! Escaping of JSON strings (RFC 8259, section 7).
//!
//! Only the quotation mark, the backslash and the control characters below U+0020 are escaped. Therefore a
//! payload never contains a raw NUL byte, and NUL framing is unambiguous. A byte that needs no escape is
//! called clean. Clean bytes are copied in words of eight bytes and in blocks of 32 bytes.

use bytes::BytesMut;

/// The minimum number of free bytes behind the written part of a buffer. Each block of text, each escape and
/// each piece of JSON syntax is shorter.
pub(crate) const SLACK: usize = 64;

/// Writes the escaped text, without quotation marks, to `dst` at the offset `at`. Returns the offset of the
/// end of the escaped text. Behind this offset, `dst` has at least [`SLACK`] bytes.
#[allow(clippy::indexing_slicing, reason = "the line before makes the buffer longer than `at`")]
pub(crate) fn write_escaped(text: &str, dst: &mut BytesMut, mut at: usize) -> usize {
    let mut rest = text.as_bytes();
    // The room for escapes is an eighth of the text at first. If it is too small, it grows to the length of
    // the text that is left.
    let mut extra = rest.len() / 8;
    let last = rest.last_chunk().map(|word| u64::from_le_bytes(*word));
    loop {
        // The buffer is extended before pieces are written. The compiler can then store a piece of a constant
        // length directly, without a call of a copy function.
        reserve(dst, at + rest.len() + extra + 2 * SLACK);
        let (unread, room) = fill(rest, last, &mut dst[at..]);
        let left = room.len();
        at = dst.len() - left;
        if unread.is_empty() {
            reserve(dst, at + SLACK);
            return at;
        }
        (rest, extra) = (unread, unread.len());
    }
}

/// Extends the buffer to at least `len` bytes.
#[inline(always)]
pub(crate) fn reserve(dst: &mut BytesMut, len: usize) {
    if dst.len() < len {
        dst.resize(len, 0);
    }
}

/// Writes as much of the text as there is room for. Returns the rest of the text and the rest of the room.
/// `last` is the last eight bytes of the whole text, or `None` if the whole text has fewer than eight bytes.
#[allow(
    clippy::indexing_slicing,
    reason = "the clean bytes are a part of the word that the text begins with"
)]
fn fill<'t, 'r>(mut text: &'t [u8], last: Option<u64>, mut room: &'r mut [u8]) -> (&'t [u8], &'r mut [u8]) {
    // `long` is true in three cases: at first, if the last run of clean bytes had 32 bytes or more, or if the
    // current run already has eight bytes. The next run is probably like the last run: most runs are long in
    // prose, and short in JSON text. `run_from` is the length of `text` when the current run began.
    let (mut long, mut run_from) = (true, text.len());
    loop {
        if long {
            (text, room) = put_clean_blocks::<false>(text, room);
        }
        if room.len() < SLACK {
            return (text, room);
        }
        let Some((word, tail)) = text.split_first_chunk::<8>() else {
            return (&[], put_tail(text, last, room));
        };
        let escapes = escapes::<false>(u64::from_le_bytes(*word));
        if escapes == 0 {
            room = put(room, *word, word.len());
            text = tail;
            long = true;
            continue;
        }
        // All eight bytes are stored, and the escape overwrites the first byte that needs an escape.
        let clean = escapes.trailing_zeros() as usize / 8;
        room = put(room, *word, clean);
        text = &text[clean..];
        long = run_from - text.len() >= 32;
        // Escapes often follow one another, such as a line feed and the tab of the next line.
        while let Some((byte, rest)) = text.split_first() {
            if !needs_escape(*byte) || room.len() < 8 {
                break;
            }
            room = put_escape(room, *byte);
            text = rest;
        }
        run_from = text.len();
    }
}

/// Writes the clean blocks of 32 bytes at the start of the text. If `RAW` is true, control characters count
/// as clean. A few vector instructions check each block.
#[inline(always)]
pub(crate) fn put_clean_blocks<'t, 'r, const RAW: bool>(
    mut text: &'t [u8],
    mut room: &'r mut [u8],
) -> (&'t [u8], &'r mut [u8]) {
    while let Some((block, tail)) = text.split_first_chunk::<32>() {
        if room.len() < SLACK || !is_clean::<RAW>(block) {
            break;
        }
        room = put(room, *block, block.len());
        text = tail;
    }
    (text, room)
}

/// Writes the escape of a byte that needs an escape. Nearly all escapes have two bytes, so the processor
/// predicts the branch on the length, and continues before the escape is loaded from the table.
#[inline(always)]
fn put_escape(room: &mut [u8], byte: u8) -> &mut [u8] {
    let (word, len) = word_of(byte);
    if len == 2 {
        let [first, second, ..] = word;
        put(room, [first, second], 2)
    } else {
        put_long_escape(room, word, len)
    }
}

#[cold]
#[inline(never)]
fn put_long_escape(room: &mut [u8], word: [u8; 8], len: usize) -> &mut [u8] {
    put(room, word, len)
}

/// Writes the rest of the text, which has fewer than eight bytes.
#[inline(always)]
fn put_tail<'r>(tail: &[u8], last: Option<u64>, mut room: &'r mut [u8]) -> &'r mut [u8] {
    let bits = 8 * tail.len();
    if let Some(last) = last.filter(|_| bits > 0) {
        // The tail is the upper end of `last`. Shift the tail down, and fill the upper bytes with 0xff, which
        // needs no escape.
        let word = last >> (64 - bits) | u64::MAX << bits;
        if escapes::<false>(word) == 0 {
            return put(room, word.to_le_bytes(), tail.len());
        }
    }
    for byte in tail {
        let (word, len) = word_of(*byte);
        room = put(room, word, len);
    }
    room
}

/// Stores `bytes` at the start of `room`, and returns the room after the first `len` bytes. The next call
/// overwrites the bytes behind the first `len`.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "each caller checks that there is room for all bytes")]
pub(crate) fn put<const N: usize>(room: &mut [u8], bytes: [u8; N], len: usize) -> &mut [u8] {
    room[..N].copy_from_slice(&bytes);
    &mut room[len..]
}

/// Returns whether no byte of the block needs an escape. If `RAW` is true, control characters count as clean.
/// Compilers can vectorize this form of the check.
#[inline(always)]
fn is_clean<const RAW: bool>(block: &[u8; 32]) -> bool {
    let any = block.iter().fold(0, |any, &byte| {
        any | u8::from(!RAW && byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
    });
    any == 0
}

/// Returns the length of the text as a JSON string, without the quotes.
pub(crate) fn escaped_len(text: &str) -> usize {
    text.bytes().map(escaped_len_of).sum()
}

/// Returns the longest prefix of whole characters that has at most `budget` bytes as a JSON string.
#[allow(clippy::indexing_slicing, reason = "the offset of a character")]
pub(crate) fn cut_to(text: &str, budget: usize) -> &str {
    let mut len = 0;
    let end = text.char_indices().find(|(_, character)| {
        len += match u8::try_from(*character) {
            Ok(byte) if byte.is_ascii() => escaped_len_of(byte),
            _ => character.len_utf8(),
        };
        len > budget
    });
    end.map_or(text, |(at, _)| &text[..at])
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escaped_len_of(byte: u8) -> usize {
    word_of(byte).1
}

/// Returns the bytes that stand for a byte in a JSON string, and their number.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a byte is within the table of 256 entries")]
fn word_of(byte: u8) -> ([u8; 8], usize) {
    let word = WORDS[usize::from(byte)];
    (word.to_le_bytes(), (word >> 56) as usize)
}

/// The bytes that stand for each byte in a JSON string. The lowest byte of a word is the first of these
/// bytes, and the highest byte of the word is the number of these bytes.
static WORDS: [u64; 256] = {
    let mut words = [0; 256];
    let mut rest: &mut [u64] = &mut words;
    let mut byte = 0;
    while let [word, tail @ ..] = rest {
        *word = u64::from_le_bytes(written(byte));
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    words
};

const fn written(byte: u8) -> [u8; 8] {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..0x20 => {
            let low = byte & 0xf;
            let digit = if low < 10 { b'0' + low } else { b'a' + low - 10 };
            return [b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), digit, 0, 6];
        }
        _ => return [byte, 0, 0, 0, 0, 0, 0, 1],
    };
    [b'\\', short, 0, 0, 0, 0, 0, 2]
}

/// Finds the first byte of a word that needs an escape. The first byte of the text is the lowest byte of the
/// word.
///
/// The lowest set bit of the result is the high bit of the byte that was found. The result is 0 if no byte
/// needs an escape. Only the lowest set bit is reliable: the subtraction for a lower byte can borrow from a
/// higher byte, and so set the bit of that byte by mistake. If `RAW` is true, control characters count as
/// clean.
#[inline(always)]
pub(crate) const fn escapes<const RAW: bool>(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH_BITS: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    // The bytes of `quote` and `backslash` are 0 where the word has the character. `x - 1` sets the high bit
    // of a byte that was 0, and `& !x` leaves out the bytes whose high bit was set before. In the same way,
    // `x - 0x20` sets the high bit of a byte below 0x20.
    let control = if RAW { 0 } else { word.wrapping_sub(ONES * 0x20) & !word };
    (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH_BITS
}

/// Skips the clean bytes at the start of the text, and returns the rest of the text.
#[inline(always)]
pub(crate) fn behind_clean(text: &[u8]) -> &[u8] {
    // A payload can contain millions of strings. Most of them are short and end within the first eight bytes.
    let len = match text.first_chunk() {
        Some(word) => match escapes::<false>(u64::from_le_bytes(*word)) {
            0 => clean_prefix(text),
            escapes => escapes.trailing_zeros() as usize / 8,
        },
        None => clean_prefix(text),
    };
    text.get(len..).unwrap_or_default()
}

/// Returns the number of clean bytes at the start of `bytes`.
pub(crate) fn clean_prefix(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let escapes = escapes::<false>(u64::from_le_bytes(*word));
        if escapes != 0 {
            return bytes.len() - rest.len() + escapes.trailing_zeros() as usize / 8;
        }
        rest = tail;
        while let Some((block, tail)) = rest.split_first_chunk::<32>() {
            if !is_clean::<false>(block) {
                break;
            }
            rest = tail;
        }
    }
    bytes.len() - rest.len() + rest.iter().take_while(|byte| escaped_len_of(**byte) == 1).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut dst = BytesMut::new();
        let end = write_escaped(text, &mut dst, 0);
        assert!(dst.len() >= end + SLACK);
        String::from_utf8(dst[..end].to_vec()).unwrap()
    }

    #[test]
    fn only_characters_that_must_be_escaped_in_json_are_escaped() {
        assert_eq!(written("a\"b\\c/d<e>&\u{2028}\u{7f}é"), "a\\\"b\\\\c/d<e>&\u{2028}\u{7f}é");
        assert_eq!(written("\u{8}\u{c}\n\r\t"), r"\b\f\n\r\t");
        assert_eq!(written("\0\u{1b}[0m\u{1f}"), r"\u0000\u001b[0m\u001f");
        assert_eq!(written(""), "");
    }

    #[test]
    fn a_byte_is_classified_alike_at_every_place() {
        for byte in 0..=u8::MAX {
            let needs_escape = byte < 0x20 || byte == b'"' || byte == b'\\';
            for place in 0..80 {
                let mut bytes = [0x80; 80];
                bytes[place] = byte;
                assert_eq!(
                    clean_prefix(&bytes),
                    if needs_escape { place } else { 80 },
                    "{byte:#x} at {place}"
                );
            }
        }
    }

    #[test]
    fn a_text_of_only_control_characters_fits_the_buffer() {
        let text = "\0".repeat(10_000);
        assert_eq!(written(&text), "\\u0000".repeat(10_000));
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_by_a_json_parser(text in "[\\x00-\\x7fé\u{1f600}]{0,100}") {
            let json = written(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&format!("\"{json}\"")).unwrap(), text.as_str());
            prop_assert_eq!(escaped_len(&text), json.len());
        }

        #[test]
        fn text_is_cut_between_characters_at_the_budget(
            text in "[\\x00-\\x7fé\u{1f600}]{0,60}",
            budget in 0usize..100,
        ) {
            let cut = cut_to(&text, budget);
            prop_assert!(text.starts_with(cut));
            prop_assert!(escaped_len(cut) <= budget);
            if let Some(next) = text[cut.len()..].chars().next() {
                prop_assert!(escaped_len(cut) + escaped_len(&next.to_string()) > budget);
            }
        }
    }
}
