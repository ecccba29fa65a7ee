//! Helpers for the tests.

use std::fmt::Write as _;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docker_source::{EngineAddress, Record, Source, SourceBuilder, Stats, Timing};
use simulated_engine::SimulatedEngine;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::DefaultGuard;

/// The time limit for each expected event. The limit is long enough for a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns a timing with short waits, and with a long interval between two lists of the containers.
pub(crate) fn timing() -> Timing {
    let mut timing = Timing::default();
    timing.resume_min = Duration::from_millis(1);
    timing.resume_max = Duration::from_millis(20);
    timing.reconnect_min = Duration::from_millis(1);
    timing.reconnect_max = Duration::from_millis(20);
    timing.list_interval = Duration::from_secs(600);
    // With zero latency, the source reads each log by a stream, however fast the lines arrive.
    timing.latency = Duration::ZERO;
    timing
}

pub(crate) fn builder(engine: &SimulatedEngine) -> SourceBuilder {
    let address: EngineAddress = engine.docker_host().parse().unwrap();
    Source::builder().address(address).timing(timing())
}

/// Connects, and waits until the source has applied the first list.
pub(crate) async fn connect(engine: &SimulatedEngine) -> Source {
    ready(builder(engine)).await
}

pub(crate) async fn ready(builder: SourceBuilder) -> Source {
    let source = builder.connect().await.unwrap();
    eventually(&source.stats(), |stats| stats.snapshot().lists > 0).await;
    source
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.expect("timed out")
}

pub(crate) async fn next(source: &mut Source) -> Record {
    within(source.next()).await.unwrap().expect("the source ended")
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.bytes()).into_owned()
}

/// Returns the texts of the next `count` lines.
pub(crate) async fn texts(source: &mut Source, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(&next(source).await));
    }
    texts
}

/// Polls the counters until `holds` returns true.
pub(crate) async fn eventually(stats: &Arc<Stats>, holds: impl Fn(&Stats) -> bool) {
    let looking = async {
        while !holds(stats) {
            assert_balanced(stats);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(TIMEOUT, looking).await.is_err() {
        panic!("the counters never reached the state: {:#?}", stats.snapshot());
    }
    assert_balanced(stats);
}

/// Asserts that every line that was read is accounted for, in total and for each container.
pub(crate) fn assert_balanced(stats: &Stats) {
    let snapshot = stats.snapshot();
    let containers = snapshot.containers.values().copied();
    for counts in containers.chain([snapshot.total]) {
        let sum = counts.yielded
            + counts.skipped_empty
            + counts.skipped_repeated
            + counts.skipped_old
            + counts.in_flight;
        assert_eq!(counts.read, sum, "{counts:?}");
    }
}

/// Stops the source, and asserts that it yields no further lines.
pub(crate) async fn assert_nothing_left(source: &mut Source) {
    source.stop();
    let rest = within(async {
        let mut rest = Vec::new();
        while let Some(record) = source.next().await.unwrap() {
            rest.push(text(&record));
        }
        rest
    })
    .await;
    assert_eq!(rest, Vec::<String>::new());
    assert_balanced(&source.stats());
    assert_eq!(source.stats().snapshot().total.in_flight, 0);
}

/// A collector of the events that docker-source logs on the current thread. Dropping this value ends the
/// collection. Each event is a line of the form `LEVEL message field=value`.
pub(crate) struct Logged {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Logged {
    pub(crate) fn here() -> Self {
        let lines = Arc::default();
        let guard = tracing::subscriber::set_default(Collector { lines: Arc::clone(&lines) });
        Self { lines, _guard: guard }
    }

    pub(crate) fn matching(&self, part: &str) -> Vec<String> {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(part)).cloned().collect()
    }
}

struct Collector {
    lines: Arc<Mutex<Vec<String>>>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}").unwrap(),
            name => write!(self.0, " {name}={value:?}").unwrap(),
        }
    }
}

impl tracing::Subscriber for Collector {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("docker_source")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        self.lines.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
