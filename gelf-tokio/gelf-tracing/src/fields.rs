//! The fields of an event or a span, with their values as GELF has them.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Debug};

use gelf_tokio::gelf_core::{FieldName, Number, Value};
use tracing::field::{Field, Visit};

use crate::text::BoundedText;

/// The maximum number of fields of one event or span, and of one message without the fields of the layer.
pub(crate) const MAX_FIELDS: usize = 128;

/// The default maximum length of a value in bytes.
pub(crate) const MAX_VALUE_BYTES: usize = 32_766;

/// The maximum length of a message's text in bytes.
pub(crate) const MAX_TEXT_BYTES: usize = 65_536;

/// The maximum number of errors in the text of an error and its sources.
const MAX_SOURCES: usize = 32;

/// The names that fields of events and spans cannot have, in order. The layer sets some of them; receivers
/// use the others for members of the message or for themselves, and would drop a field with such a name
/// (Graylog) or overwrite the member (Logstash).
const RESERVED: [&str; 25] = [
    "busy_ms",
    "duration_ms",
    "fields_left_out",
    "file",
    "full_message",
    "host",
    "idle_ms",
    "level",
    "line",
    "lost",
    "lost_total",
    "message",
    "module",
    "short_message",
    "source",
    "span",
    "span_id",
    "spans",
    "streams",
    "tags",
    "target",
    "thread",
    "timestamp",
    "trace_id",
    "version",
];

/// Returns whether a field of an event, a span or the whole program cannot have this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.binary_search(&name).is_ok()
}

/// Fields in the order in which they were recorded, each with a valid name and a value other than null.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields<'a> {
    list: Vec<Entry<'a>>,
    /// The number of fields beyond [`MAX_FIELDS`].
    left_out: usize,
}

#[derive(Clone, Debug)]
struct Entry<'a> {
    /// The name that the program uses.
    given: Cow<'a, str>,
    name: FieldName<'a>,
    value: Value<'a>,
}

impl<'a> Fields<'a> {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FieldName<'a>, &Value<'a>)> {
        self.list.iter().map(|entry| (&entry.name, &entry.value))
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = (FieldName<'a>, Value<'a>)> {
        self.list.into_iter().map(|entry| (entry.name, entry.value))
    }

    /// Adds a field, or replaces the value of the field that the program calls by the same name. A null value
    /// is left out.
    pub(crate) fn set(&mut self, given: Cow<'a, str>, value: Value<'a>) {
        if value.is_null() {
            return;
        }
        if let Some(entry) = self.list.iter_mut().find(|entry| entry.given == given) {
            entry.value = value;
            return;
        }
        if self.list.len() == MAX_FIELDS {
            self.left_out += 1;
            return;
        }
        let name = self.free_name(FieldName::sanitize(given.clone()));
        self.list.push(Entry { given, name, value });
    }

    /// Returns the name, or the name with the lowest suffix `_2`, `_3`, ... that is neither reserved nor the
    /// name of another field.
    fn free_name(&self, name: FieldName<'a>) -> FieldName<'a> {
        let is_taken = |name: &str| is_reserved(name) || self.list.iter().any(|entry| entry.name == *name);
        if !is_taken(name.as_str()) {
            return name;
        }
        let mut number = 2;
        loop {
            let numbered = FieldName::sanitize(format!("{name}_{number}"));
            // A name of the maximum length loses its suffix, and is then left to replace the other one.
            if !is_taken(numbered.as_str()) || numbered == name {
                return numbered;
            }
            number += 1;
        }
    }
}

/// Visits the fields of an event or a span.
#[derive(Debug)]
pub(crate) struct Collector<'f, 'a> {
    pub(crate) fields: &'f mut Fields<'a>,
    pub(crate) max_value_bytes: usize,
    /// The field `message` of an event. In a span, `message` is a field like others.
    pub(crate) message: Option<&'f mut String>,
    /// The origin of a record of the crate `log` that came through `tracing-log`, whose events carry it in
    /// fields.
    pub(crate) log_origin: Option<&'f mut LogOrigin>,
}

/// The origin of a record of the crate `log`.
#[derive(Debug, Default)]
pub(crate) struct LogOrigin {
    pub(crate) target: Option<String>,
    pub(crate) module: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u64>,
}

impl Collector<'_, '_> {
    fn set(&mut self, field: &Field, value: Value<'static>) {
        self.fields.set(Cow::Borrowed(field.name()), value);
    }

    fn is_message(&self, field: &Field) -> bool {
        self.message.is_some() && field.name() == "message"
    }

    fn number(&mut self, field: &Field, number: impl fmt::Display + Into<Value<'static>>) {
        match &mut self.message {
            Some(message) if field.name() == "message" => **message = number.to_string(),
            _ => self.set(field, number.into()),
        }
    }
}

impl Visit for Collector<'_, '_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if let (Some(origin), "log.line") = (&mut self.log_origin, field.name()) {
            origin.line = Some(value);
        } else {
            self.number(field, value);
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.set(field, Number::parse(value.to_string()).into());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.set(field, Number::parse(value.to_string()).into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(origin) = &mut self.log_origin {
            let part = match field.name() {
                "log.target" => Some(&mut origin.target),
                "log.module_path" => Some(&mut origin.module),
                "log.file" => Some(&mut origin.file),
                _ => None,
            };
            if let Some(part) = part {
                *part = Some(BoundedText::of_str(value, self.max_value_bytes));
                return;
            }
        }
        match &mut self.message {
            Some(message) if field.name() == "message" => {
                **message = BoundedText::of_str(value, MAX_TEXT_BYTES);
            }
            _ => self.set(field, BoundedText::of_str(value, self.max_value_bytes).into()),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let text = error_text(value, self.max_value_bytes);
        match &mut self.message {
            Some(message) if field.name() == "message" => **message = text,
            _ => self.set(field, text.into()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format_args!("{value:?}");
        if self.is_message(field) {
            let text = BoundedText::of(&value, MAX_TEXT_BYTES);
            if let Some(message) = &mut self.message {
                **message = text;
            }
        } else {
            let text = BoundedText::of(&value, self.max_value_bytes);
            self.set(field, text.into());
        }
    }
}

/// Returns the text of an error and of its sources: `outer: inner: innermost`. A source is left out if the
/// text of the error above it ends with the text of the source.
pub(crate) fn error_text(error: &(dyn Error + 'static), max_bytes: usize) -> String {
    let mut text = BoundedText::of(&error, max_bytes);
    let mut source = error.source();
    for _ in 0..MAX_SOURCES {
        let Some(error) = source else { break };
        let own = BoundedText::of(&error, max_bytes);
        if !text.ends_with(&own) {
            text = BoundedText::of(&format_args!("{text}: {own}"), max_bytes);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(fields: &Fields<'_>) -> Vec<String> {
        fields.iter().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn reserved_names_are_in_order_so_that_they_are_found() {
        assert!(RESERVED.is_sorted());
        assert!(RESERVED.iter().all(|name| is_reserved(name)));
    }

    #[test]
    fn names_never_replace_a_field_that_the_program_calls_otherwise() {
        let mut fields = Fields::default();
        for given in ["a/b", "a b", "a_b_2", "level", "level_2", "id", "a/b"] {
            fields.set(given.into(), given.into());
        }
        assert_eq!(names(&fields), ["a_b", "a_b_2", "a_b_2_2", "level_2", "level_2_2", "id_"]);
        assert_eq!(fields.iter().next().unwrap().1.as_str(), Some("a/b"));
    }

    #[test]
    fn fields_beyond_the_maximum_are_counted_and_null_is_no_field() {
        let mut fields = Fields::default();
        fields.set("nan".into(), f64::NAN.into());
        for number in 0..MAX_FIELDS + 2 {
            fields.set(format!("field{number}").into(), number.into());
        }
        assert_eq!((fields.len(), fields.left_out()), (MAX_FIELDS, 2));
    }

    #[derive(Debug)]
    struct Chain(&'static str, Option<Box<Self>>);

    impl fmt::Display for Chain {
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
