//! Tests the lookups of the destination's name.

use std::net::SocketAddr;

use fault_proxy::TcpProxy;
use gelf_tokio::{ClientState, Endpoint, NotQueuedReason};

use crate::support::outages::{Answer, ScriptedResolver, Sending, Sink, send};

fn endpoint() -> Endpoint {
    "gelf+tcp://logs.example".parse().unwrap()
}

fn addresses(addresses: &[SocketAddr]) -> Answer {
    Answer::Addresses(addresses.to_vec())
}

/// Returns an address that refuses connections until the proxy is dropped.
async fn dead_address() -> (SocketAddr, TcpProxy) {
    let proxy = TcpProxy::start("127.0.0.1:9".parse().unwrap()).await.unwrap();
    proxy.refuse().await;
    (proxy.address(), proxy)
}

#[tokio::test]
async fn lookups_repeat_until_one_gives_addresses_and_one_attempt_tries_all_of_these() {
    let (dead, _proxy) = dead_address().await;
    let sink = Sink::start().await;
    let nothing = addresses(&[]);
    for (answers, failed) in [
        (vec![Answer::Unknown, Answer::NoThread, nothing, addresses(&[sink.address])], 3),
        // All addresses together count as one attempt.
        (vec![addresses(&[dead, sink.address])], 0),
    ] {
        let resolver = ScriptedResolver::new(answers);
        let sending = Sending::start_with(&endpoint(), &resolver);
        sending.send(failed * 10..failed * 10 + 10).await;
        let stats = sending.end_acknowledged(10).await;
        assert_eq!((stats.failed_connects, stats.connections, resolver.lookups()), (failed, 1, failed + 1));
    }
}

#[tokio::test]
async fn the_next_connection_uses_the_new_address_of_a_name() {
    let (before, after) = (Sink::start().await, Sink::start().await);
    before.expect(0, 0..100);
    after.expect(0, 100..200);
    let resolver = ScriptedResolver::new([addresses(&[before.address])]);
    let sending = Sending::start_with(&endpoint(), &resolver);
    sending.send(0..100).await;
    before.wait_for_all().await;
    sending.wait_for("the acknowledgements", |stats| stats.acknowledged == 100).await;

    // The name is unknown for a while, then has another address.
    resolver.set([Answer::Unknown, addresses(&[]), addresses(&[after.address])]);
    before.hang_up().await;
    sending.wait_for("the end of the connection", |stats| stats.broken_connections == 1).await;
    sending.send(100..200).await;
    after.wait_for_all().await;
    let (stats, _) = sending.end(200).await;
    assert_eq!((stats.connections, stats.failed_connects, stats.resent), (2, 2, 0));
    before.assert_exact().await;
    after.assert_exact().await;
}

#[tokio::test]
async fn after_a_driver_panics_messages_are_refused_and_the_last_error_says_that_it_panicked() {
    for uri in ["gelf+tcp://logs.example", "gelf://logs.example"] {
        let resolver = ScriptedResolver::new([Answer::Panic]);
        let sending = Sending::start_with(&uri.parse().unwrap(), &resolver);
        while !sending.driver.is_finished() {
            tokio::task::yield_now().await;
        }
        let error = send(&sending.client, 0).await.unwrap_err();
        assert_eq!((error.receipt, error.reason), (0, NotQueuedReason::DriverEnded));
        assert_eq!(sending.client.state(), ClientState::DriverEnded);
        assert_eq!(sending.client.last_error().as_deref(), Some("the driver panicked"));
        assert_eq!(sending.stats().not_queued.driver_ended, 1);
    }
}
