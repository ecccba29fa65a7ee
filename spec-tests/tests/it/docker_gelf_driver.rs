//! Receives the messages of a Docker Engine's log driver `gelf`.
//!
//! A container writes lines to stdout and stderr. The text of each line is derived from its number and its
//! stream. Lines have from one byte to nearly 16 KiB, the length at which the Engine splits lines. The loopback
//! keeps the order of datagrams, and loses none while the receive buffer has room. Therefore, each stream
//! must arrive exactly as written.

use std::time::Duration;

use gelf_tokio::gelf_core::{Decoder, Level};
use gelf_tokio::{Received, TcpReceiver, UdpReceiver};
use real_engine::{Engine, RunOptions, RunningContainer};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::support::noise;

/// Maximum time for a message, including the start of its container.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// Number of lines that a container writes on each stream.
const LINES: usize = 200;

/// Lengths of the lines in bytes, used in rotation.
const LENGTHS: [usize; 5] = [1, 100, 1000, 3000, 16_000];

/// Number of lines with 3,000 bytes or more, on both streams. Two of the five lengths are that long. The messages
/// of these lines are chunked, whether they are compressed or not.
const CHUNKED_FROM_3000: u64 = 2 * 2 * LINES as u64 / LENGTHS.len() as u64;

/// Maximum size of a datagram of the driver, in bytes. The library go-gelf sets it.
const DATAGRAM: usize = 1420;

/// Maximum size of a chunk's payload, in bytes.
const CHUNK: usize = DATAGRAM - 12;

/// Returns a line of stdout (stream 0) or stderr (stream 1). Compression shortens a line to about three
/// quarters of its length.
fn line(number: usize, stream: usize) -> String {
    noise(2 * number + stream + 1, LENGTHS[number % LENGTHS.len()])
}

/// Returns a script that writes the lines of [`line`] with awk. No multiplication in the script exceeds 2^53,
/// so awk's floating-point numbers are exact.
fn script() -> String {
    let lengths = LENGTHS.map(|length| length.to_string()).join(" ");
    let program = r#"
        BEGIN {
            alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
            kinds = split("LENGTHS", lengths, " ")
            for (number = 0; number < LINES; number++) {
                for (stream = 0; stream < 2; stream++) {
                    state = 2 * number + stream + 1
                    text = ""
                    for (rest = lengths[number % kinds + 1]; rest > 0; rest--) {
                        state = state * 16807 % 2147483647
                        text = text substr(alphabet, state % 64 + 1, 1)
                        if (length(text) == 100 && rest > 1) {
                            if (stream) { printf "%s", text > "/dev/stderr" } else { printf "%s", text }
                            text = ""
                        }
                    }
                    if (stream) { print text > "/dev/stderr" } else { print text }
                }
            }
        }"#;
    format!("awk '{}'", program.replace("LENGTHS", &lengths).replace("LINES", &LINES.to_string()))
}

/// Starts a container that runs a script. The script is passed in the environment: the driver puts the
/// command into each message, so a script in the command would lengthen each message.
async fn run(engine: &Engine, script: String, driver_options: &[String]) -> RunningContainer {
    let mut arguments = vec![format!("--env=SCRIPT={script}"), "--log-driver=gelf".to_owned()];
    arguments.extend(driver_options.iter().map(|option| format!("--log-opt={option}")));
    let options = RunOptions::shell("gelf-driver", "eval \"$SCRIPT\"").docker_arguments(arguments);
    let engine = engine.clone();
    spawn_blocking(move || engine.run(options)).await.unwrap()
}

/// Receives `count` messages.
async fn receive(mut recv: impl AsyncFnMut() -> Received, count: usize) -> Vec<Received> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let received = timeout(MESSAGE_TIMEOUT, recv()).await;
        all.push(received.unwrap_or_else(|_| panic!("only {} of {count} messages arrived", all.len())));
    }
    all
}

/// Checks the level, container, tag, host and timestamp of each message, and the lines of each stream.
fn check(messages: &[Received], container: &RunningContainer) {
    let mut streams = [Vec::new(), Vec::new()];
    for received in messages {
        let decoded = Decoder::lenient().decode(&received.payload).unwrap();
        assert_eq!(decoded.deviations, []);
        let message = decoded.message;
        let stream = match message.level() {
            Some(Level::Informational) => 0,
            Some(Level::Error) => 1,
            other => panic!("level {other:?}"),
        };
        let field = |name| message.field(name).and_then(|value| value.as_str()).unwrap_or_default();
        assert_eq!(field("container_id"), container.id());
        assert_eq!(field("container_name"), container.name());
        assert_eq!(field("tag"), &container.id()[..12]);
        assert!(message.host().is_some_and(|host| !host.is_empty()));
        // The timestamp is later than June 15, 2025.
        assert!(message.timestamp().is_some_and(|timestamp| timestamp.as_unix().0 > 1_750_000_000));
        streams[stream].push(message.short_message().to_owned());
    }
    for (stream, lines) in streams.iter().enumerate() {
        let expected: Vec<String> = (0..LINES).map(|number| line(number, stream)).collect();
        let first_difference = lines.iter().zip(&expected).position(|(line, expected)| line != expected);
        assert_eq!((lines.len(), first_difference), (LINES, None), "stream {stream}");
    }
}

/// Runs a container to its end and checks that each of its lines arrives once. Returns the messages.
async fn every_line_arrives(
    engine: &Engine,
    driver_options: &[String],
    mut recv: impl AsyncFnMut() -> Received,
) -> Vec<Received> {
    let (container, messages) =
        tokio::join!(run(engine, script(), driver_options), receive(&mut recv, 2 * LINES));
    check(&messages, &container);
    spawn_blocking(move || assert_eq!(container.wait(), 0)).await.unwrap();
    let extra = timeout(Duration::from_millis(100), recv()).await;
    assert!(extra.is_err(), "{extra:?}");
    messages
}

/// Runs a container with a driver that sends over UDP. Checks the messages, and returns the receiver and the
/// messages, or `None` without an Engine.
async fn every_line_arrives_over_udp(compression: &str) -> Option<(UdpReceiver, Vec<Received>)> {
    let engine = Engine::find()?;
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let driver_options = [
        format!("gelf-address=udp://{}", receiver.local_addr().unwrap()),
        format!("gelf-compression-type={compression}"),
    ];
    let messages =
        every_line_arrives(&engine, &driver_options, async || receiver.recv().await.unwrap().unwrap()).await;
    let stats = receiver.stats().datagrams;
    assert_eq!((stats.payloads, stats.errors.total(), stats.trailing_data), (2 * LINES as u64, 0, 0));
    assert_eq!((stats.reassembly.pending, stats.reassembly.duplicates), (0, 0));
    Some((receiver, messages))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_arrives_over_udp_without_compression() {
    let Some((receiver, messages)) = every_line_arrives_over_udp("none").await else { return };
    let chunked = messages.iter().filter(|received| received.payload.len() > DATAGRAM);
    let chunks: usize = chunked.clone().map(|received| received.payload.len() / CHUNK + 1).sum();
    let whole = messages.len() - chunked.count();
    let stats = receiver.stats().datagrams;
    assert_eq!(stats.reassembly.completed, (messages.len() - whole) as u64);
    assert_eq!(stats.datagrams, (whole + chunks) as u64);
    // Whether a message with a line of 1,000 bytes is chunked depends on the length of its other members.
    assert!(stats.reassembly.completed >= CHUNKED_FROM_3000, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_arrives_over_udp_compressed_and_in_chunks() {
    for compression in ["gzip", "zlib"] {
        let Some((receiver, _)) = every_line_arrives_over_udp(compression).await else { return };
        assert_eq!(receiver.stats().datagrams.reassembly.completed, CHUNKED_FROM_3000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_arrives_over_tcp() {
    let Some(engine) = Engine::find() else { return };
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let driver_options = [format!("gelf-address=tcp://{}", receiver.local_addr().unwrap())];
    every_line_arrives(&engine, &driver_options, async || receiver.recv().await.unwrap().unwrap()).await;
    let stats = receiver.stats();
    assert_eq!((stats.frames, stats.too_long_frames, stats.cut_frames), (2 * LINES as u64, 0, 0));
    assert_eq!(stats.connections, 1);
}
