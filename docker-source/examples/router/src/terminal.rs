//! Text for terminals.

/// Returns whether a terminal may be coloured: `NO_COLOR` (no-color.org) is not set or is empty, and the
/// terminal is not `dumb`.
pub(crate) fn are_colours_wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_none_or(|term| term != "dumb")
}

/// Escapes the characters that control a terminal, end a line or reorder text, as `\u{1b}`. Tabs stay.
pub(crate) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => harmless.push(character),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                harmless.extend(character.escape_unicode())
            }
            _ if character.is_control() => harmless.extend(character.escape_default()),
            _ => harmless.push(character),
        }
    }
    harmless
}
