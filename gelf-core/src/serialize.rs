//! Anything that serde can serialize, as additional fields.
//!
//! > GELF 1.1: the value of an additional field is "either a string or a number".
//!
//! So what has members of its own is taken apart:
//!
//! | in the value | becomes |
//! |---|---|
//! | a struct or map | a field for each member: `{"user":{"id":7}}` is `_user_id` |
//! | one more than 8 levels down | a string of JSON text |
//! | an array, tuple or bytes | a string of JSON text: `[1,2]` |
//! | a string, a character, an enum's variant without content | a string |
//! | an enum's variant with content | as a map with one member, of the variant's name |
//! | an integer | a number, exact; outside of `i64` it is sent as a string, as always |
//! | a float | a number, the shortest decimal that reads back as it; NaN and the infinities are left out |
//! | a boolean | a boolean, sent as [`Booleans`](crate::Booleans) says |
//! | nothing: `None`, `()` | left out |
//!
//! A name is [sanitized](FieldName::sanitize), `_id` to `_id_`; where two become one, or the message has the name
//! already, `_2` is put at its end, as by [`Message::with_sanitized_field`].

use std::fmt;

use serde::Serialize;
use serde::ser;

use crate::message::{FieldSetBuilder, Message, Number, Value};

/// How deep structs and maps are taken apart.
const MAX_DEPTH: usize = 8;

/// How many fields a value may become: as many as a reader of ours takes.
const MAX_FIELDS: usize = crate::Decoder::DEFAULT_MAX_MEMBERS;

/// What stands between the name of a member and that of a member's member.
const SEPARATOR: char = '_';

impl Message<'_> {
    /// Adds the members of a struct or map as additional fields, by [these rules](crate#serde).
    ///
    /// ```
    /// use gelf_core::Message;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Request<'a> { method: &'a str, status: u16, user: Option<&'a str>, tags: [&'a str; 2] }
    ///
    /// let request = Request { method: "GET", status: 502, user: None, tags: ["edge", "retry"] };
    /// let message = Message::new("web-1", "upstream failed").with_serialized(&request)?;
    /// let mut payload = bytes::BytesMut::new();
    /// gelf_core::encode(&message, &mut payload);
    /// assert_eq!(
    ///     payload,
    ///     r#"{"version":"1.1","host":"web-1","short_message":"upstream failed","_method":"GET","_status":502,"_tags":"[\"edge\",\"retry\"]"}"#
    /// );
    /// # Ok::<(), gelf_core::SerializeError>(())
    /// ```
    ///
    /// # Errors
    /// See [`SerializeError`].
    pub fn with_serialized(mut self, value: &impl Serialize) -> Result<Self, SerializeError> {
        for (name, value) in flattened(value)? {
            self = self.with_sanitized_field(name, value);
        }
        Ok(self)
    }
}

impl FieldSetBuilder {
    /// Adds the members of a struct or map as fields, by [these rules](crate#serde).
    ///
    /// # Errors
    /// See [`SerializeError`].
    pub fn serialized(mut self, value: &impl Serialize) -> Result<Self, SerializeError> {
        for (name, value) in flattened(value)? {
            self = self.sanitized_field(name, value);
        }
        Ok(self)
    }
}

/// Why a value did not become fields. The message is not changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SerializeError {
    /// The value's own code says so.
    Custom(String),
    /// A key of a map has no text, as a number has one and a struct has none.
    KeyWithoutText,
    /// A field has a name, and the value has none: it is no struct or map.
    NotAMap,
    /// There would be more than 1,024 fields.
    TooManyFields,
}

impl fmt::Display for SerializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Custom(text) => f.write_str(text),
            Self::KeyWithoutText => f.write_str("a map's key is neither text nor a number"),
            Self::NotAMap => f.write_str("only a struct or a map has fields"),
            Self::TooManyFields => write!(f, "more than {MAX_FIELDS} fields"),
        }
    }
}

impl std::error::Error for SerializeError {}

impl ser::Error for SerializeError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Custom(text.to_string())
    }
}

impl From<serde_json::Error> for SerializeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Custom(error.to_string())
    }
}

type Fields = Vec<(String, Value<'static>)>;

fn flattened(value: &impl Serialize) -> Result<Fields, SerializeError> {
    let mut flattener = Flattener::default();
    value.serialize(&mut flattener)?;
    Ok(flattener.fields)
}

#[derive(Default)]
struct Flattener {
    fields: Fields,
    /// The name of the member that is being looked at: those around it and its own.
    name: String,
    depth: usize,
    /// The key of a map whose value comes next, as its length before.
    outer: Vec<usize>,
}

impl Flattener {
    fn field(&mut self, value: impl Into<Value<'static>>) -> Result<(), SerializeError> {
        if self.depth == 0 {
            return Err(SerializeError::NotAMap);
        }
        if self.fields.len() == MAX_FIELDS {
            return Err(SerializeError::TooManyFields);
        }
        self.fields.push((self.name.clone(), value.into()));
        Ok(())
    }

    fn number(&mut self, text: String) -> Result<(), SerializeError> {
        // What JSON cannot say is left out.
        Number::parse(text).map_or(Ok(()), |number| self.field(number))
    }

    /// Steps into a member. Each step is taken back by [`leave`](Self::leave).
    fn enter(&mut self, key: &str) {
        self.outer.push(self.name.len());
        if self.depth > 0 {
            self.name.push(SEPARATOR);
        }
        self.name.push_str(key);
        self.depth += 1;
    }

    fn leave(&mut self) {
        self.name.truncate(self.outer.pop().unwrap_or_default());
        self.depth = self.depth.saturating_sub(1);
    }

    fn member<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), SerializeError> {
        self.enter(key);
        self.value(value)?;
        self.leave();
        Ok(())
    }

    /// The value of the member that was stepped into.
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        if self.depth > MAX_DEPTH {
            let text = serde_json::to_string(value)?;
            if text.starts_with('{') {
                return self.field(text);
            }
        }
        value.serialize(self)
    }
}

macro_rules! serialize_as {
    ($($method:ident($from:ty) => $to:ty),*) => {$(
        fn $method(self, value: $from) -> Result<(), SerializeError> {
            self.field(<$to>::from(value))
        }
    )*};
}

impl<'f> ser::Serializer for &'f mut Flattener {
    type Ok = ();
    type Error = SerializeError;
    type SerializeSeq = Array<'f>;
    type SerializeTuple = Array<'f>;
    type SerializeTupleStruct = Array<'f>;
    type SerializeTupleVariant = Array<'f>;
    type SerializeMap = Map<'f>;
    type SerializeStruct = Map<'f>;
    type SerializeStructVariant = Map<'f>;

    serialize_as!(
        serialize_bool(bool) => bool,
        serialize_i8(i8) => i64,
        serialize_i16(i16) => i64,
        serialize_i32(i32) => i64,
        serialize_i64(i64) => i64,
        serialize_u8(u8) => u64,
        serialize_u16(u16) => u64,
        serialize_u32(u32) => u64,
        serialize_u64(u64) => u64,
        serialize_char(char) => String,
        serialize_str(&str) => String
    );

    fn serialize_i128(self, value: i128) -> Result<(), SerializeError> {
        self.number(value.to_string())
    }

    fn serialize_u128(self, value: u128) -> Result<(), SerializeError> {
        self.number(value.to_string())
    }

    fn serialize_f32(self, value: f32) -> Result<(), SerializeError> {
        self.number(format!("{value:?}"))
    }

    fn serialize_f64(self, value: f64) -> Result<(), SerializeError> {
        self.number(format!("{value:?}"))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), SerializeError> {
        self.field(serde_json::to_string(value)?)
    }

    fn serialize_none(self) -> Result<(), SerializeError> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), SerializeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), SerializeError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), SerializeError> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), SerializeError> {
        self.field(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        self.member(variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Array<'f>, SerializeError> {
        Ok(Array::new(self, false))
    }

    fn serialize_tuple(self, _: usize) -> Result<Array<'f>, SerializeError> {
        Ok(Array::new(self, false))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Array<'f>, SerializeError> {
        Ok(Array::new(self, false))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Array<'f>, SerializeError> {
        self.enter(variant);
        Ok(Array::new(self, true))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'f>, SerializeError> {
        Ok(Map { flattener: self, of_variant: false })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Map<'f>, SerializeError> {
        Ok(Map { flattener: self, of_variant: false })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map<'f>, SerializeError> {
        self.enter(variant);
        Ok(Map { flattener: self, of_variant: true })
    }
}

/// An array, which becomes JSON text.
struct Array<'f> {
    flattener: &'f mut Flattener,
    text: String,
    of_variant: bool,
}

impl<'f> Array<'f> {
    fn new(flattener: &'f mut Flattener, of_variant: bool) -> Self {
        Self { flattener, text: "[".to_owned(), of_variant }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push_str(&serde_json::to_string(value)?);
        Ok(())
    }

    fn finish(mut self) -> Result<(), SerializeError> {
        self.text.push(']');
        self.flattener.field(self.text)?;
        if self.of_variant {
            self.flattener.leave();
        }
        Ok(())
    }
}

macro_rules! serialize_elements {
    ($($kind:ident::$method:ident),*) => {$(
        impl ser::$kind for Array<'_> {
            type Ok = ();
            type Error = SerializeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
                self.element(value)
            }

            fn end(self) -> Result<(), SerializeError> {
                self.finish()
            }
        }
    )*};
}
serialize_elements!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// A struct or map, whose members become fields.
struct Map<'f> {
    flattener: &'f mut Flattener,
    of_variant: bool,
}

impl Map<'_> {
    fn finish(self) {
        if self.of_variant {
            self.flattener.leave();
        }
    }
}

impl ser::SerializeMap for Map<'_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerializeError> {
        let key = match serde_json::to_value(key)? {
            serde_json::Value::String(text) => text,
            key @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => key.to_string(),
            _ => return Err(SerializeError::KeyWithoutText),
        };
        self.flattener.enter(&key);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.flattener.value(value)?;
        self.flattener.leave();
        Ok(())
    }

    fn end(self) -> Result<(), SerializeError> {
        self.finish();
        Ok(())
    }
}

macro_rules! serialize_members {
    ($($kind:ident),*) => {$(
        impl ser::$kind for Map<'_> {
            type Ok = ();
            type Error = SerializeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), SerializeError> {
                self.flattener.member(key, value)
            }

            fn end(self) -> Result<(), SerializeError> {
                self.finish();
                Ok(())
            }
        }
    )*};
}
serialize_members!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests;
