//! Finds the members of lines that have a meaning, by the names that loggers give them.

use std::borrow::Cow;

use gelf_core::{Level, Number, Timestamp, Value};

use crate::level_word::level_of_word;

/// The meaning of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Level,
    Time,
    /// The message, with its rank. If a line has several such members, the one with the lowest rank counts.
    Message(usize),
    Stack,
    Trace,
    Span,
    /// W3C's header, with the ids of trace and span.
    TraceParent,
}

/// The names of the severity.
///
/// pino, bunyan, logrus, slog, zap, logback: `level`. Python: `levelname`. Google: `severity`. ECS:
/// `log.level`. Serilog: `@l`, `Level`. .NET: `LogLevel`. loguru: `record.level.name`.
const LEVELS: [&str; 12] = [
    "level",
    "severity",
    "levelname",
    "log.level",
    "@l",
    "Level",
    "LogLevel",
    "lvl",
    "loglevel",
    "severity_text",
    "SeverityText",
    "record.level.name",
];

/// The names of the time.
///
/// pino, bunyan, logrus, slog: `time`. zap: `ts`. logback and ECS: `@timestamp`. Serilog: `@t`, `Timestamp`.
/// log4j: `instant` (an object, see [`json`](super::json)) and `timeMillis`. Monolog: `datetime`.
const TIMES: [&str; 10] = [
    "time",
    "timestamp",
    "@timestamp",
    "ts",
    "@t",
    "Timestamp",
    "instant",
    "timeMillis",
    "datetime",
    "record.time.timestamp",
];

/// The names of the message, in the order of their rank.
///
/// structlog: `event`. tracing: `fields.message`. Serilog: `@m`, or the template `@mt` if there is no `@m`.
const MESSAGES: [&str; 12] = [
    "msg",
    "message",
    "@m",
    "RenderedMessage",
    "Message",
    "formattedMessage",
    "fields.message",
    "record.message",
    "short_message",
    "@mt",
    "MessageTemplate",
    "event",
];

/// The names of the stack trace.
///
/// logback: `stack_trace`. zap: `stacktrace`. pino and bunyan: `err.stack`. Python: `exc_info`. Serilog:
/// `@x`, `Exception`. ECS: `error.stack_trace`. log4j: `thrown.extendedStackTrace`.
const STACKS: [&str; 12] = [
    "stack_trace",
    "stacktrace",
    "stack",
    "err.stack",
    "error.stack",
    "error.stack_trace",
    "exc_info",
    "exception",
    "@x",
    "Exception",
    "thrown.extendedStackTrace",
    "exception.stacktrace",
];

/// Returns the meaning of the member at a path, whose parts are separated by dots.
pub(super) fn role(path: &str) -> Option<Role> {
    let rank = |names: &[&str]| names.iter().position(|name| *name == path);
    if let Some(rank) = rank(&MESSAGES) {
        return Some(Role::Message(rank));
    }
    if rank(&LEVELS).is_some() {
        return Some(Role::Level);
    }
    if rank(&TIMES).is_some() {
        return Some(Role::Time);
    }
    if rank(&STACKS).is_some() {
        return Some(Role::Stack);
    }
    id_role(path)
}

/// Returns the meaning of a member that may be an id. Loggers write ids under many names: `mdc.traceId`,
/// `dd.trace_id`, `trace.id`, `otelTraceID`.
fn id_role(path: &str) -> Option<Role> {
    match path {
        "@tr" => return Some(Role::Trace),
        "@sp" => return Some(Role::Span),
        _ if !path.ends_with(['d', 'D', 't']) => return None,
        _ => {}
    }
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let is = |text: &str, known: &str| {
        let letters = text.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
        letters.eq(known.bytes())
    };
    let name_is = |names: &[&str]| names.iter().any(|known| is(name, known));
    let parent_is = |known| is(name, "id") && is(parent.rsplit('.').next().unwrap_or_default(), known);
    match () {
        () if name_is(&["traceid", "oteltraceid"]) || parent_is("trace") => Some(Role::Trace),
        () if name_is(&["spanid", "otelspanid"]) || parent_is("span") => Some(Role::Span),
        () if name_is(&["traceparent"]) => Some(Role::TraceParent),
        () => None,
    }
}

/// Returns the severity that a value names.
pub(super) fn level(value: &Value<'_>) -> Option<Level> {
    match value {
        Value::Str(text) => level_of_word(text.trim().as_bytes()).or_else(|| letter(text)),
        Value::Number(number) => match number.as_u64()? {
            // Syslog's levels.
            number @ 0..=7 => Level::try_from(u8::try_from(number).ok()?).ok(),
            // In pino and bunyan, trace is 10, debug 20, info 30, warn 40, error 50 and fatal 60.
            8..=29 => Some(Level::Debug),
            30..=39 => Some(Level::Informational),
            40..=49 => Some(Level::Warning),
            50..=59 => Some(Level::Error),
            60..=100 => Some(Level::Critical),
            _ => None,
        },
        _ => None,
    }
}

fn letter(text: &str) -> Option<Level> {
    match text {
        "T" | "D" | "V" => Some(Level::Debug),
        "I" => Some(Level::Informational),
        "W" => Some(Level::Warning),
        "E" => Some(Level::Error),
        "F" | "C" => Some(Level::Critical),
        _ => None,
    }
}

/// Returns the time that a value names: RFC 3339, or the seconds, milliseconds, microseconds or nanoseconds
/// since 1970. A text without an offset from UTC names no time.
pub(super) fn time(value: &Value<'_>) -> Option<Timestamp> {
    match value {
        Value::Str(text) => Timestamp::from_rfc3339(text).ok(),
        Value::Number(number) => {
            // The unit follows from the number of digits before the point, for the years 2001 to 2286.
            let text = plain(number)?;
            let digits = text.find('.').unwrap_or(text.len());
            let seconds = match digits {
                10 => text,
                13 | 16 | 19 => {
                    let (seconds, fraction) = text.split_at_checked(10)?;
                    Cow::Owned(format!("{seconds}.{}", fraction.replace('.', "")))
                }
                _ => return None,
            };
            Timestamp::from_decimal(&seconds).ok()
        }
        _ => None,
    }
}

/// Returns the text of a positive number without an exponent.
fn plain<'n>(number: &'n Number<'_>) -> Option<Cow<'n, str>> {
    let text = number.to_string();
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(Cow::Owned(text))
}

/// Returns the ids of trace and span in W3C's header: `00-4bf92f35...-00f067aa...-01`.
pub(super) fn trace_parent(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.split('-');
    let (_, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is_id = |id: &str, length| id.len() == length && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id(trace, 32) && is_id(span, 16)).then_some((trace, span))
}
