//! Records the values of an event or a span as GELF values.

use std::cell::Cell;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::mem::take;
use std::ops::Range;

use gelf_tokio::gelf_core::{FieldName, Number, Value};
use tracing::field::{Field, Visit};

use crate::callsite::Callsite;
use crate::names::MAX_FIELDS;
use crate::text;

/// The default maximum length of a value in bytes.
pub(crate) const MAX_VALUE_BYTES: usize = 32_766;

/// The maximum length of a message's text in bytes.
pub(crate) const MAX_TEXT_BYTES: usize = 65_536;

/// The maximum number of sources of an error that are visited for its text.
const MAX_SOURCES: usize = 32;

/// The maximum capacity in bytes of a thread's buffer for texts. A larger buffer is freed after use.
const RETAINED_BYTES: usize = 64 * 1024;

thread_local! {
    /// The last record of the thread, without its values. The next record uses its allocated memory again.
    static LAST: Cell<EventRecord> = Cell::default();
}

/// The values of an event or a span. They share one buffer for their texts.
#[derive(Debug, Default)]
pub(crate) struct EventRecord {
    text: String,
    /// The values, with the indices of their fields.
    values: Vec<(usize, Recorded)>,
    message: Range<usize>,
    /// The indices of the fields that are left out, since they are beyond the maximum number.
    pub(crate) left_out: Vec<usize>,
    /// The origin from fields such as `log.file`. The event has such fields if it is a panic, or a record of
    /// the crate `log` that came through `tracing-log`.
    pub(crate) log_origin: LogOrigin,
}

#[derive(Debug)]
enum Recorded {
    Text(Range<usize>),
    Value(Value<'static>),
}

/// The origin of a record of the crate `log`, or of a panic.
#[derive(Debug, Default)]
pub(crate) struct LogOrigin {
    pub(crate) target: Option<String>,
    pub(crate) module: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u64>,
}

impl EventRecord {
    /// Returns an empty record that uses the memory of the thread's last record. The record gets new memory
    /// if another event of the thread is being recorded, or if the thread's local values are already dropped.
    pub(crate) fn new() -> Self {
        LAST.try_with(Cell::take).unwrap_or_default()
    }

    /// Keeps the memory for the next record of the thread, unless the buffer is larger than [`RETAINED_BYTES`].
    pub(crate) fn retire(self) {
        if self.text.capacity() <= RETAINED_BYTES {
            let Self { mut text, mut values, .. } = self;
            text.clear();
            values.clear();
            let _ = LAST.try_with(|last| last.set(Self { text, values, ..Self::default() }));
        }
    }

    /// Returns the message's text.
    pub(crate) fn message(&self) -> &str {
        self.text(&self.message)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the fields.
    pub(crate) fn fields<'r>(
        &'r self,
        callsite: &'r Callsite,
    ) -> impl Iterator<Item = (FieldName<'r>, Value<'r>)> {
        self.values.iter().filter_map(|(index, value)| {
            let name = callsite.names.get(*index)?.clone();
            Some((
                name,
                match value {
                    Recorded::Text(range) => self.text(range).into(),
                    Recorded::Value(value) => value.clone(),
                },
            ))
        })
    }

    /// Takes the values out, with the indices of their fields.
    pub(crate) fn take_values(&mut self) -> impl Iterator<Item = (usize, Value<'static>)> {
        let (text, values) = (take(&mut self.text), take(&mut self.values));
        values.into_iter().map(move |(index, value)| {
            (
                index,
                match value {
                    Recorded::Text(range) => text.get(range).unwrap_or_default().to_owned().into(),
                    Recorded::Value(value) => value,
                },
            )
        })
    }

    fn text(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }
}

/// Visits the fields of an event or a span.
#[derive(Debug)]
pub(crate) struct Recorder<'r> {
    pub(crate) record: &'r mut EventRecord,
    pub(crate) max_value_bytes: usize,
    /// The index of the field `message` of an event. `None` for a span, in which `message` is an ordinary
    /// field.
    pub(crate) message: Option<usize>,
    /// `true` if fields such as `log.file` are the event's origin (records of the crate `log`, and panics).
    pub(crate) has_log_origin: bool,
}

impl Recorder<'_> {
    fn push(&mut self, field: &Field, value: Recorded) {
        if field.index() < MAX_FIELDS {
            self.record.values.push((field.index(), value));
        } else {
            self.record.left_out.push(field.index());
        }
    }

    /// Records a value that is no text. A null value is left out, unless it is the message.
    fn value(&mut self, field: &Field, value: impl Into<Value<'static>>) {
        let value = value.into();
        if self.message == Some(field.index()) {
            self.display(field, &value);
        } else if !value.is_null() {
            self.push(field, Recorded::Value(value));
        }
    }

    /// Records a text. `append` appends the text to a string, cut off at the given number of bytes.
    fn text(&mut self, field: &Field, append: impl FnOnce(&mut String, usize)) {
        let start = self.record.text.len();
        if self.message == Some(field.index()) {
            append(&mut self.record.text, MAX_TEXT_BYTES);
            self.record.message = start..self.record.text.len();
        } else {
            append(&mut self.record.text, self.max_value_bytes);
            self.push(field, Recorded::Text(start..self.record.text.len()));
        }
    }

    fn display(&mut self, field: &Field, value: &dyn Display) {
        self.text(field, |text, max_bytes| text::push(text, value, max_bytes));
    }
}

impl Visit for Recorder<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if self.has_log_origin && field.name() == "log.line" {
            self.record.log_origin.line = Some(value);
        } else {
            self.value(field, value);
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.value(field, Number::parse(value.to_string()));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.value(field, Number::parse(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.has_log_origin {
            let origin = &mut self.record.log_origin;
            let part = match field.name() {
                "log.target" => Some(&mut origin.target),
                "log.module_path" => Some(&mut origin.module),
                "log.file" => Some(&mut origin.file),
                _ => None,
            };
            if let Some(part) = part {
                *part = Some(text::of(&value, self.max_value_bytes));
                return;
            }
        }
        self.text(field, |text, max_bytes| text::push_str(text, value, max_bytes));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, |text, max_bytes| text.push_str(&error_text(value, max_bytes)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.display(field, &format_args!("{value:?}"));
    }
}

/// Returns the text of an error and of its sources: `outer: inner: innermost`. A source is left out if the
/// text of the error above it ends with the text of the source.
fn error_text(error: &(dyn Error + 'static), max_bytes: usize) -> String {
    let mut text = text::of(&error, max_bytes);
    let mut source = error.source();
    for _ in 0..MAX_SOURCES {
        let Some(error) = source else { break };
        let own = text::of(&error, max_bytes);
        if !text.ends_with(&own) {
            text = text::of(&format_args!("{text}: {own}"), max_bytes);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Chain(&'static str, Option<Box<Self>>);

    impl Display for Chain {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Chain {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as _)
        }
    }

    #[test]
    fn the_text_of_an_error_has_each_source_once() {
        let root = Chain("refused", None);
        let connect = Chain("cannot connect: refused", Some(Box::new(root)));
        let outer = Chain("payment failed", Some(Box::new(connect)));
        assert_eq!(error_text(&outer, 1000), "payment failed: cannot connect: refused");
        assert_eq!(error_text(&outer, 20), "payment failed: c…");
    }
}
