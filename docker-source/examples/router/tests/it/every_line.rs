//! Tests the router end to end with a real Engine: every line that a container writes arrives once, in order,
//! and with the timestamp that Docker gave it.

use std::collections::HashMap;
use std::time::Duration;

use crate::common::{Router, figure, number_of, numbered_lines};
use gelf_tokio::gelf_core::{Decoder, Level, Timestamp};
use gelf_tokio::{Received, TcpReceiver, UdpReceiver};
use real_engine::{Engine, RunOptions, RunningContainer};
use tokio::time::timeout;

/// The number of lines. The container writes about 2,000 lines a second: it sleeps for 39 ms after every 100
/// lines, and writing them takes about 11 ms.
const LINES: usize = 20_000;

/// A message from a receiver.
#[derive(Debug)]
struct Arrived {
    number: usize,
    stream: String,
    level: Option<Level>,
    time: Timestamp,
    container: String,
}

impl Arrived {
    fn read(payload: &[u8]) -> Self {
        let decoded = Decoder::strict().decode(payload).expect("strictly valid GELF 1.1");
        let message = decoded.message;
        let field = |name| message.field(name).unwrap().as_str().unwrap().to_owned();
        Self {
            number: number_of(message.short_message()),
            stream: field("source_stream"),
            level: message.level(),
            time: message.timestamp().unwrap(),
            container: field("container_id"),
        }
    }
}

fn container(engine: &Engine, transport: &str) -> RunningContainer {
    let script = numbered_lines(LINES, 100, Duration::from_millis(39));
    engine.run(RunOptions::shell(&format!("numbers-{transport}"), &script))
}

/// Receives a message for each line that was written, and then any further messages until none arrives for a
/// second. A repeated line would arrive in that time.
async fn all(mut receive: impl AsyncFnMut() -> Received) -> Vec<Arrived> {
    // The payloads are decoded only afterwards, because a slow receiver would lose datagrams.
    let mut received = Vec::new();
    loop {
        let limit = if received.len() < LINES { 60 } else { 1 };
        match timeout(Duration::from_secs(limit), receive()).await {
            Ok(message) => received.push(message),
            Err(_) => return received.iter().map(|message| Arrived::read(&message.payload)).collect(),
        }
    }
}

/// Asserts that every number arrived once, in order in each stream, with the stamp of `docker logs
/// --timestamps`.
fn check(arrived: &[Arrived], container: &RunningContainer) {
    let (stdout, stderr) = container.logs_with_timestamps();
    let mut docker_times = HashMap::new();
    for line in stdout.lines().chain(stderr.lines()) {
        let (stamp, text) = line.split_once(' ').unwrap();
        let number = number_of(text);
        assert_eq!(docker_times.insert(number, Timestamp::from_rfc3339(stamp).unwrap()), None);
    }
    assert_eq!(docker_times.len(), LINES, "lines in Docker's log");
    let seconds = |number| {
        let (seconds, nanos) = docker_times[&number].as_unix();
        seconds as f64 + f64::from(nanos) / 1e9
    };
    eprintln!("written at {:.0} lines a second", LINES as f64 / (seconds(LINES - 1) - seconds(0)));
    assert_eq!(arrived.len(), LINES, "lines that arrived");
    for (stream, level, first) in [("stdout", Level::Informational, 0), ("stderr", Level::Error, 1)] {
        let numbers: Vec<_> =
            arrived.iter().filter(|message| message.stream == stream).map(|message| message.number).collect();
        let written: Vec<_> = (first..LINES).step_by(2).collect();
        assert!(numbers == written, "{stream}: each number once, in the order of writing");
        assert!(
            arrived
                .iter()
                .filter(|message| message.stream == stream)
                .all(|message| message.level == Some(level))
        );
    }
    for message in arrived {
        assert_eq!(message.time, docker_times[&message.number], "line {}", message.number);
        assert_eq!(message.container, container.id());
    }
    assert!(
        arrived.iter().any(|message| message.time.as_unix().1 % 1000 != 0),
        "Docker's times have nanoseconds"
    );
}

/// Returns the number of datagrams that the kernel dropped at the socket bound to this port.
fn kernel_drops(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    let suffix = format!(":{port:04X}");
    let line = table
        .lines()
        .find(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&suffix)))
        .expect("the socket is in the table");
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_arrives_once_in_order_with_dockers_time_over_udp() {
    let Some(engine) = Engine::find() else { return };
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    // The receiver requests 4 MiB, but the limit of the kernel (net.core.rmem_max) can be lower.
    eprintln!("receive buffer: {} bytes", receiver.receive_buffer().unwrap());
    let port = receiver.local_addr().unwrap().port();
    let route = format!("gelf://127.0.0.1:{port}?rate=1000000&filter.name=numbers-udp-*");
    let mut router = Router::start(engine.docker_host(), &[&route]);
    router.wait_until_ready();

    let container = container(&engine, "udp");
    let arrived = all(async || receiver.recv().await.unwrap().unwrap()).await;
    assert_eq!(kernel_drops(port), 0);
    check(&arrived, &container);

    let (_, logged) = router.terminate();
    assert_eq!((figure(&logged, "sent"), figure(&logged, "in flight")), (LINES as u64, 0), "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_arrives_once_in_order_with_dockers_time_over_tcp() {
    let Some(engine) = Engine::find() else { return };
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let port = receiver.local_addr().unwrap().port();
    let route = format!("gelf+tcp://127.0.0.1:{port}?filter.name=numbers-tcp-*");
    let mut router = Router::start(engine.docker_host(), &[&route]);
    router.wait_until_ready();

    let container = container(&engine, "tcp");
    let arrived = all(async || receiver.recv().await.unwrap().unwrap()).await;
    check(&arrived, &container);

    let (_, logged) = router.terminate();
    assert_eq!(
        (figure(&logged, "delivered"), figure(&logged, "in flight")),
        (LINES as u64, 0),
        "{logged:#?}"
    );
}
