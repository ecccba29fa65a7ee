//! Prints messages of strangers on a terminal.

use gelf_tokio::bytes::BytesMut;
use gelf_tokio::gelf_core::{Encoder, Message};

/// Returns a message as one line of JSON that a terminal shows as it is. It escapes the characters that JSON
/// permits and that control a terminal or reorder its text: DEL, the C1 controls, the line and paragraph
/// separators, and the controls of bidirectional text. The encoder escapes the C0 controls.
pub(crate) fn printable(message: &Message<'_>) -> String {
    let mut json = BytesMut::new();
    Encoder::new().encode(message, &mut json);
    let mut line = String::with_capacity(json.len());
    for character in String::from_utf8_lossy(&json).chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => line.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => line.push(character),
        }
    }
    line
}
