//! Runs an Engine whose containers write lines, for a person or a script that looks at a log source.
//!
//! ```text
//! cargo run -p simulated-engine --example busy -- CONTAINERS
//! ```
//!
//! Prints the value of `DOCKER_HOST`, obeys commands on stdin, and ends when stdin ends. The containers are named
//! `shop-web-000` and so on. Four other containers exist: `quiet` asks not to be followed, `splunk-web` has a
//! log driver that does not support reading, `small-log` keeps a log of a few lines, and `job` has no
//! peculiarity. These four write only on command. Commands:
//!
//! ```text
//! rate LINES         the numbered containers write this number of lines a second together; 0 at first
//! write NAME LINES   a container writes lines immediately
//! text NAME TEXT     a container writes a line to stderr
//! end NAME           a container ends
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test support: a failure ends the program"
)]

use std::io::BufRead;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use simulated_engine::{Container, ContainerOptions, Options, SimulatedEngine, Stream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::interval;

/// The time between two rounds of lines.
const ROUND: Duration = Duration::from_millis(100);
const IMAGES: [&str; 4] =
    ["registry.example/shop/web:1.4.2", "registry.example/shop/api:2.0.1", "redis:7.2", "nginx:1.27-alpine"];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let numbered: usize =
        std::env::args().nth(1).expect("the number of containers").parse().expect("a number");
    let engine = SimulatedEngine::start_with(Options::docker_28_5()).await;
    set_clock(&engine);
    let numbered: Vec<_> = (0..numbered)
        .map(|number| {
            let image = IMAGES.iter().cycle().nth(number).unwrap();
            start(&engine, ContainerOptions::named(&format!("shop-web-{number:03}")).image(image))
        })
        .collect();
    let others = [
        start(&engine, ContainerOptions::named("quiet").env("LOGSPOUT=ignore")),
        start(&engine, ContainerOptions::named("splunk-web")),
        start(&engine, ContainerOptions::named("small-log").rotated(200, 2)),
        start(&engine, ContainerOptions::named("job").image("registry.example/shop/job:7")),
    ];
    others[1].1.unreadable();
    println!("{}", engine.docker_host());
    let mut commands = commands();
    let (mut rate, mut owed, mut written) = (0, 0.0, 0);
    let mut rounds = interval(ROUND);
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some(command) = command else { return };
                set_clock(&engine);
                let words: Vec<_> = command.splitn(3, ' ').collect();
                let find = |name: &str| {
                    let mut all = numbered.iter().chain(&others);
                    &all.find(|(known, _)| known == name).expect("a known container").1
                };
                match words[..] {
                    ["rate", lines] => rate = lines.parse().expect("a number"),
                    ["write", name, lines] => {
                        for number in 0..lines.parse().expect("a number") {
                            find(name).line(Stream::Stdout, format!("line {number} of {lines}"));
                        }
                    }
                    ["text", name, text] => drop(find(name).line(Stream::Stderr, text)),
                    ["end", name] => find(name).die(),
                    _ => panic!("unknown command: {command}"),
                }
            }
            _ = rounds.tick() => {
                set_clock(&engine);
                owed += f64::from(rate) * ROUND.as_secs_f64();
                while owed >= 1.0 && !numbered.is_empty() {
                    // Some containers write more than others.
                    let index = (written * written) % numbered.len();
                    let text = format!("GET /items/{written} 200 in {} ms", written % 97);
                    let stream = if written % 50 == 0 { Stream::Stderr } else { Stream::Stdout };
                    numbered[index].1.line(stream, text);
                    written += 1;
                    owed -= 1.0;
                }
            }
        }
    }
}

/// Creates and starts a container. Returns the name of the container, and the container.
fn start(engine: &SimulatedEngine, options: ContainerOptions) -> (String, Container) {
    let name = options.name.clone();
    let container = engine.create(options);
    container.start();
    (name, container)
}

/// Sets the clock of the Engine to the present time.
fn set_clock(engine: &SimulatedEngine) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    engine.set_clock(i64::try_from(now).unwrap());
}

/// Reads the commands on a thread of its own, since stdin blocks.
fn commands() -> Receiver<String> {
    let (sender, receiver) = channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
