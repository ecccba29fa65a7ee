//! Tests a client over HTTP: the answer to a request decides the outcome of the request's messages.

use std::time::{Duration, Instant};

use crate::support::http_server::{ACCEPTED, Peer};
use crate::support::outages::{Sending, receipt_of, within};
use gelf_tokio::{ClientState, DropReason, Outcome};
use tokio::net::{TcpListener, TcpStream};

/// Returns a listener, and a client that sends to it.
async fn started(options: &str) -> (TcpListener, Sending) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf+http://{}?{options}", listener.local_addr().unwrap());
    (listener, Sending::start(&uri.parse().unwrap()))
}

async fn accept(listener: &TcpListener) -> Peer<TcpStream> {
    Peer::new(within("a connection", listener.accept()).await.unwrap().0)
}

/// Reads the next request. Returns its messages.
async fn request(peer: &mut Peer<TcpStream>) -> Vec<u64> {
    let body = within("a request", peer.request()).await.unwrap().body;
    assert!(body.len() <= 65_536 && body.ends_with(b"\n"));
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| receipt_of(line).unwrap()).collect()
}

/// Answers the next request. Returns its messages.
async fn answer(peer: &mut Peer<TcpStream>, answer: &str) -> Vec<u64> {
    let messages = request(peer).await;
    peer.write(answer).await;
    messages
}

fn status(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n")
}

#[tokio::test]
async fn an_answer_about_the_request_causes_a_retry_and_an_answer_about_the_message_drops_the_message() {
    let (listener, sending) = started("").await;
    sending.send(0..4).await;
    let mut peer = accept(&listener).await;
    for about_the_request in ["404 Not Found", "408 Request Timeout", "301 Moved", "503 Service Unavailable"]
    {
        assert_eq!(answer(&mut peer, &status(about_the_request, "")).await, [0]);
    }
    assert!(matches!(sending.client.state(), ClientState::Down { .. }), "{:?}", sending.client.state());
    assert_eq!(answer(&mut peer, ACCEPTED).await, [0]);
    for (number, about_the_message) in [(1, "400 Bad Request"), (2, "422 Unprocessable Content")] {
        assert_eq!(answer(&mut peer, &status(about_the_message, "")).await, [number]);
    }
    assert_eq!(answer(&mut peer, ACCEPTED).await, [3]);
    let (stats, ledger) = sending.end(4).await;
    for (outcome, numbers) in [
        (Outcome::Accepted, vec![0, 3]),
        (Outcome::Dropped(DropReason::Rejected(400)), vec![1]),
        (Outcome::Dropped(DropReason::Rejected(422)), vec![2]),
    ] {
        assert_eq!(ledger.with(outcome), numbers);
    }
    assert_eq!((stats.accepted, stats.dropped.rejected, stats.resent, stats.connections), (2, 2, 4, 1));
}

#[tokio::test]
async fn no_request_is_sent_before_the_time_of_retry_after_is_over() {
    let (listener, sending) = started("").await;
    sending.send(0..1).await;
    let mut peer = accept(&listener).await;
    answer(&mut peer, &status("503 Service Unavailable", "retry-after: 1\r\n")).await;
    let asked_to_wait = Instant::now();
    assert_eq!(answer(&mut peer, ACCEPTED).await, [0]);
    assert!(asked_to_wait.elapsed() >= Duration::from_millis(990), "{:?}", asked_to_wait.elapsed());
    assert_eq!(sending.end(1).await.0.accepted, 1);
}

#[tokio::test]
async fn a_request_is_repeated_after_its_connection_breaks() {
    let (listener, sending) = started("").await;
    sending.send(0..2).await;
    let mut peer = accept(&listener).await;
    assert_eq!(request(&mut peer).await, [0]);
    // The answer is incomplete.
    peer.write("HTTP/1.1 20").await;
    drop(peer);
    let mut peer = accept(&listener).await;
    for number in 0..2 {
        assert_eq!(answer(&mut peer, ACCEPTED).await, [number]);
    }
    let (stats, _) = sending.end(2).await;
    assert_eq!((stats.accepted, stats.resent, stats.connections), (2, 1, 2));
}

#[tokio::test]
async fn a_destination_that_starts_late_receives_each_message_once() {
    let (listener, _) = started("").await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let sending = Sending::start(&format!("gelf+http://{address}").parse().unwrap());
    sending.send(0..20).await;
    sending.wait_for("two attempts", |stats| stats.failed_connects == 2).await;
    let mut peer = accept(&TcpListener::bind(address).await.unwrap()).await;
    for number in 0..20 {
        assert_eq!(answer(&mut peer, ACCEPTED).await, [number]);
    }
    let (stats, _) = sending.end(20).await;
    assert_eq!((stats.accepted, stats.resent), (20, 0), "an attempt to connect sends nothing");
}

#[tokio::test]
async fn a_bulk_request_carries_waiting_messages_up_to_64_kib() {
    let (listener, sending) = started("bulk=true").await;
    sending.send(0..5000).await;
    let mut peer = accept(&listener).await;
    let (mut arrived, mut requests) = (Vec::new(), 0);
    while arrived.len() < 5000 {
        arrived.extend(answer(&mut peer, ACCEPTED).await);
        requests += 1;
    }
    assert_eq!(arrived, (0..5000).collect::<Vec<_>>());
    assert!(requests <= 24, "{requests} requests");
    assert_eq!(sending.end(5000).await.0.accepted, 5000);
}

#[tokio::test]
async fn only_the_offending_message_of_a_rejected_bulk_body_is_dropped() {
    let (listener, sending) = started("bulk=true").await;
    // All messages are queued before the driver runs.
    sending.send(0..4).await;
    let mut peer = accept(&listener).await;
    let too_large = status("413 Content Too Large", "");
    for (messages, reply) in [
        (vec![0, 1, 2, 3], too_large.as_str()),
        (vec![0], ACCEPTED),
        (vec![1], &too_large),
        (vec![2], ACCEPTED),
        (vec![3], ACCEPTED),
    ] {
        assert_eq!(answer(&mut peer, reply).await, messages);
    }
    let (_, ledger) = sending.end(4).await;
    assert_eq!(ledger.with(Outcome::Accepted), [0, 2, 3]);
    assert_eq!(ledger.with(Outcome::Dropped(DropReason::Rejected(413))), [1]);
}

/// Reads the next request. Returns its header `Host`.
async fn host(peer: &mut Peer<TcpStream>) -> String {
    let seen = within("a request", peer.request()).await.unwrap();
    seen.header("host").unwrap().to_owned()
}

#[tokio::test]
async fn a_request_without_an_answer_goes_to_the_next_host_and_a_later_connection_goes_to_the_first() {
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second_host = second.local_addr().unwrap().to_string();
    let (first, sending) = started(&format!("failover={second_host}")).await;
    let first_host = first.local_addr().unwrap().to_string();
    sending.send(0..1).await;
    let mut peer = accept(&first).await;
    assert_eq!(host(&mut peer).await, first_host);
    drop(peer);
    let mut peer = accept(&second).await;
    assert_eq!(host(&mut peer).await, second_host);
    // An answer shows that the host works, so the request is sent to the same host again.
    peer.write(&status("503 Service Unavailable", "")).await;
    assert_eq!(answer(&mut peer, &status("202 Accepted", "connection: close\r\n")).await, [0]);
    sending.wait_for("the outcome", |stats| stats.accepted == 1).await;
    drop(peer);

    sending.send(1..2).await;
    let mut peer = accept(&first).await;
    assert_eq!(host(&mut peer).await, first_host);
    peer.write(ACCEPTED).await;
    let (stats, _) = sending.end(2).await;
    assert_eq!((stats.accepted, stats.connections, stats.failed_connects), (2, 3, 0));
}
