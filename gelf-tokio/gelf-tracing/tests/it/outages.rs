//! Tests events that are logged while the destination is down.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gelf_tracing::{GelfLayer, Guard};
use serde_json::Value;
use tracing::info;
use tracing_subscriber::prelude::*;

use crate::support::Receiver;

/// Logs `events` events while nobody listens, then starts a receiver. Returns the guard and the receiver.
fn log_during_an_outage(options: &str, events: u64) -> (Guard, Receiver) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    let (layer, guard) =
        GelfLayer::builder(&format!("gelf+tcp://{address}{options}")).unwrap().build().unwrap();
    // The dispatch is never dropped, so the subscriber and its layer exist until the end of the test.
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    tracing::dispatcher::with_default(&dispatch, || {
        for number in 0..events {
            info!(number, "event");
        }
    });
    std::mem::forget(dispatch);
    (guard, Receiver::tcp_at(address))
}

fn numbers(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["_number"].as_u64().unwrap()).collect()
}

#[test]
fn an_outage_loses_nothing_that_the_queue_holds() {
    let (guard, receiver) = log_during_an_outage("", 3000);
    let sent: Vec<_> = (0..3000).map(|_| receiver.next()).collect();
    assert_eq!(numbers(&sent), (0..3000).collect::<Vec<_>>());
    assert_eq!((guard.client().stats().queued, guard.client().stats().not_queued.total()), (3000, 0));
}

#[test]
fn events_that_a_full_queue_refuses_are_counted_and_reported() {
    let (guard, receiver) = log_during_an_outage("?queue=100", 150);
    let sent: Vec<_> = (0..100).map(|_| receiver.next()).collect();
    assert_eq!(numbers(&sent), (0..100).collect::<Vec<_>>());
    let report = receiver.next();
    assert_eq!(report["short_message"], "50 events were lost; in all: 50 because the queue was full");
    assert_eq!((&report["level"], &report["_target"]), (&4.into(), &"gelf_tracing".into()));
    assert_eq!((&report["_lost"], &report["_lost_total"]), (&50.into(), &50.into()));
    assert_eq!(guard.client().stats().not_queued.full, 50);
}

#[test]
fn events_after_the_first_that_a_full_queue_refuses_are_not_formatted() {
    struct Counted<'a>(&'a AtomicU64);
    impl fmt::Display for Counted<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fetch_add(1, Ordering::Relaxed);
            f.write_str("counted")
        }
    }
    // The queue holds 10 events. The eleventh event is formatted before the queue refuses it.
    let (layer, guard) = GelfLayer::builder("gelf+tcp://127.0.0.1:1?queue=10").unwrap().build().unwrap();
    let formatted = AtomicU64::new(0);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for _ in 0..100 {
            info!(value = %Counted(&formatted), "event");
        }
    });
    assert_eq!(formatted.into_inner(), 11);
    let stats = guard.client().stats();
    assert_eq!((stats.queued, stats.not_queued.full), (10, 90));
    guard.close_blocking(Duration::ZERO).unwrap_err();
}

#[test]
fn with_when_full_drop_oldest_the_oldest_events_are_lost() {
    let (guard, receiver) = log_during_an_outage("?queue=100&when_full=drop_oldest", 150);
    let sent: Vec<_> = (0..100).map(|_| receiver.next()).collect();
    assert_eq!(numbers(&sent), (50..150).collect::<Vec<_>>());
    assert_eq!(receiver.next()["_lost"], 50);
    assert_eq!(guard.client().stats().dropped.queue_full, 50);
}
