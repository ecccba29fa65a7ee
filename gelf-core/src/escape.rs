//! Strings as JSON writes them: between quotes, with the fewest escapes (RFC 8259, section 7).
//!
//! Escaped are the quotation mark, the backslash and the control characters below U+0020; all else goes out as it
//! is. So a payload never holds a raw NUL, and NUL framing is unambiguous.

use bytes::BytesMut;

/// Room for a block, an escape and a piece of JSON's own, so that none is asked for in between.
pub(crate) const SLACK: usize = 64;

/// Writes the text, without quotes, to a buffer whose written part ends at `at`; what lies behind is of no account.
/// Gives the new end, behind which there is again room for [`SLACK`] bytes.
pub(crate) fn write_escaped(text: &str, dst: &mut BytesMut, mut at: usize) -> usize {
    let mut rest = text.as_bytes();
    let mut extra = rest.len() / 8;
    let last = rest.last_chunk().map(|word| u64::from_le_bytes(*word));
    loop {
        // Made longer before it is written: pieces of a constant length are then stored, not copied by a call.
        reserve(dst, at + rest.len() + extra + 2 * SLACK);
        let (unread, room) = fill(rest, last, dst.get_mut(at..).unwrap_or_default());
        let left = room.len();
        at = dst.len() - left;
        if unread.is_empty() {
            reserve(dst, at + SLACK);
            return at;
        }
        (rest, extra) = (unread, unread.len());
    }
}

/// Makes the buffer at least so long.
#[inline(always)]
pub(crate) fn reserve(dst: &mut BytesMut, len: usize) {
    if dst.len() < len {
        dst.resize(len, 0);
    }
}

/// Writes what there is room for. Gives what is left of the text, and the room behind what was written. `last` is the
/// last word of the whole text, if it has so many bytes.
fn fill<'t, 'r>(mut text: &'t [u8], last: Option<u64>, mut room: &'r mut [u8]) -> (&'t [u8], &'r mut [u8]) {
    // Whether the last clean run was long: the next is likely to be as long, in prose, or as short, in JSON.
    let (mut long, mut run_from) = (true, text.len());
    loop {
        if long {
            (text, room) = put_clean_blocks(text, room);
        }
        if room.len() < SLACK {
            return (text, room);
        }
        let Some((word, tail)) = text.split_first_chunk::<8>() else {
            return (&[], put_tail(text, last, room));
        };
        let escapes = escapes(u64::from_le_bytes(*word));
        if escapes == 0 {
            room = put(room, *word, word.len());
            text = tail;
            long = true;
            continue;
        }
        // All eight are stored, and the escape goes over the first that needs one.
        let clean = escapes.trailing_zeros() as usize / 8;
        room = put(room, *word, clean);
        text = text.get(clean..).unwrap_or_default();
        long = run_from - text.len() >= 32;
        // Escapes come together: a line feed and the tab of the next line.
        while let Some((byte, rest)) = text.split_first()
            && needs_escape(*byte)
            && room.len() >= 8
        {
            room = put_escape(room, *byte);
            text = rest;
        }
        run_from = text.len();
    }
}

/// Writes what is clean at the start, by 32 bytes, which a few vector instructions judge.
#[inline(always)]
fn put_clean_blocks<'t, 'r>(mut text: &'t [u8], mut room: &'r mut [u8]) -> (&'t [u8], &'r mut [u8]) {
    while let Some((block, tail)) = text.split_first_chunk::<32>()
        && room.len() >= SLACK
        && is_clean(block)
    {
        room = put(room, *block, block.len());
        text = tail;
    }
    (text, room)
}

/// Writes the escape of a byte that needs one. Nearly all have two bytes, and that their length is known before they
/// are lets the processor go on.
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

/// Writes the last bytes, less than a word.
#[inline(always)]
fn put_tail<'r>(tail: &[u8], last: Option<u64>, mut room: &'r mut [u8]) -> &'r mut [u8] {
    let bits = 8 * tail.len();
    if let Some(last) = last
        && bits > 0
    {
        // They end the last word of the text; what stands before them there was written.
        let word = last >> (64 - bits) | u64::MAX << bits;
        if escapes(word) == 0 {
            return put(room, word.to_le_bytes(), tail.len());
        }
    }
    for byte in tail {
        let (word, len) = word_of(*byte);
        room = put(room, word, len);
    }
    room
}

/// Stores bytes, of which the first `len` count; gives the room behind those.
#[inline(always)]
pub(crate) fn put<const N: usize>(room: &mut [u8], bytes: [u8; N], len: usize) -> &mut [u8] {
    let Some(place) = room.first_chunk_mut() else { return &mut [] };
    *place = bytes;
    room.get_mut(len..).unwrap_or_default()
}

/// Written so that compilers make vector instructions of it.
#[inline(always)]
fn is_clean(block: &[u8; 32]) -> bool {
    let any = block
        .iter()
        .fold(0, |any, &byte| any | u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\'));
    any == 0
}

/// How many bytes the text has between its quotes.
pub(crate) fn escaped_len(text: &str) -> usize {
    text.bytes().map(escaped_len_of).sum()
}

/// The longest beginning of the text, of whole characters, that has at most `budget` bytes between its quotes.
pub(crate) fn cut_to(text: &str, budget: usize) -> &str {
    let mut len = 0;
    let end = text.char_indices().find(|(_, character)| {
        len += match u8::try_from(*character) {
            Ok(byte) if byte.is_ascii() => escaped_len_of(byte),
            _ => character.len_utf8(),
        };
        len > budget
    });
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escaped_len_of(byte: u8) -> usize {
    word_of(byte).1
}

/// What a byte is written as, and how many bytes that is.
#[inline(always)]
fn word_of(byte: u8) -> ([u8; 8], usize) {
    // The index is a byte, and there is an entry for each.
    let word = WORDS.get(usize::from(byte)).copied().unwrap_or_default();
    (word.to_le_bytes(), (word >> 56) as usize)
}

/// For each byte how it is written, the first byte lowest, and in the highest byte the length of that.
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

/// The lowest high bit set marks the first of the eight bytes, the lowest first, that needs an escape. Bits above it
/// may be wrong, by a borrow, and are not looked at.
#[inline(always)]
const fn escapes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH_BITS: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH_BITS
}

/// How many bytes at the start need no escape.
pub(crate) fn clean_prefix(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let escapes = escapes(u64::from_le_bytes(*word));
        if escapes != 0 {
            return bytes.len() - rest.len() + escapes.trailing_zeros() as usize / 8;
        }
        rest = tail;
        while let Some((block, tail)) = rest.split_first_chunk::<32>()
            && is_clean(block)
        {
            rest = tail;
        }
    }
    bytes.len() - rest.len() + rest.iter().take_while(|byte| escaped_len_of(**byte) == 1).count()
}

/// Writes what the text stands for behind the first `at` bytes of the buffer, up to the end of the string, an escape of
/// the long form (`\u`), what is not to stand in a string, or the last few bytes. Gives how many bytes of the text that
/// was, and where in the buffer it ends; what lies behind is of no account.
pub(crate) fn unescape(text: &[u8], dst: &mut Vec<u8>, at: usize) -> (usize, usize) {
    let mut rest = text;
    if dst.len() < at + text.len().min(UNESCAPED_AT_ONCE) + SLACK {
        // It never gets longer; but the string need not be as long as all the text that is left.
        dst.resize(at + text.len().min(at + UNESCAPED_AT_ONCE) + SLACK, 0);
    }
    let len = dst.len();
    let mut room = dst.get_mut(at..).unwrap_or_default();
    let (mut long, mut run_from) = (true, rest.len());
    loop {
        if long {
            (rest, room) = put_clean_blocks(rest, room);
        }
        let Some((word, tail)) = rest.split_first_chunk::<8>() else { break };
        if room.len() < SLACK {
            break;
        }
        let escapes = escapes(u64::from_le_bytes(*word));
        if escapes == 0 {
            room = put(room, *word, word.len());
            rest = tail;
            long = true;
            continue;
        }
        let clean = escapes.trailing_zeros() as usize / 8;
        room = put(room, *word, clean);
        rest = rest.get(clean..).unwrap_or_default();
        long = run_from - rest.len() >= 32;
        let Some((short, tail)) = short_escape(rest) else { break };
        room = put(room, [short], 1);
        rest = tail;
        // Escapes come together: a line feed and the tab of the next line.
        while let Some((short, tail)) = short_escape(rest)
            && room.len() >= SLACK
        {
            room = put(room, [short], 1);
            rest = tail;
        }
        run_from = rest.len();
    }
    (text.len() - rest.len(), len - room.len())
}

/// How much of a long text is made room for at a time.
const UNESCAPED_AT_ONCE: usize = 4096;

/// The byte that an escape of two bytes stands for, and what follows it.
fn short_escape(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'\\', escape, tail @ ..] => {
            let byte = UNESCAPED.get(usize::from(*escape)).copied().unwrap_or_default();
            (byte != 0).then_some((byte, tail))
        }
        _ => None,
    }
}

/// What stands behind a backslash, and for what; 0 for what is no escape of two bytes.
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

    fn written(text: &str) -> String {
        let mut dst = BytesMut::new();
        let end = write_escaped(text, &mut dst, 0);
        assert!(dst.len() >= end + SLACK);
        String::from_utf8(dst[..end].to_vec()).unwrap()
    }

    #[test]
    fn only_what_json_demands_is_escaped() {
        assert_eq!(written("a\"b\\c/d<e>&\u{2028}\u{7f}é"), "a\\\"b\\\\c/d<e>&\u{2028}\u{7f}é");
        assert_eq!(written("\u{8}\u{c}\n\r\t"), r"\b\f\n\r\t");
        assert_eq!(written("\0\u{1b}[0m\u{1f}"), r"\u0000\u001b[0m\u001f");
        assert_eq!(written(""), "");
    }

    #[test]
    fn every_byte_at_every_place_of_a_word_is_judged_alike() {
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
    fn text_of_escapes_alone_has_room() {
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
        fn a_text_is_cut_between_characters_where_the_budget_ends(
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
