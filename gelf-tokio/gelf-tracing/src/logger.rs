//! Defines the logger, which turns records of the crate `log` into messages.

use std::sync::Arc;
use std::time::Duration;

use gelf_tokio::InvalidEndpoint;
use gelf_tokio::gelf_core::{FieldName, Level, Number, Value};
use log::kv::{self, VisitSource, VisitValue};
use log::{Log, Metadata, Record};

use crate::builder::Builder;
use crate::message::{Event, Origin};
use crate::names::{self, MAX_FIELDS};
use crate::record::MAX_TEXT_BYTES;
use crate::scope::Scope;
use crate::sink::{Sink, is_own};
use crate::text;

/// Sends each record of the crate [`log`] with its key-values as a GELF message, for programs that do not use
/// `tracing`.
///
/// The logger sends the records of all levels that [`log::set_max_level`] enables. The [crate](crate)
/// describes the messages. A record has no spans. A value that is not a string, number or boolean becomes its
/// text, so the text of an error does not contain the sources of the error.
///
/// ```
/// use gelf_tracing::GelfLogger;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (logger, _guard) = GelfLogger::builder("gelf://127.0.0.1:12201")?.build_logger()?;
/// log::set_boxed_logger(Box::new(logger))?;
/// log::set_max_level(log::LevelFilter::Info);
/// log::warn!(order = 4711; "payment refused");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GelfLogger {
    sink: Arc<Sink>,
    close_within: Duration,
}

impl GelfLogger {
    /// Returns a builder for a logger: see [`GelfLayer::builder`](crate::GelfLayer::builder).
    ///
    /// # Errors
    /// Returns an error if the URI is invalid, or if its transport needs a cargo feature that is off.
    pub fn builder(uri: &str) -> Result<Builder, InvalidEndpoint> {
        Builder::new(uri)
    }

    pub(crate) fn new(sink: Arc<Sink>, close_within: Duration) -> Self {
        Self { sink, close_within }
    }
}

impl Log for GelfLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !is_own(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || self.sink.refuses() {
            return;
        }
        let mut collector =
            Collector { fields: Vec::new(), left_out: 0, max_value_bytes: self.sink.max_value_bytes };
        // The visitor returns no errors.
        let _ = record.key_values().visit(&mut collector);
        let Collector { fields, left_out, .. } = collector;
        let event = Event {
            constants: &self.sink.constants,
            origin: Some(Origin {
                target: record.target(),
                module: record.module_path(),
                file: record.file(),
                line: record.line().map(u64::from),
            }),
            level: level(record.level()),
            text: &text::of(record.args(), MAX_TEXT_BYTES),
            len: fields.len(),
            fields: fields.into_iter(),
            left_out,
            times: None,
        };
        self.sink.send_event(event, &Scope::default());
    }

    /// Blocks the thread until the queued messages are sent, for at most the time of
    /// [`Builder::close_within`].
    fn flush(&self) {
        let _ = self.sink.client.flush_blocking(self.close_within);
    }
}

/// Visits the key-values of a record.
struct Collector<'r> {
    fields: Vec<(FieldName<'r>, Value<'r>)>,
    left_out: usize,
    max_value_bytes: usize,
}

impl<'r> VisitSource<'r> for Collector<'r> {
    fn visit_pair(&mut self, key: kv::Key<'r>, value: kv::Value<'r>) -> Result<(), kv::Error> {
        let mut converted = Converted { value: Value::Null, max_value_bytes: self.max_value_bytes };
        value.visit(&mut converted)?;
        if converted.value.is_null() {
            return Ok(());
        }
        if self.fields.len() == MAX_FIELDS {
            self.left_out += 1;
            return Ok(());
        }
        let key = match key.to_borrowed_str() {
            Some(key) => FieldName::sanitize(key),
            None => FieldName::sanitize(key.as_str().to_owned()),
        };
        let name = names::free(key, |name| self.fields.iter().any(|(known, _)| known == name));
        self.fields.push((name, converted.value));
        Ok(())
    }
}

/// Visits one value.
struct Converted {
    value: Value<'static>,
    max_value_bytes: usize,
}

impl Converted {
    fn set(&mut self, value: impl Into<Value<'static>>) -> Result<(), kv::Error> {
        self.value = value.into();
        Ok(())
    }
}

impl<'v> VisitValue<'v> for Converted {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.set(text::of(&value, self.max_value_bytes))
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.set(value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.set(value)
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.set(Number::parse(value.to_string()))
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.set(Number::parse(value.to_string()))
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.set(value)
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.set(value)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.set(text::of(&value, self.max_value_bytes))
    }
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warning,
        log::Level::Info => Level::Informational,
        log::Level::Debug | log::Level::Trace => Level::Debug,
    }
}
