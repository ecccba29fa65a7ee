//! Results of an implementation that are visible from outside: delivered messages, sent bytes and HTTP
//! answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::vector::{Afterwards, FieldValue, MessageText};

/// Result of a subject whose errors do not have the names that the vectors use.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Delivered messages, in order.
    pub messages: Vec<ObservedMessage>,
    /// Error texts of the subject.
    pub errors: Vec<String>,
    /// Number of incomplete messages, if the subject reports it.
    pub pending: Option<usize>,
    /// Sent bytes, if the subject was asked to send.
    pub sent: Option<Sent>,
    /// HTTP answers, if the subject was asked over HTTP.
    pub answered: Option<Answered>,
}

/// Answers of a receiver to HTTP requests, and the state of the connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answered {
    /// Answer to each request.
    pub answers: Vec<ObservedAnswer>,
    /// Number of connections made.
    pub connections: usize,
    /// State of the last connection.
    pub after: Afterwards,
}

/// An answer, or the event that occurred in its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ObservedAnswer {
    /// A status and the length of the body.
    Status(u16, usize),
    /// The connection was closed without an answer.
    Closed,
    /// The received bytes were not a valid answer.
    Malformed(String),
    /// No answer arrived within this time.
    Timeout(Duration),
}

impl fmt::Display for ObservedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, _) => status.fmt(f),
            Self::Closed => f.write_str("a closed connection"),
            Self::Malformed(what) => f.write_str(what),
            Self::Timeout(time) => write!(f, "none within {time:?}"),
        }
    }
}

/// Bytes that a subject sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Sent {
    /// UDP datagrams.
    Datagrams(Vec<Vec<u8>>),
    /// Bytes on a TCP connection.
    Stream(Vec<u8>),
    /// The subject refused to send, for this reason.
    Refused(String),
}

/// A message as a subject decoded it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedMessage {
    /// The member `version`, if the subject keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<JsonText>,
    /// The member `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<JsonText>,
    /// The member `short_message`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_message: Option<JsonText>,
    /// The member `full_message`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_message: Option<JsonText>,
    /// The member `timestamp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<JsonText>,
    /// The member `level`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<JsonText>,
    /// Additional fields by their names without the underscore.
    #[serde(default)]
    pub fields: BTreeMap<String, JsonText>,
}

impl ObservedMessage {
    /// Converts a message from the types of the vectors.
    ///
    /// # Errors
    /// Returns an error for a number that is not valid JSON.
    pub fn of(text: &MessageText) -> Result<Self, String> {
        let string = |text: &String| JsonText::of(&serde_json::Value::from(text.as_str()).to_string());
        let field = |(name, value): &(String, FieldValue)| {
            let value = match value {
                FieldValue::Bool(value) => JsonText::of(&value.to_string()),
                FieldValue::Number { number } => JsonText::of(number),
                FieldValue::Text(text) => string(text),
            };
            Ok((name.clone(), value?))
        };
        Ok(Self {
            version: None,
            host: text.host.as_ref().map(string).transpose()?,
            short_message: Some(string(&text.short_message)?),
            full_message: text.full_message.as_ref().map(string).transpose()?,
            timestamp: text.timestamp.as_deref().map(JsonText::of).transpose()?,
            level: text.level.map(|level| JsonText::of(&level.to_string())).transpose()?,
            fields: text.fields.iter().map(field).collect::<Result<_, String>>()?,
        })
    }

    /// Converts the message to the types of the vectors.
    ///
    /// # Errors
    /// Returns an error if a member has the wrong type, or if there is no `short_message`.
    pub(crate) fn to_text(&self) -> Result<MessageText, String> {
        let wrong = |seen: &JsonText| format!("a member of another type: {}", seen.json());
        let string = |seen: &JsonText| seen.text().ok_or_else(|| wrong(seen));
        let value = |seen: &JsonText| match seen.json() {
            "true" => FieldValue::Bool(true),
            "false" => FieldValue::Bool(false),
            json => {
                seen.text().map_or_else(|| FieldValue::Number { number: json.to_owned() }, FieldValue::Text)
            }
        };
        let level = |seen: &JsonText| seen.json().parse().map_err(|_| wrong(seen));
        Ok(MessageText {
            host: self.host.as_ref().map(string).transpose()?,
            short_message: string(self.short_message.as_ref().ok_or("no short_message")?)?,
            full_message: self.full_message.as_ref().map(string).transpose()?,
            timestamp: self.timestamp.as_ref().map(|timestamp| timestamp.json().to_owned()),
            level: self.level.as_ref().map(level).transpose()?,
            fields: self.fields.iter().map(|(name, seen)| (name.clone(), value(seen))).collect(),
        })
    }
}

/// A JSON value, kept as its original text so that numbers keep all of their digits.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    fn of(json: &str) -> Result<Self, String> {
        RawValue::from_string(json.to_owned()).map(Self).map_err(|error| format!("{json}: {error}"))
    }

    /// Returns the JSON text.
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// Returns the value of a JSON string, or `None` for a value of another type.
    pub fn text(&self) -> Option<String> {
        serde_json::from_str(self.json()).ok()
    }

    /// Returns whether the value is a string that is empty or all white space.
    pub fn is_blank(&self) -> bool {
        self.text().is_some_and(|text| text.trim().is_empty())
    }

    /// Returns whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.json() == "null"
    }
}
