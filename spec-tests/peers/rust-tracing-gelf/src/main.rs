//! Adapter of the subject protocol (`../../PROTOCOL.md`) for the crate tracing-gelf, which only sends
//! `tracing` events.

#[path = "../../../adapters/rust/gelf_subject.rs"]
mod gelf_subject;

use gelf_subject::{Answer, capture, check_compression, fields, integer, refused, serve, unsupported};
use serde_json::{Value, json};
use tracing::{Dispatch, dispatcher, field};
use tracing_gelf::{ConnectionErrors, Logger};
use tracing_subscriber::layer::SubscriberExt;

fn main() -> std::io::Result<()> {
    let notes = "The host and the additional fields are set on the builder, because the field names of an event are \
        fixed at compile time. The other members are fields of an event of level INFO; according to the documentation \
        of the crate, such fields override the members that the crate sets.";
    let hello = json!({"sends": ["udp", "tcp"], "fixed": ["datagram_size"], "notes": notes});
    serve(include_str!("../Cargo.lock"), "tracing-gelf", hello, send)
}

fn send(request: &Value) -> Answer {
    check_compression(request, &["none"])?;
    let message = &request["message"];
    integer::<i64>(message, "level")?;
    let mut builder = Logger::builder().host(message["host"].as_str().unwrap_or_default());
    for (name, value) in fields(message) {
        builder = builder.additional_field(name, value.clone());
    }
    let is_udp = request["transport"] == "udp";
    if is_udp && request["datagram_size"].as_u64().is_some_and(|size| size != 1420) {
        return Err(unsupported("the datagram size is fixed"));
    }
    capture(request, |address| {
        if is_udp {
            let (logger, mut handle) = builder.connect_udp(address).map_err(refused)?;
            log(logger, message);
            run(handle.connect())
        } else {
            let (logger, mut handle) = builder.connect_tcp(address).map_err(refused)?;
            log(logger, message);
            run(handle.connect())
        }
    })
}

/// Logs the message. Dropping the logger ends the connection.
fn log(logger: Logger, message: &Value) {
    let [text, full_message] = ["short_message", "full_message"].map(|name| message[name].as_str());
    let level = message["level"].as_i64();
    let whole = message["timestamp"].as_i64().map(|seconds| Box::new(seconds) as Box<dyn field::Value>);
    let timestamp = whole.or(message["timestamp"].as_f64().map(|seconds| Box::new(seconds) as _));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(logger));
    dispatcher::with_default(&dispatch, || tracing::info!(full_message, level, timestamp, message = text));
}

/// Runs the library until everything is sent.
fn run(connection: impl Future<Output = ConnectionErrors>) -> Result<(), Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let ConnectionErrors(errors) = runtime.block_on(connection);
    errors.first().map_or(Ok(()), |(_, error)| Err(refused(error)))
}
