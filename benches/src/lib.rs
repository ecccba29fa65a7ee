//! A reproducible corpus that resembles the output of containers, and work that several benchmarks share.
//!
//! Of a thousand messages, about 550 are access lines (1,010 bytes as GELF), 320 are JSON application logs
//! (1,510 bytes), 124 are stack traces (5.1 kB), and 6 are large stack traces (23 to 96 kB). Each message has
//! twelve additional fields from the metadata of its container, with about 700 bytes in total. In the JSON
//! logs, about one byte in nine needs an escape. In the other texts, about one byte in thirty needs an escape.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "benchmarks may panic"
)]

mod work;

use std::fmt::Write;

use bytes::BytesMut;
use gelf_core::{Encoder, FieldName, FieldSet, Level, Message, Timestamp};

pub use work::{ShortMessageLength, interleaved_chunks};

/// The content of a message.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The index of the message's container in the [`Corpus`].
    pub container: usize,
    /// The text of the log line.
    pub text: String,
    /// The timestamp.
    pub timestamp: Timestamp,
    /// The level.
    pub level: Level,
}

/// Containers with their messages.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The host and the fields of each container. The names of the fields have an underscore in front.
    pub containers: Vec<(String, Vec<(&'static str, String)>)>,
    /// The host and the fields of each container, encoded once.
    pub field_sets: Vec<FieldSet>,
    /// The messages.
    pub samples: Vec<Sample>,
}

/// A reproducible random number generator (Knuth's MMIX constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789abcdef"[self.below(16) as usize])).collect()
    }
}

const PATHS: [&str; 6] =
    ["/api/v1/orders", "/api/v1/users", "/health", "/static/app.js", "/login", "/cart/items"];
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Safari/605.1.15",
    "curl/8.5.0",
];
const CLASSES: [&str; 4] = ["OrderService", "PaymentGateway", "UserRepository", "HttpDispatcher"];

impl Corpus {
    /// Creates a corpus of messages from eight containers.
    pub fn new(messages: usize) -> Self {
        let mut numbers = Numbers(20_261_122);
        let containers: Vec<_> = (0..8).map(|at| container(&mut numbers, at)).collect();
        let field_sets = containers
            .iter()
            .map(|(host, fields)| {
                let mut set = FieldSet::builder(host.as_str());
                for (name, value) in fields {
                    set = set.field(FieldName::new(*name).expect("a name"), value.clone());
                }
                set.build()
            })
            .collect();
        let samples = (0..messages)
            .map(|at| {
                let text = match numbers.below(1000) {
                    0..550 => access_line(&mut numbers),
                    550..870 => json_line(&mut numbers),
                    870..994 => stack_trace(&mut numbers, 40, 80),
                    _ => stack_trace(&mut numbers, 300, 1400),
                };
                let nanos = 1_700_000_000_000_000_000 + (at as i64) * 1_234_567_891;
                Sample {
                    container: numbers.below(8) as usize,
                    text,
                    timestamp: Timestamp::from_unix_nanos(nanos),
                    level: if numbers.below(10) == 0 { Level::Error } else { Level::Informational },
                }
            })
            .collect();
        Self { containers, field_sets, samples }
    }

    /// Returns a sample as a message with the field set of its container.
    pub fn message<'a>(&'a self, sample: &'a Sample) -> Message<'a> {
        self.field_sets[sample.container]
            .message(sample.text.as_str())
            .with_timestamp(sample.timestamp)
            .with_level(sample.level)
    }

    /// Returns a sample as a message without a field set. The fields of the container are the message's own.
    pub fn free_message<'a>(&'a self, sample: &'a Sample) -> Message<'a> {
        let (host, fields) = &self.containers[sample.container];
        let message = Message::new(host.as_str(), sample.text.as_str());
        fields
            .iter()
            .fold(message, |message, (name, value)| {
                message.with_field(FieldName::from_static(name), value.as_str())
            })
            .with_timestamp(sample.timestamp)
            .with_level(sample.level)
    }

    /// Returns every message encoded as a payload.
    pub fn payloads(&self) -> Vec<Vec<u8>> {
        self.samples
            .iter()
            .map(|sample| {
                let mut payload = BytesMut::new();
                Encoder::new().encode(&self.message(sample), &mut payload);
                payload.to_vec()
            })
            .collect()
    }
}

fn container(numbers: &mut Numbers, at: usize) -> (String, Vec<(&'static str, String)>) {
    let id = numbers.hex(64);
    let fields = vec![
        ("_container_id", id.clone()),
        ("_container_name", format!("ecs-production-backend-{at}-app-{}", numbers.hex(20))),
        ("_image_id", format!("sha256:{}", numbers.hex(64))),
        ("_image_name", format!("registry.internal:5000/backend/service-{at}:2.{at}.1")),
        (
            "_command",
            "/usr/bin/java -Xmx512m -Dspring.profiles.active=production -jar /app/service.jar".to_owned(),
        ),
        ("_created", "2026-11-20T08:15:30.123456789Z".to_owned()),
        ("_tag", id[..12].to_owned()),
        ("_source_stream", "stdout".to_owned()),
        ("_ecs_cluster", "production".to_owned()),
        ("_ecs_task_arn", format!("arn:aws:ecs:eu-west-1:123456789012:task/production/{}", numbers.hex(32))),
        ("_ecs_task_definition", format!("backend-service-{at}:42")),
        ("_ec2_instance_id", format!("i-{}", numbers.hex(17))),
    ];
    (format!("ip-10-0-{at}-17.eu-west-1.compute.internal"), fields)
}

fn access_line(numbers: &mut Numbers) -> String {
    format!(
        "10.0.{}.{} - - [22/Nov/2026:22:44:{:02} +0000] \"GET {}/{}?page={} HTTP/1.1\" {} {} \"https://shop.example/\" \"{}\" 0.{:03}",
        numbers.below(256),
        numbers.below(256),
        numbers.below(60),
        numbers.pick(&PATHS),
        numbers.below(100_000),
        numbers.below(20),
        numbers.pick(&["200", "200", "200", "304", "404", "500"]),
        numbers.below(50_000),
        numbers.pick(&AGENTS),
        numbers.below(1000)
    )
}

fn json_line(numbers: &mut Numbers) -> String {
    let class = numbers.pick(&CLASSES);
    let mut line = format!(
        "{{\"timestamp\":\"2026-11-22T22:44:{:02}.{:03}Z\",\"level\":\"info\",\"logger\":\"com.example.shop.{class}\",\"thread\":\"http-nio-8080-exec-{}\",\"trace_id\":\"{}\",\"span_id\":\"{}\",\"message\":\"order {} of customer {} accepted after {} ms, waiting for the payment to be confirmed\"",
        numbers.below(60),
        numbers.below(1000),
        numbers.below(32),
        numbers.hex(32),
        numbers.hex(16),
        numbers.below(1_000_000),
        numbers.below(100_000),
        numbers.below(500)
    );
    for at in 0..numbers.below(6) + 1 {
        let _ = write!(
            line,
            ",\"{}_{at}\":{{\"name\":\"{}\",\"path\":\"{}/{}\",\"amount\":{}}}",
            numbers.pick(&["item", "discount", "shipment"]),
            numbers.pick(&["blue cotton shirt, size M", "loyalty programme", "express, before noon"]),
            numbers.pick(&PATHS),
            numbers.below(100_000),
            numbers.below(10_000)
        );
    }
    line + "}"
}

fn stack_trace(numbers: &mut Numbers, least: u64, most: u64) -> String {
    let mut trace = "java.lang.IllegalStateException: payment refused: \"insufficient funds\"".to_owned();
    for _ in 0..least + numbers.below(most - least) {
        let class = numbers.pick(&CLASSES);
        let _ = write!(trace, "\n\tat com.example.shop.{class}.handle({class}.java:{})", numbers.below(900));
    }
    trace
}
