//! Prepares text for terminals: chooses colours, and escapes characters on which a terminal would act.

/// Returns whether the output to a terminal should be coloured: true if `NO_COLOR` (no-color.org) is not set
/// or is empty, and if `TERM` is not `dumb`.
pub(crate) fn are_colors_wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_none_or(|term| term != "dumb")
}

/// Returns the colour for a name. The six colours are legible on light and dark terminals.
pub(crate) fn color(name: &str) -> &'static str {
    const COLORS: [&str; 6] =
        ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[34m", "\u{1b}[35m", "\u{1b}[36m"];
    let sum = name.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    COLORS.get(sum % COLORS.len()).copied().unwrap_or_default()
}

/// Returns whether the character is shown escaped: a terminal may interpret it as a command, may show other text in
/// a different order because of it, or may show nothing. Combining marks are shown as they are.
pub(crate) fn is_unsafe(character: char) -> bool {
    if matches!(character, ' '..='~' | '\t') {
        return false;
    }
    // The `a` is necessary, since `str::escape_debug` escapes a combining mark only at the beginning of a
    // text.
    ['a', character].iter().collect::<String>().escape_debug().count() > 2
}

/// Appends a text. Unsafe characters are escaped, for example as `\u{1b}`; see [`is_unsafe`].
pub(crate) fn push_safe(safe: &mut String, text: &str) {
    for character in text.chars() {
        match is_unsafe(character) {
            true => safe.extend(character.escape_debug()),
            false => safe.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_a_terminal_acts_on_are_escaped_and_others_stay() {
        let mut safe = String::new();
        push_safe(
            &mut safe,
            "a\t\"\\' é e\u{301} हिन्दी ☺\r\n\u{1b}\u{7f}\u{9b}\u{202e}\u{2066}\u{2028}\u{e0001}",
        );
        assert_eq!(
            safe,
            "a\t\"\\' é e\u{301} हिन्दी ☺\\r\\n\\u{1b}\\u{7f}\\u{9b}\\u{202e}\\u{2066}\\u{2028}\\u{e0001}"
        );
    }
}
