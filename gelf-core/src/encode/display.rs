//! Displays a message as text for people.

use std::fmt;

use bytes::BytesMut;

use super::Encoder;
use crate::message::Message;

/// Writes the message as one line of JSON, with the default [`Encoder`](crate::Encoder).
///
/// The line cannot control a terminal, even if the sender of the message is not trusted. Some characters that
/// JSON allows without an escape control a terminal or reorder its text: DEL, the C1 controls, the line and
/// paragraph separators, and the controls of bidirectional text. `Display` escapes these characters, and
/// [`Message::to_vec`] does not.
impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut dst = BytesMut::new();
        Encoder::new().encode(self, &mut dst);
        // The message's texts are UTF-8, and therefore their JSON is UTF-8: the error cannot occur.
        let json = std::str::from_utf8(&dst).map_err(|_| fmt::Error)?;
        let mut line = String::with_capacity(json.len());
        for character in json.chars() {
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
        f.pad(&line)
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::Decoder;

    #[test]
    fn a_displayed_message_is_one_line_of_json_without_characters_that_control_a_terminal() {
        let raw =
            "\u{1b}]0;x\u{7}\n\u{7f}\u{85}\u{9b}31m\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202e}\u{2069}é☺";
        let payload = format!(r#"{{"version":"1.1","host":"{raw}","short_message":"{raw}","_n":"{raw}"}}"#)
            + "\u{1b}[1;1HFAKE";
        let mut decoder = Decoder::lenient();
        let displayed = decoder.decode(payload.as_bytes()).unwrap().message.to_string();
        let shown = "\\u001b]0;x\\u0007\\n\\u007f\\u0085\\u009b31m\\u061c\\u200e\\u200f\\u2028\\u2029\\u202e\\u2069é☺";
        assert_eq!(displayed.matches(shown).count(), 3, "{displayed}");
        assert!(!displayed.contains(char::is_control) && !displayed.contains("FAKE"), "{displayed}");
        let again = decoder.decode(displayed.as_bytes()).unwrap().message;
        assert_eq!((again.host(), again.short_message()), (Some(raw), raw));
    }
}
