//! Tests a client with receivers that acknowledge messages and throw them away.

use std::time::Duration;

use gelf_tokio::ClientState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::support::account::assert_account;
use crate::support::outages::{LIMIT, Sending, Sink, tcp};

/// Serves connections: reads some bytes if `reads` is set, writes `answer`, and ends the connection. After
/// three broken connections, a sink takes over, and must receive each message once. Returns the client's last
/// error before the sink took over.
async fn until_repaired(reads: bool, answer: &'static [u8], messages: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            if reads {
                let _ = stream.read(&mut [0; 65_536]).await;
            }
            let _ = stream.write_all(answer).await;
        }
    });
    let sending = Sending::start(&tcp(address));
    sending.send(0..messages).await;
    let stats = sending.wait_for("three connections", |stats| stats.broken_connections >= 3).await;
    assert_account(&stats, messages);
    assert_eq!((stats.delivered(), stats.dropped.total(), stats.possibly_lost), (0, 0, 0), "{stats:?}");
    assert!(matches!(sending.client.state(), ClientState::Down { .. }), "{:?}", sending.client.state());
    let error = sending.client.last_error().unwrap().to_string();
    serving.abort();
    let _ = serving.await;

    let sink = Sink::listen(TcpListener::bind(address).await.unwrap());
    sink.expect(0, 0..messages);
    sink.wait_for_all().await;
    let stats = sending.end_acknowledged(messages).await;
    assert_eq!(stats.possibly_lost, 0);
    sink.assert_exact().await;
    error
}

#[tokio::test]
async fn messages_to_a_receiver_that_answers_or_ends_its_connection_immediately_are_kept() {
    let alert = &[0x15, 0x03, 0x03, 0, 2, 2, 50];
    let bad_request = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
    for (reads, answer, messages, expected) in [
        (true, &alert[..], 100, "TLS alert (15 03)"),
        (true, bad_request, 100, "\"HTTP/1.1 400 Bad Request\""),
        // The receiver acts like a load balancer without a target: it resets the connection, since the
        // messages are unread.
        (false, b"", 100, ""),
        // The receiver ends its connection without an error, soon after it has read.
        (true, b"", 1, ""),
    ] {
        let error = until_repaired(reads, answer, messages).await;
        assert!(error.contains(expected), "{error}");
    }
}

/// After an unproven connection has failed, the next connection carries only one buffer of 64 KiB until it
/// has proven itself, so that little is sent again.
#[tokio::test]
async fn after_an_unproven_connection_the_next_connection_carries_64_kib_until_it_is_proven() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sending = Sending::start(&tcp(listener.local_addr().unwrap()));
    sending.send(0..5000).await;
    let (stream, _) = listener.accept().await.unwrap();
    stream.readable().await.unwrap();
    drop(stream);
    let (mut stream, _) = listener.accept().await.unwrap();
    let (accepted, mut read) = (Instant::now(), vec![0; 1024 * 1024]);
    let mut before = 0;
    let mut total = 0;
    while total < 5000 * 60 {
        let count = stream.read(&mut read).await.unwrap();
        total += count;
        if accepted.elapsed() < Duration::from_millis(400) {
            before += count;
        }
    }
    assert!((1..=66 * 1024).contains(&before), "{before}");
    let reading = tokio::spawn(async move { while stream.read(&mut read).await.unwrap() > 0 {} });
    let (stats, _) = sending.end(5000).await;
    assert_eq!((stats.acknowledged, stats.connections), (5000, 2));
    reading.await.unwrap();
}

/// The connection has proven itself, so its messages get the outcome `Acknowledged`. The counter
/// `possibly_lost` says how many of these messages may be lost.
#[tokio::test]
async fn messages_before_a_late_reset_or_answer_are_counted_as_possibly_lost() {
    for answer in [None, Some(&b"HTTP/1.1 408 Request Timeout\r\n\r\n"[..])] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sending = Sending::start(&tcp(listener.local_addr().unwrap()));
        sending.send(0..10).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        sending.wait_for("the receipts", |stats| stats.acknowledged == 10).await;
        if let Some(answer) = answer {
            stream.write_all(answer).await.unwrap();
            assert_ne!(stream.read(&mut [0; 65_536]).await.unwrap(), 0);
        }
        drop(stream);
        let stats = sending.wait_for("the end", |stats| stats.broken_connections == 1).await;
        assert_eq!(stats.possibly_lost, 10, "{stats:?}");
        sending.end(10).await;
    }
}

/// If the receiver ends the connection after the client has ended it, the receiver has read everything.
#[tokio::test]
async fn a_close_succeeds_whether_the_receiver_ends_the_connection_or_the_probation_runs_out() {
    for ends in [true, false] {
        let sink = Sink::start().await;
        sink.set_ending(ends);
        let sending = Sending::start(&tcp(sink.address));
        sending.send(0..10).await;
        assert_eq!(sending.client.close(LIMIT).await, Ok(()));
        assert_eq!(sending.stats().acknowledged, 10);
    }
}

/// The close of a proven connection does not wait for the receiver.
#[tokio::test(start_paused = true)]
async fn the_close_of_a_proven_connection_takes_no_time() {
    let sink = Sink::start().await;
    sink.set_ending(false);
    let sending = Sending::start(&tcp(sink.address));
    sending.send(0..10).await;
    sending.wait_for("the receipts", |stats| stats.acknowledged == 10).await;
    sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    sending.client.close(LIMIT).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
}
