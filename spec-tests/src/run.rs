//! All vectors through a subject.

use serde::Serialize;

use crate::expectations::Expectations;
use crate::judge::{Habits, Verdict, habits, judge};
use crate::protocol::ONLY_MODE;
use crate::subject::{Description, Mode, Reply, Request, Subject};
use crate::vector::{Input, Topic, Vector};

/// What a subject made of one vector.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The vector.
    pub id: String,
    /// In which mode, where the subject has two.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mode_word")]
    pub mode: Option<Mode>,
    /// What is held of it.
    #[serde(serialize_with = "verdict_word")]
    pub verdict: Verdict,
    /// Where it is not as expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// Why, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

fn mode_word<S: serde::Serializer>(mode: &Option<Mode>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&mode.map(|mode| mode.to_string()).unwrap_or_default())
}

fn verdict_word<S: serde::Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.word())
}

impl Outcome {
    /// Whether it is neither good nor known.
    pub fn is_unexpected(&self) -> bool {
        !self.verdict.is_good() && self.reason.is_none()
    }
}

/// All that a subject made of the vectors.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Results {
    /// Who it is.
    pub subject: Description,
    /// What it made of each vector, in their order.
    pub outcomes: Vec<Outcome>,
    /// Expectations that nothing bears out.
    pub stale: Vec<String>,
}

impl Results {
    /// How many outcomes have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count()
    }

    /// What is neither good nor known.
    pub fn unexpected(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.is_unexpected())
    }

    /// Whether everything is as it is known to be.
    pub fn is_expected(&self) -> bool {
        self.stale.is_empty() && self.unexpected().next().is_none()
    }
}

/// Which vectors are run, and how.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Selection<'s> {
    /// Only vectors whose id or topic contains this.
    pub filter: Option<&'s str>,
    /// Only this mode, of a subject that has two.
    pub mode: Option<Mode>,
}

impl<'s> Selection<'s> {
    /// Those that match the filter, in that mode or both.
    pub fn new(filter: Option<&'s str>, mode: Option<Mode>) -> Self {
        Self { filter, mode }
    }

    /// Whether a vector is among them.
    pub fn has(&self, topic: &str, id: &str) -> bool {
        self.filter.is_none_or(|filter| id.contains(filter) || topic.contains(filter))
    }
}

/// Puts each vector to the subject; `progress` is told of each outcome.
///
/// # Errors
/// Why the run cannot go on: a vector is malformed, or the subject does not keep to the protocol.
pub fn run(
    topics: &[Topic],
    subject: &mut dyn Subject,
    expectations: Option<&Expectations>,
    selection: Selection<'_>,
    progress: &mut dyn FnMut(&Vector, &Outcome),
) -> Result<Results, String> {
    let description = subject.description().clone();
    let modes: Vec<Option<Mode>> = match (description.can("modes"), selection.mode) {
        (false, _) => vec![None],
        (true, Some(mode)) => vec![Some(mode)],
        (true, None) => vec![Some(Mode::Strict), Some(Mode::Lenient)],
    };
    let mut habits = Habits::new();
    for vector in topics.iter().flat_map(|topic| &topic.vectors).filter(|vector| vector.plain) {
        habits.extend(self::habits(&ask(subject, vector, ONLY_MODE)?));
    }
    let mut outcomes = Vec::new();
    for topic in topics {
        for vector in topic.vectors.iter().filter(|vector| selection.has(&topic.topic, &vector.id)) {
            for mode in &modes {
                let reply = ask(subject, vector, mode.unwrap_or(ONLY_MODE))
                    .map_err(|error| format!("vector {}: {error}", vector.id))?;
                let (verdict, differences) = judge(vector, *mode, &description, &habits, &reply);
                let known = expectations.and_then(|known| known.of(&vector.id, *mode, verdict));
                let outcome = Outcome {
                    id: vector.id.clone(),
                    mode: *mode,
                    verdict,
                    differences: differences.iter().map(ToString::to_string).collect(),
                    reason: known.map(|known| known.reason.clone()),
                    report: known.and_then(|known| known.report.clone()),
                };
                progress(vector, &outcome);
                outcomes.push(outcome);
            }
        }
    }
    let bad: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.verdict.is_good())
        .map(|outcome| (outcome.id.as_str(), outcome.mode, outcome.verdict))
        .collect();
    // A selection says nothing of what it leaves out.
    let whole = selection.filter.is_none() && selection.mode.is_none();
    let stale = expectations.filter(|_| whole).map(|known| known.stale(&bad)).unwrap_or_default();
    Ok(Results { subject: description, outcomes, stale })
}

/// Asks once; a sender that knows no uncompressed datagrams is asked again for compressed ones, if that is not the point.
fn ask(subject: &mut dyn Subject, vector: &Vector, mode: Mode) -> Result<Reply, String> {
    let request = Request::of(vector, mode).ok_or("it has not exactly one input")?;
    let reply = subject.ask(request)?;
    if let (Reply::Unsupported(_), Input::Send(send)) = (&reply, request.input)
        && send.compression.is_none()
        && send.transport == "udp"
    {
        for compression in ["gzip", "zlib"] {
            let mut compressed = send.clone();
            compressed.compression = Some(compression.to_owned());
            let reply = subject.ask(Request { input: Input::Send(&compressed), ..request })?;
            if !matches!(reply, Reply::Unsupported(_)) {
                return Ok(reply);
            }
        }
    }
    Ok(reply)
}
