//! `fuzz`: sends generated hostile inputs (cases) to a subject.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use gelf_spec_tests::{Finding, HostileOptions, Process, Subject, fuzz as fuzz_subject};

use crate::output;
use crate::run::subject;
use crate::times::{duration, seconds};
use crate::{VectorsArguments, write};

#[derive(Args)]
pub(crate) struct FuzzArguments {
    /// Subject: `builtin`, or the command line of a program that speaks the subject protocol
    #[arg(long, default_value = "builtin", value_name = "SUBJECT")]
    subject: String,
    /// Seed of the cases
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Maximum number of cases [default: 10000 without --for]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    cases: Option<u64>,
    /// Maximum duration, such as 60s or 10m
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Number of different findings after which the run ends
    #[arg(long, default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    findings: u16,
    /// Look only for crashes and missing answers
    #[arg(long)]
    crashes: bool,
    /// Maximum time for an answer, in seconds
    #[arg(long, default_value_t = Process::DEFAULT_TIMEOUT.as_secs(), value_name = "SECONDS", value_parser = seconds())]
    timeout: u64,
    /// Folder for the findings, each written as a vector file
    #[arg(long, default_value = "gelf-fuzz-findings", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    vectors: VectorsArguments,
}

pub(crate) fn fuzz(arguments: &FuzzArguments) -> Result<ExitCode, String> {
    let topics = arguments.vectors.load()?;
    let default = HostileOptions::default();
    let options = HostileOptions {
        seed: arguments.seed,
        cases: if arguments.time.is_none() { arguments.cases.or(default.cases) } else { arguments.cases },
        time: arguments.time,
        findings: arguments.findings.into(),
        crashes_only: arguments.crashes,
        ..default
    };
    let timeout = Duration::from_secs(arguments.timeout);
    let mut start = || -> Result<Box<dyn Subject>, String> { Ok(subject(&arguments.subject, timeout)?) };
    let started = Instant::now();
    let shown = std::io::stderr().is_terminal();
    let mut failed = None;
    let mut progress = |case: u64, finding: Option<&Finding>| match finding {
        Some(finding) => {
            if shown {
                eprint!("\r\x1b[K");
            }
            if let Err(error) = keep(arguments, finding) {
                failed.get_or_insert(error);
            }
        }
        None if shown && case % 64 == 0 => {
            eprint!("\rcase {case}, {:.0} s\x1b[K", started.elapsed().as_secs_f64());
            let _ = std::io::stderr().flush();
        }
        None => {}
    };
    let results = fuzz_subject(&topics, &mut start, &options, &mut progress);
    if shown {
        eprint!("\r\x1b[K");
    }
    let results = results?;
    output::line!(
        "seed {}: {} cases, {} of them valid messages, {} not asked, {} findings, {:.1} s",
        arguments.seed,
        results.cases,
        results.valid,
        results.skipped,
        results.findings.len(),
        started.elapsed().as_secs_f64()
    );
    match failed {
        Some(error) => Err(error),
        None if results.skipped == results.cases => Err("the subject supports none of the cases".to_owned()),
        None if results.findings.is_empty() => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::FAILURE),
    }
}

fn keep(arguments: &FuzzArguments, finding: &Finding) -> Result<(), String> {
    let Finding { id, case, verdict, differences, found_bytes, bytes, file, .. } = finding;
    let mode = finding.mode.map(|mode| format!(" ({mode})")).unwrap_or_default();
    let path = arguments.out.join(format!("{}.json", id.to_lowercase()));
    output::line!("{id}: {}{mode}, case {case}, {found_bytes} bytes minimised to {bytes}", verdict.word());
    for difference in differences {
        output::line!("    {difference}");
    }
    output::line!("    {}", path.display());
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| format!("{}: {error}", arguments.out.display()))?;
    write(&path, file)
}
