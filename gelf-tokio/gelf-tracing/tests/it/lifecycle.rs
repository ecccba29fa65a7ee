//! Tests building and closing, inside and outside of runtimes.

use std::thread;
use std::time::{Duration, Instant};

use gelf_tracing::{GelfLayer, Guard};
use tracing::{info, subscriber::DefaultGuard};
use tracing_subscriber::prelude::*;

use crate::support::{Receiver, block_on};

const LONG: Duration = Duration::from_secs(20);

fn start(uri: &str) -> (DefaultGuard, Guard) {
    let (layer, guard) = GelfLayer::builder(uri).unwrap().build().unwrap();
    (tracing::subscriber::set_default(tracing_subscriber::registry().with(layer)), guard)
}

/// Returns the address of a port at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_guard_is_closed_or_dropped_in_a_runtime_of_one_thread() {
    let receiver = Receiver::tcp();
    let uri = format!("gelf+tcp://{}", receiver.address);
    block_on(async {
        let (_default, guard) = start(&uri);
        info!("closed");
        guard.close(LONG).await.unwrap();
    });
    receiver.until("closed");
    block_on(async {
        let (_default, _guard) = start(&uri);
        info!("dropped");
    });
    receiver.until("dropped");
}

#[test]
fn a_layer_outlives_the_runtime_in_which_it_was_built() {
    let receiver = Receiver::tcp();
    let (_default, _guard) = block_on(async { start(&format!("gelf+tcp://{}", receiver.address)) });
    info!("afterwards");
    receiver.until("afterwards");
}

#[test]
fn close_returns_how_many_events_are_not_sent_and_refuses_further_events() {
    let (_default, guard) = start(&format!("gelf+tcp://{}", nobody()));
    for _ in 0..7 {
        info!("unsent");
    }
    assert_eq!(guard.close_blocking(Duration::from_millis(10)).unwrap_err().messages, 7);
    info!("refused");
    let stats = guard.client().stats();
    assert_eq!((stats.queued, stats.dropped.ended, stats.not_queued.closed), (7, 7, 1));
    assert!(guard.client().last_error().is_some() || stats.failed_connects == 0);
}

#[test]
fn the_drop_of_a_guard_waits_for_the_time_of_close_within() {
    let (layer, guard) = GelfLayer::builder(&format!("gelf+tcp://{}", nobody()))
        .unwrap()
        .close_within(Duration::from_millis(50))
        .build()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || info!("unsent"));
    let started = Instant::now();
    drop(guard);
    let took = started.elapsed();
    assert!((Duration::from_millis(50)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

#[test]
fn with_when_full_wait_a_full_queue_blocks_the_thread_that_logs() {
    let address = nobody();
    let (default, guard) = start(&format!("gelf+tcp://{address}?queue=2&when_full=wait"));
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    drop(default);
    let logging = thread::spawn(move || {
        tracing::dispatcher::with_default(&dispatch, || {
            for number in 0..10 {
                info!(number, "waits");
            }
            info!("the end");
        });
    });
    while guard.client().stats().queued < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(!logging.is_finished());
    let sent = Receiver::tcp_at(address.parse().unwrap()).until("the end");
    logging.join().unwrap();
    assert_eq!(sent.len(), 11);
}

#[test]
fn a_build_error_names_the_option_or_the_file() {
    let error = GelfLayer::builder("gelf+tcp://h?when_ful=wait").unwrap_err().to_string();
    assert!(error.contains("when_full"), "{error}");
    #[cfg(feature = "tls")]
    {
        let builder = GelfLayer::builder("gelf+tls://127.0.0.1?ca=/nope.pem").unwrap();
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains("/nope.pem"), "{error}");
    }
}
