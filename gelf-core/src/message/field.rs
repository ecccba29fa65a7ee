//! Additional fields and their names.
//!
//! > GELF 1.1: "every field you send and prefix with an underscore will be treated as an additional field.
//! > Allowed characters in field names are any word character (letter, number, underscore), dashes and dots.
//! > [...] Libraries should not allow to send id as additional field (`_id`)". A value is a string or a
//! > number.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::value::Value;

/// The name of an additional field, without the underscore that marks it on the wire.
///
/// A name made by [`new`](Self::new) has only characters that every reader takes: ASCII letters and digits,
/// `_`, `.` and `-`. A name that was decoded may be longer, and a name that was decoded leniently may have other
/// characters. An [`Encoder`](crate::Encoder) sends such names [sanitized](Self::sanitize).
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
    /// True if `new` would refuse the text; only a decoder makes such names.
    foreign: bool,
}

impl<'a> FieldName<'a> {
    /// The maximum length of a name in bytes: 1,023. With its underscore, the longest name has the maximum
    /// length that a [`Decoder`](crate::Decoder) takes by default.
    pub const MAX_BYTES: usize = 1023;

    /// Checks a text and creates the name. The text may have the underscore of the wire: `user` and `_user`
    /// give the same name, which is `_user` on the wire. `__user` gives the name `_user`, which begins with
    /// an underscore itself.
    ///
    /// # Errors
    /// Returns [`InvalidFieldName`] if the name is not valid.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self, InvalidFieldName> {
        let text = strip_prefix(name.into());
        match check(&text) {
            Some(error) => Err(error),
            None => Ok(Self { text, foreign: false }),
        }
    }

    /// Checks a literal, as [`new`](Self::new) does. In the initializer of a `const`, an invalid name does
    /// not compile.
    ///
    /// # Panics
    /// Panics if the name is invalid and the function is called at run time.
    #[allow(
        clippy::panic,
        reason = "an invalid literal is a programming error, and a compile error in a const"
    )]
    pub const fn from_static(name: &'static str) -> FieldName<'static> {
        let text = match name.as_bytes() {
            [b'_', bare @ ..] => std::str::from_utf8(bare),
            _ => Ok(name),
        };
        match text {
            Ok(text) if check(text).is_none() => FieldName { text: Cow::Borrowed(text), foreign: false },
            _ => panic!("not a GELF field name"),
        }
    }

    /// Converts any text to a name: each character that is not allowed becomes `_`, `id` becomes `id_`, an
    /// empty text becomes `_`, and a result of more than [`MAX_BYTES`](Self::MAX_BYTES) is cut off there. The text
    /// may have the underscore of the wire, as in [`new`](Self::new).
    ///
    /// Two texts may become the same name: `a/b` and `a b` both become `a_b`.
    pub fn sanitize(name: impl Into<Cow<'a, str>>) -> Self {
        let text = strip_prefix(name.into());
        match check(&text) {
            None => Self { text, foreign: false },
            Some(_) => Self { text: Cow::Owned(sanitized(&text)), foreign: false },
        }
    }

    /// Creates a name from the text that a decoder found, without the underscore of the wire. The text may have
    /// any characters.
    pub(crate) fn decoded(text: Cow<'a, str>) -> Self {
        let foreign = is_foreign(&text);
        Self { text, foreign }
    }

    /// Returns the name itself if `taken` does not contain it. Otherwise appends the lowest number, from 2 on,
    /// that gives a name outside of `taken`. Goes through `taken` at most twice, however many of its names have
    /// such numbers.
    pub(crate) fn first_free<'n>(self, taken: impl Iterator<Item = &'n str> + Clone) -> Self {
        if !taken.clone().any(|known| known == self.text) {
            return self;
        }
        let mut numbers: Vec<u32> = taken.filter_map(|known| number_of(known, &self.text)).collect();
        numbers.sort_unstable();
        let free = numbers.iter().fold(2, |free, number| free + u32::from(*number == free));
        Self { text: Cow::Owned(numbered(&self.text, free)), foreign: false }
    }

    /// Returns the name without the underscore.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the error with which [`new`](Self::new) would refuse this name, or `None` if the name is
    /// valid.
    pub(crate) fn fault(&self) -> Option<InvalidFieldName> {
        check(&self.text)
    }

    /// Returns whether [`new`](Self::new) would refuse this name. Only a decoded name can be foreign.
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
    /// A character of the name is not allowed. ASCII letters, digits, `_`, `.` and `-` are allowed.
    Character {
        /// The byte offset in the name without its underscore.
        at: usize,
    },
    /// The name is empty or consists of only the underscore.
    Empty,
    /// The name is `id`, which is `_id` on the wire. The specification reserves it.
    Reserved,
    /// The name has only allowed characters, but is longer than [`MAX_BYTES`](FieldName::MAX_BYTES).
    TooLong {
        /// The length in bytes without the underscore.
        len: usize,
    },
}

impl fmt::Display for InvalidFieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { at } => {
                write!(
                    f,
                    "a field name may have only ASCII letters, digits, '_', '.' and '-'; byte {at} is none of these"
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

/// Finds the fault of a name. The function is `const` because `from_static` calls it.
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

/// Returns whether `check` would find a fault. This function does not look for the position of the fault, so
/// it needs no branch for each byte.
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "a byte is within the table of 256 entries")]
fn is_foreign(name: &str) -> bool {
    let forbidden = name.bytes().fold(0, |found, byte| found | FORBIDDEN_BYTES[usize::from(byte)]);
    forbidden != 0 || matches!(name, "" | "id") || name.len() > FieldName::MAX_BYTES
}

/// Contains 0 for each byte that is allowed in a name, and 1 for each other byte.
static FORBIDDEN_BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut rest: &mut [u8] = &mut bytes;
    let mut byte = 0_u8;
    while let [entry, tail @ ..] = rest {
        *entry = !is_name_byte(byte) as u8;
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

/// Appends a number to a sanitized name. Cuts the name if there is no room for the number.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    let suffix = format!("_{number}");
    format!("{}{suffix}", before_suffix(name, suffix.len()))
}

/// Returns the number with which [`numbered`] makes `text` from the sanitized name `name`. Returns `None` if there is
/// no such number, or if it is less than 2.
fn number_of(text: &str, name: &str) -> Option<u32> {
    let (start, digits) = text.rsplit_once('_')?;
    if start != before_suffix(name, 1 + digits.len()) || digits.starts_with(['0', '+']) {
        return None;
    }
    digits.parse().ok().filter(|number| *number >= 2)
}

/// Returns as much of a sanitized name as leaves room for a suffix of `len` bytes.
fn before_suffix(name: &str, len: usize) -> &str {
    // A sanitized name is ASCII, so it can be cut at each byte.
    name.get(..FieldName::MAX_BYTES.saturating_sub(len)).unwrap_or(name)
}

/// Replaces the value of the field with this name, or appends the field. A null value removes the field.
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
    fn a_name_has_at_most_the_length_that_a_decoder_accepts() {
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
    fn the_first_free_number_is_found_in_two_passes() {
        let longest = "n".repeat(FieldName::MAX_BYTES);
        for name in ["_", "a", "a_2", longest.as_str()] {
            let mut taken =
                vec![format!("{name}_02"), format!("{name}_+2"), format!("{name}_x"), "_2".to_owned()];
            taken.extend((0..2000).filter(|number| *number != 1500).map(|number| numbered(name, number)));
            let passed = std::cell::Cell::new(0);
            let names = taken.iter().map(|name| {
                passed.set(passed.get() + 1);
                name.as_str()
            });
            assert_eq!(FieldName::sanitize(name).first_free(names.clone()).as_str(), name, "it is free");
            passed.set(0);
            let names = names.chain([name]);
            assert_eq!(FieldName::sanitize(name).first_free(names).as_str(), numbered(name, 1500));
            assert!(passed.get() <= 2 * taken.len(), "{}", passed.get());
        }
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
    fn names_that_gelf_does_not_allow_are_refused() {
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
    fn sanitize_converts_any_text_to_a_name() {
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
