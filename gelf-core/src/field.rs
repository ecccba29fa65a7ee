//! Additional fields: their names and values.
//!
//! > GELF 1.1: "every field you send and prefix with an underscore will be treated as an additional field. Allowed
//! > characters in field names are any word character (letter, number, underscore), dashes and dots. [...] Libraries
//! > should not allow to send id as additional field (`_id`)". A value is a string or a number.

use std::borrow::Cow;
use std::fmt;

/// The name of an additional field, without the underscore that marks it on the wire.
///
/// Made by [`new`](Self::new), a name has the characters that every reader takes: ASCII letters and digits, `_`, `.`
/// and `-`. One that was decoded leniently may have others; [`encode`](crate::encode) sends such a name as
/// [`sanitize`](Self::sanitize) would make it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FieldName<'a> {
    text: Cow<'a, str>,
    /// Whether the text is one that `new` refuses; only a decoder makes these.
    foreign: bool,
}

impl<'a> FieldName<'a> {
    /// How many bytes a name may have: 1,023, so that with its underscore it is one that a
    /// [`Decoder`](crate::Decoder) takes.
    pub const MAX_BYTES: usize = crate::Decoder::DEFAULT_MAX_NAME_BYTES - 1;

    /// Checks a name, written with or without its underscore: `user` and `_user` are the same field, `_user` on the
    /// wire, and `__user` is `_user` with its own underscore.
    ///
    /// # Errors
    /// See [`InvalidFieldName`].
    pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self, InvalidFieldName> {
        let text = strip_prefix(name.into());
        match check(&text) {
            Some(error) => Err(error),
            None => Ok(Self { text, foreign: false }),
        }
    }

    /// As [`new`](Self::new), for a name that is known when the program is written; a wrong one fails to compile
    /// where it initialises a `const`.
    ///
    /// # Panics
    /// When the name is wrong and it is called at run time.
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

    /// Makes a name out of any text: each other character becomes `_`, `id` becomes `id_`, nothing becomes `_`, and what
    /// is longer than [`MAX_BYTES`](Self::MAX_BYTES) is cut.
    ///
    /// Two texts may give the same name: `a/b` and `a b` are both `a_b`.
    pub fn sanitize(name: impl Into<Cow<'a, str>>) -> Self {
        let text = strip_prefix(name.into());
        match check(&text) {
            None => Self { text, foreign: false },
            Some(_) => Self { text: Cow::Owned(sanitized(&text)), foreign: false },
        }
    }

    /// The name that a decoder found after the underscore, whatever its characters.
    pub(crate) fn decoded(text: Cow<'a, str>) -> Self {
        let foreign = is_foreign(&text);
        Self { text, foreign }
    }

    /// The name without the underscore.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Why [`new`](Self::new) would refuse this name.
    pub(crate) fn fault(&self) -> Option<InvalidFieldName> {
        check(&self.text)
    }

    /// Whether [`new`](Self::new) would refuse this name; only a decoded one can be.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// The same name, borrowing nothing.
    pub fn into_owned(self) -> FieldName<'static> {
        FieldName { text: Cow::Owned(self.text.into_owned()), foreign: self.foreign }
    }
}

impl fmt::Display for FieldName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Why a text is not a [`FieldName`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidFieldName {
    /// A character other than ASCII letters, digits, `_`, `.` and `-`, at this byte of the name without its underscore.
    Character {
        /// The byte offset.
        at: usize,
    },
    /// Nothing stands after the underscore.
    Empty,
    /// `_id`, which the specification reserves.
    Reserved,
    /// It has more than [`MAX_BYTES`](FieldName::MAX_BYTES), and is right otherwise.
    TooLong {
        /// How many bytes it has.
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

/// What is wrong with the name; `const`, so that `from_static` can be.
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

/// Whether `check` finds anything; without where, and so without a branch for each byte.
#[inline(always)]
fn is_foreign(name: &str) -> bool {
    let other = name.bytes().fold(0, |other, byte| other | OTHER_BYTES.get(usize::from(byte)).unwrap_or(&1));
    other != 0 || matches!(name, "" | "id") || name.len() > FieldName::MAX_BYTES
}

/// For each byte 0 if a name may have it, 1 if not.
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

/// The name with a number at its end, cut where there is no room for that.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    let end = format!("_{number}");
    // A name that is sent is ASCII.
    let room = name.len().min(FieldName::MAX_BYTES - end.len());
    format!("{}{end}", name.get(..room).unwrap_or(name))
}

/// The value of an additional field.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A boolean. GELF has none, and Graylog drops them: it goes out as the string `"true"` or `"false"`, unless an
    /// [`Encoder`](crate::Encoder) is told otherwise.
    Bool(bool),
    /// A number, exact.
    Number(Number<'a>),
    /// A string.
    Str(Cow<'a, str>),
}

impl Value<'_> {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Bool(_) | Self::Number(_) => None,
        }
    }

    /// The integer, where it is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            Self::Bool(_) | Self::Str(_) => None,
        }
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number.into_owned()),
            Self::Str(text) => Value::Str(Cow::Owned(text.into_owned())),
        }
    }
}

/// A string without quotes, a number or boolean as in JSON.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
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

/// A JSON number: integers within `i64` and `u64` as integers, anything else as the text it was written in, so that
/// nothing is rounded.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Number<'a>(Repr<'a>);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Repr<'a> {
    Int(i64),
    /// Above `i64::MAX`.
    Uint(u64),
    /// A valid JSON number that is no integer of the two kinds above.
    Text(Cow<'a, str>),
}

impl<'a> Number<'a> {
    /// The number that a JSON number's text says; `None` for other text.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Option<Self> {
        let text = text.into();
        is_json_number(&text).then(|| Self::from_valid(text))
    }

    /// As [`parse`](Self::parse), for text that a JSON parser has found to be a number.
    pub(crate) fn from_valid(text: Cow<'a, str>) -> Self {
        // "-0" is a number of its own; as an integer it would lose its sign.
        if text != "-0" {
            if let Ok(integer) = text.parse::<i64>() {
                return Self(Repr::Int(integer));
            }
            if let Ok(integer) = text.parse::<u64>() {
                return Self(Repr::Uint(integer));
            }
        }
        Self(Repr::Text(text))
    }

    /// The shortest decimal that reads back as this float; `None` for NaN and the infinities, which JSON cannot say.
    pub fn from_f64(float: f64) -> Option<Number<'static>> {
        float.is_finite().then(|| Number(Repr::Text(Cow::Owned(format!("{float:?}")))))
    }

    /// The integer, where it is one within `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Repr::Int(integer) => Some(integer),
            Repr::Uint(_) | Repr::Text(_) => None,
        }
    }

    /// The integer, where it is one within `u64`.
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Repr::Int(integer) => u64::try_from(integer).ok(),
            Repr::Uint(integer) => Some(integer),
            Repr::Text(_) => None,
        }
    }

    /// The text, where this is no integer of 64 bits.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.0 {
            Repr::Int(_) | Repr::Uint(_) => None,
            Repr::Text(text) => Some(text),
        }
    }

    /// The nearest float; infinite where the text is beyond what a float holds.
    pub fn as_f64(&self) -> f64 {
        match &self.0 {
            Repr::Int(integer) => *integer as f64,
            Repr::Uint(integer) => *integer as f64,
            Repr::Text(text) => text.parse().unwrap_or(f64::NAN),
        }
    }

    /// Whether this is an integer, in plain digits, outside of `i64`. Graylog reads such a one modulo 2^64.
    pub fn is_beyond_i64(&self) -> bool {
        match &self.0 {
            Repr::Int(_) => false,
            Repr::Uint(_) => true,
            Repr::Text(text) => text != "-0" && !text.contains(['.', 'e', 'E']),
        }
    }

    /// The same number, borrowing nothing.
    pub fn into_owned(self) -> Number<'static> {
        Number(match self.0 {
            Repr::Int(integer) => Repr::Int(integer),
            Repr::Uint(integer) => Repr::Uint(integer),
            Repr::Text(text) => Repr::Text(Cow::Owned(text.into_owned())),
        })
    }
}

impl From<i64> for Number<'_> {
    fn from(integer: i64) -> Self {
        Self(Repr::Int(integer))
    }
}

impl From<u64> for Number<'_> {
    fn from(integer: u64) -> Self {
        Self(i64::try_from(integer).map_or(Repr::Uint(integer), Repr::Int))
    }
}

/// As in JSON.
impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Int(integer) => integer.fmt(f),
            Repr::Uint(integer) => integer.fmt(f),
            Repr::Text(text) => f.pad(text),
        }
    }
}

/// Whether the text is exactly a number of RFC 8259, section 6.
pub(crate) fn is_json_number(text: &str) -> bool {
    json_number_len(text.as_bytes()) == Some(text.len())
}

/// How many bytes at the start of the text are a JSON number; `None` when there is none.
pub(crate) fn json_number_len(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && text.get(at) == Some(&b'0')) {
        return None;
    }
    at += whole;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return None;
        }
        at += 1 + sign + exponent;
    }
    Some(at)
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
    fn one_underscore_is_the_prefix_and_no_more() {
        assert_eq!(FieldName::new("user").unwrap().as_str(), "user");
        assert_eq!(FieldName::new("_user").unwrap().as_str(), "user");
        assert_eq!(FieldName::new("__user").unwrap().as_str(), "_user");
        assert_eq!(FieldName::new("_user".to_owned()).unwrap().as_str(), "user");
        const TASK: FieldName<'static> = FieldName::from_static("_task");
        assert_eq!(TASK.as_str(), "task");
    }

    #[test]
    fn names_that_a_reader_would_drop_are_refused() {
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
    fn a_decoded_name_knows_that_it_is_foreign() {
        assert!(FieldName::decoded("a/b".into()).is_foreign());
        assert!(FieldName::decoded("id".into()).is_foreign());
        assert!(!FieldName::decoded("_x".into()).is_foreign());
        assert_eq!(FieldName::decoded("a".into()), FieldName::new("a").unwrap());
    }

    #[test]
    fn integers_stay_integers_and_other_numbers_keep_their_text() {
        assert_eq!(Number::parse("9007199254740993").unwrap().as_i64(), Some(9_007_199_254_740_993));
        assert_eq!(Number::parse("9223372036854775808").unwrap().as_u64(), Some(9_223_372_036_854_775_808));
        assert_eq!(Number::parse("2001.1002").unwrap().to_string(), "2001.1002");
        assert_eq!(Number::parse("1.0").unwrap().to_string(), "1.0");
        assert_eq!(Number::parse("1e400").unwrap().to_string(), "1e400");
        assert_eq!(Number::parse("-0").unwrap().to_string(), "-0");
        let big = "123456789012345678901234567890";
        assert_eq!(Number::parse(big).unwrap().to_string(), big);
        assert_eq!(Number::from(5u64), Number::from(5i64));
    }

    #[test]
    fn what_json_does_not_call_a_number_is_none() {
        for text in ["", "-", "01", "1.", ".1", "1e", "1e+", "+1", "NaN", "Infinity", "0x10", "1 ", " 1", "١"]
        {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(Number::from_f64(f64::INFINITY), None);
        assert_eq!(Number::from_f64(1e300).unwrap().to_string(), "1e300");
        assert_eq!(Number::from_f64(0.1).unwrap().to_string(), "0.1");
    }

    #[test]
    fn integers_that_graylog_would_wrap_are_known() {
        let beyond = |text: &'static str| Number::parse(text).unwrap().is_beyond_i64();
        assert!(beyond("9223372036854775808"));
        assert!(beyond("-9223372036854775809"));
        assert!(beyond("123456789012345678901234567890"));
        assert!(!beyond("9223372036854775807"));
        assert!(!beyond("-9223372036854775808"));
        assert!(!beyond("1e30"));
        assert!(!beyond("1.5"));
        assert!(!beyond("-0"));
    }
}
