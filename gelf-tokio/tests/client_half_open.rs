//! A client whose connection loses all packets without an error.
//!
//! The test creates a network namespace in which `iptables` drops the packets, which needs root, `ip` and
//! `iptables`. Without them it prints that it was skipped, or fails if `GELF_TESTS_REQUIRE` names `netns`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

#[path = "support/mod.rs"]
mod support;

use std::env;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::account::assert_account;
use crate::support::outages::{Sending, Sink, tcp};

const NAME: &str = "a_connection_whose_packets_vanish_is_given_up_within_35_seconds";

/// Environment variable that is set in the process that runs inside the namespace.
const INSIDE: &str = "GELF_TEST_INSIDE_NETNS";

/// The client's limit, with a margin for a busy machine.
const DEAD_AFTER: Duration = Duration::from_secs(35);

#[test]
fn a_connection_whose_packets_vanish_is_given_up_within_35_seconds() {
    if env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::join!(idle(), busy()) });
        return;
    }
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(reason) => {
            let required = env::var("GELF_TESTS_REQUIRE").unwrap_or_default();
            let is_required = required.split(',').any(|name| name.trim() == "netns");
            assert!(!is_required, "required by GELF_TESTS_REQUIRE={required}: {reason}");
            let _ = writeln!(std::io::stderr(), "skipped: cannot create a network namespace: {reason}");
            return;
        }
    };
    let program = env::current_exe().unwrap();
    let status = Command::new("ip")
        .args(["netns", "exec", &namespace.0])
        .arg(program)
        .args(["--exact", NAME, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// A network namespace with a loopback interface, deleted on drop.
struct Namespace(String);

impl Namespace {
    fn new() -> Result<Self, String> {
        let name = format!("gelf-half-open-{}", std::process::id());
        run("ip", &["netns", "add", &name])?;
        let namespace = Self(name);
        run("ip", &["netns", "exec", &namespace.0, "ip", "link", "set", "lo", "up"])?;
        run("ip", &["netns", "exec", &namespace.0, "iptables", "--list", "INPUT"])?;
        Ok(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run("ip", &["netns", "delete", &self.0]) {
            let _ = writeln!(std::io::stderr(), "cannot delete the network namespace: {error}");
        }
    }
}

/// Runs a command to its end. Returns a failure as one line.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let line = format!("{program} {}", arguments.join(" "));
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{line}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Returns a client on a connection that has delivered a hundred messages and now loses every packet, and the
/// time at which the loss began.
async fn half_open(sink: &Sink) -> (Sending, Instant) {
    sink.expect(0, 0..100);
    let sending = Sending::start(&tcp(sink.address));
    sending.send(0..100).await;
    sink.wait_for_all().await;
    sending.wait_for("the acknowledgements", |stats| stats.acknowledged == 100).await;
    // The rules must not reach the machine's own network.
    assert!(env::var_os(INSIDE).is_some());
    let port = sink.heard().peers[0].port().to_string();
    for side in ["--source-port", "--destination-port"] {
        run("iptables", &["--append", "INPUT", "--protocol", "tcp", side, &port, "--jump", "DROP"]).unwrap();
    }
    (sending, Instant::now())
}

/// Waits until the client gives up its connection. Returns the time since `since`.
async fn given_up(sending: &Sending, since: Instant, mut meanwhile: impl AsyncFnMut()) -> Duration {
    while sending.stats().broken_connections == 0 {
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", sending.stats());
        meanwhile().await;
        sleep(Duration::from_millis(50)).await;
    }
    since.elapsed()
}

async fn idle() {
    let sink = Sink::start().await;
    let (sending, since) = half_open(&sink).await;
    let took = given_up(&sending, since, async || {}).await;
    assert!((Duration::from_secs(10)..DEAD_AFTER).contains(&took), "{took:?}");
    let stats = sending.stats();
    assert_account(&stats, 100);
    assert_eq!((stats.connections, stats.is_connected), (1, false));

    sink.expect(0, 100..200);
    sending.send(100..200).await;
    sink.wait_for_all().await;
    let stats = sending.end_acknowledged(200).await;
    assert_eq!((stats.connections, stats.failed_connects, stats.resent), (2, 0, 0));
    sink.assert_exact().await;
}

async fn busy() {
    let sink = Sink::start().await;
    let (sending, since) = half_open(&sink).await;
    let mut sent = 100;
    let took = given_up(&sending, since, async || {
        sending.send(sent..sent + 10).await;
        sent += 10;
    })
    .await;
    let stats = sending.stats();
    assert_account(&stats, sent);
    assert!((Duration::from_secs(10)..DEAD_AFTER).contains(&took), "{took:?}");

    sink.expect(0, 100..sent);
    sink.wait_for_all().await;
    let stats = sending.end_acknowledged(sent).await;
    assert_eq!((stats.connections, stats.broken_connections, stats.failed_connects), (2, 1, 0));
    assert!(stats.resent > 0);
    // No message arrived twice: the first connection delivered none of the resent ones.
    sink.assert_exact().await;
}
