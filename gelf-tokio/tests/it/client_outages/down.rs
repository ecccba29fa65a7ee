//! Tests a client whose destination has no listener.

use std::time::Duration;

use fault_proxy::TcpProxy;
use tokio::time::{Instant, sleep};

use crate::support::account::assert_account;
use crate::support::oracle::receipt;
use crate::support::outages::{LIMIT, Sending, Sink, send, tcp, tcp_with, within};

/// The time for which the destination is down, on the paused clock.
const OUTAGE: Duration = Duration::from_secs(300);

/// Returns a receiver behind a proxy that refuses connections, and the proxy.
async fn down() -> (Sink, TcpProxy) {
    let sink = Sink::start().await;
    let proxy = TcpProxy::start(sink.address).await.unwrap();
    proxy.refuse().await;
    (sink, proxy)
}

#[tokio::test(start_paused = true)]
async fn senders_wait_for_room_through_a_five_minute_outage_and_nothing_is_lost() {
    let (sink, proxy) = down().await;
    let sending = Sending::start(&tcp_with(proxy.address(), "queue=100"));
    let senders: Vec<_> = (0..4)
        .map(|stream| {
            sink.expect(stream, 0..500);
            let client = sending.client.clone();
            tokio::spawn(async move {
                for number in 0..500 {
                    send(&client, receipt(stream, number)).await.unwrap();
                    let stats = client.stats();
                    assert!(stats.waiting + stats.in_flight <= 100, "{stats:?}");
                }
            })
        })
        .collect();
    let started = Instant::now();
    while started.elapsed() < OUTAGE {
        sleep(Duration::from_secs(1)).await;
        let stats = sending.stats();
        assert_eq!((stats.queued, stats.waiting, stats.in_flight), (100, 100, 0));
    }
    assert!(senders.iter().all(|sender| !sender.is_finished()));

    // The first six pauses take at most 6.3 s in all; each later pause takes up to 5 s, 2.5 s on average.
    let failed = sending.stats().failed_connects;
    assert!((90..=200).contains(&failed), "{failed} attempts");
    proxy.accept_again().await.unwrap();
    sending.wait_for("the connection", |stats| stats.is_connected).await;
    tokio::time::resume();
    for sender in senders {
        within("a sender", sender).await.unwrap();
    }
    let stats = sending.end_acknowledged(2000).await;
    assert_eq!((stats.connections, stats.resent), (1, 0));
    sink.assert_exact().await;
}

#[tokio::test]
async fn a_flush_error_has_the_exact_number_of_messages_without_an_outcome() {
    let (sink, proxy) = down().await;
    sink.expect(0, 0..37);
    let sending = Sending::start(&tcp(proxy.address()));
    sending.client.flush(Duration::ZERO).await.expect("nothing was queued");
    sending.send(0..37).await;
    let unflushed = sending.client.flush(Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(unflushed.messages, 37);
    assert_account(&sending.stats(), 37);

    proxy.accept_again().await.unwrap();
    sending.client.flush(LIMIT).await.expect("the destination is back");
    assert_eq!(sending.stats().acknowledged, 37);
    sending.client.flush(Duration::ZERO).await.expect("all is settled");
    sending.end(37).await;
    sink.assert_exact().await;
}
