//! Interprets the members of the JSON object.

use std::borrow::Cow;

use super::json::{Json, Reader};
use super::names::Names;
use super::white_space::{is_blank, trim};
use super::{DecodeError, DecodeErrorKind, DeviationKind, Member, Visitor};
use crate::message::number::{exact_integer, is_plain, json_number_len};
use crate::message::{FieldName, InvalidFieldName, InvalidTimestamp, Level, Number, Timestamp, Value};

/// The members that GELF defines. Additional fields are passed on as they are found.
pub(super) struct Members<'a, 'n> {
    names: &'n mut Names,
    version: Defined<()>,
    host: Defined<Cow<'a, str>>,
    short_message: Defined<Cow<'a, str>>,
    short_is_blank: bool,
    full_message: Defined<Cow<'a, str>>,
    timestamp: Defined<Timestamp>,
    level: Defined<Level>,
    /// The members that become fields only at the end of the message, at most one of each name. Few messages
    /// have such members.
    stand_ins: Vec<StandIn<'a>>,
}

/// A member that GELF defines.
struct Defined<T> {
    seen: bool,
    /// `None` if the member is missing or its value is left out.
    value: Option<T>,
}

impl<T> Default for Defined<T> {
    fn default() -> Self {
        Self { seen: false, value: None }
    }
}

impl<T> Defined<T> {
    /// Notes that the member occurs, and reports a repetition.
    fn see(&mut self, reader: &mut Reader<'_, '_>, offset: usize) -> Result<(), DecodeError> {
        repeated(reader, std::mem::replace(&mut self.seen, true), offset)
    }
}

/// A member that may become a field at the end of the message: a `message`, or a `level` or `timestamp` that
/// cannot be read. A later member can supersede it. A `message` can also replace a missing or blank
/// `short_message`.
struct StandIn<'a> {
    name: &'static str,
    value: Json<'a>,
    field: AsField,
}

/// The relation of a stand-in to the fields that have the same name with an underscore.
#[derive(Clone, Copy, PartialEq)]
enum AsField {
    /// No field has the same name.
    New,
    /// A field with the same name precedes the stand-in, which replaces that field.
    Repeated,
    /// A field with the same name follows the stand-in and replaces it.
    Superseded,
    /// A later member, which becomes no field, has replaced the stand-in. Only the name of the stand-in is left.
    Withdrawn,
}

impl<'a, 'n> Members<'a, 'n> {
    pub(super) fn new(names: &'n mut Names) -> Self {
        names.clear();
        Self {
            names,
            version: Defined::default(),
            host: Defined::default(),
            short_message: Defined::default(),
            short_is_blank: false,
            full_message: Defined::default(),
            timestamp: Defined::default(),
            level: Defined::default(),
            stand_ins: Vec::new(),
        }
    }

    /// Reads the value of a member whose name has been read. An additional field is passed to the visitor.
    #[inline(always)]
    pub(super) fn add(
        &mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
        name: Cow<'a, str>,
        offset: usize,
    ) -> Result<(), DecodeError> {
        if let Cow::Borrowed(name) = name {
            if let Some(bare) = name.strip_prefix('_') {
                return self.prefixed(reader, visitor, Cow::Borrowed(bare), offset);
            }
        }
        self.other(reader, visitor, name, offset)
    }

    /// Reads an additional field. `bare` is its name without the underscore.
    #[inline(always)]
    fn prefixed(
        &mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
        bare: Cow<'a, str>,
        offset: usize,
    ) -> Result<(), DecodeError> {
        let name = FieldName::decoded(bare);
        if !name.is_foreign() {
            if let Some(text) = reader.plain_string() {
                let value = Value::Str(Cow::Borrowed(text));
                return self.field(reader, visitor, name, value, offset);
            }
        }
        let value = reader.value()?;
        self.prefixed_value(reader, visitor, name, value, offset)
    }

    fn prefixed_value(
        &mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
        name: FieldName<'a>,
        value: Json<'a>,
        offset: usize,
    ) -> Result<(), DecodeError> {
        match name.fault() {
            // A valid but long name is accepted up to the decoder's limit on the length of names.
            None | Some(InvalidFieldName::TooLong { .. }) => {}
            Some(InvalidFieldName::Reserved) => reader.deviate(DeviationKind::ReservedField, offset)?,
            Some(_) => reader.deviate(DeviationKind::FieldName, offset)?,
        }
        let value = field_value(reader, value, offset)?;
        self.field(reader, visitor, name, value, offset)
    }

    /// Reads a member whose name has no underscore, or has escapes.
    #[inline(never)]
    fn other(
        &mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
        name: Cow<'a, str>,
        offset: usize,
    ) -> Result<(), DecodeError> {
        let value = reader.value()?;
        match &*name {
            "version" => {
                self.version.see(reader, offset)?;
                check_version(reader, &value, offset)
            }
            "host" => {
                self.host.see(reader, offset)?;
                let text = text(reader, Member::Host, value, offset)?;
                let blank = text.as_deref().is_some_and(is_blank);
                if blank {
                    reader.deviate(DeviationKind::Blank(Member::Host), offset)?;
                }
                self.host.value = text.filter(|_| !blank);
                Ok(())
            }
            "short_message" => {
                self.short_message.see(reader, offset)?;
                let text = text(reader, Member::ShortMessage, value, offset)?;
                self.short_is_blank = text.as_deref().is_some_and(is_blank);
                if self.short_is_blank {
                    reader.deviate(DeviationKind::Blank(Member::ShortMessage), offset)?;
                }
                self.short_message.value = text;
                Ok(())
            }
            "full_message" => {
                self.full_message.see(reader, offset)?;
                self.full_message.value = text(reader, Member::FullMessage, value, offset)?;
                Ok(())
            }
            "timestamp" => {
                self.timestamp.see(reader, offset)?;
                let read = timestamp(reader, &value, offset)?;
                self.timestamp.value = read.ok();
                self.stand_in(reader, "timestamp", Some(value).filter(|_| read == Err(Unread::Kept)), offset)
            }
            "level" => {
                self.level.see(reader, offset)?;
                let read = level(reader, &value, offset)?;
                self.level.value = read.ok();
                self.stand_in(reader, "level", Some(value).filter(|_| read == Err(Unread::Kept)), offset)
            }
            "facility" | "file" | "line" => {
                let value = legacy(reader, &name, value, offset)?;
                self.field(reader, visitor, FieldName::decoded(name), value, offset)
            }
            _ => self.additional(reader, visitor, name, value, offset),
        }
    }

    fn additional(
        &mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
        name: Cow<'a, str>,
        value: Json<'a>,
        offset: usize,
    ) -> Result<(), DecodeError> {
        if let Some(bare) = name.strip_prefix('_') {
            let name = FieldName::decoded(Cow::Owned(bare.to_owned()));
            return self.prefixed_value(reader, visitor, name, value, offset);
        }
        if name.is_empty() {
            return reader.deviate(DeviationKind::FieldName, offset);
        }
        reader.deviate(DeviationKind::UnprefixedField, offset)?;
        if name == "message" && value != Json::Null {
            if let (_, Some(kind)) = converted(value.clone()) {
                reader.deviate(kind, offset)?;
            }
            repeated(reader, self.stand_ins.iter().any(|known| known.name == name), offset)?;
            return self.stand_in(reader, "message", Some(value), offset);
        }
        self.stand_ins.retain(|known| known.name != name);
        let value = field_value(reader, value, offset)?;
        self.field(reader, visitor, FieldName::decoded(name), value, offset)
    }

    /// Passes a field to the visitor. If two fields have the same name, the last one counts, as in most JSON
    /// parsers. The value is null if the field is left out.
    #[inline(always)]
    fn field(
        &mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
        name: FieldName<'a>,
        value: Value<'a>,
        offset: usize,
    ) -> Result<(), DecodeError> {
        if !self.names.insert(name.as_str()) {
            return self.repeated_field(reader, visitor, name, value, offset);
        }
        if !value.is_null() {
            visitor.field(name, value);
        }
        Ok(())
    }

    #[cold]
    fn repeated_field(
        &mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
        name: FieldName<'a>,
        value: Value<'a>,
        offset: usize,
    ) -> Result<(), DecodeError> {
        let withdrawn = |known: &StandIn<'_>| known.field == AsField::Withdrawn && name == known.name;
        if let Some(at) = self.stand_ins.iter().position(withdrawn) {
            // No field has this name yet.
            self.stand_ins.swap_remove(at);
            if !value.is_null() {
                visitor.field(name, value);
            }
            return Ok(());
        }
        reader.deviate(DeviationKind::DuplicateKey, offset)?;
        for stand_in in self.stand_ins.iter_mut().filter(|stand_in| name == stand_in.name) {
            stand_in.field = AsField::Superseded;
        }
        visitor.repeated_field(name, value);
        Ok(())
    }

    /// Keeps a value for the end of the message, in place of an earlier value of the same name. If `value` is
    /// `None`, only withdraws the earlier value.
    fn stand_in(
        &mut self,
        reader: &mut Reader<'a, '_>,
        name: &'static str,
        value: Option<Json<'a>>,
        offset: usize,
    ) -> Result<(), DecodeError> {
        let earlier = self.stand_ins.iter().position(|known| known.name == name);
        let earlier = earlier.map(|at| self.stand_ins.swap_remove(at).field);
        let Some(value) = value else {
            if let Some(AsField::New | AsField::Withdrawn) = earlier {
                self.stand_ins.push(StandIn { name, value: Json::Null, field: AsField::Withdrawn });
            }
            return Ok(());
        };
        let field = match earlier {
            // The earlier value has already registered the name.
            Some(AsField::New | AsField::Withdrawn) => AsField::New,
            Some(AsField::Repeated | AsField::Superseded) => AsField::Repeated,
            None if self.names.insert(name) => AsField::New,
            None => {
                reader.deviate(DeviationKind::DuplicateKey, offset)?;
                AsField::Repeated
            }
        };
        self.stand_ins.push(StandIn { name, value, field });
        Ok(())
    }

    /// Takes the text of a `message` for use as the short message. Returns `None` if the `message` is missing
    /// or blank.
    fn message(&mut self) -> Option<Cow<'a, str>> {
        let is_text = |known: &StandIn<'_>| known.name == "message" && !is_empty(&known.value);
        let at = self.stand_ins.iter().position(is_text)?;
        Some(self.stand_ins.swap_remove(at).value.into_text())
    }

    /// Passes the remaining fields and the members that GELF defines to the visitor, once all members have been
    /// read.
    pub(super) fn finish(
        mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
    ) -> Result<(), DecodeError> {
        let end = reader.offset();
        for (missing, member) in [
            (!self.version.seen, Member::Version),
            (!self.host.seen, Member::Host),
            (!self.short_message.seen, Member::ShortMessage),
        ] {
            if missing {
                reader.deviate(DeviationKind::Missing(member), end)?;
            }
        }
        let full_message = self.full_message.value.take();
        let short_message = match self.short_message.value.take() {
            Some(text) if !self.short_is_blank => text,
            // `message` replaces a blank or missing text. The first line of `full_message`, which Logstash uses,
            // replaces only a missing text.
            blank => match (self.message(), blank, &full_message) {
                (Some(message), _, _) => message,
                (None, Some(blank), _) => blank,
                (None, None, Some(text)) => first_line(text),
                (None, None, None) => {
                    let missing = DeviationKind::Missing(Member::ShortMessage);
                    return Err(DecodeError::new(DecodeErrorKind::Deviation(missing), end));
                }
            },
        };
        for StandIn { name, value, field } in self.stand_ins {
            let name = FieldName::decoded(Cow::Borrowed(name));
            match (field, converted(value).0) {
                (AsField::New, Value::Null) | (AsField::Superseded | AsField::Withdrawn, _) => {}
                (AsField::New, value) => visitor.field(name, value),
                (AsField::Repeated, value) => visitor.repeated_field(name, value),
            }
        }
        if let Some(host) = self.host.value {
            visitor.host(host);
        }
        visitor.short_message(short_message);
        if let Some(full_message) = full_message {
            visitor.full_message(full_message);
        }
        if let Some(timestamp) = self.timestamp.value {
            visitor.timestamp(timestamp);
        }
        if let Some(level) = self.level.value {
            visitor.level(level);
        }
        Ok(())
    }
}

/// Converts the value of a field, and reports its deviation. Returns null if the field is left out.
fn field_value<'a>(
    reader: &mut Reader<'a, '_>,
    value: Json<'a>,
    offset: usize,
) -> Result<Value<'a>, DecodeError> {
    let (value, deviation) = converted(value);
    if let Some(kind) = deviation {
        reader.deviate(kind, offset)?;
    }
    Ok(value)
}

/// Converts the value of a field, and returns its deviation.
#[inline]
fn converted(value: Json<'_>) -> (Value<'_>, Option<DeviationKind>) {
    match value {
        Json::Str(text) => (Value::Str(text), None),
        Json::Number(text) => match finite(Cow::Borrowed(text)) {
            Some(number) => {
                let too_large = number.is_beyond_i64() && number.as_u64().is_none();
                (Value::Number(number), too_large.then_some(DeviationKind::NumberRange))
            }
            None => (Value::Null, Some(DeviationKind::NumberRange)),
        },
        Json::Bool(value) => (Value::Bool(value), Some(DeviationKind::FieldValue)),
        Json::Container(text) => (Value::Str(Cow::Borrowed(text)), Some(DeviationKind::FieldValue)),
        Json::Null => (Value::Null, Some(DeviationKind::FieldValue)),
    }
}

/// Converts a JSON number. Returns `None` if the number is beyond the range of a float, since several readers
/// would convert it to infinity.
fn finite(text: Cow<'_, str>) -> Option<Number<'_>> {
    Some(Number::from_valid(text)).filter(Number::is_finite)
}

/// Returns the first line that is not blank, or a blank text if there is no such line.
fn first_line<'a>(text: &Cow<'a, str>) -> Cow<'a, str> {
    #[allow(clippy::indexing_slicing, reason = "the line begins behind a line feed")]
    fn find(text: &str) -> &str {
        let blank = text.len() - text.trim_start().len();
        let start =
            text.as_bytes().iter().take(blank).rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        text[start..].lines().next().unwrap_or_default()
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(find(text)),
        Cow::Owned(text) => Cow::Owned(find(text).to_owned()),
    }
}

fn repeated(reader: &mut Reader<'_, '_>, seen: bool, offset: usize) -> Result<(), DecodeError> {
    if seen { reader.deviate(DeviationKind::DuplicateKey, offset) } else { Ok(()) }
}

fn check_version(reader: &mut Reader<'_, '_>, value: &Json<'_>, offset: usize) -> Result<(), DecodeError> {
    match value {
        Json::Str(version) if version == "1.1" => Ok(()),
        Json::Str(_) => reader.deviate(DeviationKind::UnsupportedVersion, offset),
        _ => reader.deviate(DeviationKind::WrongType(Member::Version), offset),
    }
}

/// Converts a member that should be a string. A value of another type becomes its JSON text, and null is left
/// out.
fn text<'a>(
    reader: &mut Reader<'a, '_>,
    member: Member,
    value: Json<'a>,
    offset: usize,
) -> Result<Option<Cow<'a, str>>, DecodeError> {
    match value {
        Json::Str(text) => Ok(Some(text)),
        other => {
            reader.deviate(DeviationKind::WrongType(member), offset)?;
            Ok((other != Json::Null).then(|| other.into_text()))
        }
    }
}

/// The reason why a level or timestamp has no value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unread {
    /// Null or a blank text, which is left out.
    Empty,
    /// A value that cannot be read, and is kept as a field.
    Kept,
}

/// Converts a number of seconds. In lenient mode, also converts a number in quotes or a date with a time.
fn timestamp(
    reader: &mut Reader<'_, '_>,
    value: &Json<'_>,
    offset: usize,
) -> Result<Result<Timestamp, Unread>, DecodeError> {
    if !matches!(value, Json::Number(_)) {
        reader.deviate(DeviationKind::WrongType(Member::Timestamp), offset)?;
    }
    let read = match value {
        Json::Number(text) => Timestamp::from_decimal(text),
        Json::Null => return Ok(Err(Unread::Empty)),
        Json::Str(text) => match trim(text) {
            "" => return Ok(Err(Unread::Empty)),
            text => match Timestamp::from_decimal(text) {
                Err(InvalidTimestamp::Syntax) => Timestamp::from_rfc3339(text),
                read => read,
            },
        },
        Json::Bool(_) | Json::Container(_) => Err(InvalidTimestamp::Syntax),
    };
    if read == Err(InvalidTimestamp::Range) {
        reader.deviate(DeviationKind::TimestampRange, offset)?;
    }
    Ok(read.map_err(|_| Unread::Kept))
}

/// Converts a number from 0 to 7. In lenient mode, also converts a number in quotes or a keyword.
fn level(
    reader: &mut Reader<'_, '_>,
    value: &Json<'_>,
    offset: usize,
) -> Result<Result<Level, Unread>, DecodeError> {
    let of_number = |number: Option<i64>| {
        number.and_then(|number| u8::try_from(number).ok()).and_then(|number| Level::try_from(number).ok())
    };
    if let Json::Number(text) = value {
        let level = of_number(exact_integer(text));
        if level.is_none() {
            reader.deviate(DeviationKind::LevelRange, offset)?;
        }
        return Ok(level.ok_or(Unread::Kept));
    }
    reader.deviate(DeviationKind::WrongType(Member::Level), offset)?;
    Ok(match value {
        Json::Null => Err(Unread::Empty),
        Json::Str(text) => match trim(text) {
            "" => Err(Unread::Empty),
            text => of_number(json_integer(text)).or_else(|| text.parse().ok()).ok_or(Unread::Kept),
        },
        Json::Bool(_) | Json::Container(_) | Json::Number(_) => Err(Unread::Kept),
    })
}

/// Returns whether a value is null or a blank text. A `message` with such a value does not replace the short
/// message.
fn is_empty(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::Str(text) => is_blank(text),
        Json::Bool(_) | Json::Container(_) | Json::Number(_) => false,
    }
}

/// Parses an integer, which may have any notation of a JSON number.
fn json_integer(text: &str) -> Option<i64> {
    (json_number_len(text.as_bytes()) == Some(text.len())).then(|| exact_integer(text)).flatten()
}

/// Converts a member of GELF 1.0 to a field. `facility` and `file` should be strings, and `line` an integer.
fn legacy<'a>(
    reader: &mut Reader<'a, '_>,
    name: &str,
    value: Json<'a>,
    offset: usize,
) -> Result<Value<'a>, DecodeError> {
    match value {
        Json::Str(text) if name != "line" => Ok(Value::Str(text)),
        Json::Number(text) if name == "line" && (is_plain(text) || exact_integer(text).is_some()) => {
            field_value(reader, value, offset)
        }
        other => {
            reader.deviate(DeviationKind::WrongType(Member::Legacy), offset)?;
            if other == Json::Null {
                return Ok(Value::Null);
            }
            let is_number = matches!(other, Json::Number(_));
            let text = other.into_text();
            Ok(match (name, is_number) {
                ("line", true) => finite(text).map_or(Value::Null, Value::Number),
                ("line", false) => {
                    let number = Number::parse(text.clone()).filter(Number::is_finite);
                    number.map_or(Value::Str(text), Value::Number)
                }
                _ => Value::Str(text),
            })
        }
    }
}
