//! Texts with a limit.

use std::fmt::{self, Display, Write};

/// The mark at the end of a text that was cut off, as the encoder of gelf-core uses it.
const CUT_OFF: &str = "…";

/// Collects text up to a maximum. Formatting into a full text ends early, so that a value cannot produce text
/// without end.
#[derive(Debug)]
pub(crate) struct BoundedText {
    text: String,
    max_bytes: usize,
    is_cut: bool,
}

impl BoundedText {
    fn new(max_bytes: usize) -> Self {
        Self { text: String::new(), max_bytes, is_cut: false }
    }

    /// Returns the text of a value, cut off at `max_bytes`. The `…` at the end of a cut text counts towards
    /// the maximum.
    pub(crate) fn of(value: &dyn Display, max_bytes: usize) -> String {
        let mut text = Self::new(max_bytes);
        // The only error is the end of the room, or one of the value, whose text then ends there.
        let _ = write!(text, "{value}");
        text.finish()
    }

    /// Returns a text, cut off at `max_bytes`.
    pub(crate) fn of_str(value: &str, max_bytes: usize) -> String {
        let mut text = Self::new(max_bytes);
        let _ = text.write_str(value);
        text.finish()
    }

    fn finish(mut self) -> String {
        if self.is_cut {
            let room = self.max_bytes.saturating_sub(CUT_OFF.len());
            self.text.truncate(floor_char_boundary(&self.text, room));
            self.text.push_str(CUT_OFF);
        }
        self.text
    }
}

impl Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.max_bytes - self.text.len();
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        let end = floor_char_boundary(text, room);
        self.text.push_str(text.get(..end).unwrap_or_default());
        self.is_cut = true;
        Err(fmt::Error)
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_no_longer_than_its_maximum() {
        assert_eq!(BoundedText::of_str("äöü", 6), "äöü");
        assert_eq!(BoundedText::of_str("äöüx", 6), "ä…");
        assert_eq!(BoundedText::of(&format_args!("{}{}", "abc", "defg"), 6), "abc…");
        assert_eq!(BoundedText::of_str("abc", 0), "…");
    }

    #[test]
    fn a_value_that_writes_without_end_is_stopped() {
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("again ")?;
                }
            }
        }
        assert_eq!(BoundedText::of(&Endless, 10), "again a…");
    }
}
