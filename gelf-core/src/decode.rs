//! Decodes JSON to messages.
//!
//! There is one parser. It reads what Graylog and Logstash read, and what the known senders send, and lists the
//! deviations from GELF 1.1. A [lenient](Decoder::lenient) decoder returns the message with
//! that list. A [strict](Decoder::strict) decoder returns the first deviation as an error.
//!
//! Lenient decoding treats deviations as follows:
//!
//! - In `timestamp`, `level` and `line`, a number in quotes is read as a number.
//! - A member with the value `null` is left out.
//! - A boolean in an additional field stays a boolean.
//! - An array or object in a field becomes its JSON text.
//! - A level or timestamp that cannot be read becomes a field `level` or `timestamp`. If it is a blank text or a
//!   number beyond the range of a 64-bit float, it is left out.
//! - If two members have the same name, the last one counts.
//! - A `message` that is not blank replaces a missing or blank `short_message`. Without such a `message`, the
//!   first line of `full_message` that is not blank replaces a missing `short_message`.
//! - Invalid UTF-8 becomes U+FFFD.

mod escape_block;
mod invalid_utf8;
mod json;
mod members;
mod names;
mod text_buffer;
mod unescape;
mod visitor;
mod white_space;

use std::fmt;

use crate::message::{FieldName, Message};
use invalid_utf8::{Corrected, corrected};
use json::Reader;
use members::Members;
use names::Names;
use text_buffer::TextBuffer;
use visitor::{Collector, Owning};

pub use visitor::Visitor;

/// The maximum nesting of arrays and objects, including the message: 128. A field keeps a nested value as
/// JSON text, and programs that parse this text later recurse for each level, so the limit protects their
/// stacks.
const MAX_DEPTH: usize = 128;

/// Decodes payloads, one after another. A decoder reuses its buffers, so create one and keep it.
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
#[derive(Clone)]
pub struct Decoder {
    limits: Limits,
    names: Names,
    /// The deviations of the current member; the memory is reused.
    deviations: Vec<Deviation>,
    /// The buffer for strings with escapes; the memory is reused.
    buffer: TextBuffer,
}

/// The mode and the limits of a decoder.
#[derive(Clone, Copy, Debug)]
struct Limits {
    strict: bool,
    max_members: usize,
    max_name_bytes: usize,
    max_payload_bytes: usize,
}

/// A decoded message, and the deviations of its text from GELF 1.1.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decoded<'a> {
    /// The message.
    pub message: Message<'a>,
    /// The deviations in the order in which they were found, at most [`Decoder::MAX_DEVIATIONS`]. Deviations
    /// of one kind in one member share an entry, with their number in [`count`](Deviation::count).
    pub deviations: Vec<Deviation>,
    /// The number of deviations beyond [`Decoder::MAX_DEVIATIONS`].
    pub further_deviations: usize,
}

/// Omits the buffers.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Creates a [lenient](Decoder::lenient) decoder.
impl Default for Decoder {
    fn default() -> Self {
        Self::lenient()
    }
}

impl Decoder {
    /// The default maximum number of members of a message: 1,024. The limit bounds the time to decode a
    /// payload: a compressed datagram can contain more than 100,000 tiny members.
    pub const DEFAULT_MAX_MEMBERS: usize = 1024;

    /// The default maximum length of a member's name in bytes: 1,024. The limit keeps longer names out of the
    /// index of a log store: such an index keeps every field name that the store has received.
    pub const DEFAULT_MAX_NAME_BYTES: usize = FieldName::MAX_BYTES + 1;

    /// The default maximum length of a payload in bytes: 8 MiB. By default, an inflated payload has the same
    /// limit. The limit also applies to the text in which invalid UTF-8 is replaced.
    pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 8 * 1024 * 1024;

    /// The maximum number of nested values of a message: 65,536. Each array, each object and each value in
    /// them counts as one. GELF allows neither arrays nor objects as values of members, and a lenient decoder keeps
    /// them as text. The limit bounds the time to check their syntax: a payload can contain millions of tiny
    /// values. 65,536 values of 32 bytes take 2 MiB, the limit of Graylog's TCP input.
    pub const MAX_NESTED_VALUES: usize = 64 * 1024;

    /// The maximum number of escapes in the strings of a message: 393,216. The limit bounds the time to decode
    /// a payload, which may have nothing but escapes. Usual JSON in a string has fewer escapes in 2 MiB, the
    /// limit of Graylog's TCP input. A pair of surrogates counts as two escapes. A sequence of invalid UTF-8,
    /// which becomes U+FFFD, counts as four.
    pub const MAX_ESCAPES: usize = 384 * 1024;

    /// The maximum number of [`Deviation`]s that are reported for a message: 1,024. Further deviations are only
    /// counted.
    pub const MAX_DEVIATIONS: usize = 1024;

    /// Creates a decoder that corrects and reports deviations.
    pub fn lenient() -> Self {
        Self::new(false)
    }

    /// Creates a decoder that accepts only GELF 1.1.
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
        Self { limits, names: Names::default(), deviations: Vec::new(), buffer: TextBuffer::default() }
    }

    /// Sets the maximum number of members of a message.
    #[must_use]
    pub fn with_max_members(mut self, members: usize) -> Self {
        self.limits.max_members = members;
        self
    }

    /// Sets the maximum length of a member's name in bytes.
    #[must_use]
    pub fn with_max_name_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_name_bytes = bytes;
        self
    }

    /// Sets the maximum length of a payload in bytes, before and after invalid UTF-8 is replaced.
    #[must_use]
    pub fn with_max_payload_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_payload_bytes = bytes;
        self
    }

    /// Decodes a payload. The message borrows text from the payload.
    ///
    /// # Errors
    /// See [`DecodeErrorKind`]. All errors are the sender's fault.
    pub fn decode<'a>(&mut self, payload: &'a [u8]) -> Result<Decoded<'a>, DecodeError> {
        let mut collector = Collector::default();
        self.decode_with(payload, &mut collector)?;
        Ok(collector.finish())
    }

    /// Decodes a payload and passes its parts to a [`Visitor`].
    ///
    /// Text without escapes is borrowed if the payload is UTF-8, and nothing is allocated for such text.
    ///
    /// # Errors
    /// See [`decode`](Self::decode). The visitor may have received fields before the error.
    pub fn decode_with<'a>(
        &mut self,
        payload: &'a [u8],
        visitor: &mut impl Visitor<'a>,
    ) -> Result<(), DecodeError> {
        if payload.len() > self.limits.max_payload_bytes {
            return Err(DecodeError::new(DecodeErrorKind::PayloadTooLarge, self.limits.max_payload_bytes));
        }
        self.deviations.clear();
        let offset = match simdutf8::compat::from_utf8(payload) {
            Ok(text) => return self.decode_text(text, 0, visitor),
            Err(error) => error.valid_up_to(),
        };
        let kind = DeviationKind::InvalidUtf8;
        if self.limits.strict {
            return Err(DecodeError::new(DecodeErrorKind::Deviation(kind), offset));
        }
        self.deviations.push(Deviation { kind, offset, count: 1 });
        let Corrected { text, replaced } =
            corrected(payload, self.limits.max_payload_bytes, Self::MAX_ESCAPES / 4, &mut self.buffer)
                .map_err(|kind| DecodeError::new(kind, offset))?;
        self.decode_text(&text, 4 * replaced, &mut Owning(visitor))
    }

    /// Decodes text. `escapes` is the initial number of escapes: four for each sequence of invalid UTF-8 that
    /// was replaced in the text.
    fn decode_text<'t>(
        &mut self,
        text: &'t str,
        escapes: usize,
        visitor: &mut impl Visitor<'t>,
    ) -> Result<(), DecodeError> {
        let Self { limits, names, deviations, buffer } = self;
        let mut reader = Reader::new(text, escapes, *limits, deviations, buffer);
        reader.begin()?;
        let mut members = Members::new(names);
        let (mut count, mut report) = (0, Report::default());
        while let Some((name, offset)) = reader.name(count == 0)? {
            count += 1;
            if count > limits.max_members {
                return Err(DecodeError::new(DecodeErrorKind::TooManyMembers, offset));
            }
            members.add(&mut reader, visitor, name, offset)?;
            if reader.has_deviations() {
                report.pass(reader.deviations(), visitor);
            }
        }
        reader.end()?;
        members.finish(&mut reader, visitor)?;
        report.pass(reader.deviations(), visitor);
        if report.further > 0 {
            visitor.further_deviations(report.further);
        }
        Ok(())
    }
}

/// The number of [`Deviation`]s of a message that were passed to the visitor, and the sum of the counts of all
/// further [`Deviation`]s.
#[derive(Default)]
struct Report {
    passed: usize,
    further: usize,
}

impl Report {
    #[cold]
    fn pass<'a>(&mut self, deviations: &mut Vec<Deviation>, visitor: &mut impl Visitor<'a>) {
        for deviation in deviations.drain(..) {
            if self.passed < Decoder::MAX_DEVIATIONS {
                self.passed += 1;
                visitor.deviation(deviation);
            } else {
                self.further += deviation.count;
            }
        }
    }
}

/// A deviation of a text from GELF 1.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Deviation {
    /// The kind of the deviation.
    pub kind: DeviationKind,
    /// The byte offset of the name of the member that deviates, or of the character that deviates; for a trailing
    /// comma, the offset of the bracket behind it. If a member is missing, this is the offset behind the object and
    /// the white space that follows it. If the payload is not UTF-8, this is the offset in the corrected text.
    pub offset: usize,
    /// The number of deviations of this kind in the member. The field `offset` is the offset of the first
    /// deviation. Text that is not UTF-8 counts once for the payload.
    pub count: usize,
}

/// The member that a [`DeviationKind`] concerns.
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

/// The kind of a [`Deviation`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DeviationKind {
    /// The member is empty or only white space, and Graylog refuses the message.
    Blank(Member),
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// A string contains a raw control character.
    ControlCharacter,
    /// A name occurs twice.
    DuplicateKey,
    /// The name of a field is empty or has characters that are not allowed. A member with the name `""` is left
    /// out.
    FieldName,
    /// The value of a field is neither a string nor a number. A field that is null is left out.
    FieldValue,
    /// The payload is not UTF-8.
    InvalidUtf8,
    /// The level is not 0 to 7, and is kept as a field. A number beyond the range of a 64-bit float is left out.
    LevelRange,
    /// An escape is half of a surrogate pair.
    LoneSurrogate,
    /// The member is missing.
    Missing(Member),
    /// A number is out of range. If it is an integer beyond 64 bits, its digits are kept. If it is beyond the
    /// range of a 64-bit float, the field is left out.
    NumberRange,
    /// A field has the reserved name `_id`.
    ReservedField,
    /// The timestamp is further from the epoch than
    /// [`Timestamp::MAX_SECONDS`](crate::Timestamp::MAX_SECONDS), and is kept as a field. A number beyond the
    /// range of a 64-bit float is left out.
    TimestampRange,
    /// A comma precedes a closing bracket.
    TrailingComma,
    /// Text follows the object, and is ignored.
    TrailingData,
    /// Null bytes follow the object, as at the end of a message over TCP.
    TrailingNul,
    /// The name of a member that GELF does not define has no underscore.
    UnprefixedField,
    /// The version is not "1.1".
    UnsupportedVersion,
    /// The member has a value of another type than GELF 1.1 defines. The value is converted if possible.
    WrongType(Member),
}

/// The error for a payload that cannot be decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    offset: usize,
}

impl DecodeError {
    fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// Returns the byte offset of the error. If the payload is not UTF-8, this is the offset in the corrected
    /// text.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

/// The kind of a [`DecodeError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The payload deviates from GELF 1.1. A lenient decoder returns this only for a missing `short_message`
    /// that no other member can replace.
    Deviation(DeviationKind),
    /// The payload is empty or only white space.
    EmptyPayload,
    /// The payload is not JSON.
    JsonSyntax,
    /// A member's name is longer than the decoder's limit.
    NameTooLong,
    /// The payload begins with a JSON value that is not an object.
    NotAnObject,
    /// The payload, or its text in which invalid UTF-8 is replaced, is longer than the decoder's limit.
    PayloadTooLarge,
    /// Arrays and objects are nested more than 128 levels deep.
    TooDeep,
    /// The strings of the message have more than [`Decoder::MAX_ESCAPES`] escapes. A sequence of invalid UTF-8
    /// counts as four escapes.
    TooManyEscapes,
    /// The message has more members than the decoder's limit.
    TooManyMembers,
    /// The message has more than [`Decoder::MAX_NESTED_VALUES`] nested values: arrays, objects and the values
    /// in them.
    TooManyValues,
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
            Self::ByteOrderMark => f.write_str("the text begins with a byte order mark"),
            Self::ControlCharacter => f.write_str("a string contains a raw control character"),
            Self::DuplicateKey => f.write_str("a name occurs twice"),
            Self::FieldName => f.write_str(
                "a field's name is empty or has characters other than letters, digits, '_', '.' and '-'",
            ),
            Self::FieldValue => f.write_str("a field's value is neither a string nor a number"),
            Self::InvalidUtf8 => f.write_str("the text is not UTF-8"),
            Self::LevelRange => f.write_str("level is not 0 to 7"),
            Self::LoneSurrogate => f.write_str("an escape is half of a surrogate pair"),
            Self::Missing(member) => write!(f, "{member} is missing"),
            Self::NumberRange => f.write_str("a number is out of range"),
            Self::ReservedField => f.write_str("the field _id is reserved"),
            Self::TimestampRange => f.write_str("timestamp is out of range"),
            Self::TrailingComma => f.write_str("a comma precedes a closing bracket"),
            Self::TrailingData => f.write_str("text follows the object"),
            Self::TrailingNul => f.write_str("null bytes follow the object"),
            Self::UnprefixedField => f.write_str("the name of an additional member has no underscore"),
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
            DecodeErrorKind::TooDeep => write!(f, "the payload is nested more than {MAX_DEPTH} levels deep")?,
            DecodeErrorKind::TooManyEscapes => f.write_str("the strings have too many escapes")?,
            DecodeErrorKind::TooManyMembers => f.write_str("the message has too many members")?,
            DecodeErrorKind::TooManyValues => f.write_str("the arrays and objects have too many values")?,
        }
        write!(f, " (byte {})", self.offset)
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests;
