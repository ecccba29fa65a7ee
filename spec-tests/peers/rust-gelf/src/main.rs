//! Adapter of the subject protocol (`../../PROTOCOL.md`) for the crate gelf, which only sends.

#[path = "../../../adapters/rust/gelf_subject.rs"]
mod gelf_subject;

use chrono::DateTime;
use gelf::{Backend, ChunkSize, Level, Logger, Message, MessageCompression};
use gelf::{NullBackend, TcpBackend, WireMessage};
use gelf_subject::{Answer, CHUNK_HEADER, capture_tcp, check_compression, datagrams};
use gelf_subject::{fields, integer, refused, serve, unsupported};
use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let notes = "Datagrams come from WireMessage::to_chunked_message; UdpBackend sends them unchanged.";
    let hello = json!({"sends": ["udp", "tcp"], "notes": notes});
    serve(include_str!("../Cargo.lock"), "gelf", hello, send)
}

fn send(request: &Value) -> Answer {
    let compression = match request["compression"].as_str() {
        Some("gzip") => MessageCompression::Gzip { level: 1 }, // The crate's default level.
        Some("zlib") => MessageCompression::Zlib { level: 1 },
        _ => MessageCompression::None,
    };
    let message = message(&request["message"])?;
    let host = request["message"]["host"].as_str().unwrap_or_default();
    let logger = Logger::new_with_hostname(Box::new(NullBackend::new()), host);
    if request["transport"] == "tcp" {
        check_compression(request, &["none"])?;
        return capture_tcp(|address| {
            let backend = TcpBackend::new(address).map_err(refused)?;
            // Logger::log_message makes the same call, but discards the error.
            backend.log_message(WireMessage::new(message, &logger)).map_err(refused)
        });
    }
    let size = integer::<u16>(request, "datagram_size")?.unwrap_or(1420).saturating_sub(CHUNK_HEADER as u16);
    let size = ChunkSize::Custom(size);
    let chunked = WireMessage::new(message, &logger).to_chunked_message(size, compression);
    Ok(datagrams(chunked.map_err(refused)?.iter()))
}

fn message(asked: &Value) -> Result<Message<'_>, Value> {
    let mut message = Message::new(asked["short_message"].as_str().unwrap_or_default());
    if let Some(full) = asked["full_message"].as_str() {
        message.set_full_message(full);
    }
    if let Some(level) = integer::<i64>(asked, "level")? {
        message.set_level(Level::from(level));
    }
    if let Some(seconds) = asked["timestamp"].as_f64() {
        // Rounding to microseconds loses nothing, because the library sends milliseconds.
        let timestamp = DateTime::from_timestamp_micros((seconds * 1e6).round() as i64);
        message.set_timestamp(timestamp.ok_or_else(|| unsupported("chrono has no such time"))?);
    }
    for (name, value) in fields(asked) {
        let value = value.as_str().ok_or_else(|| unsupported("additional fields are strings"))?;
        message.set_metadata(name, value).map_err(refused)?;
    }
    Ok(message)
}
