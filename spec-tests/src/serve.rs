//! Serves a subject over the subject protocol.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::observed::JsonText;
use crate::recipe::{Made, Recipe, hex};
use crate::subject::{Answer, Reply, Request, Subject};
use crate::vector::{ChunkRequest, FieldValue, Input, Limits, MessageText, Mode, SendRequest, Step};

/// Answers requests line by line until the input ends.
///
/// # Errors
/// Returns an error for a line that is not a request, for a reply that the protocol cannot express, and for
/// I/O errors.
pub fn serve(subject: &mut dyn Subject, input: impl BufRead, mut output: impl Write) -> Result<(), String> {
    for line in input.lines() {
        let line = line.map_err(|error| error.to_string())?;
        let answer = answer(subject, &line)?;
        writeln!(output, "{answer}").and_then(|()| output.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Line {
    Hello {},
    Receive {
        id: String,
        transport: String,
        #[serde(default)]
        mode: String,
        steps: Vec<StepLine>,
    },
    Send {
        id: String,
        transport: String,
        compression: String,
        datagram_size: u16,
    },
    Chunk {
        id: String,
        datagram_size: u16,
        payload: String,
    },
}

#[derive(Deserialize)]
struct StepLine {
    from: Option<String>,
    #[serde(default)]
    at: f64,
    hex: Option<String>,
    #[serde(default)]
    end: bool,
}

/// The message of a request. It is parsed separately, because serde's internally tagged enums would pass its
/// numbers through floats.
#[derive(Deserialize)]
struct WithMessage {
    message: MessageLine,
}

#[derive(Deserialize)]
struct MessageLine {
    host: Option<String>,
    short_message: String,
    full_message: Option<String>,
    timestamp: Option<JsonText>,
    level: Option<u8>,
    #[serde(default)]
    fields: BTreeMap<String, JsonText>,
}

impl MessageLine {
    fn text(self) -> MessageText {
        let value = |seen: &JsonText| match seen.json() {
            "true" => FieldValue::Bool(true),
            "false" => FieldValue::Bool(false),
            json => {
                seen.text().map_or_else(|| FieldValue::Number { number: json.to_owned() }, FieldValue::Text)
            }
        };
        MessageText {
            host: self.host,
            short_message: self.short_message,
            full_message: self.full_message,
            timestamp: self.timestamp.map(|timestamp| timestamp.json().to_owned()),
            level: self.level,
            fields: self.fields.iter().map(|(name, seen)| (name.clone(), value(seen))).collect(),
        }
    }
}

fn answer(subject: &mut dyn Subject, line: &str) -> Result<String, String> {
    let no_request = |error: serde_json::Error| format!("invalid request: {error}");
    let request: Line = serde_json::from_str(line).map_err(no_request)?;
    let recipe = |hex: String| Recipe::Made(Made::Hex(hex));
    match request {
        Line::Hello {} => {
            let of = subject.description();
            // These words are not part of the protocol.
            let can: Vec<_> =
                of.can.iter().filter(|word| !matches!(word.as_str(), "limits" | "names")).collect();
            let hello = json!({
                "name": of.name, "version": of.version, "language": of.language, "can": can,
                "sends": of.sends, "fixed": of.fixed, "notes": of.notes,
            });
            Ok(hello.to_string())
        }
        Line::Receive { id, transport, mode, steps } => {
            let mode = match mode.as_str() {
                "strict" => Mode::Strict,
                "lenient" | "" => Mode::Lenient,
                other => return Err(format!("unknown mode {other:?}")),
            };
            let hexes = |steps: Vec<StepLine>| -> Vec<Recipe> {
                steps.into_iter().filter(|step| !step.end).filter_map(|step| step.hex).map(recipe).collect()
            };
            match transport.as_str() {
                "payload" => {
                    let payload = hexes(steps).pop().ok_or("no payload")?;
                    ask(subject, &id, Input::Payload(&payload), mode)
                }
                "udp" => {
                    let steps: Vec<Step> = steps
                        .into_iter()
                        .map(|step| Step {
                            at: step.at,
                            from: step.from.unwrap_or_default(),
                            datagram: step.hex.map(recipe),
                        })
                        .collect();
                    ask(subject, &id, Input::Datagrams(&steps), mode)
                }
                "tcp" => ask(subject, &id, Input::Stream(&hexes(steps)), mode),
                other => Err(format!("unknown transport {other:?}")),
            }
        }
        Line::Send { id, transport, compression, datagram_size } => {
            let WithMessage { message } = serde_json::from_str(line).map_err(no_request)?;
            let request = SendRequest {
                transport,
                compression: Some(compression),
                datagram_size,
                message: message.text(),
            };
            ask(subject, &id, Input::Send(&request), Mode::Strict)
        }
        Line::Chunk { id, datagram_size, payload } => {
            let request = ChunkRequest { datagram_size, payload: recipe(payload) };
            ask(subject, &id, Input::Chunk(&request), Mode::Strict)
        }
    }
}

fn ask(subject: &mut dyn Subject, id: &str, input: Input<'_>, mode: Mode) -> Result<String, String> {
    match subject.ask(Request { id, input, limits: Limits::default(), mode })? {
        Reply::Named(answer) => match input {
            Input::Send(send) => Ok(sent(id, &answer, send.transport == "tcp")),
            Input::Chunk(_) => Ok(sent(id, &answer, false)),
            _ => received(id, &answer).map_err(|error| error.to_string()),
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

/// Builds the answer from raw JSON, so that no number passes through a float.
fn received(id: &str, answer: &Answer) -> serde_json::Result<String> {
    let messages: Vec<Box<RawValue>> =
        answer.messages.iter().map(message).collect::<serde_json::Result<_>>()?;
    let errors: Vec<Value> = answer.errors.iter().map(|name| json!({ "text": name, "name": name })).collect();
    let mut line: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
    line.insert("id", to_raw_value(id)?);
    line.insert("messages", to_raw_value(&messages)?);
    line.insert("errors", to_raw_value(&errors)?);
    line.insert("deviations", to_raw_value(&answer.deviations)?);
    line.insert("events", to_raw_value(&answer.events)?);
    line.insert("pending", to_raw_value(&answer.pending)?);
    serde_json::to_string(&line)
}

fn message(text: &MessageText) -> serde_json::Result<Box<RawValue>> {
    let mut members: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
    members.insert("short_message", to_raw_value(&text.short_message)?);
    if let Some(host) = &text.host {
        members.insert("host", to_raw_value(host)?);
    }
    if let Some(full_message) = &text.full_message {
        members.insert("full_message", to_raw_value(full_message)?);
    }
    if let Some(timestamp) = &text.timestamp {
        members.insert("timestamp", RawValue::from_string(timestamp.clone())?);
    }
    if let Some(level) = text.level {
        members.insert("level", to_raw_value(&level)?);
    }
    let mut fields: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
    for (name, value) in &text.fields {
        let value = match value {
            FieldValue::Bool(value) => to_raw_value(value)?,
            FieldValue::Number { number } => RawValue::from_string(number.clone())?,
            FieldValue::Text(text) => to_raw_value(text)?,
        };
        fields.insert(name.as_str(), value);
    }
    members.insert("fields", to_raw_value(&fields)?);
    to_raw_value(&members)
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
