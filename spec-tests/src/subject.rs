//! Implementations under test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observed::Observed;
use crate::vector::{Input, Limits, MessageText, Mode, Vector};

/// A request to a subject, such as a vector in a mode.
#[derive(Clone, Copy, Debug)]
pub struct Request<'v> {
    /// Id of the request. For a vector, it is the vector's id.
    pub id: &'v str,
    /// Input.
    pub input: Input<'v>,
    /// Limits that differ from the defaults.
    pub limits: Limits,
    /// Requested mode.
    pub mode: Mode,
}

impl<'v> Request<'v> {
    /// Creates the request of a vector, or returns `None` if the vector does not have exactly one input.
    pub fn of(vector: &'v Vector, mode: Mode) -> Option<Self> {
        Some(Self { id: &vector.id, input: vector.input()?, limits: vector.limits, mode })
    }
}

/// Name and abilities of a subject, as it declares them (`hello` in `PROTOCOL.md`).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Programming language.
    #[serde(default)]
    pub language: String,
    /// Abilities, in the words of the protocol.
    pub can: BTreeSet<String>,
    /// Transports that the subject can send over: `udp`, `tcp`.
    #[serde(default)]
    pub sends: BTreeSet<String>,
    /// Message members that the subject always sets itself when it sends. `datagram_size` means that the
    /// subject has a fixed datagram size.
    #[serde(default)]
    pub fixed: BTreeSet<String>,
    /// Values that the subject fills in for missing members and fields, by name. A value is JSON text, or a
    /// string without quotation marks.
    #[serde(skip)]
    pub defaults: BTreeMap<String, String>,
    /// Remarks about the adapter.
    #[serde(default)]
    pub notes: String,
}

impl Description {
    /// Creates the description of a subject that has these abilities and sends nothing.
    pub(crate) fn new(name: &str, language: &str, can: &[&str], notes: &str) -> Self {
        let can = can.iter().map(ToString::to_string).collect();
        let [name, language, notes] = [name, language, notes].map(str::to_owned);
        Self { name, language, can, notes, ..Default::default() }
    }

    /// Returns whether the subject declares this ability.
    pub fn can(&self, word: &str) -> bool {
        self.can.contains(word)
    }
}

/// Reply of a subject to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Complete result. Errors, deviations and events have the names that the vectors use.
    Named(Answer),
    /// Result as far as it is visible from outside.
    Observed(Observed),
    /// The subject would have ended its user's program. The text is the error that an adapter reports, or the last
    /// output of a subject that has ended.
    Crashed(String),
    /// No reply arrived within this time.
    NoAnswer(Duration),
    /// The subject does not support the request, for this reason.
    Unsupported(String),
}

/// Complete result of a request, with the names that the vectors use. Its serialized form is that of an
/// expected result in a vector file.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// Delivered messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageText>,
    /// Names of the errors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Names of the tolerated deviations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deviations: Vec<String>,
    /// Names of other events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Number of incomplete messages.
    #[serde(skip_serializing_if = "is_zero")]
    pub pending: usize,
    /// Sent datagrams, or the sent stream as the only element.
    #[serde(skip)]
    pub sent: Vec<Vec<u8>>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// An implementation of GELF under test.
pub trait Subject {
    /// Returns the name and abilities of the subject.
    fn description(&self) -> &Description;

    /// Makes one request. Earlier requests should not affect the reply, but only
    /// [`ask_again`](Self::ask_again) ensures that they do not.
    ///
    /// # Errors
    /// Returns the reason why the run cannot continue: the vector is malformed, or the subject violates the
    /// protocol.
    fn ask(&mut self, request: Request<'_>) -> Result<Reply, String>;

    /// Makes a request again after an unexpected reply, in a way that excludes effects of earlier requests.
    /// Returns `None` if such effects are impossible, so that the reply would be the same.
    ///
    /// # Errors
    /// Returns an error as [`ask`](Self::ask) does.
    fn ask_again(&mut self, _: Request<'_>) -> Result<Option<Reply>, String> {
        Ok(None)
    }

    /// Waits until the subject has done all work, after the last request. If the subject has ended since its
    /// last reply, returns its last output. The default returns `None`, for a subject that does no work after
    /// its reply.
    fn finish(&mut self) -> Option<String> {
        None
    }
}
