//! What is put to the vectors.

use crate::vector::{Input, Limits, MessageText, Vector};

/// How much an implementation lets pass.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "the vectors have these two")]
pub enum Mode {
    /// GELF 1.1 and nothing else.
    Strict,
    /// What can be understood.
    Lenient,
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

/// What a subject made of it.
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
    /// Its name.
    fn name(&self) -> &str;

    /// Puts one request to it, with no memory of those before.
    ///
    /// # Errors
    /// A text that says why the request itself cannot be put: a vector is malformed, or the subject is gone.
    fn ask(&mut self, request: Request<'_>) -> Result<Answer, String>;
}
