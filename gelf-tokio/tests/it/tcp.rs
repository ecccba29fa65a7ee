//! Tests senders and receivers over TCP on the loopback.

use std::net::SocketAddr;
use std::time::Duration;

use gelf_tokio::gelf_core::{Decoder, FieldName, Message};
use gelf_tokio::{Client, Endpoint, NotQueuedReason, SendError, TcpReceiver, TcpSender, UdpSender};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

const GRACE: Duration = Duration::from_secs(60);

fn endpoint(address: SocketAddr) -> Endpoint {
    format!("gelf+tcp://{address}").parse().unwrap()
}

fn numbered(number: i64) -> Message<'static> {
    // Lengths vary by up to 2,000 bytes, so that frames end anywhere in a read.
    let text = format!("{number} {}", "x".repeat((number * 37 % 2000) as usize));
    Message::new("h", text).with_field(FieldName::from_static("number"), number)
}

fn number(payload: &[u8]) -> i64 {
    let decoded = Decoder::strict().decode(payload).unwrap();
    let number = decoded.message.field("number").and_then(|value| value.as_i64()).unwrap();
    assert_eq!(decoded.message.short_message(), numbered(number).short_message());
    number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_connection_keeps_the_order_of_its_messages() {
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        tasks.spawn(async move {
            let mut sender = TcpSender::connect(&endpoint(address)).await.unwrap();
            let from = sender.local_addr().unwrap();
            for number in 0..500 {
                sender.feed(&numbered(number)).await.unwrap();
                if number % 50 == 0 {
                    sender.flush().await.unwrap();
                }
            }
            sender.close(GRACE).await.unwrap();
            from
        });
    }
    let mut next = std::collections::HashMap::new();
    for _ in 0..8 * 500 {
        let received = receiver.recv().await.unwrap().unwrap();
        let expected = next.entry(received.from).or_insert(0);
        assert_eq!(number(&received.payload), *expected);
        *expected += 1;
    }
    assert!(next.len() == 8 && next.values().all(|count| *count == 500), "{next:?}");
    while let Some(from) = tasks.join_next().await {
        assert_eq!(next.remove(&from.unwrap()), Some(500));
    }
}

#[tokio::test]
async fn connecting_to_a_destination_without_a_listener_is_an_error() {
    let receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(receiver.local_addr().unwrap());
    drop(receiver);
    let error = TcpSender::connect(&endpoint).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(SendError::from(error).is_refused());
}

#[tokio::test]
async fn an_endpoint_of_another_transport_is_refused() {
    let (udp, tcp) = ("gelf://127.0.0.1".parse().unwrap(), "gelf+tcp://127.0.0.1".parse().unwrap());
    let errors = [TcpSender::connect(&udp).await.unwrap_err(), UdpSender::connect(&tcp).await.unwrap_err()];
    assert_eq!(errors.map(|error| error.kind()), [std::io::ErrorKind::InvalidInput; 2]);
}

#[tokio::test]
async fn a_client_and_a_sender_with_the_delimiter_lf_write_lines_and_refuse_payloads_with_line_feeds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf+tcp://{}?delimiter=lf", listener.local_addr().unwrap());
    let endpoint = uri.parse().unwrap();
    let (message, payload) = (Message::new("h", "two\nlines"), b"{\n}");

    let client = Client::builder(&endpoint).stamp(false).connect().unwrap();
    client.send(&message).await.unwrap();
    assert_eq!(client.send_payload(payload).await.unwrap_err().reason, NotQueuedReason::Invalid);
    let mut sender = TcpSender::connect(&endpoint).await.unwrap();
    sender.send(&message).await.unwrap();
    assert!(matches!(sender.feed_payload(payload).await, Err(SendError::Io(_))));

    let expected = "{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"two\\nlines\"}\n";
    for _ in 0..2 {
        let mut peer = listener.accept().await.unwrap().0;
        let mut read = vec![0; expected.len()];
        timeout(GRACE, peer.read_exact(&mut read)).await.unwrap().unwrap();
        assert_eq!(read, expected.as_bytes());
    }
}

#[tokio::test]
async fn with_reconnect_a_new_connection_follows_and_each_message_arrives_once() {
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf+tcp://{}?reconnect=1", receiver.local_addr().unwrap());
    let client = Client::connect(&uri.parse().unwrap()).unwrap();
    let mut sent = 0;
    while client.stats().connections < 3 {
        client.send(&numbered(sent)).await.unwrap();
        let received = timeout(GRACE, receiver.recv()).await.unwrap().unwrap().unwrap();
        assert_eq!(number(&received.payload), sent);
        sent += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.close(GRACE).await.unwrap();
    let stats = client.stats();
    assert_eq!((stats.acknowledged, stats.resent, stats.broken_connections), (sent as u64, 0, 0));
    assert_eq!(receiver.stats().cut_frames, 0);
}

#[tokio::test]
async fn a_client_that_cannot_connect_again_after_the_reconnect_time_is_not_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf+tcp://{}?reconnect=1", listener.local_addr().unwrap());
    let client = Client::connect(&uri.parse().unwrap()).unwrap();
    let _peer = listener.accept().await.unwrap();
    drop(listener);
    let failed = async {
        while client.stats().failed_connects == 0 {
            client.send(&numbered(0)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(GRACE, failed).await.unwrap();
    assert!(!client.stats().is_connected);
}
