//! Additional fields: their names and values.
//!
//! > GELF 1.1: "every field you send and prefix with an underscore will be treated as an additional field.
//! > Allowed characters in field names are any word character (letter, number, underscore), dashes and dots.
//! > [...] Libraries should not allow to send id as additional field (`_id`)". A value is a string or a
//! > number.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::number::Number;

/// The name of an additional field, without the underscore that marks it on the wire.
///
/// A name made by [`new`](Self::new) has only characters that every reader takes: ASCII letters and digits,
/// `_`, `.` and `-`. A name that was decoded leniently may have others; [`encode`](crate::encode()) sends
/// such a name [sanitized](Self::sanitize).
///
/// ```
/// use gelf_core::FieldName;
///
/// let name = FieldName::new("_user")?;
/// assert_eq!(name, "user");
/// assert_eq!(FieldName::try_from("user")?, name);
/// assert_eq!(FieldName::sanitize("app.kubernetes.io/name"), "app.kubernetes.io_name");
/// # Ok::<(), gelf_core::InvalidFieldName>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FieldName<'a> {
    text: Cow<'a, str>,
    /// Whether `new` would refuse the text; only a decoder makes such names.
    foreign: bool,
}

impl<'a> FieldName<'a> {
    /// The maximum length of a name in bytes: 1,023, so that with its underscore a
    /// [`Decoder`](crate::Decoder) takes it.
    pub const MAX_BYTES: usize = 1023;

    /// Checks a name, written with or without its underscore: `user` and `_user` are the same field, `_user`
    /// on the wire; `__user` is the field `_user`, whose own name begins with an underscore.
    ///
    /// # Errors
    /// [`InvalidFieldName`] says what is wrong with the name.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self, InvalidFieldName> {
        let text = strip_prefix(name.into());
        match check(&text) {
            Some(error) => Err(error),
            None => Ok(Self { text, foreign: false }),
        }
    }

    /// Checks a literal, as [`new`](Self::new) does. A wrong name fails to compile if it initializes a
    /// `const`.
    ///
    /// # Panics
    /// If the name is wrong and the function is called at run time.
    #[allow(
        clippy::panic,
        reason = "a wrong literal is the programmer's error, and a compile error in a const"
    )]
    pub const fn from_static(name: &'static str) -> FieldName<'static> {
        let text = match name.as_bytes() {
            [b'_', ..] => name.split_at(1).1,
            _ => name,
        };
        if check(text).is_some() {
            panic!("not a GELF field name");
        }
        FieldName { text: Cow::Borrowed(text), foreign: false }
    }

    /// Makes a name of any text: each character that is not allowed becomes `_`, `id` becomes `id_`, an empty
    /// text becomes `_`, and text beyond [`MAX_BYTES`](Self::MAX_BYTES) is cut off.
    ///
    /// Two texts may give the same name: `a/b` and `a b` both become `a_b`.
    pub fn sanitize(name: impl Into<Cow<'a, str>>) -> Self {
        let text = strip_prefix(name.into());
        match check(&text) {
            None => Self { text, foreign: false },
            Some(_) => Self { text: Cow::Owned(sanitized(&text)), foreign: false },
        }
    }

    /// Takes the name that a decoder found after the underscore, whatever its characters.
    pub(crate) fn decoded(text: Cow<'a, str>) -> Self {
        let foreign = is_foreign(&text);
        Self { text, foreign }
    }

    /// Returns the name itself, or the name with the first number appended that makes it free.
    pub(crate) fn first_free(self, is_taken: impl Fn(&str) -> bool) -> Self {
        if !is_taken(&self.text) {
            return self;
        }
        let mut number = 2;
        loop {
            let text = numbered(&self.text, number);
            if !is_taken(&text) {
                return Self { text: Cow::Owned(text), foreign: false };
            }
            number += 1;
        }
    }

    /// Returns the name without the underscore.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the error with which [`new`](Self::new) would refuse this name.
    pub(crate) fn fault(&self) -> Option<InvalidFieldName> {
        check(&self.text)
    }

    /// Returns whether [`new`](Self::new) would refuse this name, which only a decoded name can be.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Copies borrowed text, so that the name borrows nothing.
    pub fn into_owned(self) -> FieldName<'static> {
        FieldName { text: Cow::Owned(self.text.into_owned()), foreign: self.foreign }
    }
}

impl fmt::Display for FieldName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl AsRef<str> for FieldName<'_> {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl PartialEq<str> for FieldName<'_> {
    fn eq(&self, other: &str) -> bool {
        self.text == other
    }
}

impl PartialEq<&str> for FieldName<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

impl<'a> TryFrom<&'a str> for FieldName<'a> {
    type Error = InvalidFieldName;

    fn try_from(name: &'a str) -> Result<Self, InvalidFieldName> {
        Self::new(name)
    }
}

impl TryFrom<String> for FieldName<'_> {
    type Error = InvalidFieldName;

    fn try_from(name: String) -> Result<Self, InvalidFieldName> {
        Self::new(name)
    }
}

impl FromStr for FieldName<'static> {
    type Err = InvalidFieldName;

    fn from_str(name: &str) -> Result<Self, InvalidFieldName> {
        Self::new(name.to_owned())
    }
}

/// The reason why a text is not a [`FieldName`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidFieldName {
    /// A character is none of ASCII letters, digits, `_`, `.` and `-`.
    Character {
        /// The byte offset in the name without its underscore.
        at: usize,
    },
    /// The name is empty, or only the underscore.
    Empty,
    /// The name is `_id`, which the specification reserves.
    Reserved,
    /// The name is valid but longer than [`MAX_BYTES`](FieldName::MAX_BYTES).
    TooLong {
        /// The length in bytes.
        len: usize,
    },
}

impl fmt::Display for InvalidFieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { at } => {
                write!(
                    f,
                    "a field name has only ASCII letters, digits, '_', '.' and '-'; byte {at} is another"
                )
            }
            Self::Empty => f.write_str("the field name is empty"),
            Self::Reserved => f.write_str("the field name 'id' is reserved"),
            Self::TooLong { len } => {
                write!(f, "the field name has {len} bytes, more than {}", FieldName::MAX_BYTES)
            }
        }
    }
}

impl std::error::Error for InvalidFieldName {}

fn strip_prefix(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix('_').unwrap_or(text)),
        Cow::Owned(mut text) => {
            if text.starts_with('_') {
                text.remove(0);
            }
            Cow::Owned(text)
        }
    }
}

/// Finds what is wrong with a name; `const`, so that `from_static` can be.
const fn check(name: &str) -> Option<InvalidFieldName> {
    let mut rest = name.as_bytes();
    if let b"" = rest {
        return Some(InvalidFieldName::Empty);
    }
    if let b"id" = rest {
        return Some(InvalidFieldName::Reserved);
    }
    while let [byte, tail @ ..] = rest {
        if !is_name_byte(*byte) {
            return Some(InvalidFieldName::Character { at: name.len() - rest.len() });
        }
        rest = tail;
    }
    if name.len() > FieldName::MAX_BYTES {
        return Some(InvalidFieldName::TooLong { len: name.len() });
    }
    None
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// Returns whether `check` finds a fault; without its position, and so without a branch for each byte.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a byte is within the table of 256 entries")]
fn is_foreign(name: &str) -> bool {
    let other = name.bytes().fold(0, |other, byte| other | OTHER_BYTES[usize::from(byte)]);
    other != 0 || matches!(name, "" | "id") || name.len() > FieldName::MAX_BYTES
}

/// For each byte 0 if a name may contain it, otherwise 1.
static OTHER_BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut rest: &mut [u8] = &mut bytes;
    let mut byte = 0_u8;
    while let [other, tail @ ..] = rest {
        *other = !is_name_byte(byte) as u8;
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    bytes
};

pub(crate) fn sanitized(name: &str) -> String {
    match name {
        "" => "_".to_owned(),
        "id" => "id_".to_owned(),
        _ => name
            .chars()
            .take(FieldName::MAX_BYTES)
            .map(|c| if c.is_ascii() && is_name_byte(c as u8) { c } else { '_' })
            .collect(),
    }
}

/// Appends a number to a sanitized name, which is cut if there is no room for it.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    let suffix = format!("_{number}");
    // A sanitized name is ASCII: each character is one byte.
    let mut name: String = name.chars().take(FieldName::MAX_BYTES - suffix.len()).collect();
    name.push_str(&suffix);
    name
}

/// The value of an additional field.
///
/// Strings, integers, floats, booleans and options of them convert to a value. NaN, the infinities and `None`
/// become [`Null`](Self::Null), and a field that is set to null is not part of the message.
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
    /// A boolean. GELF has none, and Graylog drops them: it is sent as the string `"true"` or `"false"`
    /// unless the [`Encoder`](crate::Encoder) is configured otherwise.
    Bool(bool),
    /// No value. A message has no field with this value: setting one removes the field.
    #[default]
    Null,
    /// A number, exact.
    Number(Number<'a>),
    /// A string.
    Str(Cow<'a, str>),
}

impl Value<'_> {
    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Bool(_) | Self::Null | Self::Number(_) => None,
        }
    }

    /// Returns the boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Null | Self::Number(_) | Self::Str(_) => None,
        }
    }

    /// Returns the number.
    pub fn as_number(&self) -> Option<&Number<'_>> {
        match self {
            Self::Number(number) => Some(number),
            Self::Bool(_) | Self::Null | Self::Str(_) => None,
        }
    }

    /// Returns the number if it is an integer within `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// Returns the number if it is an integer within `u64`.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// Returns the number as the nearest float.
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

/// Writes a string without quotes; a number, boolean or null as in JSON.
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

/// Converts to the shortest decimal that reads back as this float; NaN and the infinities to [`Value::Null`].
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

/// Replaces the value of the field with this name, or appends the field. A null value removes it.
pub(crate) fn set_field<'a>(
    fields: &mut Vec<(FieldName<'a>, Value<'a>)>,
    name: FieldName<'a>,
    value: Value<'a>,
) {
    if value.is_null() {
        fields.retain(|(known, _)| *known != name);
        return;
    }
    match fields.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known = value,
        None => fields.push((name, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_longer_than_a_decoder_takes() {
        let longest = "n".repeat(FieldName::MAX_BYTES);
        assert_eq!(FieldName::new(longest.as_str()).unwrap().as_str(), longest);
        assert_eq!(FieldName::new(format!("_{longest}")).unwrap().as_str(), longest);
        let longer = format!("{longest}n");
        assert_eq!(FieldName::new(longer.as_str()), Err(InvalidFieldName::TooLong { len: 1024 }));
        assert_eq!(FieldName::sanitize(longer.as_str()).as_str(), longest);
        assert!(FieldName::decoded(Cow::Owned(longer)).is_foreign());
        assert_eq!(numbered(&longest, 2), format!("{}_2", &longest[2..]));
        assert_eq!(numbered("a", 2), "a_2");
    }

    #[test]
    fn only_the_first_underscore_is_the_prefix() {
        assert_eq!(FieldName::new("user").unwrap().as_str(), "user");
        assert_eq!(FieldName::new("_user").unwrap().as_str(), "user");
        assert_eq!(FieldName::new("__user").unwrap().as_str(), "_user");
        assert_eq!(FieldName::new("_user".to_owned()).unwrap().as_str(), "user");
        const TASK: FieldName<'static> = FieldName::from_static("_task");
        assert_eq!(TASK.as_str(), "task");
    }

    #[test]
    fn names_that_readers_drop_are_refused() {
        assert_eq!(FieldName::new("id"), Err(InvalidFieldName::Reserved));
        assert_eq!(FieldName::new("_id"), Err(InvalidFieldName::Reserved));
        assert_eq!(FieldName::new(""), Err(InvalidFieldName::Empty));
        assert_eq!(FieldName::new("_"), Err(InvalidFieldName::Empty));
        assert_eq!(FieldName::new("_a/b"), Err(InvalidFieldName::Character { at: 1 }));
        assert_eq!(FieldName::new("a b"), Err(InvalidFieldName::Character { at: 1 }));
        assert_eq!(FieldName::new("ключ"), Err(InvalidFieldName::Character { at: 0 }));
        assert_eq!(FieldName::new("@timestamp"), Err(InvalidFieldName::Character { at: 0 }));
        for name in ["__id", "ID", "id.x", "com.docker.compose.project", "a-b", "0", "..", "-"] {
            assert!(FieldName::new(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn sanitize_makes_a_name_of_any_text() {
        let sanitize = |text: &'static str| FieldName::sanitize(text).as_str().to_owned();
        assert_eq!(sanitize("app.kubernetes.io/name"), "app.kubernetes.io_name");
        assert_eq!(sanitize("_a/b c"), "a_b_c");
        assert_eq!(sanitize("ключ"), "____");
        assert_eq!(sanitize("id"), "id_");
        assert_eq!(sanitize(""), "_");
        assert_eq!(sanitize("user"), "user");
    }

    #[test]
    fn a_decoded_name_may_be_foreign() {
        assert!(FieldName::decoded("a/b".into()).is_foreign());
        assert!(FieldName::decoded("id".into()).is_foreign());
        assert!(!FieldName::decoded("_x".into()).is_foreign());
        assert_eq!(FieldName::decoded("a".into()), FieldName::new("a").unwrap());
    }
}
