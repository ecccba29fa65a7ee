//! Reads HTTP bodies for the fuzz targets of this workspace. This module is not a part of the public API.

use bytes::Bytes;

use super::body_values::BodyValues;
use super::unpack::{Declared, UnpackError, Unpacker};
use super::values::{TooLong, first_value};

/// The reason why a body is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "not a part of the public API")]
pub enum Refusal {
    Corrupt,
    TooLarge,
}

impl From<UnpackError> for Refusal {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Corrupt => Self::Corrupt,
            UnpackError::TooLarge => Self::TooLarge,
        }
    }
}

/// A result of reading a body.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "not a part of the public API")]
pub enum Item {
    Value(Bytes),
    TooLong,
    Refused(Refusal),
}

/// Reads the values of a body that arrives in parts. The body is refused if it has more than `max_len` bytes
/// in unpacked form. After a refusal, the remaining parts are still passed to the reader, which must return the same
/// refusal for each. Returns `None` for a `Content-Encoding` that the receiver does not accept.
pub fn read_values<'a>(
    content_encoding: &str,
    max_len: usize,
    max_value_len: usize,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Option<Vec<Item>> {
    let unpacker = Unpacker::new(Declared::parse([content_encoding])?, max_len);
    let mut body = BodyValues::new(unpacker, max_value_len);
    let mut items = Vec::new();
    for mut part in parts {
        while add(&mut items, body.next_value(&mut part)) {}
    }
    while add(&mut items, body.finish()) {}
    Some(items)
}

/// Adds the item of a result. Returns whether the same input may have another item: this is so after a value,
/// even a value that is too long.
fn add(items: &mut Vec<Item>, result: Result<Option<Result<Bytes, TooLong>>, UnpackError>) -> bool {
    let is_value = matches!(result, Ok(Some(_)));
    items.extend(match result {
        Ok(value) => value.map(|value| value.map_or(Item::TooLong, Item::Value)),
        Err(error) => Some(Item::Refused(error.into())),
    });
    is_value
}

/// Unpacks a body, as [`read_values`] does. Returns the text up to the end of the body or up to the refusal,
/// and the refusal.
pub fn unpack<'a>(
    content_encoding: &str,
    max_len: usize,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Option<(Vec<u8>, Result<(), Refusal>)> {
    let mut unpacker = Unpacker::new(Declared::parse([content_encoding])?, max_len);
    let mut text = Vec::new();
    let end = parts
        .into_iter()
        .try_for_each(|mut part| unpack_part(&mut unpacker, &mut part, &mut text))
        .and_then(|()| unpacker.finish().map(|rest| text.extend_from_slice(rest)));
    Some((text, end.map_err(Refusal::from)))
}

fn unpack_part(unpacker: &mut Unpacker, part: &mut &[u8], text: &mut Vec<u8>) -> Result<(), UnpackError> {
    loop {
        match unpacker.unpack(part)? {
            [] => return Ok(()),
            piece => text.extend_from_slice(piece),
        }
    }
}

/// Returns the first value of a text, and the number of values after it.
pub fn read_first(text: &[u8]) -> Option<(&[u8], u64)> {
    first_value(text).map(|first| (first.value, first.surplus))
}
