//! The meaning of the object's members.

use std::borrow::Cow;

use super::json::{Json, Reader};
use super::names::Names;
use super::{DecodeError, DecodeErrorKind, DeviationKind, Member, Visitor};
use crate::message::{FieldName, InvalidFieldName, InvalidTimestamp, Level, Number, Timestamp, Value};

/// The members that GELF defines. Additional fields are passed on as they are found.
pub(super) struct Members<'a, 'n> {
    names: &'n mut Names,
    version_seen: bool,
    host: Option<Option<Cow<'a, str>>>,
    short_message: Option<Option<Cow<'a, str>>>,
    /// An unprefixed `message`, which Graylog uses if there is no `short_message`.
    message: Option<Cow<'a, str>>,
    full_message: Option<Option<Cow<'a, str>>>,
    timestamp: Option<Option<Timestamp>>,
    level: Option<Option<Level>>,
}

impl<'a, 'n> Members<'a, 'n> {
    pub(super) fn new(names: &'n mut Names) -> Self {
        names.clear();
        Self {
            names,
            version_seen: false,
            host: None,
            short_message: None,
            message: None,
            full_message: None,
            timestamp: None,
            level: None,
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

    /// Reads an additional field; the name is without the underscore.
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
                return self.field(reader, visitor, name, Value::Str(Cow::Borrowed(text)), offset);
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
            // A valid but long name is accepted up to the decoder's limit.
            None | Some(InvalidFieldName::TooLong { .. }) => {}
            Some(InvalidFieldName::Reserved) => reader.deviate(DeviationKind::ReservedField, offset)?,
            Some(_) => reader.deviate(DeviationKind::FieldName, offset)?,
        }
        match field_value(reader, value, offset)? {
            Some(value) => self.field(reader, visitor, name, value, offset),
            None => Ok(()),
        }
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
                let seen = std::mem::replace(&mut self.version_seen, true);
                repeated(reader, seen, offset)?;
                check_version(reader, &value, offset)
            }
            "host" => {
                repeated(reader, self.host.is_some(), offset)?;
                let text = text(reader, Member::Host, value, offset)?;
                let blank = text.as_deref().is_some_and(is_blank);
                if blank {
                    reader.deviate(DeviationKind::Blank(Member::Host), offset)?;
                }
                self.host = Some(text.filter(|_| !blank));
                Ok(())
            }
            "short_message" => {
                repeated(reader, self.short_message.is_some(), offset)?;
                let text = text(reader, Member::ShortMessage, value, offset)?;
                if text.as_deref().is_some_and(is_blank) {
                    reader.deviate(DeviationKind::Blank(Member::ShortMessage), offset)?;
                }
                self.short_message = Some(text);
                Ok(())
            }
            "full_message" => {
                repeated(reader, self.full_message.is_some(), offset)?;
                self.full_message = Some(text(reader, Member::FullMessage, value, offset)?);
                Ok(())
            }
            "timestamp" => {
                repeated(reader, self.timestamp.is_some(), offset)?;
                self.timestamp = Some(timestamp(reader, &value, offset)?);
                Ok(())
            }
            "level" => {
                repeated(reader, self.level.is_some(), offset)?;
                let (level, other) = level(reader, value, offset)?;
                self.level = Some(level);
                match other {
                    // A level that is not a syslog severity is kept as a field.
                    Some(value) => self.field(reader, visitor, FieldName::decoded(name), value, offset),
                    None => Ok(()),
                }
            }
            "facility" | "file" | "line" => {
                let Some(value) = legacy(reader, &name, value, offset)? else { return Ok(()) };
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
        match field_value(reader, value, offset)? {
            // It may replace a missing short message, which is known only at the end.
            Some(Value::Str(text)) if name == "message" => {
                repeated(reader, self.message.is_some(), offset)?;
                self.message = Some(text);
                Ok(())
            }
            Some(value) => self.field(reader, visitor, FieldName::decoded(name), value, offset),
            None => Ok(()),
        }
    }

    /// Passes a field on. The last of two with the same name counts, as in most JSON parsers.
    #[inline(always)]
    fn field(
        &mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
        name: FieldName<'a>,
        value: Value<'a>,
        offset: usize,
    ) -> Result<(), DecodeError> {
        if self.names.insert(name.as_str()) {
            visitor.field(name, value);
        } else {
            reader.deviate(DeviationKind::DuplicateKey, offset)?;
            visitor.repeated_field(name, value);
        }
        Ok(())
    }

    /// Passes on the members that GELF defines, once all members have been read.
    pub(super) fn finish(
        mut self,
        reader: &mut Reader<'a, '_>,
        visitor: &mut impl Visitor<'a>,
    ) -> Result<(), DecodeError> {
        let end = reader.offset();
        for (missing, member) in [
            (!self.version_seen, Member::Version),
            (self.host.is_none(), Member::Host),
            (self.short_message.is_none(), Member::ShortMessage),
        ] {
            if missing {
                reader.deviate(DeviationKind::Missing(member), end)?;
            }
        }
        let full_message = self.full_message.take().flatten();
        let short_message = match self.short_message.take().flatten() {
            Some(text) if !is_blank(&text) => text,
            // In place of a blank or missing text, Graylog uses `message`, and Logstash uses `full_message`.
            blank => match (self.message.take_if(|text| !is_blank(text)), blank, &full_message) {
                (Some(message), _, _) => message,
                (None, Some(blank), _) => blank,
                (None, None, Some(text)) => first_line(text),
                (None, None, None) => {
                    let missing = DeviationKind::Missing(Member::ShortMessage);
                    return Err(DecodeError::new(DecodeErrorKind::Deviation(missing), end));
                }
            },
        };
        if let Some(message) = self.message.take() {
            let name = FieldName::decoded(Cow::Borrowed("message"));
            self.field(reader, visitor, name, Value::Str(message), end)?;
        }
        if let Some(host) = self.host.flatten() {
            visitor.host(host);
        }
        visitor.short_message(short_message);
        if let Some(full_message) = full_message {
            visitor.full_message(full_message);
        }
        if let Some(timestamp) = self.timestamp.flatten() {
            visitor.timestamp(timestamp);
        }
        if let Some(level) = self.level.flatten() {
            visitor.level(level);
        }
        Ok(())
    }
}

/// Converts the value of a field; `None` if the field is left out.
fn field_value<'a>(
    reader: &mut Reader<'a, '_>,
    value: Json<'a>,
    offset: usize,
) -> Result<Option<Value<'a>>, DecodeError> {
    let value = match value {
        Json::Str(text) => return Ok(Some(Value::Str(text))),
        Json::Number(text) => return number_value(reader, text, offset),
        Json::Bool(value) => Some(Value::Bool(value)),
        Json::Container(text) => Some(Value::Str(Cow::Borrowed(text))),
        Json::Null => None,
    };
    reader.deviate(DeviationKind::FieldValue, offset)?;
    Ok(value)
}

/// Converts a number to the value of a field.
fn number_value<'a>(
    reader: &mut Reader<'a, '_>,
    text: &'a str,
    offset: usize,
) -> Result<Option<Value<'a>>, DecodeError> {
    let number = finite(Cow::Borrowed(text));
    if number.as_ref().is_none_or(|number| number.is_beyond_i64() && number.as_u64().is_none()) {
        reader.deviate(DeviationKind::NumberRange, offset)?;
    }
    Ok(number.map(Value::Number))
}

/// Converts a JSON number, unless it is beyond the range of a float: several readers convert it to infinity.
fn finite(text: Cow<'_, str>) -> Option<Number<'_>> {
    Some(Number::from_valid(text)).filter(|number| number.as_f64().is_finite())
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Returns the first line that is not blank.
fn first_line<'a>(text: &Cow<'a, str>) -> Cow<'a, str> {
    fn find(text: &str) -> &str {
        text.lines().find(|line| !is_blank(line)).unwrap_or_default()
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

/// Converts a member that should be a string. Another value becomes its JSON text, and null is left out.
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

/// Converts a number of seconds. In lenient mode, also converts a number in quotes or an RFC 3339 date.
fn timestamp(
    reader: &mut Reader<'_, '_>,
    value: &Json<'_>,
    offset: usize,
) -> Result<Option<Timestamp>, DecodeError> {
    let read = match value {
        Json::Number(text) => Timestamp::from_decimal(text),
        Json::Str(text) => {
            reader.deviate(DeviationKind::WrongType(Member::Timestamp), offset)?;
            match Timestamp::from_decimal(text) {
                Err(InvalidTimestamp::Syntax) => match Timestamp::from_rfc3339(text) {
                    Ok(timestamp) => Ok(timestamp),
                    // The deviation is recorded above.
                    Err(_) => return Ok(None),
                },
                read => read,
            }
        }
        _ => {
            reader.deviate(DeviationKind::WrongType(Member::Timestamp), offset)?;
            return Ok(None);
        }
    };
    match read {
        Ok(timestamp) => Ok(Some(timestamp)),
        Err(_) => {
            reader.deviate(DeviationKind::TimestampRange, offset)?;
            Ok(None)
        }
    }
}

/// Converts a severity. A value that is not a severity is returned as the value of a field.
fn level<'a>(
    reader: &mut Reader<'a, '_>,
    value: Json<'a>,
    offset: usize,
) -> Result<(Option<Level>, Option<Value<'a>>), DecodeError> {
    let wrong_type = DeviationKind::WrongType(Member::Level);
    let of_number = |reader: &mut Reader<'a, '_>, text: &'a str| -> Result<_, DecodeError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.bytes().any(|digit| digit != b'0') {
            reader.deviate(wrong_type, offset)?;
        }
        match whole.parse::<u8>().ok().and_then(|number| Level::try_from(number).ok()) {
            Some(level) => Ok((Some(level), None)),
            None => {
                reader.deviate(DeviationKind::LevelRange, offset)?;
                Ok((None, finite(Cow::Borrowed(text)).map(Value::Number)))
            }
        }
    };
    match value {
        Json::Number(text) => of_number(reader, text),
        Json::Str(text) => {
            reader.deviate(wrong_type, offset)?;
            let number = text.parse::<u8>().ok().and_then(|number| Level::try_from(number).ok());
            match number.or_else(|| Level::from_keyword(&text)) {
                Some(level) => Ok((Some(level), None)),
                None if is_blank(&text) => Ok((None, None)),
                None => Ok((None, Some(Value::Str(text)))),
            }
        }
        Json::Bool(_) | Json::Container(_) | Json::Null => {
            reader.deviate(wrong_type, offset)?;
            Ok((None, None))
        }
    }
}

/// Converts a member of GELF 1.0 to a field: `facility` and `file` are strings, `line` is a number.
fn legacy<'a>(
    reader: &mut Reader<'a, '_>,
    name: &str,
    value: Json<'a>,
    offset: usize,
) -> Result<Option<Value<'a>>, DecodeError> {
    match value {
        Json::Str(text) if name != "line" => Ok(Some(Value::Str(text))),
        Json::Number(text) if name == "line" && !text.contains(['.', 'e', 'E']) => {
            number_value(reader, text, offset)
        }
        other => {
            reader.deviate(DeviationKind::WrongType(Member::Legacy), offset)?;
            Ok(match other {
                Json::Null => None,
                Json::Number(text) if name == "line" => finite(Cow::Borrowed(text)).map(Value::Number),
                other => {
                    let text = other.into_text();
                    let number = (name == "line").then(|| Number::parse(text.clone())).flatten();
                    let number = number.filter(|number| number.as_f64().is_finite());
                    Some(number.map_or(Value::Str(text), Value::Number))
                }
            })
        }
    }
}
