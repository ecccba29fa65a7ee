//! Converts requests to JSON lines, and JSON lines to answers. `PROTOCOL.md` defines the protocol.

use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::observed::{Observed, ObservedMessage, Sent};
use crate::recipe::{Content, hex, unhex};
use crate::subject::{Answer, Description, Reply, Request};
use crate::text::shortened;
use crate::vector::{Input, Mode};

/// Version of the protocol.
const PROTOCOL: u32 = 1;

/// The words that an answer to `hello` may have in `can`.
const ABILITIES: [&str; 7] = ["datagrams", "payload", "stream", "send", "chunk", "clock", "modes"];
/// The words that an answer to `hello` may have in `sends`.
const TRANSPORTS: [&str; 2] = ["udp", "tcp"];
/// The words that an answer to `hello` may have in `fixed`.
const MEMBERS: [&str; 5] = ["host", "timestamp", "level", "full_message", "datagram_size"];

/// A request.
#[derive(Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Line {
    Hello {
        #[serde(default)]
        protocol: u32,
    },
    Receive {
        id: String,
        transport: String,
        mode: Option<Mode>,
        steps: Vec<StepLine>,
    },
    Send {
        id: String,
        transport: String,
        compression: String,
        datagram_size: u16,
        /// The message. It is parsed separately: serde buffers the members of an internally tagged enum, and the
        /// buffer does not keep the JSON text of numbers.
        #[serde(skip_deserializing)]
        message: ObservedMessage,
    },
    Chunk {
        id: String,
        datagram_size: u16,
        payload: String,
    },
}

/// A step of a `receive` request: a payload, a datagram, a piece of a stream, the end of the stream, or only a
/// point in time.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct StepLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<bool>,
}

/// Returns the request `hello`, the first line of a conversation.
pub(crate) fn hello() -> Result<String, String> {
    serde_json::to_string(&Line::Hello { protocol: PROTOCOL }).map_err(|error| error.to_string())
}

/// Parses the answer to [`hello`].
pub(crate) fn description(line: &str) -> Result<Description, String> {
    let wrong = |error: &dyn fmt::Display| format!("invalid answer to hello: {error}");
    let description: Description = serde_json::from_str(line).map_err(|error| wrong(&error))?;
    for (member, words, known) in [
        ("can", &description.can, &ABILITIES[..]),
        ("sends", &description.sends, &TRANSPORTS),
        ("fixed", &description.fixed, &MEMBERS),
    ] {
        if let Some(word) = words.iter().find(|word| !known.contains(&word.as_str())) {
            let known = known.join(", ");
            return Err(wrong(&format!("unknown word {word:?} in '{member}', expected one of {known}")));
        }
    }
    Ok(description)
}

/// Returns the request as a line, or the reason why the subject does not support it.
pub(crate) fn line(request: &Request<'_>, of: &Description) -> Result<Result<String, String>, String> {
    let refuse = |why: &str| Ok(Err(why.to_owned()));
    let id = request.id.to_owned();
    if request.limits != Default::default() {
        return refuse("the subject protocol sets no limits");
    }
    let end = || StepLine { end: Some(true), ..Default::default() };
    let line = match request.input {
        Input::Payload(payload) => {
            let (transport, payload) = if of.can("payload") {
                ("payload", hex(payload))
            } else if of.can("datagrams") {
                ("udp", hex(payload))
            } else if of.can("stream") && payload.contains(&0) {
                return refuse("the null byte in the payload would end the frame");
            } else if of.can("stream") {
                ("tcp", hex(payload) + "00")
            } else {
                return refuse("it does not receive");
            };
            let from = Some("A".to_owned());
            let mut steps = vec![StepLine { from, hex: Some(payload), ..Default::default() }];
            if transport == "tcp" {
                steps.push(end());
            }
            receive(request, transport, steps)
        }
        Input::Datagrams(_) if !of.can("datagrams") => return refuse("it does not receive datagrams"),
        Input::Datagrams(steps) => {
            if steps.iter().any(|step| step.at > 0.0) && !of.can("clock") {
                return refuse("its clock cannot be set");
            }
            let mut lines = Vec::new();
            for step in steps {
                let hex = step.datagram.as_ref().map(|datagram| hex(datagram));
                let from = hex.is_some().then(|| step.from.clone());
                lines.push(StepLine { from, at: Some(step.at), hex, end: None });
            }
            receive(request, "udp", lines)
        }
        Input::Stream(_) if !of.can("stream") => return refuse("it does not receive streams"),
        Input::Stream(pieces) => {
            let step = |piece: &Content| StepLine { hex: Some(hex(piece)), ..Default::default() };
            let steps = pieces.iter().map(step).chain([end()]).collect();
            receive(request, "tcp", steps)
        }
        Input::Send(send) if !of.can("send") || !of.sends.contains(&send.transport) => {
            return Ok(Err(format!("it does not send by {}", send.transport)));
        }
        Input::Send(send) => {
            let Ok(message) = ObservedMessage::of(&send.message) else {
                return refuse("a number of the message is not valid JSON");
            };
            let (transport, compression) = (send.transport.clone(), send.compression().to_owned());
            Line::Send { id, transport, compression, datagram_size: send.datagram_size, message }
        }
        Input::Http(_) => return refuse("the subject protocol has no HTTP"),
        Input::Chunk(_) if !of.can("chunk") => return refuse("it does not cut payloads"),
        Input::Chunk(chunk) => {
            Line::Chunk { id, datagram_size: chunk.datagram_size, payload: hex(&chunk.payload) }
        }
    };
    serde_json::to_string(&line).map(Ok).map_err(|error| error.to_string())
}

fn receive(request: &Request<'_>, transport: &str, steps: Vec<StepLine>) -> Line {
    let (id, transport) = (request.id.to_owned(), transport.to_owned());
    Line::Receive { id, transport, mode: Some(request.mode), steps }
}

/// An answer. [`reply`] ignores `deviations`, `events` and the names of errors. A subject that does not use
/// the vectors' names of errors can still write these members, for people who read its answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerLine {
    id: String,
    #[serde(default)]
    messages: Vec<ObservedMessage>,
    #[serde(default)]
    errors: Vec<ErrorLine>,
    #[serde(default)]
    deviations: Names,
    #[serde(default)]
    events: Names,
    pending: Option<usize>,
    crashed: Option<String>,
    unsupported: Option<String>,
    datagrams: Option<Vec<String>>,
    stream: Option<String>,
    error: Option<ErrorLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorLine {
    #[serde(default)]
    text: String,
    #[serde(default)]
    name: Names,
}

/// Names of errors, deviations or events in an answer. They are read only if the subject uses the names
/// that the vectors use. Any other JSON value is accepted and ignored.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Many(Vec<String>),
    #[default]
    None,
    Other(IgnoredAny),
}

impl Names {
    fn all(self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name],
            Self::Many(names) => names,
            Self::None | Self::Other(_) => Vec::new(),
        }
    }
}

/// Parses an answer. Returns a reply in its place if the subject has crashed or does not support the request.
fn parse(id: &str, line: &str) -> Result<Result<AnswerLine, Reply>, String> {
    let answer: AnswerLine = serde_json::from_str(line)
        .map_err(|error| format!("invalid answer to {id}: {error}: {}", shortened(line)))?;
    if answer.id != id {
        return Err(format!("answer to {} instead of {id}", answer.id));
    }
    Ok(match (answer.crashed, answer.unsupported) {
        (Some(crashed), _) => Err(Reply::Crashed(crashed)),
        (None, Some(unsupported)) => Err(Reply::Unsupported(unsupported)),
        (None, None) => Ok(AnswerLine { crashed: None, unsupported: None, ..answer }),
    })
}

/// Parses the answer of a subject that uses the vectors' names of errors, deviations and events.
pub(crate) fn named(id: &str, line: &str) -> Result<Reply, String> {
    let answer = match parse(id, line)? {
        Ok(answer) => answer,
        Err(reply) => return Ok(reply),
    };
    let sent = answer.stream.map(|stream| vec![stream]).or(answer.datagrams).unwrap_or_default();
    let errors = answer.errors.into_iter().chain(answer.error);
    Ok(Reply::Named(Answer {
        messages: answer.messages.iter().map(ObservedMessage::to_text).collect::<Result<_, _>>()?,
        errors: errors.flat_map(|error| error.name.all()).collect(),
        deviations: answer.deviations.all(),
        events: answer.events.all(),
        pending: answer.pending.unwrap_or_default(),
        sent: sent.iter().map(|bytes| unhex(bytes)).collect::<Result<_, _>>()?,
    }))
}

/// Parses the answer of a subject that does not use the vectors' names of errors, deviations and events.
pub(crate) fn reply(id: &str, line: &str) -> Result<Reply, String> {
    let answer = match parse(id, line)? {
        Ok(answer) => answer,
        Err(reply) => return Ok(reply),
    };
    let unhex = |text: &String| unhex(text).map_err(|error| format!("invalid answer to {id}: {error}"));
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

/// The mode that is requested from a subject with only one mode.
pub(crate) const ONLY_MODE: Mode = Mode::Lenient;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::Limits;

    #[test]
    fn a_payload_with_a_null_byte_is_not_sent_as_a_frame() {
        let asked = |can: &str, payload: &[u8]| {
            let input = Input::Payload(payload);
            let request = Request { id: "X", input, limits: Limits::default(), mode: ONLY_MODE };
            line(&request, &Description::new("a receiver", "none", &[can], "")).unwrap()
        };
        assert_eq!(asked("stream", b"{}\0").unwrap_err(), "the null byte in the payload would end the frame");
        assert!(asked("stream", b"{}").unwrap().contains(r#""hex":"7b7d00""#));
        for can in ["payload", "datagrams"] {
            assert!(asked(can, b"{}\0").unwrap().contains(r#""hex":"7b7d00""#), "{can}");
        }
    }
}
