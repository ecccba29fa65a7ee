//! Fields, severity and time from the text of lines.
//!
//! A [`ContentLifter`] completes the message of a line by what the line itself says. It reads three kinds of
//! lines, each only if the [`ContentOptions`] of its container ask for it:
//!
//! * JSON objects, as most loggers of services write them,
//! * logfmt: `level=info msg="order accepted" order=4711`,
//! * plain text that names a severity at its start.
//!
//! | member of the line | part of the message |
//! |---|---|
//! | `level`, `severity`, `levelname`, `@l`, `log.level`, ... | `level` |
//! | `time`, `timestamp`, `@timestamp`, `ts`, `@t`, `instant`, ... | `timestamp` |
//! | `msg`, `message`, `@m`, `event`, ... | `short_message`, or its first line |
//! | `stack_trace`, `stacktrace`, `err.stack`, `exc_info`, `@x`, ... | `full_message`, behind the message |
//! | `trace_id`, `traceId`, `trace.id`, `@tr`, `dd.trace_id`, `traceparent`, ... | `_trace_id` |
//! | `span_id`, `spanId`, `span.id`, `@sp`, `dd.span_id`, `traceparent`, ... | `_span_id` |
//! | any other | a field |
//!
//! Numbers stay exact numbers, members of objects become fields such as `_outer_inner`, and arrays are JSON
//! text. Numbers of a level from 10 on are those of pino and bunyan. The time of a line counts if it is at
//! most a day older and a minute newer than Docker's stamp; otherwise it becomes a field.
//!
//! A name that this crate or Logstash uses for another field becomes `_line_NAME`, as does a name that the
//! container's own fields have. Thus nothing in a line can replace `_container_name`, `_seq` or `host`.
//!
//! A search index gives each field one type, and refuses messages that have another. Therefore the first type
//! of a field counts: if later values do not fit, they are sent as text in the field `_NAME_str`.
//!
//! # Limits
//!
//! A line gives at most 64 fields and 32 KiB, from objects in at most 4 levels. A value has at most 32,766
//! bytes, the longest term that Lucene takes. All lines together give at most 512 names of fields, because
//! Elasticsearch refuses messages beyond 1,000 fields of an index, and has two for each text. A container
//! gives at most 128 of them. Lines over 64 KiB are sent as they are. If a part of a line is left out of the
//! fields, `full_message` is the whole line, so nothing is lost.

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
