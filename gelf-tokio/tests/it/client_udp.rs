//! A client over UDP and its receipts.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use gelf_tokio::gelf_core::{Decoder, Encoder, Message, Timestamp};
use gelf_tokio::{Client, DropReason, Endpoint, Outcome, Receipts, UdpReceiver};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::support::account::assert_account;
use crate::support::outages::within;

const REFUSED: Outcome = Outcome::Dropped(DropReason::Refused);

fn client_of(address: SocketAddr, options: &str) -> (Client<u64>, Receipts<u64>, JoinHandle<()>) {
    let (client, receipts, driver) = Client::builder(&format!("gelf://{address}?{options}").parse().unwrap())
        .build_with_receipts()
        .unwrap();
    (client, receipts, tokio::spawn(driver.run()))
}

async fn send(client: &Client<u64>, number: u64) {
    client.send_with_receipt(&Message::new("h", number.to_string()), number).await.unwrap();
}

async fn next(receipts: &mut Receipts<u64>) -> (u64, Outcome) {
    within("a receipt", receipts.recv()).await.unwrap()
}

#[tokio::test]
async fn a_message_that_the_kernel_has_taken_is_sent() {
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let (client, mut receipts, driver) = client_of(receiver.local_addr().unwrap(), "");
    for number in 0..100 {
        send(&client, number).await;
        let received = within("a message", receiver.recv()).await.unwrap().unwrap();
        let decoded = Decoder::strict().decode(&received.payload).unwrap().message.into_owned();
        assert_eq!(decoded.short_message(), number.to_string());
        assert_eq!(Some(received.from), client.observer().local_addr());
        assert_eq!(next(&mut receipts).await, (number, Outcome::Sent));
    }
    let stats = client.stats();
    assert_account(&stats, 100);
    assert_eq!((stats.sent, stats.refused_datagrams, stats.connections), (100, 0, 1));
    drop(client);
    within("the driver's end", driver).await.unwrap();
}

#[tokio::test]
async fn a_message_without_a_timestamp_gets_the_time_of_its_queueing() {
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let endpoint: Endpoint = format!("gelf://{}", receiver.local_addr().unwrap()).parse().unwrap();
    let own = Timestamp::from_unix_nanos(1_500_000_000);
    for stamps in [true, false] {
        let (client, driver) = Client::builder(&endpoint).stamp(stamps).build().unwrap();
        client.send(&Message::new("h", "m").with_timestamp(own)).await.unwrap();
        let before = Timestamp::from(SystemTime::now());
        client.send(&Message::new("h", "m")).await.unwrap();
        let after = Timestamp::from(SystemTime::now());
        // The driver runs later, and the time of its sending does not count.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let driver = tokio::spawn(driver.run());
        let mut stamped = Vec::new();
        for _ in 0..2 {
            let received = within("a message", receiver.recv()).await.unwrap().unwrap();
            stamped.push(Decoder::strict().decode(&received.payload).unwrap().message.timestamp());
        }
        assert_eq!(stamped[0], Some(own));
        match stamps {
            true => assert!((before..=after).contains(&stamped[1].unwrap())),
            false => assert_eq!(stamped[1], None),
        }
        drop(client);
        within("the driver's end", driver).await.unwrap();
    }
}

#[tokio::test]
async fn max_value_bytes_cuts_values_whatever_the_encoder_says() {
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    let message = Message::new("h", "12345678901").try_field("a", "1234567890ä").unwrap();
    let endpoint: Endpoint = format!("gelf://{address}?max_value_bytes=10").parse().unwrap();
    let encoders = [Encoder::new(), Encoder::new().with_max_value_bytes(11)];
    for encoder in encoders {
        let client = Client::builder(&endpoint).encoder(encoder).connect().unwrap();
        client.send(&message).await.unwrap();
        let received = within("a message", receiver.recv()).await.unwrap().unwrap();
        let payload = std::str::from_utf8(&received.payload).unwrap();
        assert!(payload.contains("\"1234567…\"") && payload.contains("\"12345678901\""), "{payload}");
    }
    for refused in ["2", "16777217", "", "x"] {
        assert!(format!("gelf://h?max_value_bytes={refused}").parse::<Endpoint>().is_err(), "{refused}");
    }
}

/// On the loopback, the refusal has arrived when the system call returns.
#[tokio::test]
async fn without_a_listener_each_message_is_refused_including_the_last() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let (client, mut receipts, driver) = client_of(address, "");
    for number in 0..100 {
        send(&client, number).await;
    }
    for number in 0..100 {
        assert_eq!(next(&mut receipts).await, (number, REFUSED));
    }
    send(&client, 100).await;
    assert_eq!(next(&mut receipts).await, (100, REFUSED), "the last message");

    // With a listener, all later messages arrive.
    let mut receiver = UdpReceiver::bind(address).await.unwrap();
    for number in 101..150 {
        send(&client, number).await;
        within("a message", receiver.recv()).await.unwrap().unwrap();
        assert_eq!(next(&mut receipts).await, (number, Outcome::Sent));
    }
    let stats = client.stats();
    assert_account(&stats, 150);
    assert_eq!((stats.sent, stats.dropped.refused, stats.refused_datagrams), (49, 101, 101));
    drop(client);
    within("the driver's end", driver).await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_reported_before_the_driver_ends() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let (client, mut receipts, driver) = client_of(address, "");
    send(&client, 0).await;
    drop(client);
    within("the driver's end", driver).await.unwrap();
    assert_eq!(next(&mut receipts).await, (0, REFUSED));
    assert_eq!(receipts.recv().await, None);
}

#[tokio::test]
async fn a_message_that_exceeds_128_chunks_does_not_affect_others() {
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    let (client, mut receipts, driver) = client_of(address, "compression=none&datagram_size=100");
    send(&client, 0).await;
    client.send_with_receipt(&Message::new("h", "x".repeat(128 * 88)), 1).await.unwrap();
    send(&client, 2).await;
    for _ in 0..2 {
        within("a message", receiver.recv()).await.unwrap().unwrap();
    }
    assert_eq!(next(&mut receipts).await, (0, Outcome::Sent));
    assert_eq!(next(&mut receipts).await, (1, Outcome::Dropped(DropReason::TooLarge)));
    assert_eq!(next(&mut receipts).await, (2, Outcome::Sent));
    assert_account(&client.stats(), 3);
    drop(client);
    within("the driver's end", driver).await.unwrap();
}

#[tokio::test]
async fn a_sent_message_counts_as_sent_though_the_driver_is_dropped() {
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let (client, mut receipts, driver) = client_of(receiver.local_addr().unwrap(), "");
    send(&client, 0).await;
    within("a message", receiver.recv()).await.unwrap().unwrap();
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    assert_eq!(next(&mut receipts).await, (0, Outcome::Sent));
    assert_account(&client.stats(), 1);
}

#[tokio::test]
async fn overflow_truncate_cuts_and_marks_a_message_that_exceeds_128_chunks() {
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    // 128 chunks of 188 bytes, uncompressed.
    let options = "compression=none&datagram_size=200&overflow=truncate";
    let (client, mut receipts, _driver) = client_of(address, options);
    let long = "0123456789".repeat(10_000);
    client.send_with_receipt(&Message::new("h", long.as_str()), 0).await.unwrap();
    let received = within("the message", receiver.recv()).await.unwrap().unwrap();
    let decoded = Decoder::strict().decode(&received.payload).unwrap();
    let text = decoded.message.short_message();
    assert!(
        received.payload.len() <= 128 * 188 && !text.is_empty() && long.starts_with(text),
        "{}",
        text.len()
    );
    let payload = String::from_utf8(received.payload.to_vec()).unwrap();
    assert!(payload.contains("\"_truncated\""), "{payload}");
    assert_eq!(next(&mut receipts).await, (0, Outcome::Sent));
    assert_eq!((client.stats().truncated, client.stats().sent), (1, 1));
    assert_account(&client.stats(), 1);
}
