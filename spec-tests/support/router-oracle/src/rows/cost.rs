//! Rows that compare the processor time of dockerd with no reader, with a plain follow (like the request of
//! `docker logs --follow`), and with the router.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::agent::Agent;
use crate::api::PlainFollow;
use crate::bench::{Bench, Writer, Writing};
use crate::receiver::Receiver;

/// Time from the start of a reader to the start of a measurement.
pub(super) const SETTLING: Duration = Duration::from_secs(2);

/// Length of a measurement.
pub(super) const WINDOW: Duration = Duration::from_secs(5);

const ONE_MIB: [&str; 4] = ["--log-opt", "max-size=1m", "--log-opt", "max-file=3"];

pub(super) fn cost_5000(bench: &mut Bench) -> Outcome {
    cost(bench, 1, &Writing::endless("cost", 5_000).docker(ONE_MIB), 0.5)
}

pub(super) fn cost_500(bench: &mut Bench) -> Outcome {
    cost(bench, 1, &Writing::endless("cost", 500).docker(ONE_MIB), 0.5)
}

pub(super) fn cost_50(bench: &mut Bench) -> Outcome {
    cost(bench, 50, &Writing::endless("cost", 200).docker(ONE_MIB), 0.5)
}

pub(super) fn cost_compress(bench: &mut Bench) -> Outcome {
    let writing = Writing::endless("cost", 5_000).docker(ONE_MIB).docker(["--log-opt", "compress=true"]);
    cost(bench, 1, &writing, 1.1)
}

/// Measures dockerd in turn without a reader, with a plain follow, and with the router. Each figure is the
/// median of all rounds. The figure without a reader is subtracted from the other two. Their ratio, router to plain
/// follow, is the result.
fn cost(bench: &Bench, containers: u64, writing: &Writing, asked: f64) -> Outcome {
    let rounds = bench.runs(7);
    let writers: Vec<Writer> = (0..containers).map(|_| bench.write(writing.clone())).collect();
    let receiver = Receiver::start();
    let route = receiver.route(&writing.name);
    let rate = (containers * writing.rate) as f64;
    let [mut none, mut plain, mut ours] = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        none.push(measure(bench, rate));
        let ids = writers.iter().map(|writer| writer.container.id());
        let follow = PlainFollow::start(&bench.daemon().socket(), ids);
        plain.push(measure(bench, rate));
        drop(follow);
        let agent = Agent::start(bench, &[&route]);
        ours.push(measure(bench, rate));
        agent.terminate();
    }
    let [none, plain, ours] = [none, plain, ours].map(median);
    let ratio = (ours - none) / (plain - none);
    let figure = format!(
        "ratio {ratio:.2} (us a line: {none:.1} without a reader, {plain:.1} with a plain follow, {ours:.1} \
         with ours)"
    );
    Outcome::new(figure, format!("at most {asked}"), ratio <= asked)
}

/// Returns dockerd's processor time per line, in microseconds.
fn measure(bench: &Bench, rate: f64) -> f64 {
    sleep(SETTLING);
    let (start, before) = (Instant::now(), bench.daemon().processor_time());
    sleep(WINDOW);
    let used = bench.daemon().processor_time() - before;
    used / (start.elapsed().as_secs_f64() * rate) * 1e6
}

pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
