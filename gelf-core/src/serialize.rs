//! Converts serializable values to additional fields.
//!
//! > GELF 1.1: the value of an additional field is "either a string or a number".
//!
//! Values with members are therefore flattened:
//!
//! | in the value | becomes |
//! |---|---|
//! | a struct or map | a field for each member: `{"user":{"id":7}}` is `_user_id` |
//! | a struct or map more than 8 levels down | a string of JSON text |
//! | an array, tuple or bytes | a string of JSON text: `[1,2]` |
//! | a string, a character, an enum's variant without content | a string |
//! | an enum's variant with content | a map with one member that has the variant's name |
//! | an integer | an exact number, which is sent as a string if it is outside of `i64` |
//! | a float | a number that reads back as the same float; NaN and the infinities are left out |
//! | a boolean | a boolean, sent [as a string](crate::Encoder::with_json_booleans) by default |
//! | `None`, `()` | left out |
//!
//! Names are [sanitized](crate::FieldName::sanitize), for example `_id` to `_id_`. If two names become equal,
//! or the message already has a field with the name, the name gets a suffix such as `_2`, as
//! in [`Message::with_sanitized_field`].

mod gelf;

use std::fmt;

use serde::Serialize;
use serde::ser;

use crate::message::{FieldSetBuilder, Message, Number, Value};

/// The maximum depth at which structs and maps are flattened.
const MAX_DEPTH: usize = 8;

/// The maximum number of fields of a value. With the 24 members that remain of
/// [`Decoder::DEFAULT_MAX_MEMBERS`](crate::Decoder::DEFAULT_MAX_MEMBERS), a message has room for `version`, `host`
/// and the other members that GELF defines, for [`SERIALIZE_ERROR`], and for some fields of its own.
const MAX_FIELDS: usize = 1000;

/// The name of the field that says what [`Message::with_serialized`] has left out.
const SERIALIZE_ERROR: &str = "serialize_error";

/// The maximum length, in bytes, of the text of the field [`SERIALIZE_ERROR`]. The text `; and … more` at its
/// end does not count.
const MAX_ERROR_BYTES: usize = 1024;

/// The separator between the name of a member and the name of a member that is nested in it.
const SEPARATOR: char = '_';

impl Message<'_> {
    /// Adds the members of a struct or map as additional fields, by [these rules](crate#serde).
    ///
    /// A message is never lost. Members that cannot be serialized are left out, and the field `_serialize_error`
    /// names the first few of them, with the reasons. Fields beyond 1,000 are left out, and `_serialize_error` says
    /// that there are more. After 1,000 members that cannot be serialized, all further members are left out.
    /// [`set_serialized`](Self::set_serialized) returns an error in each of these cases, and then adds nothing.
    ///
    /// ```
    /// use gelf_core::Message;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Request<'a> { method: &'a str, status: u16, user: Option<&'a str>, tags: [&'a str; 2] }
    ///
    /// let request = Request { method: "GET", status: 502, user: None, tags: ["edge", "retry"] };
    /// let message = Message::new("web-1", "upstream failed").with_serialized(&request);
    /// assert_eq!(
    ///     message.to_string(),
    ///     r#"{"version":"1.1","host":"web-1","short_message":"upstream failed","_method":"GET","_status":502,"_tags":"[\"edge\",\"retry\"]"}"#
    /// );
    /// ```
    #[must_use]
    pub fn with_serialized(mut self, value: &impl Serialize) -> Self {
        let mut flattener = Flattener { left_out: Some(LeftOut::default()), ..Flattener::default() };
        let end = value.serialize(&mut flattener);
        for (name, value) in flattener.fields {
            self.set_sanitized_field(name, value);
        }
        let mut left_out = flattener.left_out.unwrap_or_default();
        if let Err(error) = end {
            left_out.add("", &error);
        }
        if left_out.count > 0 {
            self.set_sanitized_field(SERIALIZE_ERROR, left_out.text());
        }
        self
    }

    /// Adds the members of a struct or map in place, either all or none. See
    /// [`with_serialized`](Self::with_serialized).
    ///
    /// # Errors
    /// See [`SerializeError`]. The message is not changed.
    pub fn set_serialized(&mut self, value: &impl Serialize) -> Result<(), SerializeError> {
        for (name, value) in flattened(value)? {
            self.set_sanitized_field(name, value);
        }
        Ok(())
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

/// The reason why a value cannot become fields.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SerializeError {
    /// The error of the value's `Serialize` implementation.
    Custom(String),
    /// A key of a map is not a string, a number or a boolean.
    KeyWithoutText,
    /// The value is not a struct or map, and so has no names for fields.
    NotAMap,
    /// The value has more than 1,000 fields.
    TooManyFields,
}

impl fmt::Display for SerializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Custom(text) => f.write_str(text),
            Self::KeyWithoutText => f.write_str("a map's key is not a string, a number or a boolean"),
            Self::NotAMap => f.write_str("only a struct or a map has fields"),
            Self::TooManyFields => write!(f, "the value has more than {MAX_FIELDS} fields"),
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

/// Returns the fields of a value, or the first error.
fn flattened(value: &impl Serialize) -> Result<Fields, SerializeError> {
    let mut flattener = Flattener::default();
    value.serialize(&mut flattener)?;
    Ok(flattener.fields)
}

/// A serializer that adds the members of a value to a list of fields.
#[derive(Default)]
struct Flattener {
    fields: Fields,
    /// The name of the current member, including the names of the members around it.
    name: String,
    /// The number of members in `name`.
    depth: usize,
    /// The lengths that `name` had when the current member and the members around it were entered.
    outer: Vec<usize>,
    /// The members that were left out; `None` if the first error ends the serialization.
    left_out: Option<LeftOut>,
}

/// The members that were left out.
#[derive(Default)]
struct LeftOut {
    count: usize,
    /// The names and errors of the first members that were left out.
    text: String,
    /// The number of members in `text`.
    named: usize,
}

impl LeftOut {
    fn add(&mut self, name: &str, error: &SerializeError) {
        self.count += 1;
        if self.text.len() >= MAX_ERROR_BYTES {
            return;
        }
        self.named += 1;
        let separator = if self.text.is_empty() { "" } else { "; " };
        let colon = if name.is_empty() { "" } else { ": " };
        self.text.push_str(&format!("{separator}{name}{colon}{error}"));
        let end = (0..=MAX_ERROR_BYTES.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at));
        self.text.truncate(end.unwrap_or_default());
    }

    fn text(mut self) -> String {
        if self.count > self.named {
            self.text.push_str(&format!("; and {} more", self.count - self.named));
        }
        self.text
    }
}

impl Flattener {
    /// Notes the error of the current member. Returns an error only if members may not be left out, or if the
    /// maximum number of fields or of errors is reached. The serialization of endlessly many members ends
    /// there, unless the members become neither fields nor errors, such as `None`.
    fn leave_out(&mut self, error: SerializeError) -> Result<(), SerializeError> {
        match &mut self.left_out {
            Some(left_out) if error != SerializeError::TooManyFields => {
                if left_out.count == MAX_FIELDS {
                    return Err(SerializeError::TooManyFields);
                }
                left_out.add(&self.name, &error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Adds a field with the name of the current member.
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

    /// Adds a field with a number, if the text is a JSON number.
    fn number(&mut self, text: String) -> Result<(), SerializeError> {
        // NaN and the infinities are not JSON numbers, and are left out.
        Number::parse(text).map_or(Ok(()), |number| self.field(number))
    }

    /// Enters a member. Each call is undone by [`leave`](Self::leave).
    fn enter(&mut self, key: &str) {
        self.outer.push(self.name.len());
        if self.depth > 0 {
            self.name.push(SEPARATOR);
        }
        self.name.push_str(key);
        self.depth += 1;
    }

    fn leave(&mut self) {
        if let Some(len) = self.outer.pop() {
            self.name.truncate(len);
            self.depth -= 1;
        }
    }

    /// Enters a member, serializes its value, and leaves the member.
    fn member<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), SerializeError> {
        self.enter(key);
        self.content(value)?;
        self.leave();
        Ok(())
    }

    /// Serializes the value of the member that was entered, or leaves the member out.
    fn content<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        let depth = self.depth;
        match self.value(value) {
            Ok(()) => Ok(()),
            Err(error) => {
                // The error may come from a nested member.
                while self.depth > depth {
                    self.leave();
                }
                self.leave_out(error)
            }
        }
    }

    /// Serializes the value of the member that was entered. A struct or map beyond [`MAX_DEPTH`] becomes JSON
    /// text.
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
        Ok(Map { flattener: self, of_variant: false, key_is_left_out: false })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Map<'f>, SerializeError> {
        Ok(Map { flattener: self, of_variant: false, key_is_left_out: false })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map<'f>, SerializeError> {
        self.enter(variant);
        Ok(Map { flattener: self, of_variant: true, key_is_left_out: false })
    }
}

/// Serializes an array as JSON text.
struct Array<'f> {
    flattener: &'f mut Flattener,
    text: String,
    /// True if the array is the content of an enum's variant, which was entered as a member.
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

/// Serializes a struct or map, whose members become fields.
struct Map<'f> {
    flattener: &'f mut Flattener,
    /// True if the map is the content of an enum's variant, which was entered as a member.
    of_variant: bool,
    /// True if the last key could not be serialized, so that its value is left out, too.
    key_is_left_out: bool,
}

fn key_text<T: Serialize + ?Sized>(key: &T) -> Result<String, SerializeError> {
    match serde_json::to_value(key)? {
        serde_json::Value::String(text) => Ok(text),
        key @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => Ok(key.to_string()),
        _ => Err(SerializeError::KeyWithoutText),
    }
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
        self.key_is_left_out = false;
        match key_text(key) {
            Ok(key) => self.flattener.enter(&key),
            Err(error) => {
                self.key_is_left_out = true;
                self.flattener.leave_out(error)?;
            }
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        if !self.key_is_left_out {
            self.flattener.content(value)?;
            self.flattener.leave();
        }
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
