//! The whole way with a real Engine: every line that a container wrote arrives once, in order, with Docker's own time.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::{Router, figure};
use gelf_tokio::gelf_core::{Decoder, Level, Timestamp};
use gelf_tokio::{Received, TcpReceiver, UdpReceiver};
use real_engine::{Engine, RunOptions, RunningContainer};
use tokio::time::timeout;

/// How many lines, and how fast: 100 each 50 ms are 2,000 a second.
const LINES: usize = 20_000;

/// Numbers, the even ones on stdout and the odd ones on stderr; then silence, until it is removed.
const NUMBERS: &str = "i=0
while [ $i -lt 20000 ]; do
  n=0
  while [ $n -lt 50 ]; do
    echo \"line $i\"
    echo \"line $((i + 1))\" >&2
    i=$((i + 2))
    n=$((n + 1))
  done
  usleep 39000
done
sleep 600";

/// A message as it came out of a receiver.
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
        let decoded = Decoder::strict().decode(payload).expect("what we send is GELF 1.1 to the letter");
        let message = decoded.message;
        let field = |name| message.field(name).unwrap().as_str().unwrap().to_owned();
        Self {
            number: message.short_message().strip_prefix("line ").unwrap().parse().unwrap(),
            stream: field("source_stream"),
            level: message.level(),
            time: message.timestamp().unwrap(),
            container: field("container_id"),
        }
    }
}

fn container(engine: &Engine, transport: &str) -> RunningContainer {
    engine.run(RunOptions::shell(&format!("numbers-{transport}"), NUMBERS))
}

/// All that is received, until there are as many as were written and then a second of silence: one that came twice
/// would come then.
async fn all(mut receive: impl AsyncFnMut() -> Received) -> Vec<Arrived> {
    let mut arrived = Vec::new();
    loop {
        let patience = if arrived.len() < LINES { 60 } else { 1 };
        match timeout(Duration::from_secs(patience), receive()).await {
            Ok(received) => arrived.push(Arrived::read(&received.payload)),
            Err(_) => return arrived,
        }
    }
}

/// Every number once, in order in each stream, stamped as `docker logs --timestamps` says.
fn check(arrived: &[Arrived], container: &RunningContainer) {
    let (stdout, stderr) = container.logs_with_timestamps();
    let mut docker_times = HashMap::new();
    for line in stdout.lines().chain(stderr.lines()) {
        let (stamp, text) = line.split_once(' ').unwrap();
        let number: usize = text.strip_prefix("line ").unwrap().parse().unwrap();
        assert_eq!(docker_times.insert(number, Timestamp::from_rfc3339(stamp).unwrap()), None);
    }
    assert_eq!(docker_times.len(), LINES, "what Docker has");
    let seconds = |number| {
        let (seconds, nanos) = docker_times[&number].as_unix();
        seconds as f64 + f64::from(nanos) / 1e9
    };
    eprintln!("written at {:.0} lines a second", LINES as f64 / (seconds(LINES - 1) - seconds(0)));
    assert_eq!(arrived.len(), LINES, "what arrived");
    for (stream, level, first) in [("stdout", Level::Informational, 0), ("stderr", Level::Error, 1)] {
        let numbers: Vec<_> =
            arrived.iter().filter(|message| message.stream == stream).map(|message| message.number).collect();
        let written: Vec<_> = (first..LINES).step_by(2).collect();
        assert!(numbers == written, "{stream}: each once, in the order in which they were written");
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

/// How many datagrams the kernel dropped at the socket that is bound to this port.
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
    // 4 MiB are asked for; the kernel may have a lower limit (net.core.rmem_max).
    eprintln!("receive buffer: {} bytes", receiver.receive_buffer().unwrap());
    let port = receiver.local_addr().unwrap().port();
    let route = format!("gelf://127.0.0.1:{port}?filter.name=numbers-udp-*");
    let mut router = Router::start(engine.docker_host(), &[&route]);
    router.wait_until_ready();

    let container = container(&engine, "udp");
    let arrived = all(async || receiver.recv().await.unwrap().unwrap()).await;
    assert_eq!(kernel_drops(port), 0);
    check(&arrived, &container);

    let (_, said) = router.terminate();
    assert_eq!((figure(&said, "delivered"), figure(&said, "in flight")), (LINES as u64, 0), "{said:#?}");
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

    let (_, said) = router.terminate();
    assert_eq!((figure(&said, "delivered"), figure(&said, "in flight")), (LINES as u64, 0), "{said:#?}");
}
