//! Tests connections that end, stall or are reset.

use std::time::Duration;

use gelf_tokio::gelf_core::Message;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::support::account::assert_account;
use crate::support::outages::{Sending, Sink, tcp, tcp_with, text, within};

#[tokio::test]
async fn an_idle_connection_that_ended_is_reopened_only_for_the_next_message() {
    let sink = Sink::start().await;
    sink.expect(0, 0..200);
    let sending = Sending::start(&tcp(sink.address));
    sending.send(0..100).await;
    sink.wait_for("a hundred messages", |heard| heard.arrivals.len() == 100).await;
    sending.wait_for("the acknowledgements", |stats| stats.acknowledged == 100).await;
    sink.hang_up().await;
    let stats = sending.wait_for("the end of the connection", |stats| stats.broken_connections == 1).await;
    assert!(!stats.is_connected);
    sleep(Duration::from_secs(1)).await;
    let stats = sending.stats();
    assert_eq!((stats.connections, sink.heard().peers.len()), (1, 1), "no message, no connection");
    assert_account(&stats, 100);

    let started = Instant::now();
    sending.send(100..200).await;
    sink.wait_for_all().await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let stats = sending.end_acknowledged(200).await;
    assert_eq!((stats.connections, stats.failed_connects, stats.resent), (2, 0, 0));
    sink.assert_exact().await;
}

/// Reads `count` messages.
async fn read_messages(stream: &mut TcpStream, count: usize) {
    let mut bytes = Vec::new();
    while bytes.iter().filter(|byte| **byte == 0).count() < count {
        assert_ne!(within("messages", stream.read_buf(&mut bytes)).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn messages_written_to_an_ended_connection_are_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sending = Sending::start(&tcp(listener.local_addr().unwrap()));
    sending.send(0..100).await;
    let (mut stream, _) = within("the connection", listener.accept()).await.unwrap();
    read_messages(&mut stream, 100).await;
    sending.wait_for("the acknowledgements", |stats| stats.acknowledged == 100).await;

    // Without an await in between, the driver cannot notice the end before the messages are queued.
    drop(stream);
    for number in 100..200 {
        sending.client.try_send_with_receipt(&Message::new("h", text(number)), number).unwrap();
    }
    let sink = Sink::listen(listener);
    sink.expect(0, 100..200);
    let started = Instant::now();
    sink.wait_for_all().await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let stats = sending.end_acknowledged(200).await;
    assert_eq!((stats.connections, stats.broken_connections, stats.failed_connects), (2, 1, 0));
    assert_eq!(stats.resent, 100);
    // The receiver had read none of these messages from the old connection, so each of them arrives once.
    sink.assert_exact().await;
}

#[tokio::test]
async fn acknowledged_messages_are_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sending = Sending::start(&tcp(listener.local_addr().unwrap()));
    sending.wait_for("the connection", |stats| stats.is_connected).await;
    let (mut stream, _) = within("the connection", listener.accept()).await.unwrap();
    // After the first few segments, the kernel delays acknowledgements, so the last acknowledgement arrives
    // together with the FIN.
    for number in 0..40 {
        sending.send(number..number + 1).await;
        read_messages(&mut stream, 1).await;
        sending.wait_for("the acknowledgement", |stats| stats.acknowledged > number).await;
    }
    sending.send(40..41).await;
    read_messages(&mut stream, 1).await;
    drop(stream);
    sending.wait_for("the end of the connection", |stats| stats.broken_connections == 1).await;
    let sink = Sink::listen(listener);
    sink.expect(0, 41..200);
    sending.send(41..200).await;
    sink.wait_for_all().await;
    let stats = sending.end_acknowledged(200).await;
    assert_eq!((stats.connections, stats.resent), (2, 0));
    sink.assert_exact().await;
}

/// The receiver's window is closed, and the receiver's kernel acknowledges each window probe.
#[tokio::test]
async fn a_connection_with_a_closed_window_is_given_up_and_its_unacknowledged_messages_are_sent_again() {
    let user_timeout = Duration::from_secs(2);
    let sink = Sink::start().await;
    sink.leave_unread(1);
    sink.expect(0, 0..20_000);
    let sending = Sending::start(&tcp_with(sink.address, "user_timeout=2"));
    let started = Instant::now();
    sending.send(0..20_000).await;
    let stats = sending.wait_for("the end of the connection", |stats| stats.broken_connections == 1).await;
    let took = started.elapsed();
    assert_account(&stats, 20_000);
    assert!(took >= user_timeout, "{took:?}");

    let stats = sending.wait_for("the acknowledgements", |stats| stats.acknowledged == 20_000).await;
    let written_again =
        sink.wait_for("the last", |heard| heard.arrivals.last() == Some(&19_999)).await.arrivals;
    let acknowledged = 20_000 - written_again.len() as u64;
    assert_eq!(written_again, (acknowledged..20_000).collect::<Vec<_>>());
    // The acknowledged messages of the first connection are still in its receive buffer.
    sink.leave_unread(0);
    sink.wait_for_all().await;
    sink.wait_for("the end of the first connection", |heard| heard.open == 1).await;
    let report = sink.report();
    assert!(stats.resent > 0 && report.is_complete() && report.duplicated <= stats.resent, "{report:?}");
    let stats = sending.end_acknowledged(20_000).await;
    assert_eq!((stats.connections, stats.broken_connections, stats.failed_connects), (2, 1, 0));
}

/// The receiver accepts, acknowledges and resets, like a proxy whose target is down.
#[tokio::test]
async fn the_client_pauses_between_connections_that_a_receiver_resets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sending = Sending::start(&tcp(listener.local_addr().unwrap()));
    let client = sending.client.clone();
    let feeding = tokio::spawn(async move {
        let mut number = 0;
        while client.send_with_receipt(&Message::new("h", "m"), number).await.is_ok() {
            number += 1;
            sleep(Duration::from_millis(1)).await;
        }
    });
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        let (mut stream, _) = within("a connection", listener.accept()).await.unwrap();
        within("a message", stream.read(&mut [0; 65_536])).await.unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let stats = sending.stats();
    assert_account(&stats, stats.queued);
    // The first four pauses take at most 1.5 s in all.
    assert!((3..40).contains(&stats.connections), "{stats:?}");
    feeding.abort();
    sending.driver.abort();
}
