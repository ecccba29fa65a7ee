//! Runs all vectors against a subject.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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
    /// Demand of the vector.
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

/// The number of vectors that were asked, and how many of them pass.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Score {
    /// Number of vectors that pass in every mode of the subject.
    pub passed: usize,
    /// Number of vectors that were asked.
    pub asked: usize,
}

impl Score {
    /// Counts the vectors with this demand. The outcomes of a vector must be adjacent in `outcomes`.
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
    /// Texts, separated by commas. Only vectors whose id or topic contains one of them are selected.
    pub filter: Option<&'s str>,
    /// The only mode to run, for a subject that has a strict and a lenient mode.
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

    /// Returns the selected vectors, in order.
    pub fn of<'t>(self, topics: &'t [Topic]) -> impl Iterator<Item = &'t Vector> + use<'t, 's> {
        let of_topic = move |topic: &'t Topic| {
            topic.vectors.iter().filter(move |vector| self.has(&topic.topic, &vector.id))
        };
        topics.iter().flat_map(of_topic)
    }

    /// Returns the modes in which the subject is asked; `None` for a subject that has one mode.
    pub fn modes(self, subject: &Description) -> Vec<Option<Mode>> {
        match (subject.can("modes"), self.mode) {
            (false, _) => vec![None],
            (true, Some(mode)) => vec![Some(mode)],
            (true, None) => vec![Some(Mode::Strict), Some(Mode::Lenient)],
        }
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
    let run = Run::start(topics, subject, expectations, selection)?;
    let mut outcomes = Vec::new();
    for vector in selection.of(topics) {
        for outcome in run.outcomes(subject, vector)? {
            progress(vector, &outcome);
            outcomes.push(outcome);
        }
    }
    Ok(run.results(outcomes))
}

/// Runs the selected vectors on several processes of the same subject at the same time, each vector on one of
/// them. The results are those of [`run`], in the same order.
///
/// # Errors
/// Returns an error as [`run`] does, or if there is no subject.
pub fn run_parallel(
    topics: &[Topic],
    subjects: &mut [Box<dyn Subject + Send>],
    expectations: Option<&Expectations>,
    selection: Selection<'_>,
    progress: &mut (dyn FnMut(&Vector, &Outcome) + Send),
) -> Result<Results, String> {
    let first = subjects.first_mut().ok_or("there is no subject")?;
    let run = &Run::start(topics, first.as_mut(), expectations, selection)?;
    let vectors: Vec<&Vector> = selection.of(topics).collect();
    let (next, progress) = (&AtomicUsize::new(0), &Mutex::new(progress));
    // Runs the next vector until there is none. Returns the outcomes, with the indices of their vectors.
    let work = |subject: &mut dyn Subject| -> Result<Vec<(usize, Vec<Outcome>)>, String> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(vector) = vectors.get(index) else { return Ok(done) };
            let outcomes = run.outcomes(subject, vector).inspect_err(|_| {
                // The other threads end after their current vectors.
                next.store(vectors.len(), Ordering::Relaxed);
            })?;
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.iter().for_each(|outcome| progress(vector, outcome));
            done.push((index, outcomes));
        }
    };
    let mut done = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            subjects.iter_mut().map(|subject| scope.spawn(|| work(subject.as_mut()))).collect();
        for worker in workers {
            done.extend(worker.join().map_err(|_| "a thread of the run has panicked")??);
        }
        Ok::<(), String>(())
    })?;
    done.sort_by_key(|(index, _)| *index);
    Ok(run.results(done.into_iter().flat_map(|(_, outcomes)| outcomes).collect()))
}

/// The part of a run that all vectors share.
struct Run<'r> {
    description: Description,
    modes: Vec<Option<Mode>>,
    /// Violations in the replies to the plain vectors.
    violations: KnownViolations,
    expectations: Option<&'r Expectations>,
    /// True in a run of all vectors and modes. Only such a run can find stale expectations.
    is_whole: bool,
}

impl<'r> Run<'r> {
    fn start(
        topics: &[Topic],
        subject: &mut dyn Subject,
        expectations: Option<&'r Expectations>,
        selection: Selection<'_>,
    ) -> Result<Self, String> {
        let description = subject.description().clone();
        let mut violations = KnownViolations::new();
        for vector in topics.iter().flat_map(|topic| &topic.vectors).filter(|vector| vector.plain) {
            violations.extend(violations_in(&ask(subject, vector, ONLY_MODE)?));
        }
        let is_whole = selection.filter.is_none() && selection.mode.is_none();
        Ok(Self { modes: selection.modes(&description), description, violations, expectations, is_whole })
    }

    /// Returns the outcome of a vector in each mode.
    fn outcomes(&self, subject: &mut dyn Subject, vector: &Vector) -> Result<Vec<Outcome>, String> {
        self.modes.iter().map(|mode| self.outcome(subject, vector, *mode)).collect()
    }

    fn outcome(
        &self,
        subject: &mut dyn Subject,
        vector: &Vector,
        mode: Option<Mode>,
    ) -> Result<Outcome, String> {
        let in_vector = |error| format!("vector {}: {error}", vector.id);
        let judged = |reply| judge(vector, mode, &self.description, &self.violations, reply);
        let reply = ask(subject, vector, mode.unwrap_or(ONLY_MODE)).map_err(in_vector)?;
        let (mut verdict, mut differences) = judged(&reply).map_err(in_vector)?;
        let request = Request::of(vector, mode.unwrap_or(ONLY_MODE));
        // After a crash, the vector is not repeated: the crash may be the effect of an earlier vector, and
        // must be reported even if it does not occur again.
        let is_asked_again = !verdict.is_good() && verdict != Verdict::Crashes;
        if let (true, Some(request)) = (is_asked_again, request)
            && let Some(reply) = subject.ask_again(request).map_err(in_vector)?
        {
            (verdict, differences) = judged(&reply).map_err(in_vector)?;
        }
        let known = self.expectations.and_then(|known| known.of(&vector.id, mode, verdict));
        Ok(Outcome {
            id: vector.id.clone(),
            mode,
            demand: vector.demand(),
            verdict,
            differences: differences.iter().map(ToString::to_string).collect(),
            reason: known.map(|known| known.reason.clone()),
            report: known.and_then(|known| known.report.clone()),
        })
    }

    fn results(&self, outcomes: Vec<Outcome>) -> Results {
        let bad: Vec<_> = outcomes
            .iter()
            .filter(|outcome| !outcome.verdict.is_good())
            .map(|outcome| (outcome.id.as_str(), outcome.mode, outcome.verdict))
            .collect();
        let expectations = self.expectations.filter(|_| self.is_whole);
        let stale = expectations.map(|known| known.stale(&bad)).unwrap_or_default();
        Results { subject: self.description.clone(), outcomes, stale }
    }
}

/// Asks the subject for the result of a vector. If a sender does not support uncompressed datagrams, and the
/// vector does not set the compression, asks again with compression.
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
