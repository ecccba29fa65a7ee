//! Makes the message of an event, as the table in the documentation of the crate describes it.

use gelf_tokio::gelf_core::{FieldName, FieldSet, FieldSetBuilder, Level, Value};
use tracing::Metadata;

use crate::scope::Scope;
use crate::sink::{Sink, thread_name};

const BUSY_MS: FieldName<'static> = FieldName::from_static("busy_ms");
const DURATION_MS: FieldName<'static> = FieldName::from_static("duration_ms");
const FIELDS_LEFT_OUT: FieldName<'static> = FieldName::from_static("fields_left_out");
const FILE: FieldName<'static> = FieldName::from_static("file");
const IDLE_MS: FieldName<'static> = FieldName::from_static("idle_ms");
const LINE: FieldName<'static> = FieldName::from_static("line");
const MODULE: FieldName<'static> = FieldName::from_static("module");
const SPAN: FieldName<'static> = FieldName::from_static("span");
const SPANS: FieldName<'static> = FieldName::from_static("spans");
const SPAN_ID: FieldName<'static> = FieldName::from_static("span_id");
const TARGET: FieldName<'static> = FieldName::from_static("target");
const THREAD: FieldName<'static> = FieldName::from_static("thread");
const TRACE_ID: FieldName<'static> = FieldName::from_static("trace_id");

/// The place in the program that an event comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'m> {
    pub(crate) target: &'m str,
    pub(crate) module: Option<&'m str>,
    pub(crate) file: Option<&'m str>,
    pub(crate) line: Option<u64>,
}

impl Origin<'static> {
    pub(crate) fn of(metadata: &'static Metadata<'static>) -> Self {
        Self {
            target: metadata.target(),
            module: metadata.module_path(),
            file: metadata.file(),
            line: metadata.line().map(u64::from),
        }
    }

    pub(crate) fn add_to(self, constants: FieldSetBuilder) -> FieldSetBuilder {
        constants
            .field(TARGET, self.target)
            .field(MODULE, self.module)
            .field(FILE, self.file)
            .field(LINE, self.line)
    }
}

/// The parts of an event from which its message is made.
#[derive(Debug)]
pub(crate) struct Event<'m, I> {
    /// The host and the fields of the program, and the origin if `origin` is `None`.
    pub(crate) constants: &'m FieldSet,
    pub(crate) origin: Option<Origin<'m>>,
    pub(crate) level: Level,
    pub(crate) text: &'m str,
    /// The fields of the event itself.
    pub(crate) fields: I,
    /// The number of `fields`.
    pub(crate) len: usize,
    /// The number of fields of the event that were left out.
    pub(crate) left_out: usize,
    /// The total, busy and idle time of a closed span, in milliseconds.
    pub(crate) times: Option<[f64; 3]>,
}

impl Sink {
    /// Sends the message of an event.
    pub(crate) fn send_event<'m, I>(&self, event: Event<'m, I>, scope: &'m Scope)
    where
        I: Iterator<Item = (FieldName<'m>, Value<'m>)>,
    {
        let text = event.text;
        let short_message = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let mut message = event.constants.message(short_message).with_level(event.level);
        if short_message.len() < text.trim_end().len() {
            message.set_full_message(text);
        }
        if let Some(origin) = event.origin {
            message.set_field(TARGET, origin.target);
            message.set_field(MODULE, origin.module);
            message.set_field(FILE, origin.file);
            message.set_field(LINE, origin.line);
        }
        let thread = thread_name();
        message.set_field(THREAD, thread.as_deref());
        if let Some(name) = scope.names.first() {
            message.set_field(SPAN, *name);
            message.set_field(SPANS, &scope.path);
            message.set_field(SPAN_ID, &scope.span_id);
            if !scope.trace_id.is_empty() {
                message.set_field(TRACE_ID, &scope.trace_id);
            }
        }
        if let Some([duration, busy, idle]) = event.times {
            message.set_field(DURATION_MS, duration);
            message.set_field(BUSY_MS, busy);
            message.set_field(IDLE_MS, idle);
        }
        let (kept, left_out) = scope.spans_with_room(event.len);
        let left_out = left_out + event.left_out;
        if left_out > 0 {
            message.set_field(FIELDS_LEFT_OUT, left_out);
        }
        // The fields of the event are set last, so that the nearest value remains.
        for fields in scope.fields.iter().take(kept).rev() {
            for (name, value) in fields.fields() {
                message.set_field(name, value);
            }
        }
        for (name, value) in event.fields {
            message.set_field(name, value);
        }
        self.send(&message);
    }
}
