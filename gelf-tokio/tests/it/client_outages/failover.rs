//! Tests endpoints with several hosts.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use fault_proxy::{TcpPlan, TcpProxy};
use gelf_tokio::{Endpoint, Outcome};
use tokio::net::TcpListener;

use crate::support::outages::{Sending, Sink, within};

fn endpoint(first: SocketAddr, second: SocketAddr, options: &str) -> Endpoint {
    format!("gelf+tcp://{first}?failover={second}{options}").parse().unwrap()
}

async fn proxy(sink: &Sink) -> TcpProxy {
    TcpProxy::start(sink.address).await.unwrap()
}

#[tokio::test]
async fn a_dead_first_host_is_skipped_and_is_used_again_after_the_reconnect_time() {
    let (first, second) = (Sink::start().await, Sink::start().await);
    let dead = proxy(&first).await;
    dead.refuse().await;
    second.expect(0, 0..100);
    let sending = Sending::start(&endpoint(dead.address(), second.address, "&reconnect=1"));
    sending.send(0..100).await;
    second.wait_for_all().await;
    let stats = sending.wait_for("the receipts", |stats| stats.acknowledged == 100).await;
    assert_eq!((stats.failed_connects, stats.broken_connections, stats.resent), (0, 0, 0));

    dead.accept_again().await.unwrap();
    first.wait_for("the connection", |heard| heard.open == 1).await;
    second.wait_for("the end of the connections", |heard| heard.open == 0).await;
    first.expect(0, 100..200);
    sending.send(100..200).await;
    first.wait_for_all().await;
    let (stats, ledger) = sending.end(200).await;
    assert_eq!(ledger.with(Outcome::Acknowledged).len(), 200);
    assert_eq!((stats.failed_connects, stats.resent), (0, 0));
    for sink in [first, second] {
        assert!(sink.report().is_exact(), "{:?}", sink.report());
    }
}

#[tokio::test]
async fn when_a_host_dies_under_load_the_next_host_receives_the_rest_and_each_message_has_its_receipt() {
    const MESSAGES: u64 = 5_000;
    let sink = Sink::start().await;
    let (first, second) = (proxy(&sink).await, proxy(&sink).await);
    let sending = Sending::start(&endpoint(first.address(), second.address(), ""));
    sending.send(0..100).await;
    // The first receipts come when the connection has proven itself.
    sending.wait_for("the first receipts", |stats| stats.acknowledged == 100).await;
    first.refuse().await;
    first.set_plan(TcpPlan::new().reset_after(100_000));
    sending.send(100..MESSAGES).await;

    let (stats, ledger) = sending.end(MESSAGES).await;
    assert_eq!(ledger.with(Outcome::Acknowledged).len() as u64, MESSAGES);
    assert_eq!((stats.connections, stats.broken_connections, stats.failed_connects), (2, 1, 0));
    assert!(second.bytes_from_client() > 0);
    // A reset after the probation can lose messages that the dead host had acknowledged.
    let arrived = |heard: &BTreeSet<u64>| MESSAGES - heard.len() as u64 <= stats.possibly_lost;
    sink.wait_for("the messages", |heard| arrived(&heard.arrivals.iter().copied().collect())).await;
}

#[tokio::test]
async fn a_host_that_ends_each_connection_immediately_loses_nothing_and_the_next_host_is_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let first = listener.local_addr().unwrap();
    let ending = tokio::spawn(async move {
        for connections in 1.. {
            drop(listener.accept().await.unwrap());
            println!("{connections} connections ended");
        }
    });
    let sink = Sink::start().await;
    sink.expect(0, 0..100);
    let sending = Sending::start(&endpoint(first, sink.address, ""));
    sending.send(0..100).await;
    sink.wait_for_all().await;
    let (stats, ledger) = sending.end(100).await;
    assert_eq!(ledger.with(Outcome::Acknowledged).len(), 100);
    assert_eq!((stats.connections, stats.broken_connections, stats.failed_connects), (2, 1, 0));
    assert!(sink.report().is_exact(), "{:?}", sink.report());
    ending.abort();
}

#[tokio::test]
async fn after_a_connection_ends_with_a_fin_the_next_connection_leads_to_the_first_host() {
    let (first, second) = (Sink::start().await, Sink::start().await);
    let dead = proxy(&first).await;
    dead.refuse().await;
    let sending = Sending::start(&endpoint(dead.address(), second.address, ""));
    sending.send(0..100).await;
    sending.wait_for("the receipts", |stats| stats.acknowledged == 100).await;
    dead.accept_again().await.unwrap();
    second.hang_up().await;
    sending.wait_for("the end of the connection", |stats| stats.broken_connections == 1).await;
    first.expect(0, 100..200);
    sending.send(100..200).await;
    first.wait_for_all().await;
    let (stats, _) = sending.end(200).await;
    assert_eq!((stats.connections, stats.failed_connects, stats.resent), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn while_all_hosts_are_dead_the_client_pauses_once_a_round_and_then_uses_the_host_that_is_back() {
    let sink = Sink::start().await;
    let (first, second) = (proxy(&sink).await, proxy(&sink).await);
    first.refuse().await;
    second.refuse().await;
    sink.expect(0, 0..100);
    let sending = Sending::start(&endpoint(first.address(), second.address(), ""));
    sending.send(0..100).await;
    tokio::time::sleep(std::time::Duration::from_secs(300)).await;
    let stats = sending.stats();
    // As with a single host, the first six pauses take at most 6.3 s in all, and each later pause up to 5 s.
    assert!((90..=200).contains(&stats.failed_connects), "{stats:?}");
    second.accept_again().await.unwrap();
    sending.wait_for("the connection", |stats| stats.is_connected).await;
    tokio::time::resume();
    within("the messages", sink.wait_for_all()).await;
    let (stats, _) = sending.end(100).await;
    assert_eq!((stats.connections, stats.resent), (1, 0));
    assert!(sink.report().is_exact(), "{:?}", sink.report());
}
