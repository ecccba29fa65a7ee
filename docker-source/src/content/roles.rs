//! Recognizes the severity, the time, the message, the stack trace and ids among the members of a line. Each
//! logger has its own names for these members.

use std::borrow::Cow;

use gelf_core::{Level, Number, Timestamp, Value};

use crate::level_word::level_of_word;

/// The meaning of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Level,
    Time,
    /// The message, with its rank. If a line has several such members, the member with the lowest rank is the
    /// message.
    Message(usize),
    Stack,
    Trace,
    Span,
    /// The header `traceparent` of W3C, with the ids of the trace and the span.
    TraceParent,
}

/// Returns the meaning of the member at a path, whose parts are separated by dots.
pub(super) fn role(path: &str) -> Option<Role> {
    Some(match path {
        // pino, bunyan, logrus, slog, zap, logback: `level`. Python: `levelname`. Google: `severity`. ECS:
        // `log.level`. Serilog: `@l`, `Level`. .NET: `LogLevel`. loguru: `record.level.name`.
        "level" | "severity" | "levelname" | "log.level" | "@l" | "Level" | "LogLevel" | "lvl"
        | "loglevel" | "severity_text" | "SeverityText" | "record.level.name" => Role::Level,
        // pino, bunyan, logrus, slog: `time`. zap: `ts`. logback and ECS: `@timestamp`. Serilog: `@t`,
        // `Timestamp`. log4j: `instant` (an object, see `json`) and `timeMillis`. Monolog: `datetime`.
        "time"
        | "timestamp"
        | "@timestamp"
        | "ts"
        | "@t"
        | "Timestamp"
        | "instant"
        | "timeMillis"
        | "datetime"
        | "record.time.timestamp" => Role::Time,
        // structlog: `event`. tracing: `fields.message`. Serilog: `@m`, or the template `@mt` if there is
        // no `@m`.
        "msg" => Role::Message(0),
        "message" => Role::Message(1),
        "@m" => Role::Message(2),
        "RenderedMessage" => Role::Message(3),
        "Message" => Role::Message(4),
        "formattedMessage" => Role::Message(5),
        "fields.message" => Role::Message(6),
        "record.message" => Role::Message(7),
        "short_message" => Role::Message(8),
        "@mt" => Role::Message(9),
        "MessageTemplate" => Role::Message(10),
        "event" => Role::Message(11),
        // logback: `stack_trace`. zap: `stacktrace`. pino and bunyan: `err.stack`. Python: `exc_info`.
        // Serilog: `@x`, `Exception`. ECS: `error.stack_trace`. log4j: `thrown.extendedStackTrace`.
        "stack_trace"
        | "stacktrace"
        | "stack"
        | "err.stack"
        | "error.stack"
        | "error.stack_trace"
        | "exc_info"
        | "exception"
        | "@x"
        | "Exception"
        | "thrown.extendedStackTrace"
        | "exception.stacktrace" => Role::Stack,
        _ => return id_role(path),
    })
}

/// Returns the meaning of a member that may be an id. Loggers write ids under many names: `mdc.traceId`,
/// `dd.trace_id`, `trace.id`, `otelTraceID`.
fn id_role(path: &str) -> Option<Role> {
    match path {
        "@tr" => return Some(Role::Trace),
        "@sp" => return Some(Role::Span),
        _ if !matches!(path.as_bytes().last(), Some(b'd' | b'D' | b't')) => return None,
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

/// Returns the time that a value names. A text names a time in the format of RFC 3339, with an offset from
/// UTC. A number counts seconds, milliseconds, microseconds or nanoseconds since 1970.
pub(super) fn time(value: &Value<'_>) -> Option<Timestamp> {
    match value {
        Value::Str(text) => Timestamp::from_rfc3339(text).ok(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => unix_time(integer),
            None => unix_time_of_decimal(&plain(number)?),
        },
        _ => None,
    }
}

/// Returns the time that an integer names. The number of digits determines the unit, which is unambiguous for
/// times from 2001 to 2286.
fn unix_time(integer: i64) -> Option<Timestamp> {
    let units_per_second = match integer.checked_ilog10()? {
        9 => 1,
        12 => 1_000,
        15 => 1_000_000,
        18 => 1_000_000_000,
        _ => return None,
    };
    let nanos = integer % units_per_second * (1_000_000_000 / units_per_second);
    Timestamp::from_unix(integer / units_per_second, u32::try_from(nanos).ok()?)
}

/// Returns the time that a decimal number names. The number of digits before the point determines the unit,
/// as in [`unix_time`].
fn unix_time_of_decimal(text: &str) -> Option<Timestamp> {
    let seconds = match text.find('.').unwrap_or(text.len()) {
        10 => Cow::Borrowed(text),
        13 | 16 | 19 => {
            let (seconds, fraction) = text.split_at_checked(10)?;
            Cow::Owned(format!("{seconds}.{}", fraction.replace('.', "")))
        }
        _ => return None,
    };
    Timestamp::from_decimal(&seconds).ok()
}

/// Returns the number as text, or `None` if the number has a sign or an exponent.
fn plain(number: &Number<'_>) -> Option<String> {
    let text = number.to_string();
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(text)
}

/// Returns the id of the trace and the id of the span in W3C's header: `00-4bf92f35...-00f067aa...-01`.
pub(super) fn trace_parent(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.split('-');
    let (_, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is_id = |id: &str, length| id.len() == length && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id(trace, 32) && is_id(span, 16)).then_some((trace, span))
}
