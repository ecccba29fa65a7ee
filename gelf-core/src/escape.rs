//! Strings as JSON writes them: between quotes, with the fewest escapes (RFC 8259, section 7).
//!
//! Escaped are the quotation mark, the backslash and the control characters below U+0020; all else goes out as it
//! is. So a payload never holds a raw NUL, and NUL framing is unambiguous.

use bytes::{BufMut, BytesMut};

/// Writes the text with its quotes.
pub(crate) fn write_string(text: &str, dst: &mut BytesMut) {
    dst.reserve(text.len() + 2);
    dst.put_u8(b'"');
    let mut rest = text.as_bytes();
    while let Some((clean, tail)) = rest.split_at_checked(clean_prefix(rest)) {
        dst.put_slice(clean);
        let Some((byte, tail)) = tail.split_first() else { break };
        write_escape(*byte, dst);
        rest = tail;
    }
    dst.put_u8(b'"');
}

fn write_escape(byte: u8, dst: &mut BytesMut) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            dst.put_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
            return;
        }
    };
    dst.put_slice(&[b'\\', short]);
}

/// How many bytes at the start need no escape.
///
/// Eight bytes are looked at together: log lines have an escape only every 10 to 50 bytes.
pub(crate) fn clean_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH_BITS: u64 = ONES << 7;
    // In these words the lowest high bit set marks the first byte that is less than `limit`, or that is zero.
    // Bits above it may be wrong, by a borrow, and are not looked at.
    let less_than = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH_BITS;
    let is_zero = |word: u64| less_than(word, 1);

    let mut words = bytes.chunks_exact(8);
    let mut clean = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let escapes = less_than(word, 0x20) | is_zero(word ^ (ONES * 0x22)) | is_zero(word ^ (ONES * 0x5c));
        if escapes != 0 {
            return clean + escapes.trailing_zeros() as usize / 8;
        }
        clean += 8;
    }
    clean
        + words.remainder().iter().take_while(|byte| **byte >= 0x20 && !matches!(byte, b'"' | b'\\')).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut dst = BytesMut::new();
        write_string(text, &mut dst);
        String::from_utf8(dst.to_vec()).unwrap()
    }

    #[test]
    fn only_what_json_demands_is_escaped() {
        assert_eq!(written("a\"b\\c/d<e>&\u{2028}\u{7f}é"), "\"a\\\"b\\\\c/d<e>&\u{2028}\u{7f}é\"");
        assert_eq!(written("\u{8}\u{c}\n\r\t"), r#""\b\f\n\r\t""#);
        assert_eq!(written("\0\u{1b}[0m\u{1f}"), r#""\u0000\u001b[0m\u001f""#);
        assert_eq!(written(""), "\"\"");
    }

    #[test]
    fn every_byte_at_every_place_of_a_word_is_judged_alike() {
        for byte in 0..=u8::MAX {
            let needs_escape = byte < 0x20 || byte == b'"' || byte == b'\\';
            for place in 0..24 {
                let mut bytes = [0x80; 24];
                bytes[place] = byte;
                assert_eq!(
                    clean_prefix(&bytes),
                    if needs_escape { place } else { 24 },
                    "{byte:#x} at {place}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_by_a_json_parser(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }
    }
}
