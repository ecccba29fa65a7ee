//! Cuts texts off at a maximum length.

use std::fmt::{self, Display, Write};

/// The mark at the end of a text that was cut off. The encoder of gelf-core uses the same mark.
const CUT_OFF: &str = "…";

/// Appends the text of a value, cut off at `max_bytes`. The `…` at the end of a cut text counts towards the
/// maximum, but is appended even if the maximum is less than the 3 bytes of `…`. Formatting ends at the
/// maximum, so that a value cannot produce text without end.
pub(crate) fn push(text: &mut String, value: &dyn Display, max_bytes: usize) {
    let mut bounded = Bounded { start: text.len(), text, max_bytes, is_cut: false };
    // An error means that the maximum length is reached or that the value failed to write its text. The text
    // ends there in both cases.
    let _ = write!(bounded, "{value}");
    bounded.finish();
}

/// Appends a text, cut off at `max_bytes`.
pub(crate) fn push_str(text: &mut String, value: &str, max_bytes: usize) {
    let mut bounded = Bounded { start: text.len(), text, max_bytes, is_cut: false };
    let _ = bounded.write_str(value);
    bounded.finish();
}

/// Returns the text of a value, cut off at `max_bytes`.
pub(crate) fn of(value: &dyn Display, max_bytes: usize) -> String {
    let mut text = String::new();
    push(&mut text, value, max_bytes);
    text
}

struct Bounded<'t> {
    text: &'t mut String,
    start: usize,
    max_bytes: usize,
    is_cut: bool,
}

impl Bounded<'_> {
    fn finish(self) {
        if self.is_cut {
            let room = self.start + self.max_bytes.saturating_sub(CUT_OFF.len());
            self.text.truncate(floor_char_boundary(self.text, room));
            self.text.push_str(CUT_OFF);
        }
    }
}

impl Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.start + self.max_bytes - self.text.len();
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
    fn a_text_is_cut_between_characters_and_ends_with_a_mark() {
        let push = |value, max_bytes| {
            let mut text = "before ".to_owned();
            push_str(&mut text, value, max_bytes);
            text
        };
        assert_eq!(push("äöü", 6), "before äöü");
        assert_eq!(push("äöüx", 6), "before ä…");
        assert_eq!(push("abc", 0), "before …");
        assert_eq!(of(&format_args!("{}{}", "abc", "defg"), 6), "abc…");
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
        assert_eq!(of(&Endless, 10), "again a…");
    }
}
