//! Rows about destinations.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::Duration;

use super::Outcome;
use crate::agent::Agent;
use crate::bench::{Bench, Writing};
use crate::receiver::Receiver;
use crate::tally::Account;

/// Time during which the dead destination takes nothing.
const DEAD: Duration = Duration::from_secs(60);

/// Permitted increase of the 99th percentile of the delays when there are dead routes: by this factor, or by
/// this number of seconds. The larger increase is permitted.
const NOISE: (f32, f32) = (2.0, 0.1);

/// Maximum time in seconds between two lines of the container, which writes 2,000 lines/s. If a dead route
/// blocked the container, the container would write nothing for as long as the destination takes nothing.
const PAUSE: f64 = 5.0;

/// Maximum memory of the router, in KiB: the memory that the README reserves for the router.
const MEMORY: u64 = 32 << 10;

pub(super) fn dead_route(bench: &mut Bench) -> Outcome {
    let (alone, beside, dead) = (Receiver::start(), Receiver::start(), Receiver::start());
    let flapping = Receiver::start_flapping(Duration::from_secs(1));
    // The first container is read for a single route, without dead routes.
    let agent = Agent::start(bench, &[&alone.route("dead")]);
    let writer = bench.write(Writing::endless("dead", 2_000));
    sleep(Duration::from_secs(20));
    agent.terminate();
    drop(writer);
    dead.stall(true);
    let routes = [
        beside.route("dead"),
        dead.route("dead"),
        "gelf+tcp://nowhere.invalid:12201?filter.name=dead-*".to_owned(),
        // The small queue is full each time that the destination is down.
        format!("{}&queue=500", flapping.route("dead")),
    ];
    let agent = Agent::start(bench, &routes.each_ref().map(String::as_str));
    let writer = bench.write(Writing::endless("dead", 2_000));
    sleep(DEAD);
    let while_dead = beside.tally().delays.clone();
    dead.stall(false);
    sleep(Duration::from_secs(5));
    let written = writer.end(bench.engine());
    let [healthy, back, flapped] = [&beside, &dead, &flapping].map(|receiver| {
        // The patience is long, because the flapping destination is down every other second.
        receiver.settle(&written, Duration::from_secs(40))
    });
    let memory = agent.memory("VmHWM");
    agent.kill();
    let alone = percentile(alone.tally().delays.clone());
    let returning = percentile(beside.tally().delays.split_off(while_dead.len()));
    let while_dead = percentile(while_dead);
    let pause = beside.tally().longest_pause();
    let holds = [healthy, back].iter().all(Account::is_exact)
        && flapped.lost + flapped.announced == 0
        && while_dead <= (alone * NOISE.0).max(alone + NOISE.1)
        && pause <= PAUSE
        && memory <= MEMORY;
    let figure = format!(
        "99 % of the lines within {alone:.3} s alone, {while_dead:.3} s beside dead routes and \
         {returning:.3} s while one returns; healthy: {healthy}; dead and back: {back}; flapping: {flapped}; \
         longest pause of the container {pause:.3} s; memory {memory} KiB"
    );
    let asked = format!(
        "delays beside dead routes as alone, within noise; healthy: lost 0, repeated 0; dead and back: \
         lost 0, repeated 0; flapping: lost 0; no pause of {PAUSE} s; at most {MEMORY} KiB"
    );
    Outcome::new(figure, asked, holds)
}

/// Returns the 99th percentile.
pub(super) fn percentile(mut figures: Vec<f32>) -> f32 {
    figures.sort_by(f32::total_cmp);
    figures.get(figures.len() * 99 / 100).copied().unwrap_or(f32::INFINITY)
}

pub(super) fn audit(bench: &mut Bench) -> Outcome {
    const LINES: u64 = 50_000;
    let mut command = Command::new(bench.router());
    command.args(["audit", "127.0.0.1:0"]);
    let audit = Agent::spawn(bench, command);
    let listening = audit.wait_for("receiving on ");
    let address = listening.split("receiving on ").nth(1).and_then(|rest| rest.split(' ').next());
    let network = LossyNetwork::start(address.expect("an address follows").to_owned());
    let route = format!("gelf://{}?compression=none&filter.name=audited-*", network.address);
    let agent = Agent::start(bench, &[&route]);
    let writer = bench.write(Writing::new("audited", LINES, 2_500));
    let mut last = 0;
    loop {
        sleep(Duration::from_secs(2));
        let count = network.forwarded.lock().unwrap().0;
        if count == last && count > 0 {
            break;
        }
        last = count;
    }
    agent.terminate();
    let (status, logged) = audit.terminate();
    let id = &writer.container.id()[..12];
    let account = logged.iter().find(|line| line.contains(id) && line.contains(" missing"));
    let account = account.unwrap_or_else(|| panic!("no account of {id}: {logged:#?}"));
    let forwarded = network.forwarded.lock().unwrap();
    let (sent, lost) = (forwarded.0, &forwarded.1);
    // The account lists the first missing ranges, and the number of all missing messages.
    let numbers = account.split_once('(').map_or("", |(_, rest)| rest);
    let numbers = numbers.split([')']).next().unwrap_or_default().split(" and").next().unwrap_or_default();
    let shown: BTreeSet<u64> = numbers
        .split(", ")
        .flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.trim().parse().unwrap_or(u64::MAX);
            number(first)..=number(last).min(number(first).saturating_add(100))
        })
        .collect();
    let same = shown.iter().zip(lost).all(|(shown, lost)| shown == lost);
    let counted = account.contains(&format!("{} received, {} missing", sent - lost.len() as u64, lost.len()));
    let figure = format!(
        "{} of {sent} datagrams lost; status {status:?}, the first {} missing numbers {}, the count {}",
        lost.len(),
        shown.len(),
        if same { "are the same" } else { "differ" },
        if counted { "is the same" } else { "differs" },
    );
    let holds = same && counted && status == Some(1) && sent == LINES;
    Outcome::new(figure, "the missing numbers are those of the lost datagrams", holds)
}

/// A network that forwards datagrams of one message each, and loses every hundredth datagram.
struct LossyNetwork {
    address: String,
    /// Number of datagrams, and the numbers of the lost messages.
    forwarded: Arc<Mutex<(u64, BTreeSet<u64>)>>,
}

impl LossyNetwork {
    fn start(to: String) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let network = Self { address, forwarded: Arc::default() };
        let forwarded = Arc::clone(&network.forwarded);
        thread::spawn(move || {
            let mut datagram = [0; 65_536];
            loop {
                let length = socket.recv(&mut datagram).unwrap();
                let datagram = &datagram[..length];
                let mut forwarded = forwarded.lock().unwrap();
                forwarded.0 += 1;
                // The last datagram is not lost, because the audit could not know that it is missing.
                if forwarded.0 % 100 == 50 {
                    let message: serde_json::Value = serde_json::from_slice(datagram).unwrap();
                    forwarded.1.insert(message["_seq"].as_u64().unwrap());
                } else {
                    socket.send_to(datagram, &to).unwrap();
                }
            }
        });
        network
    }
}
