use super::*;
use crate::encode::encode;
use crate::message::{FieldName, Level, Number, Timestamp, Value};
use bytes::BytesMut;
use proptest::prelude::*;
use std::borrow::Cow;

use DecodeErrorKind::{EmptyPayload, JsonSyntax, NotAnObject, TooDeep, TooManyMembers};
use DeviationKind as D;

/// The smallest message, with members added before its closing brace.
fn with(members: &str) -> Vec<u8> {
    format!(r#"{{"version":"1.1","host":"h","short_message":"m"{members}}}"#).into_bytes()
}

fn lenient(payload: &[u8]) -> (Message<'_>, Vec<DeviationKind>) {
    let decoded = Decoder::lenient().decode(payload).unwrap();
    (decoded.message, decoded.deviations.iter().map(|deviation| deviation.kind).collect())
}

fn lenient_error(payload: &[u8]) -> DecodeErrorKind {
    Decoder::lenient().decode(payload).unwrap_err().kind()
}

/// Asserts that a strict decoder refuses the payload and a lenient one accepts it, both with this deviation
/// alone.
#[track_caller]
fn deviates(payload: &[u8], kind: DeviationKind) -> Message<'_> {
    let strict = Decoder::strict().decode(payload).map(|decoded| decoded.message);
    assert_eq!(strict.map_err(|error| error.kind()), Err(DecodeErrorKind::Deviation(kind)));
    let (message, deviations) = lenient(payload);
    assert_eq!(deviations, [kind]);
    message
}

/// Asserts that strict and lenient decoders accept the payload.
#[track_caller]
fn conforms(payload: &[u8]) -> Message<'_> {
    let strict = Decoder::strict().decode(payload).unwrap();
    let (message, deviations) = lenient(payload);
    assert_eq!((strict.message, deviations), (message.clone(), vec![]));
    message
}

#[track_caller]
fn refused(payload: &[u8], kind: DecodeErrorKind) {
    assert_eq!(lenient_error(payload), kind);
    assert_eq!(Decoder::strict().decode(payload).unwrap_err().kind(), kind);
}

fn timestamp(members: &str) -> Option<(i64, u32)> {
    lenient(&with(members)).0.timestamp().map(Timestamp::as_unix)
}

#[test]
fn the_smallest_message_is_read() {
    let payload = with("");
    let message = conforms(&payload);
    assert_eq!((message.host(), message.short_message()), (Some("h"), "m"));
    assert_eq!((message.full_message(), message.timestamp(), message.level()), (None, None, None));
    assert_eq!(message.fields().count(), 0);
}

#[test]
fn every_member_of_a_full_message_is_read() {
    let payload = with(
        r#","full_message":"Backtrace here\n\nmore stuff","timestamp":1385053862.3072,"level":1,"_user_id":9001,"_some_info":"foo","_some_env_var":"bar""#,
    );
    let message = conforms(&payload);
    assert_eq!(message.full_message(), Some("Backtrace here\n\nmore stuff"));
    assert_eq!(message.timestamp().unwrap().as_unix(), (1_385_053_862, 307_200_000));
    assert_eq!(message.level(), Some(Level::Alert));
    assert_eq!(message.field("user_id").unwrap().as_i64(), Some(9001));
    let names: Vec<_> = message.fields().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["user_id", "some_info", "some_env_var"]);
}

#[test]
fn versions_other_than_1_1_are_deviations() {
    for version in ["\"1.0\"", "\"2.0\"", "\"\""] {
        let payload = format!(r#"{{"version":{version},"host":"h","short_message":"m"}}"#);
        deviates(payload.as_bytes(), D::UnsupportedVersion);
    }
    for version in ["1.1", "null", "true"] {
        let payload = format!(r#"{{"version":{version},"host":"h","short_message":"m"}}"#);
        deviates(payload.as_bytes(), D::WrongType(Member::Version));
    }
    deviates(br#"{"host":"h","short_message":"m"}"#, D::Missing(Member::Version));
}

#[test]
fn a_host_that_graylog_would_refuse_is_left_out() {
    let host = |host: &str| format!(r#"{{"version":"1.1","host":{host},"short_message":"m"}}"#).into_bytes();
    assert_eq!(deviates(&host("\"      \""), D::Blank(Member::Host)).host(), None);
    assert_eq!(deviates(&host("42"), D::WrongType(Member::Host)).host(), Some("42"));
    assert_eq!(deviates(&host("null"), D::WrongType(Member::Host)).host(), None);
    let object = host(r#"{"name":"h"}"#);
    assert_eq!(deviates(&object, D::WrongType(Member::Host)).host(), Some(r#"{"name":"h"}"#));
    assert_eq!(conforms(&host("\"hÖst-ü.例え\"")).host(), Some("hÖst-ü.例え"));
    let missing = br#"{"version":"1.1","short_message":"m"}"#;
    assert_eq!(deviates(missing, D::Missing(Member::Host)).host(), None);
}

#[test]
fn a_missing_short_message_is_replaced_or_an_error() {
    let short = |members: &str| format!(r#"{{"version":"1.1","host":"h"{members}}}"#).into_bytes();
    let missing = DecodeErrorKind::Deviation(D::Missing(Member::ShortMessage));
    refused(&short(""), missing);
    assert_eq!(lenient_error(&short(r#","short_message":null"#)), missing);
    for blank in ["\"\"", "\"     \"", "\"\\r\""] {
        let payload = short(&format!(r#","short_message":{blank}"#));
        deviates(&payload, D::Blank(Member::ShortMessage));
    }
    let message = short(r#","short_message":"","message":"x""#);
    let (message, _) = lenient(&message);
    assert_eq!((message.short_message(), message.field("message")), ("x", None));
    let payload = short(r#","full_message":"l1\nl2""#);
    let message = deviates(&payload, D::Missing(Member::ShortMessage));
    assert_eq!((message.short_message(), message.full_message()), ("l1", Some("l1\nl2")));
    for (value, text) in [("42", "42"), ("true", "true"), ("{\"a\":1}", "{\"a\":1}")] {
        let payload = short(&format!(r#","short_message":{value}"#));
        assert_eq!(deviates(&payload, D::WrongType(Member::ShortMessage)).short_message(), text);
    }
    let (message, deviations) = lenient(br#"{"message":"0"}"#);
    assert_eq!((message.short_message(), deviations.len()), ("0", 4));
}

#[test]
fn null_never_becomes_the_text_null() {
    let payload = with(r#","full_message":null"#);
    assert_eq!(deviates(&payload, D::WrongType(Member::FullMessage)).full_message(), None);
    let payload = with(r#","facility":null"#);
    assert_eq!(deviates(&payload, D::WrongType(Member::Legacy)).field("facility"), None);
    let payload = with(r#","_n":null"#);
    assert_eq!(deviates(&payload, D::FieldValue).field("n"), None);
}

#[test]
fn timestamps_are_exact_and_invalid_ones_left_out() {
    assert_eq!(timestamp(r#","timestamp":1.385053862E9"#), Some((1_385_053_862, 0)));
    deviates(&with(r#","timestamp":"1500646980.661""#), D::WrongType(Member::Timestamp));
    assert_eq!(timestamp(r#","timestamp":"1500646980.661""#), Some((1_500_646_980, 661_000_000)));
    assert_eq!(timestamp(r#","timestamp":"2017-07-21T14:23:00.661Z""#), Some((1_500_646_980, 661_000_000)));
    for bad in ["\"NaN\"", "\"Infinity\"", "\"0x1p30\"", "\"12d\"", "true", "{}", "[]", "null"] {
        let payload = with(&format!(r#","timestamp":{bad}"#));
        assert_eq!(deviates(&payload, D::WrongType(Member::Timestamp)).timestamp(), None, "{bad}");
    }
    for bad in ["1e300", "1666000000000000"] {
        let payload = with(&format!(r#","timestamp":{bad}"#));
        assert_eq!(deviates(&payload, D::TimestampRange).timestamp(), None, "{bad}");
    }
}

#[test]
fn only_0_to_7_are_levels_and_no_number_wraps() {
    for number in 0..8u8 {
        let payload = with(&format!(r#","level":{number}"#));
        assert_eq!(conforms(&payload).level().map(Level::as_u8), Some(number));
    }
    for (level, kept) in [("8", 8), ("256", 256), ("-1", -1), ("4294967297", 4_294_967_297)] {
        let payload = with(&format!(r#","level":{level}"#));
        let message = deviates(&payload, D::LevelRange);
        assert_eq!(message.level(), None);
        assert_eq!(message.field("level").unwrap().as_i64(), Some(kept));
    }
    let wrong_type = D::WrongType(Member::Level);
    for (level, read) in [
        ("\"3\"", Some(3)),
        ("\"INFO\"", Some(6)),
        ("3.7", Some(3)),
        ("null", None),
        ("\"\"", None),
        ("true", None),
    ] {
        let payload = with(&format!(r#","level":{level}"#));
        assert_eq!(deviates(&payload, wrong_type).level().map(Level::as_u8), read, "{level}");
    }
    assert_eq!(conforms(&with(r#","level":3.0"#)).level(), Some(Level::Error));
    let payload = with(r#","level":"baz""#);
    let message = deviates(&payload, wrong_type);
    assert_eq!((message.level(), message.field("level").unwrap().as_str()), (None, Some("baz")));
}

#[test]
fn field_names_outside_of_gelf_are_kept_and_reported() {
    for (name, bare) in
        [("_", ""), ("_a/b", "a/b"), ("_ключ", "ключ"), ("_@timestamp", "@timestamp"), ("_a b", "a b")]
    {
        let payload = with(&format!(r#","{name}":1"#));
        assert_eq!(deviates(&payload, D::FieldName).field(bare).unwrap().as_i64(), Some(1), "{name}");
    }
    assert_eq!(deviates(&with(r#","":1"#), D::FieldName).fields().count(), 0);
    assert_eq!(deviates(&with(r#","_id":"x""#), D::ReservedField).field("id").unwrap().as_str(), Some("x"));
    for name in ["bad-key", "@tr", "gl2_source_input"] {
        let payload = with(&format!(r#","{name}":"v""#));
        assert_eq!(deviates(&payload, D::UnprefixedField).field(name).unwrap().as_str(), Some("v"));
    }
    assert_eq!(conforms(&with(r#","__id":"x""#)).field("_id").unwrap().as_str(), Some("x"));
    assert_eq!(conforms(&with(r#","__x":1"#)).field("_x").unwrap().as_i64(), Some(1));
}

#[test]
fn field_values_outside_of_gelf_keep_their_type() {
    let payload = with(r#","_b":true"#);
    assert_eq!(deviates(&payload, D::FieldValue).field("b"), Some(&Value::Bool(true)));
    let payload = with(r#","_o":{"k":[1,2]}"#);
    assert_eq!(deviates(&payload, D::FieldValue).field("o").unwrap().as_str(), Some(r#"{"k":[1,2]}"#));
    let payload = with(r#","_l":[]"#);
    assert_eq!(deviates(&payload, D::FieldValue).field("l").unwrap().as_str(), Some("[]"));
    let payload = with(r#","_f":1e400"#);
    assert_eq!(deviates(&payload, D::NumberRange).field("f"), None);
    let digits = "123456789012345678901234567890";
    let payload = with(&format!(r#","_big":{digits}"#));
    assert_eq!(deviates(&payload, D::NumberRange).field("big").unwrap().to_string(), digits);
    let payload = with(r#","_f":2001.1002,"_i":9007199254740993,"_u":9223372036854775808"#);
    let message = conforms(&payload);
    assert_eq!(message.field("f").unwrap().to_string(), "2001.1002");
    assert_eq!(message.field("i").unwrap().as_i64(), Some(9_007_199_254_740_993));
    assert_eq!(message.field("u"), Some(&Value::from(9_223_372_036_854_775_808u64)));
}

#[test]
fn the_last_value_of_a_repeated_name_counts() {
    assert_eq!(deviates(&with(r#","_x":1,"_x":2"#), D::DuplicateKey).field("x").unwrap().as_i64(), Some(2));
    assert_eq!(deviates(&with(r#","host":"b""#), D::DuplicateKey).host(), Some("b"));
}

#[test]
fn the_members_of_gelf_1_0_become_fields() {
    let payload = with(r#","facility":"f","line":105,"file":"myapp.rb""#);
    let message = conforms(&payload);
    assert_eq!(message.field("facility").unwrap().as_str(), Some("f"));
    assert_eq!(message.field("line").unwrap().as_i64(), Some(105));
    assert_eq!(message.field("file").unwrap().as_str(), Some("myapp.rb"));
    let payload = with(r#","line":"105""#);
    assert_eq!(deviates(&payload, D::WrongType(Member::Legacy)).field("line").unwrap().as_i64(), Some(105));
}

#[test]
fn white_space_around_the_object_is_ignored() {
    conforms(&[b" \r\n\t", &with("")[..], b"\n"].concat());
    deviates(&[b"\xef\xbb\xbf", &with("")[..]].concat(), D::ByteOrderMark);
    deviates(&[&with("")[..], b"\0"].concat(), D::TrailingNul);
    deviates(&[&with("")[..], b"\0\0\n\0"].concat(), D::TrailingNul);
    deviates(&[with(""), with("")].concat(), D::TrailingData);
    deviates(&[&with("")[..], b"x"].concat(), D::TrailingData);
    deviates(&with(","), D::TrailingComma);
}

#[test]
fn strings_are_read_as_in_json_and_with_raw_control_characters() {
    let short = |text: &[u8]| [br#"{"version":"1.1","host":"h","short_message":""#, text, br#""}"#].concat();
    assert_eq!(deviates(&short(b"a\nb"), D::ControlCharacter).short_message(), "a\nb");
    assert_eq!(deviates(&short(b"a\0b"), D::ControlCharacter).short_message(), "a\0b");
    assert_eq!(conforms(&short(br"a\u0000b")).short_message(), "a\0b");
    assert_eq!(conforms(&short(br"\ud83d\ude00")).short_message(), "\u{1f600}");
    assert_eq!(conforms(&short(br#"\"\\\/\b\f\n\r\tx"#)).short_message(), "\"\\/\u{8}\u{c}\n\r\tx");
    assert_eq!(deviates(&short(br"\ud800"), D::LoneSurrogate).short_message(), "\u{fffd}");
    assert_eq!(deviates(&short(br"\ud800\u0041"), D::LoneSurrogate).short_message(), "\u{fffd}A");
    assert_eq!(lenient(&short(br"\udc00\ud800")).0.short_message(), "\u{fffd}\u{fffd}");
    assert_eq!(
        conforms(&short("\u{2028}\u{7f}\u{ffff}".as_bytes())).short_message(),
        "\u{2028}\u{7f}\u{ffff}"
    );
    for (bytes, text) in [
        (&b"\xff\xc3"[..], "\u{fffd}\u{fffd}"),
        (b"\xe2\x82", "\u{fffd}"),
        (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        (b"\xc0\x80", "\u{fffd}\u{fffd}"),
    ] {
        assert_eq!(deviates(&short(bytes), D::InvalidUtf8).short_message(), text, "{bytes:x?}");
    }
    let escaped_name = br#"{"version":"1.1","host":"h","short\u005fmessage":"m"}"#;
    assert_eq!(conforms(escaped_name).short_message(), "m");
}

#[test]
fn invalid_json_is_refused() {
    for text in [
        "this is definitely not json",
        "not json!",
        "{",
        "{\"_a\"",
        "{\"_a\":",
        "{\"_a\":1",
        "{\"_a\":1 \"b\":2}",
        "{'a':1}",
        "{\"_a\":NaN}",
        "{\"_a\":01}",
        "{\"_a\":tru}",
        "{\"_a\":\"\\x\"}",
        "{\"_a\":\"\\u12\"}",
        "{\"_a\":\"",
        "{,}",
        "{\"_a\":[1,,2]}",
        "{\"_a\":[1",
        "/* */{}",
        "<34>Oct 11",
    ] {
        refused(text.as_bytes(), JsonSyntax);
    }
    for text in ["[]", "42", "\"x\"", "null", "[{\"version\":\"1.1\"}]"] {
        refused(text.as_bytes(), NotAnObject);
    }
    for text in ["", " \n"] {
        refused(text.as_bytes(), EmptyPayload);
    }
}

#[test]
fn nesting_and_members_are_bounded() {
    let nested = |depth: usize| with(&format!(r#","_a":{}{}"#, "[".repeat(depth), "]".repeat(depth)));
    assert_eq!(deviates(&nested(127), D::FieldValue).fields().count(), 1);
    refused(&nested(128), TooDeep);
    refused(&nested(100_000), TooDeep);
    let members: String = (0..1021).map(|at| format!(r#","_f{at}":1"#)).collect();
    assert_eq!(conforms(&with(&members)).fields().count(), 1021);
    refused(&with(&format!(r#"{members},"_more":1"#)), TooManyMembers);
}

#[test]
fn deep_nesting_fits_a_small_stack() {
    let payload = with(&format!(r#","_a":{}"#, "[".repeat(100_000)));
    let small = std::thread::Builder::new().stack_size(128 * 1024);
    let thread = small.spawn(move || lenient_error(&payload)).unwrap();
    assert_eq!(thread.join().unwrap(), TooDeep);
}

#[test]
fn names_and_payloads_are_bounded() {
    let named = |bytes: usize| with(&format!(r#","_{}":1"#, "n".repeat(bytes - 1)));
    assert_eq!(conforms(&named(1024)).fields().count(), 1);
    refused(&named(1025), DecodeErrorKind::NameTooLong);
    let payload = with("");
    let mut decoder = Decoder::strict().with_max_payload_bytes(payload.len());
    assert!(decoder.decode(&payload).is_ok());
    let longer = [&payload[..], b" "].concat();
    assert_eq!(decoder.decode(&longer).unwrap_err().kind(), DecodeErrorKind::PayloadTooLarge);
}

#[test]
fn unprefixed_message_is_a_field_unless_it_is_the_replacement() {
    let payload = with(r#","message":"x","_z":1"#);
    let message = deviates(&payload, D::UnprefixedField);
    assert_eq!((message.short_message(), message.field("message").unwrap().as_str()), ("m", Some("x")));
    let both = with(r#","message":"x","_message":"y""#);
    assert_eq!(lenient(&both).0.fields().count(), 1);
}

#[test]
fn a_decoder_starts_afresh_with_each_payload() {
    let mut decoder = Decoder::lenient();
    let (first, second) = (with(r#","_a":1,"_a":true"#), with(r#","_a":2"#));
    for _ in 0..3 {
        assert_eq!(decoder.decode(&first).unwrap().deviations.len(), 2);
        let decoded = decoder.decode(&second).unwrap();
        assert_eq!((decoded.deviations.len(), decoded.message.fields().count()), (0, 1));
        assert!(decoder.decode(b"{").is_err());
    }
}

#[test]
fn a_visitor_gets_fields_in_order_and_then_the_members_once() {
    #[derive(Default)]
    struct Log(Vec<String>);
    impl<'a> Visitor<'a> for Log {
        fn field(&mut self, name: FieldName<'a>, value: Value<'a>) {
            self.0.push(format!("{name}={value}"));
        }
        fn repeated_field(&mut self, name: FieldName<'a>, value: Value<'a>) {
            self.0.push(format!("again {name}={value}"));
        }
        fn host(&mut self, host: Cow<'a, str>) {
            self.0.push(format!("host {host}"));
        }
        fn short_message(&mut self, text: Cow<'a, str>) {
            self.0.push(format!("short {text}"));
        }
        fn full_message(&mut self, text: Cow<'a, str>) {
            self.0.push(format!("full {text}"));
        }
        fn timestamp(&mut self, timestamp: Timestamp) {
            self.0.push(format!("at {timestamp}"));
        }
        fn level(&mut self, level: Level) {
            self.0.push(format!("level {}", level.as_u8()));
        }
        fn deviation(&mut self, deviation: Deviation) {
            self.0.push(deviation.kind.to_string());
        }
    }
    for (tail, host) in [(&b""[..], "h"), (b"\xff", "h\u{fffd}")] {
        let mut payload = br#"{"_b":1,"version":"1.1","host":"h"#.to_vec();
        payload.extend(tail);
        payload.extend(
            br#"","_a":"x","_b":2,"level":3,"short_message":"m","full_message":"f","timestamp":1.5}"#,
        );
        let mut log = Log::default();
        Decoder::lenient().decode_with(&payload, &mut log).unwrap();
        let host = format!("host {host}");
        let mut expected = vec!["b=1", "a=x", "again b=2", "a name occurs twice"];
        expected.extend([host.as_str(), "short m", "full f", "at 1.500", "level 3"]);
        if !tail.is_empty() {
            // The deviation is found first, and passed on with the first member.
            expected.insert(1, "the text is not UTF-8");
        }
        assert_eq!(log.0, expected);
    }
}

#[test]
fn an_error_says_where() {
    let error = Decoder::strict().decode(br#"{"version":"1.1","host":7,"short_message":"m"}"#).unwrap_err();
    assert_eq!(error.to_string(), "host has a value of the wrong type (byte 17)");
}

fn any_value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |float| Number::from_f64(float).map(Value::from)),
    ]
}

fn any_message() -> impl Strategy<Value = Message<'static>> {
    let text = || any::<String>().prop_filter("not blank", |text| !text.trim().is_empty());
    let timestamp = (-Timestamp::MAX_SECONDS + 1..Timestamp::MAX_SECONDS, 0u32..1_000_000_000)
        .prop_map(|(seconds, nanos)| Timestamp::from_unix(seconds, nanos).unwrap());
    let name =
        "[a-zA-Z0-9_.-]{1,12}".prop_filter_map("allowed", |name| FieldName::new(format!("_{name}")).ok());
    (
        text(),
        text(),
        prop::option::of(any::<String>()),
        prop::option::of(timestamp),
        prop::option::of(0u8..8),
        prop::collection::vec((name, any_value()), 0..8),
    )
        .prop_map(|(host, short, full, timestamp, level, fields)| {
            let mut message = Message::new(host, short);
            message.full_message = full.map(Into::into);
            message.timestamp = timestamp;
            message.level = level.map(|level| Level::try_from(level).unwrap());
            for (name, value) in fields {
                message = message.with_field(name, value);
            }
            message
        })
}

proptest! {
    #[test]
    fn encoded_messages_decode_to_the_same(message in any_message()) {
        let mut payload = BytesMut::new();
        encode(&message, &mut payload);
        let decoded = Decoder::strict().decode(&payload).unwrap();
        prop_assert_eq!(decoded.message, message);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
    }

    #[test]
    fn any_json_object_is_read_or_refused_as_serde_json_does(json in "[\\[\\]{}:,\"\\\\a1.eE+ \\-tnu0]{0,40}") {
        let text = format!(r#"{{"short_message":"m","_a":{json}}}"#);
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        let ours = Decoder::lenient().decode(text.as_bytes());
        if theirs {
            prop_assert!(ours.is_ok(), "{:?}", ours);
        } else if let Ok(decoded) = ours {
            // Deviations that serde_json refuses are reported.
            let kinds: Vec<_> = decoded.deviations.iter().map(|deviation| deviation.kind).collect();
            let reported = [D::TrailingComma, D::TrailingData, D::LoneSurrogate, D::NumberRange];
            prop_assert!(kinds.iter().any(|kind| reported.contains(kind)), "{:?}", kinds);
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Decoder::lenient().decode(&bytes);
        prop_assert!(Decoder::strict().decode(&bytes).is_err());
    }
}
