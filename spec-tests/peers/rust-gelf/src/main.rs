//! Adapter of the subject protocol (`../../PROTOCOL.md`) for the crate gelf, which only sends.

#[path = "../../rust_adapter.rs"]
mod adapter;

use std::io;

use chrono::DateTime;
use gelf::{
    Backend, ChunkSize, Level, Logger, Message, MessageCompression, NullBackend, TcpBackend, WireMessage,
};
use serde_json::{Value, json};

use adapter::{hexadecimal, listen, serve, unsupported};

/// Size of a chunk header in bytes. The library's chunk size excludes the header.
const CHUNK_HEADER: u64 = 12;

fn main() -> io::Result<()> {
    let hello = json!({
        "sends": ["udp", "tcp"],
        "notes": "Datagrams come from WireMessage::to_chunked_message; UdpBackend sends them unchanged.",
    });
    serve(include_str!("../Cargo.lock"), "gelf", hello, |request| {
        send(request).unwrap_or_else(|refusal| refusal)
    })
}

/// Builds an answer with the texts of the library's error and of all its causes.
macro_rules! error {
    ($error:expr) => {{
        let words: Vec<String> = $error.iter_chain().map(|cause| cause.to_string()).collect();
        json!({"error": {"text": words.join(": ")}})
    }};
}

/// Sends the message of a request, and returns the answer. The error value is also an answer: the reason why
/// nothing was sent.
fn send(request: &Value) -> Result<Value, Value> {
    let compression = match request["compression"].as_str() {
        None | Some("none") => MessageCompression::None,
        Some("gzip") => MessageCompression::Gzip { level: 1 }, // The crate's default level.
        Some("zlib") => MessageCompression::Zlib { level: 1 },
        Some(_) => return Err(unsupported("the compression")),
    };
    let message = message(&request["message"])?;
    let host = request["message"]["host"].as_str();
    if request["transport"] == "tcp" {
        if compression != MessageCompression::None {
            return Err(unsupported("TcpBackend has no compression"));
        }
        return stream(message, host);
    }
    let size = request["datagram_size"].as_u64().unwrap_or(1420).saturating_sub(CHUNK_HEADER);
    let size = ChunkSize::Custom(size.try_into().map_err(|_| unsupported("ChunkSize is a u16"))?);
    let logger = logger(Box::new(NullBackend::new()), host)?;
    let chunked = WireMessage::new(message, &logger)
        .to_chunked_message(size, compression)
        .map_err(|error| error!(error))?;
    Ok(json!({"datagrams": chunked.iter().map(|datagram| hexadecimal(&datagram)).collect::<Vec<_>>()}))
}

fn logger(backend: Box<dyn Backend>, host: Option<&str>) -> Result<Logger, Value> {
    match host {
        Some(host) => Ok(Logger::new_with_hostname(backend, host)),
        None => Logger::new(backend).map_err(|error| error!(error)),
    }
}

fn message(asked: &Value) -> Result<Message<'_>, Value> {
    let mut message = Message::new(asked["short_message"].as_str().unwrap_or_default());
    if let Some(full) = asked["full_message"].as_str() {
        message.set_full_message(full);
    }
    if let Some(level) = asked.get("level") {
        message.set_level(Level::from(level.as_i64().ok_or_else(|| unsupported("Level is made of an i64"))?));
    }
    if let Some(seconds) = asked["timestamp"].as_f64() {
        // Rounding to microseconds loses nothing, because the library sends milliseconds.
        let timestamp = DateTime::from_timestamp_micros((seconds * 1e6).round() as i64);
        message.set_timestamp(timestamp.ok_or_else(|| unsupported("chrono has no such time"))?);
    }
    for (name, value) in asked["fields"].as_object().into_iter().flatten() {
        let value = value.as_str().ok_or_else(|| unsupported("additional fields are strings"))?;
        message.set_metadata(name.as_str(), value).map_err(|error| error!(error))?;
    }
    Ok(message)
}

/// Returns an answer with the bytes that `TcpBackend` sends before it is dropped.
fn stream(message: Message<'_>, host: Option<&str>) -> Result<Value, Value> {
    let (address, reader) = listen();
    let backend = TcpBackend::new(address).map_err(|error| error!(error))?;
    let logger = logger(Box::new(NullBackend::new()), host)?;
    // Logger::log_message makes the same call, but discards the error.
    backend.log_message(WireMessage::new(message, &logger)).map_err(|error| error!(error))?;
    drop(backend);
    let bytes =
        reader.join().expect("the reader").map_err(|error| json!({"error": {"text": error.to_string()}}))?;
    Ok(json!({"stream": hexadecimal(&bytes)}))
}
