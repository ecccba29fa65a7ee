//! Reads lines that are a JSON object.

use std::borrow::Cow;
use std::fmt;

use gelf_core::{Number, Value};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The maximum number of levels of objects whose members become fields.
const MAX_DEPTH: usize = 4;
/// The maximum number of members that are read from one line. The number of fields has a separate, smaller
/// maximum.
const MAX_MEMBERS: usize = 256;

/// The number of members for which memory is reserved at first.
const TYPICAL_MEMBERS: usize = 16;

/// A member of a line: its path, with dots between the names, and its value.
pub(super) type Member<'t> = (Cow<'t, str>, Value<'t>);

/// Returns the members of a line that is a JSON object, and whether the list of members is complete. Members
/// that are null, and inner objects without members, are left out. The list counts as complete if no other
/// member is left out. Returns `None` for a line that is not a JSON object.
pub(super) fn members(text: &str) -> Option<(Vec<Member<'_>>, bool)> {
    let text = text.trim();
    if !(text.starts_with('{') && text.ends_with('}')) {
        return None;
    }
    let mut reader = Reader { members: Vec::with_capacity(TYPICAL_MEMBERS), is_complete: true };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Object { reader: &mut reader, path: "", depth: 1 }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some((reader.members, reader.is_complete))
}

/// The members that were read.
struct Reader<'t> {
    members: Vec<Member<'t>>,
    /// True if no member was left out, apart from members that are null or objects without members.
    is_complete: bool,
}

impl<'t> Reader<'t> {
    /// Adds a member, unless its value is null. If the value is an object, adds the members of the object instead. An
    /// object below the level [`MAX_DEPTH`] is added as JSON text, and log4j's object `instant` as a number.
    fn read(&mut self, path: Cow<'t, str>, raw: &'t str, depth: usize) {
        match raw.as_bytes().first() {
            Some(b'n') => {}
            Some(b'{') if depth < MAX_DEPTH => {
                let first = self.members.len();
                let object = Object { reader: self, path: &path, depth: depth + 1 };
                // The outer deserializer has already checked that the text is a JSON object.
                let is_read = object.deserialize(&mut serde_json::Deserializer::from_str(raw));
                self.is_complete &= is_read.is_ok();
                let inner = self.members.get(first..).filter(|_| path == "instant");
                if let Some(time) = inner.and_then(instant) {
                    self.members.truncate(first);
                    self.members.push((path, time));
                }
            }
            _ => match scalar(raw) {
                Some(value) => self.members.push((path, value)),
                None => self.is_complete = false,
            },
        }
    }
}

/// An object whose members are read, with its path.
struct Object<'r, 't> {
    reader: &'r mut Reader<'t>,
    path: &'r str,
    depth: usize,
}

impl<'t> DeserializeSeed<'t> for Object<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'t> Visitor<'t> for Object<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { reader, path, depth } = self;
        while let Some(Name(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            if reader.members.len() == MAX_MEMBERS {
                reader.is_complete = false;
                continue;
            }
            let path = if path.is_empty() { name } else { Cow::Owned([path, ".", &name].concat()) };
            reader.read(path, value.get(), depth);
        }
        Ok(())
    }
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
fn instant<'t>(members: &[Member<'t>]) -> Option<Value<'t>> {
    let [(seconds, Value::Number(second)), (nanos, Value::Number(nano))] = members else { return None };
    if seconds != "instant.epochSecond" || nanos != "instant.nanoOfSecond" {
        return None;
    }
    let nano = u32::try_from(nano.as_u64()?).ok()?;
    Number::parse(format!("{second}.{nano:09}")).map(Value::Number)
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
