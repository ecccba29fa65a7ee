//! Removes white space, in a time that does not depend on the order of the characters.
//!
//! A text may begin or end with millions of white space characters of one to three bytes in an order that no
//! processor can predict. Therefore they are skipped in blocks, without branches that depend on the text.

/// The number of bytes in a block.
const BLOCK: usize = 32;
/// The length of a block with the two bytes in front of it, on which the kind of its first bytes depends.
const WINDOW: usize = 2 + BLOCK;

/// Returns whether the text has only white space.
pub(super) fn is_blank(text: &str) -> bool {
    trim_start(text).is_empty()
}

/// Removes white space at both ends, as [`str::trim`] does.
pub(super) fn trim(text: &str) -> &str {
    trim_end(trim_start(text))
}

fn trim_start(text: &str) -> &str {
    // Most texts do not begin with white space.
    if !text.starts_with(char::is_whitespace) {
        return text;
    }
    let mut rest = text.as_bytes();
    // The first two bytes are in front of the first block. The text begins with white space, so only the second
    // byte is checked here.
    if let [first, second, ..] = rest {
        if !is_part(0, *first, *second) {
            return text.trim_start();
        }
    }
    while let Some(window) = rest.first_chunk::<WINDOW>() {
        if !is_white(window) {
            break;
        }
        rest = rest.get(BLOCK..).unwrap_or_default();
    }
    // `rest` may begin within a character.
    let start = start_of_character(text, text.len() - rest.len());
    text.get(start..).unwrap_or_default().trim_start()
}

fn trim_end(text: &str) -> &str {
    if !text.ends_with(char::is_whitespace) {
        return text;
    }
    let mut rest = text.as_bytes();
    while let Some(window) = rest.last_chunk::<WINDOW>() {
        if !is_white(window) {
            break;
        }
        rest = rest.get(..rest.len() - BLOCK).unwrap_or_default();
    }
    // `rest` may end within a character. That character is white space, since all of its bytes were checked.
    text.get(..start_of_character(text, rest.len())).unwrap_or_default().trim_end()
}

fn start_of_character(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// Returns whether all bytes of a block may be parts of white space.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "there are two bytes more than places")]
fn is_white(window: &[u8; WINDOW]) -> bool {
    let block = &window[2..];
    if block.iter().fold(true, |all, byte| all & is_part(0, 0, *byte) & byte.is_ascii()) {
        return true;
    }
    let places = window.iter().zip(&window[1..]).zip(block);
    places.fold(true, |all, ((first, second), byte)| all & is_part(*first, *second, *byte))
}

/// Returns whether a byte of UTF-8 may be a part of white space. `first` and `second` are the two bytes in front
/// of it.
#[inline(always)]
const fn is_part(first: u8, second: u8, byte: u8) -> bool {
    let alone = (byte >= b'\t') & (byte <= b'\r') | (byte == b' ');
    let lead = (byte == 0xc2) | (byte >= 0xe1) & (byte <= 0xe3);
    // The second bytes of U+0085 and U+00A0, and of the characters of three bytes.
    let behind_lead = (second == 0xc2) & ((byte == 0x85) | (byte == 0xa0))
        | (second == 0xe1) & (byte == 0x9a)
        | (second == 0xe2) & ((byte == 0x80) | (byte == 0x81))
        | (second == 0xe3) & (byte == 0x80);
    // `general` is the third byte of U+2000 to U+200A, U+2028, U+2029 and U+202F. `last` is the third byte of
    // these characters, and of U+1680, U+205F and U+3000.
    let general = (byte >= 0x80) & (byte <= 0x8a) | (byte == 0xa8) | (byte == 0xa9) | (byte == 0xaf);
    let last = (first == 0xe1) & (second == 0x9a) & (byte == 0x80)
        | (first == 0xe2) & (second == 0x80) & general
        | (first == 0xe2) & (second == 0x81) & (byte == 0x9f)
        | (first == 0xe3) & (second == 0x80) & (byte == 0x80);
    alone | lead | behind_lead | last
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_characters_are_white_space_as_in_the_standard_library() {
        for character in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let text = character.to_string().repeat(BLOCK);
            assert_eq!(is_blank(&text), character.is_whitespace(), "{character:?}");
        }
    }

    proptest! {
        #[test]
        fn text_is_trimmed_as_in_the_standard_library(
            start in "[ \t\u{85}\u{a0}\u{1680}\u{2003}\u{2028}\u{205f}\u{3000}]{0,60}",
            middle in "[a \u{81}\u{a1}\u{2010}\u{205e}\u{3001}\u{e000}]{0,4}",
            end in "[ \n\u{85}\u{a0}\u{1680}\u{200a}\u{202f}\u{205f}\u{3000}]{0,60}",
        ) {
            let text = format!("{start}{middle}{end}");
            prop_assert_eq!(trim(&text), text.trim());
            prop_assert_eq!(is_blank(&text), text.trim().is_empty());
        }
    }
}
