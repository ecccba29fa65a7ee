//! Tests `gelf-router audit` behind a network that loses datagrams.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::common::{Router, TIMEOUT};
use real_engine::{Engine, RunOptions};

const LINES: u64 = 3_000;
/// The network loses one of every 100 datagrams.
const LOST_OF: u64 = 100;

/// Starts a UDP proxy that stands for a network: it forwards datagrams with one message each, and loses some
/// datagrams. Returns the address of the proxy, and a receiver of the numbers of the lost messages. The proxy
/// sends these numbers after the last message.
fn lossy_network(to: String) -> (String, Receiver<BTreeSet<u64>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let (ended, end) = channel();
    thread::spawn(move || {
        let mut datagram = [0; 65_536];
        let mut lost = BTreeSet::new();
        for count in 1.. {
            let length = socket.recv(&mut datagram).unwrap();
            let datagram = &datagram[..length];
            // The last message has to arrive, since the audit cannot know that a last message is missing.
            let message: serde_json::Value = serde_json::from_slice(datagram).unwrap();
            let number = message["_seq"].as_u64().unwrap();
            if count % LOST_OF == 1 && number != LINES {
                lost.insert(number);
            } else {
                socket.send_to(datagram, &to).unwrap();
            }
            if number == LINES {
                return ended.send(lost).unwrap();
            }
        }
    });
    (address, end)
}

#[test]
fn the_missing_ranges_of_an_audit_are_the_messages_that_the_network_lost() {
    let Some(engine) = Engine::find() else { return };
    let mut audit = Router::start(engine.docker_host(), &["audit", "127.0.0.1:0"]);
    let listening = audit.wait_for("receiving on ");
    let address = listening.split("receiving on ").nth(1).unwrap().split(' ').next().unwrap();
    let (proxy, end) = lossy_network(address.to_owned());
    // At this rate, the buffers of the sockets have room for the datagrams that arrive while the reading
    // programs have to wait on a loaded machine.
    let route = format!("gelf://{proxy}?compression=none&rate=500&filter.name=audited-*");
    let mut router = Router::start(engine.docker_host(), &[&route]);
    router.wait_until_ready();
    let script = format!("i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i + 1)); done");
    let container = engine.run(RunOptions::shell("audited", &script));
    let lost = end.recv_timeout(TIMEOUT).unwrap();
    router.terminate();
    audit.signal("TERM");
    let (status, stdout, logged) = audit.wait();
    assert_eq!(lost.len() as u64, LINES / LOST_OF);
    assert_eq!(status, Some(1), "{logged:#?}");
    let account = stdout.iter().find(|line| line.contains(&container.id()[..12])).unwrap();
    let numbers = account.split_once('(').unwrap().1.split(" and").next().unwrap();
    let shown: BTreeSet<u64> = numbers.split(", ").map(|number| number.parse().unwrap()).collect();
    // The line shows the first missing ranges and the number of all missing messages.
    assert!(shown.len() >= 20 && shown.iter().eq(lost.iter().take(shown.len())), "{account}\n{lost:?}");
    assert!(
        account.contains(&format!("{} received, {} missing", LINES - lost.len() as u64, lost.len())),
        "{account}"
    );
}

#[test]
fn an_audit_needs_no_address_of_an_engine() {
    let mut audit = Router::start("nonsense", &["audit", "127.0.0.1:0"]);
    audit.wait_for("receiving on ");
    audit.signal("INT");
    let (status, _, logged) = audit.wait();
    assert_eq!(status, Some(0), "{logged:#?}");
}
