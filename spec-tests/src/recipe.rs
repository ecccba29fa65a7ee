//! Recipes, by which the vectors define bytes: text, hexadecimal, or an operation on other recipes.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::reader::deflated;

/// Bytes that a file defines by a recipe. `vectors/README.md` has a table of recipes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Recipe", into = "Recipe")]
pub struct Content(Vec<u8>);

impl TryFrom<Recipe> for Content {
    type Error = String;

    fn try_from(recipe: Recipe) -> Result<Self, String> {
        recipe.bytes().map(Self)
    }
}

impl From<Content> for Recipe {
    fn from(content: Content) -> Self {
        Self::Made(Made::Hex(hex(&content)))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A description of bytes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Recipe {
    /// UTF-8 text.
    Text(String),
    /// An object with one member.
    Made(Made),
}

/// A recipe other than plain text.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Made {
    /// Bytes in hexadecimal.
    Hex(String),
    /// Concatenated parts.
    Join(Vec<Recipe>),
    /// Repeated bytes.
    Repeat(Box<Recipe>, usize),
    /// The bytes between two offsets.
    Cut(Box<Recipe>, usize, usize),
    /// Data compressed as one gzip member, without a timestamp.
    Gzip(Box<Recipe>),
    /// zlib data that starts with `78 9c`.
    Zlib(Box<Recipe>),
    /// A chunk with its header.
    Chunk {
        /// Message id, 16 hexadecimal digits.
        id: String,
        /// Sequence number.
        number: u8,
        /// Sequence count.
        count: u8,
        /// Payload after the header.
        payload: Box<Recipe>,
    },
}

/// Maximum length of the result of [`Made::Repeat`]: 256 MiB.
const MAX_BYTES: usize = 256 << 20;

impl Recipe {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Made(made) => made.bytes(),
        }
    }
}

impl Made {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Hex(text) => unhex(text),
            Self::Join(parts) => {
                let mut joined = Vec::new();
                for part in parts {
                    joined.extend(part.bytes()?);
                }
                Ok(joined)
            }
            Self::Repeat(part, times) => {
                let part = part.bytes()?;
                match part.len().checked_mul(*times) {
                    Some(len) if len <= MAX_BYTES => Ok(part.repeat(*times)),
                    _ => Err("the result exceeds 256 MiB".to_owned()),
                }
            }
            Self::Cut(whole, from, to) => {
                let whole = whole.bytes()?;
                let cut = whole.get(*from..*to).map(<[u8]>::to_vec);
                cut.ok_or_else(|| format!("cannot cut the bytes from {from} to {to} of {}", whole.len()))
            }
            Self::Gzip(part) => Ok(deflated(&part.bytes()?, true)),
            Self::Zlib(part) => Ok(deflated(&part.bytes()?, false)),
            Self::Chunk { id, number, count, payload } => {
                let bytes = unhex(id).ok().filter(|bytes| bytes.len() == 8);
                let id = bytes.ok_or_else(|| format!("{id:?} is not the hexadecimal id of a chunk"))?;
                Ok([&[0x1e, 0x0f], id.as_slice(), &[*number, *count], payload.bytes()?.as_slice()].concat())
            }
        }
    }
}

/// Encodes bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(half + if half < 10 { b'0' } else { b'a' - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Returns the first `most` bytes in hexadecimal, separated by spaces. An ellipsis stands for further bytes.
pub(crate) fn first_bytes(bytes: &[u8], most: usize) -> String {
    let shown: Vec<String> = bytes.iter().take(most).map(|byte| format!("{byte:02x}")).collect();
    format!("{}{}", shown.join(" "), if bytes.len() > most { " …" } else { "" })
}

pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let error = || format!("{text:?} is not valid hexadecimal");
    let pairs = text.as_bytes().chunks(2);
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    pairs.map(|pair| byte(pair).ok_or_else(error)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(json: &str) -> Result<Vec<u8>, String> {
        serde_json::from_str::<Recipe>(json).unwrap().bytes()
    }

    #[test]
    fn recipes_produce_their_bytes() {
        assert_eq!(bytes(r#""aé""#).unwrap(), "aé".as_bytes());
        assert_eq!(bytes(r#"{"hex":"00ff"}"#).unwrap(), [0, 0xff]);
        assert_eq!(bytes(r#"{"join":["a",{"repeat":["bc",2]}]}"#).unwrap(), b"abcbc");
        assert_eq!(bytes(r#"{"cut":["abcd",1,3]}"#).unwrap(), b"bc");
        assert_eq!(
            bytes(r#"{"chunk":{"id":"0102030405060708","number":1,"count":2,"payload":"x"}}"#).unwrap(),
            b"\x1e\x0f\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02x"
        );
        let gzip = bytes(r#"{"gzip":"abc"}"#).unwrap();
        assert_eq!(crate::reader::inflated(&gzip).unwrap(), (b"abc".to_vec(), 0));
        let zlib = bytes(r#"{"zlib":"abc"}"#).unwrap();
        assert_eq!(zlib[..2], [0x78, 0x9c]);
    }

    #[test]
    fn invalid_recipes_are_errors() {
        let error = |json| bytes(json).unwrap_err();
        assert_eq!(error(r#"{"hex":"0"}"#), "\"0\" is not valid hexadecimal");
        assert_eq!(error(r#"{"hex":"zz"}"#), "\"zz\" is not valid hexadecimal");
        assert_eq!(error(r#"{"hex":"+f"}"#), "\"+f\" is not valid hexadecimal");
        assert_eq!(error(r#"{"cut":["abc",1,4]}"#), "cannot cut the bytes from 1 to 4 of 3");
        assert_eq!(error(r#"{"repeat":["abcd",100000000]}"#), "the result exceeds 256 MiB");
    }
}
