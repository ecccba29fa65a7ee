//! Tests subjects with generated hostile input.
//!
//! A case is a generated vector. Its input is either valid messages in any encoding and order, or mutated
//! bytes. gelf-core provides the expected result, and the reply of the subject is judged like the reply to
//! any vector. A failure, a crash or a missing answer is a finding. The input of a finding is minimised, unless
//! gelf-core itself is at fault, and can be written as a vector file.

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
use crate::difference::{Difference, Weight};
use crate::judge::{KnownViolations, Verdict, judge};
use crate::numbers::Numbers;
use crate::observed::ObservedMessage;
use crate::protocol::ONLY_MODE;
use crate::subject::{Answer, Reply, Request, Subject};
use crate::vector::{MessageText, Mode, Topic, Vector};
use case::Case;

/// Options of a fuzzing run.
#[derive(Clone, Copy, Debug)]
pub struct HostileOptions {
    /// Seed of the cases. The default is 1.
    pub seed: u64,
    /// Maximum number of cases, or `None` for no limit. The default is 10,000.
    pub cases: Option<u64>,
    /// Time after which no further case is begun, or `None` for no limit. The first case is begun however short
    /// this time is.
    pub time: Option<Duration>,
    /// Maximum number of different findings. The run ends when it is reached. The default is 5.
    pub findings: usize,
    /// True if only crashes and missing answers count.
    pub crashes_only: bool,
    /// Maximum number of simpler cases that are tried for each finding. The default is 2,000. A subject with
    /// two modes gets up to two requests for each case.
    pub minimise_asks: usize,
    /// Maximum time to minimise a finding. The default is 60 s.
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

/// An input that a subject handles wrongly.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Id: `FUZZ-`, the seed, and a number.
    pub id: String,
    /// Number of the original case.
    pub case: u64,
    /// The mode, if the subject has a strict and a lenient mode, or if gelf-core itself is at fault.
    pub mode: Option<Mode>,
    /// Judgement of the reply.
    pub verdict: Verdict,
    /// Differences from the expected result.
    pub differences: Vec<String>,
    /// Size of the original case in bytes.
    pub found_bytes: usize,
    /// Size of the minimised case in bytes.
    pub bytes: usize,
    /// A vector file of schema 1 with the case.
    pub file: String,
}

/// Result of a fuzzing run.
#[derive(Clone, Debug, Default)]
pub struct HostileResults {
    /// Number of cases.
    pub cases: u64,
    /// Number of cases that the subject does not support.
    pub skipped: u64,
    /// Number of cases with valid messages, which must be delivered.
    pub valid: u64,
    /// Different findings.
    pub findings: Vec<Finding>,
}

/// Prefix of [`what`](Difference::what) in a difference for which gelf-core itself is at fault.
const OWN: &str = "gelf-core itself, ";

/// A function that starts the subject. It is called at the beginning of a run and after each violation of the
/// protocol.
pub type StartSubject<'s> = dyn FnMut() -> Result<Box<dyn Subject>, String> + 's;

/// Runs generated cases on a subject. Many cases are mutations of the vectors in `topics`. `progress` is
/// called with the number of each case, and again with each new finding of the case.
///
/// # Errors
/// Returns an error if the subject cannot be started, or if gelf-core itself panics.
pub fn fuzz(
    topics: &[Topic],
    start: &mut StartSubject<'_>,
    options: &HostileOptions,
    progress: &mut dyn FnMut(u64, Option<&Finding>),
) -> Result<HostileResults, String> {
    let seeds = case::seeds(topics);
    let mut asker = Asker::new(start)?;
    let mut results = HostileResults::default();
    let mut known = BTreeSet::new();
    let started = Instant::now();
    for number in 0.. {
        let over = options.cases.is_some_and(|cases| number >= cases)
            || number > 0 && options.time.is_some_and(|time| started.elapsed() >= time);
        if over || results.findings.len() >= options.findings {
            break;
        }
        let mut numbers = Numbers::new(options.seed, number);
        let (case, must_deliver) = generate(&seeds, &mut numbers);
        results.cases += 1;
        let oracle = Oracle::ask(&case)?;
        let own_fault = must_deliver.as_ref().map(|messages| oracle.own_fault(messages)).transpose()?;
        let faults = match own_fault.flatten() {
            Some(fault) => vec![fault],
            None => {
                let faults = asker.faults(&oracle)?;
                results.skipped += u64::from(asker.was_unsupported);
                faults
            }
        };
        results.valid += u64::from(must_deliver.is_some());
        progress(number, None);
        for fault in faults {
            let counts = fault.is_fatal() || !options.crashes_only;
            if !counts || known.contains(&fault.key()) || results.findings.len() >= options.findings {
                continue;
            }
            let id = format!("FUZZ-{}-{}", options.seed, results.findings.len() + 1);
            let (least, oracle, fault) = if fault.is_own {
                (case.clone(), Oracle::ask(&case)?, fault)
            } else {
                minimise::minimise(case.clone(), fault, &mut asker, options)?
            };
            // The minimised case has a fault with the same key.
            known.insert(fault.key());
            let finding = Finding {
                case: number,
                mode: fault.mode,
                verdict: fault.verdict,
                differences: fault.differences.iter().map(ToString::to_string).collect(),
                found_bytes: case.bytes(),
                bytes: least.bytes(),
                file: write::file(&id, &least, &oracle, &fault, &asker.name)?,
                id,
            };
            progress(number, Some(&finding));
            results.findings.push(finding);
        }
    }
    Ok(results)
}

/// Generates a case. If the case has valid messages and is not mutated, also returns the messages, which must be
/// delivered.
fn generate(seeds: &[Case], numbers: &mut Numbers) -> (Case, Option<Vec<MessageText>>) {
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

/// A case as a vector, with the results of gelf-core.
struct Oracle {
    vector: Vector,
    strict: Answer,
    lenient: Answer,
}

impl Oracle {
    fn ask(case: &Case) -> Result<Self, String> {
        // This vector has the input of the case. Its expected results are still empty.
        let unanswered = case.vector("FUZZ", &Answer::default(), &Answer::default())?;
        let answer = |mode| {
            let request =
                Request::of(&unanswered, mode).ok_or("the vector does not have exactly one input")?;
            match catch_unwind(AssertUnwindSafe(|| Builtin::default().ask(request))) {
                Ok(Ok(Reply::Named(answer))) => Ok(answer),
                Ok(Ok(_)) => Err("gelf-core gave no answer".to_owned()),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(format!("gelf-core panics: {}", case.describe())),
            }
        };
        let (strict, lenient) = (answer(Mode::Strict)?, answer(Mode::Lenient)?);
        let vector = case.vector("FUZZ", &strict, &lenient)?;
        Ok(Self { vector, strict, lenient })
    }

    /// Returns a fault if gelf-core itself does not deliver exactly these messages, or finds an error or a
    /// deviation in them.
    fn own_fault(&self, messages: &[MessageText]) -> Result<Option<Fault>, String> {
        for (mode, answer) in [(Mode::Strict, &self.strict), (Mode::Lenient, &self.lenient)] {
            let seen: Vec<ObservedMessage> =
                answer.messages.iter().map(ObservedMessage::of).collect::<Result<_, _>>()?;
            let mut differences = compare::messages(messages, &seen);
            for difference in &mut differences {
                difference.what = format!("{OWN}{}", difference.what);
            }
            if !differences.is_empty() || !answer.errors.is_empty() || !answer.deviations.is_empty() {
                return Ok(Some(Fault {
                    mode: Some(mode),
                    verdict: Verdict::Fails,
                    differences,
                    circumstances: format!("gelf-core itself {}", self.circumstances()),
                    is_own: true,
                }));
            }
        }
        Ok(None)
    }

    /// Returns the name of the first error or deviation that gelf-core finds in strict mode. The name helps
    /// to distinguish findings.
    fn circumstances(&self) -> String {
        let Answer { errors, deviations, .. } = &self.strict;
        errors.iter().chain(deviations).next().map(String::to_owned).unwrap_or_default()
    }
}

/// A wrong reply.
#[derive(Clone, Debug)]
struct Fault {
    mode: Option<Mode>,
    verdict: Verdict,
    differences: Vec<Difference>,
    /// First error or deviation that gelf-core finds in the input.
    circumstances: String,
    /// True if gelf-core is at fault.
    is_own: bool,
}

impl Fault {
    /// Returns whether the subject crashes or does not answer.
    fn is_fatal(&self) -> bool {
        matches!(self.verdict, Verdict::Crashes | Verdict::NoAnswer)
    }

    /// Returns the identity of the fault. Faults with equal keys count as the same fault.
    fn key(&self) -> String {
        let worst = self.differences.iter().find(|difference| difference.weight != Weight::Small);
        let about = worst.or_else(|| self.differences.first()).map(|difference| {
            let what = difference.what.strip_prefix(OWN).unwrap_or(&difference.what);
            let what = what.split(' ').next().unwrap_or_default();
            match (self.verdict, what) {
                // Two crashes are the same fault if their texts differ only in numbers, such as offsets.
                (Verdict::Crashes, _) => without_figures(&difference.found),
                // The number of messages is wrong. The key includes the error that gelf-core finds in the
                // input, because this error decides whether a message is expected.
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

/// Asks the subject and restarts it if necessary.
struct Asker<'a, 's> {
    start: &'a mut StartSubject<'s>,
    subject: Box<dyn Subject>,
    name: String,
    /// True if the subject did not support the last case.
    was_unsupported: bool,
}

impl<'a, 's> Asker<'a, 's> {
    fn new(start: &'a mut StartSubject<'s>) -> Result<Self, String> {
        let subject = start()?;
        let name = subject.description().name.clone();
        Ok(Self { start, subject, name, was_unsupported: false })
    }

    /// Returns the faults in the subject's replies to a case, at most one for each mode.
    fn faults(&mut self, oracle: &Oracle) -> Result<Vec<Fault>, String> {
        let vector = &oracle.vector;
        let description = self.subject.description().clone();
        let modes: &[Option<Mode>] = match description.can("modes") {
            true => &[Some(Mode::Strict), Some(Mode::Lenient)],
            false => &[None],
        };
        self.was_unsupported = false;
        let mut faults = Vec::new();
        for mode in modes {
            let request = Request::of(vector, mode.unwrap_or(ONLY_MODE))
                .ok_or("the vector does not have exactly one input")?;
            let reply = match self.subject.ask(request) {
                Ok(reply) => reply,
                Err(error) => {
                    // An adapter that violates the protocol counts as crashed.
                    self.subject = (self.start)()?;
                    Reply::Crashed(error)
                }
            };
            let (verdict, differences) = judge(vector, *mode, &description, &KnownViolations::new(), &reply)?;
            match verdict {
                Verdict::Passes | Verdict::Deviates => {}
                Verdict::Skipped => self.was_unsupported = true,
                Verdict::Fails | Verdict::Crashes | Verdict::NoAnswer => {
                    let circumstances = oracle.circumstances();
                    faults.push(Fault { mode: *mode, verdict, differences, circumstances, is_own: false });
                }
            }
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Observed;
    use crate::subject::Description;
    use crate::vector::embedded;

    #[test]
    fn cases_depend_on_the_seed() {
        let seeds = case::seeds(&embedded().unwrap());
        let cases = |seed| -> Vec<Case> {
            (0..50).map(|number| generate(&seeds, &mut Numbers::new(seed, number)).0).collect()
        };
        assert_eq!(cases(7), cases(7));
        assert_ne!(cases(7), cases(8));
    }

    /// A subject that delivers too many messages in strict mode, and crashes in lenient mode.
    struct TwoFaults(Description);

    impl Subject for TwoFaults {
        fn description(&self) -> &Description {
            &self.0
        }

        fn ask(&mut self, request: Request<'_>) -> Result<Reply, String> {
            let messages = vec![ObservedMessage::default(); 1000];
            Ok(match request.mode {
                Mode::Strict => Reply::Observed(Observed { messages, ..Observed::default() }),
                Mode::Lenient => Reply::Crashed("out of memory".to_owned()),
            })
        }
    }

    #[test]
    fn a_fault_in_one_mode_does_not_hide_that_in_the_other() {
        let found = |crashes_only| {
            let options =
                HostileOptions { cases: Some(1), crashes_only, minimise_asks: 0, ..Default::default() };
            let of = Description::new("two faults", "none", &["payload", "datagrams", "stream", "modes"], "");
            let mut start = || Ok(Box::new(TwoFaults(of.clone())) as Box<dyn Subject>);
            let results = fuzz(&embedded().unwrap(), &mut start, &options, &mut |_, _| {}).unwrap();
            results.findings.iter().map(|found| (found.mode, found.verdict)).collect::<Vec<_>>()
        };
        let crash = (Some(Mode::Lenient), Verdict::Crashes);
        assert_eq!(found(true), [crash]);
        assert_eq!(found(false), [(Some(Mode::Strict), Verdict::Fails), crash]);
    }

    #[test]
    fn crashes_that_differ_only_in_numbers_count_as_the_same_crash() {
        let fault = |text: &str| Fault {
            mode: None,
            verdict: Verdict::Crashes,
            differences: vec![Difference::new("crash", "none", text)],
            circumstances: String::new(),
            is_own: false,
        };
        assert_eq!(fault("index 12 of 7").key(), fault("index 3 of 1200").key());
        assert_ne!(fault("index 12 of 7").key(), fault("out of memory").key());
    }
}
