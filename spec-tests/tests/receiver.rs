//! The vectors to gelf-tokio's receivers, over real sockets, as `gelf-conformance receiver` sends them.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gelf_spec_tests::{Live, LiveOptions, Observe, Outcome, Results, Selection, Verdict, embedded, run};
use gelf_tokio::UdpReceiver;
use gelf_tokio::gelf_core::Decoder;
use serde_json::json;

/// An address that nothing listens on now.
fn free_tcp() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn free_udp() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The example that prints what gelf-tokio delivers. `cargo test` builds it beside the program.
fn print_received() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_gelf-conformance"));
    let example = program.with_file_name("examples").join("print_received");
    assert!(example.exists(), "{} is not built: cargo build --examples", example.display());
    example
}

fn results(live: &mut Live, filter: Option<&str>) -> Results {
    run(&embedded().unwrap(), live, None, Selection::new(filter, None), &mut |_, _| {}).unwrap()
}

fn unexpected(results: &Results) -> Vec<String> {
    let line = |outcome: &Outcome| format!("{} {:?} {:?}", outcome.id, outcome.verdict, outcome.differences);
    results.unexpected().map(line).collect()
}

#[test]
fn gelf_tokio_delivers_live_what_the_vectors_say() {
    let (udp, tcp) = (free_udp(), free_tcp());
    let command = format!("'{}' --udp {udp} --tcp {tcp} --for 120", print_received().display());
    let mut options = LiveOptions::default();
    options.udp = Some(udp);
    options.tcp = Some(tcp);
    let mut live = Live::start(options, Observe::Command(command)).unwrap();
    let results = results(&mut live, None);
    assert_eq!(unexpected(&results), [""; 0]);
    assert_eq!(live.late(), 0);
    // All that is neither sent by a sender, nor about limits, nor about time.
    assert!(results.count(Verdict::Passes) >= 420, "{}", results.count(Verdict::Passes));
}

#[test]
fn frames_carry_the_payloads_where_there_is_tcp_alone() {
    let tcp = free_tcp();
    let command = format!("'{}' --tcp {tcp} --for 120", print_received().display());
    let mut options = LiveOptions::default();
    options.tcp = Some(tcp);
    let mut live = Live::start(options, Observe::Command(command)).unwrap();
    let results = results(&mut live, None);
    assert_eq!(unexpected(&results), [""; 0]);
    assert!(results.count(Verdict::Passes) >= 280, "{}", results.count(Verdict::Passes));
}

#[test]
fn time_passes_where_it_is_allowed_to() {
    let udp = free_udp();
    let command = format!("'{}' --udp {udp} --for 120", print_received().display());
    let mut options = LiveOptions::default();
    options.udp = Some(udp);
    options.slow = true;
    let mut live = Live::start(options, Observe::Command(command)).unwrap();
    let started = Instant::now();
    let results = results(&mut live, Some("C67"));
    assert_eq!(unexpected(&results), [""; 0]);
    assert_eq!(results.count(Verdict::Passes), 1);
    assert!(started.elapsed() >= Duration::from_secs(7));
}

/// A receiver that makes level 6 of 7 and has no timestamps, and whose output writes to a connection.
#[test]
fn what_a_receiver_loses_or_changes_is_found() {
    let observe = free_tcp();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut receiver = runtime.block_on(UdpReceiver::bind("127.0.0.1:0")).unwrap();
    let mut options = LiveOptions::default();
    options.udp = Some(receiver.local_addr().unwrap());
    options.ready_timeout = Duration::from_secs(20);
    options.ignored_fields = vec!["added_*".to_owned()];
    let _task = runtime.spawn(async move {
        let mut output: Option<TcpStream> = None;
        let mut decoder = Decoder::lenient();
        loop {
            let Ok(received) = receiver.recv().await.unwrap() else { continue };
            let Ok(decoded) = received.decode(&mut decoder) else { continue };
            let message = decoded.message;
            let fields: serde_json::Map<_, _> = message
                .fields()
                .map(|(name, value)| (name.as_str().to_owned(), json!(value.to_string())))
                .chain([("added_here".to_owned(), json!(1))])
                .collect();
            let line = json!({
                "host": message.host(),
                "short_message": message.short_message(),
                "full_message": message.full_message(),
                "level": message.level().map(|level| level.as_u8().min(6)),
                "fields": fields,
            });
            // The one that observes may not listen yet.
            output = output.or_else(|| TcpStream::connect(observe).ok());
            if let Some(stream) = &mut output
                && writeln!(stream, "{line}").is_err()
            {
                output = None;
            }
        }
    });
    let mut live = Live::start(options, Observe::Listen(observe)).unwrap();
    let levels = results(&mut live, Some("level"));
    let seven: Vec<_> = unexpected(&levels);
    assert!(!seven.is_empty());
    assert!(seven.iter().all(|line| line.ends_with("[\"level: expected 7, found 6\"]")), "{seven:?}");
    let timestamps = results(&mut live, Some("timestamp"));
    assert!(timestamps.count(Verdict::Fails) > 0);
}

#[test]
fn a_receiver_that_ends_has_crashed_and_is_started_again() {
    let udp = free_udp();
    // A second is enough for the first vectors, and not for all.
    let command = format!("'{}' --udp {udp} --for 1", print_received().display());
    let mut options = LiveOptions::default();
    options.udp = Some(udp);
    options.settle = Duration::from_millis(25);
    let mut live = Live::start(options, Observe::Command(command)).unwrap();
    let results = results(&mut live, Some("fields"));
    let crashed = results.count(Verdict::Crashes);
    assert!((1..=10).contains(&crashed), "{:?}", unexpected(&results));
    assert_eq!(results.count(Verdict::Passes) + crashed, results.outcomes.len());
}

#[test]
fn the_command_reports_and_says_by_its_code_whether_all_is_well() {
    let udp = free_udp();
    let observe = format!("'{}' --udp {udp} --for 60", print_received().display());
    let output = Command::new(env!("CARGO_BIN_EXE_gelf-conformance"))
        .args(["receiver", "--udp", &udp.to_string(), "--observe", &observe, "--filter", "magic"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("34 results, 0 unexpected, 0 known, 0 stale expectations"), "{text}");
    let without = Command::new(env!("CARGO_BIN_EXE_gelf-conformance")).args(["receiver"]).output().unwrap();
    assert!(!without.status.success());
}
