//! The printing of messages in the examples.

use gelf_tokio::gelf_core::Decoder;

#[path = "../../examples/support/printable.rs"]
mod printable;

use printable::printable;

/// Also of characters that are not escaped in the payload, and of bytes behind the message.
#[test]
fn a_printed_message_is_one_line_of_json_without_characters_that_control_a_terminal() {
    let raw =
        "\u{1b}]0;x\u{7}\n\u{7f}\u{85}\u{9b}31m\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202e}\u{2069}é☺";
    let payload = format!(r#"{{"version":"1.1","host":"{raw}","short_message":"{raw}","_n":"{raw}"}}"#)
        + "\u{1b}[1;1HFAKE";
    let mut decoder = Decoder::lenient();
    let decoded = decoder.decode(payload.as_bytes()).unwrap();
    let printed = printable(&decoded.message);
    let shown =
        "\\u001b]0;x\\u0007\\n\\u007f\\u0085\\u009b31m\\u061c\\u200e\\u200f\\u2028\\u2029\\u202e\\u2069é☺";
    assert_eq!(printed.matches(shown).count(), 3, "{printed}");
    assert!(!printed.contains(char::is_control) && !printed.contains("FAKE"), "{printed}");
    let again = decoder.decode(printed.as_bytes()).unwrap().message;
    assert_eq!((again.host(), again.short_message()), (Some(raw), raw));
}
