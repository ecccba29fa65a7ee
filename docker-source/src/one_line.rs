//! Makes text from other programs safe for logs and terminals.

/// The maximum length of a text in bytes. The limit stops an Engine, or the labels of a container, from
/// filling the log.
const MAX_BYTES: usize = 512;

/// Returns at most [`MAX_BYTES`] bytes of text on one line, without the white space at the start and at the end
/// of `bytes`. All characters that [`char::escape_debug`] escapes are escaped, except quotes and backslashes.
/// Among them are control characters, and characters that end a line or reorder text. Invalid UTF-8 is
/// replaced.
pub(crate) fn one_line(bytes: &[u8]) -> String {
    // `line` gets at most `MAX_BYTES` characters. Each of them has at most 4 bytes, so the bytes behind the
    // first `MAX_BYTES * 4` bytes are not needed, unless much white space outside ASCII is in front of the
    // text.
    let shown = bytes.trim_ascii_start();
    let shown = shown.get(..MAX_BYTES * 4).unwrap_or(shown);
    let mut line = String::new();
    for character in String::from_utf8_lossy(shown).trim().chars() {
        let escaped: String = match character {
            '"' | '\'' | '\\' => character.into(),
            _ => character.escape_debug().collect(),
        };
        if line.len() + escaped.len() > MAX_BYTES {
            break;
        }
        line.push_str(&escaped);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_on_one_line_and_has_no_controls() {
        let raw = " a\nb\u{1b}]0;x\u{7}\u{9b}31m\u{7f}\u{85}\u{2028}\u{202e}\u{2066}\u{61c} é☺ \"'\\ ";
        assert_eq!(
            one_line(raw.as_bytes()),
            "a\\nb\\u{1b}]0;x\\u{7}\\u{9b}31m\\u{7f}\\u{85}\\u{2028}\\u{202e}\\u{2066}\\u{61c} é☺ \"'\\"
        );
        assert_eq!(one_line(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(one_line(&[b'x'; 500_000]).len(), MAX_BYTES);
        assert_eq!(one_line("☺".repeat(200_000).as_bytes()), "☺".repeat(MAX_BYTES / 3));
        assert_eq!(one_line("\n".repeat(3000).as_bytes()), "");
    }
}
