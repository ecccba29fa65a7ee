//! Sends vectors over the network to a peer's own server, whose faults are known.
//!
//! `scripts/peers` installs the peers. Without them the test passes and prints that it was skipped;
//! `GELF_TESTS_REQUIRE=peers` makes it fail instead.

use std::net::UdpSocket;
use std::path::Path;
use std::thread;
use std::time::Duration;

use gelf_spec_tests::{Live, LiveOptions, Observe, Verdict, embedded};
use real_engine::require_path;

use crate::support::results;

/// Number of servers, which run at the same time.
const RUNS: usize = 10;

/// Vectors whose payload is not JSON: plain, compressed and in chunks. graygelf's server crashes on
/// each of them.
const CRASHES: [&str; 3] = ["J04", "Z19", "C28"];

/// Vectors with two messages whose chunk ids differ only in bytes or bits that graygelf's server does not read.
const JOINS: [&str; 2] = ["C69-last", "C69-bit"];

/// Vectors that graygelf's server passes: plain, compressed and in chunks.
const PASSES: [&str; 4] = ["A01", "D10", "C05-zlib", "C25"];

/// Runs several times, because graygelf's server decompresses in the background: it may crash only after later
/// datagrams have arrived.
#[test]
fn both_faults_of_graygelf_are_named_in_each_run() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    if !require_path("peers", &repository.join("target/peers/node-graygelf")) {
        return;
    }
    let server = repository.join("spec-tests/peers/node-graygelf/udp");
    thread::scope(|scope| {
        for _ in 0..RUNS {
            scope.spawn(|| check_graygelf(&server));
        }
    });
}

fn check_graygelf(server: &Path) {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let observe = Observe::Command(format!("'{}' {address}", server.display()));
    let options =
        LiveOptions { udp: Some(address), timeout: Duration::from_secs(20), ..LiveOptions::default() };
    let mut live = Live::start(options, observe).unwrap();
    let filter = [&CRASHES[..], &JOINS, &PASSES].concat().join(",");
    let results = results(&embedded().unwrap(), &mut live, Some(&filter));
    let check = |id: &str, verdict: Verdict, words: &str| {
        let outcome = results.outcomes.iter().find(|outcome| outcome.id == id).unwrap();
        assert_eq!(outcome.verdict, verdict, "{outcome:?}");
        let differences = outcome.differences.join("; ");
        assert!(differences.contains(words), "{differences}");
    };
    for id in CRASHES {
        check(id, Verdict::Crashes, "SyntaxError");
    }
    for id in JOINS {
        check(id, Verdict::Fails, "expected 2 messages, found 1 message");
    }
    for id in PASSES {
        check(id, Verdict::Passes, "");
    }
}
