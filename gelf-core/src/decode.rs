//! A message out of JSON.
//!
//! There is one parser. It reads what Graylog and Logstash read and what the known senders send, and lists where the
//! text deviates from GELF 1.1. A [lenient](Decoder::lenient) decoder gives the message with that list; a
//! [strict](Decoder::strict) one makes the first deviation the error.
//!
//! Lenient reading puts right what can be: a number in quotes becomes a number, `null` becomes nothing and never the
//! word "null", a boolean stays one, an array or object in a field becomes its JSON text, a level that is none of the
//! eight becomes a field `level`, of two members with one name the last counts, `message` or the first line of
//! `full_message` stands in for a missing `short_message`. Invalid UTF-8 becomes U+FFFD.

mod json;
mod members;
mod names;
mod visitor;

use std::fmt;

use crate::message::Message;
use json::Reader;
use members::Members;
use names::Names;
use visitor::{Collector, Owning};

pub use visitor::Visitor;

/// How deep arrays and objects may be nested, the message counted: 128. It bounds what a reader of ours does with them.
const MAX_DEPTH: usize = 128;

/// A buffer larger than this is given back after the payload that needed it.
const RETAINED_BYTES: usize = 256 * 1024;

/// Reads payloads as messages, one after another.
///
/// ```
/// use gelf_core::{Decoder, DeviationKind};
///
/// let payload = br#"{"version":"1.1","host":"h","short_message":"m","_user":42,"_ok":true}"#;
/// let decoded = Decoder::lenient().decode(payload)?;
/// assert_eq!(decoded.message.field("user").and_then(|user| user.as_i64()), Some(42));
/// assert_eq!(decoded.deviations[0].kind, DeviationKind::FieldValue);
/// assert!(Decoder::strict().decode(payload).is_err());
/// # Ok::<(), gelf_core::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    limits: Limits,
    names: Names,
    /// Handed on after each member; its memory is kept.
    deviations: Vec<Deviation>,
    /// Where a string is put together that has escapes; its memory is kept.
    scratch: Vec<u8>,
}

/// What a payload may be.
#[derive(Clone, Copy, Debug)]
struct Limits {
    strict: bool,
    max_members: usize,
    max_name_bytes: usize,
    max_payload_bytes: usize,
}

/// A message that was read, and where its text was not GELF 1.1.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decoded<'a> {
    /// The message.
    pub message: Message<'a>,
    /// The deviations, in the order in which they were found; at most a few for each member.
    pub deviations: Vec<Deviation>,
}

impl Decoder {
    /// How many members a message may have: 1,024. A datagram could hold 100,000 tiny ones, to keep a reader busy.
    pub const DEFAULT_MAX_MEMBERS: usize = 1024;

    /// How many bytes a member's name may have: 1,024. What stores the fields keeps a table of all names for ever.
    pub const DEFAULT_MAX_NAME_BYTES: usize = 1024;

    /// How many bytes a payload may have: 8 MiB, as much as an inflated one.
    pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 8 * 1024 * 1024;

    /// A decoder that takes what can be understood, and reports how it deviates.
    pub fn lenient() -> Self {
        Self::new(false)
    }

    /// A decoder that takes GELF 1.1 and nothing else.
    pub fn strict() -> Self {
        Self::new(true)
    }

    fn new(strict: bool) -> Self {
        let limits = Limits {
            strict,
            max_members: Self::DEFAULT_MAX_MEMBERS,
            max_name_bytes: Self::DEFAULT_MAX_NAME_BYTES,
            max_payload_bytes: Self::DEFAULT_MAX_PAYLOAD_BYTES,
        };
        Self { limits, names: Names::default(), deviations: Vec::new(), scratch: Vec::new() }
    }

    /// Sets how many members a message may have.
    #[must_use]
    pub fn with_max_members(mut self, members: usize) -> Self {
        self.limits.max_members = members;
        self
    }

    /// Sets how many bytes a member's name may have.
    #[must_use]
    pub fn with_max_name_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_name_bytes = bytes;
        self
    }

    /// Sets how many bytes a payload may have.
    #[must_use]
    pub fn with_max_payload_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_payload_bytes = bytes;
        self
    }

    /// Reads a payload, which borrows its text into the message.
    ///
    /// # Errors
    /// See [`DecodeErrorKind`]. All are the sender's fault.
    pub fn decode<'a>(&mut self, payload: &'a [u8]) -> Result<Decoded<'a>, DecodeError> {
        let mut collector = Collector::default();
        self.decode_with(payload, &mut collector)?;
        Ok(Decoded { message: collector.message, deviations: collector.deviations })
    }

    /// Reads a payload and hands each of its parts to the visitor, as [`Visitor`] says.
    ///
    /// Nothing is allocated for what can be borrowed, which is all that has no escapes, if the text is UTF-8.
    ///
    /// # Errors
    /// As [`decode`](Self::decode). The visitor may have got fields by then.
    pub fn decode_with<'a>(
        &mut self,
        payload: &'a [u8],
        visitor: &mut impl Visitor<'a>,
    ) -> Result<(), DecodeError> {
        if payload.len() > self.limits.max_payload_bytes {
            return Err(DecodeError::new(DecodeErrorKind::PayloadTooLarge, self.limits.max_payload_bytes));
        }
        self.deviations.clear();
        let offset = match std::str::from_utf8(payload) {
            Ok(text) => return self.decode_text(text, visitor),
            Err(error) => error.valid_up_to(),
        };
        let kind = DeviationKind::InvalidUtf8;
        if self.limits.strict {
            return Err(DecodeError::new(DecodeErrorKind::Deviation(kind), offset));
        }
        self.deviations.push(Deviation { kind, offset });
        self.decode_text(&String::from_utf8_lossy(payload), &mut Owning(visitor))
    }

    fn decode_text<'t>(&mut self, text: &'t str, visitor: &mut impl Visitor<'t>) -> Result<(), DecodeError> {
        let Self { limits, names, deviations, scratch } = self;
        if scratch.len() > RETAINED_BYTES {
            *scratch = Vec::new();
        }
        let mut reader = Reader::new(text, *limits, deviations, scratch);
        reader.begin()?;
        let mut members = Members::new(names);
        let mut count = 0;
        while let Some((name, offset)) = reader.name(count == 0)? {
            count += 1;
            if count > limits.max_members {
                return Err(DecodeError::new(DecodeErrorKind::TooManyMembers, offset));
            }
            members.add(&mut reader, visitor, name, offset)?;
            if !reader.deviations.is_empty() {
                reader.deviations.drain(..).for_each(|deviation| visitor.deviation(deviation));
            }
        }
        reader.end()?;
        members.finish(&mut reader, visitor)?;
        reader.deviations.drain(..).for_each(|deviation| visitor.deviation(deviation));
        Ok(())
    }
}

/// Where a text is not GELF 1.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Deviation {
    /// How.
    pub kind: DeviationKind,
    /// At which byte: that of the member's name, or of the character. In a payload that is not UTF-8, counted as
    /// if it had been put right.
    pub offset: usize,
}

/// A member of which a [`DeviationKind`] speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Member {
    /// `full_message`
    FullMessage,
    /// `host`
    Host,
    /// `facility`, `file` or `line`
    Legacy,
    /// `level`
    Level,
    /// `short_message`
    ShortMessage,
    /// `timestamp`
    Timestamp,
    /// `version`
    Version,
}

/// How a text is not GELF 1.1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DeviationKind {
    /// The member has no text but white space, and Graylog refuses the message.
    Blank(Member),
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// A raw control character stands in a string.
    ControlCharacter,
    /// A name stands twice.
    DuplicateKey,
    /// The name of a field has characters that are not allowed, or none.
    FieldName,
    /// The value of a field is neither a string nor a number; null drops the field.
    FieldValue,
    /// A string is not UTF-8.
    InvalidUtf8,
    /// The level is not 0 to 7.
    LevelRange,
    /// An escape is half of a surrogate pair.
    LoneSurrogate,
    /// The member is missing.
    Missing(Member),
    /// An integer is beyond 64 bits, and kept as its digits; or a number is beyond what a 64-bit float holds, and the
    /// field is dropped.
    NumberRange,
    /// `_id` is reserved.
    ReservedField,
    /// The timestamp is further from the epoch than can be held, and is dropped.
    TimestampRange,
    /// A comma stands before the closing bracket.
    TrailingComma,
    /// Something follows the object, and is ignored.
    TrailingData,
    /// Null bytes follow the object, as framed messages have them on a stream.
    TrailingNul,
    /// A member that GELF does not know has no underscore before its name.
    UnprefixedField,
    /// The version is not "1.1".
    UnsupportedVersion,
    /// The member has a value of another type; what can be is converted.
    WrongType(Member),
}

/// A payload could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    offset: usize,
}

impl DecodeError {
    fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What is wrong.
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// At which byte.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

/// Why a payload could not be read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// It deviates from GELF 1.1. From a lenient decoder only a missing `short_message`, where nothing can stand in.
    Deviation(DeviationKind),
    /// There is nothing, or only white space.
    EmptyPayload,
    /// It is not JSON.
    JsonSyntax,
    /// A member's name is longer than the decoder allows.
    NameTooLong,
    /// It is JSON, but no object.
    NotAnObject,
    /// It is longer than the decoder allows.
    PayloadTooLarge,
    /// Arrays and objects are nested more than 128 deep.
    TooDeep,
    /// It has more members than the decoder allows.
    TooManyMembers,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FullMessage => "full_message",
            Self::Host => "host",
            Self::Legacy => "facility, file or line",
            Self::Level => "level",
            Self::ShortMessage => "short_message",
            Self::Timestamp => "timestamp",
            Self::Version => "version",
        })
    }
}

impl fmt::Display for DeviationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank(member) => write!(f, "{member} is blank"),
            Self::ByteOrderMark => f.write_str("a byte order mark stands first"),
            Self::ControlCharacter => f.write_str("a raw control character stands in a string"),
            Self::DuplicateKey => f.write_str("a name stands twice"),
            Self::FieldName => {
                f.write_str("a field's name has other characters than letters, digits, '_', '.' and '-'")
            }
            Self::FieldValue => f.write_str("a field's value is neither a string nor a number"),
            Self::InvalidUtf8 => f.write_str("the text is not UTF-8"),
            Self::LevelRange => f.write_str("level is not 0 to 7"),
            Self::LoneSurrogate => f.write_str("an escape is half of a surrogate pair"),
            Self::Missing(member) => write!(f, "{member} is missing"),
            Self::NumberRange => f.write_str("a number is out of range"),
            Self::ReservedField => f.write_str("the field _id is reserved"),
            Self::TimestampRange => f.write_str("timestamp is out of range"),
            Self::TrailingComma => f.write_str("a comma stands before a closing bracket"),
            Self::TrailingData => f.write_str("something follows the object"),
            Self::TrailingNul => f.write_str("null bytes follow the object"),
            Self::UnprefixedField => f.write_str("a member of the sender's own has no underscore"),
            Self::UnsupportedVersion => f.write_str("version is not \"1.1\""),
            Self::WrongType(member) => write!(f, "{member} has a value of the wrong type"),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DecodeErrorKind::Deviation(kind) => kind.fmt(f)?,
            DecodeErrorKind::EmptyPayload => f.write_str("the payload is empty")?,
            DecodeErrorKind::JsonSyntax => f.write_str("the payload is not JSON")?,
            DecodeErrorKind::NameTooLong => f.write_str("a member's name is too long")?,
            DecodeErrorKind::PayloadTooLarge => f.write_str("the payload is too long")?,
            DecodeErrorKind::NotAnObject => f.write_str("the payload is not a JSON object")?,
            DecodeErrorKind::TooDeep => write!(f, "the payload is nested more than {MAX_DEPTH} deep")?,
            DecodeErrorKind::TooManyMembers => f.write_str("the message has too many members")?,
        }
        write!(f, " (byte {})", self.offset)
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests;
