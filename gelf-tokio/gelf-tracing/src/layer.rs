//! Defines the layer, which turns events into messages.

use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gelf_tokio::InvalidEndpoint;
use gelf_tokio::gelf_core::{FieldName, Value};
use tracing::dispatcher::WeakDispatch;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::builder::Builder;
use crate::callsite::{Callsites, level};
use crate::message::{self, Origin};
use crate::panic_hook;
use crate::record::{EventRecord, Recorder};
use crate::scope::Scope;
use crate::sink::{Sink, is_own, is_sender};
use crate::spans::{SpanFields, SpanRecord, Times};

/// Returns the ids of the trace and of the span for a given span. Each id begins with its most significant
/// byte.
pub(crate) type TraceContext = dyn Fn(&Id, &Dispatch) -> Option<([u8; 16], [u8; 8])> + Send + Sync;

/// Sends each event with its spans as a GELF message.
///
/// The layer never waits, unless the URI says `when_full=wait`. It works within any subscriber that keeps
/// spans, such as [`Registry`](tracing_subscriber::Registry). It also works with filters and with
/// [`reload`](tracing_subscriber::reload). The documentation of this [`crate`] describes the messages.
///
/// ```
/// use gelf_tracing::GelfLayer;
/// use tracing_subscriber::prelude::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (layer, _guard) = GelfLayer::builder("gelf://127.0.0.1:12201")?.field("service", "shop").build()?;
/// let subscriber = tracing_subscriber::registry().with(layer);
/// # tracing::subscriber::with_default(subscriber, || {
/// tracing::warn!(order = 4711, "payment refused");
/// # });
/// # Ok(())
/// # }
/// ```
pub struct GelfLayer {
    sink: Arc<Sink>,
    callsites: Callsites,
    has_close_events: bool,
    trace_context: Option<Arc<TraceContext>>,
    /// The subscriber that the layer is part of, for `trace_context`.
    dispatch: OnceLock<WeakDispatch>,
}

impl GelfLayer {
    /// Returns a builder for a layer that sends to the endpoint with this URI, as
    /// [`Endpoint`](gelf_tokio::Endpoint) describes it. Here, the default of the option `when_full` is
    /// `drop_newest`, and the default of `max_value_bytes` is 32,766.
    ///
    /// # Errors
    /// Returns an error if the URI is invalid, or if its transport needs a cargo feature that is off.
    pub fn builder(uri: &str) -> Result<Builder, InvalidEndpoint> {
        Builder::new(uri)
    }

    pub(crate) fn new(
        sink: Arc<Sink>,
        callsites: Callsites,
        has_close_events: bool,
        trace_context: Option<Arc<TraceContext>>,
    ) -> Self {
        Self { sink, callsites, has_close_events, trace_context, dispatch: OnceLock::new() }
    }

    fn scope<'a, S>(&self, spans: impl Iterator<Item = SpanRef<'a, S>>) -> Scope
    where
        S: Subscriber + for<'l> LookupSpan<'l>,
    {
        let mut scope = Scope::new();
        for span in spans {
            if scope.names.is_empty() {
                self.identify(&span.id(), &mut scope);
            }
            scope.names.push(span.name());
            // A span that was created before the layer was added has no fields here.
            let extensions = span.extensions();
            let fields = extensions.get::<SpanFields>();
            scope.fields.extend(fields.and_then(|fields| fields.get(self.sink.max_value_bytes)).cloned());
        }
        scope.set_path();
        scope
    }

    /// Sets the ids of the innermost span and of its trace.
    fn identify(&self, id: &Id, scope: &mut Scope) {
        let ids = self.trace_context.as_ref().and_then(|ids| {
            let dispatch = self.dispatch.get().and_then(WeakDispatch::upgrade);
            // A layer that a reload adds to a running subscriber is not told which subscriber this is. It is
            // probably the current one.
            ids(id, &dispatch.unwrap_or_else(|| tracing::dispatcher::get_default(Dispatch::clone)))
        });
        // Writing to a string does not fail.
        let _ = match ids {
            Some((trace, span)) => {
                let _ = write!(scope.trace_id, "{:032x}", u128::from_be_bytes(trace));
                write!(scope.span_id, "{:016x}", u64::from_be_bytes(span))
            }
            None => write!(scope.span_id, "{:016x}", id.into_u64()),
        };
    }
}

impl<S> Layer<S> for GelfLayer
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // The cell is empty, since a layer is part of only one subscriber.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if is_sender() {
            return;
        }
        let mut record = EventRecord::new();
        attributes.record(&mut self.recorder(&mut record));
        let mut fields = SpanRecord::new(self.callsites.get(span.metadata()));
        fields.set(&mut record);
        record.retire();
        let mut extensions = span.extensions_mut();
        let (max_value_bytes, fields) = (self.sink.max_value_bytes, Arc::new(fields));
        match extensions.get_mut::<SpanFields>() {
            Some(known) => known.set(max_value_bytes, fields),
            None => extensions.insert(SpanFields::new(max_value_bytes, fields)),
        }
        if self.has_close_events {
            extensions.replace(Times::new(Instant::now()));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        // Values are formatted without the lock on the span, since the code that formats them may log in the
        // span.
        let mut record = EventRecord::new();
        values.record(&mut self.recorder(&mut record));
        let mut extensions = span.extensions_mut();
        let fields = extensions.get_mut::<SpanFields>();
        if let Some(fields) = fields.and_then(|fields| fields.get_mut(self.sink.max_value_bytes)) {
            Arc::make_mut(fields).set(&mut record);
        }
        drop(extensions);
        record.retire();
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if is_own(metadata.target()) {
            return;
        }
        // An event with one of these targets may have its true target in a field. The layer must therefore visit
        // the fields before it can tell whether the event comes from this crate or its transport.
        let has_log_origin = matches!(metadata.target(), "log" | panic_hook::TARGET);
        if !has_log_origin && self.sink.refuses() {
            return;
        }
        let callsite = self.callsites.get(metadata);
        let mut record = EventRecord::new();
        let message = callsite.message;
        event.record(&mut Recorder { message, has_log_origin, ..self.recorder(&mut record) });
        let origin = has_log_origin.then(|| {
            let (log, own) = (&record.log_origin, Origin::of(metadata));
            Origin {
                target: log.target.as_deref().unwrap_or(own.target),
                module: log.module.as_deref().or(own.module),
                file: log.file.as_deref().or(own.file),
                line: log.line.or(own.line),
            }
        });
        if origin.is_some_and(|origin| is_own(origin.target)) {
            return;
        }
        let scope = context.event_scope(event).map(|spans| self.scope(spans)).unwrap_or_default();
        let parts = message::Event {
            constants: if origin.is_some() { &self.sink.constants } else { &callsite.constants },
            origin,
            level: level(metadata),
            text: match record.message() {
                // An event without a message has a name such as "event src/main.rs:7".
                text if text.trim().is_empty() => metadata.name(),
                text => text,
            },
            fields: record.fields(&callsite),
            len: record.len(),
            left_out: record.left_out.len(),
            times: None,
        };
        self.sink.send_event(parts, &scope);
        scope.retire();
        record.retire();
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if self.has_close_events {
            change_times(id, &context, |times| times.enter(Instant::now()));
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if self.has_close_events {
            change_times(id, &context, |times| times.exit(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if !self.has_close_events {
            return;
        }
        let Some(span) = context.span(&id) else { return };
        let metadata = span.metadata();
        if is_own(metadata.target()) {
            return;
        }
        let times = span.extensions().get::<Times>().map(|times| times.millis(Instant::now()));
        // A span that was created before the layer was added has no times.
        if times.is_none() || self.sink.refuses() {
            return;
        }
        let scope = self.scope(span.scope());
        let closed = message::Event {
            constants: &self.callsites.get(metadata).constants,
            origin: None,
            level: level(metadata),
            text: &format!("{} closed", metadata.name()),
            fields: std::iter::empty::<(FieldName<'_>, Value<'_>)>(),
            len: 0,
            left_out: 0,
            times,
        };
        self.sink.send_event(closed, &scope);
        scope.retire();
    }
}

impl GelfLayer {
    fn recorder<'r>(&self, record: &'r mut EventRecord) -> Recorder<'r> {
        let max_value_bytes = self.sink.max_value_bytes;
        Recorder { record, max_value_bytes, message: None, has_log_origin: false }
    }
}

fn change_times<S>(id: &Id, context: &Context<'_, S>, change: impl FnOnce(&mut Times))
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    if let Some(span) = context.span(id) {
        span.extensions_mut().get_mut().map(change);
    }
}

impl fmt::Debug for GelfLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GelfLayer")
            .field("sink", &self.sink)
            .field("has_close_events", &self.has_close_events)
            .finish_non_exhaustive()
    }
}
