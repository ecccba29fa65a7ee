//! UDP, where a destination that is down may answer with ICMP errors.

use std::time::Duration;

use fault_proxy::UdpProxy;
use gelf_tokio::{DropReason, Endpoint, Outcome};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use crate::support::account::assert_account;
use crate::support::outages::{LIMIT, Sending, receipt_of};

/// Returns the messages in order of arrival, until none arrives for a while.
async fn arrivals(sink: &UdpSocket) -> Vec<u64> {
    let mut arrived = Vec::new();
    let mut datagram = vec![0; 65_536];
    while let Ok(read) = timeout(Duration::from_millis(500), sink.recv(&mut datagram)).await {
        arrived.push(receipt_of(&datagram[..read.unwrap()]).expect("each datagram is a message"));
    }
    arrived
}

/// Sends messages one by one, so that each refusal arrives before the next message is sent.
async fn send_slowly(sending: &Sending, numbers: std::ops::Range<u64>) {
    for number in numbers {
        sending.send(number..number + 1).await;
        sending.wait_for("the message", |stats| stats.sent + stats.dropped.refused > number).await;
    }
}

#[tokio::test]
async fn messages_without_a_listener_are_lost_and_counted_and_all_others_arrive() {
    let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let proxy = UdpProxy::start(sink.local_addr().unwrap(), 0).await.unwrap();
    let uri = format!("gelf://{}?compression=none", proxy.address());
    let sending = Sending::start(&uri.parse::<Endpoint>().unwrap());
    send_slowly(&sending, 0..20).await;
    assert_eq!(arrivals(&sink).await, (0..20).collect::<Vec<_>>());
    assert_eq!(sending.stats().refused_datagrams, 0);

    proxy.refuse().await;
    send_slowly(&sending, 20..70).await;
    let stats = sending.stats();
    assert_account(&stats, 70);
    // All fifty are refused, including the last one, which no other datagram follows.
    assert_eq!((stats.sent, stats.dropped.refused, stats.dropped.total()), (20, 50, 50));

    proxy.accept_again().await.unwrap();
    let back = Instant::now();
    sending.send(70..71).await;
    let mut datagram = [0; 1024];
    let read = timeout(LIMIT, sink.recv(&mut datagram)).await.expect("the first message arrives").unwrap();
    let took = back.elapsed();
    println!("the first message after the return arrived {took:?} later");
    assert_eq!(receipt_of(&datagram[..read]), Some(70));
    assert!(took < Duration::from_secs(5), "{took:?}");
    sending.wait_for("the message", |stats| stats.sent == 21).await;
    send_slowly(&sending, 71..100).await;
    assert_eq!(arrivals(&sink).await, (71..100).collect::<Vec<_>>());

    let (stats, ledger) = sending.end(100).await;
    // The lost messages are exactly those that the receipts report.
    assert_eq!(ledger.with(Outcome::Dropped(DropReason::Refused)), (20..70).collect::<Vec<_>>());
    assert_eq!((stats.sent, stats.dropped.refused, stats.dropped.total()), (50, 50, 50));
    assert_eq!((stats.connections, stats.failed_connects, stats.broken_connections), (1, 0, 0));
}
