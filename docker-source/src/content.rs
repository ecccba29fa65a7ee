//! Takes fields, severity and time from the text of lines.
//!
//! A [`ContentLifter`] completes the message of a line with the content of the line. It reads these kinds of
//! lines, each kind only if the [`ContentOptions`] of the container ask for it:
//!
//! * JSON objects, as most loggers of services write them,
//! * logfmt: `level=info msg="order accepted" order=4711`,
//! * plain text that names a severity at its start.
//!
//! | member of the line | part of the message |
//! |---|---|
//! | `level`, `severity`, `levelname`, `@l`, `log.level`, ... | `level` |
//! | `time`, `timestamp`, `@timestamp`, `ts`, `@t`, `instant`, ... | `timestamp` |
//! | `msg`, `message`, `@m`, `event`, ... | `short_message`: its first line; `full_message`: all lines, if several |
//! | `stack_trace`, `stacktrace`, `err.stack`, `exc_info`, `@x`, ... | `full_message`, behind the message |
//! | `trace_id`, `traceId`, `trace.id`, `@tr`, `dd.trace_id`, `traceparent`, ... | `_trace_id` |
//! | `span_id`, `spanId`, `span.id`, `@sp`, `dd.span_id`, `traceparent`, ... | `_span_id` |
//! | any other | a field |
//!
//! Numbers stay exact, members of objects become fields such as `_outer_inner`, and arrays become JSON text.
//! A numeric level from 0 to 7 is a syslog severity. A level from 8 to 100 is a level of pino or bunyan. The
//! time of a line becomes the `timestamp` if it is at most a day before and at most a minute after Docker's
//! stamp. Any other time becomes a field.
//!
//! A member becomes the field `_line_NAME` if this crate, Logstash or Graylog uses its name for another field,
//! or if the message already has a field of this name from the container's metadata. Thus nothing in a line
//! can replace `_container_name`, `_seq` or `host`.
//!
//! A search index gives each field one type, and refuses messages in which the field has another type.
//! Therefore the first value of a field determines its type. A later value of another type is sent as text:
//! in the same field if the type of the field is text, otherwise in the field `_NAME_str`. If lines
//! have already used `_NAME_str` for values that are not text, the value is left out of the fields.
//!
//! # Limits
//!
//! A line gives at most 64 fields, whose names and values have at most 32 KiB together. Values that are booleans
//! or 64-bit integers do not count towards the 32 KiB, but their names do. The fields `_trace_id` and `_span_id`
//! do not count towards either limit. Objects are read to a depth of 4 levels. A value has at most 32,766 bytes,
//! the length of the longest term that Lucene takes. The lines that one lifter reads introduce at most 512 names
//! of fields: an Elasticsearch index takes at most 1,000 fields, and counts a field with text as two fields. The
//! lines of one container introduce at most 128 of these names. If a line is longer than 64 KiB, only the
//! severity at its start is read. If a part of a line is left out of the fields, `full_message` is the whole
//! line, unless `short_message` already is. Thus nothing is lost, except members that are `null` and objects
//! without members.

mod ansi;
mod json;
mod known;
mod lift;
mod logfmt;
mod options;
mod roles;
mod types;

pub use lift::ContentLifter;
pub use options::{ContainerContent, ContentOptions, InvalidContent, InvalidContentLabel, container_content};

#[cfg(test)]
mod tests;
