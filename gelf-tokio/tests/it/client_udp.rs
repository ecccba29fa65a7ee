//! Tests a client over UDP and its receipts.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gelf_tokio::gelf_core::{Decoder, Encoder, Message, Timestamp};
use gelf_tokio::{Client, DropReason, Endpoint, Outcome, UdpReceiver};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::support::outages::{Sending, receipt_of, within};

const REFUSED: Outcome = Outcome::Dropped(DropReason::Refused);

async fn bound() -> (UdpReceiver, SocketAddr) {
    let receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    (receiver, address)
}

/// Returns an address without a listener.
async fn refusing() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn endpoint(address: SocketAddr, options: &str) -> Endpoint {
    format!("gelf://{address}?{options}").parse().unwrap()
}

async fn payload(receiver: &mut UdpReceiver) -> Bytes {
    within("a message", receiver.recv()).await.unwrap().unwrap().payload
}

#[tokio::test]
async fn a_message_that_the_kernel_has_taken_counts_as_sent_even_if_the_driver_is_dropped() {
    let (mut receiver, address) = bound().await;
    let sending = Sending::start(&endpoint(address, ""));
    for number in 0..100 {
        sending.send(number..number + 1).await;
        assert_eq!(receipt_of(&payload(&mut receiver).await), Some(number));
    }
    let (client, ledger) = sending.drop_driver(100).await;
    assert_eq!(ledger.with(Outcome::Sent), (0..100).collect::<Vec<_>>());
    let stats = client.stats();
    assert_eq!((stats.sent, stats.refused_datagrams, stats.connections), (100, 0, 1));
}

#[tokio::test]
async fn the_messages_of_a_client_come_from_the_address_that_its_observer_returns() {
    let (mut receiver, address) = bound().await;
    let client = Client::connect(&endpoint(address, "")).unwrap();
    let observer = client.observer();
    assert_eq!(observer.local_addr(), None, "the driver has not run yet");
    client.send(&Message::new("h", "m")).await.unwrap();
    let received = within("a message", receiver.recv()).await.unwrap().unwrap();
    assert_eq!(Some(received.from), observer.local_addr());
}

#[tokio::test]
async fn a_message_without_a_timestamp_gets_the_time_of_its_queueing() {
    let (mut receiver, address) = bound().await;
    let own = Timestamp::from_unix_nanos(1_500_000_000);
    for stamps in [true, false] {
        let (client, driver) = Client::builder(&endpoint(address, "")).stamp(stamps).build().unwrap();
        client.send(&Message::new("h", "m").with_timestamp(own)).await.unwrap();
        let before = Timestamp::from(SystemTime::now());
        client.send(&Message::new("h", "m")).await.unwrap();
        let after = Timestamp::from(SystemTime::now());
        // The driver sends the messages later. The time of sending does not count.
        tokio::time::sleep(Duration::from_millis(5)).await;
        tokio::spawn(driver.run());
        let mut stamped = Vec::new();
        for _ in 0..2 {
            let payload = payload(&mut receiver).await;
            stamped.push(Decoder::strict().decode(&payload).unwrap().message.timestamp());
        }
        assert_eq!((stamped[0], stamped[1].is_some()), (Some(own), stamps));
        assert!(stamped[1].is_none_or(|stamp| (before..=after).contains(&stamp)));
    }
}

#[tokio::test]
async fn max_value_bytes_cuts_values_whatever_the_encoder_says() {
    let (mut receiver, address) = bound().await;
    let message = Message::new("h", "12345678901").try_field("a", "1234567890ä").unwrap();
    for encoder in [Encoder::new(), Encoder::new().with_max_value_bytes(11)] {
        let endpoint = endpoint(address, "max_value_bytes=10");
        let client = Client::builder(&endpoint).encoder(encoder).connect().unwrap();
        client.send(&message).await.unwrap();
        let payload = payload(&mut receiver).await;
        let payload = std::str::from_utf8(&payload).unwrap();
        assert!(payload.contains("\"1234567…\"") && payload.contains("\"12345678901\""), "{payload}");
    }
    for refused in ["2", "16777217", "", "x"] {
        assert!(format!("gelf://h?max_value_bytes={refused}").parse::<Endpoint>().is_err(), "{refused}");
    }
}

/// On the loopback, the refusal has arrived when the system call returns.
#[tokio::test]
async fn each_message_is_refused_without_a_listener_and_later_messages_arrive_at_a_new_listener() {
    let address = refusing().await;
    let sending = Sending::start(&endpoint(address, ""));
    for (numbers, refused) in [(0..100, 100), (100..101, 101)] {
        sending.send(numbers).await;
        sending.wait_for("the refusals", |stats| stats.dropped.refused == refused).await;
    }
    let mut receiver = UdpReceiver::bind(address).await.unwrap();
    for number in 101..150 {
        sending.send(number..number + 1).await;
        assert_eq!(receipt_of(&payload(&mut receiver).await), Some(number));
    }
    let (stats, ledger) = sending.end(150).await;
    assert_eq!(ledger.with(REFUSED), (0..101).collect::<Vec<_>>());
    assert_eq!((stats.sent, stats.dropped.refused, stats.refused_datagrams), (49, 101, 101));
    assert_eq!((stats.connections, stats.failed_connects, stats.broken_connections), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn outcomes_come_while_further_messages_wait_for_the_rate() {
    let (_receiver, address) = bound().await;
    let builder = Client::builder(&endpoint(address, "rate=10"));
    let (client, mut receipts) = builder.connect_with_receipts().unwrap();
    for number in 0..5 {
        client.send_with_receipt(&Message::new("h", "m"), number).await.unwrap();
    }
    let start = Instant::now();
    assert_eq!(receipts.recv().await, Some((0, Outcome::Sent)));
    // The second message leaves after about 80 ms, and the last message after about 380 ms.
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_refusal_is_reported_before_the_driver_ends() {
    let sending = Sending::start(&endpoint(refusing().await, ""));
    sending.send(0..1).await;
    assert_eq!(sending.drop_client().await.with(REFUSED), [0]);
}

/// The message between the refused messages fails before any system call.
#[tokio::test]
async fn a_message_that_is_too_large_does_not_take_the_refusal_of_the_message_before_it() {
    let sending = Sending::start(&endpoint(refusing().await, "compression=none&datagram_size=100"));
    // The driver, which runs in this thread, takes all messages in one batch.
    sending.send(0..1).await;
    sending.client.send_with_receipt(&Message::new("h", "x".repeat(128 * 88)), 1).await.unwrap();
    sending.send(2..3).await;
    let (stats, ledger) = sending.end(3).await;
    assert_eq!(ledger.with(REFUSED), [0, 2]);
    assert_eq!((stats.sent, stats.dropped.too_large, stats.refused_datagrams), (0, 1, 2));
}

#[tokio::test]
async fn a_message_that_exceeds_128_chunks_does_not_affect_others() {
    let (mut receiver, address) = bound().await;
    let sending = Sending::start(&endpoint(address, "compression=none&datagram_size=100"));
    sending.send(0..1).await;
    sending.client.send_with_receipt(&Message::new("h", "x".repeat(128 * 88)), 1).await.unwrap();
    sending.send(2..3).await;
    for number in [0, 2] {
        assert_eq!(receipt_of(&payload(&mut receiver).await), Some(number));
    }
    let (_, ledger) = sending.end(3).await;
    assert_eq!(ledger.with(Outcome::Sent), [0, 2]);
    assert_eq!(ledger.with(Outcome::Dropped(DropReason::TooLarge)), [1]);
}

#[tokio::test]
async fn overflow_truncate_cuts_and_marks_a_message_that_exceeds_128_chunks() {
    let (mut receiver, address) = bound().await;
    // At most 128 chunks of 188 bytes fit, without compression.
    let options = "compression=none&datagram_size=200&overflow=truncate";
    let sending = Sending::start(&endpoint(address, options));
    let long = "0123456789".repeat(10_000);
    sending.client.send_with_receipt(&Message::new("h", long.as_str()), 0).await.unwrap();
    let payload = payload(&mut receiver).await;
    let decoded = Decoder::strict().decode(&payload).unwrap();
    let text = decoded.message.short_message();
    assert!(payload.len() <= 128 * 188 && !text.is_empty() && long.starts_with(text), "{text}");
    assert!(std::str::from_utf8(&payload).unwrap().contains("\"_truncated\""), "{payload:?}");
    let (stats, _) = sending.end(1).await;
    assert_eq!((stats.truncated, stats.sent), (1, 1));
}
