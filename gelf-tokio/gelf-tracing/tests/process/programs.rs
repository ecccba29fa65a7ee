//! Defines the tested programs. Each program gets the URI of the destination.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gelf_tracing::{GelfLayer, Guard};
use tracing::{Event, Subscriber, info, info_span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;

pub(crate) type Program = fn(&str);

/// The programs, each with its name.
pub(crate) const PROGRAMS: &[(&str, Program)] = &[
    ("returns", returns),
    ("panics", panics),
    ("panics_in_a_task", panics_in_a_task),
    ("exits", exits),
    ("exits_without_close", exits_without_close),
    ("is_terminated", is_terminated),
    ("logs_in_drops", logs_in_drops),
    ("logs_one_event", logs_one_event),
    #[cfg(feature = "log")]
    ("panics_with_log", panics_with_log),
];

fn start(uri: &str) -> Guard {
    let (layer, guard) = GelfLayer::builder(uri).unwrap().panic_hook(true).build().unwrap();
    tracing_subscriber::registry().with(layer).init();
    guard
}

fn log_a_hundred() {
    for number in 0..100 {
        info!(number, "event");
    }
}

fn returns(uri: &str) {
    let _guard = start(uri);
    log_a_hundred();
}

fn panics(uri: &str) {
    let _guard = start(uri);
    log_a_hundred();
    panic!("on purpose");
}

fn panics_in_a_task(uri: &str) {
    let _guard = start(uri);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let panicked = runtime.block_on(runtime.spawn(async {
        let _span = info_span!("request", user = "anna").entered();
        panic!("a payment");
    }));
    assert!(panicked.is_err());
    info!("goes on");
}

#[cfg(feature = "log")]
fn panics_with_log(uri: &str) {
    let builder = gelf_tracing::GelfLogger::builder(uri).unwrap().panic_hook(true);
    let (logger, _guard) = builder.build_logger().unwrap();
    log::set_boxed_logger(Box::new(logger)).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    log::info!(number = 7; "event");
    panic!("on purpose");
}

fn exits(uri: &str) {
    static GUARD: OnceLock<Guard> = OnceLock::new();
    let guard = GUARD.get_or_init(|| start(uri));
    log_a_hundred();
    guard.close_blocking(Duration::from_secs(5)).unwrap();
    std::process::exit(3);
}

/// Prints the number of events that are still queued, and exits.
fn exits_without_close(uri: &str) {
    let guard = start(uri);
    log_a_hundred();
    let stats = guard.client().stats();
    println!("{}", stats.waiting + stats.in_flight);
    std::process::exit(4);
}

/// Handles SIGTERM as the README shows it.
fn is_terminated(uri: &str) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        use tokio::signal::unix::{SignalKind, signal};

        let guard = start(uri);
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        info!("ready");
        terminate.recv().await;
        info!("stopping");
        if let Err(unsent) = guard.close(Duration::from_secs(5)).await {
            eprintln!("{unsent}");
        }
    });
}

/// Logs in the drop of a value while a panic unwinds, and in the drop of a thread-local value.
fn logs_in_drops(uri: &str) {
    struct Logs(&'static str);
    impl Drop for Logs {
        fn drop(&mut self) {
            info!("dropped {}", self.0);
        }
    }
    thread_local! {
        static LOCAL: RefCell<Option<Logs>> = const { RefCell::new(None) };
    }
    let _guard = start(uri);
    let panicked = std::thread::spawn(|| {
        LOCAL.set(Some(Logs("thread-local")));
        info!("in a thread");
        let _logs = Logs("in a panic");
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
}

/// Counts the events of the transport.
#[derive(Clone, Default)]
struct Transport(Arc<AtomicU64>);

impl<S: Subscriber> Layer<S> for Transport {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !event.metadata().target().starts_with(env!("CARGO_CRATE_NAME")) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Logs one event. After 3 s, prints the number of events that the transport logged, and the number of
/// messages that the client was given.
fn logs_one_event(uri: &str) {
    let (layer, guard) = GelfLayer::builder(uri).unwrap().build().unwrap();
    let transport = Transport::default();
    tracing_subscriber::registry().with(layer).with(transport.clone()).init();
    info!("one");
    std::thread::sleep(Duration::from_secs(3));
    let stats = guard.client().stats();
    println!("{} {}", transport.0.load(Ordering::Relaxed), stats.queued + stats.not_queued.total());
    // The exit drops no guard, so the client does not try to send the remaining messages.
    std::process::exit(0);
}
