//! Tests datagrams over Ethernet with an MTU of 1,500 bytes. A veth pair connects two network namespaces.

use std::time::Duration;

use super::namespaces::{Namespace, or_skip};
use super::process::wait_until_stdin_closes;
use gelf_tokio::gelf_core::{Decoder, Message};
use gelf_tokio::{Client, SendError, UdpReceiver, UdpSender};
use tokio::time::timeout;

/// The roles of the other processes.
pub(crate) const RECEIVER: &str = "cable-receiver";
pub(crate) const SENDER: &str = "cable-sender";
pub(crate) const SENDER_WITHOUT_ROUTE: &str = "cable-sender-without-route";
pub(crate) const SINK: &str = "cable-sink";
pub(crate) const CLIENT: &str = "cable-client";

const MESSAGES: u64 = 20;

/// Two namespaces, connected by a veth pair.
struct Cable {
    near: Namespace,
    far: Namespace,
}

impl Cable {
    /// Creates the namespaces. Returns `None`, with the reason on stderr, if that is not possible.
    fn new() -> Option<Self> {
        or_skip(Self::make())
    }

    fn make() -> Result<Self, String> {
        let cable = Self { near: Namespace::new()?, far: Namespace::new()? };
        cable.near.ip(&format!("link add cable type veth peer name cable netns {}", cable.far.0))?;
        for (end, address) in [(&cable.near, "10.99.0.1/24"), (&cable.far, "10.99.0.2/24")] {
            end.ip(&format!("address add {address} dev cable"))?;
            end.ip("link set cable mtu 1500 up")?;
        }
        Ok(cable)
    }
}

/// Returns the text of a message, 100,000 characters that depend on its number.
fn text(number: u64) -> String {
    let mut state = number.wrapping_mul(2) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'A' + (state >> 60) as u8)
    };
    (0..100_000).map(|_| next()).collect()
}

fn chunked_messages_arrive(datagram_size: usize) -> [u64; 4] {
    let Some(cable) = Cable::new() else { return [0; 4] };
    let receiver = cable.far.start(RECEIVER, "");
    let port = receiver.says("listens at ");
    let uri = format!("gelf://10.99.0.2:{port}?compression=none&datagram_size={datagram_size}");
    let mut sender = cable.near.start(SENDER, &uri);
    let sent = sender.says("sent ");
    sender.end();
    let report = receiver.says("received ");
    let sent: Vec<u64> = sent.split(' ').map(|figure| figure.parse().unwrap()).collect();
    assert_eq!(report, format!("{MESSAGES} {}", sent[0]));
    [MESSAGES, sent[0], sent[1], sent[2]]
}

pub(crate) async fn receive() {
    let mut receiver = UdpReceiver::bind("0.0.0.0:0").await.unwrap();
    eprintln!("listens at {}", receiver.local_addr().unwrap().port());
    for number in 0..MESSAGES {
        let received = timeout(Duration::from_secs(20), receiver.recv())
            .await
            .expect("a message arrives")
            .unwrap()
            .unwrap();
        let decoded = Decoder::lenient().decode(&received.payload).unwrap();
        assert!(decoded.message.short_message() == text(number), "{number}");
    }
    let datagrams = receiver.stats().datagrams;
    eprintln!("received {} {}", datagrams.payloads, datagrams.datagrams);
    wait_until_stdin_closes();
}

pub(crate) async fn send(uri: &str) {
    let mut sender = UdpSender::connect(&uri.parse().unwrap()).await.unwrap();
    for number in 0..MESSAGES {
        sender.send(&Message::new("h", text(number))).await.unwrap();
        // The pause lets the receiver read this message before the next ones can fill its receive buffer.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stats = sender.stats();
    eprintln!("sent {} {} {}", stats.datagrams, stats.fallbacks, stats.segmented);
    wait_until_stdin_closes();
}

pub(crate) fn datagrams_of_1420_bytes_are_sent_by_segmentation() {
    let [messages, datagrams, fallbacks, segmented] = chunked_messages_arrive(1420);
    assert_eq!((datagrams, fallbacks, segmented), (messages * 72, 0, messages * 72));
}

pub(crate) fn datagrams_of_8192_bytes_are_sent_one_by_one_after_segmentation_was_refused_once() {
    let [messages, datagrams, fallbacks, segmented] = chunked_messages_arrive(8192);
    assert_eq!((datagrams, fallbacks, segmented), (messages * 13, messages.min(1), 0));
}

pub(crate) fn sending_fails_without_the_local_address_and_continues_from_a_new_one() {
    let Some(cable) = Cable::new() else { return };
    // The sender's address changes, as with a new DHCP lease.
    let sender = cable.near.start(SENDER_WITHOUT_ROUTE, "gelf://10.99.0.2:9?compression=none");
    sender.says("connected");
    cable.near.ip("address flush dev cable").unwrap();
    cable.near.ip("address add 10.99.0.3/24 dev cable").unwrap();
    assert_eq!(sender.says("sent from "), "10.99.0.3");
}

pub(crate) async fn send_without_route(uri: &str) {
    let mut sender = UdpSender::connect(&uri.parse().unwrap()).await.unwrap();
    eprintln!("connected");
    let mut has_failed = false;
    for _ in 0..300 {
        match sender.send(&Message::new("h", "m")).await {
            Err(SendError::Io(error)) if !has_failed => {
                has_failed = true;
                eprintln!("failed {error}");
            }
            Ok(_) if has_failed => {
                eprintln!("sent from {}", sender.local_addr().unwrap().ip());
                wait_until_stdin_closes();
                return;
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", sender.stats());
}

pub(crate) fn a_client_keeps_messages_that_its_own_machine_does_not_send() {
    let Some(cable) = Cable::new() else { return };
    let sink = cable.far.start(SINK, "");
    let uri = format!("gelf://10.99.0.2:{}?compression=none", sink.says("listens at "));
    let change = |words: &str| cable.near.ip(words).unwrap();
    for (fault, repair) in [
        ("link set cable down", "link set cable up"),
        ("address flush dev cable", "address add 10.99.0.4/24 dev cable"),
        ("route add prohibit 10.99.0.2", "route del prohibit 10.99.0.2"),
    ] {
        for is_down_at_the_start in [false, true] {
            if is_down_at_the_start {
                change(fault);
            }
            let client = cable.near.start(CLIENT, &uri);
            if !is_down_at_the_start {
                client.says("sent 1");
                change(fault);
            }
            client.says("the destination is down");
            change(repair);
            assert_eq!(client.says("since the last count: "), "11 sent, 0 dropped", "{fault}");
        }
    }
}

/// Listens, and reads nothing.
pub(crate) async fn listen() {
    let receiver = UdpReceiver::bind("0.0.0.0:0").await.unwrap();
    eprintln!("listens at {}", receiver.local_addr().unwrap().port());
    wait_until_stdin_closes();
}

/// Sends messages one by one until the destination is down, and writes the count of sent messages after each.
/// Then sends ten more, waits for the outcomes of all messages, and writes how many were sent since the last
/// count.
pub(crate) async fn run_client(uri: &str) {
    let client = Client::connect(&uri.parse().unwrap()).unwrap();
    let message = Message::new("h", "m");
    client.send(&message).await.unwrap();
    let mut sent = 0;
    let mut total = 1;
    while client.last_error().is_none() {
        let stats = client.stats();
        if stats.sent > sent {
            sent = stats.sent;
            eprintln!("sent {sent}");
            client.send(&message).await.unwrap();
            total += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("the destination is down: {:?}", client.last_error());
    for _ in 0..10 {
        client.send(&message).await.unwrap();
    }
    client.flush(Duration::from_secs(30)).await.unwrap();
    let stats = client.stats();
    assert_eq!(stats.queued, total + 10);
    eprintln!("since the last count: {} sent, {} dropped", stats.sent - (total - 1), stats.dropped.total());
    wait_until_stdin_closes();
}
