//! Rows about 10,000 lines per second: how late a line is, and what a line costs if many containers write.

use std::time::Instant;

use super::Outcome;
use super::cost::{SETTLING, WINDOW, median};
use super::destinations::percentile;
use crate::agent::Agent;
use crate::bench::{Bench, Writer, Writing};
use crate::daemon::processor_time;
use crate::receiver::Receiver;

/// The asked 99th percentile of the delays in seconds, by default and with `latency=0`.
const ASKED_DELAYS: [f32; 2] = [0.3, 0.05];

/// The asked cost of a line of many containers, relative to the cost of a line of one container.
const ASKED_RATIO: f64 = 1.25;

const ROTATED: [&str; 2] = ["--log-opt=max-size=10m", "--log-opt=max-file=3"];

/// Measures the time from Docker's stamp of a line to its arrival.
pub(super) fn latency(bench: &mut Bench) -> Outcome {
    let runs = bench.runs(3);
    let delays = ["", "&latency=0"].map(|option| {
        let delays: Vec<f64> = (0..runs).map(|_| delay(bench, option)).collect();
        median(delays) as f32
    });
    let [usual, least] = delays;
    let holds = delays.iter().zip(ASKED_DELAYS).all(|(delay, asked)| *delay <= asked);
    let figure = format!("99 % of the lines within {usual:.3} s, with latency=0 within {least:.3} s");
    let [usual, least] = ASKED_DELAYS;
    Outcome::new(figure, format!("{usual} s and {least} s"), holds)
}

/// Returns the 99th percentile of the delays of 50 containers with 200 lines/s each, in seconds. `option` is
/// an option of the route.
fn delay(bench: &Bench, option: &str) -> f64 {
    const CONTAINERS: u64 = 50;
    const LINES: u64 = 3_000;
    let receiver = Receiver::start();
    let agent = Agent::start(bench, &[&format!("{}{option}", receiver.route("crowd"))]);
    let mut writing = Writing::new("crowd", LINES, 200).docker(ROTATED);
    writing.waits = true;
    let writers: Vec<Writer> = (0..CONTAINERS).map(|_| bench.write(writing.clone())).collect();
    receiver.wait_until(|tally| tally.distinct() >= CONTAINERS);
    let before = receiver.tally().delays.len();
    writers.iter().for_each(Writer::go);
    receiver.wait_until(|tally| tally.distinct() >= CONTAINERS * LINES);
    agent.kill();
    percentile(receiver.tally().delays.split_off(before)).into()
}

/// Compares the processor time that router and dockerd use for 200 containers with 50 lines/s each and for
/// one container with 10,000 lines/s.
pub(super) fn cost_200(bench: &mut Bench) -> Outcome {
    let rounds = bench.runs(5);
    let one = cost(bench, rounds, 1, 10_000);
    let many = cost(bench, rounds, 200, 50);
    let ratio = (many.0 + many.1) / (one.0 + one.1);
    let figure = format!(
        "ratio {ratio:.2} (us a line of router and dockerd: {:.1} + {:.1} with one container, {:.1} + {:.1} with 200)",
        one.0, one.1, many.0, many.1
    );
    Outcome::new(figure, format!("at most {ASKED_RATIO}"), ratio <= ASKED_RATIO)
}

/// Returns the processor time per line in microseconds: of the router, and of dockerd above its time without a
/// reader. Each figure is the median of all rounds.
fn cost(bench: &Bench, rounds: u32, containers: u64, rate: u64) -> (f64, f64) {
    let writing = Writing::endless("crowd", rate).docker(ROTATED);
    let writers: Vec<Writer> = (0..containers).map(|_| bench.write(writing.clone())).collect();
    let receiver = Receiver::start();
    let (mut router, mut engine) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (_, without) = measure(bench, None, containers * rate);
        let agent = Agent::start(bench, &[&receiver.route("crowd")]);
        let (process, with) = measure(bench, Some(agent.id()), containers * rate);
        agent.kill();
        router.push(process);
        engine.push(with - without);
    }
    // To end one endless writer after the other would take minutes.
    bench.engine().docker(["kill"].into_iter().chain(writers.iter().map(|writer| writer.container.id())));
    (median(router), median(engine))
}

/// Returns the processor time of a process and of dockerd per line, in microseconds.
fn measure(bench: &Bench, process: Option<u32>, rate: u64) -> (f64, f64) {
    std::thread::sleep(SETTLING);
    let times = || (process.map_or(0.0, processor_time), bench.daemon().processor_time());
    let (start, before) = (Instant::now(), times());
    std::thread::sleep(WINDOW);
    let after = times();
    let lines = start.elapsed().as_secs_f64() * rate as f64;
    ((after.0 - before.0) / lines * 1e6, (after.1 - before.1) / lines * 1e6)
}
