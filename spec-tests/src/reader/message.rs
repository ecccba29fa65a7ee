//! Reads a payload as a message, and names its deviations from GELF 1.1.

use super::Fault;
use super::json::{Json, Member, object};
use crate::compare;
use crate::vector::{FieldValue, MessageText};

/// Maximum length of a payload in bytes.
const MAX_PAYLOAD_BYTES: usize = 8 << 20;

/// Maximum distance of a timestamp from the epoch, in seconds, as in the vectors.
const MAX_SECONDS: i128 = 8_640_000_000_000;

/// A message, with its deviations in the order of the text. Only invalid UTF-8 comes first, wherever it is.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) message: MessageText,
    pub(crate) faults: Vec<Fault>,
}

/// Reads a payload. A value of the wrong type is converted if possible. For `level` and `timestamp`, a number in
/// quotes becomes a number. For a member that should be a text, any value but null becomes a text. A `level` or
/// `timestamp` that cannot be used becomes a field.
///
/// # Errors
/// Returns the reason why the payload is not a message.
pub(crate) fn message(payload: &[u8]) -> Result<Read, Fault> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Fault::new("PayloadTooLarge", MAX_PAYLOAD_BYTES));
    }
    let mut members = Members::default();
    let text = String::from_utf8_lossy(payload);
    if let Err(error) = std::str::from_utf8(payload) {
        members.note("InvalidUtf8", error.valid_up_to());
    }
    let replaced = payload.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    let object = object(&text, 4 * replaced)?;
    members.read.faults.extend(object.before);
    for member in object.members {
        members.add(member);
    }
    members.read.faults.extend(object.after);
    members.finish(object.end)
}

/// The members that have been read so far.
#[derive(Default)]
struct Members {
    read: Read,
    /// Names of the members so far. Those with a special meaning, from `version` to `level`, have a leading
    /// space. The names of fields have none.
    seen: Vec<String>,
    short_message: Option<String>,
    /// The last value of `message`, and of a `level` and a `timestamp` that cannot be used.
    /// [`finish`](Self::finish) converts the values to fields, or `message` to the short message.
    others: Vec<(String, FieldValue)>,
}

impl Members {
    fn note(&mut self, name: impl Into<String>, at: usize) {
        self.read.faults.push(Fault::new(name, at));
    }

    fn add(&mut self, Member { name, at, value, faults }: Member) {
        self.read.faults.extend(faults);
        match name.as_str() {
            "version" => {
                self.see(&name, at);
                match value {
                    Json::Text(version) if version == "1.1" => {}
                    Json::Text(_) => self.note("UnsupportedVersion", at),
                    _ => self.note("WrongType version", at),
                }
            }
            "host" => self.read.message.host = self.text(&name, value, at).filter(|host| !is_blank(host)),
            "short_message" => self.short_message = self.text(&name, value, at),
            "full_message" => self.read.message.full_message = self.text(&name, value, at),
            "timestamp" => self.timestamp(value, at),
            "level" => self.level(value, at),
            "facility" | "file" | "line" => {
                let value = self.legacy(&name, value, at);
                self.field(name, value, at);
            }
            _ => self.additional(&name, value, at),
        }
    }

    /// Records a member that is not a field. Notes a fault if the member is repeated.
    fn see(&mut self, name: &str, at: usize) {
        let name = format!(" {name}");
        if self.seen.contains(&name) {
            self.note("DuplicateKey", at);
        }
        self.seen.push(name);
    }

    fn text(&mut self, name: &str, value: Json, at: usize) -> Option<String> {
        self.see(name, at);
        let text = match value {
            Json::Text(text) => text,
            other => {
                self.note(format!("WrongType {name}"), at);
                as_text(other)?
            }
        };
        if name != "full_message" && is_blank(&text) {
            self.note(format!("Blank {name}"), at);
        }
        Some(text)
    }

    fn timestamp(&mut self, value: Json, at: usize) {
        self.see("timestamp", at);
        let value = self.number("timestamp", value, at);
        let is_in_range =
            |digits: &String| compare::scaled(digits, 0).is_some_and(|seconds| seconds.abs() <= MAX_SECONDS);
        self.read.message.timestamp = match &value {
            Some(FieldValue::Number { number }) if is_in_range(number) => Some(number.clone()),
            _ => None,
        };
        if let (Some(FieldValue::Number { .. }), None) = (&value, &self.read.message.timestamp) {
            self.note("TimestampRange", at);
        }
        let unread = value.filter(|_| self.read.message.timestamp.is_none());
        self.later("timestamp", unread, at);
    }

    fn level(&mut self, value: Json, at: usize) {
        self.see("level", at);
        let is_number = matches!(value, Json::Number(_));
        let value = self.number("level", value, at);
        self.read.message.level = match &value {
            Some(FieldValue::Number { number }) => {
                compare::integer(number).and_then(|level| u8::try_from(level).ok())
            }
            _ => None,
        };
        self.read.message.level = self.read.message.level.filter(|level| *level <= 7);
        if is_number && self.read.message.level.is_none() {
            self.note("LevelRange", at);
        }
        let unread = value.filter(|_| self.read.message.level.is_none());
        self.later("level", unread, at);
    }

    /// Reads a member that should be a number. A number in quotes has the wrong type, but is read as a
    /// number.
    fn number(&mut self, name: &str, value: Json, at: usize) -> Option<FieldValue> {
        if let Json::Number(number) = value {
            return Some(FieldValue::Number { number });
        }
        self.note(format!("WrongType {name}"), at);
        match value {
            Json::Bool(value) => Some(FieldValue::Bool(value)),
            other => as_text(other).map(|text| match compare::decimal(text.trim()) {
                Some(_) => FieldValue::Number { number: text.trim().to_owned() },
                None => FieldValue::Text(text),
            }),
        }
    }

    /// Keeps a value for [`finish`](Self::finish), in place of an earlier value of the same name. `None` or a
    /// blank text only removes the earlier value.
    fn later(&mut self, name: &str, value: Option<FieldValue>, at: usize) {
        let is_known = self.others.iter().any(|(known, _)| known == name);
        self.others.retain(|(known, _)| known != name);
        let Some(value) = value.filter(|value| !is_blank_text(value)) else { return };
        if !is_known && self.seen.iter().any(|seen| seen == name) {
            self.note("DuplicateKey", at);
        }
        self.seen.push(name.to_owned());
        self.others.push((name.to_owned(), value));
    }

    /// Reads a member of GELF 1.0: `facility` and `file` are texts, and `line` is an integer.
    fn legacy(&mut self, name: &str, value: Json, at: usize) -> Option<FieldValue> {
        match value {
            Json::Text(text) if name != "line" => Some(FieldValue::Text(text)),
            Json::Number(digits)
                if name == "line" && (is_plain(&digits) || compare::integer(&digits).is_some()) =>
            {
                self.value(Json::Number(digits), at)
            }
            other => {
                self.note("WrongType legacy", at);
                as_text(other).map(FieldValue::Text)
            }
        }
    }

    fn additional(&mut self, name: &str, value: Json, at: usize) {
        let bare = match name.strip_prefix('_') {
            Some("id") => {
                self.note("ReservedField", at);
                "id"
            }
            Some(bare) => {
                let is_allowed =
                    |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
                if bare.is_empty() || !bare.bytes().all(is_allowed) {
                    self.note("FieldName", at);
                }
                bare
            }
            None if name.is_empty() => return self.note("FieldName", at),
            None => {
                self.note("UnprefixedField", at);
                name
            }
        };
        // A `message` is kept until the end, because it can become the short message.
        if name == "message" && !matches!(value, Json::Null) {
            if self.others.iter().any(|(known, _)| known == name) {
                self.note("DuplicateKey", at);
            }
            // A number beyond the range of a 64-bit float is no field, but can become the short message.
            let digits = match &value {
                Json::Number(number) => Some(FieldValue::Number { number: number.clone() }),
                _ => None,
            };
            let value = self.value(value, at).or(digits);
            return self.later(name, value, at);
        }
        let value = self.value(value, at);
        self.field(bare.to_owned(), value, at);
    }

    /// Reads the value of a field. Returns `None` if the field is left out.
    fn value(&mut self, value: Json, at: usize) -> Option<FieldValue> {
        match value {
            Json::Text(text) => Some(FieldValue::Text(text)),
            Json::Number(number) => {
                let is_64_bit = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
                let is_finite = is_finite(&number);
                if !is_finite || (is_plain(&number) && !is_64_bit) {
                    self.note("NumberRange", at);
                }
                is_finite.then_some(FieldValue::Number { number })
            }
            other => {
                self.note("FieldValue", at);
                match other {
                    Json::Bool(value) => Some(FieldValue::Bool(value)),
                    other => as_text(other).map(FieldValue::Text),
                }
            }
        }
    }

    /// Adds a field. If several fields have the same name, the last one counts.
    fn field(&mut self, name: String, value: Option<FieldValue>, at: usize) {
        if self.seen.contains(&name) {
            self.note("DuplicateKey", at);
        }
        self.others.retain(|(known, _)| *known != name);
        self.replace(&name, value);
        self.seen.push(name);
    }

    fn replace(&mut self, name: &str, value: Option<FieldValue>) {
        let fields = &mut self.read.message.fields;
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }

    fn finish(mut self, end: usize) -> Result<Read, Fault> {
        for name in ["version", "host", "short_message"] {
            if !self.seen.contains(&format!(" {name}")) {
                self.note(format!("Missing {name}"), end);
            }
        }
        let short = self.short_message.take();
        if short.as_deref().is_none_or(is_blank) {
            // `message` takes the place of a missing or blank short message. Without `message`, a blank short
            // message stays, and a missing one is replaced by the first non-blank line of the full message.
            let message =
                self.others.iter().position(|(name, value)| name == "message" && !is_blank_text(value));
            let message = message.map(|at| match self.others.remove(at).1 {
                FieldValue::Bool(value) => value.to_string(),
                FieldValue::Number { number: text } | FieldValue::Text(text) => text,
            });
            let first_line =
                |text: &String| text.lines().find(|line| !is_blank(line)).unwrap_or_default().to_owned();
            let full = || self.read.message.full_message.as_ref().map(first_line);
            let text = message.or(short).or_else(full);
            self.read.message.short_message = text.ok_or_else(|| Fault::new("Missing short_message", end))?;
        } else {
            self.read.message.short_message = short.unwrap_or_default();
        }
        for (name, value) in std::mem::take(&mut self.others) {
            let is_infinite = matches!(&value, FieldValue::Number { number } if !is_finite(number));
            self.replace(&name, Some(value).filter(|_| !is_infinite));
        }
        Ok(self.read)
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Returns whether a value is a blank text.
fn is_blank_text(value: &FieldValue) -> bool {
    matches!(value, FieldValue::Text(text) if is_blank(text))
}

fn is_finite(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Returns whether a JSON number has neither a fraction nor an exponent.
fn is_plain(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// Converts a value to a text: a string to its content, and any other value to its JSON text. Returns `None`
/// for null.
fn as_text(value: Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(text) | Json::Text(text) | Json::Nested(text) => Some(text),
    }
}
