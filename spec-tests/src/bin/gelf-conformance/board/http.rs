//! Sends the HTTP vectors to a peer's running receiver, in each setup that the receiver supports.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gelf_spec_tests::{
    Description, Expectations, Live, LiveHttp, LiveOptions, Observe, Outcome, Results, Selection, Topic,
    Verdict,
};
use serde_json::Value;

use crate::run::with_progress;

/// Names of the setups, in the order of [`LiveHttp::setups`].
const SETUPS: [&str; 4] = ["plain", "header", "bulk", "max-message"];

/// Returns the results of the program `http` in the folder of a peer, or `None` if there is no such program.
pub(super) fn results(folder: &Path, topics: &[Topic]) -> Result<Option<Results>, String> {
    let program = folder.join("http");
    if !program.exists() {
        return Ok(None);
    }
    let in_program = |error: String| format!("{}: {error}", program.display());
    let (subject, supported) = hello(&program).map_err(in_program)?;
    // The outcomes of each vector, one for each setup.
    let mut of_vectors: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    for (name, setup) in SETUPS.iter().zip(LiveHttp::setups(free_address()?)) {
        if !supported.iter().any(|word| word == name) {
            continue;
        }
        let observe = Observe::Command(command(&program, &setup));
        let options = LiveOptions {
            http: Some(setup),
            timeout: super::TIMEOUT,
            settle: SETTLE,
            ..LiveOptions::default()
        };
        let mut live = Live::start(options, observe).map_err(in_program)?;
        for outcome in with_progress(topics, &mut live, None, Selection::default())?.outcomes {
            of_vectors.entry(outcome.id.clone()).or_default().push(outcome);
        }
    }
    let known = folder.join("http-expectations.json");
    let known = if known.exists() { Some(Expectations::load(&known)?) } else { None };
    let mut outcomes = Vec::new();
    for vector in topics.iter().flat_map(|topic| &topic.vectors) {
        // The worst outcome counts. Setups in which the vector was not asked are ignored if the vector was
        // asked in another setup.
        let found = of_vectors.remove(&vector.id).unwrap_or_default();
        let asked = found.iter().filter(|outcome| outcome.verdict != Verdict::Skipped);
        let Some(worst) = asked.max_by_key(|outcome| outcome.verdict).or_else(|| found.first()) else {
            continue;
        };
        let expected = known.as_ref().and_then(|known| known.of(&vector.id, None, worst.verdict));
        outcomes.push(Outcome {
            reason: expected.map(|expected| expected.reason.clone()),
            report: expected.and_then(|expected| expected.report.clone()),
            ..worst.clone()
        });
    }
    let bad = outcomes.iter().filter(|outcome| !outcome.verdict.is_good());
    let bad: Vec<_> = bad.map(|outcome| (outcome.id.as_str(), None, outcome.verdict)).collect();
    let stale = known.map(|known| known.stale(&bad)).unwrap_or_default();
    Ok(Some(Results { subject, outcomes, stale }))
}

/// Delay between a vector and its sentinel, for receivers that deliver messages after they have answered.
const SETTLE: Duration = Duration::from_millis(20);

/// Returns the description of the receiver and the names of the setups that it supports.
fn hello(program: &Path) -> Result<(Description, Vec<String>), String> {
    let output = Command::new(program).arg("hello").output().map_err(|error| error.to_string())?;
    let hello: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("hello: {error}"))?;
    let text = |name: &str| hello.get(name).and_then(Value::as_str).map(str::to_owned);
    let required = |name: &str| text(name).ok_or_else(|| format!("hello has no {name}"));
    let setups = hello.get("setups").and_then(Value::as_array).into_iter().flatten();
    let description = Description {
        name: required("name")?,
        version: required("version")?,
        language: required("language")?,
        notes: text("notes").unwrap_or_default(),
        ..Description::default()
    };
    Ok((description, setups.filter_map(|word| word.as_str().map(str::to_owned)).collect()))
}

/// Returns the command line that starts the receiver in this setup.
fn command(program: &Path, setup: &LiveHttp) -> String {
    let mut command = format!("'{}' {}", program.display(), setup.address);
    if setup.bulk {
        command += " --bulk";
    }
    if let Some((name, value)) = &setup.header {
        command += &format!(" --header '{name}: {value}'");
    }
    if let Some(bytes) = setup.max_message {
        command += &format!(" --max-message {bytes}");
    }
    command
}

/// Returns an address of the loopback on which nothing listens.
fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}
