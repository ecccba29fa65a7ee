//! `check-subject`: tests an adapter before it is run with the vectors.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gelf_spec_tests::{Check, Process, check_subject};

use crate::output;
use crate::times::seconds;

#[derive(Args)]
pub(crate) struct CheckSubjectArguments {
    /// Command line of a program that speaks the subject protocol
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// Maximum time for an answer, in seconds
    #[arg(long, default_value_t = Process::DEFAULT_TIMEOUT.as_secs(), value_name = "SECONDS", value_parser = seconds())]
    timeout: u64,
}

pub(crate) fn check(arguments: &CheckSubjectArguments) -> Result<ExitCode, String> {
    let timeout = Duration::from_secs(arguments.timeout);
    let mut report = |Check { part, result }| match result {
        Ok(found) => output::line!("ok    {part:<16} {found}"),
        Err(mistake) => {
            let word = if mistake.is_doubtful { "LOOK" } else { "FAIL" };
            output::line!("{word}  {part:<16} {}\n{:<22} remedy: {}", mistake.found, "", mistake.remedy);
        }
    };
    let is_good = check_subject(&arguments.subject, timeout, &mut report)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
