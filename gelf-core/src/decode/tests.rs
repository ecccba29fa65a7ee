use super::*;
use crate::encode::Encoder;
use crate::message::{FieldName, Level, Number, Timestamp, Value};
use bytes::BytesMut;
use proptest::prelude::*;
use std::borrow::Cow;

use DecodeErrorKind::{TooDeep, TooManyMembers};
use DeviationKind as D;

/// Returns the smallest message, with members added before its closing brace.
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

/// Asserts that a strict decoder refuses the payload because of this deviation, and that a lenient decoder
/// accepts the payload and reports only this deviation.
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

#[test]
fn the_depth_of_nesting_and_the_number_of_members_are_bounded() {
    let nested = |depth: usize| with(&format!(r#","_a":{}{}"#, "[".repeat(depth), "]".repeat(depth)));
    assert_eq!(deviates(&nested(127), D::FieldValue).fields().count(), 1);
    refused(&nested(128), TooDeep);
    refused(&nested(100_000), TooDeep);
    let members: String = (0..1021).map(|at| format!(r#","_f{at}":1"#)).collect();
    assert_eq!(conforms(&with(&members)).fields().count(), 1021);
    refused(&with(&format!(r#"{members},"_more":1"#)), TooManyMembers);
}

#[test]
fn the_number_of_values_in_arrays_and_objects_is_bounded() {
    // Four values besides the repeated ones: two containers, an array in one of them, and a number.
    let values = |count: usize| with(&format!(r#","_a":[{}1],"_b":{{"":[]}}"#, "1,".repeat(count - 4)));
    assert_eq!(lenient(&values(Decoder::MAX_NESTED_VALUES)).0.fields().count(), 2);
    assert_eq!(lenient_error(&values(Decoder::MAX_NESTED_VALUES + 1)), DecodeErrorKind::TooManyValues);
}

#[test]
fn the_number_of_escapes_and_of_sequences_of_invalid_utf8_is_bounded() {
    let most = Decoder::MAX_ESCAPES;
    // A pair of surrogates is two escapes.
    let escapes = |count: usize| {
        with(&format!(r#","_a":"{}","_b":"\ud83d\ude00","_c":["\"",1]"#, "\\n".repeat(count - 3)))
    };
    assert_eq!(lenient(&escapes(most)).0.field("a").unwrap().as_str().unwrap().len(), most - 3);
    refused(&escapes(most + 1), DecodeErrorKind::TooManyEscapes);
    let invalid = |count: usize| [&escapes(4)[..], &b"\xff".repeat((count - 4) / 4)].concat();
    assert_eq!(lenient(&invalid(most)).1, [D::InvalidUtf8, D::FieldValue, D::TrailingData]);
    assert_eq!(lenient_error(&invalid(most + 4)), DecodeErrorKind::TooManyEscapes);
}

#[test]
fn the_last_member_of_each_repeated_name_counts() {
    // Names of the maximum length that differ only in their last bytes.
    let name = |at: usize| format!("{}{at:03}", "n".repeat(FieldName::MAX_BYTES - 3));
    let members = |from: usize, to: usize, value: &str| -> String {
        (from..to).map(|at| format!(r#","_{}":{value}"#, name(at))).collect()
    };
    let payload = [members(0, 300, "1"), members(100, 200, "null"), members(0, 150, "2")].concat();
    let payload = with(&payload);
    let message = Decoder::lenient().decode(&payload).unwrap().message;
    let fields: Vec<_> = message.fields().map(|(name, value)| (name.as_str(), value.as_i64())).collect();
    let right =
        (0..100).map(|at| (at, 2)).chain((200..300).map(|at| (at, 1))).chain((100..150).map(|at| (at, 2)));
    let right: Vec<_> = right.map(|(at, value)| (name(at), Some(value))).collect();
    assert_eq!(fields, right.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>());
}

#[test]
fn empty_arrays_and_objects_become_text_and_malformed_values_are_refused() {
    for empty in ["[]", "{}", "[ ]", "{ }", "[[],{}]", r#"{"a":{},"":[]}"#] {
        let payload = with(&format!(r#","_a":{empty},"_b":1"#));
        let message = Decoder::lenient().decode(&payload).unwrap().message;
        assert_eq!((message.field("a").unwrap().as_str(), message.fields().count()), (Some(empty), 2));
    }
    for wrong in ["[}", "{]", "[,]", "{,}", "[]]", "[],]"] {
        lenient_error(&with(&format!(r#","_a":{wrong}"#)));
    }
}

#[test]
fn nesting_beyond_the_limit_is_refused_on_a_small_stack() {
    let payload = with(&format!(r#","_a":{}"#, "[".repeat(100_000)));
    let small = std::thread::Builder::new().stack_size(128 * 1024);
    let thread = small.spawn(move || lenient_error(&payload)).unwrap();
    assert_eq!(thread.join().unwrap(), TooDeep);
}

#[test]
fn the_lengths_of_names_and_payloads_are_bounded() {
    let named = |bytes: usize| with(&format!(r#","_{}":1"#, "n".repeat(bytes - 1)));
    assert_eq!(conforms(&named(1024)).fields().count(), 1);
    refused(&named(1025), DecodeErrorKind::NameTooLong);
    let payload = with("");
    let mut decoder = Decoder::strict().with_max_payload_bytes(payload.len());
    assert!(decoder.decode(&payload).is_ok());
    let longer = [&payload[..], b" "].concat();
    assert_eq!(decoder.decode(&longer).unwrap_err().kind(), DecodeErrorKind::PayloadTooLarge);
    // A replacement character is longer than the byte that it replaces.
    let invalid = with(",\"_x\":\"?\"").into_iter().map(|byte| if byte == b'?' { 0xff } else { byte });
    let invalid: Vec<u8> = invalid.collect();
    for (limit, is_ok) in [(invalid.len() + 2, true), (invalid.len() + 1, false)] {
        let mut decoder = Decoder::lenient().with_max_payload_bytes(limit);
        assert_eq!(decoder.decode(&invalid).is_ok(), is_ok);
    }
}

#[test]
fn deviations_of_one_kind_in_a_member_share_an_entry_and_a_message_has_at_most_1024_entries() {
    let text = with(&format!(r#","_a":"{}","_b":"{}""#, r"\ud800".repeat(100_000), "\u{1}".repeat(7)));
    let deviations = Decoder::lenient().decode(&text).unwrap().deviations;
    let counts: Vec<_> = deviations.iter().map(|deviation| (deviation.kind, deviation.count)).collect();
    assert_eq!(counts, [(D::LoneSurrogate, 100_000), (D::ControlCharacter, 7)]);
    // Each of the 2,000 members has deviations of three kinds.
    let members: String = (0..2000).map(|at| format!(r#","_f{at} ":[1,]"#)).collect();
    let payload = with(&members);
    let mut decoder = Decoder::lenient().with_max_members(3000);
    let decoded = decoder.decode(&payload).unwrap();
    assert_eq!((decoded.deviations.len(), decoded.further_deviations), (1024, 6000 - 1024));
    assert_eq!(decoder.decode(&with("")).unwrap().further_deviations, 0);
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
fn a_visitor_gets_the_fields_in_order_and_then_host_texts_timestamp_and_level() {
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
            br#"","_a":"x","_b":2,"_a":null,"level":3,"short_message":"m","full_message":"f","timestamp":1.5}"#,
        );
        let mut log = Log::default();
        Decoder::lenient().decode_with(&payload, &mut log).unwrap();
        let host = format!("host {host}");
        let mut expected = vec!["b=1", "a=x", "again b=2", "a name occurs twice", "again a=null"];
        expected.extend(["a field's value is neither a string nor a number", "a name occurs twice"]);
        expected.extend([host.as_str(), "short m", "full f", "at 1.500", "level 3"]);
        if !tail.is_empty() {
            // The decoder finds this deviation before it reads the first member, and passes it to the visitor
            // after that member.
            expected.insert(1, "the text is not UTF-8");
        }
        assert_eq!(log.0, expected);
    }
}

#[test]
fn a_member_that_is_replaced_before_it_becomes_a_field_repeats_no_field() {
    for name in ["level", "timestamp"] {
        for (members, repeated, field) in [
            // The text is withdrawn, so the field is the first one of its name.
            (r#","L":"x","L":3,"_L":1"#, 1, Some("1")),
            (r#","L":"x","L":3,"L":"y""#, 2, Some("y")),
            (r#","L":"x","L":3,"L":"y","_L":1"#, 3, Some("1")),
            (r#","L":"x","L":3,"_L":1,"_L":2"#, 2, Some("2")),
            (r#","L":"x","L":3,"_L":null"#, 1, None),
            (r#","L":"x","L":3"#, 1, None),
            (r#","_L":1,"L":"x","L":3,"_L":2"#, 3, Some("2")),
        ] {
            let payload = with(&members.replace('L', name));
            let (message, deviations) = lenient(&payload);
            let count = deviations.iter().filter(|kind| **kind == D::DuplicateKey).count();
            let read = message.field(name).map(ToString::to_string);
            assert_eq!((count, read.as_deref()), (repeated, field), "{members} {name}");
        }
    }
}

#[test]
fn the_text_of_an_error_has_the_byte_offset() {
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
    fn an_encoded_message_decodes_to_an_equal_message(message in any_message()) {
        let mut payload = BytesMut::new();
        Encoder::new().encode(&message, &mut payload);
        let decoded = Decoder::strict().decode(&payload).unwrap();
        prop_assert_eq!(decoded.message, message);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
    }

    #[test]
    fn the_decoder_accepts_the_same_json_as_serde_json_except_for_reported_deviations(
        json in "[\\[\\]{}:,\"\\\\a1.eE+ \\-tnu0]{0,40}",
    ) {
        let text = format!(r#"{{"short_message":"m","_a":{json}}}"#);
        // `IgnoredAny` has no range of numbers. The decoder checks the range outside of arrays and objects only.
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let ours = Decoder::lenient().decode(text.as_bytes());
        if theirs {
            prop_assert!(ours.is_ok(), "{:?}", ours);
        } else if let Ok(decoded) = ours {
            // Deviations that serde_json refuses are reported.
            let kinds: Vec<_> = decoded.deviations.iter().map(|deviation| deviation.kind).collect();
            let reported = [D::TrailingComma, D::TrailingData];
            prop_assert!(kinds.iter().any(|kind| reported.contains(kind)), "{:?}", kinds);
        }
    }

    #[test]
    fn text_with_escapes_and_control_characters_in_any_order_is_read(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                (r"\n", "\n"),
                (r"\u0041", "A"),
                (r"\ud83d\ude00", "😀"),
                ("\u{1}", "\u{1}"),
                ("\t", "\t"),
                ("a", "a"),
                ("é", "é"),
                ("sixteen bytes or more", "sixteen bytes or more"),
                ("\u{2}aaaaaaaaaaaaaaa", "\u{2}aaaaaaaaaaaaaaa"),
            ]),
            0..40,
        ),
        // 500 repetitions can be longer than a block of the text buffer, and can have characters across the
        // ends of blocks.
        times in prop::sample::select(vec![1, 1, 1, 500]),
    ) {
        let (written, read): (String, String) = parts.iter().copied().unzip();
        let (written, read) = (written.repeat(times), read.repeat(times));
        let payload = with(&format!(r#","_x":"{written}","_y":["{written}",{{"{written}":"{written}"}}]"#));
        let decoded = Decoder::lenient().decode(&payload).unwrap();
        prop_assert_eq!(decoded.message.field("x").unwrap().as_str(), Some(&*read));
        let nested = format!(r#"["{written}",{{"{written}":"{written}"}}]"#);
        prop_assert_eq!(decoded.message.field("y").unwrap().as_str(), Some(&*nested));
        let controls = parts.iter().filter(|part| part.0.starts_with(['\u{1}', '\u{2}', '\t'])).count();
        let of_controls = |deviation: &&Deviation| deviation.kind == D::ControlCharacter;
        let counted: usize = decoded.deviations.iter().filter(of_controls).map(|known| known.count).sum();
        prop_assert_eq!(counted, 4 * controls * times);
    }

    #[test]
    fn invalid_utf8_is_replaced_as_in_the_standard_library(
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..4),
                prop::sample::select(vec!["a", "é", "\u{2028}", "\u{1f600}"]).prop_map(|text| text.into()),
            ],
            0..40,
        ),
        // 1,000 repetitions of the last text are longer than a block of the text buffer.
        between in prop::sample::select(vec!["", "é", "long \u{1f600}"]),
        times in prop::sample::select(vec![1, 1, 1, 1000]),
    ) {
        let bytes = parts.join(between.repeat(times).as_bytes());
        let expected = String::from_utf8_lossy(&bytes);
        let mut buffer = TextBuffer::default();
        let replaced = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
        let right = Corrected { text: expected.clone().into_owned(), replaced };
        prop_assert_eq!(corrected(&bytes, expected.len(), replaced, &mut buffer), Ok(right));
        if let Some(limit) = expected.len().checked_sub(1) {
            let refused = corrected(&bytes, limit, replaced, &mut buffer);
            prop_assert_eq!(refused, Err(DecodeErrorKind::PayloadTooLarge));
        }
        if let Some(limit) = replaced.checked_sub(1) {
            let refused = corrected(&bytes, expected.len(), limit, &mut buffer);
            prop_assert_eq!(refused, Err(DecodeErrorKind::TooManyEscapes));
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Decoder::lenient().decode(&bytes);
        prop_assert!(Decoder::strict().decode(&bytes).is_err());
    }
}
