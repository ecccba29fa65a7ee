//! Runs any reader of Docker logs against an Engine with faults, and counts the lines that the reader misses
//! or repeats.
//!
//! The reader is a command that prints the log of the container `web` or of all containers. It finds the
//! Engine by `DOCKER_HOST`, and need not end by itself:
//!
//! ```sh
//! cargo run -p simulated-engine --example check_reader -- docker logs --follow web
//! ```
//!
//! The exit status is 1 if the reader missed lines that the Engine still had, or repeated lines.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "an error ends the program")]

use std::collections::HashMap;
use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use simulated_engine::{Container, ContainerOptions, Fault, Options, SimulatedEngine, Stream};

/// The time within which a reader must print the last lines.
const PATIENCE: Duration = Duration::from_secs(3);

/// An Engine, and a fault that is injected before or while the container writes.
struct Case {
    name: &'static str,
    options: fn() -> Options,
    /// A function that prepares the container before it starts.
    prepare: fn(&Container),
    /// A function that is called between two blocks of lines.
    between: fn(&Container),
}

const CASES: [Case; 6] = [
    Case { name: "no fault", options: Options::docker_28_5, prepare: |_| {}, between: |_| {} },
    Case {
        name: "a proxy cuts the stream",
        options: Options::docker_26_1,
        prepare: |_| {},
        between: Container::cut_followers,
    },
    Case {
        name: "the stream ends too early",
        options: Options::docker_20_10,
        prepare: |web| web.fail_logs(Fault::EndAfter(150)),
        between: |_| {},
    },
    Case {
        name: "followers are sent lines twice",
        options: Options::docker_20_10,
        prepare: |_| {},
        between: |web| web.followers_repeat(10),
    },
    Case {
        name: "followers skip lines",
        options: Options::docker_20_10,
        prepare: |_| {},
        between: |web| web.followers_skip(10),
    },
    Case {
        name: "a record is damaged",
        options: Options::docker_28_5,
        prepare: |_| {},
        between: |web| {
            web.damage_next();
            web.line(Stream::Stdout, "damaged");
        },
    },
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let command: Vec<String> = std::env::args().skip(1).collect();
    if command.is_empty() {
        eprintln!("usage: check_reader COMMAND [ARGUMENT]...");
        return ExitCode::from(2);
    }
    println!("{:32} {:>8} {:>8} {:>8} {:>8}", "fault", "written", "kept", "missing", "repeated");
    let mut is_whole = true;
    for case in &CASES {
        is_whole &= run(case, &command).await;
    }
    if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the command against one fault. Returns whether the output has exactly one copy of each line that the
/// Engine kept.
async fn run(case: &Case, command: &[String]) -> bool {
    let engine = SimulatedEngine::start_with((case.options)()).await;
    let web = engine.create(ContainerOptions::named("web"));
    (case.prepare)(&web);
    web.start();
    let (mut reader, output) = start(command, &engine.docker_host());
    // A late start of the reader is not a failure.
    let _ = tokio::time::timeout(PATIENCE, web.wait_for_followers(1)).await;
    for block in 0..5 {
        for number in 50 * block..50 * (block + 1) {
            let stream = if number % 3 == 0 { Stream::Stderr } else { Stream::Stdout };
            web.line(stream, format!("<{number}>"));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if block < 4 {
            (case.between)(&web);
        }
    }
    web.die();
    tokio::time::sleep(PATIENCE).await;
    let _ = reader.kill();
    let _ = reader.wait();
    let output = String::from_utf8_lossy(&output.lock().unwrap()).into_owned();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for part in output.split('<').skip(1) {
        let number = part.split('>').next().unwrap_or_default();
        *counts.entry(format!("<{number}>")).or_default() += 1;
    }
    let written = web.written().into_iter().filter(|line| line.bytes.starts_with(b"<"));
    let (kept, lost): (Vec<_>, Vec<_>) = written.partition(|line| line.is_kept);
    let count = |bytes: &[u8]| counts.get(&*String::from_utf8_lossy(bytes)).copied().unwrap_or(0);
    let missing = kept.iter().filter(|line| count(&line.bytes) == 0).count();
    let repeated: usize = counts.values().map(|count| count - 1).sum();
    let all = kept.len() + lost.len();
    println!("{:32} {all:8} {:8} {missing:8} {repeated:8}", case.name, kept.len());
    missing == 0 && repeated == 0
}

/// Starts the command, and collects its output in threads.
fn start(command: &[String], docker_host: &str) -> (Child, Arc<Mutex<Vec<u8>>>) {
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .env("DOCKER_HOST", docker_host)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", command[0]));
    let output = Arc::new(Mutex::new(Vec::new()));
    let pipes: [Box<dyn Read + Send>; 2] =
        [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    for mut pipe in pipes {
        let output = output.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                output.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
    }
    (child, output)
}
