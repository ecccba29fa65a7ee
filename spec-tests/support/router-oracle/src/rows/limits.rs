//! Rows about hostile output and about scarce resources.

use std::time::Duration;

use real_engine::RunOptions;

use super::Outcome;
use crate::agent::Agent;
use crate::bench::{Bench, Writer, Writing};
use crate::receiver::Receiver;
use crate::tally::Written;

/// Script that writes a line of 100 MB, then binary output, and then lines that look like the headers and
/// stamps of Docker's own protocol. Numbered lines follow each of these three outputs.
const HOSTILE: &str = "
one=$1; two=$2; three=$3
head -c 100000000 /dev/zero | tr '\\0' x; echo
/oracle/writer $one 10 0
i=0; while [ $i -lt 200 ]; do head -c 50000 /dev/urandom; i=$((i + 1)); done; echo
/oracle/writer $two 10 0
i=0; while [ $i -lt 2000 ]; do
printf '\\001\\000\\000\\000\\377\\377\\377\\377forged\\n\\002\\000\\000\\000\\000\\000\\000\\001'
printf '2099-01-01T00:00:00.000000000Z forged\\r2099-01-01T00:00:00.000000000Z\\n'
i=$((i + 1)); done; echo
/oracle/writer $three 10 0
sleep 600";

pub(super) fn hostile(bench: &mut Bench) -> Outcome {
    const MOST: u64 = 8 << 10;
    let mut figures = Vec::new();
    let mut holds = true;
    for (terminal, how) in [(false, "no terminal"), (true, "a terminal")] {
        let receiver = Receiver::start();
        let agent = Agent::start(bench, &[&receiver.route("hostile")]);
        // The first lines load the pages of the program into memory, and let its buffers grow to their usual
        // size.
        let first = bench.write(Writing::new("hostile", 20_000, 10_000));
        receiver.settle(&first.written(), Duration::from_secs(10));
        drop(first);
        let before = agent.memory("VmRSS");
        let mut written = Written::new();
        let mut mount = String::new();
        let mut streams = Vec::new();
        for _ in 0..3 {
            let (volume, command, lines) = bench.command(10, 0, 0.0);
            streams.push(command[1].clone());
            written.extend(lines);
            mount = volume;
        }
        let command = ["sh", "-c", HOSTILE, "sh"].into_iter().map(str::to_owned).chain(streams);
        let volume = format!("--volume={mount}");
        let mut options =
            RunOptions::new("hostile", command).docker_arguments([volume.as_str(), "--stop-timeout=0"]);
        if terminal {
            options = options.docker_arguments(["--tty"]);
        }
        let container = bench.engine().run(options);
        receiver.wait_until(|tally| tally.has_all(&written));
        receiver.settle(&written, Duration::from_secs(30));
        let missing = receiver.tally().missing(&written).len();
        let growth = agent.memory("VmHWM").saturating_sub(before);
        let (status, logged) = agent.terminate();
        assert_eq!(status, Some(0), "{logged:#?}");
        drop(container);
        holds &= missing == 0 && growth <= MOST;
        figures.push(format!("{how}: {missing} of the next lines missing, memory grew by {growth} KiB"));
    }
    Outcome::new(figures.join("; "), format!("0 missing, growth at most {MOST} KiB"), holds)
}

pub(super) fn descriptors(bench: &mut Bench) -> Outcome {
    let receiver = Receiver::start();
    let agent = Agent::start_with_open_files(bench, 40, &[&receiver.route("descriptor")]);
    let mut writing = Writing::new("descriptor", 60, 2);
    writing.stay = 20.0;
    let writers: Vec<Writer> = (0..45).map(|_| bench.write(writing.clone())).collect();
    let written: Written = writers.iter().flat_map(Writer::written).collect();
    let account = receiver.settle(&written, Duration::from_secs(60));
    let (_, logged) = agent.terminate();
    let warnings = logged.iter().filter(|line| line.contains("WARN")).count();
    let holds = account.is_exact() && warnings == 1;
    Outcome::new(format!("{account}, {warnings} warnings"), "lost 0, repeated 0, 1 warning", holds)
}
