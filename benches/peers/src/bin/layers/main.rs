//! Compares gelf-tracing with tracing-gelf and the JSON formatter of tracing-subscriber, in one run. Each
//! measurement runs in a separate process.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --bin layers [TABLE...]`
//!
//! The tables are:
//!
//! - `arrives`: the message of an event with a value of each kind
//! - `cpu`: the processor time of the whole process for an event with 8 fields in two spans
//! - `outages`: the number of events that are lost in outages of 1, 5 and 30 s
//! - `stuck`: the speed and memory of 16 threads that log at full speed while the destination does not read
//!
//! The binary `layer_allocations` counts allocations.

mod receiver;
mod subject;

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use receiver::{Counts, End, Receiver};
use subject::{Running, start};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const PEERS: [&str; 2] = ["gelf-tracing", "tracing-gelf"];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [first, role, subject, address, rest @ ..] = &arguments[..] {
        if first == "child" {
            let numbers: Vec<u64> = rest.iter().map(|number| number.parse().unwrap()).collect();
            return child(role, subject, address.parse().unwrap(), &numbers);
        }
    }
    let tables: [(&str, fn()); 4] =
        [("arrives", arrives), ("cpu", cpu), ("outages", outages), ("stuck", stuck)];
    for (name, table) in tables {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            table();
        }
    }
}

/// Starts this program as a child process that does the work of a role.
fn spawn(role: &str, subject: &str, address: SocketAddr, numbers: &[u64]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", role, subject, &address.to_string()])
        .args(numbers.iter().map(u64::to_string))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Writes a line to the stdin of a process, since most roles wait for a line before they end. Returns the output
/// of the process when the process has ended.
fn end(mut process: Child) -> String {
    let _ = process.stdin.take().unwrap().write_all(b"\n");
    String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

/// Waits until the expected number of messages has arrived, or until no message has arrived for 8 s.
fn settle(counts: &Counts, expected: usize) {
    let (mut last, mut since) = (0, Instant::now());
    while counts.distinct().max(counts.frames()) < expected && since.elapsed() < Duration::from_secs(8) {
        if counts.frames() != last {
            (last, since) = (counts.frames(), Instant::now());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn wait_for_a_line() {
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}

/// Does the work of a role, and prints the measured values.
fn child(role: &str, subject: &str, address: SocketAddr, numbers: &[u64]) {
    match (role, numbers) {
        ("arrives", []) => {
            let _running = start(subject, address, false);
            subject::one_of_each();
            wait_for_a_line();
        }
        ("cpu", [events]) => {
            let _running = start(subject, address, true);
            let before = cpu_time();
            subject::log(0..*events);
            // The parent writes the line once it has received all events of a subject that sends, and at once for
            // other subjects.
            wait_for_a_line();
            println!("{}", (cpu_time() - before).as_nanos() as u64 / events);
        }
        ("outages", [events, millis]) => {
            let running = start(subject, address, false);
            let started = Instant::now();
            let pace = Duration::from_millis(*millis) / *events as u32;
            // A sleep takes at least about 0.1 ms, which can be longer than the pace. Therefore the events are
            // logged in bursts, about every 10 ms.
            let burst = (Duration::from_millis(10).as_nanos() / pace.as_nanos()).max(1) as u64;
            for number in (0..*events).step_by(burst as usize) {
                subject::log(number..(number + burst).min(*events));
                let due = pace * (number + burst) as u32;
                thread::sleep(due.saturating_sub(started.elapsed()));
            }
            wait_for_a_line();
            match &running {
                Running::Guard(guard) => {
                    let stats = guard.client().stats();
                    println!("{} {}", stats.not_queued.total() + stats.dropped.total(), stats.possibly_lost);
                }
                _ => println!("unknown"),
            }
            // Exit without dropping `running`, since the drop could wait for a destination that is down.
            std::process::exit(0);
        }
        ("stuck", [seconds, work_bytes]) => {
            let _running = start(subject, address, false);
            let (is_over, iterations) = (AtomicBool::new(false), AtomicU64::new(0));
            let work = vec![7_u8; *work_bytes as usize];
            let before = cpu_time();
            thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        let mut own = 0;
                        while !is_over.load(Ordering::Relaxed) {
                            black_box(
                                BuildHasherDefault::<DefaultHasher>::default().hash_one(black_box(&work)),
                            );
                            subject::event(own);
                            own += 1;
                        }
                        iterations.fetch_add(own, Ordering::Relaxed);
                    });
                }
                thread::sleep(Duration::from_secs(*seconds));
                is_over.store(true, Ordering::Relaxed);
            });
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
            let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
            // The rate is per second of processor time: other programs on the machine take a varying share of
            // the wall time.
            let used = (cpu_time() - before).as_secs_f64();
            println!("{:.0} {}", iterations.into_inner() as f64 / used, kib / 1024);
            std::process::exit(0);
        }
        _ => panic!("no role is called {role}"),
    }
}

/// Returns the processor time of all threads of the process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn arrives() {
    println!("\nAn event with a value of each kind");
    for subject in ["gelf-tracing", "gelf-tracing, with OpenTelemetry", "tracing-gelf"] {
        let counts = Arc::new(Counts::default());
        let (_receiver, address) = Receiver::up(ANY, &counts, true, End::Reset);
        let process = spawn("arrives", subject, address, &[]);
        settle(&counts, 1);
        end(process);
        println!("\n{subject}:\n{}", counts.last());
    }
    println!("\njson:\n{}", end(spawn("arrives", "json, shown", ANY, &[])));
}

fn cpu() {
    const EVENTS: u64 = 100_000;
    const ROUNDS: usize = 7;
    let subjects = ["gelf-tracing", "tracing-gelf", "json", "nothing"];
    let mut nanos = vec![Vec::new(); subjects.len()];
    for _ in 0..ROUNDS {
        for (subject, nanos) in subjects.iter().zip(&mut nanos) {
            let counts = Arc::new(Counts::default());
            let (_receiver, address) = Receiver::up(ANY, &counts, true, End::Reset);
            let process = spawn("cpu", subject, address, &[EVENTS]);
            if PEERS.contains(subject) {
                settle(&counts, EVENTS as usize);
                assert_eq!(counts.distinct() as u64, EVENTS, "{subject}");
            }
            nanos.push(end(process).parse::<f64>().unwrap());
        }
    }
    println!("\nProcessor time of an event with 8 fields in two spans, whole process, median of {ROUNDS}");
    println!("{:<30} {:>10} {:>18}", "", "ns/event", "of tracing-gelf");
    let median = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let peer = nanos[1].clone();
    for (subject, nanos) in subjects.iter().zip(&nanos) {
        let ratios: Vec<_> = nanos.iter().zip(&peer).map(|(own, peer)| own / peer).collect();
        println!("{subject:<30} {:>10.0} {:>18.2}", median(nanos), median(&ratios));
    }
}

fn outages() {
    println!("\nEvents lost in an outage, if events are logged evenly from 2 s before it to 2 s after it");
    println!(
        "{:<28} {:>8} {:>8} {:>8} {:>9} {:>7} {:>28}",
        "", "events", "outage", "end", "received", "lost", "counted: lost, may be lost"
    );
    for seconds in [1_u64, 5, 30] {
        for events in [3_000_u64, 100_000] {
            let ends = [(End::Orderly, "orderly"), (End::Reset, "reset")];
            let subjects = ["gelf-tracing", "tracing-gelf", "tracing-gelf, buffer 65536"];
            let runs: Vec<_> = ends
                .iter()
                .flat_map(|end| subjects.map(|subject| (subject, *end)))
                .map(|(subject, end)| thread::spawn(move || outage(subject, events, seconds, end)))
                .collect();
            for run in runs {
                println!("{}", run.join().unwrap());
            }
        }
    }
}

fn outage(subject: &str, events: u64, seconds: u64, (ending, ending_name): (End, &str)) -> String {
    let counts = Arc::new(Counts::default());
    let (receiver, address) = Receiver::up(ANY, &counts, true, ending);
    let process = spawn("outages", subject, address, &[events, (seconds + 4) * 1000]);
    thread::sleep(Duration::from_secs(2));
    drop(receiver);
    thread::sleep(Duration::from_secs(seconds));
    let _receiver = Receiver::up(address, &counts, true, ending);
    thread::sleep(Duration::from_secs(3));
    settle(&counts, events as usize);
    let counted = end(process);
    let received = counts.distinct() as u64;
    let lost = events - received;
    format!("{subject:<28} {events:>8} {seconds:>6} s {ending_name:>8} {received:>9} {lost:>7} {counted:>28}")
}

fn stuck() {
    println!("\n16 threads that log without a pause for 10 s while the destination does not read");
    println!(
        "{:<30} {:>14} {:>16} {:>12} {:>10}",
        "", "work, bytes", "iterations/CPU s", "of nothing", "peak MiB"
    );
    for work in [0_u64, 4096, 65_536] {
        let mut of_nothing = f64::NAN;
        for subject in ["nothing", "gelf-tracing", "tracing-gelf"] {
            let counts = Arc::new(Counts::default());
            let (_receiver, address) = Receiver::up(ANY, &counts, false, End::Reset);
            let output = end(spawn("stuck", subject, address, &[10, work]));
            let (iterations, peak) = output.split_once(' ').unwrap();
            let iterations: f64 = iterations.parse().unwrap();
            if subject == "nothing" {
                of_nothing = iterations;
            }
            println!(
                "{subject:<30} {work:>14} {iterations:>16.0} {:>12.2} {peak:>10}",
                iterations / of_nothing
            );
        }
    }
}
