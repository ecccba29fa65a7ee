//! Sends messages to the loopback with one of the Rust libraries: over TCP with gelf_logger, and over UDP with the
//! others.
//!
//! `send PORT COUNT MESSAGES.json LIBRARY [OPTIONS]`; OPTIONS are the options of a gelf-tokio endpoint.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use gelf_tokio::gelf_core::{FieldName, FieldSet, Level, Message, Timestamp};
use gelf_tokio::{Client, Endpoint, UdpSender};
use tracing_subscriber::layer::SubscriberExt;

/// The content of the messages. The lines take turns.
struct Content {
    host: String,
    fields: Vec<(String, String)>,
    lines: Vec<String>,
    count: usize,
    port: u16,
}

impl Content {
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str).cycle().take(self.count)
    }

    fn field_set(&self) -> FieldSet {
        let set = FieldSet::builder(self.host.as_str());
        let name = |name: &str| FieldName::new(format!("_{name}")).expect("a valid name");
        self.fields.iter().fold(set, |set, (key, value)| set.field(name(key), value.clone())).build()
    }

    fn endpoint(&self, options: &str) -> Endpoint {
        format!("gelf://127.0.0.1:{}?{options}", self.port).parse().expect("an endpoint")
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, count, file, library, options @ ..] = arguments.as_slice() else {
        panic!("the arguments are PORT COUNT MESSAGES.json LIBRARY [OPTIONS]");
    };
    let json = std::fs::read(file).expect("a readable file");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let fields = json["fields"].as_object().expect("an object");
    let content = Content {
        host: text(&json["host"]),
        fields: fields.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        lines: json["lines"].as_array().expect("an array").iter().map(text).collect(),
        count: count.parse().expect("a number"),
        port: port.parse().expect("a port"),
    };
    let options = options.first().map_or("", String::as_str);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match library.as_str() {
        "client" => runtime.block_on(client(&content, options)),
        "udp-sender" => runtime.block_on(udp_sender(&content, options)),
        "gelf" => gelf(&content),
        "gelf_logger" => gelf_logger(&content),
        "tracing-gelf" => runtime.block_on(tracing_gelf(&content)),
        other => panic!("unknown library {other:?}"),
    }
}

fn message<'a>(set: &'a FieldSet, line: &'a str) -> Message<'a> {
    set.message(line).with_timestamp(Timestamp::from(SystemTime::now())).with_level(Level::Informational)
}

async fn client(content: &Content, options: &str) {
    let (client, set) = (Client::connect(&content.endpoint(options)).expect("a client"), content.field_set());
    for line in content.lines() {
        client.send(&message(&set, line)).await.expect("a place in the queue");
    }
    client.close(Duration::from_secs(60)).await.expect("all messages are sent");
}

async fn udp_sender(content: &Content, options: &str) {
    let mut sender = UdpSender::connect(&content.endpoint(options)).await.expect("a socket");
    let set = content.field_set();
    for line in content.lines() {
        sender.send(&message(&set, line)).await.expect("the message is sent");
    }
}

fn gelf(content: &Content) {
    let backend = gelf::UdpBackend::new(("127.0.0.1", content.port)).expect("a socket");
    let mut logger = gelf::Logger::new(Box::new(backend)).expect("a logger");
    logger.set_hostname(content.host.as_str());
    for (name, value) in &content.fields {
        logger.set_default_metadata(name.clone(), value.clone());
    }
    for line in content.lines() {
        logger.log_message(gelf::Message::new_with_level(line, gelf::Level::Informational));
    }
}

/// Sends over TCP, because the crate has no UDP.
fn gelf_logger(content: &Content) {
    static FAILURE: Mutex<Option<String>> = Mutex::new(None);
    let fields = content.fields.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
    let logger = gelf_logger::GelfLogger::builder()
        .filter_level(log::LevelFilter::Info)
        .hostname("127.0.0.1".to_owned())
        .port(content.port)
        .tls(false)
        .null_character(true)
        .extend_additional_fields(fields)
        .background_error_handler(Some(|error| *FAILURE.lock().unwrap() = Some(error.to_string())))
        .build()
        .expect("a logger");
    for line in content.lines() {
        let arguments = format_args!("{line}");
        let record = log::Record::builder().args(arguments).level(log::Level::Info).build();
        log::Log::log(&logger, &record);
    }
    // The drop sends everything.
    drop(logger);
    assert_eq!(*FAILURE.lock().unwrap(), None);
}

async fn tracing_gelf(content: &Content) {
    // The crate drops events that do not fit into its buffer.
    let mut builder =
        tracing_gelf::Logger::builder().host(content.host.as_str()).buffer(content.count.max(1));
    builder = builder.file_names(false).line_numbers(false).module_paths(false);
    for (name, value) in &content.fields {
        builder = builder.additional_field(name.as_str(), value.as_str());
    }
    let (logger, mut handle) = builder.connect_udp(("127.0.0.1", content.port)).expect("a logger");
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(logger));
    tracing::dispatcher::with_default(&dispatch, || {
        for line in content.lines() {
            tracing::info!("{line}");
        }
    });
    drop(dispatch);
    // This call ends when everything is sent.
    handle.connect().await;
}
