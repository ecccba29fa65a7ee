//! Adapter of the subject protocol (`../../PROTOCOL.md`) for the crate gelf_logger, which only sends `log`
//! records over TCP.

#[path = "../../rust_adapter.rs"]
mod adapter;

use std::io;
use std::sync::Mutex;

use gelf_logger::{Error, GelfLevel, GelfLogger, INTERNAL_LEVEL_FIELD_NAME};
use log::{Level, LevelFilter, Log, Record, kv};
use serde_json::{Value, json};

use adapter::{hexadecimal, listen, serve, unsupported};

/// Error that the library's thread reported.
static FAILURE: Mutex<Option<String>> = Mutex::new(None);

fn main() -> io::Result<()> {
    let hello = json!({
        "sends": ["tcp"],
        "fixed": ["host", "timestamp"],
        "notes": "With the builder's null_character(true), which GELF requires and which is off by default. \
            Additional fields are the key-values of the record, as with the crate's macros.",
    });
    serve(include_str!("../Cargo.lock"), "gelf_logger", hello, send)
}

fn send(request: &Value) -> Value {
    if request["transport"] != "tcp" {
        return unsupported("it sends only over TCP");
    }
    if !matches!(request["compression"].as_str(), None | Some("none")) {
        return unsupported("no compression");
    }
    let message = &request["message"];
    let level = match &message["level"] {
        Value::Null => None,
        level => match level.as_u64().map(u32::try_from) {
            Some(Ok(level)) => Some(GelfLevel::from(level)),
            _ => return unsupported("GelfLevel is made of a u32"),
        },
    };
    if message.get("full_message").is_some() {
        return unsupported("no full_message");
    }
    let (address, reader) = listen();
    *FAILURE.lock().expect("the failure") = None;
    let logger = GelfLogger::builder()
        .filter_level(LevelFilter::Trace)
        .hostname("127.0.0.1".to_owned())
        .port(address.port())
        .tls(false)
        .null_character(true)
        .background_error_handler(Some(note_failure))
        .build()
        .expect("a logger");
    log(&logger, level, message);
    drop(logger); // Dropping the logger sends all records and closes the connection.
    let bytes = reader.join().expect("the reader").expect("bytes");
    match FAILURE.lock().expect("the failure").take() {
        Some(text) => json!({"error": {"text": text}}),
        None => json!({"stream": hexadecimal(&bytes)}),
    }
}

fn note_failure(error: Error) {
    *FAILURE.lock().expect("the failure") = Some(error.to_string());
}

/// Logs a record as the macros `gelf_error!`, `gelf_info!`… do. The macros themselves accept only constant
/// field names and levels. Without a level, logs a record as `log::info!` does.
fn log(logger: &GelfLogger, gelf_level: Option<GelfLevel>, message: &Value) {
    let mut pairs: Vec<(&str, kv::Value<'_>)> = Vec::new();
    let mut level = Level::Info;
    if let Some(gelf_level) = gelf_level {
        level = gelf_level.into();
        pairs.push((INTERNAL_LEVEL_FIELD_NAME, (gelf_level as u32).into()));
    }
    for (name, value) in message["fields"].as_object().into_iter().flatten() {
        pairs.push((name, kv::Value::from_serde(value)));
    }
    let text = message["short_message"].as_str().unwrap_or_default();
    let arguments = format_args!("{text}");
    let record = Record::builder()
        .args(arguments)
        .level(level)
        .target(module_path!())
        .module_path_static(Some(module_path!()))
        .file_static(Some(file!()))
        .line(Some(line!()))
        .key_values(&pairs)
        .build();
    logger.log(&record);
}
