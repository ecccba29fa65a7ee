//! The message of an event: see the table of the crate.

use std::sync::Arc;

use gelf_tokio::gelf_core::{FieldName, FieldSet, FieldSetBuilder, Level, Value};
use tracing::Metadata;

use crate::names::MAX_FIELDS;
use crate::sink::{Sink, thread_name};
use crate::spans::SpanRecord;

/// The maximum number of names in the path of spans.
const MAX_PATH_SPANS: usize = 32;

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

/// An event, before its message is made.
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
    /// The number of fields that were left out.
    pub(crate) left_out: usize,
    /// The durations of a span that is closed: all, busy, idle.
    pub(crate) times: Option<[f64; 3]>,
}

/// The spans that an event is in, the innermost first.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) names: Vec<&'static str>,
    pub(crate) fields: Vec<Arc<SpanRecord>>,
    /// The id of the innermost span in hexadecimal digits.
    pub(crate) span_id: Option<String>,
    /// The id of the trace in hexadecimal digits.
    pub(crate) trace_id: Option<String>,
}

impl Scope {
    /// Returns the names of the spans from the outermost to the innermost, as `outer:inner`. If there are
    /// more than [`MAX_PATH_SPANS`], the path begins with `…:` and has the innermost ones.
    fn path(&self) -> String {
        let kept = self.names.get(..MAX_PATH_SPANS).unwrap_or(&self.names);
        let mut path = String::with_capacity(kept.iter().map(|name| name.len() + 1).sum::<usize>() + 3);
        if kept.len() < self.names.len() {
            path.push('…');
        }
        for name in kept.iter().rev() {
            if !path.is_empty() {
                path.push(':');
            }
            path.push_str(name);
        }
        path
    }

    /// Returns how many of the innermost spans have room for their fields beside `len` fields of the event, and
    /// how many fields are left out.
    fn spans_with_room(&self, len: usize) -> (usize, usize) {
        let mut room = MAX_FIELDS.saturating_sub(len);
        let (mut kept, mut left_out) = (0, 0);
        // A span without room leaves no room for the spans further out.
        let mut is_full = false;
        for fields in &self.fields {
            let len = fields.len();
            left_out += fields.left_out();
            is_full |= len > room;
            if is_full {
                left_out += len;
            } else {
                room -= len;
                kept += 1;
            }
        }
        (kept, left_out)
    }
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
        let path;
        if let Some(name) = scope.names.first() {
            path = scope.path();
            message.set_field(SPAN, *name);
            message.set_field(SPANS, &path);
            message.set_field(SPAN_ID, scope.span_id.as_deref());
            message.set_field(TRACE_ID, scope.trace_id.as_deref());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn a_message_has_at_most_128_fields_and_the_nearest_ones_remain() {
        let given: Vec<&'static str> = (0..60).map(|number| &*format!("field{number}").leak()).collect();
        let span = |len: usize| {
            let names = names::of_callsite(given.iter().copied().take(len));
            Arc::new(SpanRecord::of_numbers(names))
        };
        let with_room = |spans: &[usize], len| {
            let fields = spans.iter().map(|len| span(*len)).collect();
            Scope { fields, ..Scope::default() }.spans_with_room(len)
        };
        assert_eq!(with_room(&[30, 30, 30], 30), (3, 0));
        assert_eq!(with_room(&[30, 60, 30, 1, 0], 40), (1, 91));
        assert_eq!(with_room(&[1], 128), (0, 1));
    }
}
