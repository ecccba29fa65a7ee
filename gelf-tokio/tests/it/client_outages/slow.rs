//! Tests a client with a slow destination.

use std::time::Duration;

use fault_proxy::{TcpOptions, TcpPlan, TcpProxy};
use tokio::time::Instant;

use crate::support::account::assert_account;
use crate::support::outages::{Sending, Sink, send, tcp, tcp_with, within};

/// The maximum number of bytes queued for the slow destination.
const BUDGET: usize = 16 * 1024;

/// A lower bound for the length of a message, in bytes.
const SHORTEST: usize = 70;

/// Starts a proxy with this rate and a small buffer.
async fn throttled(sink: &Sink, bytes_per_second: u64) -> TcpProxy {
    let plan = TcpPlan::new().throttle(bytes_per_second);
    let options = TcpOptions { plan, max_held: 16 * 1024 };
    TcpProxy::start_with(sink.address, options).await.unwrap()
}

#[tokio::test]
async fn a_slow_receiver_makes_only_its_own_senders_wait() {
    let (slow, fast) = (Sink::start().await, Sink::start().await);
    let proxy = throttled(&slow, 10_000).await;
    let to_slow = Sending::start(&tcp_with(proxy.address(), &format!("queue_bytes={BUDGET}")));
    let to_fast = Sending::start(&tcp(fast.address));
    slow.expect(0, 0..5000);
    fast.expect(0, 0..10_000);
    let client = to_slow.client.clone();
    let sender = tokio::spawn(async move {
        for number in 0..5000 {
            send(&client, number).await.unwrap();
            let stats = client.stats();
            assert!(stats.waiting + stats.in_flight <= BUDGET / SHORTEST, "{stats:?}");
        }
    });
    to_fast.send(0..10_000).await;
    fast.wait_for_all().await;
    assert!(!sender.is_finished());
    proxy.set_plan(TcpPlan::new());
    within("the sender", sender).await.unwrap();
    for (sink, sending, offered) in [(&slow, to_slow, 5000), (&fast, to_fast, 10_000)] {
        let stats = sending.end_acknowledged(offered).await;
        assert_eq!((stats.connections, stats.broken_connections, stats.resent), (1, 0, 0));
        sink.assert_exact().await;
    }
}

/// `user_timeout` limits how long the receiver's window may stay closed. It does not limit the total time for
/// which a receiver may be slow, which is twice `user_timeout` here.
#[tokio::test]
async fn a_receiver_that_is_slow_for_longer_than_user_timeout_keeps_its_connection() {
    // The window of this receiver is repeatedly closed for about half a second.
    let (rate, user_timeout) = (300_000, Duration::from_secs(5));
    let sink = Sink::start().await;
    let proxy = throttled(&sink, rate).await;
    let endpoint = tcp_with(proxy.address(), "user_timeout=5&queue=1000&queue_bytes=262144");
    let sending = Sending::start(&endpoint);
    let started = Instant::now();
    let mut number = 0;
    while started.elapsed() < user_timeout * 2 {
        sink.expect(0, number..number + 1);
        within("room for the next", send(&sending.client, number)).await.unwrap();
        number += 1;
    }
    let stats = sending.stats();
    assert_account(&stats, number);
    assert!(stats.in_flight > 0, "{stats:?}");
    proxy.set_plan(TcpPlan::new());
    sink.wait_for_all().await;
    let (stats, _) = sending.end(number).await;
    assert_eq!((stats.connections, stats.broken_connections, stats.resent), (1, 0, 0));
    sink.assert_exact().await;
}
