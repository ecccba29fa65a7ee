//! A layer for [`tracing`] that sends events with their spans as GELF messages to Graylog, Logstash and other
//! receivers, over UDP, TCP, TLS or HTTP.
//!
//! ```no_run
//! use gelf_tracing::GelfLayer;
//! use tracing_subscriber::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (layer, _guard) = GelfLayer::builder("gelf+tcp://graylog")?.field("service", "shop").build()?;
//!     tracing_subscriber::registry().with(layer).init();
//!     tracing::warn!(order = 4711, "payment refused");
//!     Ok(())
//! }
//! ```
//!
//! * [`GelfLayer`]: the layer.
//! * [`Guard`]: sends the queued messages at the end of the program.
//! * `GelfLogger`, with the feature `log`: sends the records of the crate `log`.
//!
//! The URI and its options are described at [`Endpoint`](gelf_tokio::Endpoint). Two defaults differ from
//! the description there: `when_full=drop_newest` and `max_value_bytes=32766`.
//!
//! # Messages
//!
//! | in the program | in the message |
//! |---|---|
//! | the event's message | `short_message`. A text of several lines is `full_message`, and its first line that is not blank is `short_message`. An event without a message has its callsite's name, such as `event src/main.rs:7`. |
//! | level | `level`: 3 for error, 4 for warn, 6 for info, 7 for debug and trace |
//! | time of the event | `timestamp`, in seconds with nanoseconds |
//! | [`Builder::host`], by default the name of the machine | `host` |
//! | target, module path, file, line | `_target`, `_module`, `_file`, `_line` (a number) |
//! | name of the thread, or its id, such as `ThreadId(2)` | `_thread` |
//! | integers and floats | numbers; an integer outside of `i64` is a string, since Graylog would read such a number modulo 2^64 |
//! | NaN and the infinities | no field, since JSON has no such numbers |
//! | booleans | the strings `true` and `false`, since Graylog drops booleans |
//! | errors, as in `error = &error as &dyn Error` | the text of the error and of its sources, as in `payment failed: connection refused`. A source is left out if the text of the error above it ends with the text of the source. |
//! | other values, `%` and `?` | strings |
//! | fields of the spans around the event | fields, as if they were the event's. The nearest value wins: the event's, then those of the spans from the innermost to the outermost, and finally the one of [`Builder::field`]. |
//! | innermost span | `_span`, its name; `_span_id`, 16 hexadecimal digits, unique among the open spans of the process |
//! | all spans | `_spans`, such as `request:payment`, the outermost first |
//! | end of a span, with [`Builder::close_events`] | a message `payment closed` with the level, origin and fields of the span, and `_duration_ms`, `_busy_ms` (entered) and `_idle_ms` (not entered) |
//! | ids of [`Builder::trace_context`], such as OpenTelemetry's | `_trace_id`, 32 hexadecimal digits, and `_span_id` |
//! | panic, with [`Builder::panic_hook`] | a message with level 3, the target `panic`, and the file and line of the panic; `full_message` has the backtrace |
//! | a record of `log` through `tracing-log` | target, module, file and line of the record |
//!
//! **Names.** A character that GELF does not allow in names becomes `_`: `a/b` becomes `_a_b`. If two fields
//! of an event or span would get the same name, the second gets the suffix `_2`, and a third gets `_3`. The
//! following names get a suffix, too, since this crate or a receiver uses them for something else:
//! `busy_ms`, `duration_ms`, `fields_left_out`, `file`, `full_message`, `host`, `idle_ms`, `level`, `line`,
//! `lost`, `lost_total`, `message` (of a span), `module`, `short_message`, `source`, `span`, `span_id`,
//! `spans`, `streams`, `tags`, `target`, `thread`, `timestamp`, `trace_id` and `version`. Without the suffix,
//! Graylog would drop the field, take it for the level, or change the type of another field, and Logstash would
//! overwrite a member of the message. The name `id`, which GELF does not allow, becomes `id_`. The names of
//! [`Builder::field`] are not changed: the builder refuses a name with a character that GELF does not allow, a name
//! of this list, and `id`.
//!
//! # Limits
//!
//! | limit | value | beyond it |
//! |---|---|---|
//! | queue | 65,536 messages or 64 MiB; options `queue` and `queue_bytes` | the event is lost and counted |
//! | value of a field | 32,766 bytes, as much as Elasticsearch indexes; option `max_value_bytes` | cut off, with `…` at its end |
//! | text of an event | 65,536 bytes | cut off, with `…` at its end |
//! | fields of an event or a span | 128 | left out, and counted in `_fields_left_out` |
//! | fields of an event and its spans | 128 | the outermost spans' fields are left out, and counted in `_fields_left_out` |
//! | names in `_spans` | 32 | the outermost are left out, with `…` in their place |
//! | sources of an error | 32 | left out |
//!
//! # Lost events
//!
//! By default, a full queue does not block the program: the newest event is lost. With `when_full=drop_oldest`
//! in the URI, the oldest queued event is lost instead. With `when_full=wait`, the thread that logs waits until
//! the queue has room, without a time limit.
//!
//! Lost events are counted in the [statistics](gelf_tokio::stats::ClientStats) of [`Guard::client`]. At most
//! once a minute, a message reports them. This message has the target `gelf_tracing`, the level 4, and the
//! fields `_lost` (since the last report) and `_lost_total`. Other layers get the report as an event.
//!
//! # Threads and loops
//!
//! The thread `gelf-tracing` sends the messages in a separate tokio runtime. So the program needs no runtime,
//! can log on any thread, and can block the threads of its runtime at the end. An event about an error of
//! sending never becomes another message: events of the thread `gelf-tracing` are not sent, and neither are
//! events of other threads with a target of `gelf_tokio` or `gelf_tracing`. Other layers get these events, which
//! explain why nothing arrives at the receiver. To see them, add a layer that writes to stderr.
//! [`Client::last_error`] returns the last error.
//!
//! [`Client::last_error`]: gelf_tokio::Client::last_error
//!
//! # Features
//!
//! * `zlib-rs` (on by default), `tls` and `http` are the features of [`gelf_tokio`].
//! * `log` adds `GelfLogger`.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub use gelf_tokio;

mod builder;
mod callsite;
mod guard;
mod host;
mod layer;
#[cfg(feature = "log")]
mod logger;
mod message;
mod names;
mod panic_hook;
mod record;
mod report;
mod scope;
mod sink;
mod spans;
mod text;

pub use builder::{BuildError, Builder};
pub use guard::Guard;
pub use layer::GelfLayer;
#[cfg(feature = "log")]
pub use logger::GelfLogger;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
