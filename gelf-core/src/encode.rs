//! A message as JSON.
//!
//! The order on the wire is fixed: `version`, `host` and the fields of the [`FieldSet`](crate::FieldSet), which are
//! constant for many messages and are copied as one piece; then `timestamp`, `level`, `short_message`,
//! `full_message`; then the message's own fields. JSON gives the order no meaning, so every reader takes it.
//!
//! What goes out is what every known reader takes:
//!
//! | a message with | is sent with | because |
//! |---|---|---|
//! | a blank `host` or `short_message` | `-` | Graylog refuses the whole message |
//! | a boolean | the string `"true"` or `"false"` | Graylog drops booleans |
//! | an integer outside of `i64` | a string of its digits | Graylog reads it modulo 2^64 |
//! | a foreign field name (decoded leniently) | the name [sanitized](crate::FieldName::sanitize) | readers drop such a field, or the message |
//! | a field that its field set has too | the message's value, once | readers disagree about a repeated name |

use bytes::{BufMut, BytesMut};

use crate::escape::write_string;
use crate::field::{FieldName, Value, sanitized};
use crate::message::{Head, Message};
use crate::timestamp::Timestamp;

/// What stands for a blank `host` or `short_message`.
const PLACEHOLDER: &str = "-";

/// Appends the message to `dst` as one JSON object. It cannot fail, and allocates only to grow `dst`.
///
/// The payload never contains a NUL byte, so it can be framed by one.
///
/// ```
/// use gelf_core::{Level, Message, encode};
///
/// let mut payload = bytes::BytesMut::new();
/// encode(&Message::new("web-1", "it \"works\"").with_level(Level::Notice), &mut payload);
/// assert_eq!(payload, r#"{"version":"1.1","host":"web-1","level":5,"short_message":"it \"works\""}"#);
/// ```
pub fn encode(message: &Message<'_>, dst: &mut BytesMut) {
    match &message.head {
        Head::Host(host) => write_head(host.as_deref().unwrap_or_default(), dst),
        Head::Set(set) => set.splice(|name| message.has_own(name), dst),
    }
    if let Some(timestamp) = message.timestamp {
        dst.put_slice(br#","timestamp":"#);
        dst.put_slice(timestamp.write(&mut [0; Timestamp::TEXT_MAX]));
    }
    if let Some(level) = message.level {
        dst.put_slice(br#","level":"#);
        dst.put_u8(b'0' + level.as_u8());
    }
    dst.put_slice(br#","short_message":"#);
    write_string(or_placeholder(&message.short_message), dst);
    if let Some(text) = &message.full_message {
        dst.put_slice(br#","full_message":"#);
        write_string(text, dst);
    }
    for (name, value) in &message.fields {
        write_field(name, value, dst);
    }
    dst.put_u8(b'}');
}

/// Writes the opening brace, `version` and `host`.
pub(crate) fn write_head(host: &str, dst: &mut BytesMut) {
    dst.put_slice(br#"{"version":"1.1","host":"#);
    write_string(or_placeholder(host), dst);
}

/// Writes `,"_name":value`.
pub(crate) fn write_field(name: &FieldName<'_>, value: &Value<'_>, dst: &mut BytesMut) {
    dst.put_slice(br#",""#);
    dst.put_u8(b'_');
    if name.is_foreign() {
        dst.put_slice(sanitized(name.as_str()).as_bytes());
    } else {
        dst.put_slice(name.as_str().as_bytes());
    }
    dst.put_slice(br#"":"#);
    match value {
        Value::Bool(true) => dst.put_slice(br#""true""#),
        Value::Bool(false) => dst.put_slice(br#""false""#),
        Value::Number(number) if number.is_beyond_i64() => write_display(format_args!("\"{number}\""), dst),
        Value::Number(number) => write_display(format_args!("{number}"), dst),
        Value::Str(text) => write_string(text, dst),
    }
}

/// Formats in place; a number's text needs no escape.
fn write_display(text: std::fmt::Arguments<'_>, dst: &mut BytesMut) {
    // Writing to memory does not fail.
    let _ = std::fmt::Write::write_fmt(dst, text);
}

fn or_placeholder(text: &str) -> &str {
    if text.trim().is_empty() { PLACEHOLDER } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Number;
    use crate::field_set::FieldSet;
    use crate::level::Level;

    fn encoded(message: &Message<'_>) -> String {
        let mut dst = BytesMut::new();
        encode(message, &mut dst);
        String::from_utf8(dst.to_vec()).unwrap()
    }

    fn name(text: &'static str) -> FieldName<'static> {
        FieldName::new(text).unwrap()
    }

    #[test]
    fn members_go_out_in_the_fixed_order_and_constants_first() {
        let set = FieldSet::builder("h").field(name("a"), "x").field(name("b"), 2).build();
        let message = set
            .message("s")
            .with_full_message("f")
            .with_level(Level::Error)
            .with_timestamp(Timestamp::from_unix(1_500_646_980, 661_000_000).unwrap())
            .with_field(name("z"), "own");
        assert_eq!(
            encoded(&message),
            r#"{"version":"1.1","host":"h","_a":"x","_b":2,"timestamp":1500646980.661,"level":3,"short_message":"s","full_message":"f","_z":"own"}"#
        );
    }

    #[test]
    fn a_name_in_the_field_set_and_the_message_goes_out_once_and_the_message_wins() {
        let set = FieldSet::builder("h").field(name("a"), 1).field(name("b"), 2).field(name("c"), 3).build();
        let message = set.message("s").with_field(name("b"), "mine");
        assert_eq!(
            encoded(&message),
            r#"{"version":"1.1","host":"h","_a":1,"_c":3,"short_message":"s","_b":"mine"}"#
        );
        assert_eq!(message.fields().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "c", "b"]);
    }

    #[test]
    fn an_empty_field_set_leaves_no_stray_comma() {
        let set = FieldSet::builder("h").build();
        assert_eq!(encoded(&set.message("s")), r#"{"version":"1.1","host":"h","short_message":"s"}"#);
    }

    #[test]
    fn level_0_is_sent() {
        let message = Message::new("h", "s").with_level(Level::Emergency);
        assert_eq!(encoded(&message), r#"{"version":"1.1","host":"h","level":0,"short_message":"s"}"#);
    }

    #[test]
    fn blank_host_and_short_message_are_never_sent() {
        for blank in ["", " ", "\r", "\n\t ", "\u{2003}"] {
            let expected = r#"{"version":"1.1","host":"-","short_message":"-"}"#;
            assert_eq!(encoded(&Message::new(blank, blank)), expected);
            assert_eq!(encoded(&FieldSet::builder(blank).build().message(blank)), expected);
        }
    }

    #[test]
    fn values_that_readers_misread_go_out_as_strings() {
        let message = Message::new("h", "s")
            .with_field(name("yes"), true)
            .with_field(name("no"), false)
            .with_field(name("big"), u64::MAX)
            .with_field(name("huge"), Number::parse("123456789012345678901234567890").unwrap())
            .with_field(name("max"), i64::MAX)
            .with_field(name("decimal"), Number::parse("1.10").unwrap());
        assert_eq!(
            encoded(&message),
            r#"{"version":"1.1","host":"h","short_message":"s","_yes":"true","_no":"false","_big":"18446744073709551615","_huge":"123456789012345678901234567890","_max":9223372036854775807,"_decimal":1.10}"#
        );
    }

    #[test]
    fn foreign_names_are_sanitized_on_the_way_out() {
        let message = Message::new("h", "s")
            .with_field(FieldName::decoded("a/b \"c\"".into()), 1)
            .with_field(FieldName::decoded("id".into()), 2);
        assert_eq!(
            encoded(&message),
            r#"{"version":"1.1","host":"h","short_message":"s","_a_b__c_":1,"_id_":2}"#
        );
    }

    #[test]
    fn a_payload_never_contains_nul() {
        let message = Message::new("h\0", "a\0b").with_full_message("\0").with_field(name("x"), "\0");
        assert_eq!(memchr::memchr(0, encoded(&message).as_bytes()), None);
    }
}
