//! Runs vectors on a subject.

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
    /// Reference to a report of the fault, such as `go-gelf#26`.
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
    /// Number of vectors that pass in all modes in which they were asked.
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

/// Writes `passed/asked`, or a dash if nothing was asked.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asked {
            0 => f.pad("–"),
            asked => f.pad(&format!("{}/{asked}", self.passed)),
        }
    }
}

/// Results of a run.
#[derive(Clone, Debug)]
pub struct Results {
    /// Description of the subject.
    pub subject: Description,
    /// Outcome of each selected vector in each mode of the run, in the order of the vectors.
    pub outcomes: Vec<Outcome>,
    /// Expectations that no outcome confirms. Only a run of all vectors and modes finds them.
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
    /// Texts, separated by commas. Only vectors whose id or topic contains one of them are selected. Empty texts
    /// are ignored, and a filter without any other text selects all vectors.
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
        let texts = self.filter.unwrap_or_default().split(',').filter(|text| !text.is_empty());
        let mut texts = texts.peekable();
        texts.peek().is_none() || texts.any(|text| id.contains(text) || topic.contains(text))
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

/// Runs each selected vector on the subject. `progress` is called with each outcome. In the results, an outcome
/// can differ from the one that `progress` got, because some crashes are found only at the next vector or at the
/// end of the run.
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
    let mut done = Vec::new();
    for (index, vector) in selection.of(topics).enumerate() {
        run.ask_next(subject, index, vector, &mut done, progress)?;
    }
    run.finish(subject, &mut done)?;
    Ok(run.results(done))
}

/// Runs the selected vectors on several instances of the same subject at the same time, each vector on one of
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
    // Runs the next vectors until none is left.
    let work = |subject: &mut dyn Subject| -> Result<Vec<Done<'_>>, String> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(vector) = vectors.get(index) else { break };
            let mut progress = |vector: &Vector, outcome: &Outcome| {
                progress.lock().unwrap_or_else(PoisonError::into_inner)(vector, outcome);
            };
            run.ask_next(subject, index, vector, &mut done, &mut progress).inspect_err(|_| {
                // The other threads end after their current vectors.
                next.store(vectors.len(), Ordering::Relaxed);
            })?;
        }
        run.finish(subject, &mut done)?;
        Ok(done)
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
    done.sort_by_key(|done| done.index);
    Ok(run.results(done))
}

/// A vector that has run on a subject in one mode, with its outcome.
struct Done<'v> {
    /// Position of the vector in the run.
    index: usize,
    vector: &'v Vector,
    mode: Option<Mode>,
    outcome: Outcome,
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

    /// Runs a vector on the subject in each mode. `done` has the vectors that ran on the subject before.
    fn ask_next<'v>(
        &self,
        subject: &mut dyn Subject,
        index: usize,
        vector: &'v Vector,
        done: &mut Vec<Done<'v>>,
        progress: &mut dyn FnMut(&Vector, &Outcome),
    ) -> Result<(), String> {
        for mode in &self.modes {
            let mut outcome = self.outcome(subject, vector, *mode)?;
            if outcome.verdict == Verdict::Crashes
                && let Some(again) = self.blame_previous(subject, vector, *mode, done.last_mut())?
            {
                outcome = again;
            }
            progress(vector, &outcome);
            done.push(Done { index, vector, mode: *mode, outcome });
        }
        Ok(())
    }

    /// Repeats a vector on which the subject has crashed. If the subject does not crash this time, repeats the
    /// previous vector, because a subject that decodes in the background can crash after its reply. If the subject
    /// now crashes, changes the outcome of the previous vector, and returns the new outcome of `vector`.
    /// Otherwise, returns `None`: the crash must be reported, even if it does not occur again.
    fn blame_previous(
        &self,
        subject: &mut dyn Subject,
        vector: &Vector,
        mode: Option<Mode>,
        previous: Option<&mut Done<'_>>,
    ) -> Result<Option<Outcome>, String> {
        let Some(previous) = previous else { return Ok(None) };
        let Some(outcome) = self.outcome_again(subject, vector, mode)? else { return Ok(None) };
        if outcome.verdict == Verdict::Crashes {
            return Ok(None);
        }
        let of_previous = self.outcome_again(subject, previous.vector, previous.mode)?;
        match of_previous {
            Some(of_previous) if of_previous.verdict == Verdict::Crashes => {
                previous.outcome = of_previous;
                Ok(Some(outcome))
            }
            _ => Ok(None),
        }
    }

    /// Reports a crash after the last reply.
    fn finish(&self, subject: &mut dyn Subject, done: &mut [Done<'_>]) -> Result<(), String> {
        if let Some(words) = subject.finish()
            && let Some(last) = done.last_mut()
        {
            last.outcome = self.judged(last.vector, last.mode, &Reply::Crashed(words))?;
        }
        Ok(())
    }

    fn outcome(
        &self,
        subject: &mut dyn Subject,
        vector: &Vector,
        mode: Option<Mode>,
    ) -> Result<Outcome, String> {
        let reply = ask(subject, vector, mode.unwrap_or(ONLY_MODE)).map_err(|error| of(vector, &error))?;
        let outcome = self.judged(vector, mode, &reply)?;
        if outcome.verdict.is_good() || outcome.verdict == Verdict::Crashes {
            return Ok(outcome);
        }
        Ok(self.outcome_again(subject, vector, mode)?.unwrap_or(outcome))
    }

    /// Runs a vector again, without effects of earlier ones. Returns `None` if the reply would be the same.
    fn outcome_again(
        &self,
        subject: &mut dyn Subject,
        vector: &Vector,
        mode: Option<Mode>,
    ) -> Result<Option<Outcome>, String> {
        let Some(request) = Request::of(vector, mode.unwrap_or(ONLY_MODE)) else { return Ok(None) };
        let reply = subject.ask_again(request).map_err(|error| of(vector, &error))?;
        reply.map(|reply| self.judged(vector, mode, &reply)).transpose()
    }

    fn judged(&self, vector: &Vector, mode: Option<Mode>, reply: &Reply) -> Result<Outcome, String> {
        let (verdict, differences) = judge(vector, mode, &self.description, &self.violations, reply)
            .map_err(|error| of(vector, &error))?;
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

    fn results(&self, done: Vec<Done<'_>>) -> Results {
        let outcomes: Vec<_> = done.into_iter().map(|done| done.outcome).collect();
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

/// Returns the text of an error that a vector caused, with the vector's id.
fn of(vector: &Vector, error: &str) -> String {
    format!("vector {}: {error}", vector.id)
}

/// Asks the subject for the result of a vector. If a sender does not support uncompressed datagrams, and the
/// vector does not set the compression, asks again with gzip, and if that is not supported either, with zlib.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Observed;

    /// A subject that crashes in the background on the vector Z19, after its reply.
    #[derive(Default)]
    struct Late {
        description: Description,
        /// True if the subject ends before its next reply.
        is_ending: bool,
    }

    const LAST_WORDS: &str = "SyntaxError";

    impl Subject for Late {
        fn description(&self) -> &Description {
            &self.description
        }

        fn ask(&mut self, request: Request<'_>) -> Result<Reply, String> {
            let ends = std::mem::replace(&mut self.is_ending, request.id == "Z19");
            Ok(if ends {
                Reply::Crashed(LAST_WORDS.to_owned())
            } else {
                Reply::Observed(Observed::default())
            })
        }

        fn ask_again(&mut self, request: Request<'_>) -> Result<Option<Reply>, String> {
            self.ask(request)?;
            let reply = self.finish().map_or_else(|| Reply::Observed(Observed::default()), Reply::Crashed);
            Ok(Some(reply))
        }

        fn finish(&mut self) -> Option<String> {
            std::mem::take(&mut self.is_ending).then(|| LAST_WORDS.to_owned())
        }
    }

    #[test]
    fn empty_texts_of_a_filter_are_ignored() {
        let selected = |filter: &str, id: &str| Selection::new(Some(filter), None).has("chunk_header", id);
        assert_eq!(["C01,", ",C01", "C01,,C02"].map(|filter| selected(filter, "C01")), [true; 3]);
        assert_eq!(["C01,", ",C01", "C01,,C02"].map(|filter| selected(filter, "C03")), [false; 3]);
        assert_eq!(["", ","].map(|filter| selected(filter, "C03")), [true; 2]);
    }

    #[test]
    fn a_crash_in_the_background_is_reported_for_the_vector_that_caused_it() {
        let topics = crate::embedded().unwrap();
        // The second run has no vector after Z19.
        for filter in ["Z18,Z19,Z20", "Z18,Z19"] {
            let selection = Selection::new(Some(filter), None);
            let results = run(&topics, &mut Late::default(), None, selection, &mut |_, _| {}).unwrap();
            let crashed: Vec<_> =
                results.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Crashes).collect();
            let [crashed] = &crashed[..] else { panic!("{crashed:?}") };
            assert_eq!(crashed.id, "Z19");
            assert!(crashed.differences[0].contains(LAST_WORDS), "{crashed:?}");
        }
    }
}
