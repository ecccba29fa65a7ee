//! Builds layers and loggers.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use gelf_tokio::gelf_core::{FieldName, FieldSet, FieldSetBuilder, InvalidFieldName, Value};
use gelf_tokio::options::QueueOptions;
use gelf_tokio::{Endpoint, InvalidEndpoint, WhenFull};
use tracing::Dispatch;
use tracing::span::Id;

use crate::callsite::Callsites;
use crate::guard::Guard;
use crate::host;
use crate::layer::{GelfLayer, TraceContext};
#[cfg(feature = "log")]
use crate::logger::GelfLogger;
use crate::names::is_reserved;
use crate::panic_hook;
use crate::record::MAX_VALUE_BYTES;
use crate::sink::Sink;

/// Builds a [`GelfLayer`], or a `GelfLogger` with the feature `log`, and its [`Guard`].
#[must_use = "a builder does nothing by itself"]
pub struct Builder {
    endpoint: Endpoint,
    host: Option<String>,
    fields: Vec<(String, Value<'static>)>,
    close_within: Duration,
    has_close_events: bool,
    has_panic_hook: bool,
    trace_context: Option<Arc<TraceContext>>,
}

impl Builder {
    pub(crate) fn new(uri: &str) -> Result<Self, InvalidEndpoint> {
        let mut queue = QueueOptions::default();
        queue.when_full = WhenFull::DropNewest;
        // The client's encoder cuts the values that no `Recorder` cuts, such as the fields of the program.
        queue.max_value_bytes = Some(MAX_VALUE_BYTES);
        let (endpoint, _) = Endpoint::parse_with_defaults(uri, &[], queue)?;
        Ok(Self {
            endpoint,
            host: None,
            fields: Vec::new(),
            close_within: Duration::from_secs(5),
            has_close_events: false,
            has_panic_hook: false,
            trace_context: None,
        })
    }

    /// Sets the member `host` of the messages. The default is the name of this machine.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Adds a field to each message, such as the name of the program. A field of an event or a span takes
    /// precedence over this field if the names are equal.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value<'static>>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Sets the maximum time for which the drop of the [`Guard`] waits until the queued messages are sent.
    /// The default is 5 s.
    pub fn close_within(mut self, within: Duration) -> Self {
        self.close_within = within;
        self
    }

    /// Sets whether the end of each span becomes a message with the durations of the span, as the table of
    /// the [crate] describes it. The default is `false`.
    pub fn close_events(mut self, has_close_events: bool) -> Self {
        self.has_close_events = has_close_events;
        self
    }

    /// Sets whether panics become messages, with their backtraces. The default is `false`.
    ///
    /// The hook logs an event with the target `panic`, which other layers get, too, and then calls the
    /// previous hook. If the program was compiled with `panic = "abort"`, the hook also waits until the event
    /// is sent, for at most the time of [`close_within`](Self::close_within).
    pub fn panic_hook(mut self, has_panic_hook: bool) -> Self {
        self.has_panic_hook = has_panic_hook;
        self
    }

    /// Sets the function that returns the ids of the trace and of the span for a given span. The messages of
    /// the span then have the returned ids in the fields `trace_id` and `span_id`. If the function returns
    /// `None`, the messages have no `trace_id`, and `span_id` is the id that `tracing` gives the span.
    ///
    /// This example is for OpenTelemetry, with any version of `tracing-opentelemetry` that the program uses:
    ///
    /// ```ignore
    /// use opentelemetry::trace::TraceContextExt;
    ///
    /// builder.trace_context(|id, dispatch| {
    ///     let context = tracing_opentelemetry::get_otel_context(id, dispatch)?;
    ///     let span = context.span().span_context().clone();
    ///     span.is_valid().then(|| (span.trace_id().to_bytes(), span.span_id().to_bytes()))
    /// })
    /// ```
    pub fn trace_context(
        mut self,
        ids: impl Fn(&Id, &Dispatch) -> Option<([u8; 16], [u8; 8])> + Send + Sync + 'static,
    ) -> Self {
        self.trace_context = Some(Arc::new(ids));
        self
    }

    /// Starts the thread that sends messages, and returns the layer and its guard. The call does not wait for
    /// a connection, and needs no runtime.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build(self) -> Result<(GelfLayer, Guard), BuildError> {
        let constants = self.constants()?;
        let sink = self.sink(constants.clone().build())?;
        if self.has_panic_hook {
            panic_hook::install(&sink, self.close_within, panic_hook::log_to_tracing);
        }
        let guard = Guard::new(sink.client.clone(), self.close_within);
        let callsites = Callsites::new(constants);
        Ok((GelfLayer::new(sink, callsites, self.has_close_events, self.trace_context), guard))
    }

    /// Starts the thread that sends messages, and returns the logger and its guard. Options for spans have no
    /// effect.
    ///
    /// # Errors
    /// See [`BuildError`].
    #[cfg(feature = "log")]
    pub fn build_logger(self) -> Result<(GelfLogger, Guard), BuildError> {
        let sink = self.sink(self.constants()?.build())?;
        if self.has_panic_hook {
            panic_hook::install(&sink, self.close_within, panic_hook::log_to_log);
        }
        let guard = Guard::new(sink.client.clone(), self.close_within);
        Ok((GelfLogger::new(sink, self.close_within), guard))
    }

    /// Returns the host and the fields of the program.
    fn constants(&self) -> Result<FieldSetBuilder, BuildError> {
        let host = match &self.host {
            Some(host) => host.clone(),
            None => host::name().map_err(BuildError::Host)?,
        };
        let mut constants = FieldSet::builder(host);
        for (name, value) in &self.fields {
            match FieldName::new(name.clone()) {
                Ok(valid) if is_reserved(valid.as_str()) => {
                    return Err(BuildError::ReservedField { name: name.clone() });
                }
                Ok(valid) => constants = constants.field(valid, value.clone()),
                Err(error) => return Err(BuildError::InvalidField { name: name.clone(), error }),
            }
        }
        Ok(constants)
    }

    fn sink(&self, constants: FieldSet) -> Result<Arc<Sink>, BuildError> {
        let max_value_bytes = self.endpoint.queue().max_value_bytes.unwrap_or(MAX_VALUE_BYTES);
        Sink::start(&self.endpoint, constants, max_value_bytes).map_err(BuildError::Io)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("endpoint", &self.endpoint)
            .field("host", &self.host)
            .field("fields", &self.fields)
            .field("close_within", &self.close_within)
            .field("has_close_events", &self.has_close_events)
            .field("has_panic_hook", &self.has_panic_hook)
            .finish_non_exhaustive()
    }
}

/// The reason why no layer or logger was built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The name of this machine could not be determined. Set the name with [`Builder::host`].
    Host(io::Error),
    /// The name of a field of [`Builder::field`] is not valid.
    InvalidField {
        /// The name.
        name: String,
        /// The reason.
        error: InvalidFieldName,
    },
    /// A TLS file is missing or invalid, or the thread that sends messages or its runtime cannot be started.
    Io(io::Error),
    /// The name of a field of [`Builder::field`] is one of the names that the layer or receivers use for
    /// members of messages: see the [crate].
    ReservedField {
        /// The name.
        name: String,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => write!(f, "set the host, since this machine's name is unknown: {error}"),
            Self::InvalidField { name, error } => write!(f, "invalid field name {name:?}: {error}"),
            Self::Io(error) => error.fmt(f),
            Self::ReservedField { name } => write!(f, "the field name {name:?} is reserved"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // `Display` shows the error itself.
            Self::Host(error) | Self::Io(error) => error.source(),
            Self::InvalidField { error, .. } => error.source(),
            Self::ReservedField { .. } => None,
        }
    }
}
