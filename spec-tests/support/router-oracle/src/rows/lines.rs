//! Rows about equal and long lines, and about restarts of a container. These rows also run on Podman.

use std::time::Duration;

use real_engine::{RunOptions, RunningContainer};

use super::Outcome;
use crate::agent::Agent;
use crate::bench::Bench;
use crate::receiver::Receiver;
use crate::tally::Written;

const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `sh -c script` with these arguments in a container, in which the writer is mounted.
fn run(bench: &Bench, name: &str, mount: &str, script: &str, arguments: &[String]) -> RunningContainer {
    let command = ["sh", "-c", script, "sh"].into_iter().map(str::to_owned).chain(arguments.iter().cloned());
    let volume = format!("--volume={mount}");
    bench.engine().run(RunOptions::new(name, command).docker_arguments([volume.as_str(), "--stop-timeout=0"]))
}

pub(super) fn equal_and_long(bench: &mut Bench) -> Outcome {
    const EQUAL: u64 = 2_003;
    let receiver = Receiver::start();
    let agent = Agent::start(bench, &[&receiver.route("lines")]);
    let (mount, command, written) = bench.command(5, 0, 0.0);
    let script = format!("yes equal | head -n {EQUAL}; exec \"$@\" length=40000; sleep 600");
    let _container = run(bench, "lines", &mount, &script, &command);
    receiver.settle(&written, PATIENCE);
    agent.terminate();
    let tally = receiver.tally();
    let (others, long) = (tally.others(), tally.distinct());
    let figure = format!("{others} of {EQUAL} equal lines, {long} of 5 long lines whole");
    Outcome::new(figure, "all, each once", others == EQUAL && long == 5 && tally.arrivals == EQUAL + 5)
}

pub(super) fn lifecycle(bench: &mut Bench) -> Outcome {
    /// Writes the lines of the next stream at each start.
    const SCRIPT: &str = "
        n=$(cat /tmp/starts 2>/dev/null || echo 0)
        echo $((n + 1)) >/tmp/starts
        eval \"stream=\\${$((n + 1))}\"
        exec /oracle/writer $stream 500 1000 stay=0.3";
    let starts = bench.runs(8);
    let receiver = Receiver::start();
    let agent = Agent::start(bench, &[&receiver.route("lifecycle")]);
    let (mut written, mut streams, mut mount) = (Written::new(), Vec::new(), String::new());
    for _ in 0..starts {
        let (volume, command, lines) = bench.command(500, 1_000, 0.3);
        streams.push(command[1].clone());
        written.extend(lines);
        mount = volume;
    }
    let container = run(bench, "lifecycle", &mount, SCRIPT, &streams);
    for start in 1..=starts {
        bench.engine().docker(["rename", container.id(), &format!("lifecycle-{start}")]);
        container.wait();
        if start < starts {
            container.start_again();
        }
    }
    let account = receiver.settle(&written, PATIENCE);
    agent.terminate();
    bench.engine().docker(["rm", "--force", container.id()]);
    Outcome::new(format!("{starts} starts, {account}"), "lost 0, repeated 0", account.is_exact())
}
