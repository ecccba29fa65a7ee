//! The message of an event: see the table of the crate.

use std::sync::Arc;

use gelf_tokio::gelf_core::{FieldName, Level, Value};

use crate::fields::{Fields, MAX_FIELDS};
use crate::sink::{Sink, thread_name};

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

/// The place in the program that an event comes from, and its level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'m> {
    pub(crate) level: Level,
    pub(crate) target: &'m str,
    pub(crate) module: Option<&'m str>,
    pub(crate) file: Option<&'m str>,
    pub(crate) line: Option<u64>,
}

/// The spans that an event is in, the innermost first.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) names: Vec<&'static str>,
    pub(crate) fields: Vec<Arc<Fields<'static>>>,
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
        let mut path = String::new();
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

    /// Returns how many of the innermost spans have room for their fields beside the fields of the event, and
    /// how many fields are left out.
    fn spans_with_room(&self, fields: &Fields<'_>) -> (usize, usize) {
        let mut left_out = fields.left_out();
        let mut room = MAX_FIELDS - fields.len();
        let mut kept = 0;
        // A span without room leaves no room for the spans further out.
        let mut is_full = false;
        for fields in &self.fields {
            left_out += fields.left_out();
            is_full |= fields.len() > room;
            if is_full {
                left_out += fields.len();
            } else {
                room -= fields.len();
                kept += 1;
            }
        }
        (kept, left_out)
    }
}

impl Sink {
    /// Sends the message of an event. `times` are the durations of a span that is closed: all, busy, idle.
    pub(crate) fn send_event(
        &self,
        origin: Origin<'_>,
        text: &str,
        fields: Fields<'_>,
        scope: &Scope,
        times: Option<[f64; 3]>,
    ) {
        let short_message = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let mut message = self.constants.message(short_message).with_level(origin.level);
        if short_message.len() < text.trim_end().len() {
            message.set_full_message(text);
        }

        message.set_field(TARGET, origin.target);
        message.set_field(MODULE, origin.module);
        message.set_field(FILE, origin.file);
        message.set_field(LINE, origin.line);
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
        if let Some([duration, busy, idle]) = times {
            message.set_field(DURATION_MS, duration);
            message.set_field(BUSY_MS, busy);
            message.set_field(IDLE_MS, idle);
        }

        let (kept, left_out) = scope.spans_with_room(&fields);
        // The fields of the event are set last, so that the nearest value remains.
        for fields in scope.fields.iter().take(kept).rev() {
            for (name, value) in fields.iter() {
                message.set_field(name.clone(), borrowed(value));
            }
        }
        for (name, value) in fields.into_iter() {
            message.set_field(name, value);
        }
        if left_out > 0 {
            message.set_field(FIELDS_LEFT_OUT, left_out);
        }
        self.send(&message);
    }
}

/// Returns the value without a copy of its text.
fn borrowed<'v>(value: &'v Value<'static>) -> Value<'v> {
    match value.as_str() {
        Some(text) => Value::from(text),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(count: usize) -> Fields<'static> {
        let mut fields = Fields::default();
        for number in 0..count {
            fields.set(format!("field{number}").into(), number.into());
        }
        fields
    }

    #[test]
    fn a_message_has_at_most_128_fields_and_the_nearest_ones_remain() {
        let spans = |counts: &[usize]| Scope {
            fields: counts.iter().map(|count| Arc::new(fields(*count))).collect(),
            ..Scope::default()
        };
        assert_eq!(spans(&[30, 30, 30]).spans_with_room(&fields(30)), (3, 0));
        assert_eq!(spans(&[30, 60, 30, 1, 0]).spans_with_room(&fields(30)), (2, 31));
        assert_eq!(spans(&[1]).spans_with_room(&fields(130)), (0, 3));
    }
}
