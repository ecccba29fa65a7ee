//! Hostile input, made from a seed, and what a subject makes of it beside gelf-core.
//!
//! A case is a vector that nobody wrote: messages in every encoding and order, and the inputs of the vectors, changed. What
//! is expected of it is what gelf-core makes of it, and a reply is judged as that to any vector is. A subject that fails or
//! does not answer makes a finding, which is cut down to what it needs and can be written as a file of vectors.

mod case;
mod messages;
mod minimise;
mod mutate;
mod write;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::builtin::Builtin;
use crate::compare;
use crate::judge::{Difference, Habits, Verdict, Weight, judge};
use crate::numbers::Numbers;
use crate::observed::SeenMessage;
use crate::protocol::ONLY_MODE;
use crate::subject::{Answer, Mode, Reply, Request, Subject};
use crate::vector::{MessageText, Topic, Vector};
use case::Case;

/// How a subject is fuzzed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HostileOptions {
    /// The same seed gives the same cases: 1.
    pub seed: u64,
    /// How many cases at most; none, where time alone ends it: 10,000.
    pub cases: Option<u64>,
    /// For how long at most.
    pub time: Option<Duration>,
    /// After how many different findings it ends: 5.
    pub findings: usize,
    /// Whether only crashes and missing answers count.
    pub crashes_only: bool,
    /// How often a finding is put to the subject again to make it smaller: 2,000 times.
    pub minimise_asks: usize,
    /// For how long: 60 s.
    pub minimise_time: Duration,
}

impl Default for HostileOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            cases: Some(10_000),
            time: None,
            findings: 5,
            crashes_only: false,
            minimise_asks: 2000,
            minimise_time: Duration::from_secs(60),
        }
    }
}

/// An input that a subject does not take as it should.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// `FUZZ-`, the seed, and its number.
    pub id: String,
    /// Which case it came from.
    pub case: u64,
    /// In which mode, where the subject has two.
    pub mode: Option<Mode>,
    /// What is held of it.
    pub verdict: Verdict,
    /// Where the reply is not what gelf-core says.
    pub differences: Vec<String>,
    /// How many bytes the case had.
    pub found_bytes: usize,
    /// How many are left.
    pub bytes: usize,
    /// A file with it as a vector, of schema 1.
    pub file: String,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HostileResults {
    /// How many cases were made.
    pub cases: u64,
    /// How many of them the subject could not be asked.
    pub not_asked: u64,
    /// How many were messages that must be delivered.
    pub valid: u64,
    /// What does not hold, each once.
    pub findings: Vec<Finding>,
}

/// Starts the subject: at the beginning, and again when it has lost the thread.
pub type StartSubject<'s> = dyn FnMut() -> Result<Box<dyn Subject>, String> + 's;

/// Puts cases to a subject, made from `topics`; `progress` is told of each finding.
///
/// # Errors
/// Why it cannot go on: the subject cannot be started.
pub fn fuzz(
    topics: &[Topic],
    start: &mut StartSubject<'_>,
    options: &HostileOptions,
    progress: &mut dyn FnMut(u64, Option<&Finding>),
) -> Result<HostileResults, String> {
    let seeds = case::seeds(topics)?;
    let mut asker = Asker::new(start)?;
    let mut results = HostileResults::default();
    let mut known = BTreeSet::new();
    let started = Instant::now();
    for number in 0.. {
        let over = options.cases.is_some_and(|cases| number >= cases)
            || options.time.is_some_and(|time| started.elapsed() >= time);
        if over || results.findings.len() >= options.findings {
            break;
        }
        let mut numbers = Numbers::new(options.seed, number);
        let (case, must_deliver) = make(&seeds, &mut numbers);
        results.cases += 1;
        let oracle = Oracle::ask(&case)?;
        let of_its_own = must_deliver.as_ref().and_then(|messages| oracle.fault_of_its_own(messages));
        let fault = match of_its_own {
            Some(fault) => Some(fault),
            None => asker.fault(&oracle)?,
        };
        results.valid += u64::from(must_deliver.is_some());
        results.not_asked += u64::from(asker.was_unsupported);
        progress(number, None);
        let Some(fault) = fault.filter(|fault| !options.crashes_only || fault.ends_it()) else { continue };
        if known.contains(&fault.key()) {
            continue;
        }
        let id = format!("FUZZ-{}-{}", options.seed, results.findings.len() + 1);
        let found_bytes = case.bytes();
        let (case, oracle, fault) = if fault.is_ours {
            (case, oracle, fault)
        } else {
            minimise::minimise(case, fault, &mut asker, options)?
        };
        // A smaller one may be one that is known.
        known.insert(fault.key());
        let finding = Finding {
            case: number,
            mode: fault.mode,
            verdict: fault.verdict,
            differences: fault.differences.iter().map(ToString::to_string).collect(),
            found_bytes,
            bytes: case.bytes(),
            file: write::file(&id, &case, &oracle, &fault, &asker.name)?,
            id,
        };
        progress(number, Some(&finding));
        results.findings.push(finding);
    }
    Ok(results)
}

/// A case, and what must be delivered of it, where that is known.
fn make(seeds: &[Case], numbers: &mut Numbers) -> (Case, Option<Vec<MessageText>>) {
    if numbers.once_in(3) {
        let (case, messages) = messages::valid(numbers);
        if numbers.once_in(2) {
            return (case, Some(messages));
        }
        return (mutate::mutated(case, seeds, numbers), None);
    }
    let at = numbers.below(seeds.len());
    let case = seeds.get(at).cloned().unwrap_or_else(|| Case::Payload(Vec::new()));
    (mutate::mutated(case, seeds, numbers), None)
}

/// A case as a vector, with what gelf-core makes of it.
struct Oracle {
    vector: Vector,
    strict: Answer,
    lenient: Answer,
}

impl Oracle {
    fn ask(case: &Case) -> Result<Self, String> {
        let without = case.vector("FUZZ", &Answer::default(), &Answer::default())?;
        let answer = |mode| {
            let request = Request::of(&without, mode).ok_or("it has not exactly one input")?;
            match catch_unwind(AssertUnwindSafe(|| Builtin::default().ask(request))) {
                Ok(Ok(Reply::Named(answer))) => Ok(answer),
                Ok(Ok(_)) => Err("gelf-core does not answer".to_owned()),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(format!("gelf-core panics: {}", case.describe())),
            }
        };
        let (strict, lenient) = (answer(Mode::Strict)?, answer(Mode::Lenient)?);
        let vector = case.vector("FUZZ", &strict, &lenient)?;
        Ok(Self { vector, strict, lenient })
    }

    /// Where gelf-core itself does not deliver these.
    fn fault_of_its_own(&self, messages: &[MessageText]) -> Option<Fault> {
        for (mode, answer) in [(Mode::Strict, &self.strict), (Mode::Lenient, &self.lenient)] {
            let seen: Vec<SeenMessage> = answer.messages.iter().map(SeenMessage::of).collect();
            let mut differences = compare::messages(messages, &seen);
            for difference in &mut differences {
                difference.what = format!("gelf-core itself, {}", difference.what);
            }
            if !differences.is_empty() || !answer.errors.is_empty() || !answer.deviations.is_empty() {
                return Some(Fault {
                    mode: Some(mode),
                    verdict: Verdict::Fails,
                    differences,
                    circumstances: format!("gelf-core itself {}", self.circumstances()),
                    is_ours: true,
                });
            }
        }
        None
    }

    /// What is wrong with the case, for telling findings apart.
    fn circumstances(&self) -> String {
        let Answer { errors, deviations, .. } = &self.strict;
        errors.iter().chain(deviations).next().map(String::to_owned).unwrap_or_default()
    }
}

/// What is wrong with a reply.
#[derive(Clone, Debug)]
struct Fault {
    mode: Option<Mode>,
    verdict: Verdict,
    differences: Vec<Difference>,
    circumstances: String,
    /// gelf-core does not deliver what it must.
    is_ours: bool,
}

impl Fault {
    /// Whether it would have ended the subject's program, or stopped it.
    fn ends_it(&self) -> bool {
        matches!(self.verdict, Verdict::Crashes | Verdict::NoAnswer)
    }

    /// Two faults with the same key are the same.
    fn key(&self) -> String {
        let worst = self.differences.iter().find(|difference| difference.weight != Weight::Small);
        let about = worst.or_else(|| self.differences.first()).map(|difference| {
            let what = difference.what.split(' ').next().unwrap_or_default();
            match (self.verdict, what) {
                // The text of a crash, whatever the addresses and offsets in it.
                (Verdict::Crashes, _) => without_figures(&difference.found),
                // What is wrong with the input tells why it should not be delivered, or should be.
                (_, "delivered") => format!("{what} {:?} {}", difference.weight, self.circumstances),
                _ => format!("{what} {:?}", difference.weight),
            }
        });
        format!("{} {}", self.verdict.word(), about.unwrap_or_default())
    }
}

fn without_figures(text: &str) -> String {
    let mut short = String::new();
    for character in text.chars() {
        let character = if character.is_ascii_digit() { '#' } else { character };
        if character != '#' || !short.ends_with('#') {
            short.push(character);
        }
    }
    short
}

/// Asks the subject, and starts it again where that is needed.
struct Asker<'a, 's> {
    start: &'a mut StartSubject<'s>,
    subject: Box<dyn Subject>,
    name: String,
    was_unsupported: bool,
}

impl<'a, 's> Asker<'a, 's> {
    fn new(start: &'a mut StartSubject<'s>) -> Result<Self, String> {
        let subject = start()?;
        let name = subject.description().name.clone();
        Ok(Self { start, subject, name, was_unsupported: false })
    }

    /// What is wrong with what it makes of a case, if anything is.
    fn fault(&mut self, oracle: &Oracle) -> Result<Option<Fault>, String> {
        let vector = &oracle.vector;
        let description = self.subject.description().clone();
        let modes: &[Option<Mode>] = match description.can("modes") {
            true => &[Some(Mode::Strict), Some(Mode::Lenient)],
            false => &[None],
        };
        self.was_unsupported = false;
        for mode in modes {
            let request =
                Request::of(vector, mode.unwrap_or(ONLY_MODE)).ok_or("it has not exactly one input")?;
            let reply = match self.subject.ask(request) {
                Ok(reply) => reply,
                Err(error) => {
                    // An adapter that answers nonsense to hostile input is as good as dead.
                    self.subject = (self.start)()?;
                    Reply::Crashed(error)
                }
            };
            let (verdict, differences) = judge(vector, *mode, &description, &Habits::new(), &reply);
            match verdict {
                Verdict::Passes | Verdict::Deviates => {}
                Verdict::NotAsked => self.was_unsupported = true,
                Verdict::Fails | Verdict::Crashes | Verdict::NoAnswer => {
                    let circumstances = oracle.circumstances();
                    let fault = Fault { mode: *mode, verdict, differences, circumstances, is_ours: false };
                    return Ok(Some(fault));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::embedded;

    #[test]
    fn the_same_seed_gives_the_same_cases_and_another_others() {
        let seeds = case::seeds(&embedded().unwrap()).unwrap();
        let cases = |seed| -> Vec<Case> {
            (0..50).map(|number| make(&seeds, &mut Numbers::new(seed, number)).0).collect()
        };
        assert_eq!(cases(7), cases(7));
        assert_ne!(cases(7), cases(8));
    }

    #[test]
    fn a_crash_is_the_same_wherever_it_is() {
        let fault = |text: &str| Fault {
            mode: None,
            verdict: Verdict::Crashes,
            differences: vec![Difference::new("crash", "an answer", text)],
            circumstances: String::new(),
            is_ours: false,
        };
        assert_eq!(fault("index 12 of 7").key(), fault("index 3 of 1200").key());
        assert_ne!(fault("index 12 of 7").key(), fault("out of memory").key());
    }
}
