//! Removes the escape sequences of terminals (ECMA-48) from texts.

use std::borrow::Cow;

const ESCAPE: char = '\u{1b}';

/// Removes the escape sequences that begin with `ESC [` or `ESC ]`, and the escape sequences of two
/// characters. If an escape character begins no such sequence, only this character is removed. A text without an
/// escape character is returned as it is.
pub(super) fn strip(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr(0x1b, text.as_bytes()).is_none() {
        return text;
    }
    let mut stripped = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, sequence)) = rest.split_once(ESCAPE) {
        stripped.push_str(before);
        rest = behind(sequence);
    }
    stripped.push_str(rest);
    Cow::Owned(stripped)
}

/// Returns the text behind an escape sequence. `sequence` begins right behind the escape character.
fn behind(sequence: &str) -> &str {
    let mut characters = sequence.chars();
    match characters.next() {
        // A control sequence: parameters, then one final character.
        Some('[') => {
            let body = characters.as_str();
            match body.find(|character| !matches!(character, ' '..='?')) {
                Some(end) if matches!(body.as_bytes().get(end), Some(0x40..=0x7e)) => {
                    body.get(end + 1..).unwrap_or_default()
                }
                Some(end) => body.get(end..).unwrap_or_default(),
                None => "",
            }
        }
        // An operating system command, such as a link. It ends with BEL or `ESC \`. Another escape sequence
        // cancels it.
        Some(']') => {
            let body = characters.as_str();
            match body.find(['\u{7}', ESCAPE]) {
                Some(end) => {
                    let tail = body.get(end..).unwrap_or_default();
                    let behind = tail.strip_prefix('\u{7}').or_else(|| tail.strip_prefix("\u{1b}\\"));
                    behind.unwrap_or(tail)
                }
                None => "",
            }
        }
        Some(' '..='~') => characters.as_str(),
        _ => sequence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_removed_and_text_is_kept() {
        for (text, stripped) in [
            ("plain é", "plain é"),
            ("\x1b[1;31mERROR\x1b[0m refused", "ERROR refused"),
            ("\x1b[38;5;208mé\x1b[K", "é"),
            ("\x1b]8;;http://h\x1b\\link\x1b]8;;\x07!", "link!"),
            ("\x1b(Btext\x1bM", "Btext"),
            ("a\x1b", "a"),
            ("a\x1b[", "a"),
            ("a\x1b[31", "a"),
            ("a\x1b]0;title", "a"),
            ("a\x1b]0;title\x1b[31mb", "ab"),
            ("a\x1b[3é", "aé"),
            ("a\x1b\u{9b}b", "a\u{9b}b"),
            ("\x1b\x1b[0mb", "b"),
        ] {
            assert_eq!(strip(text.into()), stripped, "{text:?}");
        }
    }
}
