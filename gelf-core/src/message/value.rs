//! Values of additional fields.
//!
//! > GELF 1.1: a value is "either a string or a number".

use std::borrow::Cow;
use std::fmt;

use super::number::Number;

/// The value of an additional field.
///
/// Strings, integers of up to 64 bits, `f64`, booleans and options of them convert to a value. NaN, the
/// infinities and `None` become [`Null`](Self::Null), and a field that is set to null is not part of the message.
///
/// ```
/// use gelf_core::{Message, Value};
///
/// assert_eq!(Value::from(0.5).as_f64(), Some(0.5));
/// assert_eq!(Value::from(f64::NAN), Value::Null);
/// let message = Message::new("h", "m").try_field("user", None::<&str>)?.try_field("retries", Some(3))?;
/// assert_eq!(message.fields().count(), 1);
/// # Ok::<(), gelf_core::InvalidFieldName>(())
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A boolean. GELF has no booleans, and Graylog drops them. Therefore, a boolean is sent as the string
    /// `"true"` or `"false"` unless the [`Encoder`](crate::Encoder) is configured otherwise.
    Bool(bool),
    /// The absence of a value. A message has no field with this value: setting a field to null removes it.
    #[default]
    Null,
    /// An exact number.
    Number(Number<'a>),
    /// A string.
    Str(Cow<'a, str>),
}

impl Value<'_> {
    /// Returns the text if the value is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Bool(_) | Self::Null | Self::Number(_) => None,
        }
    }

    /// Returns the boolean if the value is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Null | Self::Number(_) | Self::Str(_) => None,
        }
    }

    /// Returns the number if the value is a number.
    pub fn as_number(&self) -> Option<&Number<'_>> {
        match self {
            Self::Number(number) => Some(number),
            Self::Bool(_) | Self::Null | Self::Str(_) => None,
        }
    }

    /// Returns the result of [`Number::as_i64`] if the value is a number.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// Returns the result of [`Number::as_u64`] if the value is a number.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// Returns the nearest float if the value is a number.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number().map(Number::as_f64)
    }

    /// Returns whether this is [`Null`](Self::Null).
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Copies borrowed text, so that the value borrows nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Null => Value::Null,
            Self::Number(number) => Value::Number(number.into_owned()),
            Self::Str(text) => Value::Str(Cow::Owned(text.into_owned())),
        }
    }
}

/// Writes a string without quotes, and a number, boolean or null as in JSON.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Null => f.pad("null"),
            Self::Number(number) => number.fmt(f),
            Self::Str(text) => f.pad(text),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Str(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Str(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Str(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Str(text)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'a> From<Number<'a>> for Value<'a> {
    fn from(number: Number<'a>) -> Self {
        Self::Number(number)
    }
}

/// Converts a float to a number that reads back as the same float, and NaN and the infinities to
/// [`Value::Null`].
impl From<f64> for Value<'_> {
    fn from(float: f64) -> Self {
        Number::from_f64(float).map_or(Self::Null, Self::Number)
    }
}

/// Converts `None` to [`Value::Null`].
impl<'a, T: Into<Self>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! value_from_integer {
    ($($integer:ty => $wide:ty),*) => {$(
        impl From<$integer> for Value<'_> {
            fn from(integer: $integer) -> Self {
                Self::Number(Number::from(<$wide>::from(integer)))
            }
        }
    )*};
}
value_from_integer!(i8 => i64, i16 => i64, i32 => i64, i64 => i64, u8 => u64, u16 => u64, u32 => u64, u64 => u64);

impl From<usize> for Value<'_> {
    fn from(integer: usize) -> Self {
        // No supported platform has a usize of more than 64 bits.
        Self::Number(Number::from(integer as u64))
    }
}

impl From<isize> for Value<'_> {
    fn from(integer: isize) -> Self {
        // No supported platform has an isize of more than 64 bits.
        Self::Number(Number::from(integer as i64))
    }
}
