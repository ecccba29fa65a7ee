//! Adapter of the subject protocol (`../../PROTOCOL.md`) for the crate tracing-gelf, which only sends
//! `tracing` events.

#[path = "../../../adapters/rust/gelf_subject.rs"]
mod gelf_subject;

use std::io;

use serde_json::{Value, json};
use tracing::{Dispatch, dispatcher, field};
use tracing_gelf::{ConnectionErrors, Logger};
use tracing_subscriber::layer::SubscriberExt;

use gelf_subject::{Answer, capture_tcp, capture_udp, refused, serve, unsupported};

fn main() -> io::Result<()> {
    let hello = json!({
        "sends": ["udp", "tcp"],
        "fixed": ["datagram_size"],
        "notes": "Additional fields are set on the builder, because field names of an event are fixed at compile \
            time. \
            The other members are fields of an event of level INFO; by its documentation, they override the \
            crate's own.",
    });
    serve(include_str!("../Cargo.lock"), "tracing-gelf", hello, send)
}

fn send(request: &Value) -> Answer {
    if !matches!(request["compression"].as_str(), None | Some("none")) {
        return Err(unsupported("no compression"));
    }
    let message = &request["message"];
    if message.get("level").is_some_and(|level| !level.is_i64()) {
        return Err(unsupported("the level is an integer"));
    }
    let mut builder = Logger::builder();
    if let Some(host) = message["host"].as_str() {
        builder = builder.host(host);
    }
    for (name, value) in message["fields"].as_object().into_iter().flatten() {
        builder = builder.additional_field(name, value.clone());
    }
    match request["transport"].as_str() {
        Some("udp") if request["datagram_size"].as_u64().is_some_and(|size| size != 1420) => {
            Err(unsupported("the datagram size is fixed"))
        }
        Some("udp") => capture_udp(|address| {
            let (logger, mut handle) = builder.connect_udp(address).map_err(refused)?;
            log(logger, message);
            run(handle.connect())
        }),
        _ => capture_tcp(|address| {
            let (logger, mut handle) = builder.connect_tcp(address).map_err(refused)?;
            log(logger, message);
            run(handle.connect())
        }),
    }
}

/// Logs the message. Dropping the logger ends the connection.
fn log(logger: Logger, message: &Value) {
    let text = message["short_message"].as_str();
    let full_message = message["full_message"].as_str();
    let level = message["level"].as_i64();
    let timestamp: Option<Box<dyn field::Value>> = match &message["timestamp"] {
        Value::Number(number) if number.is_i64() => number.as_i64().map(|seconds| Box::new(seconds) as _),
        number => number.as_f64().map(|seconds| Box::new(seconds) as _),
    };
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(logger));
    dispatcher::with_default(&dispatch, || tracing::info!(full_message, level, timestamp, message = text));
}

/// Runs the library until everything is sent.
fn run(connection: impl Future<Output = ConnectionErrors>) -> Result<(), Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let ConnectionErrors(errors) = runtime.block_on(connection);
    errors.first().map_or(Ok(()), |(_, error)| Err(refused(error)))
}
