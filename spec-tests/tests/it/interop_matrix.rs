//! Sends messages from every installed peer to the receivers of this project, and from the senders of this
//! project to every installed peer that receives. The messages cover every combination of transport,
//! compression and size, but those over TCP are not compressed. No message may be lost or altered unless
//! `interop.json` lists the failure.
//!
//! `scripts/peers` installs the peers. Without them the test passes and prints that it was skipped;
//! `GELF_TESTS_REQUIRE=peers` makes it fail instead.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gelf_spec_tests::{JsonText, Mode, Observed, Process, Reply, Request, Sent, Subject, Vector, hex};
use gelf_tokio::gelf_core::{Decoder, Level, Message};
use gelf_tokio::{Endpoint, TcpReceiver, TcpSender, UdpReceiver, UdpSender};
use real_engine::require_path;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::noise;

/// Maximum time for an answer, or for a message to arrive.
const LIMIT: Duration = Duration::from_secs(30);

/// Lengths of a message's text in bytes. The second length fills about one datagram. Without compression, the
/// last three lengths need 4, 43 and 86 chunks.
const SIZES: [usize; 5] = [100, 1_300, 5_000, 60_000, 120_000];

/// A known failure of a peer in one direction. A cell is a combination of transport, compression and size.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownFailure {
    peer: String,
    /// `from` if the peer sends, `to` if the peer receives.
    direction: String,
    /// Patterns of the form `transport compression size`. Each part is a word or `*`. The transport
    /// `udp/65507` has datagrams of up to 65,507 bytes; only this project sends over it.
    cells: Vec<String>,
    reason: String,
}

/// Result of a cell: whether its message arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Cell {
    /// The message arrived unchanged.
    Arrived,
    /// The peer does not support the transport, the compression or the size.
    Unsupported,
    /// The message was lost or altered, as the text explains.
    Wrong(String),
}

/// Returns the folders of the installed peers.
fn peers() -> Vec<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let installed = repository.join("target/peers");
    if !require_path("peers", &installed) {
        return Vec::new();
    }
    let names = std::fs::read_dir(&installed).unwrap().map(|entry| entry.unwrap().file_name());
    let mut peers: Vec<_> = names.map(|name| repository.join("spec-tests/peers").join(name)).collect();
    // A peer that only serves HTTP does not have the program `run`.
    peers.retain(|peer| peer.join("run").exists());
    peers.sort();
    peers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_known_failures_occur_between_peers_and_this_project() {
    let peers = peers();
    if peers.is_empty() {
        return;
    }
    let is_required = std::env::var("GELF_TESTS_REQUIRE").is_ok_and(|required| required.contains("peers"));
    let known: Vec<KnownFailure> = serde_json::from_str(include_str!("../../interop.json")).unwrap();
    let mut skipped = 0;
    let mut cells: BTreeMap<(String, &str, String), Cell> = BTreeMap::new();
    for peer in &peers {
        let mut subject = match Process::start(&format!("'{}'", peer.join("run").display()), LIMIT) {
            Ok(subject) => subject,
            Err(error) if is_required => panic!("{error}"),
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "skipped: {error}");
                skipped += 1;
                continue;
            }
        };
        let name = subject.description().name.clone();
        for (cell, outcome) in from_peer(&mut subject).await {
            cells.insert((name.clone(), "from", cell), outcome);
        }
        for (cell, outcome) in to_peer(&mut subject).await {
            cells.insert((name.clone(), "to", cell), outcome);
        }
    }
    let mut problems = Vec::new();
    let mut used = vec![false; known.len()];
    let (mut arrived, mut listed) = (0, 0);
    for ((peer, direction, cell), outcome) in &cells {
        let entry = known.iter().position(|known| {
            known.peer == *peer
                && known.direction == *direction
                && known.cells.iter().any(|pattern| matches(pattern, cell))
        });
        match (outcome, entry) {
            (Cell::Arrived, None) => arrived += 1,
            (Cell::Unsupported, _) => {}
            (Cell::Wrong(_), Some(entry)) => {
                used[entry] = true;
                listed += 1;
            }
            (Cell::Wrong(how), None) => problems.push(format!("{direction} {peer}, {cell}: {how}")),
            (Cell::Arrived, Some(_)) => {
                problems.push(format!("{direction} {peer}, {cell}: arrives, but is listed as a failure"))
            }
        }
    }
    for (known, _) in known.iter().zip(used).filter(|(_, used)| !used && skipped == 0) {
        problems.push(format!("stale: {known:?}"));
    }
    for known in &known {
        println!("{} {}, {}: {}", known.direction, known.peer, known.cells.join("; "), known.reason);
    }
    println!("{} peers: {arrived} cells arrived, {listed} known failures", peers.len());
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(arrived >= 5 * (peers.len() - skipped), "{arrived} cells");
}

/// Returns whether each word of the pattern equals the corresponding word of the cell, or is a star.
fn matches(pattern: &str, cell: &str) -> bool {
    let (pattern, cell): (Vec<_>, Vec<_>) = (pattern.split(' ').collect(), cell.split(' ').collect());
    pattern.len() == cell.len()
        && pattern.iter().zip(cell).all(|(pattern, word)| *pattern == "*" || *pattern == word)
}

/// Returns each combination of transport, compression and size, but over TCP only without compression.
fn cases() -> impl Iterator<Item = (&'static str, &'static str, usize)> {
    let ways = [("udp", "none"), ("udp", "gzip"), ("udp", "zlib"), ("tcp", "none")];
    ways.into_iter().flat_map(|(transport, compression)| SIZES.map(|size| (transport, compression, size)))
}

/// Returns a vector with this input, and without expectations.
fn vector(mut input: Value) -> Vector {
    let more = json!({"id": "X", "title": "", "rule": "R1", "strict": {}});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(input).unwrap()
}

/// Asks the peer to send, and passes its bytes to a receiver of gelf-tokio over the loopback.
async fn from_peer(subject: &mut Process) -> Vec<(String, Cell)> {
    let mut outcomes = Vec::new();
    for (transport, compression, size) in cases() {
        let text = noise(size, size);
        let message = json!({"host": "h", "short_message": text, "level": 6, "fields": [["k", "v"]]});
        let vector = vector(json!({"send": {
            "transport": transport, "compression": compression, "datagram_size": 1420, "message": message,
        }}));
        let fixed = &subject.description().fixed.clone();
        let reply = subject.ask(Request::of(&vector, Mode::Lenient).unwrap()).unwrap();
        let outcome = match reply {
            Reply::Unsupported(_) => Cell::Unsupported,
            Reply::Observed(Observed { sent: Some(Sent::Datagrams(datagrams)), .. }) => {
                arrival(&text, fixed, by_udp(datagrams).await)
            }
            Reply::Observed(Observed { sent: Some(Sent::Stream(stream)), .. }) => {
                arrival(&text, fixed, by_tcp(stream).await)
            }
            Reply::Observed(Observed { sent: Some(Sent::Refused(words)), .. }) => {
                Cell::Wrong(format!("refused: {words}"))
            }
            other => Cell::Wrong(format!("{other:?}").chars().take(200).collect()),
        };
        outcomes.push((format!("{transport} {compression} {size}"), outcome));
    }
    outcomes
}

/// Checks that exactly the message with this text arrived. `fixed` are the members that the peer always sets
/// itself.
fn arrival(text: &str, fixed: &std::collections::BTreeSet<String>, payloads: Vec<Vec<u8>>) -> Cell {
    let [payload] = &payloads[..] else { return Cell::Wrong(format!("{} messages arrived", payloads.len())) };
    let decoded = match Decoder::lenient().decode(payload) {
        Ok(decoded) => decoded.message,
        Err(error) => return Cell::Wrong(error.to_string()),
    };
    let sets = |member| fixed.contains(member);
    if decoded.short_message() != text {
        let len = decoded.short_message().len();
        return Cell::Wrong(format!("another text, of {len} bytes"));
    }
    if decoded.field("k").and_then(|value| value.as_str()) != Some("v") {
        return Cell::Wrong("the field is missing".to_owned());
    }
    if !sets("host") && decoded.host() != Some("h") {
        return Cell::Wrong(format!("host {:?}", decoded.host()));
    }
    if !sets("level") && decoded.level() != Some(Level::Informational) {
        return Cell::Wrong(format!("level {:?}", decoded.level()));
    }
    Cell::Arrived
}

/// Sends datagrams to a receiver of gelf-tokio, and a last message that marks their end. Returns the received
/// payloads.
async fn by_udp(datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(receiver.local_addr().unwrap()).unwrap();
    for datagram in &datagrams {
        socket.send(datagram).unwrap();
    }
    socket.send(b"the end").unwrap();
    let mut payloads = Vec::new();
    loop {
        match timeout(LIMIT, receiver.recv()).await.unwrap().unwrap() {
            Ok(received) if *received.payload == *b"the end" => return payloads,
            Ok(received) => payloads.push(received.payload.to_vec()),
            Err(_) => {}
        }
    }
}

/// Sends a stream to a receiver of gelf-tokio, and a last frame that marks its end. Returns the received
/// payloads.
async fn by_tcp(stream: Vec<u8>) -> Vec<Vec<u8>> {
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    let sending = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(&stream).unwrap();
        // The first null byte ends a frame that the peer has left unterminated.
        connection.write_all(b"\0the end\0").unwrap();
    });
    let mut payloads = Vec::new();
    loop {
        match timeout(LIMIT, receiver.recv()).await.unwrap().unwrap() {
            Ok(received) if *received.payload == *b"the end" => break,
            Ok(received) => payloads.push(received.payload.to_vec()),
            Err(_) => {}
        }
    }
    sending.await.unwrap();
    payloads
}

/// Captures the bytes of a sender of gelf-tokio on the loopback, and passes them to the peer's decoder.
async fn to_peer(subject: &mut Process) -> Vec<(String, Cell)> {
    let mut outcomes = Vec::new();
    let whole = ["none", "gzip", "zlib"].map(|compression| ("udp/65507", compression, 60_000));
    for (transport, compression, size) in cases().chain(whole) {
        let text = noise(size, size);
        let message =
            Message::new("h", text.as_str()).with_level(Level::Informational).try_field("k", "v").unwrap();
        let input = if transport == "tcp" {
            json!({"stream": [{"hex": hex(&caught_by_tcp(&message).await)}]})
        } else {
            let datagram_size = transport.strip_prefix("udp/").unwrap_or("1420");
            let datagrams = caught_by_udp(compression, datagram_size, &message).await;
            let step = |datagram: &Vec<u8>| json!({"datagram": {"hex": hex(datagram)}});
            json!({"datagrams": datagrams.iter().map(step).collect::<Vec<_>>()})
        };
        let vector = vector(input);
        let outcome = match subject.ask(Request::of(&vector, Mode::Lenient).unwrap()).unwrap() {
            Reply::Unsupported(_) => Cell::Unsupported,
            Reply::Observed(Observed { messages, errors, .. }) => match &messages[..] {
                [message] => {
                    let got = |seen: &Option<JsonText>| seen.as_ref().and_then(|seen| seen.text());
                    let field = message.fields.get("k").and_then(|value| value.text());
                    if got(&message.short_message).as_deref() != Some(&text) {
                        Cell::Wrong("another text".to_owned())
                    } else if got(&message.host).as_deref() != Some("h") || field.as_deref() != Some("v") {
                        Cell::Wrong(format!("host {:?}, field {field:?}", got(&message.host)))
                    } else {
                        Cell::Arrived
                    }
                }
                other => Cell::Wrong(format!("{} messages, {errors:?}", other.len())),
            },
            other => Cell::Wrong(format!("{other:?}").chars().take(200).collect()),
        };
        outcomes.push((format!("{transport} {compression} {size}"), outcome));
    }
    outcomes
}

async fn caught_by_udp(compression: &str, datagram_size: &str, message: &Message<'_>) -> Vec<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let uri = format!("gelf://{address}?compression={compression}&datagram_size={datagram_size}");
    let mut sender = UdpSender::connect(&uri.parse::<Endpoint>().unwrap()).await.unwrap();
    // A thread reads the datagrams, because some socket buffers hold fewer than 128 datagrams.
    let reading = std::thread::spawn(move || {
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut buffer = vec![0; 65_536];
        let mut datagrams = Vec::new();
        while let Ok(len) = socket.recv(&mut buffer) {
            datagrams.push(buffer[..len].to_vec());
        }
        datagrams
    });
    sender.send(message).await.unwrap();
    tokio::task::spawn_blocking(|| reading.join().unwrap()).await.unwrap()
}

async fn caught_by_tcp(message: &Message<'_>) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("gelf+tcp://{}", listener.local_addr().unwrap());
    let reading = std::thread::spawn(move || {
        let mut stream = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut stream).unwrap();
        stream
    });
    let mut sender = TcpSender::connect(&uri.parse::<Endpoint>().unwrap()).await.unwrap();
    sender.send(message).await.unwrap();
    sender.close(LIMIT).await.unwrap();
    tokio::task::spawn_blocking(|| reading.join().unwrap()).await.unwrap()
}
