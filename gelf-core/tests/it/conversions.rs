//! Tests the conversions and methods that people try first.

use std::collections::BTreeMap;
use std::time::SystemTime;

use gelf_core::{
    Compression, Decoder, Encoder, FieldName, FieldSet, InvalidFieldName, Level, Message, Timestamp, Value,
    bytes::BytesMut,
};

#[test]
fn values_convert_from_rust_types() {
    let owned = String::from("text");
    assert_eq!(Value::from(&owned), Value::from("text"));
    assert_eq!(Value::from(1.5_f64).to_string(), "1.5");
    assert_eq!(Value::from(3_usize), Value::from(3_u64));
    assert_eq!(Value::from(-3_isize), Value::from(-3_i64));
    assert_eq!(Value::from(Some("text")), Value::from("text"));
    assert_eq!(Value::from(None::<u32>), Value::Null);
    assert_eq!(Value::from(f64::NAN), Value::Null);
    assert_eq!(Value::from(Some(f64::NEG_INFINITY)), Value::Null);
}

#[test]
fn values_convert_to_rust_types() {
    assert_eq!(Value::from(1.5).as_f64(), Some(1.5));
    assert_eq!(Value::from(7).as_f64(), Some(7.0));
    assert_eq!(Value::from(u64::MAX).as_u64(), Some(u64::MAX));
    assert_eq!(Value::from(-1).as_u64(), None);
    assert_eq!(Value::from(true).as_bool(), Some(true));
    assert_eq!(Value::from("true").as_bool(), None);
    assert!(Value::default().is_null());
}

#[test]
fn text_is_parsed() {
    assert_eq!("warning".parse::<Level>(), Ok(Level::Warning));
    assert_eq!("gzip".parse::<Compression>(), Ok(Compression::default()));
    assert_eq!("user".parse::<FieldName<'static>>(), FieldName::new("user"));
    assert_eq!("a b".parse::<FieldName<'static>>(), Err(InvalidFieldName::Character { at: 1 }));
}

#[test]
fn field_names_are_like_strings() {
    let name = FieldName::try_from("_user").unwrap();
    assert_eq!(name, "user");
    assert_eq!(name, *"user");
    assert_eq!(name.as_ref(), "user");
    assert_eq!(FieldName::try_from(String::from("user")), Ok(name));
}

#[test]
fn timestamps_convert_to_system_time_and_text() {
    let now = SystemTime::now();
    let timestamp = Timestamp::from(now);
    assert_eq!(SystemTime::try_from(timestamp), Ok(now));
    let text = timestamp.to_rfc3339().unwrap();
    assert_eq!(Timestamp::from_rfc3339(&text), Ok(timestamp));
}

#[test]
fn messages_are_written_without_a_buffer_from_the_caller() {
    let message = Message::new("h", "m").with_level(Level::Error);
    let json = r#"{"version":"1.1","host":"h","level":3,"short_message":"m"}"#;
    assert_eq!(message.to_string(), json);
    assert_eq!(message.to_vec(), json.as_bytes());
    let mut buffer = BytesMut::new();
    Encoder::default().encode(&message, &mut buffer);
    assert_eq!(buffer, json);
}

#[test]
fn a_default_decoder_is_lenient() {
    let decoded = Decoder::default().decode(br#"{"short_message":"m","_user":null}"#).unwrap();
    assert_eq!(decoded.message.short_message(), "m");
}

#[test]
fn messages_are_built_in_place() {
    let mut message = Message::default();
    message.set_host("h");
    message.set_short_message("m");
    message.set_full_message("m, in full");
    message.set_level(Level::Debug);
    message.set_timestamp(SystemTime::UNIX_EPOCH);
    message.set_field(FieldName::from_static("a"), 1);
    message.try_set_field("b", 2).unwrap();
    message.set_sanitized_field("c/d", 3);
    message.extend([(FieldName::from_static("e"), 4), (FieldName::from_static("a"), 5)]);
    assert!(message.try_set_field("not a name", 6).is_err());
    assert_eq!(
        message.to_string(),
        r#"{"version":"1.1","host":"h","timestamp":0,"level":7,"short_message":"m","full_message":"m, in full","_a":5,"_b":2,"_c_d":3,"_e":4}"#
    );
    let taken = std::mem::take(&mut message);
    assert_eq!(message, Message::default());
    assert_eq!(taken.field("b").and_then(Value::as_u64), Some(2));
}

#[test]
fn fields_are_collected() {
    let message: Message<'_> =
        [("a", 1), ("b", 2)].into_iter().map(|(name, value)| (FieldName::from_static(name), value)).collect();
    let fields: BTreeMap<_, _> =
        message.into_fields().map(|(name, value)| (name.to_string(), value.as_i64())).collect();
    assert_eq!(fields, BTreeMap::from([("a".to_owned(), Some(1)), ("b".to_owned(), Some(2))]));
}

#[test]
fn a_null_value_removes_a_field() {
    let set = FieldSet::builder("h").try_field("a", 1).unwrap().try_field("b", None::<&str>).unwrap().build();
    assert_eq!(set.fields().count(), 1);
    let message = set.message("m").try_field("c", Some(3)).unwrap().try_field("a", None::<i64>).unwrap();
    assert_eq!(message.to_string(), r#"{"version":"1.1","host":"h","short_message":"m","_c":3}"#);
}

#[test]
fn decoded_messages_can_be_changed() {
    let payload = br#"{"version":"1.1","host":"proxy","short_message":"m","_secret":"s","_user":"u"}"#;
    let mut message = Decoder::strict().decode(payload).unwrap().message;
    message.set_host("web-1");
    assert_eq!(message.remove_field("secret"), Some(Value::from("s")));
    assert_eq!(message.remove_field("secret"), None);
    assert_eq!(message.to_string(), r#"{"version":"1.1","host":"web-1","short_message":"m","_user":"u"}"#);
}

#[test]
fn changing_a_message_does_not_change_its_field_set() {
    let set = FieldSet::builder("h").try_field("a", 1).unwrap().try_field("b", 2).unwrap().build();
    let mut message = set.message("m").try_field("b", 3).unwrap();
    assert_eq!(message.remove_field("b"), Some(Value::from(3)));
    message.set_host("other");
    assert_eq!(message.to_string(), r#"{"version":"1.1","host":"other","short_message":"m","_a":1}"#);
    assert_eq!(
        set.message("m").to_string(),
        r#"{"version":"1.1","host":"h","_a":1,"_b":2,"short_message":"m"}"#
    );
}

#[test]
fn field_sets_are_compared_and_extended() {
    let mut builder = FieldSet::builder("h");
    builder.extend([(FieldName::from_static("a"), "x"), (FieldName::from_static("b"), "y")]);
    let set = builder.build();
    assert_eq!(set, FieldSet::builder("h").sanitized_field("a", "x").sanitized_field("b", "y").build());
    assert_ne!(set, FieldSet::builder("other").build());
}
