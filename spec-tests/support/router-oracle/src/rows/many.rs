//! Rows about the ends of containers, and about containers that live for a moment.

use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::Outcome;
use crate::agent::Agent;
use crate::api;
use crate::bench::{Bench, Writing};
use crate::receiver::Receiver;
use crate::tally::Written;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn exit(bench: &mut Bench) -> Outcome {
    let runs = bench.runs(40);
    let mut whole = 0;
    let mut total = crate::tally::Account::default();
    for run in 0..runs {
        let receiver = Receiver::start();
        let state = bench.path("state").display().to_string();
        let route = receiver.route("exit");
        let arguments = ["--state", state.as_str(), route.as_str()];
        let agent = Agent::start(bench, &arguments);
        let mut writing = Writing::new("exit", 30_000, 25_000);
        (writing.waits, writing.stay) = (true, 0.0);
        let writer = bench.write(writing);
        receiver.wait_until(|tally| tally.distinct() == 1);
        agent.terminate();
        writer.go();
        // The container ends 1.2 s after `go`. The router starts at various times before and after this end.
        sleep(Duration::from_millis(u64::from(run) * 127 % 1_300));
        let agent = Agent::start(bench, &arguments);
        writer.container.wait();
        let account = receiver.settle(&writer.written(), PATIENCE);
        whole += u32::from(account.is_exact());
        total.add(account);
        agent.terminate();
    }
    Outcome::new(format!("{whole} of {runs} runs whole, {total}"), "all runs whole", whole == runs)
}

/// Creates a container through the API, because the `docker` command takes more time. Returns the id of the
/// container, and its lines.
pub(super) fn create(bench: &Bench, name: &str, lines: u64, seconds: f64, remove: bool) -> (String, Written) {
    let (mount, command, written) = bench.command(lines, 0, seconds);
    let body = serde_json::json!({
        "Image": bench.engine().image(),
        "Cmd": command,
        "NetworkDisabled": true,
        "HostConfig": { "AutoRemove": remove, "Binds": [mount], "NetworkMode": "none" },
    });
    let stream = written.keys().next().copied().unwrap_or_default();
    let path = format!("/containers/create?name={name}-{}-{stream}", std::process::id());
    let (status, answer) = api::request(&bench.daemon().socket(), "POST", &path, &body.to_string());
    assert_eq!(status, 201, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    (answer["Id"].as_str().unwrap().to_owned(), written)
}

pub(super) fn start(socket: &Path, id: &str) {
    let (status, answer) = api::request(socket, "POST", &format!("/containers/{id}/start"), "");
    assert_eq!(status, 204, "{answer}");
}

pub(super) fn short(bench: &mut Bench) -> Outcome {
    const CONTAINERS: usize = 36;
    let runs = bench.runs(5);
    let receiver = Receiver::start();
    let agent = Agent::start(bench, &[&receiver.route("short")]);
    let mut whole = Vec::new();
    for _ in 0..runs {
        let containers: Vec<_> = (0..CONTAINERS).map(|_| create(bench, "short", 6, 0.025, true)).collect();
        let socket = bench.daemon().socket();
        thread::scope(|scope| {
            for (id, _) in &containers {
                let socket = &socket;
                scope.spawn(move || start(socket, id));
            }
        });
        let written: Written = containers.iter().flat_map(|(_, written)| written.clone()).collect();
        receiver.settle(&written, PATIENCE);
        let tally = receiver.tally();
        let is_whole = |(_, written): &&(String, Written)| tally.has_all(written);
        whole.push(containers.iter().filter(is_whole).count());
    }
    let (_, logged) = agent.terminate();
    whole.sort_unstable();
    let (median, least) = (whole[whole.len() / 2], whole[0]);
    let missing: usize = whole.iter().map(|whole| CONTAINERS - whole).sum();
    let counted = unavailable(&logged).max(receiver.tally().gaps().len());
    let figure =
        format!("median {median}, least {least} of {CONTAINERS}; {missing} missing, {counted} counted");
    Outcome::new(
        figure,
        "median at least 35, least at least 33, the missing counted",
        median >= 35 && least >= 33 && counted >= missing,
    )
    // An Engine that has to start 36 containers together on a busy machine removes some logs before a
    // request for them can arrive.
    .with_law("the missing counted", counted >= missing)
}

/// Returns the number of containers whose log could not be read to the end, as the router logged it last.
fn unavailable(logged: &[String]) -> usize {
    let number = |line: &String| line.split_once("could not be read to the end: ")?.1.trim().parse().ok();
    logged.iter().rev().find_map(number).unwrap_or_default()
}

pub(super) fn many(bench: &mut Bench) -> Outcome {
    let containers = 300;
    let receiver = Receiver::start();
    let agent = Agent::start(bench, &[&receiver.route("many")]);
    sleep(Duration::from_secs(1));
    let before = agent.open_files_and_threads();
    let socket = bench.daemon().socket();
    let begin = Instant::now();
    let (mut kept, mut removed) = (Vec::new(), Vec::new());
    for index in 0..containers {
        let remove = index % 2 == 1;
        let (id, written) = create(bench, "many", 20, 0.05, remove);
        start(&socket, &id);
        if remove { &mut removed } else { &mut kept }.push((id, written));
        sleep((Duration::from_millis(200) * (index + 1)).saturating_sub(begin.elapsed()));
    }
    let seconds = begin.elapsed().as_secs();
    let written: Written = kept.iter().chain(&removed).flat_map(|(_, written)| written.clone()).collect();
    receiver.settle(&written, PATIENCE);
    for (id, _) in &kept {
        api::request(&socket, "DELETE", &format!("/containers/{id}?force=1"), "");
    }
    sleep(Duration::from_secs(5));
    let after = agent.open_files_and_threads();
    let whole = |containers: &[(String, Written)]| {
        containers.iter().filter(|(_, written)| receiver.tally().has_all(written)).count()
    };
    let (kept_whole, removed_whole) = (whole(&kept), whole(&removed));
    let account = receiver.tally().account(&written);
    let (_, logged) = agent.terminate();
    let counted = unavailable(&logged).max(receiver.tally().gaps().len());
    let missing = removed.len() - removed_whole;
    let figure = format!(
        "in {seconds} s {kept_whole} of {} kept and {removed_whole} of {} removed containers whole, \
         {counted} counted as unavailable; {account}; open files and threads {before:?} before and {after:?} after",
        kept.len(),
        removed.len()
    );
    // The router is allowed to keep one more connection to the Engine in its pool.
    let returned = after.0 <= before.0 + 1 && after.1 <= before.1;
    let asked = "all kept containers whole, the others whole or counted, open files and threads as before";
    Outcome::new(
        figure,
        asked,
        kept_whole == kept.len() && counted >= missing && returned && account.repeated == 0,
    )
}
