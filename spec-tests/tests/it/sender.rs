//! Runs `gelf-conformance sender`, and checks its reports and its exit status.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use gelf_core::{
    Compression, CompressionLevel, DatagramSize, DatagramWriter, Level, Message, wire::Compressor,
};
use serde_json::{Value, json};

use crate::support::{conformance, noise};

const MESSAGE: &str = r#"{"version":"1.1","host":"h","short_message":"m"}"#;

/// A running `gelf-conformance sender`.
struct Listening {
    program: Child,
    udp: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
    http: Option<SocketAddr>,
    report: PathBuf,
    said: BufReader<std::process::ChildStderr>,
}

/// Exit status and reports of the program.
struct Ended {
    status: ExitStatus,
    text: String,
    report: Value,
}

impl Listening {
    /// Starts the program with these arguments, which are separated by spaces. Reads the addresses from
    /// standard error. `name` becomes a part of the name of the report file.
    fn start(name: &str, arguments: &str) -> Self {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let report = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sender-{name}.json"));
        let mut program = conformance()
            .arg("sender")
            .args(&arguments)
            .arg(format!("--report=json={}", report.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(program.stderr.take().unwrap());
        let (mut udp, mut tcp, mut http) = (None, None, None);
        for _ in 0..arguments.iter().filter(|argument| argument.ends_with(":0")).count() {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            let words: Vec<_> = line.trim_end().split([' ', ',']).collect();
            match words[..] {
                ["listening", "on", "udp", address, ..] => udp = Some(address.parse().unwrap()),
                ["listening", "on", "tcp", address, ..] => tcp = Some(address.parse().unwrap()),
                ["listening", "on", "http", address, ..] => http = Some(address.parse().unwrap()),
                _ => panic!("unexpected output: {line:?}"),
            }
        }
        Self { program, udp, tcp, http, report, said }
    }

    fn socket(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.udp.unwrap()).unwrap();
        socket
    }

    fn stream(&self, bytes: &[u8]) {
        TcpStream::connect(self.tcp.unwrap()).unwrap().write_all(bytes).unwrap();
    }

    /// Sends bytes on one HTTP connection, and then shuts down its sending direction. Returns the answers.
    fn posts(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.http.unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        answers
    }

    fn end(mut self) -> Ended {
        let mut text = String::new();
        self.program.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let mut errors = String::new();
        self.said.read_to_string(&mut errors).unwrap();
        if !errors.is_empty() {
            assert!(
                errors.starts_with("the first message has arrived") && errors.lines().count() == 1,
                "{errors}"
            );
        }
        let status = self.program.wait().unwrap();
        let report = serde_json::from_slice(&std::fs::read(&self.report).unwrap()).unwrap();
        std::fs::remove_file(&self.report).unwrap();
        Ended { status, text, report }
    }
}

impl Ended {
    /// Returns rule, name, severity and count of all violations.
    fn violations(&self) -> Vec<String> {
        let violations = self.report["violations"].as_array().unwrap();
        let of = |violation: &Value| {
            let [rule, name, severity] =
                ["rule", "name", "severity"].map(|name| violation[name].as_str().unwrap());
            format!("{rule} {name}, {severity} {}", violation["times"])
        };
        violations.iter().map(of).collect()
    }

    fn example(&self, name: &str) -> &Value {
        let violations = self.report["violations"].as_array().unwrap();
        &violations.iter().find(|violation| violation["name"] == name).unwrap()["examples"][0]
    }

    /// Returns the number of messages that a receiver accepts.
    fn takes(&self, name: &str) -> u64 {
        let receivers = self.report["receivers"].as_array().unwrap();
        receivers.iter().find(|receiver| receiver["name"] == name).unwrap()["takes"].as_u64().unwrap()
    }
}

fn long_message(compression: Compression) -> Vec<Vec<u8>> {
    let message = Message::new("h", noise(1, 3000)).with_level(Level::Error);
    let mut writer = DatagramWriter::new(compression, DatagramSize::WAN);
    let mut datagrams = Vec::new();
    for datagram in writer.write(&message).unwrap().0 {
        let mut bytes = Vec::new();
        datagram.write_to(&mut bytes);
        datagrams.push(bytes);
    }
    datagrams
}

#[test]
fn valid_messages_pass() {
    let listening = Listening::start("good", "--udp 127.0.0.1:0 --tcp 127.0.0.1:0 --messages 5 --for 60s");
    let socket = listening.socket();
    socket.send(MESSAGE.as_bytes()).unwrap();
    let gzip = Compression::Gzip(CompressionLevel::DEFAULT);
    let (chunked, compressed) = (long_message(Compression::None), long_message(gzip));
    assert_eq!((chunked.len(), compressed.len()), (3, 2));
    let mut bytes = MESSAGE.len();
    for datagram in chunked.iter().chain(&compressed) {
        bytes += socket.send(datagram).unwrap();
    }
    let frames = format!("{MESSAGE}\0{MESSAGE}\n\0");
    listening.stream(frames.as_bytes());
    let said = listening.end();
    assert_eq!(said.status.code(), Some(0), "{}", said.text);
    assert_eq!(said.violations(), [""; 0]);
    assert_eq!(said.report["messages"], 5);
    assert_eq!(said.report["datagrams"], 6);
    assert_eq!(said.report["connections"], 1);
    assert_eq!(said.report["bytes"], bytes + frames.len());
    assert_eq!(said.report["compressions"], json!({"gzip": 1, "none": 4}));
    assert_eq!(said.report["chunks"], json!({"0": 1, "2": 1, "3": 1}));
    for (receiver, takes) in [("Graylog", 5), ("Logstash", 5), ("go-gelf", 5), ("Vector", 5), ("Seq", 5)] {
        assert_eq!(said.takes(receiver), takes, "{receiver}");
    }
    assert_eq!(said.takes("Fluent Bit"), 1);
    assert!(said.text.contains("no rule is broken"), "{}", said.text);
    assert!(!said.text.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn violations_are_counted_by_rule() {
    let listening = Listening::start("bad", "--udp 127.0.0.1:0 --tcp 127.0.0.1:0 --for 2s");
    let socket = listening.socket();
    let level = format!("{},\"level\":\"3\"}}", &MESSAGE[..MESSAGE.len() - 1]);
    socket.send(format!("{MESSAGE}\0").as_bytes()).unwrap();
    socket.send(level.as_bytes()).unwrap();
    socket.send(level.as_bytes()).unwrap();
    socket.send(b"\x1e\x0fABCDEFGH\0\x02{").unwrap();
    socket.send(b"\x1e\x0fABC").unwrap();
    listening.stream(format!("{MESSAGE}\0{MESSAGE}").as_bytes());
    listening.stream(format!("{MESSAGE}\0\0").as_bytes());
    let address = socket.local_addr().unwrap().to_string();
    let said = listening.end();
    assert_eq!(said.status.code(), Some(1), "{}", said.text);
    assert_eq!(
        said.violations(),
        [
            "R7 WrongType level, broken 2",
            "R15 ChunkHeaderTruncated, broken 1",
            "R15 Incomplete, broken 1",
            "R25 UnterminatedFrame, broken 1",
            "R27 TrailingNul, broken 1",
            "R36 EmptyFrame, broken 1",
        ]
    );
    assert_eq!(said.report["messages"], 8);
    assert_eq!(said.report["datagrams"], 5);
    assert_eq!(said.report["connections"], 2);
    assert_eq!(said.report["compressions"], json!({"none": 7, "unknown": 1}));
    let example = said.example("WrongType level");
    assert_eq!(example["address"], address);
    assert_eq!(example["bytes"], r#"at byte 48: "ge\":\"m\",\"level\":\"3\"}""#);
    assert_eq!(said.example("Incomplete")["bytes"], "1e 0f 41 42 43 44 45 46 47 48 00 02 7b");
    // All receivers refuse the two incomplete messages. Some receivers also refuse the null byte, the quoted
    // levels or the unterminated frame.
    assert_eq!(said.takes("Graylog"), 5);
    assert_eq!(said.takes("Logstash"), 5);
    assert_eq!(said.takes("Vector"), 3);
    assert_eq!(said.takes("go-gelf"), 3);
    assert!(
        said.text.contains("R7   `level` is a number that equals an integer from 0 to 7"),
        "{}",
        said.text
    );
}

#[test]
fn no_receiver_accepts_chunks_or_tls_on_a_plain_tcp_port() {
    let listening = Listening::start("foreign", "--tcp 127.0.0.1:0 --for 1s");
    listening.stream(b"\x1e\x0f12345678\0\x02{");
    listening.stream(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03");
    let said = listening.end();
    assert_eq!(said.violations(), ["R25 ChunkedOnStream, broken 1", "R25 TlsHandshake, broken 1"]);
    for receiver in said.report["receivers"].as_array().unwrap() {
        assert_eq!(receiver["takes"], 0, "{receiver}");
    }
}

#[test]
fn a_run_without_messages_fails() {
    let said = Listening::start("nothing", "--tcp localhost:0 --for 100ms").end();
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(said.report["messages"], 0);
    assert!(said.text.contains("no messages received"), "{}", said.text);
}

#[test]
fn sigint_ends_the_program() {
    let mut listening = Listening::start("asked", "--udp 127.0.0.1:0");
    listening.socket().send(MESSAGE.as_bytes()).unwrap();
    let mut first = String::new();
    listening.said.read_line(&mut first).unwrap();
    assert!(first.starts_with("the first message has arrived from 127.0.0.1:"), "{first}");
    let asked = Command::new("kill").args(["-INT", &listening.program.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let said = listening.end();
    assert_eq!(said.status.code(), Some(0), "{}", said.text);
    assert_eq!(said.report["messages"], 1);
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let wrong: [&[&str]; 12] = [
        &["--udp", "nowhere"],
        &["--udp", "127.0.0.1"],
        &["--tcp"],
        &["--for", "soon"],
        &["--messages", "0"],
        &["--report", "html=a"],
        &["--other"],
        &["--http", "nowhere"],
        &["--bulk"],
        &["--status", "503"],
        &["--http", "127.0.0.1:0", "--status", "99"],
        &["--http", "127.0.0.1:0", "--status", "503", "--messages", "1"],
    ];
    for arguments in wrong {
        let said = conformance().arg("sender").args(arguments).output().unwrap();
        assert_eq!(said.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_before_the_run() {
    let said = conformance()
        .args(["sender", "--udp", "127.0.0.1:0", "--report", "json=/no/such/x"])
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(1));
    let errors = String::from_utf8(said.stderr).unwrap();
    assert!(
        errors.starts_with("gelf-conformance: /no/such/x: ") && !errors.contains("listening"),
        "{errors}"
    );
}

#[test]
fn an_address_in_use_is_an_error() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = conformance().args(["sender", "--udp", &address]).output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    let errors = String::from_utf8(said.stderr).unwrap();
    assert!(errors.starts_with(&format!("gelf-conformance: udp {address}: ")), "{errors}");
}

/// Returns a request with these headers in addition to the usual headers.
fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let head = "POST /gelf HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    [format!("{head}{headers}Content-Length: {len}\r\n\r\n").as_bytes(), body].concat()
}

#[test]
fn valid_requests_pass() {
    let listening = Listening::start("http-good", "--http 127.0.0.1:0 --messages 3 --for 60s");
    let body = format!("{MESSAGE}\n");
    let gzip = Compressor::new(Compression::default()).compress(body.as_bytes()).to_vec();
    let len = body.len();
    let chunked = format!(
        "POST /gelf HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n{body}\r\n0\r\n\r\n"
    );
    let requests =
        [post("", body.as_bytes()), post("Content-Encoding: gzip\r\n", &gzip), chunked.into_bytes()].concat();
    let answers = listening.posts(&requests);
    let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(answers, accepted.repeat(3));
    let said = listening.end();
    assert_eq!(said.status.code(), Some(0), "{}", said.text);
    assert_eq!(said.violations(), [""; 0]);
    assert_eq!(said.report["messages"], 3);
    assert_eq!(said.report["connections"], 1);
    assert_eq!(said.report["bytes"], requests.len());
    assert_eq!(said.report["compressions"], json!({"gzip": 1, "none": 2}));
    let sender = &said.report["senders"][0];
    assert_eq!((&sender["transport"], &sender["requests"]), (&json!("http"), &json!(3)));
    assert_eq!(
        said.report["http"],
        json!({
            "requests": 3, "content_length": 2, "chunked": 1, "encodings": {"gzip": 1, "none": 2},
            "most_messages": 1, "most_bytes": len, "most_on_connection": 3, "answers": {"202": 3}
        })
    );
    assert_eq!(said.takes("Graylog"), 3);
    let graylog = &said.report["receivers"].as_array().unwrap()[0];
    assert_eq!((&graylog["name"], &graylog["of"]), (&json!("Graylog"), &json!(3)));
    assert!(said.text.contains("Graylog  ") && !said.text.contains("Logstash"), "{}", said.text);
}

#[test]
fn violations_of_requests_are_counted_by_rule() {
    let listening = Listening::start("http-bad", "--http 127.0.0.1:0 --for 4s");
    let of = |line: &str| {
        let len = MESSAGE.len();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n"
        );
        format!("{head}\r\n{MESSAGE}").into_bytes()
    };
    let several = format!("{MESSAGE}\n{MESSAGE}");
    let level = format!("{},\"level\":\"3\"}}", &MESSAGE[..MESSAGE.len() - 1]);
    let requests = [
        of("PUT /gelf"),
        of("POST /gelf?a=b"),
        post("", several.as_bytes()),
        post("", level.as_bytes()),
        post("Content-Encoding: gzip\r\n", MESSAGE.as_bytes()),
        cut_off(post("", MESSAGE.as_bytes())),
    ];
    let answers = listening.posts(&requests.concat());
    assert_eq!(answers.matches("HTTP/1.1 202").count(), 5, "{answers}");
    assert!(listening.posts(MESSAGE.as_bytes()).is_empty());
    let answer = listening.posts(format!("{MESSAGE}\n\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let said = listening.end();
    assert_eq!(said.status.code(), Some(1), "{}", said.text);
    assert_eq!(
        said.violations(),
        [
            "R7 WrongType level, broken 1",
            "R28 EncodingMismatch, broken 1",
            "R28 HttpSyntax, broken 1",
            "R28 IncompleteRequest, broken 2",
            "R28 Method, broken 1",
            "R28 Path, broken 1",
            "R28 SeveralMessages, broken 1",
            "R29 UnterminatedBody, odd 4",
        ]
    );
    assert_eq!(said.example("Path")["bytes"], "\"POST /gelf?a=b HTTP/1.1\"");
    // Graylog accepts only two: the first of two messages in one body, and the message with a quoted level.
    assert_eq!((&said.report["messages"], said.takes("Graylog")), (&json!(9), 2));
}

/// Removes the last five bytes of a request.
fn cut_off(mut request: Vec<u8>) -> Vec<u8> {
    request.truncate(request.len() - 5);
    request
}

#[test]
fn bulk_mode_reads_lines() {
    let listening = Listening::start("http-bulk", "--http 127.0.0.1:0 --bulk --messages 4 --for 60s");
    let lines = format!("{MESSAGE}\n{MESSAGE}");
    let requests = [post("", format!("{lines}\n").as_bytes()), post("", lines.as_bytes())].concat();
    listening.posts(&requests);
    let said = listening.end();
    assert_eq!(said.status.code(), Some(0), "{}", said.text);
    assert_eq!(said.violations(), ["R29 UnterminatedLine, odd 1"]);
    assert_eq!((&said.report["messages"], said.takes("Graylog")), (&json!(4), 4));
}

#[test]
fn retries_and_missing_retries_are_reported() {
    let listening = Listening::start("http-retry", "--http 127.0.0.1:0 --status 503 --for 5s");
    let status = |answers: &str| answers.get(9..12).unwrap().to_owned();
    let other = MESSAGE.replace("\"m\"", "\"n\"");
    let first = listening.posts(&post("", MESSAGE.as_bytes()));
    let second = listening.posts(&post("", other.as_bytes()));
    let again = listening.posts(&post("", MESSAGE.as_bytes()));
    assert_eq!([status(&first), status(&second), status(&again)], ["503", "503", "202"]);
    let said = listening.end();
    assert_eq!(said.status.code(), Some(1), "{}", said.text);
    assert_eq!(said.violations(), ["R42 NotRetried, broken 1"]);
    assert!(said.example("NotRetried")["bytes"].as_str().unwrap().contains("\\\"n\\\""));
    let retries = &said.report["http"]["retries"];
    assert_eq!((&retries["messages"], &retries["came_again"]), (&json!(2), &json!(1)));
    assert_eq!(said.report["messages"], 2, "a retried message is not counted again");
    assert!(said.text.contains("of 2 messages answered with 503, 1 retried"), "{}", said.text);
}

#[test]
fn messages_are_answered_as_graylog_answers_them() {
    let arguments = "--tcp 127.0.0.1:0 --http 127.0.0.1:0 --as graylog --messages 6 --for 60s";
    let listening = Listening::start("graylog", arguments);
    let mut stream = TcpStream::connect(listening.tcp.unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(format!("{MESSAGE}\0\0{MESSAGE}\0").as_bytes()).unwrap();
    // The program closes the connection at the empty frame, although this side has not closed it. If unread
    // bytes remain, the kernel resets the connection.
    assert!(!matches!(stream.read(&mut [0]), Ok(1)));
    let answer = |request: Vec<u8>| {
        let answers = listening.posts(&request);
        (answers.lines().next().unwrap().to_owned(), answers.contains("Connection: close"))
    };
    let changed = |from: &str, to: &str| {
        String::from_utf8(post("", MESSAGE.as_bytes())).unwrap().replacen(from, to, 1).into_bytes()
    };
    let long = MESSAGE.replace("\"m\"", &format!("\"{}\"", "m".repeat(65_536)));
    let gzip = Compressor::new(Compression::default()).compress(long.as_bytes()).to_vec();
    for (request, status) in [
        (post("", MESSAGE.as_bytes()), "202 Accepted"),
        (post("", b"not JSON"), "202 Accepted"),
        (changed("/gelf", "/gelf?a"), "404 Not Found"),
        (changed("POST", "PUT"), "405 Method Not Allowed"),
        (post("Content-Encoding: gzip\r\n", &gzip), "413 Content Too Large"),
    ] {
        assert_eq!(answer(request), (format!("HTTP/1.1 {status}"), status.starts_with("413")));
    }
    let said = listening.end();
    assert_eq!((&said.report["messages"], &said.report["ended_connections"]), (&json!(6), &json!(1)));
    assert!(said.text.contains("1 connections closed after a frame of less than two bytes"), "{}", said.text);
}

#[test]
fn a_waiting_sender_receives_100_continue() {
    let listening = Listening::start("http-100", "--http 127.0.0.1:0 --messages 1 --for 60s");
    let mut stream = TcpStream::connect(listening.http.unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = post("Expect: 100-continue\r\n", MESSAGE.as_bytes());
    let (head, body) = request.split_at(request.len() - MESSAGE.len());
    stream.write_all(head).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body).unwrap();
    stream.read_exact(&mut told).unwrap();
    assert!(told.starts_with(b"HTTP/1.1 202 Accepted\r\n"));
    let said = listening.end();
    assert_eq!((said.status.code(), said.violations()), (Some(0), vec![]));
}
