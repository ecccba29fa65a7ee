//! Reads the datagrams of the UDP sender with Wireshark's dissector.
//!
//! tshark captures on the loopback, then reads the capture with each datagram decoded as GELF. It prints the
//! keys and values of each message, and the errors of each datagram.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use gelf_tokio::UdpSender;
use gelf_tokio::gelf_core::{
    Compression, CompressionLevel, FieldName, Level, Message, Timestamp, wire::Compressor,
};

/// Maximum time for a step of tshark.
const TSHARK_TIMEOUT: Duration = Duration::from_secs(60);

/// Fields that tshark prints for each datagram.
const FIELDS: [&str; 13] = [
    "gelf.type",
    "gelf.chunk.number",
    "gelf.chunk.count",
    "gelf.reassembled.in",
    "gelf.fragment.count",
    "_ws.expert.severity",
    "_ws.expert.message",
    "gelf.invalid_header",
    "gelf.broken_compression",
    "gelf.fragment.error",
    "json.key",
    "json.value.string",
    "json.value.number",
];

/// A message that must be read.
#[derive(Clone, Debug, PartialEq)]
struct Numbered {
    number: i64,
    text: String,
}

impl Numbered {
    /// Creates a message whose text compresses to about three quarters.
    fn new(number: i64, len: usize) -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
        let mut state = number as u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(ALPHABET[(state >> 58) as usize])
        };
        Self { number, text: (0..len).map(|_| next()).collect() }
    }

    fn message(&self) -> Message<'_> {
        Message::new("spec-tests", self.text.as_str())
            .with_timestamp(Timestamp::from_unix_nanos(1_700_000_000_123_456_789))
            .with_level(Level::Notice)
            .with_field(FieldName::from_static("number"), self.number)
    }
}

/// Returns the errors in a capture of `expected` messages in `datagrams` datagrams.
fn problems(capture: &[Datagram], datagrams: usize, expected: &[Numbered]) -> Vec<String> {
    let mut problems = Vec::new();
    if capture.len() != datagrams {
        problems.push(format!("{} datagrams instead of {datagrams}", capture.len()));
    }
    let mut messages = Vec::new();
    for (index, datagram) in capture.iter().enumerate() {
        if let Some(error) = datagram.error() {
            problems.push(format!("datagram {index}: {error}"));
        }
        // The last chunk of a message has its fragment count; the others refer to the last.
        if datagram["gelf.type"] == "0x1e0f"
            && datagram["gelf.reassembled.in"].is_empty()
            && datagram["gelf.fragment.count"] != datagram["gelf.chunk.count"]
        {
            problems.push(format!("datagram {index}: a chunk without a message"));
        }
        match datagram.message() {
            Some(Ok(message)) => messages.push(message),
            Some(Err(found)) => problems.push(format!("datagram {index}: {found}")),
            None => {}
        }
    }
    if messages != expected {
        problems.push(format!("{} messages read, {} expected", messages.len(), expected.len()));
    }
    problems
}

/// Fields of a datagram as tshark prints them: one value for each of [`FIELDS`].
#[derive(Debug)]
struct Datagram(Vec<String>);

impl std::ops::Index<&str> for Datagram {
    type Output = String;

    fn index(&self, field: &str) -> &String {
        &self.0[FIELDS.iter().position(|name| *name == field).expect("a requested field")]
    }
}

impl Datagram {
    fn error(&self) -> Option<String> {
        let marks = ["gelf.invalid_header", "gelf.broken_compression", "gelf.fragment.error"];
        let marked = marks.into_iter().find(|field| !self[field].is_empty());
        let expert = &self["_ws.expert.message"];
        match marked {
            Some(field) => Some(format!("{field}: {expert}")),
            None if !self["_ws.expert.severity"].is_empty() => Some(expert.clone()),
            None if self["gelf.type"].is_empty() => Some("not GELF".to_owned()),
            None => None,
        }
    }

    /// Returns the message that the datagram carries or completes, if its members are exactly the expected
    /// ones.
    fn message(&self) -> Option<Result<Numbered, String>> {
        if self["json.key"].is_empty() {
            return None;
        }
        let keys = self["json.key"].as_str();
        let strings: Vec<&str> = self["json.value.string"].split('|').collect();
        let numbers: Vec<&str> = self["json.value.number"].split('|').collect();
        Some(match (keys, strings.as_slice(), numbers.as_slice()) {
            (
                "version|host|timestamp|level|short_message|_number",
                ["1.1", "spec-tests", text],
                ["1700000000.123456789", "5", number],
            ) => Ok(Numbered { number: number.parse().expect("a number"), text: (*text).to_owned() }),
            _ => Err(format!("{keys}: {strings:?} {numbers:?}")),
        })
    }
}

/// A running tshark that captures the datagrams to one port.
struct Capture {
    tshark: Child,
    lines: Receiver<String>,
    file: PathBuf,
    /// Keeps the port open, so that no ICMP errors are sent. Never read.
    sink: UdpSocket,
}

impl Capture {
    /// Starts tshark and waits until it captures. Returns `None`, with the reason on stderr, if it cannot.
    fn start() -> Option<Self> {
        if !real_engine::require("tshark") {
            return None;
        }
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = sink.local_addr().unwrap().port();
        let file = env::temp_dir().join(format!("gelf-spec-tests-{}-{port}.pcapng", process::id()));
        let mut tshark = Command::new("tshark")
            .args(["-i", "lo", "-B", "32", "-f", &format!("udp dst port {port}"), "-w"])
            .arg(&file)
            .args(["-P", "-l", "-T", "fields", "-e", "udp.srcport"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tshark starts");
        let (line, lines) = mpsc::channel();
        let stdout = BufReader::new(tshark.stdout.take().expect("stdout is piped"));
        thread::spawn(move || {
            for read in stdout.lines().map_while(Result::ok) {
                if line.send(read).is_err() {
                    break;
                }
            }
        });
        let mut capture = Self { tshark, lines, file, sink };
        let started = Instant::now();
        let marker = UdpSocket::bind("127.0.0.1:0").unwrap();
        // tshark announces the capture before it starts, so marker datagrams are sent until one is seen.
        loop {
            marker.send_to(b"{}", ("127.0.0.1", port)).unwrap();
            match capture.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(_) => return Some(capture),
                Err(RecvTimeoutError::Timeout) => {
                    assert!(started.elapsed() < TSHARK_TIMEOUT, "tshark captures nothing");
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let mut reason = String::new();
                    capture.tshark.stderr.take().map(|mut stderr| stderr.read_to_string(&mut reason));
                    let required = env::var("GELF_TESTS_REQUIRE").unwrap_or_default();
                    assert!(!required.contains("tshark"), "tshark is required and cannot capture: {reason}");
                    eprintln!("skipped: tshark cannot capture: {reason}");
                    return None;
                }
            }
        }
    }

    fn port(&self) -> u16 {
        self.sink.local_addr().unwrap().port()
    }

    /// Waits until `datagrams` datagrams from port `from` are captured, ends the capture, and reads them.
    fn read(mut self, datagrams: usize, from: u16) -> Vec<Datagram> {
        let port = self.port();
        let started = Instant::now();
        let mut seen = 0;
        while seen < datagrams {
            match self.lines.recv_timeout(TSHARK_TIMEOUT) {
                // Markers come from other ports.
                Ok(source) => seen += usize::from(source == from.to_string()),
                Err(error) => panic!("{error} after {seen} datagrams and {:?}", started.elapsed()),
            }
        }
        let interrupt = format!("kill -INT {}", self.tshark.id());
        assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
        self.tshark.wait().unwrap();

        let mut read = Command::new("tshark");
        read.args(["-2", "-r"]).arg(&self.file).args(["-d", &format!("udp.port=={port},gelf")]);
        read.args(["-Y", &format!("udp.srcport=={from}"), "-T", "fields"]);
        read.args(["-E", "separator=/t", "-E", "aggregator=|", "-E", "occurrence=a"]);
        for field in FIELDS {
            read.args(["-e", field]);
        }
        let output = read.output().expect("tshark starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| {
                let values: Vec<String> = line.split('\t').map(str::to_owned).collect();
                assert_eq!(values.len(), FIELDS.len(), "{line}");
                Datagram(values)
            })
            .collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Both have already happened unless the test failed.
        let _ = self.tshark.kill();
        let _ = self.tshark.wait();
        let _ = fs::remove_file(&self.file);
    }
}

/// Returns the first two bytes of an unchunked datagram.
fn magic(compression: &str) -> &'static str {
    match compression {
        "gzip" => "0x1f8b",
        "zlib" => "0x789c",
        _ => "0x7b22",
    }
}

/// Sends messages of this size, reads the capture, and checks the number of datagrams.
async fn every_message_is_read(compression: &str, datagram_size: usize, len: usize, count: i64) {
    let Some(capture) = Capture::start() else { return };
    let uri = format!(
        "gelf://127.0.0.1:{}?compression={compression}&datagram_size={datagram_size}",
        capture.port()
    );
    let mut sender = UdpSender::connect(&uri.parse().unwrap()).await.unwrap();
    // Segmented sends are captured on the loopback before they are split into datagrams.
    sender.set_segmentation(false);
    let expected: Vec<Numbered> = (0..count).map(|number| Numbered::new(number, len)).collect();
    let mut datagrams = 0;
    let mut chunks = 0;
    for numbered in &expected {
        let sent = sender.send(&numbered.message()).await.unwrap();
        datagrams += sent.datagrams;
        chunks += if sent.datagrams > 1 { sent.datagrams } else { 0 };
    }
    let read = capture.read(datagrams, sender.local_addr().unwrap().port());
    assert_eq!(problems(&read, datagrams, &expected), Vec::<String>::new());

    let of_type = |magic: &str| read.iter().filter(|datagram| datagram["gelf.type"] == magic).count();
    assert_eq!(of_type("0x1e0f"), chunks);
    assert_eq!(of_type(magic(compression)), datagrams - chunks);
    // Exactly the cases meant to be chunked are chunked.
    let is_chunked = chunks > 0;
    assert_eq!(is_chunked, len > datagram_size);
}

/// Sends messages of this size with each compression.
async fn each_compression_is_read(datagram_size: usize, len: usize, count: i64) {
    for compression in ["none", "gzip", "zlib"] {
        every_message_is_read(compression, datagram_size, len, count).await;
    }
}

#[tokio::test]
async fn short_messages_are_read() {
    each_compression_is_read(1420, 100, 50).await;
}

#[tokio::test]
async fn chunked_messages_are_read() {
    each_compression_is_read(1420, 5000, 50).await;
}

#[tokio::test]
async fn messages_of_many_small_chunks_are_read() {
    each_compression_is_read(200, 20_000, 5).await;
}

#[tokio::test]
async fn messages_of_60_kb_in_one_datagram_are_read() {
    each_compression_is_read(65_507, 60_000, 10).await;
}

/// The check finds a corrupt byte of a compressed payload, a missing chunk and a truncated message.
#[test]
fn invalid_datagrams_are_found() {
    let Some(capture) = Capture::start() else { return };
    let good = Numbered::new(0, 100);
    let mut payload = bytes(&good);
    let mut wrong_byte =
        Compressor::new(Compression::Zlib(CompressionLevel::DEFAULT)).compress(&payload).to_vec();
    wrong_byte[20] ^= 0xff;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", capture.port())).unwrap();
    socket.send(&payload).unwrap();
    socket.send(&wrong_byte).unwrap();
    socket.send(b"\x1e\x0fmessage1\x00\x02half").unwrap();
    payload.truncate(payload.len() / 2);
    socket.send(&payload).unwrap();
    socket.send(b"not GELF").unwrap();
    let read = capture.read(5, socket.local_addr().unwrap().port());
    let found = problems(&read, 5, &[good.clone(), good.clone()]);
    assert_eq!(
        found,
        [
            "datagram 1: gelf.broken_compression: Can't uncompress message",
            "datagram 2: a chunk without a message",
            "datagram 4: gelf.invalid_header: Invalid header magic",
            "1 messages read, 2 expected",
        ]
    );
    assert_eq!(problems(&read[..1], 1, &[good]), Vec::<String>::new());
    assert_eq!(problems(&read[..1], 2, &[Numbered::new(0, 99)]).len(), 2);
}

fn bytes(numbered: &Numbered) -> Vec<u8> {
    format!(
        r#"{{"version":"1.1","host":"spec-tests","timestamp":1700000000.123456789,"level":5,"short_message":"{}","_number":{}}}"#,
        numbered.text, numbered.number
    )
    .into_bytes()
}
