//! Sets up each of the compared layers as the layer's documentation shows it, and logs the events.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use gelf_tracing::{GelfLayer, Guard};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use tracing::{error, info, info_span};
use tracing_subscriber::prelude::*;

/// The value that a program keeps until its end.
#[allow(dead_code, reason = "the values are only dropped")]
pub(crate) enum Running {
    Guard(Guard),
    Runtime(tokio::runtime::Runtime),
    Nothing,
}

/// Sets up a subject, one of the compared layers, as the subscriber of the process. A layer for GELF sends to
/// `address`. If `is_large` is true, the queues of gelf-tracing and tracing-gelf hold a million events. Other
/// subjects ignore `is_large`.
pub(crate) fn start(subject: &str, address: SocketAddr, is_large: bool) -> Running {
    let registry = tracing_subscriber::registry();
    match subject {
        "nothing" => registry.with(Nothing).init(),
        "gelf-tracing" => {
            let large = if is_large { "?queue=1000000&queue_bytes=4000000000" } else { "" };
            let (layer, guard) =
                GelfLayer::builder(&format!("gelf+tcp://{address}{large}")).unwrap().build().unwrap();
            registry.with(layer).init();
            return Running::Guard(guard);
        }
        "gelf-tracing, with OpenTelemetry" => {
            let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
            let telemetry = tracing_opentelemetry::layer().with_tracer(provider.tracer("layers"));
            let builder = GelfLayer::builder(&format!("gelf+tcp://{address}")).unwrap();
            let (layer, guard) = builder
                .trace_context(|id, dispatch| {
                    let context = tracing_opentelemetry::get_otel_context(id, dispatch)?;
                    let span = context.span().span_context().clone();
                    span.is_valid().then(|| (span.trace_id().to_bytes(), span.span_id().to_bytes()))
                })
                .build()
                .unwrap();
            registry.with(telemetry).with(layer).init();
            return Running::Guard(guard);
        }
        "tracing-gelf" | "tracing-gelf, buffer 65536" => {
            let mut builder = tracing_gelf::Logger::builder();
            if is_large || subject != "tracing-gelf" {
                builder = builder.buffer(if is_large { 1_000_000 } else { 65_536 });
            }
            let mut handle = builder.init_tcp(address).unwrap();
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.spawn(async move {
                loop {
                    handle.connect().await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            return Running::Runtime(runtime);
        }
        "json" => registry.with(tracing_subscriber::fmt::layer().json().with_writer(io::sink)).init(),
        "json, shown" => registry.with(tracing_subscriber::fmt::layer().json()).init(),
        _ => panic!("no subject is called {subject}"),
    }
    Running::Nothing
}

/// A layer that does nothing.
struct Nothing;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Nothing {}

/// Logs events with 8 fields in two spans.
pub(crate) fn log(events: std::ops::Range<u64>) {
    let _request = info_span!("request", method = "GET", path = "/orders/4711").entered();
    let _payment = info_span!("payment", user = "anna", order = 4711).entered();
    for number in events {
        event(number);
    }
}

pub(crate) fn event(number: u64) {
    info!(
        number,
        amount = 9.5,
        currency = "EUR",
        is_paid = true,
        retries = 3,
        bank = %"Sparkasse",
        card = ?Some(4),
        customer = "Grüße 🦀",
        "payment refused"
    );
}

#[derive(Debug)]
struct PaymentFailed(io::Error);

impl fmt::Display for PaymentFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("payment failed")
    }
}

impl Error for PaymentFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Logs one event with a value of each kind.
#[allow(dead_code, reason = "the count of allocations does not use it")]
pub(crate) fn one_of_each() {
    let failure = PaymentFailed(io::Error::other("connection refused"));
    let _request = info_span!("request", user = "anna", order = 1).entered();
    let _payment = info_span!("payment", order = 2).entered();
    error!(
        float = 0.1,
        big = u64::MAX,
        yes = true,
        error = &failure as &dyn Error,
        text = "Grüße 🦀",
        level = "high",
        "first line\nsecond line"
    );
}
