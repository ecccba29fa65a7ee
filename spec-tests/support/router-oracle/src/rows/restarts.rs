//! Rows that end the router and start it again while a container writes.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::Outcome;
use crate::agent::{self, Agent};
use crate::bench::{Bench, Writing};
use crate::receiver::Receiver;
use crate::tally::Account;

const RATE: u64 = 5_000;

/// Time without arrivals after which the remaining lines count as missing.
const PATIENCE: Duration = Duration::from_secs(15);

/// Maximum time in seconds from the reading of a message until the router can write the position of the
/// message to the state. This time includes the time until a new connection counts as working, and the time
/// for reading the lines that were written while no router ran.
const UNSETTLED: f64 = 1.0;

pub(super) fn kill(bench: &mut Bench) -> Outcome {
    let kills = bench.runs(100);
    let (account, allowed) =
        restarted(bench, "kill", kills, Duration::from_millis(300), |agent| agent.kill());
    let holds = account.lost + account.announced == 0 && account.repeated <= allowed;
    let asked = format!(
        "lost 0, repeated at most {allowed} (those since shortly before the last write of the state)"
    );
    Outcome::new(format!("{kills} kills, {account}"), asked, holds)
}

pub(super) fn restart(bench: &mut Bench) -> Outcome {
    let restarts = bench.runs(30);
    let (account, _) = restarted(bench, "restart", restarts, Duration::from_millis(200), |agent| {
        let (status, logged) = agent.terminate();
        assert_eq!(status, Some(0), "{logged:#?}");
    });
    Outcome::new(format!("{restarts} restarts, {account}"), "lost 0, repeated 0", account.is_exact())
}

/// Restarts the router while a container writes. Returns the account, and the number of lines that all restarts
/// together are allowed to repeat. Each restart may repeat the lines that were written since the last write of the
/// state, and during the time [`UNSETTLED`] before that write.
fn restarted(
    bench: &Bench,
    name: &str,
    restarts: u32,
    shortest: Duration,
    end: impl Fn(Agent),
) -> (Account, u64) {
    let receiver = Receiver::start();
    let state = bench.path("state");
    let route = receiver.route(name);
    let start = || Agent::start(bench, &["--state", &state.display().to_string(), &route]);
    let mut agent = start();
    let writer = bench.write(Writing::endless(name, RATE));
    let mut unsettled = 0.0;
    for restart in 0..restarts {
        // The times differ, so that the routers end at different times after a write of the state.
        sleep(shortest + Duration::from_millis(u64::from(restart) * 211 % 1_200));
        unsettled += age(&state) + UNSETTLED;
        end(agent);
        sleep(Duration::from_millis(u64::from(restart) * 97 % 300));
        agent = start();
    }
    let written = writer.end(bench.engine());
    let account = receiver.settle(&written, PATIENCE);
    agent.terminate();
    (account, (unsettled * RATE as f64) as u64)
}

/// Returns the time since the last write of the state, in seconds.
fn age(state: &Path) -> f64 {
    let files = fs::read_dir(state).expect("the state folder exists").flatten();
    let written = files.filter_map(|file| file.metadata().ok()?.modified().ok()).max();
    let age = written.and_then(|time| SystemTime::now().duration_since(time).ok());
    // Before the first write, all lines since the start of the router are unsettled. The router started less
    // than two seconds ago.
    age.map_or(2.0, |age| age.as_secs_f64())
}

pub(super) fn handover(bench: &mut Bench) -> Outcome {
    let handovers = bench.runs(10);
    let receiver = Receiver::start();
    let route = receiver.route("handover");
    let socket = bench.daemon().socket();
    let start = |bench: &mut Bench| agent::container(bench, &socket, "/var/run/docker.sock", &[], &[&route]);
    // The containers of ended agents are kept. From them, the next agent learns when the last agent ended.
    let mut agents = vec![start(bench)];
    let writer = bench.write(Writing::endless("handover", RATE));
    for handover in 0..handovers {
        sleep(Duration::from_millis(700 + u64::from(handover) * 211 % 700));
        if let Some(old) = agents.last() {
            assert_eq!(old.stop(), 0, "{}", old.logs_with_timestamps().1);
        }
        sleep(Duration::from_millis(300));
        agents.push(start(bench));
    }
    let written = writer.end(bench.engine());
    let account = receiver.settle(&written, PATIENCE);
    if account.lost > 0 {
        for agent in &agents {
            eprintln!("an agent's log:\n{}", agent.logs_with_timestamps().1);
        }
    }
    let figure = format!("{handovers} hand-overs, {account}");
    Outcome::new(figure, "lost 0", account.lost + account.announced == 0)
}
