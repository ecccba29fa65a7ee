//! Alphabets of payloads.

/// Alphabet of a payload, with 64 characters.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Content {
    /// ASCII letters and digits, `-` and `_`, which no program has a reason to change.
    #[default]
    Plain,
    /// Characters of ordinary log lines: spaces, quotes, backslashes and other ASCII signs, and characters of
    /// two to four bytes.
    Printable,
    /// Characters that text may contain but log lines should not: NUL and other control characters, line
    /// ends, terminal sequences, a byte order mark, bidirectional overrides, and characters of many scripts.
    Hostile,
}

impl Content {
    /// All alphabets.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Printable, Self::Hostile];

    /// Returns the letter that stands for the alphabet in a text.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Plain => 'a',
            Self::Printable => 'p',
            Self::Hostile => 'h',
        }
    }

    /// Returns the characters, each once.
    pub(crate) fn characters(self) -> &'static [char; 64] {
        match self {
            Self::Plain => &PLAIN,
            Self::Printable => &PRINTABLE,
            Self::Hostile => &HOSTILE,
        }
    }
}

const PLAIN: [char; 64] = [
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U',
    'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p',
    'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '-',
    '_',
];

const PRINTABLE: [char; 64] = [
    ' ', '!', '"', '#', '$', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', '0', '1', '9', ':', ';',
    '<', '=', '>', '?', '@', 'A', 'B', 'Z', '[', '\\', ']', '^', '_', '`', 'a', 'b', 'n', 'r', 't', 'u', 'z',
    '{', '|', '}', '~', '\u{a0}', 'ß', 'é', 'ñ', 'ø', 'Ж', 'λ', 'א', 'ع', '€', '中', '日', '한', 'ไ', '…',
    '😀', '🦀', '𝄞',
];

const HOSTILE: [char; 64] = [
    '\u{0}',
    '\u{1}',
    '\u{2}',
    '\u{3}',
    '\u{4}',
    '\u{5}',
    '\u{6}',
    '\u{7}',
    '\u{8}',
    '\t',
    '\n',
    '\u{b}',
    '\u{c}',
    '\r',
    '\u{e}',
    '\u{f}',
    '\u{10}',
    '\u{11}',
    '\u{12}',
    '\u{13}',
    '\u{14}',
    '\u{15}',
    '\u{16}',
    '\u{17}',
    '\u{18}',
    '\u{19}',
    '\u{1a}',
    '\u{1b}',
    '\u{1c}',
    '\u{1d}',
    '\u{1e}',
    '\u{1f}',
    '\u{7f}',
    '\u{80}',
    '\u{85}',
    '\u{9f}',
    '\u{ad}',
    '\u{301}',
    '\u{61c}',
    '\u{200b}',
    '\u{200d}',
    '\u{200e}',
    '\u{202e}',
    '\u{2028}',
    '\u{2029}',
    '\u{2066}',
    '\u{d7ff}',
    '\u{e000}',
    '\u{fdd0}',
    '\u{feff}',
    '\u{fffd}',
    '\u{fffe}',
    '\u{ffff}',
    '\u{10000}',
    '\u{e0001}',
    '\u{10ffff}',
    '"',
    '\\',
    '/',
    '{',
    '}',
    '[',
    'u',
    ' ',
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_has_64_characters() {
        for content in Content::ALL {
            assert_eq!(BTreeSet::from(*content.characters()).len(), 64, "{content:?}");
        }
    }

    #[test]
    fn only_the_hostile_kind_has_control_characters() {
        let controls = |content: Content| content.characters().iter().filter(|one| one.is_control()).count();
        assert_eq!(Content::ALL.map(controls), [0, 0, 36]);
        assert!(PLAIN.iter().all(|one| one.is_ascii_alphanumeric() || "-_".contains(*one)));
    }

    #[test]
    fn each_kind_has_a_unique_letter() {
        assert_eq!(Content::ALL.map(Content::letter), ['a', 'p', 'h']);
    }
}
