//! Completes messages with the content of their lines.

use std::borrow::Cow;
use std::time::Duration;

use gelf_core::{FieldName, Level, Message, Timestamp, Value};

use super::json::Member;
use super::known::MAX_NAME_BYTES;
use super::options::ContainerContent;
use super::roles::{self, Role};
use super::types::{FieldTypes, Fit};
use super::{ansi, json, logfmt};
use crate::level_word::leading_level;

/// The maximum length, in bytes, of a line whose members are read. If a line is longer, only the severity at
/// its start is read.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// The maximum number of fields of a line, not counting the ids of the trace and the span: 64, as for the labels of a
/// container.
const MAX_FIELDS: usize = 64;
/// The maximum total length, in bytes, of the names and values of these fields, with the lengths of values as in
/// [`value_len`].
const MAX_BYTES: usize = 32 * 1024;
/// The maximum length of a value in bytes: the length of the longest term that Lucene takes. Graylog drops a
/// message with a longer value.
const MAX_VALUE_BYTES: usize = 32_766;
/// The maximum difference between Docker's stamp of a line and an earlier time in the line.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// The maximum difference between Docker's stamp of a line and a later time in the line.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// Completes messages with the content of their lines. The documentation of the [module](super) has the rules
/// and limits.
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
    /// Completes a message. `text` is the text of the message, with all its lines, as
    /// [`GelfFormatter::text`](crate::gelf::GelfFormatter::text) returns it.
    ///
    /// If the same line is converted to a message again before any other line, `apply` adds the same parts to the
    /// new message.
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
        let lifted = match &text {
            _ if text.len() > MAX_LINE_BYTES => None,
            Cow::Borrowed(text) => self.lift(content, text, message),
            Cow::Owned(text) => self.lift(content, text, message).map(Lifted::into_owned),
        };
        if let Some(lifted) = lifted {
            let whole = (!lifted.is_complete).then_some(text);
            lifted.complete(whole, message);
        } else if let Some(level) = options.level.then(|| leading_level(text.as_bytes())).flatten() {
            message.set_level(level);
        }
    }

    /// Reads the members of the line. Returns `None` if the line is of no kind that the options ask for.
    fn lift<'t>(
        &mut self,
        content: &mut ContainerContent,
        text: &'t str,
        message: &Message<'_>,
    ) -> Option<Lifted<'t>> {
        let (members, is_complete) = match content.options.json.then(|| json::members(text)).flatten() {
            Some(members) => members,
            None if content.options.logfmt => {
                let line = text.lines().next().unwrap_or_default();
                (logfmt::members(line)?, line.len() == text.len())
            }
            None => return None,
        };
        let fields = Vec::with_capacity(members.len().min(MAX_FIELDS));
        let mut lifted = Lifted { is_complete, fields, ..Lifted::default() };
        let mut bytes = 0;
        content.known.begin();
        for (path, value) in members {
            let role = content.known.get(&path, message).role;
            let Some(member) = lifted.take(role, (path, value), message.timestamp()) else { continue };
            let fits = lifted.fields.len() < MAX_FIELDS && bytes < MAX_BYTES;
            let field = fits.then(|| self.field(content, member, message)).flatten();
            match field.filter(|field| bytes + size(field) <= MAX_BYTES) {
                Some(field) => {
                    bytes += size(&field);
                    lifted.fields.push(field);
                }
                None => lifted.is_complete = false,
            }
        }
        Some(lifted)
    }

    /// Returns the field of a member. Returns `None` if the name or the value of the member is too long, if
    /// there are too many names of fields, or if no field takes the type of the value.
    fn field<'t>(
        &mut self,
        content: &mut ContainerContent,
        (path, value): Member<'t>,
        message: &Message<'_>,
    ) -> Option<Field<'t>> {
        let ContainerContent { known, names, .. } = content;
        let known = known.get(&path, message);
        let name = known.field_name(path)?;
        if value_len(&value) > MAX_VALUE_BYTES {
            return None;
        }
        Some(match self.types.fit(name.as_str(), &value, names, &mut known.type_index)? {
            Fit::AsIs => (name, value),
            Fit::AsText => (name, value.to_string().into()),
            Fit::Beside => (FieldName::sanitize(format!("{name}_str")), value.to_string().into()),
        })
    }
}

type Field<'t> = (FieldName<'t>, Value<'t>);

fn size((name, value): &Field<'_>) -> usize {
    name.as_str().len() + value_len(value)
}

/// Returns the length of a value's text. Returns 0 for a 64-bit integer, a boolean and null, since their texts
/// are short.
fn value_len(value: &Value<'_>) -> usize {
    match value {
        Value::Str(text) => text.len(),
        Value::Number(number) if number.as_i64().is_none() && number.as_u64().is_none() => {
            number.to_string().len()
        }
        _ => 0,
    }
}

/// The parts of a line.
#[derive(Debug, Default)]
struct Lifted<'t> {
    level: Option<Level>,
    time: Option<Timestamp>,
    /// The rank, path and text of the member that is the message.
    message: Option<(usize, Cow<'t, str>, Cow<'t, str>)>,
    stack: Option<Cow<'t, str>>,
    trace: Option<Cow<'t, str>>,
    span: Option<Cow<'t, str>>,
    fields: Vec<Field<'t>>,
    /// True if Serilog has written the line. A line of Serilog without a severity has the default severity
    /// `Information`.
    is_serilog: bool,
    /// True if no part of the line is left out.
    is_complete: bool,
}

impl<'t> Lifted<'t> {
    /// Takes a member as a part of the line, if its role permits. Returns the member that becomes a field instead:
    /// the given member if it is not taken, or the previous message if the given member replaces the message.
    fn take(
        &mut self,
        role: Option<Role>,
        (path, value): Member<'t>,
        stamp: Option<Timestamp>,
    ) -> Option<Member<'t>> {
        let Some(role) = role else { return Some((path, value)) };
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
                    let [trace, span] = [trace, span].map(|id| Cow::Owned(id.to_owned()));
                    (self.trace, self.span) = (Some(trace), Some(span));
                    true
                }
                _ => false,
            },
            Role::Message(rank) => match (text(&value), &self.message) {
                (Some(text), Some((other, ..))) if rank < *other => {
                    let (_, path, other) = self.message.replace((rank, path, text))?;
                    return Some((path, Value::Str(other)));
                }
                (Some(text), None) => {
                    self.message = Some((rank, path.clone(), text));
                    true
                }
                _ => false,
            },
        };
        (!taken).then_some((path, value))
    }

    /// Completes the message. `whole` is the text of the whole line, if a part of the line is left out of the
    /// fields.
    fn complete(self, whole: Option<Cow<'t, str>>, message: &mut Message<'t>) {
        let level = self.level.or_else(|| self.is_serilog.then_some(Level::Informational));
        if let Some(level) = level {
            message.set_level(level);
        }
        if let Some(time) = self.time {
            message.set_timestamp(time);
        }
        const TRACE_ID: FieldName<'static> = FieldName::from_static("trace_id");
        const SPAN_ID: FieldName<'static> = FieldName::from_static("span_id");
        for (name, id) in [(TRACE_ID, self.trace), (SPAN_ID, self.span)] {
            let Some(id) = id else { continue };
            let is_taken = message.field(name.as_str()).is_some();
            let name = if is_taken { FieldName::sanitize(format!("line_{name}")) } else { name };
            set(message, name, Value::Str(id));
        }
        for (name, value) in self.fields {
            set(message, name, value);
        }
        let text = match (self.message, self.stack) {
            (Some((_, _, text)), Some(stack)) => Cow::Owned(format!("{text}\n{stack}")),
            (Some((_, _, text)), None) => text,
            (None, Some(stack)) => stack,
            (None, None) => {
                if let Some(whole) = whole.filter(|whole| whole.contains('\n')) {
                    message.set_full_message(whole);
                }
                return;
            }
        };
        let first = match &text {
            Cow::Borrowed(text) => Cow::Borrowed(first_line(text)),
            Cow::Owned(text) => Cow::Owned(first_line(text).to_owned()),
        };
        let has_more = first.len() < text.trim().len();
        message.set_short_message(first);
        if let Some(whole) = whole {
            message.set_full_message(whole);
        } else if has_more || message.full_message().is_some() {
            message.set_full_message(text);
        }
    }

    fn into_owned(self) -> Lifted<'static> {
        let own = |text: Cow<'t, str>| Cow::Owned(text.into_owned());
        let Self { level, time, message, stack, trace, span, fields, is_serilog, is_complete } = self;
        Lifted {
            level,
            time,
            message: message.map(|(rank, path, text)| (rank, own(path), own(text))),
            stack: stack.map(own),
            trace: trace.map(own),
            span: span.map(own),
            fields: fields.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            is_serilog,
            is_complete,
        }
    }
}

fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or_default()
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
fn text<'t>(value: &Value<'t>) -> Option<Cow<'t, str>> {
    match value {
        Value::Str(text) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Returns an id as text. In the line, the id is a text or a number.
fn id<'t>(value: &Value<'t>) -> Option<Cow<'t, str>> {
    let text = match value {
        Value::Str(Cow::Borrowed(text)) => Cow::Borrowed(text.trim()),
        Value::Str(Cow::Owned(text)) => Cow::Owned(text.trim().to_owned()),
        Value::Number(number) => Cow::Owned(number.to_string()),
        _ => return None,
    };
    (1..=MAX_NAME_BYTES).contains(&text.len()).then_some(text)
}

/// Adds a field, and never replaces an existing field.
fn set<'a>(message: &mut Message<'a>, name: FieldName<'a>, value: Value<'a>) {
    match message.field(name.as_str()) {
        None => message.set_field(name, value),
        Some(_) => message.set_sanitized_field(name.as_str().to_owned(), value),
    }
}

fn is_plausible(time: Timestamp, stamp: Option<Timestamp>) -> bool {
    stamp.is_none_or(|stamp| time >= stamp.saturating_sub(MAX_AGE) && time.saturating_sub(MAX_AHEAD) <= stamp)
}
