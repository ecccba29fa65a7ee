//! `board`: runs all peers and writes the score board.

mod http;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Args;
use gelf_spec_tests::report::{self, Provenance};
use gelf_spec_tests::{Builtin, Expectations, Nothing, Process, Results, Selection, Served, Topic, Verdict};

use crate::output;
use crate::run::with_progress;
use crate::{VectorsArguments, write};

#[derive(Args)]
pub(crate) struct BoardArguments {
    /// Folder of the peers. Each peer is a folder with a program `run`, a program `http` or both and,
    /// optionally, the files `expectations.json` and `http-expectations.json`
    #[arg(value_name = "DIR")]
    peers: PathBuf,
    /// Run only peers whose folder name contains this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Number of peers that run at the same time
    #[arg(short, long, default_value_t = 3, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Write the Markdown table to this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the HTML page to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write badges in SVG to this folder: one for each peer, and one for each topic that the peer was asked
    #[arg(long, value_name = "DIR")]
    badges: Option<PathBuf>,
    /// Commit of this suite's repository, for the reports
    #[arg(long, value_name = "COMMIT")]
    commit: Option<String>,
    /// Write nothing; fail if the verdicts in the page are not up to date. The peers' versions and the
    /// details of the verdicts are not compared
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    vectors: VectorsArguments,
}

/// Maximum time for an answer. It is long because some peers start containers or language runtimes, and
/// because tshark, the program of Wireshark, needs half a minute for a decompression bomb on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) fn board(arguments: &BoardArguments) -> Result<ExitCode, String> {
    let mut topics = arguments.vectors.load()?;
    let http_topics = arguments.vectors.load_http()?;
    let mut all = run_all(&folders(arguments)?, arguments.jobs, &topics, &http_topics)?;
    if all.is_empty() {
        // A board without peers must not overwrite another.
        return Err(format!("{}: no peer, or none that --only selects", arguments.peers.display()));
    }
    let builtin = &mut Served::new(Builtin::default());
    all.insert(0, with_progress(&topics, builtin, None, Selection::default())?);
    let mut good = true;
    for results in &all {
        for outcome in results.unexpected() {
            good = false;
            let (label, found) = (outcome.label(), outcome.differences.join("; "));
            output::line!("{}: {label} {}, {found}", results.subject.name, outcome.verdict.word());
        }
        for stale in &results.stale {
            good = false;
            output::line!("stale expectation: {stale}");
        }
    }
    // This subject is added after the loop above, because its failures are intended and are not reported.
    all.push(with_progress(&topics, &mut Nothing::default(), None, Selection::default())?);
    topics.extend(http_topics);
    if arguments.check {
        if let Some(path) = &arguments.html {
            let page = std::fs::read_to_string(path);
            let page = page.map_err(|error| format!("{}: {error}", path.display()))?;
            if !report::is_current(&topics, &all, &page) {
                good = false;
                output::line!("{} is out of date", path.display());
            }
        }
    } else {
        let made = Provenance::here().with_commit(arguments.commit.clone()).with_vectors_at("vectors");
        if let Some(path) = &arguments.markdown {
            write(path, &report::markdown(&topics, &all, &made))?;
        }
        if let Some(path) = &arguments.html {
            write(path, &report::html(&topics, &all, &made))?;
        }
        if let Some(folder) = &arguments.badges {
            badges(folder, &topics, &all)?;
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes the badges of each subject: one for all topics together, and one for each topic that was asked.
fn badges(folder: &Path, topics: &[Topic], all: &[Results]) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for results in all {
        let was_asked = |topic: &&Topic| {
            results.of_topic(topic).iter().any(|outcome| outcome.verdict != Verdict::Skipped)
        };
        for topic in std::iter::once(None).chain(topics.iter().filter(was_asked).map(Some)) {
            write(&folder.join(report::badge_file(results, topic)), &report::badge(results, topic))?;
        }
    }
    Ok(())
}

/// Returns the results of the peers, in the order of their folders. `jobs` peers run at the same time,
/// because some of them mostly wait.
fn run_all(
    folders: &[PathBuf],
    jobs: u8,
    topics: &[Topic],
    http_topics: &[Topic],
) -> Result<Vec<Results>, String> {
    let (next, done) = (&AtomicUsize::new(0), &Mutex::new(Vec::new()));
    let work = || -> Result<(), String> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(folder) = folders.get(index) else { return Ok(()) };
            let Some(results) = run_one(folder, topics, http_topics)? else { continue };
            output::line!("{}", line(&results));
            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, results));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a thread of the board has panicked")?)
    })?;
    let mut done = std::mem::take(&mut *done.lock().unwrap_or_else(PoisonError::into_inner));
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, results)| results).collect())
}

/// Returns the results of a peer, or `None` if its folder has neither of the programs `run` and `http`.
fn run_one(folder: &Path, topics: &[Topic], http_topics: &[Topic]) -> Result<Option<Results>, String> {
    Ok(match (run(folder, topics)?, http::results(folder, http_topics)?) {
        (Some(mut results), Some(http)) => {
            results.outcomes.extend(http.outcomes);
            results.stale.extend(http.stale);
            Some(results)
        }
        (results, http) => results.or(http),
    })
}

/// Returns the results of the program `run` in the folder of a peer, or `None` if there is no such program.
fn run(folder: &Path, topics: &[Topic]) -> Result<Option<Results>, String> {
    let program = folder.join("run");
    if !program.exists() {
        return Ok(None);
    }
    let mut subject = Process::start(&format!("'{}'", program.display()), TIMEOUT)?;
    let known = folder.join("expectations.json");
    let known = known.exists().then(|| Expectations::load(&known)).transpose()?;
    with_progress(topics, &mut subject, known.as_ref(), Selection::default()).map(Some)
}

fn folders(arguments: &BoardArguments) -> Result<Vec<PathBuf>, String> {
    let wanted = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        path.is_dir() && arguments.only.as_ref().is_none_or(|only| name.contains(only))
    };
    let entries = std::fs::read_dir(&arguments.peers)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>());
    let mut folders = entries.map_err(|error| format!("{}: {error}", arguments.peers.display()))?;
    folders.retain(|path| wanted(path));
    folders.sort();
    Ok(folders)
}

fn line(results: &Results) -> String {
    let counts: Vec<String> = Verdict::ALL
        .iter()
        .map(|verdict| (results.count(*verdict), verdict.word()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{:<16} {}", results.subject.name, counts.join(", "))
}
