//! Tests receivers on the loopback, and most of their time limits on streams in memory.

mod limits;
mod proxies;
#[cfg(feature = "tls")]
mod tls;

use std::time::Duration;

use bytes::Bytes;
use gelf_core::Delimiter;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn receiver(change: impl FnOnce(&mut TcpReceiverOptions)) -> TcpReceiver {
    let mut options = TcpReceiverOptions::default();
    change(&mut options);
    TcpReceiver::bind_with_options("127.0.0.1:0", options).await.unwrap()
}

async fn connect(receiver: &TcpReceiver) -> TcpStream {
    TcpStream::connect(receiver.local_addr().unwrap()).await.unwrap()
}

async fn connected(change: impl FnOnce(&mut TcpReceiverOptions)) -> (TcpReceiver, TcpStream) {
    let receiver = receiver(change).await;
    let peer = connect(&receiver).await;
    (receiver, peer)
}

async fn received(receiver: &mut TcpReceiver) -> Received {
    let received = tokio::time::timeout(Duration::from_secs(30), receiver.recv()).await;
    received.expect("it comes").unwrap().unwrap()
}

async fn payload(receiver: &mut TcpReceiver) -> Bytes {
    received(receiver).await.payload
}

/// Checks that every connection and every item is counted once.
fn assert_adds_up(stats: TcpReceiverStats, received: u64) {
    let over = stats.ended_connections
        + stats.broken_connections
        + stats.closed_connections
        + stats.over_limit_connections
        + stats.failed_handshakes
        + stats.failed_proxy_headers
        + stats.silent_connections
        + stats.idle_connections
        + stats.slow_connections
        + stats.evicted_connections;
    assert_eq!(stats.connections, stats.open_connections as u64 + over, "{stats:?}");
    assert_eq!(stats.frames + stats.too_long_frames, received + stats.waiting_frames, "{stats:?}");
}

/// Waits until `wanted` returns true for the counters. Panics if anything is received meanwhile.
async fn until(receiver: &mut TcpReceiver, wanted: impl Fn(TcpReceiverStats) -> bool) {
    let started = std::time::Instant::now();
    while !wanted(receiver.stats()) {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", receiver.stats());
        tokio::select! {
            biased;
            received = receiver.recv() => panic!("{received:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
}

#[tokio::test]
async fn lines_are_frames_if_the_delimiter_is_a_line_feed() {
    for (stream, payloads) in [
        ("{\"a\":1}\n{\"b\":2}\n", ["{\"a\":1}", "{\"b\":2}"]),
        ("{\"a\":1}\r\n \r\n{\"b\":2}", ["{\"a\":1}", "{\"b\":2}"]),
        ("{\"a\":1}\0\n{\"b\":2}", ["{\"a\":1}\0", "{\"b\":2}"]),
    ] {
        let (mut receiver, mut peer) = connected(|options| options.delimiter = Delimiter::Newline).await;
        peer.write_all(stream.as_bytes()).await.unwrap();
        drop(peer);
        for expected in payloads {
            assert_eq!(payload(&mut receiver).await, expected, "{stream:?}");
        }
        until(&mut receiver, |stats| stats.ended_connections == 1).await;
        assert_adds_up(receiver.stats(), 2);
    }
}

#[tokio::test]
async fn half_a_frame_before_a_reset_is_counted_and_the_next_connection_is_served() {
    let (mut receiver, mut peer) = connected(|_| {}).await;
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    peer.write_all(b"{\"a\":1}\0{\"b\":").await.unwrap();
    assert_eq!(payload(&mut receiver).await, "{\"a\":1}");
    drop(peer);
    until(&mut receiver, |stats| stats.broken_connections == 1 && stats.open_connections == 0).await;
    assert_eq!((receiver.stats().cut_frames, receiver.stats().frames), (1, 1));

    let mut peer = connect(&receiver).await;
    peer.write_all(b"{}\0").await.unwrap();
    assert_eq!(payload(&mut receiver).await, "{}");
    assert_adds_up(receiver.stats(), 2);
}

#[tokio::test]
async fn frames_beyond_the_limit_of_the_queue_are_not_lost_but_wait_for_room() {
    let (mut receiver, mut peer) = connected(|options| options.max_queued_bytes = 1000).await;
    let frame = [&[b'x'; 400][..], b"\0"].concat();
    let reader = tokio::spawn(async move {
        for _ in 0..100 {
            peer.write_all(&frame).await.unwrap();
        }
        peer
    });
    assert_eq!(payload(&mut receiver).await.len(), 400);
    let mut peer = reader.await.unwrap();
    // Two frames wait in the queue. The next frame waits for room, however often this task yields.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!((receiver.stats().frames, receiver.stats().waiting_frames), (3, 2));
    for _ in 0..99 {
        assert_eq!(payload(&mut receiver).await.len(), 400);
    }
    // A frame larger than the whole queue is received nevertheless.
    peer.write_all(&[&[b'y'; 5000][..], b"\0"].concat()).await.unwrap();
    assert_eq!(payload(&mut receiver).await.len(), 5000);
}

#[tokio::test]
async fn a_dropped_receiver_ends_its_connections() {
    let (mut receiver, mut peer) = connected(|_| {}).await;
    until(&mut receiver, |stats| stats.open_connections == 1).await;
    let protocol = Arc::downgrade(&receiver.protocol);
    drop(receiver);
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(protocol.strong_count(), 0);
}

#[tokio::test]
async fn a_small_frame_does_not_keep_the_buffer_of_a_large_one() {
    let (mut receiver, mut peer) = connected(|_| {}).await;
    let stream = [&vec![b'x'; 1 << 20][..], b"\0{}\0"].concat();
    let sending = tokio::spawn(async move { peer.write_all(&stream).await });
    assert_eq!(payload(&mut receiver).await.len(), 1 << 20);
    let small = payload(&mut receiver).await;
    let memory = small.try_into_mut().unwrap();
    assert!(memory.capacity() < 100, "{}", memory.capacity());
    sending.await.unwrap().unwrap();
}
