//! A client over HTTP: each answer decides the outcome of its messages.

use std::time::{Duration, Instant};

use crate::support::http_server::{ACCEPTED, Peer, guarded};
use gelf_tokio::gelf_core::{Decoder, Message};
use gelf_tokio::{Client, ClientState, DropReason, Outcome, Receipts};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::account::assert_account;

/// Returns a listener, and a client that sends to it, with its receipts and its running driver.
async fn started(options: &str) -> (TcpListener, Client<u64>, Receipts<u64>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf+http://{}?{options}", listener.local_addr().unwrap());
    let (client, receipts, driver) = Client::builder(&uri.parse().unwrap()).build_with_receipts().unwrap();
    (listener, client, receipts, tokio::spawn(driver.run()))
}

async fn send(client: &Client<u64>, numbers: std::ops::Range<u64>) {
    for number in numbers {
        client.send_with_receipt(&Message::new("h", number.to_string()), number).await.unwrap();
    }
}

/// Returns the short messages of a body with one message per line.
fn texts(body: &[u8]) -> Vec<String> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Decoder::strict().decode(line).unwrap().message.short_message().to_owned()).collect()
}

/// Answers the next request. Returns its messages.
async fn answer(peer: &mut Peer<TcpStream>, answer: &str) -> Vec<String> {
    let seen = peer.request().await.expect("a request");
    peer.write(answer).await;
    texts(&seen.body)
}

fn status(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n")
}

#[tokio::test]
async fn each_message_is_one_request_and_accepted_by_its_answer() {
    guarded(async {
        let (listener, client, mut receipts, driver) = started("").await;
        send(&client, 0..50).await;
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        for number in 0..50 {
            assert_eq!(answer(&mut peer, ACCEPTED).await, [number.to_string()]);
            assert_eq!(receipts.recv().await, Some((number, Outcome::Accepted)));
        }
        let stats = client.stats();
        assert_account(&stats, 50);
        assert_eq!((stats.accepted, stats.resent, stats.connections), (50, 0, 1));
        drop(client);
        driver.await.unwrap();
        assert_eq!(receipts.recv().await, None);
    })
    .await;
}

#[tokio::test]
async fn a_message_stays_while_answers_are_about_the_request_and_is_dropped_by_one_about_itself() {
    guarded(async {
        let (listener, client, mut receipts, driver) = started("").await;
        send(&client, 0..4).await;
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        for about_the_request in
            ["404 Not Found", "408 Request Timeout", "301 Moved", "503 Service Unavailable"]
        {
            assert_eq!(answer(&mut peer, &status(about_the_request, "")).await, ["0"]);
        }
        assert!(matches!(client.state(), ClientState::Down { .. }), "{:?}", client.state());
        assert_eq!(answer(&mut peer, ACCEPTED).await, ["0"]);
        for (number, about_the_message) in [(1, "400 Bad Request"), (2, "422 Unprocessable Content")] {
            assert_eq!(answer(&mut peer, &status(about_the_message, "")).await, [number.to_string()]);
        }
        assert_eq!(answer(&mut peer, ACCEPTED).await, ["3"]);
        let rejected = |status| Outcome::Dropped(DropReason::Rejected(status));
        let outcomes = [Outcome::Accepted, rejected(400), rejected(422), Outcome::Accepted];
        for (number, outcome) in (0..).zip(outcomes) {
            assert_eq!(receipts.recv().await, Some((number, outcome)));
        }
        let stats = client.stats();
        assert_account(&stats, 4);
        assert_eq!((stats.accepted, stats.dropped.rejected, stats.resent, stats.connections), (2, 2, 4, 1));
        drop(client);
        driver.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn no_request_is_sent_before_retry_after() {
    guarded(async {
        let (listener, client, mut receipts, driver) = started("").await;
        send(&client, 0..1).await;
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        answer(&mut peer, &status("503 Service Unavailable", "retry-after: 1\r\n")).await;
        let asked_to_wait = Instant::now();
        assert_eq!(answer(&mut peer, ACCEPTED).await, ["0"]);
        assert!(asked_to_wait.elapsed() >= Duration::from_millis(990), "{:?}", asked_to_wait.elapsed());
        assert_eq!(receipts.recv().await, Some((0, Outcome::Accepted)));
        assert_account(&client.stats(), 1);
        drop(client);
        driver.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_request_is_repeated_after_its_connection_breaks() {
    guarded(async {
        let (listener, client, mut receipts, driver) = started("").await;
        send(&client, 0..2).await;
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        assert_eq!(texts(&peer.request().await.unwrap().body), ["0"]);
        // The answer is incomplete.
        peer.write("HTTP/1.1 20").await;
        drop(peer);
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        assert_eq!(answer(&mut peer, ACCEPTED).await, ["0"]);
        assert_eq!(answer(&mut peer, ACCEPTED).await, ["1"]);
        for number in 0..2 {
            assert_eq!(receipts.recv().await, Some((number, Outcome::Accepted)));
        }
        let stats = client.stats();
        assert_account(&stats, 2);
        assert_eq!((stats.accepted, stats.resent, stats.connections), (2, 1, 2));
        drop(client);
        driver.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_destination_that_starts_late_receives_each_message_once() {
    guarded(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let uri = format!("gelf+http://{address}");
        let (client, mut receipts, driver) =
            Client::builder(&uri.parse().unwrap()).build_with_receipts().unwrap();
        let driver = tokio::spawn(driver.run());
        send(&client, 0..20).await;
        while client.stats().failed_connects < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_account(&client.stats(), 20);
        let listener = TcpListener::bind(address).await.unwrap();
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        for number in 0..20 {
            assert_eq!(answer(&mut peer, ACCEPTED).await, [number.to_string()]);
            assert_eq!(receipts.recv().await, Some((number, Outcome::Accepted)));
        }
        assert_account(&client.stats(), 20);
        drop(client);
        driver.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_bulk_request_carries_waiting_messages_up_to_64_kib() {
    guarded(async {
        let (listener, client, mut receipts, driver) = started("bulk=true").await;
        send(&client, 0..5000).await;
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        let mut arrived = Vec::new();
        let mut requests = 0;
        while arrived.len() < 5000 {
            let seen = peer.request().await.unwrap();
            assert!(seen.body.len() <= 65_536 && seen.body.ends_with(b"\n"));
            arrived.extend(texts(&seen.body));
            requests += 1;
            peer.write(ACCEPTED).await;
        }
        assert_eq!(arrived, (0..5000).map(|number| number.to_string()).collect::<Vec<_>>());
        assert!(requests <= 15, "{requests} requests");
        for number in 0..5000 {
            assert_eq!(receipts.recv().await, Some((number, Outcome::Accepted)));
        }
        assert_account(&client.stats(), 5000);
        drop(client);
        driver.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn only_the_offending_message_of_a_rejected_bulk_body_is_dropped() {
    guarded(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("gelf+http://{}?bulk=true", listener.local_addr().unwrap());
        let (client, mut receipts, driver) =
            Client::builder(&uri.parse().unwrap()).build_with_receipts().unwrap();
        send(&client, 0..4).await;
        let driver = tokio::spawn(driver.run());
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        let too_large = status("413 Content Too Large", "");
        assert_eq!(answer(&mut peer, &too_large).await, ["0", "1", "2", "3"]);
        assert_eq!(answer(&mut peer, ACCEPTED).await, ["0"]);
        assert_eq!(answer(&mut peer, &too_large).await, ["1"]);
        assert_eq!(answer(&mut peer, ACCEPTED).await, ["2"]);
        assert_eq!(answer(&mut peer, ACCEPTED).await, ["3"]);
        for number in 0..4 {
            let outcome =
                if number == 1 { Outcome::Dropped(DropReason::Rejected(413)) } else { Outcome::Accepted };
            assert_eq!(receipts.recv().await, Some((number, outcome)));
        }
        assert_account(&client.stats(), 4);
        drop(client);
        driver.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_request_without_an_answer_goes_to_the_next_host_and_a_later_connection_to_the_first() {
    guarded(async {
        let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let second_host = second.local_addr().unwrap().to_string();
        let (first, client, mut receipts, _driver) = started(&format!("failover={second_host}")).await;
        let first_host = first.local_addr().unwrap().to_string();
        send(&client, 0..1).await;
        let mut peer = Peer::new(first.accept().await.unwrap().0);
        assert_eq!(peer.request().await.unwrap().header("host"), Some(&*first_host));
        drop(peer);
        let mut peer = Peer::new(second.accept().await.unwrap().0);
        assert_eq!(peer.request().await.unwrap().header("host"), Some(&*second_host));
        // An answer shows that the host works, so the request is sent to it again.
        peer.write(&status("503 Service Unavailable", "")).await;
        assert_eq!(answer(&mut peer, &status("202 Accepted", "connection: close\r\n")).await, ["0"]);
        assert_eq!(receipts.recv().await, Some((0, Outcome::Accepted)));
        drop(peer);

        send(&client, 1..2).await;
        let mut peer = Peer::new(first.accept().await.unwrap().0);
        let seen = peer.request().await.unwrap();
        assert_eq!((seen.header("host"), texts(&seen.body)), (Some(&*first_host), vec!["1".to_owned()]));
        peer.write(ACCEPTED).await;
        assert_eq!(receipts.recv().await, Some((1, Outcome::Accepted)));
        assert_eq!(client.stats().connections, 3);
    })
    .await;
}
