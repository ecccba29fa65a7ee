//! A row about the memory of the router.

use std::thread::sleep;
use std::time::Duration;

use super::Outcome;
use crate::agent::Agent;
use crate::bench::{Bench, Writer, Writing};
use crate::receiver::Receiver;

const CONTAINERS: u64 = 50;

/// The permitted maximum of the resident memory in KiB: while the containers write nothing, and while they
/// write as fast as they can.
const ASKED: (u64, u64) = (16 << 10, 32 << 10);

const ROTATED: [&str; 2] = ["--log-opt=max-size=1m", "--log-opt=max-file=3"];

pub(super) fn memory(bench: &mut Bench) -> Outcome {
    let receiver = Receiver::start();
    let mut writing = Writing::endless("memory", 0).docker(ROTATED);
    writing.waits = true;
    let writers: Vec<Writer> = (0..CONTAINERS).map(|_| bench.write(writing.clone())).collect();
    let agent = Agent::start(bench, &["--backlog", "all", &receiver.route("memory")]);
    let is_read = receiver.wait_until(|tally| tally.distinct() >= CONTAINERS);
    sleep(Duration::from_secs(5));
    let idle = agent.memory("VmHWM");
    let before = receiver.tally().arrivals;
    writers.iter().for_each(Writer::go);
    writing.waits = false;
    let flood = bench.write(writing);
    sleep(Duration::from_secs(40));
    let (full, lines) = (agent.memory("VmHWM"), receiver.tally().arrivals - before);
    agent.kill();
    // Ending the endless writers one after the other would take minutes.
    let ids = writers.iter().chain([&flood]).map(|writer| writer.container.id());
    bench.engine().docker(["kill"].into_iter().chain(ids));
    let figure = format!("{idle} KiB idle, {full} KiB while {lines} lines arrived");
    let asked = format!(
        "at most {} KiB idle with {CONTAINERS} containers, {} KiB while they and a further one write as fast as \
         they can",
        ASKED.0, ASKED.1
    );
    Outcome::new(figure, asked, is_read && lines > 0 && idle <= ASKED.0 && full <= ASKED.1)
}
