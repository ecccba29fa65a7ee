//! Keeps the types of fields. The first value of a field determines its type.

use std::collections::HashMap;

use gelf_core::Value;

/// The maximum number of names of fields: 512. By default, an Elasticsearch index takes at most 1,000 fields,
/// and counts a field with text as two fields.
const MAX_NAMES: usize = 512;
/// The maximum number of names that the lines of one container introduce. This maximum keeps a container with
/// random names of fields from using up [`MAX_NAMES`].
const MAX_CONTAINER_NAMES: usize = 128;

/// The type of a field in a search index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Type {
    /// A text that looks like a date. Once the first value of a field is a date, Elasticsearch refuses other
    /// texts in this field.
    Date,
    Number,
    Text,
}

impl Type {
    fn of(value: &Value<'_>) -> Self {
        match value {
            // Integers beyond the range of `i64` are sent as text.
            Value::Number(number) if !number.is_beyond_i64() => Self::Number,
            Value::Str(text) if is_date(text) => Self::Date,
            _ => Self::Text,
        }
    }
}

/// Returns whether a text begins with a date in a form that Elasticsearch recognizes: `2026-11-22` or
/// `2026/11/22`.
fn is_date(text: &str) -> bool {
    let digits =
        |range| text.as_bytes().get(range).is_some_and(|part: &[u8]| part.iter().all(u8::is_ascii_digit));
    digits(0..4)
        && digits(5..7)
        && digits(8..10)
        && matches!(
            (text.as_bytes().get(4), text.as_bytes().get(7)),
            (Some(b'-'), Some(b'-')) | (Some(b'/'), Some(b'/'))
        )
}

/// The form in which a value fits its field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fit {
    /// The value as it is.
    AsIs,
    /// The value as text.
    AsText,
    /// The value as text in the field `NAME_str`.
    Beside,
}

/// The first type of each field.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldTypes {
    types: Vec<(Box<str>, Type)>,
    /// The indexes in `types`, by the names of the fields.
    indexes: HashMap<Box<str>, usize>,
}

impl FieldTypes {
    /// Returns the form in which the value fits the field. Returns `None` if the value needs a new name that
    /// would exceed [`MAX_NAMES`] or [`MAX_CONTAINER_NAMES`], or if it needs the field `NAME_str` and the type
    /// of that field is not text.
    ///
    /// `introduced` is the number of names that the container has introduced. `index` is a guess of the
    /// field's index in `types`. If the guess is wrong, this method replaces it by the index.
    pub(super) fn fit(
        &mut self,
        name: &str,
        value: &Value<'_>,
        introduced: &mut usize,
        index: &mut usize,
    ) -> Option<Fit> {
        let found = Type::of(value);
        match self.of(name, found, introduced, index)? {
            known if known == found => Some(Fit::AsIs),
            Type::Text => Some(Fit::AsText),
            _ => {
                let beside = format!("{name}_str");
                (self.of(&beside, Type::Text, introduced, &mut 0)? == Type::Text).then_some(Fit::Beside)
            }
        }
    }

    /// Returns the type of the field. `found` becomes the type of a new field.
    fn of(&mut self, name: &str, found: Type, introduced: &mut usize, index: &mut usize) -> Option<Type> {
        if let Some((_, known)) = self.types.get(*index).filter(|(known, _)| **known == *name) {
            return Some(*known);
        }
        if let Some(place) = self.indexes.get(name) {
            *index = *place;
            return self.types.get(*place).map(|(_, known)| *known);
        }
        if self.types.len() >= MAX_NAMES || *introduced >= MAX_CONTAINER_NAMES {
            return None;
        }
        *introduced += 1;
        *index = self.types.len();
        self.indexes.insert(name.into(), *index);
        self.types.push((name.into(), found));
        Some(found)
    }
}
