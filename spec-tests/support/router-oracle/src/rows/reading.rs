//! Rows that read containers whose log files rotate, and rows that read many containers.

use std::time::Duration;

use super::Outcome;
use crate::agent::{self, Agent};
use crate::bench::{Bench, Writer, Writing};
use crate::daemon::processor_time;
use crate::receiver::Receiver;
use crate::tally::{Account, Written};

const PATIENCE: Duration = Duration::from_secs(10);
const ONE_MIB: [&str; 4] = ["--log-opt", "max-size=1m", "--log-opt", "max-file=3"];
const COMPRESSED: [&str; 6] =
    ["--log-opt", "max-size=200k", "--log-opt", "max-file=3", "--log-opt", "compress=true"];

/// Accounts of several runs.
#[derive(Default)]
struct Total {
    account: Account,
    /// Number of missing lines that the Engine still has at the end.
    still_there: u64,
    /// Number of runs with a missing line that no gap announces.
    lossy: u32,
}

impl Total {
    fn add(&mut self, bench: &Bench, receiver: &Receiver, writer: &Writer) {
        let written = writer.written();
        let account = receiver.settle(&written, PATIENCE);
        let missing = receiver.tally().missing(&written);
        self.still_there += writer.still_there(bench.engine(), &missing);
        self.lossy += u32::from(account.lost > 0);
        self.account.add(account);
    }

    fn figure(&self, runs: u32) -> String {
        let mut figure = format!("{runs} runs, {}", self.account);
        if self.lossy > 0 {
            figure += &format!(", {} lossy runs", self.lossy);
        }
        if self.still_there > 0 {
            figure += &format!(", {} missing lines still in the Engine's log", self.still_there);
        }
        figure
    }

    /// Returns the outcome of a row in which the Engine keeps all lines long enough.
    fn exact(&self, runs: u32) -> Outcome {
        let holds = self.account.is_exact() && self.still_there == 0;
        Outcome::new(self.figure(runs), "lost 0, repeated 0, no false gap", holds)
    }

    /// Returns the outcome of a row in which log files can be rotated away before the router has read them.
    fn announced(&self, runs: u32) -> Outcome {
        let Account { lost, repeated, empty_gaps, others, .. } = self.account;
        let holds = lost + repeated + empty_gaps + others + self.still_there == 0;
        let asked = "lost 0 outside of announced gaps, no missing line still in the Engine's log, repeated 0, no false gap";
        Outcome::new(self.figure(runs), asked, holds)
    }
}

/// Reads containers one after the other with a router on the host.
fn read(bench: &Bench, runs: u32, writing: &Writing) -> Total {
    let mut total = Total::default();
    for _ in 0..runs {
        let receiver = Receiver::start();
        let agent = Agent::start(bench, &[&receiver.route(&writing.name)]);
        let writer = bench.write(writing.clone());
        // Starting the writer takes a while. The wait for the lines begins with the first line.
        receiver.wait_until(|tally| tally.arrivals > 0);
        total.add(bench, &receiver, &writer);
        agent.terminate();
    }
    total
}

pub(super) fn rotation_5000(bench: &mut Bench) -> Outcome {
    let runs = bench.runs(3);
    read(bench, runs, &Writing::new("rotation", 100_000, 5_000).docker(ONE_MIB)).announced(runs)
}

pub(super) fn rotation_20000(bench: &mut Bench) -> Outcome {
    let runs = bench.runs(3);
    read(bench, runs, &Writing::new("rotation", 200_000, 20_000).docker(ONE_MIB)).announced(runs)
}

pub(super) fn full_speed(bench: &mut Bench) -> Outcome {
    let runs = bench.runs(3);
    read(bench, runs, &Writing::new("full-speed", 200_000, 0).docker(ONE_MIB)).announced(runs)
}

pub(super) fn local(bench: &mut Bench) -> Outcome {
    let runs = bench.runs(3);
    let writing = Writing::new("local", 100_000, 5_000).docker(["--log-driver", "local"]).docker(ONE_MIB);
    read(bench, runs, &writing).announced(runs)
}

pub(super) fn tty(bench: &mut Bench) -> Outcome {
    let runs = bench.runs(3);
    let mut writing = Writing::new("tty", 100_000, 5_000).docker(["--tty"]).docker(ONE_MIB);
    writing.both = false;
    read(bench, runs, &writing).announced(runs)
}

pub(super) fn rotation_compress(bench: &mut Bench) -> Outcome {
    let runs = bench.runs(24);
    let writing = Writing::new("compress", 10_000, 500).docker(COMPRESSED);
    let socket = bench.daemon().socket();
    let (mut host, mut inside) = (Total::default(), Total::default());
    for _ in 0..runs {
        let (first, second) = (Receiver::start(), Receiver::start());
        let agent = Agent::start(bench, &[&first.route("compress")]);
        let route = second.route("compress");
        let container = agent::container(bench, &socket, "/var/run/docker.sock", &[], &[&route]);
        let writer = bench.write(writing.clone());
        first.wait_until(|tally| tally.arrivals > 0);
        host.add(bench, &first, &writer);
        inside.add(bench, &second, &writer);
        agent.terminate();
        container.remove();
    }
    let (host, inside) = (host.exact(runs), inside.exact(runs));
    let figure = format!("on the host {}; in a container {}", host.figure, inside.figure);
    Outcome::new(figure, host.asked, host.holds && inside.holds)
}

pub(super) fn containers_50(bench: &mut Bench) -> Outcome {
    containers(bench, 50, 200, 20)
}

pub(super) fn containers_200(bench: &mut Bench) -> Outcome {
    containers(bench, 200, 10, 30)
}

/// Reads `count` containers that write at the same time.
fn containers(bench: &Bench, count: u64, rate: u64, seconds: u64) -> Outcome {
    let runs = bench.runs(1);
    let mut total = Total::default();
    let (mut memory, mut time) = (0, 0.0);
    for _ in 0..runs {
        let receiver = Receiver::start();
        let agent = Agent::start(bench, &[&receiver.route("crowd")]);
        let mut writing = Writing::new("crowd", rate * seconds, rate);
        writing.waits = true;
        let writers: Vec<Writer> = (0..count).map(|_| bench.write(writing.clone())).collect();
        receiver.wait_until(|tally| tally.distinct() >= count);
        let before = processor_time(agent.id());
        writers.iter().for_each(Writer::go);
        let written: Written = writers.iter().flat_map(Writer::written).collect();
        let account = receiver.settle(&written, PATIENCE);
        time += processor_time(agent.id()) - before;
        total.account.add(account);
        memory = agent.memory("VmHWM").max(memory);
        agent.terminate();
    }
    let outcome = total.exact(runs);
    let per_line = time / total.account.written as f64 * 1e6;
    let figure = format!(
        "{}; the router used {per_line:.0} us of processor time a line and {memory} KiB",
        outcome.figure
    );
    Outcome { figure, ..outcome }
}
