//! `gelf-router doctor`: examines the host, the Engine, the containers and the destinations, and prints each
//! finding with its remedy.
//!
//! Each check collects facts first, and a function without side effects judges them.

mod access;
mod containers;
mod engine;
mod files;
mod network;
mod rate;
mod routes;
mod state;

use std::fmt;
use std::fs;
use std::io::Write;
use std::time::Duration;

use docker_source::{EngineAddress, ping, running_containers};

use self::access::Process;
use self::engine::SocketFile;
use crate::cli::Options;
use crate::failure::Failure;
use crate::privileges;
use crate::reading::Reading;
use crate::route::{Route, is_agent};
use crate::terminal::push_safe;

/// The time within which the Engine has to answer the first request.
const ENGINE: Duration = Duration::from_secs(10);

/// The severity of a finding.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Severity {
    /// Nothing has to be done.
    Ok,
    /// Lines are shipped, but the finding needs attention: for example, some may be lost or arrive twice.
    Warn,
    /// Lines are not shipped, or not reliably.
    Fail,
}

/// The result of a check.
#[derive(Clone, Debug)]
struct Finding {
    severity: Severity,
    /// The examined part, such as `container web`.
    subject: String,
    text: String,
    /// The remedy; empty if nothing has to be done or if the text names the remedy.
    remedy: String,
}

impl Finding {
    fn ok(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, subject: subject.into(), text: text.into(), remedy: String::new() }
    }

    fn warn(subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (subject, text, remedy) = (subject.into(), text.into(), remedy.into());
        Self { severity: Severity::Warn, subject, text, remedy }
    }

    fn fail(subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Fail, ..Self::warn(subject, text, remedy) }
    }
}

/// Writes the finding as one line without characters that control a terminal.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Ok => "ok",
            Severity::Warn => "warn",
            Severity::Fail => "fail",
        };
        let remedy = if self.remedy.is_empty() { "" } else { "; " };
        let mut line = String::new();
        push_safe(&mut line, &format!("{}: {}{remedy}{}", self.subject, self.text, self.remedy));
        write!(f, "{severity:<4}  {line}")
    }
}

/// Runs all checks and prints the findings to stdout. The checks of the containers are left out if the Engine
/// cannot be used.
///
/// # Errors
/// Returns an error with status 1 if a finding is a failure.
pub(crate) async fn run(
    address: EngineAddress,
    Options { routes, state, reading, .. }: &Options,
) -> Result<(), Failure> {
    let mut report = Report::default();
    let process = Process::current();
    if let Some(folder) = state {
        report.add(state::judge(folder, &state::Folder::at(folder), &process));
    }
    if let Some(version) = examine_engine(&address, &process, &mut report).await {
        examine_containers(&address, &version, routes, reading, &mut report).await;
    }
    if routes.is_empty() {
        report.add(Finding::ok("routes", "none is given, so no destination is examined"));
    }
    for route in routes {
        routes::examine(route).await.into_iter().for_each(|finding| report.add(finding));
    }
    match report.failures {
        0 => Ok(()),
        failures => Err(Failure::refused(format!("checks that failed: {failures}"))),
    }
}

/// Examines the socket and the version of the API. Returns the version if requests to the Engine are
/// possible.
async fn examine_engine(address: &EngineAddress, process: &Process, report: &mut Report) -> Option<String> {
    if let EngineAddress::Unix(path) = address {
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        let found = engine::judge_socket(path, &SocketFile::at(path), process, &groups);
        let is_usable = found.severity != Severity::Fail;
        report.add(found);
        if !is_usable {
            return None;
        }
    }
    let version = ping(address.clone(), ENGINE).await;
    report.add(engine::judge_version(address, &version));
    version.ok()
}

/// Examines the running containers, and measures for 2 s how much they write.
async fn examine_containers(
    address: &EngineAddress,
    version: &str,
    routes: &[Route],
    reading: &Reading,
    report: &mut Report,
) {
    let containers = match running_containers(address.clone()).await {
        Ok(containers) => containers,
        Err(error) => return report.add(Finding::fail("containers", error.to_string(), "")),
    };
    report.add(containers::judge_descriptors(containers.len(), privileges::descriptor_limit()));
    report.add(containers::judge_agents(&containers));
    files::judge(reading, &containers).into_iter().for_each(|finding| report.add(finding));
    let rates = rate::measure(address.clone()).await.unwrap_or_else(|error| {
        report.add(Finding::warn("containers", format!("their rates are not known: {error}"), ""));
        rate::Rates::default()
    });
    for container in &containers {
        let is_taken = routes.is_empty() || routes.iter().any(|route| route.takes(container));
        if !is_taken || container.is_ignored() || is_agent(container) {
            report.add(Finding::ok(format!("container {}", container.name()), "no route ships it"));
            continue;
        }
        containers::judge_mode(container).into_iter().for_each(|finding| report.add(finding));
        report.add(containers::judge_log(container, version, rates.get(container.id())));
    }
}

/// Prints findings as they arrive.
#[derive(Debug, Default)]
struct Report {
    failures: usize,
}

impl Report {
    fn add(&mut self, finding: Finding) {
        self.failures += usize::from(finding.severity == Severity::Fail);
        // Errors are ignored: if stdout takes no text, the exit status still tells whether a check failed.
        let _ = writeln!(std::io::stdout().lock(), "{finding}");
    }
}

/// Asserts the severity and a part of the text and remedy of a finding.
#[cfg(test)]
#[track_caller]
fn assert_finds(finding: &Finding, severity: &str, part: &str) {
    let shown = finding.to_string();
    assert!(
        shown.split(' ').next() == Some(severity) && shown.contains(part),
        "{severity} {part:?}: {shown}"
    );
    assert_eq!(shown.lines().count(), 1);
}
