//! What is put to the vectors.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::observed::Observed;
use crate::vector::{Input, Limits, MessageText, Vector};

/// How much an implementation lets pass.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_enums, reason = "the vectors have these two")]
pub enum Mode {
    /// GELF 1.1 and nothing else.
    Strict,
    /// What can be understood.
    Lenient,
}

/// `strict`, `lenient`
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Strict => "strict",
            Self::Lenient => "lenient",
        })
    }
}

/// What is asked of a subject.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'v> {
    /// Which vector it is.
    pub id: &'v str,
    /// What it is given.
    pub input: Input<'v>,
    /// Its limits, where they are not the defaults.
    pub limits: Limits,
    /// What is to be let pass.
    pub mode: Mode,
}

impl<'v> Request<'v> {
    /// The vector's request; none, if it has not exactly one input.
    pub fn of(vector: &'v Vector, mode: Mode) -> Option<Self> {
        Some(Self { id: &vector.id, input: vector.input()?, limits: vector.limits, mode })
    }
}

/// Who a subject is and what it can be asked, as it says itself (`hello` in `PROTOCOL.md`).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The language it is written in.
    pub language: String,
    /// What it can: the words of the protocol.
    pub can: BTreeSet<String>,
    /// By which transports it sends: `udp`, `tcp`.
    pub sends: BTreeSet<String>,
    /// The members of a message that it sets itself when it sends.
    pub fixed: BTreeSet<String>,
    /// How it is asked.
    pub notes: String,
}

impl Description {
    /// Whether it can do what the protocol calls by this word.
    pub fn can(&self, word: &str) -> bool {
        self.can.contains(word)
    }
}

/// What a subject made of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// All of it, by the names of the vectors.
    Named(Answer),
    /// What could be seen from outside.
    Observed(Observed),
    /// It would have ended its user's program: its last words.
    Crashed(String),
    /// Nothing came for so long.
    NoAnswer(Duration),
    /// It cannot be asked for this, and why.
    Unsupported(String),
}

/// Everything that a subject made of a request, by the names of the vectors.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The messages that it delivered.
    pub messages: Vec<MessageText>,
    /// What it refused, by name.
    pub errors: Vec<String>,
    /// What it accepted though wrong, by name.
    pub deviations: Vec<String>,
    /// What else it tells of, by name.
    pub events: Vec<String>,
    /// How many messages are incomplete.
    pub pending: usize,
    /// The datagrams that it sent; or the one stream.
    pub sent: Vec<Vec<u8>>,
}

/// An implementation of GELF.
pub trait Subject {
    /// Who it is.
    fn description(&self) -> &Description;

    /// Puts one request to it, with no memory of those before.
    ///
    /// # Errors
    /// A text that says why the run cannot go on: the vector is malformed, or the subject does not keep to the protocol.
    fn ask(&mut self, request: Request<'_>) -> Result<Reply, String>;
}
