//! Requests and answers of the subject protocol as JSON lines, defined in `PROTOCOL.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::observed::{Observed, ObservedMessage, Sent};
use crate::recipe::{Recipe, hex};
use crate::subject::{Description, Reply, Request};
use crate::text::shortened;
use crate::vector::{FieldValue, Input, MessageText, Mode, SendRequest};

/// Version of the protocol.
const PROTOCOL: u32 = 1;

/// Returns the first line of a conversation.
pub(crate) fn hello() -> String {
    format!(r#"{{"do":"hello","protocol":{PROTOCOL}}}"#)
}

#[derive(Deserialize)]
struct HelloAnswer {
    name: String,
    version: String,
    #[serde(default)]
    language: String,
    can: BTreeSet<String>,
    #[serde(default)]
    sends: BTreeSet<String>,
    #[serde(default)]
    fixed: BTreeSet<String>,
    #[serde(default)]
    notes: String,
}

/// Parses the answer to [`hello`].
pub(crate) fn description(line: &str) -> Result<Description, String> {
    let answer: HelloAnswer =
        serde_json::from_str(line).map_err(|error| format!("invalid answer to hello: {error}"))?;
    let HelloAnswer { name, version, language, can, sends, fixed, notes } = answer;
    Ok(Description { name, version, language, can, sends, fixed, notes, ..Default::default() })
}

#[derive(Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Line<'r> {
    Receive {
        id: &'r str,
        transport: &'r str,
        mode: String,
        steps: Vec<StepLine<'r>>,
    },
    Send {
        id: &'r str,
        transport: &'r str,
        compression: &'r str,
        datagram_size: u16,
        message: MessageLine<'r>,
    },
    Chunk {
        id: &'r str,
        datagram_size: u16,
        payload: String,
    },
}

#[derive(Default, Serialize)]
struct StepLine<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<bool>,
}

#[derive(Serialize)]
struct MessageLine<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'r str>,
    short_message: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_message: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<u8>,
    fields: BTreeMap<&'r str, Box<RawValue>>,
}

/// Returns the request as a line, or the reason why the subject does not support it.
pub(crate) fn line(request: &Request<'_>, of: &Description) -> Result<Result<String, String>, String> {
    let id = request.id;
    if request.limits != Default::default() && !of.can("limits") {
        return Ok(Err("its limits cannot be set".to_owned()));
    }
    let line = match request.input {
        Input::Payload(payload) => {
            let payload = payload.bytes()?;
            let (transport, payload) = if of.can("payload") {
                ("payload", payload)
            } else if of.can("datagrams") {
                ("udp", payload)
            } else if of.can("stream") {
                ("tcp", [payload, vec![0]].concat())
            } else {
                return Ok(Err("it does not receive".to_owned()));
            };
            let mut steps =
                vec![StepLine { from: Some("A"), hex: Some(hex(&payload)), ..Default::default() }];
            if transport == "tcp" {
                steps.push(StepLine { end: Some(true), ..Default::default() });
            }
            receive(request, transport, steps)
        }
        Input::Datagrams(_) if !of.can("datagrams") => {
            return Ok(Err("it does not receive datagrams".to_owned()));
        }
        Input::Datagrams(steps) => {
            if steps.iter().any(|step| step.at > 0.0) && !of.can("clock") {
                return Ok(Err("its clock cannot be set".to_owned()));
            }
            let mut lines = Vec::new();
            for step in steps {
                let hex =
                    step.datagram.as_ref().map(Recipe::bytes).transpose()?.map(|datagram| hex(&datagram));
                let from = hex.is_some().then_some(step.from.as_str());
                lines.push(StepLine { from, at: Some(step.at), hex, end: None });
            }
            receive(request, "udp", lines)
        }
        Input::Stream(_) if !of.can("stream") => {
            return Ok(Err("it does not receive streams".to_owned()));
        }
        Input::Stream(pieces) => {
            let mut steps = Vec::new();
            for piece in pieces {
                steps.push(StepLine { hex: Some(hex(&piece.bytes()?)), ..Default::default() });
            }
            steps.push(StepLine { end: Some(true), ..Default::default() });
            receive(request, "tcp", steps)
        }
        Input::Send(send) => match message(&send.message) {
            _ if !of.can("send") || !of.sends.contains(&send.transport) => {
                return Ok(Err(format!("it does not send by {}", send.transport)));
            }
            None => return Ok(Err("JSON cannot say it".to_owned())),
            Some(message) => {
                let SendRequest { transport, datagram_size, .. } = send;
                let (compression, datagram_size) = (send.compression(), *datagram_size);
                Line::Send { id, transport, compression, datagram_size, message }
            }
        },
        Input::Http(_) => return Ok(Err("the subject protocol has no HTTP".to_owned())),
        Input::Chunk(_) if !of.can("chunk") => return Ok(Err("it does not cut payloads".to_owned())),
        Input::Chunk(chunk) => {
            Line::Chunk { id, datagram_size: chunk.datagram_size, payload: hex(&chunk.payload.bytes()?) }
        }
    };
    serde_json::to_string(&line).map(Ok).map_err(|error| error.to_string())
}

fn receive<'r>(request: &Request<'r>, transport: &'r str, steps: Vec<StepLine<'r>>) -> Line<'r> {
    Line::Receive { id: request.id, transport, mode: request.mode.to_string(), steps }
}

/// Converts the message, or returns `None` if one of its numbers is not valid JSON.
fn message(text: &MessageText) -> Option<MessageLine<'_>> {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
    let mut fields = BTreeMap::new();
    for (name, value) in &text.fields {
        let value = match value {
            FieldValue::Bool(value) => raw(&value.to_string()),
            FieldValue::Number { number } => raw(number),
            FieldValue::Text(text) => serde_json::value::to_raw_value(text).ok(),
        };
        fields.insert(name.as_str(), value?);
    }
    let timestamp = match &text.timestamp {
        Some(timestamp) => Some(raw(timestamp)?),
        None => None,
    };
    Some(MessageLine {
        host: text.host.as_deref(),
        short_message: &text.short_message,
        full_message: text.full_message.as_deref(),
        timestamp,
        level: text.level,
        fields,
    })
}

#[derive(Deserialize)]
struct AnswerLine {
    id: String,
    #[serde(default)]
    messages: Vec<ObservedMessage>,
    #[serde(default)]
    errors: Vec<ErrorLine>,
    pending: Option<usize>,
    crashed: Option<String>,
    unsupported: Option<String>,
    datagrams: Option<Vec<String>>,
    stream: Option<String>,
    error: Option<ErrorLine>,
}

#[derive(Deserialize)]
struct ErrorLine {
    #[serde(default)]
    text: String,
}

/// Parses an answer.
pub(crate) fn reply(id: &str, line: &str) -> Result<Reply, String> {
    let answer: AnswerLine = serde_json::from_str(line)
        .map_err(|error| format!("invalid answer to {id}: {error}: {}", shortened(line)))?;
    if answer.id != id {
        return Err(format!("answer to {} instead of {id}", answer.id));
    }
    if let Some(crashed) = answer.crashed {
        return Ok(Reply::Crashed(crashed));
    }
    if let Some(unsupported) = answer.unsupported {
        return Ok(Reply::Unsupported(unsupported));
    }
    let unhex = |text: &String| {
        crate::recipe::unhex(text).map_err(|error| format!("invalid answer to {id}: {error}"))
    };
    let sent = match (answer.error, answer.datagrams, answer.stream) {
        (Some(error), ..) => Some(Sent::Refused(error.text)),
        (None, Some(datagrams), _) => {
            Some(Sent::Datagrams(datagrams.iter().map(unhex).collect::<Result<_, _>>()?))
        }
        (None, None, Some(stream)) => Some(Sent::Stream(unhex(&stream)?)),
        (None, None, None) => None,
    };
    let errors = answer.errors.into_iter().map(|error| error.text).collect();
    Ok(Reply::Observed(Observed {
        messages: answer.messages,
        errors,
        pending: answer.pending,
        sent,
        answered: None,
    }))
}

/// The requested mode for a subject with one mode.
pub(crate) const ONLY_MODE: Mode = Mode::Lenient;
