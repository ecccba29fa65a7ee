//! `run`: runs the vectors on a subject.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use gelf_spec_tests::report::{self, Provenance};
use gelf_spec_tests::{
    Builtin, Description, Expectations, Mode, Outcome, Process, Results, Selection, Served, Subject, Topic,
    Vector, Verdict, embedded_http, run as run_vectors, run_parallel,
};

use crate::output;
use crate::times::seconds;
use crate::{VectorsArguments, style, write};

/// Number of unexpected results that are explained by default.
const EXPLAINED: usize = 5;

#[derive(Args)]
pub(crate) struct RunArguments {
    /// Subject: `builtin`, or the command line of a program that speaks the subject protocol
    #[arg(long, default_value = "builtin", value_name = "SUBJECT")]
    subject: String,
    /// Mode to run, for a subject that has a strict and a lenient mode
    #[arg(long, value_enum, default_value_t = ModeArgument::Both)]
    mode: ModeArgument,
    /// Run only vectors whose id or topic contains one of these texts
    #[arg(long, value_name = "TEXT,...")]
    filter: Option<String>,
    /// Number of processes of the subject, which are asked at the same time
    #[arg(short, long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Known differences of the subject, with reasons
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,
    /// Maximum time for an answer, in seconds
    #[arg(long, default_value_t = Process::DEFAULT_TIMEOUT.as_secs(), value_name = "SECONDS", value_parser = seconds())]
    timeout: u64,
    #[command(flatten)]
    output: OutputArguments,
    /// List the vectors and exit
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    vectors: VectorsArguments,
}

/// Options for the output and the exit status of a run.
#[derive(Args)]
pub(crate) struct OutputArguments {
    /// Also write a report; can be repeated
    #[arg(long, value_name = "json|junit|html|badge=FILE")]
    report: Vec<Report>,
    /// Explain every unexpected result, instead of the first five
    #[arg(long)]
    all: bool,
    /// The mildest verdict with which an unexpected result makes the exit status 1
    #[arg(long, value_enum, default_value_t = FailOn::Deviates, value_name = "VERDICT")]
    fail_on: FailOn,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum ModeArgument {
    Strict,
    Lenient,
    Both,
}

/// A report to write.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    form: Form,
    path: PathBuf,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Badge,
    Html,
    Json,
    Junit,
}

impl FromStr for Report {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (form, path) =
            text.split_once('=').ok_or("expected json=FILE, junit=FILE, html=FILE or badge=FILE")?;
        let form = match form {
            "badge" => Form::Badge,
            "html" => Form::Html,
            "json" => Form::Json,
            "junit" => Form::Junit,
            other => return Err(format!("unknown report '{other}', expected json, junit, html or badge")),
        };
        Ok(Self { form, path: path.into() })
    }
}

pub(crate) fn run(arguments: &RunArguments) -> Result<ExitCode, String> {
    let topics = arguments.vectors.load()?;
    let mode = match arguments.mode {
        ModeArgument::Strict => Some(Mode::Strict),
        ModeArgument::Lenient => Some(Mode::Lenient),
        ModeArgument::Both => None,
    };
    let selection = Selection::new(arguments.filter.as_deref(), mode);
    if arguments.list {
        list(&topics, selection);
        return Ok(ExitCode::SUCCESS);
    }
    let expectations = arguments.expectations.as_deref().map(Expectations::load).transpose()?;
    let started = Instant::now();
    let timeout = Duration::from_secs(arguments.timeout);
    let start = |_| subject(&arguments.subject, timeout);
    let mut subjects = (0..arguments.jobs).map(start).collect::<Result<Vec<_>, _>>()?;
    let description = subjects.first().ok_or("there is no subject")?.description();
    let mut progress = Progress::new(&topics, description, selection);
    let mut step = |vector: &Vector, _: &Outcome| progress.step(vector);
    let results = run_parallel(&topics, &mut subjects, expectations.as_ref(), selection, &mut step);
    progress.end();
    judged(&topics, &results?, started, selection, &arguments.output)
}

/// The mildest verdict with which an unexpected result makes the run fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum FailOn {
    Deviates,
    Fails,
}

/// Prints the summary of a run and writes the reports. Returns the exit status. `started` is the time at
/// which the run began.
pub(crate) fn judged(
    topics: &[Topic],
    results: &Results,
    started: Instant,
    selection: Selection<'_>,
    output: &OutputArguments,
) -> Result<ExitCode, String> {
    if results.outcomes.is_empty() {
        let filter = selection.filter.unwrap_or_default();
        // `run` never loads HTTP vectors, and `receiver` loads them only with `--http`.
        let is_http = embedded_http().is_ok_and(|http| selection.of(&http).next().is_some());
        return Err(match is_http {
            true => format!("'{filter}' matches vectors for HTTP only, which 'receiver --http' sends"),
            false => format!("no vector matches '{filter}'"),
        });
    }
    if results.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Skipped) {
        return Err(format!("{} supports none of the requests, see 'can' and 'sends'", results.subject.name));
    }
    let explained = if output.all { usize::MAX } else { EXPLAINED };
    output::print(format_args!("{}", report::summary(topics, results, explained, style())));
    output::line!("{:.1} s", started.elapsed().as_secs_f64());
    let made = Provenance::here();
    for Report { form, path } in &output.report {
        let text = match form {
            Form::Badge => report::badge(results, None),
            Form::Html => report::html(topics, std::slice::from_ref(results), &made),
            Form::Json => format!("{:#}\n", report::json(topics, std::slice::from_ref(results), &made)),
            Form::Junit => report::junit(topics, results),
        };
        write(path, &text)?;
    }
    let is_failure =
        |outcome: &Outcome| output.fail_on == FailOn::Deviates || outcome.verdict != Verdict::Deviates;
    let is_good = results.stale.is_empty() && !results.unexpected().any(is_failure);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns gelf-core for the command `builtin`, and otherwise a process that the command starts.
pub(crate) fn subject(command: &str, timeout: Duration) -> Result<Box<dyn Subject + Send>, String> {
    match command {
        "builtin" => Ok(Box::new(Served::new(Builtin::default()))),
        command => Ok(Box::new(Process::start(command, timeout)?)),
    }
}

/// Runs the vectors on one subject and shows the progress.
pub(crate) fn with_progress(
    topics: &[Topic],
    subject: &mut dyn Subject,
    expectations: Option<&Expectations>,
    selection: Selection<'_>,
) -> Result<Results, String> {
    let mut progress = Progress::new(topics, subject.description(), selection);
    let mut step = |vector: &Vector, _: &Outcome| progress.step(vector);
    let results = run_vectors(topics, subject, expectations, selection, &mut step);
    progress.end();
    results
}

/// Time between two lines of progress when standard error is not a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the progress of a run on standard error: on a terminal, a line that is overwritten; otherwise, a new
/// line every ten seconds.
struct Progress {
    name: String,
    total: usize,
    done: usize,
    is_terminal: bool,
    last: Instant,
}

impl Progress {
    fn new(topics: &[Topic], subject: &Description, selection: Selection<'_>) -> Self {
        Self {
            name: subject.name.clone(),
            total: selection.of(topics).count() * selection.modes(subject).len(),
            done: 0,
            is_terminal: std::io::stderr().is_terminal(),
            last: Instant::now(),
        }
    }

    /// Counts a result.
    fn step(&mut self, vector: &Vector) {
        self.done += 1;
        let Self { name, total, done, .. } = self;
        if self.is_terminal {
            // Overwrites the previous line, and clears what is left of it.
            eprint!("\r{name}: {done} of {total}, {}\x1b[K", vector.id);
            let _ = std::io::stderr().flush();
        } else if self.last.elapsed() >= PROGRESS_INTERVAL {
            eprintln!("{name}: {done} of {total}, {}", vector.id);
            self.last = Instant::now();
        }
    }

    /// Clears the line on a terminal.
    fn end(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }
}

fn list(topics: &[Topic], selection: Selection<'_>) {
    for topic in topics {
        for vector in topic.vectors.iter().filter(|vector| selection.has(&topic.topic, &vector.id)) {
            output::line!("{:<12} {:<13} {:<6} {}", vector.id, topic.topic, vector.rule, vector.title);
        }
    }
}
