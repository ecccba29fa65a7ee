//! UDP, where a destination that is down may answer with ICMP errors.

use std::net::SocketAddr;
use std::time::Duration;

use gelf_tokio::{DropReason, Endpoint, Outcome};
use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use crate::support::account::assert_account;
use crate::support::outages::{LIMIT, Sending, receipt_of};

/// Binds a port that several sockets may share.
fn bind(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

fn listen(address: SocketAddr) -> UdpSocket {
    let socket = bind(address);
    socket.set_nonblocking(true).unwrap();
    UdpSocket::from_std(socket.into()).unwrap()
}

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
    // Keeps the port while nobody listens. It is connected to itself, so it receives nothing.
    let reservation = bind("127.0.0.1:0".parse().unwrap());
    reservation.connect(&reservation.local_addr().unwrap()).unwrap();
    let address = reservation.local_addr().unwrap().as_socket().unwrap();
    let sink = listen(address);
    let uri = format!("gelf://{address}?compression=none");
    let sending = Sending::start(&uri.parse::<Endpoint>().unwrap());
    send_slowly(&sending, 0..20).await;
    assert_eq!(arrivals(&sink).await, (0..20).collect::<Vec<_>>());
    assert_eq!(sending.stats().refused_datagrams, 0);

    drop(sink);
    send_slowly(&sending, 20..70).await;
    let stats = sending.stats();
    assert_account(&stats, 70);
    // All fifty are refused, including the last one, which no other datagram follows.
    assert_eq!((stats.sent, stats.dropped.refused, stats.dropped.total()), (20, 50, 50));

    let sink = listen(address);
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
