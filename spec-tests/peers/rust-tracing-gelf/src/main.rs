//! Adapter of the subject protocol (`../../PROTOCOL.md`) for the crate tracing-gelf, which only sends
//! `tracing` events.

#[path = "../../rust_adapter.rs"]
mod adapter;

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};
use tracing::{Dispatch, dispatcher, field};
use tracing_gelf::{Builder, ConnectionErrors, Logger};
use tracing_subscriber::layer::SubscriberExt;

use adapter::{hexadecimal, listen, serve, unsupported};

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

fn send(request: &Value) -> Value {
    if !matches!(request["compression"].as_str(), None | Some("none")) {
        return unsupported("no compression");
    }
    let message = &request["message"];
    if message.get("level").is_some_and(|level| !level.is_i64()) {
        return unsupported("the level is an integer");
    }
    let mut builder = Logger::builder();
    if let Some(host) = message["host"].as_str() {
        builder = builder.host(host);
    }
    for (name, value) in message["fields"].as_object().into_iter().flatten() {
        builder = builder.additional_field(name, value.clone());
    }
    let sent = match request["transport"].as_str() {
        Some("udp") if request["datagram_size"].as_u64().is_some_and(|size| size != 1420) => {
            return unsupported("the datagram size is fixed");
        }
        Some("udp") => datagrams(builder, message),
        _ => stream(builder, message),
    };
    sent.unwrap_or_else(|text| json!({"error": {"text": text}}))
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
fn run(connection: impl Future<Output = ConnectionErrors>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let ConnectionErrors(errors) = runtime.block_on(connection);
    errors.first().map_or(Ok(()), |(_, error)| Err(error.to_string()))
}

fn datagrams(builder: Builder, message: &Value) -> Result<Value, String> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on the loopback");
    let address = socket.local_addr().expect("an address");
    let (logger, mut handle) = builder.connect_udp(address).map_err(|error| error.to_string())?;
    log(logger, message);
    run(handle.connect())?;
    // The library has sent everything, but a slow kernel can deliver datagrams later.
    socket.set_read_timeout(Some(Duration::from_millis(30))).expect("a time-out");
    let mut buffer = [0; 1 << 16];
    let mut datagrams = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        datagrams.push(hexadecimal(&buffer[..length]));
    }
    Ok(json!({"datagrams": datagrams}))
}

fn stream(builder: Builder, message: &Value) -> Result<Value, String> {
    let (address, reader) = listen();
    let (logger, mut handle) = builder.connect_tcp(address).map_err(|error| error.to_string())?;
    log(logger, message);
    run(handle.connect())?;
    let bytes = reader.join().expect("the reader").map_err(|error| error.to_string())?;
    Ok(json!({"stream": hexadecimal(&bytes)}))
}
