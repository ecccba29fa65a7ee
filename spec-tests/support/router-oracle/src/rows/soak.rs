//! A row that mixes the faults of the other rows for hours.

use std::collections::{BTreeMap, VecDeque};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use super::{Outcome, many};
use crate::agent::Agent;
use crate::api;
use crate::bench::{Bench, Writer, Writing};
use crate::message::Random;
use crate::receiver::Receiver;
use crate::tally::Written;

/// Time in seconds after the start during which memory may grow: buffers and caches reach their usual size.
const WARM_UP: f64 = 600.0;

/// Number of short containers in a burst.
const CHURN: usize = 12;

/// Number of ended containers that are kept, so that a slow router can still read their logs.
const KEPT: usize = 60;

/// Time without arrivals after which the remaining lines count as missing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A second route of the restarted router, to a destination that never exists.
const DEAD: &str = "gelf+tcp://nowhere.invalid:12201?filter.name=soak-*";

type Fault = (&'static str, fn(&mut Soak<'_>));

/// The faults, each with its name in the result.
const FAULTS: &[Fault] = &[
    ("restarts of the Engine", |soak| soak.restart_engine()),
    ("kills of the router", |soak| soak.kill_router()),
    ("ends of the router", |soak| soak.end_router()),
    ("stalls of the receivers", |soak| soak.stall_receivers()),
    ("absences of the receivers", |soak| soak.close_receivers()),
    ("bursts of short containers", |soak| soak.start_short_containers()),
    ("pauses and renamings", |soak| soak.pause_and_rename()),
];

pub(super) fn soak(bench: &mut Bench) -> Outcome {
    let seconds = bench.hours().unwrap_or(2.0) * 3_600.0;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = bench.seed().unwrap_or(now.as_secs());
    // With live-restore, the containers live on while the Engine is restarted.
    bench.daemon_mut().restart(Signal::TERM, Duration::ZERO, true);
    let mut soak = Soak::start(bench, seed);
    let before = soak.steady.open_files_and_threads();
    while soak.begin.elapsed().as_secs_f64() < seconds {
        let pause = soak.between(5, 20);
        soak.rest(pause);
        let index = soak.between(0, FAULTS.len() as u64 - 1) as usize;
        let (name, fault) = FAULTS[index];
        eprintln!("{:8.1} s: {name}", soak.begin.elapsed().as_secs_f64());
        fault(&mut soak);
        *soak.faults.entry(name).or_default() += 1;
    }
    soak.end(seed, before)
}

struct Soak<'a> {
    bench: &'a mut Bench,
    random: Random,
    begin: Instant,
    /// The receivers of the steady and of the restarted router.
    receivers: [Receiver; 2],
    /// A router that runs all the time.
    steady: Agent,
    /// A router that is ended and started again. It is `None` while it does not run.
    restarted: Option<Agent>,
    /// Folder with the state of the restarted router.
    state: String,
    writers: Vec<Writer>,
    /// The lines of short containers.
    short: Written,
    /// Ids and lines of short containers that are not removed yet.
    kept: VecDeque<(String, Written)>,
    faults: BTreeMap<&'static str, u32>,
    /// Times of the restarts of the Engine, in seconds since 1970.
    restarts: Vec<f64>,
    /// Samples of the steady router: the time in seconds since the start, and the memory in KiB.
    memory: Vec<(f64, f64)>,
}

impl<'a> Soak<'a> {
    fn start(bench: &'a mut Bench, seed: u64) -> Self {
        let receivers = [Receiver::start(), Receiver::start()];
        let [steady, state] = ["steady", "restarted"].map(|name| bench.path(name).display().to_string());
        let agent = |state: &str, receiver: &Receiver| {
            Agent::start(bench, &["--state", state, &receiver.route("soak")])
        };
        let (steady, restarted) = (agent(&steady, &receivers[0]), agent(&state, &receivers[1]));
        let writers = [
            (1_000, &["--log-opt=max-size=2m", "--log-opt=max-file=3"][..]),
            (200, &["--log-opt=max-size=200k", "--log-opt=max-file=3", "--log-opt=compress=true"]),
            (200, &["--tty", "--log-opt=max-size=1m", "--log-opt=max-file=3"]),
            (200, &["--log-driver=local", "--log-opt=max-size=1m", "--log-opt=max-file=3"]),
            (2, &[]),
        ];
        let start = |(rate, options): (u64, &'static [&'static str])| {
            bench.write(Writing::endless("soak", rate).docker(options.iter().copied()))
        };
        let writers = writers.into_iter().map(start).collect();
        Self {
            bench,
            random: Random::of([seed; 4]),
            begin: Instant::now(),
            receivers,
            steady,
            restarted: Some(restarted),
            state,
            writers,
            short: Written::new(),
            kept: VecDeque::new(),
            faults: BTreeMap::new(),
            restarts: Vec::new(),
            memory: Vec::new(),
        }
    }

    /// Returns a random number of this range, both ends included.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.random.next() % (most - least + 1)
    }

    /// Waits for some seconds, and notes the memory of the steady router.
    fn rest(&mut self, seconds: u64) {
        for _ in 0..seconds {
            sleep(Duration::from_secs(1));
            self.memory.push((self.begin.elapsed().as_secs_f64(), self.steady.memory("VmRSS") as f64));
        }
    }

    fn restart_engine(&mut self) {
        let signal = if self.between(0, 1) == 0 { Signal::KILL } else { Signal::TERM };
        let pause = Duration::from_millis(self.between(0, 3_000));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.restarts.push(now.as_secs_f64());
        self.bench.daemon_mut().restart(signal, pause, true);
    }

    fn kill_router(&mut self) {
        if let Some(agent) = self.restarted.take() {
            agent.kill();
        }
        self.start_router();
    }

    fn end_router(&mut self) {
        if let Some(agent) = self.restarted.take() {
            let (status, logged) = agent.terminate();
            // Status 1 is accepted, too: what counts is that the next start delivers the lines.
            assert!(matches!(status, Some(0 | 1)), "{status:?}, {logged:#?}");
        }
        self.start_router();
    }

    /// Starts the router again after up to three seconds. With a probability of one third, the router also
    /// gets the route [`DEAD`].
    fn start_router(&mut self) {
        let pause = self.between(0, 3);
        self.rest(pause);
        let route = self.receivers[1].route("soak");
        let is_beside_dead = self.between(0, 2) == 0;
        let mut arguments = vec!["--state", self.state.as_str(), route.as_str()];
        if is_beside_dead {
            arguments.push(DEAD);
        }
        self.restarted = Some(Agent::start(self.bench, &arguments));
    }

    fn stall_receivers(&mut self) {
        self.without_receivers(Receiver::stall);
    }

    fn close_receivers(&mut self) {
        self.without_receivers(Receiver::close);
    }

    fn without_receivers(&mut self, fault: fn(&Receiver, bool)) {
        let seconds = self.between(1, 15);
        self.receivers.iter().for_each(|receiver| fault(receiver, true));
        self.rest(seconds);
        self.receivers.iter().for_each(|receiver| fault(receiver, false));
    }

    fn start_short_containers(&mut self) {
        let socket = self.bench.daemon().socket();
        for _ in 0..CHURN {
            let (id, written) = many::create(self.bench, "soak", 10, 0.05, false);
            many::start(&socket, &id);
            self.short.extend(written.clone());
            self.kept.push_back((id, written));
        }
        while self.kept.len() > KEPT {
            let Some((id, written)) = self.kept.pop_front() else { return };
            if !self.receivers.iter().all(|receiver| receiver.tally().has_all(&written)) {
                self.kept.push_front((id, written));
                return;
            }
            api::request(&socket, "DELETE", &format!("/containers/{id}?force=1"), "");
        }
    }

    fn pause_and_rename(&mut self) {
        let index = self.between(0, self.writers.len() as u64 - 1) as usize;
        let seconds = self.between(1, 5);
        let id = self.writers[index].container.id().to_owned();
        let name = format!("soak-renamed-{}", self.begin.elapsed().as_millis());
        self.bench.engine().docker(["pause", &id]);
        self.rest(seconds);
        self.bench.engine().docker(["unpause", &id]);
        self.bench.engine().docker(["rename", &id, &name]);
    }

    fn end(self, seed: u64, before: (usize, usize)) -> Outcome {
        let Self {
            bench, begin, receivers, steady, restarted, writers, short, faults, restarts, memory, ..
        } = self;
        let seconds = begin.elapsed().as_secs_f64();
        let mut written = short;
        written.extend(writers.iter().flat_map(|writer| writer.end(bench.engine())));
        let accounts = receivers.each_ref().map(|receiver| receiver.settle(&written, PATIENCE));
        let [one, other] = receivers.each_ref().map(Receiver::tally);
        let unexplained =
            [one.unexplained(&other, &written, &restarts), other.unexplained(&one, &written, &restarts)];
        drop((one, other));
        let after = steady.open_files_and_threads();
        let growth = slope(&memory);
        for agent in [Some(steady), restarted].into_iter().flatten() {
            let (status, logged) = agent.terminate();
            assert_eq!(status, Some(0), "{logged:#?}");
        }
        let number: u32 = faults.values().sum();
        let list: Vec<String> = faults.iter().map(|(name, number)| format!("{number} {name}")).collect();
        let [steady, restarted] = accounts;
        let figure = format!(
            "seed {seed}, {seconds:.0} s, {number} faults ({}); steady router: {steady}, unexplained {}; \
             restarted router: {restarted}, unexplained {}; the memory of the steady router grew by \
             {growth:.0} KiB/h after {WARM_UP} s, its open files from {} to {}, its threads from {} to {}",
            list.join(", "),
            unexplained[0],
            unexplained[1],
            before.0,
            after.0,
            before.1,
            after.1,
        );
        // A router has a request for each container that it follows, and a connection for its next request.
        let holds = unexplained == [0, 0]
            && growth < 1_024.0
            && after.0 <= before.0 + 2 * writers.len() + 4
            && after.1 <= before.1 + 4;
        Outcome::new(
            figure,
            "each missing line announced or lost by a restart of the Engine, growth below 1024 KiB/h, open files and \
             threads about as before",
            holds,
        )
    }
}

/// Returns the growth of the memory after the warm-up, in KiB/h: the slope of the least-squares line.
fn slope(memory: &[(f64, f64)]) -> f64 {
    let memory: Vec<_> = memory.iter().filter(|(time, _)| *time > WARM_UP).collect();
    let number = memory.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| memory.iter().map(|sample| of(sample)).sum::<f64>() / number;
    let (time, size) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let both: f64 = memory.iter().map(|sample| (sample.0 - time) * (sample.1 - size)).sum();
    let square: f64 = memory.iter().map(|sample| (sample.0 - time).powi(2)).sum();
    if square > 0.0 { both / square * 3_600.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_slope_after_the_warm_up() {
        let sample = |second: u32| {
            let time = f64::from(second);
            (time, if time > WARM_UP { 1_000.0 + time / 36.0 } else { time })
        };
        let memory: Vec<_> = (0..1_200).map(sample).collect();
        assert!((slope(&memory) - 100.0).abs() < 1e-6, "{}", slope(&memory));
        assert_eq!(slope(&memory[..10]), 0.0);
    }
}
