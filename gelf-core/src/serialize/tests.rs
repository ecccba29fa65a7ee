use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::decode::Decoder;
use crate::message::{FieldSet, Level, Timestamp};

/// Returns the fields of a value, as `name=value`.
fn fields(value: &impl Serialize) -> Vec<String> {
    let message = Message::new("h", "m").with_serialized(value);
    message.fields().map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn members_of_members_are_joined_by_an_underscore() {
    assert_eq!(
        fields(&json!({"b": {"c": {"d": 1}, "e": "x"}, "a": 2})),
        // serde_json's own maps are sorted.
        ["a=2", "b_c_d=1", "b_e=x"]
    );
}

#[test]
fn members_keep_the_order_of_the_struct() {
    #[derive(serde::Serialize)]
    struct Unsorted {
        z: u8,
        a: u8,
    }
    assert_eq!(fields(&Unsorted { z: 1, a: 2 }), ["z=1", "a=2"]);
}

#[test]
fn null_values_are_left_out_and_arrays_become_text() {
    let value = json!({"n": null, "l": [1, "a", null, {"k": true}], "e": [], "o": {}});
    assert_eq!(fields(&value), ["e=[]", r#"l=[1,"a",null,{"k":true}]"#]);
}

#[test]
fn scalars_are_exact() {
    #[derive(serde::Serialize)]
    struct Scalars {
        small: i8,
        big: u64,
        huge: u128,
        tenth: f32,
        third: f64,
        nan: f64,
        infinite: f32,
        letter: char,
        yes: bool,
        bytes: &'static [u8],
        some: Option<u8>,
        none: Option<u8>,
        unit: (),
        tuple: (u8, &'static str),
    }
    let scalars = Scalars {
        small: -1,
        big: u64::MAX,
        huge: u128::MAX,
        tenth: 0.1,
        third: 1.0 / 3.0,
        nan: f64::NAN,
        infinite: f32::INFINITY,
        letter: 'é',
        yes: true,
        bytes: &[1, 2],
        some: Some(3),
        none: None,
        unit: (),
        tuple: (1, "a"),
    };
    let expected = [
        "small=-1",
        "big=18446744073709551615",
        "huge=340282366920938463463374607431768211455",
        "tenth=0.1",
        "third=0.3333333333333333",
        "letter=é",
        "yes=true",
        "bytes=[1,2]",
        "some=3",
        r#"tuple=[1,"a"]"#,
    ];
    assert_eq!(fields(&scalars), expected);
}

#[test]
fn variants_of_an_enum_are_text_or_members() {
    #[derive(serde::Serialize)]
    enum Event {
        Started,
        Code(u8),
        Moved { to: &'static str },
        Pair(u8, u8),
    }
    let of = |event: Event| fields(&BTreeMap::from([("event", event)]));
    assert_eq!(of(Event::Started), ["event=Started"]);
    assert_eq!(of(Event::Code(7)), ["event_Code=7"]);
    assert_eq!(of(Event::Moved { to: "b" }), ["event_Moved_to=b"]);
    assert_eq!(of(Event::Pair(1, 2)), ["event_Pair=[1,2]"]);
    assert_eq!(fields(&Event::Moved { to: "b" }), ["Moved_to=b"]);
}

#[test]
fn maps_beyond_eight_levels_are_text() {
    let mut value = json!({"leaf": 1, "list": [2]});
    for level in (1..=8).rev() {
        value = json!({ format!("l{level}"): value });
    }
    assert_eq!(fields(&value), [r#"l1_l2_l3_l4_l5_l6_l7_l8_leaf=1"#, "l1_l2_l3_l4_l5_l6_l7_l8_list=[2]"]);
    let deeper = json!({ "top": value });
    assert_eq!(fields(&deeper), [r#"top_l1_l2_l3_l4_l5_l6_l7_l8={"leaf":1,"list":[2]}"#]);
}

#[test]
fn names_are_sanitized_and_numbered_if_they_are_taken() {
    let value = json!({"id": 1, "a b": 2, "a/b": 3, "_x": 4, "": 5});
    let message = Message::new("h", "m").try_field("x", 0).unwrap().with_serialized(&value);
    let names: Vec<_> = message.fields().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(names, ["x=0", "_=5", "x_2=4", "a_b=2", "a_b_2=3", "id_=1"]);
    let set = FieldSet::builder("h").serialized(&value).unwrap().build();
    assert_eq!(set.fields().len(), 5);
    assert_eq!(set.field("a_b_2").and_then(Value::as_i64), Some(3));
}

#[test]
fn keys_that_are_numbers_or_booleans_become_text_and_a_key_that_is_an_array_is_an_error() {
    assert_eq!(fields(&BTreeMap::from([(7, "x")])), ["7=x"]);
    assert_eq!(fields(&BTreeMap::from([(true, "x")])), ["true=x"]);
    let of_lists = BTreeMap::from([(vec![1], "x")]);
    let error = Message::new("h", "m").set_serialized(&of_lists).unwrap_err();
    assert_eq!(error, SerializeError::KeyWithoutText);
}

#[test]
fn values_without_members_are_refused_except_null() {
    let error = |value: &dyn erased::Value| value.add().unwrap_err();
    assert_eq!(error(&1), SerializeError::NotAMap);
    assert_eq!(error(&"text"), SerializeError::NotAMap);
    assert_eq!(error(&vec![1]), SerializeError::NotAMap);
    assert_eq!(fields(&None::<u8>), [""; 0]);
    assert_eq!(fields(&Some(json!({"a": 1}))), ["a=1"]);
}

mod erased {
    use super::*;

    pub(super) trait Value {
        fn add(&self) -> Result<Message<'static>, SerializeError>;
    }

    impl<T: Serialize> Value for T {
        fn add(&self) -> Result<Message<'static>, SerializeError> {
            let mut message = Message::new("h", "m");
            message.set_serialized(self).map(|()| message)
        }
    }
}

#[test]
fn there_are_at_most_1000_fields() {
    let map = |len: u32| (0..len).map(|key| (key, key)).collect::<BTreeMap<_, _>>();
    assert_eq!(fields(&map(1000)).len(), 1000);
    let error = Message::new("h", "m").set_serialized(&map(1001)).unwrap_err();
    assert_eq!(error, SerializeError::TooManyFields);
}

#[test]
fn a_decoder_reads_a_message_with_all_members_and_the_maximum_of_fields() {
    let wide: BTreeMap<u32, u8> = (0..2000).map(|key| (key, 0)).collect();
    let message = Message::new("h", "m")
        .with_full_message("f")
        .with_timestamp(Timestamp::from_unix_nanos(0))
        .with_level(Level::Error)
        .with_serialized(&wide);
    let payload = message.to_vec();
    assert_eq!(Decoder::strict().decode(&payload).unwrap().message.fields().count(), 1001);
}

/// Fails to serialize.
struct Broken;

impl Serialize for Broken {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("no lock"))
    }
}

#[test]
fn members_that_cannot_be_serialized_are_left_out_and_named() {
    #[derive(Serialize)]
    struct Inner {
        deep: Broken,
        kept: u8,
    }
    #[derive(Serialize)]
    struct Outer {
        before: u8,
        inner: Inner,
        list: [Broken; 1],
        keys: BTreeMap<(u8, u8), u8>,
        after: &'static str,
    }
    let value = Outer {
        before: 1,
        inner: Inner { deep: Broken, kept: 2 },
        list: [Broken],
        keys: BTreeMap::from([((1, 2), 3)]),
        after: "x",
    };
    let message = Message::new("h", "m").with_serialized(&value);
    let fields: Vec<_> = message.fields().map(|(name, value)| format!("{name}={value}")).collect();
    let error = "serialize_error=inner_deep: no lock; list: no lock; keys: a map's key is not a string, a number or a boolean";
    assert_eq!(fields, ["before=1", "inner_kept=2", "after=x", error]);
    // `set_serialized` does not change the message if it fails.
    let mut message = Message::new("h", "m");
    assert!(message.set_serialized(&value).is_err());
    assert_eq!(message, Message::new("h", "m"));
}

#[test]
fn the_number_of_reported_names_is_bounded() {
    let text = |message: Message<'_>| message.field("serialize_error").unwrap().to_string();
    assert_eq!(text(Message::new("h", "m").with_serialized(&7)), "only a struct or a map has fields");
    let wide: BTreeMap<u32, u8> = (0..2000).map(|key| (key, 0)).collect();
    let message = Message::new("h", "m").with_serialized(&wide);
    assert_eq!(message.fields().count(), 1001);
    assert_eq!(text(message), "the value has more than 1000 fields");
    let broken: BTreeMap<u32, Broken> = (0..2000).map(|key| (key, Broken)).collect();
    let error = text(Message::new("h", "m").with_serialized(&broken));
    assert!(error.len() < 1100 && error.starts_with("0: no lock; 1: no lock"), "{error}");
    assert!(error.ends_with(" more"), "{error}");
}
