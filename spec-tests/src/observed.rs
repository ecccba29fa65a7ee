//! What can be seen of an implementation from outside: the messages that it delivers, the bytes that it sends.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::vector::{Afterwards, FieldValue, MessageText};

/// What came out of a subject that does not know the names of the vectors.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Observed {
    /// The messages that it delivered, in order.
    pub messages: Vec<SeenMessage>,
    /// What it said of what it refused.
    pub errors: Vec<String>,
    /// How many messages it has incomplete, if it tells.
    pub pending: Option<usize>,
    /// What it sent, if it was asked to.
    pub sent: Option<Sent>,
    /// What it answered, if it was asked by HTTP.
    pub answered: Option<Answered>,
}

/// What a receiver answered to requests, and what became of the connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Answered {
    /// The answer to each request.
    pub answers: Vec<SeenAnswer>,
    /// How many connections were made.
    pub connections: usize,
    /// What became of the last.
    pub after: Afterwards,
}

/// An answer, or what came in the place of one.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SeenAnswer {
    /// A status, and how long the body is.
    Status(u16, usize),
    /// The connection was closed without an answer.
    Closed,
    /// What came is no answer.
    Malformed(String),
    /// Nothing came for so long.
    Silence(Duration),
}

impl fmt::Display for SeenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, _) => status.fmt(f),
            Self::Closed => f.write_str("a closed connection"),
            Self::Malformed(what) => f.write_str(what),
            Self::Silence(time) => write!(f, "none within {time:?}"),
        }
    }
}

/// What a subject sent.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Sent {
    /// UDP datagrams.
    Datagrams(Vec<Vec<u8>>),
    /// Bytes on a TCP connection.
    Stream(Vec<u8>),
    /// Nothing, and why.
    Refused(String),
}

/// A message as a subject has it after decoding.
#[derive(Clone, Debug, Default, Deserialize)]
#[non_exhaustive]
pub struct SeenMessage {
    /// `version`, where the subject keeps it.
    #[serde(default)]
    pub version: Option<Seen>,
    /// `host`
    #[serde(default)]
    pub host: Option<Seen>,
    /// `short_message`
    #[serde(default)]
    pub short_message: Option<Seen>,
    /// `full_message`
    #[serde(default)]
    pub full_message: Option<Seen>,
    /// `timestamp`
    #[serde(default)]
    pub timestamp: Option<Seen>,
    /// `level`
    #[serde(default)]
    pub level: Option<Seen>,
    /// Additional fields, without the underscore.
    #[serde(default)]
    pub fields: BTreeMap<String, Seen>,
}

impl SeenMessage {
    /// A message that is known by the types of the vectors.
    pub(crate) fn of(text: &MessageText) -> Self {
        let string = |text: &String| Seen::of(&serde_json::Value::from(text.as_str()).to_string());
        Self {
            version: None,
            host: text.host.as_ref().and_then(string),
            short_message: string(&text.short_message),
            full_message: text.full_message.as_ref().and_then(string),
            timestamp: text.timestamp.as_deref().and_then(Seen::of),
            level: text.level.and_then(|level| Seen::of(&level.to_string())),
            fields: text
                .fields
                .iter()
                .filter_map(|(name, value)| {
                    let value = match value {
                        FieldValue::Bool(value) => Seen::of(&value.to_string()),
                        FieldValue::Number { number } => Seen::of(number),
                        FieldValue::Text(text) => string(text),
                    };
                    Some((name.clone(), value?))
                })
                .collect(),
        }
    }
}

/// A JSON value, its text as it came: no number passes through a float.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Seen(Box<RawValue>);

impl Seen {
    fn of(json: &str) -> Option<Self> {
        RawValue::from_string(json.to_owned()).ok().map(Self)
    }

    /// The JSON text.
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// The text of a string.
    pub fn text(&self) -> Option<String> {
        serde_json::from_str(self.json()).ok()
    }

    /// Whether it is a text of white space or nothing.
    pub fn is_blank(&self) -> bool {
        self.text().is_some_and(|text| text.trim().is_empty())
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.json() == "null"
    }
}
