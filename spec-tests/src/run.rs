//! Runs all vectors against a subject.

use std::fmt;

use serde::Serialize;

use crate::expectations::Expectations;
use crate::judge::{KnownViolations, Verdict, judge, violations_in};
use crate::protocol::ONLY_MODE;
use crate::subject::{Description, Reply, Request, Subject};
use crate::vector::{Demand, Input, Mode, Topic, Vector};

/// Result of one vector in one mode.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Id of the vector.
    pub id: String,
    /// The mode, if the subject has a strict and a lenient mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What the vector demands.
    pub demand: Demand,
    /// Judgement.
    pub verdict: Verdict,
    /// Differences from the expected result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// Known reason for the differences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Link to a report of the differences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

impl Outcome {
    /// Returns whether the verdict is bad and no reason is known.
    pub fn is_unexpected(&self) -> bool {
        !self.verdict.is_good() && self.reason.is_none()
    }

    /// Returns the id of the vector, followed by the mode if there is one.
    pub fn label(&self) -> String {
        self.mode.map_or_else(|| self.id.clone(), |mode| format!("{} ({mode})", self.id))
    }
}

/// The number of vectors whose result is an expected one, of those that were asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Score {
    /// Number of vectors that pass in each mode of the subject.
    pub passed: usize,
    /// Number of vectors that were asked.
    pub asked: usize,
}

impl Score {
    /// Counts the vectors with this demand. The outcomes of one vector follow each other.
    pub fn of(outcomes: &[&Outcome], demand: Demand) -> Self {
        let asked = |outcome: &&&Outcome| outcome.demand == demand && outcome.verdict != Verdict::Skipped;
        let asked: Vec<_> = outcomes.iter().filter(asked).collect();
        let mut score = Self::default();
        for modes in asked.chunk_by(|one, next| one.id == next.id) {
            score.asked += 1;
            score.passed += usize::from(modes.iter().all(|outcome| outcome.verdict == Verdict::Passes));
        }
        score
    }
}

/// Writes `passed / asked`, or a dash if nothing was asked.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asked {
            0 => f.pad("–"),
            asked => f.pad(&format!("{}/{asked}", self.passed)),
        }
    }
}

/// Results of all vectors.
#[derive(Clone, Debug)]
pub struct Results {
    /// Description of the subject.
    pub subject: Description,
    /// Outcome of each vector in each mode, in the order of the vectors.
    pub outcomes: Vec<Outcome>,
    /// Expectations that no outcome confirms.
    pub stale: Vec<String>,
}

impl Results {
    /// Returns the number of outcomes with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count()
    }

    /// Returns the outcomes of the vectors of a topic.
    pub fn of_topic(&self, topic: &Topic) -> Vec<&Outcome> {
        let of_topic = |outcome: &&Outcome| topic.vectors.iter().any(|vector| vector.id == outcome.id);
        self.outcomes.iter().filter(of_topic).collect()
    }

    /// Returns the outcomes that are bad without a known reason.
    pub fn unexpected(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.is_unexpected())
    }

    /// Returns whether all outcomes are as expected and no expectation is stale.
    pub fn is_expected(&self) -> bool {
        self.stale.is_empty() && self.unexpected().next().is_none()
    }
}

/// Selects the vectors and modes of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'s> {
    /// Only vectors whose id or topic contains one of these texts, which are separated by commas.
    pub filter: Option<&'s str>,
    /// Only this mode, if the subject has a strict and a lenient mode.
    pub mode: Option<Mode>,
}

impl<'s> Selection<'s> {
    /// Selects the vectors that match the filter, in one mode or in both.
    pub fn new(filter: Option<&'s str>, mode: Option<Mode>) -> Self {
        Self { filter, mode }
    }

    /// Returns whether a vector is selected.
    pub fn has(&self, topic: &str, id: &str) -> bool {
        self.filter
            .is_none_or(|filter| filter.split(',').any(|text| id.contains(text) || topic.contains(text)))
    }
}

/// Runs each selected vector on the subject. `progress` is called with each outcome.
///
/// # Errors
/// Returns the reason why the run cannot continue: a vector is malformed, or the subject violates the
/// protocol.
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
    let mut violations = KnownViolations::new();
    for vector in topics.iter().flat_map(|topic| &topic.vectors).filter(|vector| vector.plain) {
        violations.extend(violations_in(&ask(subject, vector, ONLY_MODE)?));
    }
    let mut outcomes = Vec::new();
    for topic in topics {
        for vector in topic.vectors.iter().filter(|vector| selection.has(&topic.topic, &vector.id)) {
            for mode in &modes {
                let in_vector = |error| format!("vector {}: {error}", vector.id);
                let judged = |reply| judge(vector, *mode, &description, &violations, reply);
                let reply = ask(subject, vector, mode.unwrap_or(ONLY_MODE)).map_err(in_vector)?;
                let (mut verdict, mut differences) = judged(&reply).map_err(in_vector)?;
                let request = Request::of(vector, mode.unwrap_or(ONLY_MODE));
                // A crash stays one if it does not occur again, since it may be the effect of an earlier vector.
                let is_asked_again = !verdict.is_good() && verdict != Verdict::Crashes;
                if let (true, Some(request)) = (is_asked_again, request)
                    && let Some(reply) = subject.ask_again(request).map_err(in_vector)?
                {
                    (verdict, differences) = judged(&reply).map_err(in_vector)?;
                }
                let known = expectations.and_then(|known| known.of(&vector.id, *mode, verdict));
                let outcome = Outcome {
                    id: vector.id.clone(),
                    mode: *mode,
                    demand: vector.demand(),
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
    // Stale expectations are found only in a run of all vectors and modes.
    let whole = selection.filter.is_none() && selection.mode.is_none();
    let stale = expectations.filter(|_| whole).map(|known| known.stale(&bad)).unwrap_or_default();
    Ok(Results { subject: description, outcomes, stale })
}

/// Asks the subject for the result of a vector. A sender that cannot send uncompressed datagrams is asked
/// again with compression, unless the vector sets the compression.
fn ask(subject: &mut dyn Subject, vector: &Vector, mode: Mode) -> Result<Reply, String> {
    let request = Request::of(vector, mode).ok_or("the vector does not have exactly one input")?;
    let reply = subject.ask(request)?;
    let send = match (&reply, request.input) {
        (Reply::Unsupported(_), Input::Send(send))
            if send.compression.is_none() && send.transport == "udp" =>
        {
            send
        }
        _ => return Ok(reply),
    };
    for compression in ["gzip", "zlib"] {
        let mut compressed = send.clone();
        compressed.compression = Some(compression.to_owned());
        let reply = subject.ask(Request { input: Input::Send(&compressed), ..request })?;
        if !matches!(reply, Reply::Unsupported(_)) {
            return Ok(reply);
        }
    }
    Ok(reply)
}
