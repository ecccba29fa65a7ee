//! Bytes as the vectors define them: text, hexadecimal, or a recipe.

use std::fmt;

use gelf_core::{Compression, CompressionLevel, wire::Compressor};
use serde::Deserialize;

/// A description of bytes; `vectors/README.md` has a table.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Recipe {
    /// UTF-8 text.
    Text(String),
    /// An object with one member.
    Made(Made),
}

/// A recipe that is not plain text.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Made {
    /// Bytes in hexadecimal.
    Hex(String),
    /// Concatenated parts.
    Join(Vec<Recipe>),
    /// Repeated bytes.
    Repeat(Box<Recipe>, usize),
    /// The bytes between two offsets.
    Cut(Box<Recipe>, usize, usize),
    /// One gzip member without a time.
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

/// Error of a recipe.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RecipeError {
    /// An odd number of digits, a digit that is not hexadecimal, or an id that is not eight bytes long.
    Hex(String),
    /// The cut ends beyond the bytes.
    Cut {
        /// Length of the bytes.
        len: usize,
        /// End of the cut.
        to: usize,
    },
    /// The result would exceed 256 MiB.
    TooLong,
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex(text) => write!(f, "{text:?} is not valid hexadecimal here"),
            Self::Cut { len, to } => write!(f, "a cut at byte {to} of {len}"),
            Self::TooLong => f.write_str("the result exceeds 256 MiB"),
        }
    }
}

impl std::error::Error for RecipeError {}

/// Maximum length of the result, in bytes.
const MAX_BYTES: usize = 256 << 20;

impl Recipe {
    /// Makes the bytes.
    ///
    /// # Errors
    /// See [`RecipeError`].
    pub fn bytes(&self) -> Result<Vec<u8>, RecipeError> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Made(made) => made.bytes(),
        }
    }
}

impl Made {
    fn bytes(&self) -> Result<Vec<u8>, RecipeError> {
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
                    _ => Err(RecipeError::TooLong),
                }
            }
            Self::Cut(whole, from, to) => {
                let whole = whole.bytes()?;
                let cut = whole.get(*from..*to).map(<[u8]>::to_vec);
                cut.ok_or(RecipeError::Cut { len: whole.len(), to: *to })
            }
            Self::Gzip(part) => Ok(compress(Compression::Gzip(LEVEL), &part.bytes()?)),
            Self::Zlib(part) => Ok(compress(Compression::Zlib(LEVEL), &part.bytes()?)),
            Self::Chunk { id, number, count, payload } => {
                let id = unhex(id).ok().filter(|bytes| bytes.len() == 8);
                let id = id.ok_or_else(|| RecipeError::Hex("chunk id".to_owned()))?;
                Ok([&[0x1e, 0x0f], id.as_slice(), &[*number, *count], payload.bytes()?.as_slice()].concat())
            }
        }
    }
}

/// Compression level of recipes.
#[allow(clippy::panic, reason = "evaluated at compile time")]
const LEVEL: CompressionLevel = match CompressionLevel::new(6) {
    Some(level) => level,
    None => panic!("levels are from 1 to 9"),
};

fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    Compressor::new(compression).compress(bytes).to_vec()
}

/// Encodes bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(half + if half < 10 { b'0' } else { b'a' - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, RecipeError> {
    let error = || RecipeError::Hex(text.to_owned());
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [_, _] => std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()),
        _ => None,
    };
    pairs.map(|pair| byte(pair).ok_or_else(error)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(json: &str) -> Result<Vec<u8>, RecipeError> {
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
        assert_eq!(gelf_core::wire::Decompressor::default().decompress(&gzip).unwrap().bytes, b"abc");
        let zlib = bytes(r#"{"zlib":"abc"}"#).unwrap();
        assert_eq!(zlib[..2], [0x78, 0x9c]);
    }

    #[test]
    fn invalid_recipes_are_errors() {
        assert_eq!(bytes(r#"{"hex":"0"}"#), Err(RecipeError::Hex("0".to_owned())));
        assert_eq!(bytes(r#"{"hex":"zz"}"#), Err(RecipeError::Hex("zz".to_owned())));
        assert_eq!(bytes(r#"{"cut":["abc",1,4]}"#), Err(RecipeError::Cut { len: 3, to: 4 }));
        assert_eq!(bytes(r#"{"repeat":["abcd",100000000]}"#), Err(RecipeError::TooLong));
    }
}
