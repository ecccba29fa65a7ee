//! Benchmarks of joining lines and of parsing the content of lines. Throughput is in lines.
//!
//! In the group `content`, a benchmark whose name ends with `format` converts a line to a message with the
//! fields of the line's container. The other benchmarks of this group also parse the content of the line.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmarks may panic")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use docker_source::content::{ContainerContent, ContentLifter};
use docker_source::gelf::{GelfFormat, GelfFormatter};
use docker_source::multiline::{JoinOptions, Match, MultilineJoiner, Preset, Rule};
use docker_source::{Container, Record};
use gelf_benches::Corpus;

/// Lines of one container.
struct Lines(Vec<Arc<Record>>);

impl Lines {
    fn new<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let container = Arc::new(Container::builder("shop").image("shop:1").build());
        Self(
            lines.map(|line| Arc::new(Record::builder(container.clone(), line.to_owned()).build())).collect(),
        )
    }

    /// Returns the lines of the messages whose text `is_wanted` accepts.
    fn of(corpus: &Corpus, is_wanted: impl Fn(&str) -> bool) -> Self {
        let texts = corpus.samples.iter().map(|sample| sample.text.as_str()).filter(|text| is_wanted(text));
        Self::new(texts.flat_map(str::lines))
    }
}

fn joining(criterion: &mut Criterion) {
    let corpus = Corpus::new(1000);
    let access = Lines::of(&corpus, |text| text.contains("HTTP/1.1"));
    let traces = Lines::of(&corpus, |text| text.contains("\n\tat "));
    let java = Rule::preset(Preset::Java);
    let pattern = Rule::pattern(r"^\s", Match::NonFirst).unwrap();
    let date = Rule::pattern(r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}", Match::First).unwrap();
    let mut group = criterion.benchmark_group("join");
    for (name, lines, rule) in [
        ("no rule", &access, None),
        ("java, single lines", &access, Some(&java)),
        ("java, stack traces", &traces, Some(&java)),
        ("pattern ^\\s, single lines", &access, Some(&pattern)),
        ("pattern of a date, stack traces", &traces, Some(&date)),
    ] {
        group.throughput(Throughput::Elements(lines.0.len() as u64));
        group.bench_function(name, |bencher| {
            let mut joiner = MultilineJoiner::new(JoinOptions::default());
            bencher.iter(|| {
                for record in &lines.0 {
                    match rule {
                        Some(rule) => joiner.push(record.clone(), (), rule, Instant::now()),
                        None => joiner.pass(record.clone(), ()),
                    }
                    while let Some(message) = joiner.pop() {
                        black_box(message);
                    }
                }
            });
        });
    }
    group.finish();
}

fn content(criterion: &mut Criterion) {
    let corpus = Corpus::new(1000);
    let access = Lines::of(&corpus, |text| text.contains("HTTP/1.1"));
    let json = Lines::of(&corpus, |text| text.starts_with('{'));
    let typical = r#"{"level":30,"time":1795387458123,"pid":71,"hostname":"web-1","name":"orders","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","req":{"method":"POST","url":"/orders","remoteAddress":"10.0.17.4"},"order":4711,"customer":"c-20931","took":12.5,"ok":true,"msg":"order accepted, waiting for payment"}"#;
    let typical = Lines::new(std::iter::repeat_n(typical, 500));
    let pairs =
        "time=2026-11-22T22:44:18.123Z level=info msg=\"order accepted\" order=4711 took=12.5 customer=17";
    let logfmt = Lines::new(std::iter::repeat_n(pairs, 500));
    let plain =
        "2026-11-22 22:44:18,123 ERROR [http-nio-8080-exec-3] c.e.shop.OrderService - payment of order 4711";
    let plain = Lines::new(std::iter::repeat_n(plain, 500));
    let mut group = criterion.benchmark_group("content");
    for (name, lines, kinds) in [
        ("access line, format", &access, "off"),
        ("access line, all", &access, "all"),
        ("JSON, format", &json, "off"),
        ("JSON, json", &json, "json"),
        ("JSON of 320 bytes, format", &typical, "off"),
        ("JSON of 320 bytes, json", &typical, "json"),
        ("logfmt, format", &logfmt, "off"),
        ("logfmt, logfmt", &logfmt, "logfmt"),
        ("plain, format", &plain, "off"),
        ("plain, level", &plain, "level"),
    ] {
        group.throughput(Throughput::Elements(lines.0.len() as u64));
        group.bench_function(name, |bencher| {
            let mut formatter = GelfFormatter::new(GelfFormat::default());
            let mut lifter = ContentLifter::default();
            let mut content = ContainerContent::new(kinds.parse().unwrap());
            bencher.iter(|| {
                for record in &lines.0 {
                    let text = (!content.is_off()).then(|| formatter.text(record.bytes()));
                    let mut message = formatter.message(record);
                    if let Some(text) = text {
                        lifter.apply(&mut content, text, &mut message);
                    }
                    black_box(message);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(lines, joining, content);
criterion_main!(lines);
