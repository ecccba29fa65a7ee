//! Reads lines that are a JSON object.

use std::borrow::Cow;
use std::fmt;

use gelf_core::{Number, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The maximum number of levels of objects whose members become fields.
const MAX_DEPTH: usize = 4;
/// The maximum number of members that are read from one line. The fields of a message have another limit.
const MAX_MEMBERS: usize = 256;

/// A member of a line: its path, with dots between the names, and its value.
pub(super) type Member<'t> = (Cow<'t, str>, Value<'t>);

/// Returns the members of a line that is a JSON object, and whether these are all its members. Members that
/// are null are left out and do not count. Returns `None` for any other line.
pub(super) fn members(text: &str) -> Option<(Vec<Member<'_>>, bool)> {
    let text = text.trim();
    if !(text.starts_with('{') && text.ends_with('}')) {
        return None;
    }
    let Object(object) = serde_json::from_str(text).ok()?;
    let mut members = Vec::with_capacity(object.len().min(MAX_MEMBERS));
    let is_complete = read(object, "", 1, &mut members);
    Some((members, is_complete))
}

/// Adds the members of an object, and of the objects in it. Returns whether all were added.
fn read<'t>(
    object: Vec<(Cow<'t, str>, &'t RawValue)>,
    prefix: &str,
    depth: usize,
    out: &mut Vec<Member<'t>>,
) -> bool {
    let mut is_complete = true;
    for (name, value) in object {
        let path = if prefix.is_empty() { name } else { Cow::Owned(format!("{prefix}.{name}")) };
        if out.len() == MAX_MEMBERS {
            return false;
        }
        let raw = value.get();
        match raw.as_bytes().first() {
            Some(b'n') => {}
            Some(b'{') if depth < MAX_DEPTH => match serde_json::from_str(raw) {
                Ok(Object(inner)) => match instant(&path, &inner) {
                    Some(time) => out.push((path, time)),
                    None => is_complete &= read(inner, &path, depth + 1, out),
                },
                Err(_) => is_complete = false,
            },
            _ => match scalar(raw) {
                Some(value) => out.push((path, value)),
                None => is_complete = false,
            },
        }
    }
    is_complete
}

/// Returns the value of a member: text without its quotes, and an object or array as JSON text.
fn scalar(raw: &str) -> Option<Value<'_>> {
    Some(match raw.as_bytes().first()? {
        b'"' => match raw.get(1..raw.len() - 1) {
            Some(text) if !text.contains('\\') => Value::Str(Cow::Borrowed(text)),
            _ => Value::Str(Cow::Owned(serde_json::from_str(raw).ok()?)),
        },
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'[' | b'{' => Value::Str(Cow::Borrowed(raw)),
        _ => Value::Number(Number::parse(raw)?),
    })
}

/// Returns the time of log4j's object `instant`, in seconds: `{"epochSecond":1,"nanoOfSecond":500000000}`.
fn instant<'t>(path: &str, object: &[(Cow<'t, str>, &'t RawValue)]) -> Option<Value<'t>> {
    if path != "instant" {
        return None;
    }
    let [(seconds, second), (nanos, nano)] = object else { return None };
    if seconds != "epochSecond" || nanos != "nanoOfSecond" {
        return None;
    }
    let nano: u32 = nano.get().parse().ok()?;
    Number::parse(format!("{}.{nano:09}", second.get())).map(Value::Number)
}

/// The members of a JSON object, in their order.
struct Object<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Object<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members).map(Object)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(members)
    }
}

/// The name of a member, borrowed if it has no escapes.
struct Name<'t>(Cow<'t, str>);

impl<'de: 't, 't> Deserialize<'de> for Name<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }

        deserializer.deserialize_str(Text).map(Name)
    }
}
