//! Completes messages with the content of their lines.

use std::borrow::Cow;
use std::time::Duration;

use gelf_core::{FieldName, Level, Message, Timestamp, Value};

use super::json::Member;
use super::options::ContainerContent;
use super::roles::{self, Role, role};
use super::types::{FieldTypes, Fit};
use super::{ansi, json, logfmt};
use crate::gelf::names::is_reserved;
use crate::level_word::leading_level;

/// The maximum length, in bytes, of a line whose content is read.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// The maximum number of fields of a line: 64, as for the labels of a container.
const MAX_FIELDS: usize = 64;
/// The maximum total length, in bytes, of the names and values of a line's fields.
const MAX_BYTES: usize = 32 * 1024;
/// The maximum length of a value in bytes: Lucene's longest term. Graylog drops a message with a longer
/// value.
const MAX_VALUE_BYTES: usize = 32_766;
/// The maximum length of the name of a field in bytes.
const MAX_NAME_BYTES: usize = 128;
/// The field in which Graylog keeps the host of a message. A field of this name in a line would replace the
/// host.
const GRAYLOG_HOST: &str = "source";
/// The maximum difference between Docker's stamp of a line and an earlier time in the line.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// The maximum difference between Docker's stamp of a line and a later time in the line.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// Completes messages with the content of their lines. See the [module](super) for the rules and limits.
///
/// The memory of a lifter is bounded: it remembers the types of up to 512 fields.
///
/// # Examples
///
/// ```
/// use docker_source::content::{ContainerContent, ContentLifter};
/// use docker_source::gelf_core::{Level, Message};
///
/// let mut content = ContainerContent::new("json".parse()?);
/// let mut lifter = ContentLifter::default();
/// let line = r#"{"level":50,"msg":"payment refused","order":4711}"#;
/// let mut message = Message::new("web-1", line);
/// lifter.apply(&mut content, line.into(), &mut message);
/// assert_eq!((message.short_message(), message.level()), ("payment refused", Some(Level::Error)));
/// assert_eq!(message.field("order").and_then(|value| value.as_i64()), Some(4711));
/// # Ok::<(), docker_source::content::InvalidContent>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ContentLifter {
    types: FieldTypes,
}

impl ContentLifter {
    /// Completes a message. `text` is its line, or all of its lines, as
    /// [`GelfFormatter::text`](crate::gelf::GelfFormatter::text) returns it.
    ///
    /// If a line is made into a message again, `apply` adds the same parts again.
    pub fn apply<'a>(
        &mut self,
        content: &mut ContainerContent,
        mut text: Cow<'a, str>,
        message: &mut Message<'a>,
    ) {
        let options = content.options;
        if options.is_off() {
            return;
        }
        if options.strip_ansi && memchr::memchr(0x1b, text.as_bytes()).is_some() {
            text = ansi::strip(text);
            let short = ansi::strip(Cow::Borrowed(message.short_message())).into_owned();
            message.set_short_message(short);
            if message.full_message().is_some() {
                message.set_full_message(text.clone());
            }
        }
        let is_short = text.len() <= MAX_LINE_BYTES;
        if let Some(lifted) = is_short.then(|| self.lift(content, &text, message)).flatten() {
            let whole = (!lifted.is_complete).then_some(text);
            lifted.complete(whole, message);
        } else if let Some(level) = options.level.then(|| leading_level(text.as_bytes())).flatten() {
            message.set_level(level);
        }
    }

    /// Reads the members of the line. Returns `None` if the options do not ask for lines of this kind.
    fn lift(&mut self, content: &mut ContainerContent, text: &str, message: &Message<'_>) -> Option<Lifted> {
        let (members, is_complete) = match content.options.json.then(|| json::members(text)).flatten() {
            Some(members) => members,
            None if content.options.logfmt => {
                let line = text.lines().next().unwrap_or_default();
                (logfmt::members(line)?, line.len() == text.len())
            }
            None => return None,
        };
        let mut lifted = Lifted { is_complete, ..Lifted::default() };
        let mut bytes = 0;
        for member in members {
            let Some(member) = lifted.take(member, message.timestamp()) else { continue };
            let fits = lifted.fields.len() < MAX_FIELDS && bytes <= MAX_BYTES;
            match fits.then(|| self.field(content, member, message)).flatten() {
                Some(field) => {
                    bytes += size(&field);
                    lifted.fields.push(field);
                }
                None => lifted.is_complete = false,
            }
        }
        Some(lifted)
    }

    /// Returns the field of a member, or `None` if it would exceed a limit.
    fn field(
        &mut self,
        content: &mut ContainerContent,
        (path, value): Member<'_>,
        message: &Message<'_>,
    ) -> Option<Field> {
        let name = field_name(&path, message)?;
        if matches!(&value, Value::Str(text) if text.len() > MAX_VALUE_BYTES) {
            return None;
        }
        let value = value.into_owned();
        Some(match self.types.fit(name.as_str(), &value, &mut content.names)? {
            Fit::AsIs => (name, value),
            Fit::AsText => (name, value.to_string().into()),
            Fit::Beside => {
                (FieldName::sanitize(format!("{name}_str")).into_owned(), value.to_string().into())
            }
        })
    }
}

type Field = (FieldName<'static>, Value<'static>);

fn size((name, value): &Field) -> usize {
    name.as_str().len() + value.as_str().map_or(0, str::len)
}

/// Returns the name of the field of a member. Names of other fields of the message get the prefix `line_`.
/// The name has no underscore in front, since Elasticsearch refuses messages with a member such as `_id`.
fn field_name(path: &str, message: &Message<'_>) -> Option<FieldName<'static>> {
    let name = path.trim_start_matches(['_', '@', '.', '-', '/']);
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let name = FieldName::sanitize(name.replace('.', "_")).into_owned();
    match is_reserved(name.as_str()) || name == GRAYLOG_HOST || message.field(name.as_str()).is_some() {
        true => Some(FieldName::sanitize(format!("line_{name}")).into_owned()),
        false => Some(name),
    }
}

/// The parts of a line.
#[derive(Debug, Default)]
struct Lifted {
    level: Option<Level>,
    time: Option<Timestamp>,
    /// The rank, path and text of the message.
    message: Option<(usize, String, String)>,
    stack: Option<String>,
    trace: Option<String>,
    span: Option<String>,
    fields: Vec<Field>,
    /// True if Serilog has written the line. Serilog leaves out the severity if it is the default,
    /// `Information`.
    is_serilog: bool,
    /// True if no part of the line is left out.
    is_complete: bool,
}

impl Lifted {
    /// Takes a member that has a [`Role`]. Returns the member that becomes a field, if there is one.
    fn take<'t>(&mut self, (path, value): Member<'t>, stamp: Option<Timestamp>) -> Option<Member<'t>> {
        let Some(role) = role(&path) else { return Some((path, value)) };
        let taken = match role {
            Role::Level => fill(&mut self.level, roles::level(&value)),
            Role::Time => {
                self.is_serilog |= path == "@t";
                fill(&mut self.time, roles::time(&value).filter(|time| is_plausible(*time, stamp)))
            }
            Role::Stack => fill(&mut self.stack, text(&value)),
            Role::Trace => fill(&mut self.trace, id(&value)),
            Role::Span => fill(&mut self.span, id(&value)),
            Role::TraceParent => match value.as_str().and_then(roles::trace_parent) {
                Some((trace, span)) if self.trace.is_none() && self.span.is_none() => {
                    (self.trace, self.span) = (Some(trace.to_owned()), Some(span.to_owned()));
                    true
                }
                _ => false,
            },
            Role::Message(rank) => match (text(&value), &self.message) {
                (Some(text), Some((other, ..))) if rank < *other => {
                    let (_, path, other) = self.message.replace((rank, path.into_owned(), text))?;
                    return Some((Cow::Owned(path), other.into()));
                }
                (Some(text), None) => {
                    self.message = Some((rank, path.clone().into_owned(), text));
                    true
                }
                _ => false,
            },
        };
        (!taken).then_some((path, value))
    }

    /// Completes the message. `whole` is the text of the line, if a part of it is left out of the fields.
    fn complete<'a>(self, whole: Option<Cow<'a, str>>, message: &mut Message<'a>) {
        let level = self.level.or_else(|| self.is_serilog.then_some(Level::Informational));
        if let Some(level) = level {
            message.set_level(level);
        }
        if let Some(time) = self.time {
            message.set_timestamp(time);
        }
        for (name, id) in [("trace_id", self.trace), ("span_id", self.span)] {
            let Some(id) = id else { continue };
            set(message, field_name(name, message).unwrap_or_else(|| FieldName::sanitize(name)), id.into());
        }
        for (name, value) in self.fields {
            set(message, name, value);
        }
        let text = match (self.message, self.stack) {
            (Some((_, _, text)), Some(stack)) => format!("{text}\n{stack}"),
            (Some((_, _, text)), None) => text,
            (None, Some(stack)) => stack,
            (None, None) => {
                if let Some(whole) = whole.filter(|whole| whole.contains('\n')) {
                    message.set_full_message(whole);
                }
                return;
            }
        };
        let first = text.trim_start().lines().next().unwrap_or_default().to_owned();
        let has_more = first.len() < text.trim().len();
        message.set_short_message(first);
        if let Some(whole) = whole {
            message.set_full_message(whole);
        } else if has_more || message.full_message().is_some() {
            message.set_full_message(text);
        }
    }
}

/// Sets `place` to the value, unless `place` already has a value. Returns whether `place` was set.
fn fill<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let fills = place.is_none() && value.is_some();
    if fills {
        *place = value;
    }
    fills
}

/// Returns the text of a value, or `None` if the value is not a text or is blank.
fn text(value: &Value<'_>) -> Option<String> {
    value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// Returns an id as text. The line may have the id as a number.
fn id(value: &Value<'_>) -> Option<String> {
    let text = match value {
        Value::Str(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (1..=MAX_NAME_BYTES).contains(&text.len()).then_some(text)
}

/// Adds a field, and never replaces one.
fn set<'a>(message: &mut Message<'a>, name: FieldName<'static>, value: Value<'a>) {
    match message.field(name.as_str()) {
        None => message.set_field(name, value),
        Some(_) => message.set_sanitized_field(name.as_str().to_owned(), value),
    }
}

fn is_plausible(time: Timestamp, stamp: Option<Timestamp>) -> bool {
    stamp.is_none_or(|stamp| time >= stamp.saturating_sub(MAX_AGE) && time.saturating_sub(MAX_AHEAD) <= stamp)
}
