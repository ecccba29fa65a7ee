//! Describes vectors in words.

use std::fmt::Write;

use crate::recipe::{Content, hex};
use crate::text::shortened;
use crate::vector::{
    Afterwards, Authorization, Expected, HttpExchange, HttpRequest, Input, MessageText, Vector,
};

/// Maximum number of steps of a vector, and of fields of a message, that are described one by one.
const MAX_STEPS: usize = 12;

/// Describes the input of a vector.
pub fn describe_input(vector: &Vector) -> String {
    match vector.input() {
        None => String::new(),
        Some(Input::Payload(payload)) => format!("payload {}", of_bytes(payload)),
        Some(Input::Datagrams(steps)) => lines(steps.iter().map(|step| {
            let at = if step.at > 0.0 { format!("at {} s ", step.at) } else { String::new() };
            match &step.datagram {
                Some(datagram) => format!("{at}datagram from {}: {}", step.from, of_bytes(datagram)),
                None => format!("{at}no datagram"),
            }
        })),
        Some(Input::Stream(pieces)) => {
            lines(pieces.iter().map(|piece| format!("stream: {}", of_bytes(piece))))
        }
        Some(Input::Send(send)) => format!(
            "send by {}, compression {}, datagrams of up to {} bytes: {}",
            send.transport,
            send.compression(),
            send.datagram_size,
            of_message(&send.message)
        ),
        Some(Input::Chunk(chunk)) => {
            format!("cut into datagrams of up to {} bytes: {}", chunk.datagram_size, of_bytes(&chunk.payload))
        }
        Some(Input::Http(exchange)) => of_http(exchange),
    }
}

fn of_http(exchange: &HttpExchange) -> String {
    let mut setup = Vec::new();
    match exchange.bulk {
        Some(true) => setup.push("accepts several messages in a body".to_owned()),
        Some(false) => setup.push("accepts one message in a body".to_owned()),
        None => {}
    }
    if exchange.header {
        setup.push("requires a header".to_owned());
    }
    if let Some(most) = exchange.max_body {
        setup.push(format!("accepts bodies of at most {most} bytes"));
    }
    if let Some(most) = exchange.max_message {
        setup.push(format!("accepts bulk messages of at most {most} bytes each"));
    }
    let mut text =
        if setup.is_empty() { String::new() } else { format!("a receiver that {}\n", setup.join(", ")) };
    text.push_str(&lines(exchange.requests.iter().map(of_request)));
    text
}

fn of_request(request: &HttpRequest) -> String {
    if let Some(raw) = &request.raw {
        let end = if request.end { ", then the end of the connection" } else { "" };
        return format!("bytes {}{end}", of_bytes(raw));
    }
    let mut text = format!("{} {} {}", request.method, request.target, request.version);
    for (name, value) in &request.headers {
        let _ = write!(text, ", {name}: {value}");
    }
    match request.authorization {
        Authorization::Missing => text.push_str(", without the required header"),
        Authorization::Wrong => text.push_str(", the required header with another value"),
        Authorization::Right => {}
    }
    let all = |parts: &[Content]| parts.iter().map(|part| of_bytes(part)).collect::<Vec<_>>().join(" ");
    match (&request.body, &request.parts, &request.chunks) {
        (Some(body), _, _) => text.push_str(&format!(": {}", of_bytes(body))),
        (_, Some(parts), _) => text.push_str(&format!(" in parts: {}", shortened(&all(parts)))),
        (_, _, Some(chunks)) => text.push_str(&format!(" in chunks: {}", shortened(&all(chunks)))),
        _ => {}
    }
    text
}

fn lines(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(MAX_STEPS);
    let mut lines: Vec<String> = all.take(MAX_STEPS).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

/// Describes an expected result.
pub fn describe_expected(expected: &Expected) -> String {
    let mut parts = Vec::new();
    for answer in &expected.answers {
        let all: Vec<String> = answer.status.all().iter().map(ToString::to_string).collect();
        let closed = if answer.closed { ", or closes the connection" } else { "" };
        parts.push(format!("answers {}{closed}", all.join(" or ")));
    }
    if let Some(connections) = expected.connections {
        parts.push(format!("needs {connections} connection{}", if connections == 1 { "" } else { "s" }));
    }
    match expected.after {
        Some(Afterwards::Open) => parts.push("leaves the connection open".to_owned()),
        Some(Afterwards::Closed) => parts.push("closes the connection".to_owned()),
        None => {}
    }
    if let Some(sizes) = expected.sizes.as_ref().filter(|sizes| !sizes.is_empty()) {
        let largest = sizes.iter().max().copied().unwrap_or_default();
        parts.push(match sizes.len() {
            1 => format!("one datagram or frame of {largest} bytes"),
            count => format!("{count} datagrams, the largest of {largest} bytes"),
        });
    }
    if let Some(payload) = &expected.payload {
        parts.push(format!("payload {}", of_bytes(payload)));
    }
    if let Some(begins) = &expected.begins {
        parts.push(format!("starts with bytes {begins}"));
    }
    parts.extend(expected.messages.iter().map(|message| format!("delivers {}", of_message(message))));
    for (kind, names) in
        [("error", &expected.errors), ("deviation", &expected.deviations), ("event", &expected.events)]
    {
        if !names.is_empty() {
            parts.push(format!("{kind}: {}", names.join(", ")));
        }
    }
    if expected.pending > 0 {
        parts.push(format!("{} incomplete messages at the end", expected.pending));
    }
    if parts.is_empty() {
        parts.push("delivers nothing".to_owned());
    }
    parts.join("\n")
}

/// Shows bytes as text if they are UTF-8 without control characters, otherwise in hexadecimal.
fn of_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => shortened(text),
        _ => shortened(&hex(bytes)),
    }
}

fn of_message(message: &MessageText) -> String {
    let mut text = String::new();
    if let Some(host) = &message.host {
        let _ = write!(text, "host {host:?}, ");
    }
    let _ = write!(text, "short_message {}", shortened(&format!("{:?}", message.short_message)));
    if let Some(full_message) = &message.full_message {
        let _ = write!(text, ", full_message {}", shortened(&format!("{full_message:?}")));
    }
    if let Some(timestamp) = &message.timestamp {
        let _ = write!(text, ", timestamp {timestamp}");
    }
    if let Some(level) = message.level {
        let _ = write!(text, ", level {level}");
    }
    for (name, value) in message.fields.iter().take(MAX_STEPS) {
        let _ = write!(text, ", _{name} {value}");
    }
    if message.fields.len() > MAX_STEPS {
        let _ = write!(text, " and {} more fields", message.fields.len() - MAX_STEPS);
    }
    text
}
