//! Tests senders and receivers over UDP on the loopback.

use std::time::{Duration, Instant};

use gelf_tokio::gelf_core::{Decoder, FieldName, Level, Message, Timestamp};
use gelf_tokio::{Received, UdpReceiver, UdpSender};
use tokio::time::timeout;

async fn pair(options: &str) -> (UdpSender, UdpReceiver) {
    let receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf://{}{options}", receiver.local_addr().unwrap());
    (UdpSender::connect(&uri.parse().unwrap()).await.unwrap(), receiver)
}

/// Receives the next message. The loopback loses no datagrams.
async fn received(receiver: &mut UdpReceiver) -> Received {
    timeout(Duration::from_secs(30), receiver.recv())
        .await
        .expect("a message arrives")
        .unwrap()
        .expect("it is valid")
}

/// Returns a text that depends on the seed, and that compresses to about three quarters of its length.
fn noise(seed: u64, len: usize) -> String {
    let mut state = seed.wrapping_mul(2) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + (state >> 58) as u8)
    };
    (0..len).map(|_| next()).collect()
}

#[tokio::test]
async fn short_and_long_messages_arrive_with_several_compressions_and_datagram_sizes() {
    for compression in ["none", "gzip", "zlib", "gzip&level=9", "zlib&level=1"] {
        for datagram_size in [200, 1420, 8192, 65_507] {
            let options = format!("?compression={compression}&datagram_size={datagram_size}");
            let (mut sender, mut receiver) = pair(&options).await;
            for (number, len) in [0, 1, 100, 1400, 20_000].into_iter().enumerate() {
                let text = noise(number as u64, len);
                let message = Message::new("h", text.as_str())
                    .with_full_message("line\nline")
                    .with_level(Level::Warning)
                    .with_timestamp(Timestamp::from_unix_nanos(1_700_000_000_123_456_789))
                    .with_field(FieldName::from_static("number"), number as i64);
                let before = sender.stats();
                sender.send(&message).await.unwrap();
                let received = received(&mut receiver).await;
                assert_eq!(received.from, sender.local_addr().unwrap());
                let decoded = Decoder::lenient().decode(&received.payload).unwrap().message;
                let expected = if text.trim().is_empty() { "-" } else { text.as_str() };
                assert_eq!(decoded.short_message(), expected, "{options}");
                assert_eq!(decoded.full_message(), Some("line\nline"));
                assert_eq!(decoded.level(), Some(Level::Warning));
                assert_eq!(decoded.timestamp(), message.timestamp());
                assert_eq!(decoded.field("number").and_then(|value| value.as_i64()), Some(number as i64));
                let after = sender.stats();
                let (datagrams, bytes) = (after.datagrams - before.datagrams, after.bytes - before.bytes);
                assert!(bytes <= datagrams * datagram_size);
                assert!(datagrams == 1 || bytes > (datagrams - 1) * datagram_size);
            }
            let stats = receiver.stats().datagrams;
            // The last chunk of a message counts as a payload, not as a chunk.
            assert_eq!((stats.payloads, stats.chunks), (5, sender.stats().datagrams - 5));
            assert_eq!((stats.errors.total(), sender.stats().refused), (0, 0));
            assert_eq!((stats.legacy_headers, stats.small_windows, stats.trailing_data), (0, 0, 0));
        }
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn several_chunks_are_sent_by_one_system_call() {
    let (mut sender, mut receiver) = pair("?compression=none").await;
    for (chunks, segmented) in [(1, 0), (8, 8), (1, 8), (47, 8 + 46), (1, 8 + 46)] {
        let payload = vec![b'{'; if chunks == 1 { 1420 } else { chunks * 1408 }];
        let before = sender.stats().datagrams;
        sender.send_payload(&payload).await.unwrap();
        assert_eq!(sender.stats().datagrams - before, chunks as u64);
        assert_eq!(received(&mut receiver).await.payload, payload);
        assert_eq!(sender.stats().segmented, segmented);
    }
    let stats = sender.stats();
    assert_eq!((stats.messages, stats.failed, stats.datagrams, stats.bytes), (5, 0, 58, 58 * 1420));
    assert_eq!((stats.fallbacks, stats.refused, stats.reroutes), (0, 0, 0));
}

#[tokio::test]
async fn an_ipv6_destination_and_a_host_name_are_reached() {
    for (bind, host) in [("[::1]:0", "[::1]"), ("127.0.0.1:0", "localhost")] {
        let Ok(mut receiver) = UdpReceiver::bind(bind).await else {
            eprintln!("skipped: this machine has no IPv6 loopback");
            continue;
        };
        let address = receiver.local_addr().unwrap();
        let endpoint = format!("gelf://{host}:{}", address.port()).parse().unwrap();
        let mut sender = UdpSender::connect(&endpoint).await.unwrap();
        if sender.peer_addr().unwrap() == address {
            sender.send(&Message::new("h", "m")).await.unwrap();
            assert_eq!(received(&mut receiver).await.from, sender.local_addr().unwrap());
        }
        assert!(sender.peer_addr().unwrap().ip().is_loopback());
    }
    UdpSender::connect(&"gelf://no-such-host.invalid".parse().unwrap()).await.unwrap_err();
}

#[tokio::test]
async fn sending_continues_without_a_listener_and_later_messages_arrive_at_a_new_listener() {
    let (mut sender, receiver) = pair("").await;
    let address = receiver.local_addr().unwrap();
    drop(receiver);
    let started = Instant::now();
    while sender.stats().refused < 10 {
        assert!(started.elapsed() < Duration::from_secs(30), "nothing is refused");
        sender.send(&Message::new("h", "lost")).await.unwrap();
    }
    // The next send finds the refusal of the last datagram, and sends its own datagram nevertheless.
    let mut receiver = UdpReceiver::bind(address).await.unwrap();
    sender.send(&Message::new("h", "received")).await.unwrap();
    let payload = received(&mut receiver).await.payload;
    assert_eq!(payload, r#"{"version":"1.1","host":"h","short_message":"received"}"#);
    assert_eq!(receiver.stats().datagrams.datagrams, 1);
}
