//! `board`: runs all peers and writes the score board.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gelf_spec_tests::{Builtin, Expectations, Nothing, Process, Results, Selection, Served, Verdict, report};

use crate::output;
use crate::run::with_progress;
use crate::{VectorsArguments, write};

#[derive(Args)]
pub(crate) struct BoardArguments {
    /// Folder of the peers. Each peer is a folder with a program `run` and, optionally, a file
    /// `expectations.json`
    #[arg(value_name = "DIR")]
    peers: PathBuf,
    /// Run only peers whose folder name contains this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write the Markdown table to this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the HTML page to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write nothing; fail if the verdicts in the page are not up to date. The peers' versions and the
    /// details of the verdicts are not compared
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    vectors: VectorsArguments,
}

/// Maximum time for an answer. It is long, because some peers start containers or language runtimes, and tshark needs
/// half a minute for a bomb on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) fn board(arguments: &BoardArguments) -> Result<ExitCode, String> {
    let topics = arguments.vectors.load()?;
    let mut all = Vec::new();
    all.push(with_progress(&topics, &mut Served::new(Builtin::default()), None, Selection::default())?);
    for folder in folders(arguments)? {
        let run = folder.join("run");
        let mut subject = Process::start(&format!("'{}'", run.display()), TIMEOUT)?;
        let known = folder.join("expectations.json");
        let known = known.exists().then(|| Expectations::load(&known)).transpose()?;
        all.push(with_progress(&topics, &mut subject, known.as_ref(), Selection::default())?);
        if let Some(results) = all.last() {
            output::line!("{}", line(results));
        }
    }
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
    // No result of this subject is a surprise.
    all.push(with_progress(&topics, &mut Nothing::default(), None, Selection::default())?);
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
        if let Some(path) = &arguments.markdown {
            write(path, &report::markdown(&topics, &all))?;
        }
        if let Some(path) = &arguments.html {
            write(path, &report::html(&topics, &all))?;
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn folders(arguments: &BoardArguments) -> Result<Vec<PathBuf>, String> {
    let wanted = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        path.join("run").exists() && arguments.only.as_ref().is_none_or(|only| name.contains(only))
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
