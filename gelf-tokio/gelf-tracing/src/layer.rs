//! The layer.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gelf_tokio::InvalidEndpoint;
use gelf_tokio::gelf_core::Level;
use tracing::dispatcher::WeakDispatch;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::builder::Builder;
use crate::fields::{Collector, Fields, LogOrigin};
use crate::message::{Origin, Scope};
use crate::panic_hook;
use crate::sink::{Sink, is_own, is_sender};
use crate::spans::{SpanFields, Times};

/// Returns the ids of the trace and of a span, as bytes in the order in which they are written.
pub(crate) type TraceContext = dyn Fn(&Id, &Dispatch) -> Option<([u8; 16], [u8; 8])> + Send + Sync;

/// Sends each event with its spans as a GELF message.
///
/// The layer never waits, unless the URI says `when_full=wait`. It works within any subscriber that keeps
/// spans, such as [`Registry`](tracing_subscriber::Registry), below filters, and in
/// [`reload`](tracing_subscriber::reload). The [crate](crate) describes the messages.
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
    has_close_events: bool,
    trace_context: Option<Arc<TraceContext>>,
    /// The subscriber that the layer is part of, for `trace_context`.
    dispatch: OnceLock<WeakDispatch>,
}

impl GelfLayer {
    /// Returns a builder for a layer that sends to the endpoint with this URI, as
    /// [`Endpoint`](gelf_tokio::Endpoint) describes it. The default of its option `when_full` is
    /// `drop_newest`.
    ///
    /// # Errors
    /// Returns an error if the URI is invalid, or if its transport needs a cargo feature that is off.
    pub fn builder(uri: &str) -> Result<Builder, InvalidEndpoint> {
        Builder::new(uri)
    }

    pub(crate) fn new(
        sink: Arc<Sink>,
        has_close_events: bool,
        trace_context: Option<Arc<TraceContext>>,
    ) -> Self {
        Self { sink, has_close_events, trace_context, dispatch: OnceLock::new() }
    }

    fn scope<'a, S>(&self, spans: impl Iterator<Item = SpanRef<'a, S>>) -> Scope
    where
        S: Subscriber + for<'l> LookupSpan<'l>,
    {
        let mut scope = Scope::default();
        for span in spans {
            if scope.names.is_empty() {
                self.identify(&span.id(), &mut scope);
            }
            scope.names.push(span.name());
            // A span that was made before the layer was put in has no fields.
            if let Some(SpanFields(fields)) = span.extensions().get() {
                scope.fields.push(Arc::clone(fields));
            }
        }
        scope
    }

    /// Sets the ids of the innermost span and of its trace.
    fn identify(&self, id: &Id, scope: &mut Scope) {
        let dispatch = self.dispatch.get().and_then(WeakDispatch::upgrade);
        let ids = self.trace_context.as_ref().zip(dispatch).and_then(|(ids, dispatch)| ids(id, &dispatch));
        match ids {
            Some((trace, span)) => {
                scope.trace_id = Some(format!("{:032x}", u128::from_be_bytes(trace)));
                scope.span_id = Some(format!("{:016x}", u64::from_be_bytes(span)));
            }
            None => scope.span_id = Some(format!("{:016x}", id.into_u64())),
        }
    }
}

impl<S> Layer<S> for GelfLayer
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // A second subscriber with the same layer is not possible.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if is_sender() {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut self.collector(&mut fields));
        let mut extensions = span.extensions_mut();
        extensions.replace(SpanFields(Arc::new(fields)));
        if self.has_close_events {
            extensions.replace(Times::new(Instant::now()));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        // Values are formatted without the lock on the span, since their code may log in the span.
        let mut fields = match span.extensions().get::<SpanFields>() {
            Some(SpanFields(fields)) => Fields::clone(fields),
            None => return,
        };
        values.record(&mut self.collector(&mut fields));
        span.extensions_mut().replace(SpanFields(Arc::new(fields)));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if is_own(metadata.target()) {
            return;
        }
        let (mut fields, mut text) = (Fields::default(), String::new());
        let mut log_origin = LogOrigin::default();
        event.record(&mut Collector {
            message: Some(&mut text),
            log_origin: matches!(metadata.target(), "log" | panic_hook::TARGET).then_some(&mut log_origin),
            ..self.collector(&mut fields)
        });
        let origin = Origin {
            level: level(metadata),
            target: log_origin.target.as_deref().unwrap_or_else(|| metadata.target()),
            module: log_origin.module.as_deref().or_else(|| metadata.module_path()),
            file: log_origin.file.as_deref().or_else(|| metadata.file()),
            line: log_origin.line.or_else(|| metadata.line().map(u64::from)),
        };
        if is_own(origin.target) {
            return;
        }
        if text.trim().is_empty() {
            // An event without a message has a name such as "event src/main.rs:7".
            text.push_str(metadata.name());
        }
        let scope = context.event_scope(event).map(|spans| self.scope(spans)).unwrap_or_default();
        self.sink.send_event(origin, &text, fields, &scope, None);
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
        if times.is_none() {
            return;
        }
        let origin = Origin {
            level: level(metadata),
            target: metadata.target(),
            module: metadata.module_path(),
            file: metadata.file(),
            line: metadata.line().map(u64::from),
        };
        let text = format!("{} closed", metadata.name());
        let scope = self.scope(span.scope());
        self.sink.send_event(origin, &text, Fields::default(), &scope, times);
    }
}

impl GelfLayer {
    fn collector<'f, 'a>(&self, fields: &'f mut Fields<'a>) -> Collector<'f, 'a> {
        Collector { fields, max_value_bytes: self.sink.max_value_bytes, message: None, log_origin: None }
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

/// Returns the level in syslog's steps, which have none below debug.
fn level(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Informational,
        _ => Level::Debug,
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
