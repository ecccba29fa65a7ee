//! Adapter of the subject protocol (`../../PROTOCOL.md`) for the crate gelf_logger. The crate sends
//! records of the crate `log`, and only over TCP.

#[path = "../../../adapters/rust/gelf_subject.rs"]
mod gelf_subject;

use std::sync::Mutex;

use gelf_logger::{Error, GelfLevel, GelfLogger, INTERNAL_LEVEL_FIELD_NAME};
use gelf_subject::{Answer, capture_tcp, check_compression, fields, integer, refused, serve, unsupported};
use log::{Level, LevelFilter, Log, Record, kv};
use serde_json::{Value, json};

/// Error that the library's thread reported.
static FAILURE: Mutex<Option<String>> = Mutex::new(None);

fn note_failure(error: Error) {
    *FAILURE.lock().expect("the failure") = Some(error.to_string());
}

fn main() -> std::io::Result<()> {
    let notes = "With the builder's null_character(true), which GELF requires and which is off by default. Additional \
        fields are the key-values of the record, as with the crate's macros.";
    let hello = json!({"sends": ["tcp"], "fixed": ["host", "timestamp"], "notes": notes});
    serve(include_str!("../Cargo.lock"), "gelf_logger", hello, send)
}

fn send(request: &Value) -> Answer {
    check_compression(request, &["none"])?;
    let message = &request["message"];
    let level = integer::<u32>(message, "level")?.map(GelfLevel::from);
    if message.get("full_message").is_some() {
        return Err(unsupported("no full_message"));
    }
    *FAILURE.lock().expect("the failure") = None;
    let sent = capture_tcp(|address| {
        let builder = GelfLogger::builder().hostname("127.0.0.1".to_owned()).port(address.port()).tls(false);
        let builder = builder.filter_level(LevelFilter::Trace).null_character(true);
        let logger = builder.background_error_handler(Some(note_failure)).build().expect("a logger");
        log(&logger, level, message);
        // Dropping the logger sends all records and closes the connection.
        Ok(())
    });
    FAILURE.lock().expect("the failure").take().map_or(sent, |text| Err(refused(text)))
}

/// Logs a record as the macros `gelf_error!`, `gelf_info!`… do. The macros themselves accept only constant
/// field names and levels. Without a level, logs a record as `log::info!` does.
fn log(logger: &GelfLogger, gelf_level: Option<GelfLevel>, message: &Value) {
    let mut pairs: Vec<(&str, kv::Value<'_>)> = Vec::new();
    pairs.extend(gelf_level.map(|level| (INTERNAL_LEVEL_FIELD_NAME, (level as u32).into())));
    pairs.extend(fields(message).map(|(name, value)| (name, kv::Value::from_serde(value))));
    let text = message["short_message"].as_str().unwrap_or_default();
    let level = gelf_level.map_or(Level::Info, Into::into);
    let arguments = format_args!("{text}");
    let mut record = Record::builder();
    record.target(module_path!()).module_path_static(Some(module_path!()));
    record.file_static(Some(file!())).line(Some(line!()));
    logger.log(&record.args(arguments).level(level).key_values(&pairs).build());
}
