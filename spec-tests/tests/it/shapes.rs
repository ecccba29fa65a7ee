//! Tests that Graylog's codec and a simulation of Logstash's input read the messages of gelf-router in each
//! shape. The shapes are the values of the router's option `compat`.
//!
//! The tests of docker-source compare its messages with the golden files byte for byte. These tests read the
//! same files with other implementations.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use gelf_spec_tests::hex;
use real_engine::{require_path, require_variable};
use serde_json::{Map, Value, json};

const SHAPES: [(&str, &str); 3] = [
    ("docker", include_str!("../../../docker-source/tests/golden/docker.jsonl")),
    ("micahhausler", include_str!("../../../docker-source/tests/golden/micahhausler.jsonl")),
    ("vincit-2017", include_str!("../../../docker-source/tests/golden/vincit-2017.jsonl")),
];

/// The first line of the golden files as `rickalm/logspout-gelf` sent it in 2017. The names have no
/// leading underscore, the timestamp is a string, and the level for stdout is 3.
const RICKALM: &str = r#"{"version":"1.1","host":"engine-1","short_message":"GET /items/17 200 \u003c1.5 ms\u003e","timestamp":"2017-10-06T07:08:09.98765432Z","level":3,"image_id":"sha256:4f0c9dbb2b7e0f6c3d1a5e8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d","image_name":"registry.example/backend-app:58","container_id":"9cd5aab0f0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456","container_name":"/ecs-production-backend-app-12-app-9cd5aab0f0a1b2c3d4e5","command":"node server.js"}"#;

/// The same line as `micahhausler/logspout-gelf` sends it.
const MICAHHAUSLER: &str = r#"{"version":"1.1","host":"engine-1","short_message":"GET /items/17 200 \u003c1.5 ms\u003e","timestamp":1507273689.987,"level":6,"_command":"node server.js","_container_id":"9cd5aab0f0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456","_container_name":"ecs-production-backend-app-12-app-9cd5aab0f0a1b2c3d4e5","_created":"2017-10-05T11:22:33.123456789Z","_image_id":"sha256:4f0c9dbb2b7e0f6c3d1a5e8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d","_image_name":"registry.example/backend-app:58","_team":"payments"}"#;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn messages() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHAPES.into_iter().flat_map(|(shape, text)| text.lines().map(move |message| (shape, message)))
}

/// A program that answers line by line.
struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.stdin, "{question}").unwrap();
        self.next()
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn graylog_keeps_the_millisecond_and_the_fields_of_each_shape_except_a_field_named_timestamp() {
    if !require_path("peers", &repository().join("target/peers/java-graylog-server")) {
        return;
    }
    let run = repository().join("spec-tests/peers/java-graylog-server/run");
    let mut graylog = Program::start(&mut Command::new(run));
    for (shape, text) in messages() {
        let step = json!({"from": "A", "at": 0, "hex": hex(text.as_bytes())});
        let answer = graylog.ask(
            &json!({"do": "receive", "id": shape, "transport": "udp", "mode": "lenient", "steps": [step]}),
        );
        assert_eq!(answer["errors"], json!([]), "{shape}: {answer}");
        let [message] = answer["messages"].as_array().unwrap().as_slice() else {
            panic!("{shape}: {answer}")
        };
        let sent: Map<String, Value> = serde_json::from_str(text).unwrap();
        for name in ["host", "short_message", "level"] {
            assert_eq!(message[name], sent[name], "{shape}: {name}");
        }
        // Graylog rounds timestamps to milliseconds.
        let millisecond = if shape == "micahhausler" { 987 } else { 988 };
        assert_eq!(message["timestamp"].to_string(), format!("1507273689.{millisecond}"), "{shape}");
        let fields = message["fields"].as_object().unwrap();
        for (name, value) in sent.iter().filter_map(|(name, value)| Some((name.strip_prefix('_')?, value))) {
            match (shape, name) {
                // The field `timestamp` collides with Graylog's own timestamp, and is lost.
                ("vincit-2017", "timestamp") => assert_eq!(fields.get(name), None),
                _ => assert_eq!(fields.get(name), Some(value), "{shape}: {name}"),
            }
        }
    }
}

/// A simulation of Logstash's GELF input on a free port, with the pipeline in `deploy/logstash`.
struct Logstash {
    program: Program,
    socket: UdpSocket,
}

impl Logstash {
    fn start(python: &str) -> Self {
        let mut command = Command::new(python);
        command.arg(repository().join("spec-tests/support/logstash/logstash.py"));
        command.arg(repository().join("deploy/logstash/ecs.conf")).arg("127.0.0.1:0").stderr(Stdio::piped());
        let mut program = Program::start(&mut command);
        let mut listening = String::new();
        BufReader::new(program.child.stderr.take().unwrap()).read_line(&mut listening).unwrap();
        let address =
            listening.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{listening:?}"));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        Self { program, socket }
    }

    fn event(&mut self, message: &str) -> Map<String, Value> {
        self.socket.send(message.as_bytes()).unwrap();
        match self.program.next() {
            Value::Object(event) => event,
            other => panic!("{other}"),
        }
    }
}

/// Removes `@timestamp`, and the members that not all of the programs send.
fn common(mut event: Map<String, Value>) -> Map<String, Value> {
    event.retain(|name, _| {
        !name.starts_with("ecs_") && !["@timestamp", "task", "team"].contains(&name.as_str())
    });
    event
}

#[test]
fn logstash_reads_the_members_of_the_original_programs_from_our_messages_as_from_theirs() {
    let Some(python) = require_variable("logstash", "GELF_TESTS_LOGSTASH") else { return };
    let mut logstash = Logstash::start(&python);
    for (theirs, ours) in [(RICKALM, SHAPES[2].1), (MICAHHAUSLER, SHAPES[1].1)] {
        let theirs = logstash.event(theirs);
        let ours = logstash.event(ours.lines().next().unwrap());
        assert_eq!(common(ours), common(theirs));
    }
}

#[test]
fn logstash_reads_each_shape_with_the_time_of_docker() {
    let Some(python) = require_variable("logstash", "GELF_TESTS_LOGSTASH") else { return };
    let mut logstash = Logstash::start(&python);
    for (shape, text) in messages() {
        let event = logstash.event(text);
        let sent: Map<String, Value> = serde_json::from_str(text).unwrap();
        assert_eq!(event["message"], sent["short_message"]);
        assert_eq!((&event["type"], &event["host"]), (&json!("ecs"), &json!("engine-1")));
        let fraction = if shape == "micahhausler" { "987000000" } else { "987654320" };
        assert_eq!(event["@timestamp"], format!("2017-10-06T07:08:09.{fraction}Z"), "{shape}");
        // The grok pattern requires the slash before the container's name.
        let grok =
            ["environment", "service", "container"].map(|name| event.get(name).and_then(Value::as_str));
        let is_task = sent.contains_key("_ecs_task_family");
        let (expected, tags) = match (shape, is_task) {
            ("vincit-2017", true) => ([Some("production"), Some("backend-app"), Some("app")], None),
            ("vincit-2017", false) => ([None, None, Some("agent")], None),
            _ => ([None; 3], Some(json!(["_grokparsefailure"]))),
        };
        assert_eq!((grok, event.get("tags")), (expected, tags.as_ref()), "{shape}");
        let typed = json!({"environment": "production", "service": "backend-app", "container": "app"});
        assert_eq!(event.get("task"), is_task.then_some(&typed), "{shape}");
    }
}
