//! Serves a subject over the subject protocol.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::observed::ObservedMessage;
use crate::protocol::{self, Line, StepLine};
use crate::recipe::{Content, hex, unhex};
use crate::subject::{Answer, Description, Reply, Request, Subject};
use crate::vector::{ChunkRequest, Input, Limits, Mode, SendRequest, Step};

/// Answers requests line by line until the input ends.
///
/// # Errors
/// Returns an error for a line that is not a valid request, for an error of the subject, for a reply that the
/// protocol cannot express, and for I/O errors.
pub fn serve(subject: &mut dyn Subject, input: impl BufRead, mut output: impl Write) -> Result<(), String> {
    for line in input.lines() {
        let line = line.map_err(|error| error.to_string())?;
        let answer = answer(subject, &line)?;
        writeln!(output, "{answer}").and_then(|()| output.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A subject in this process that is asked over the subject protocol, as subjects in other processes are.
///
/// If the subject uses the names of the vectors, its answers are read with these names. The protocol cannot
/// express limits, so a request with limits is passed to the subject directly.
#[derive(Clone, Debug, Default)]
pub struct Served<S>(S);

impl<S: Subject> Served<S> {
    /// Creates the subject.
    pub fn new(subject: S) -> Self {
        Self(subject)
    }
}

impl<S: Subject> Subject for Served<S> {
    fn description(&self) -> &Description {
        self.0.description()
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Reply, String> {
        if request.limits != Limits::default() {
            return self.0.ask(request);
        }
        let line = match protocol::line(&request, self.0.description())? {
            Ok(line) => answer(&mut self.0, &line)?,
            Err(why) => return Ok(Reply::Unsupported(why)),
        };
        if self.0.description().can("names") {
            protocol::named(request.id, &line)
        } else {
            protocol::reply(request.id, &line)
        }
    }
}

/// The message of a `send` request.
#[derive(Deserialize)]
struct WithMessage {
    message: ObservedMessage,
}

fn answer(subject: &mut dyn Subject, line: &str) -> Result<String, String> {
    let no_request = |error: serde_json::Error| format!("invalid request: {error}");
    let request: Line = serde_json::from_str(line).map_err(no_request)?;
    let content = |hex: String| unhex(&hex).map(Content::from);
    match request {
        Line::Hello { .. } => {
            let mut of = subject.description().clone();
            // The protocol does not have these words.
            of.can.retain(|word| !matches!(word.as_str(), "limits" | "names"));
            serde_json::to_string(&of).map_err(|error| error.to_string())
        }
        Line::Receive { id, transport, mode, steps } => {
            let mode = mode.unwrap_or(Mode::Lenient);
            let hexes = |steps: Vec<StepLine>| -> Result<Vec<Content>, String> {
                let steps = steps.into_iter().filter(|step| step.end != Some(true));
                steps.filter_map(|step| step.hex).map(content).collect()
            };
            match transport.as_str() {
                "payload" => {
                    let payload = hexes(steps)?.pop().ok_or("no payload")?;
                    ask(subject, &id, Input::Payload(&payload), mode)
                }
                "udp" => {
                    let step = |StepLine { at, from, hex, .. }| {
                        let (at, from) = (at.unwrap_or_default(), from.unwrap_or_default());
                        Ok(Step { at, from, datagram: hex.map(content).transpose()? })
                    };
                    let steps: Vec<Step> = steps.into_iter().map(step).collect::<Result<_, String>>()?;
                    ask(subject, &id, Input::Datagrams(&steps), mode)
                }
                "tcp" => ask(subject, &id, Input::Stream(&hexes(steps)?), mode),
                other => Err(format!("unknown transport {other:?}")),
            }
        }
        Line::Send { id, transport, compression, datagram_size, .. } => {
            let WithMessage { message } = serde_json::from_str(line).map_err(no_request)?;
            let message = message.to_text().map_err(|error| format!("invalid request: {error}"))?;
            let request = SendRequest { transport, compression: Some(compression), datagram_size, message };
            ask(subject, &id, Input::Send(&request), Mode::Strict)
        }
        Line::Chunk { id, datagram_size, payload } => {
            let request = ChunkRequest { datagram_size, payload: content(payload)? };
            ask(subject, &id, Input::Chunk(&request), Mode::Strict)
        }
    }
}

fn ask(subject: &mut dyn Subject, id: &str, input: Input<'_>, mode: Mode) -> Result<String, String> {
    match subject.ask(Request { id, input, limits: Limits::default(), mode })? {
        Reply::Named(answer) => match input {
            Input::Send(send) => Ok(sent(id, &answer, send.transport == "tcp")),
            Input::Chunk(_) => Ok(sent(id, &answer, false)),
            _ => received(id, &answer),
        },
        Reply::Unsupported(why) => Ok(json!({ "id": id, "unsupported": why }).to_string()),
        Reply::Crashed(words) => Ok(json!({ "id": id, "crashed": words }).to_string()),
        Reply::Observed(_) | Reply::NoAnswer(_) => Err("the protocol cannot express this reply".to_owned()),
    }
}

fn sent(id: &str, answer: &Answer, is_stream: bool) -> String {
    match (&answer.errors[..], &answer.sent[..]) {
        ([error, ..], _) => json!({ "id": id, "error": { "text": error, "name": error } }),
        ([], [stream, ..]) if is_stream => json!({ "id": id, "stream": hex(stream) }),
        ([], datagrams) => {
            let datagrams: Vec<String> = datagrams.iter().map(|datagram| hex(datagram)).collect();
            json!({ "id": id, "datagrams": datagrams })
        }
    }
    .to_string()
}

/// The answer to a `receive` request.
#[derive(Serialize)]
struct Received<'a> {
    id: &'a str,
    messages: Vec<ObservedMessage>,
    errors: Vec<Value>,
    deviations: &'a [String],
    events: &'a [String],
    pending: usize,
}

fn received(
    id: &str,
    Answer { messages, errors, deviations, events, pending, .. }: &Answer,
) -> Result<String, String> {
    let messages = messages.iter().map(ObservedMessage::of).collect::<Result<_, String>>()?;
    let errors = errors.iter().map(|name| json!({ "text": name, "name": name })).collect();
    let answer = Received { id, messages, errors, deviations, events, pending: *pending };
    serde_json::to_string(&answer).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builtin;

    fn answers(lines: &str) -> Vec<Value> {
        let mut output = Vec::new();
        serve(&mut Builtin::default(), lines.as_bytes(), &mut output).unwrap();
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn hello_is_answered_with_the_description() {
        let hello = &answers(r#"{"do":"hello","protocol":1}"#)[0];
        assert_eq!(hello["name"], "gelf-core");
        assert!(!hello["can"].as_array().unwrap().contains(&json!("names")));
    }

    #[test]
    fn numbers_keep_their_digits_in_both_directions() {
        let payload = hex(br#"{"version":"1.1","host":"h","short_message":"m","_n":9007199254740993}"#);
        let line = format!(
            r#"{{"do":"receive","id":"X","transport":"payload","mode":"strict","steps":[{{"hex":"{payload}"}}]}}"#
        );
        let mut output = Vec::new();
        serve(&mut Builtin::default(), line.as_bytes(), &mut output).unwrap();
        assert!(String::from_utf8_lossy(&output).contains("\"fields\":{\"n\":9007199254740993}"));
        let send = r#"{"do":"send","id":"Y","transport":"tcp","compression":"none","datagram_size":1420,"message":{"host":"h","short_message":"m","timestamp":1385053862.3072,"fields":{"n":9007199254740993}}}"#;
        let stream = answers(send)[0]["stream"].as_str().unwrap().to_owned();
        assert!(stream.contains(&hex(b"9007199254740993")) && stream.contains(&hex(b"1385053862.3072")));
    }

    #[test]
    fn an_invalid_request_is_an_error() {
        let error = serve(&mut Builtin::default(), &b"what?\n"[..], Vec::new()).unwrap_err();
        assert!(error.starts_with("invalid request"), "{error}");
    }
}
