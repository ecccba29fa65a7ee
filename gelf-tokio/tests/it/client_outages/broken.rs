//! Connections that end, stall or are reset.

use std::time::Duration;

use fault_proxy::{TcpPlan, TcpProxy};
use gelf_tokio::Outcome;
use gelf_tokio::gelf_core::Message;
use message_oracle::Report;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::account::assert_account;
use crate::support::outages::{Sending, Sink, tcp, text, with_user_timeout, within};

/// Returns a connected client whose first hundred messages have arrived and were acknowledged.
async fn connected(sink: &Sink) -> Sending {
    sink.expect(0, 0..200);
    let sending = Sending::start(&tcp(sink.address));
    sending.send(0..100).await;
    sink.wait_for("a hundred messages", |heard| heard.arrivals.len() == 100).await;
    sending.wait_for("the acknowledgements", |stats| stats.acknowledged == 100).await;
    sending
}

#[tokio::test]
async fn an_idle_connection_that_ended_is_reopened_only_for_the_next_message() {
    let sink = Sink::start().await;
    let sending = connected(&sink).await;
    sink.hang_up().await;
    let stats = sending.wait_for("the end of the connection", |stats| stats.broken_connections == 1).await;
    assert!(!stats.is_connected);
    sleep(Duration::from_secs(1)).await;
    let stats = sending.stats();
    assert_eq!(
        (stats.connections, sink.heard().peers.len()),
        (1, 1),
        "no connection without a message to send"
    );
    assert_account(&stats, 100);

    let started = Instant::now();
    sending.send(100..200).await;
    sink.wait_for_all().await;
    let took = started.elapsed();
    println!("an idle connection ended; the next messages arrived after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let (stats, ledger) = sending.end(200).await;
    assert_eq!(ledger.with(Outcome::Acknowledged).len(), 200);
    assert_eq!((stats.connections, stats.failed_connects, stats.resent), (2, 0, 0));
    assert!(sink.report().is_exact(), "{}", sink.report());
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
    let (stats, ledger) = sending.end(200).await;
    assert_eq!(ledger.with(Outcome::Acknowledged).len(), 200);
    assert_eq!((stats.connections, stats.broken_connections, stats.failed_connects), (2, 1, 0));
    println!(
        "{} messages were written to an ended connection, and arrived on the next one after {took:?}",
        stats.resent
    );
    assert_eq!(stats.resent, 100);
    // Nothing that was written to the old connection was read.
    assert!(sink.report().is_exact(), "{}", sink.report());
}

#[tokio::test]
async fn acknowledged_messages_are_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sending = Sending::start(&tcp(listener.local_addr().unwrap()));
    sending.wait_for("the connection", |stats| stats.is_connected).await;
    let (mut stream, _) = within("the connection", listener.accept()).await.unwrap();
    // After the first few segments the kernel delays acknowledgements, so the last one arrives together with
    // the FIN.
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
    let (stats, ledger) = sending.end(200).await;
    assert_eq!(ledger.with(Outcome::Acknowledged).len(), 200);
    assert_eq!((stats.connections, stats.resent), (2, 0));
    assert!(sink.report().is_exact(), "{}", sink.report());
}

/// The proxy's kernel has acknowledged all bytes that the proxy read, so a cut may lose messages. The next
/// connection carries whole messages in order, up to the last one.
#[tokio::test]
async fn after_a_reset_at_any_byte_the_next_connection_begins_with_a_whole_frame() {
    let frame = |number| r#"{"version":"1.1","host":"h","short_message":""}"#.len() + text(number).len() + 1;
    let (first, second) = (frame(0), frame(0) + frame(1));
    let (mut lost, mut duplicated) = (0, 0);
    for some in (0..=second).collect::<Vec<_>>().chunks(32) {
        let mut resets = JoinSet::new();
        for after in some {
            let passed = u64::from(*after >= first) + u64::from(*after >= second);
            resets.spawn(reset_after(*after as u64, passed));
        }
        for report in resets.join_all().await {
            lost += report.lost;
            duplicated += report.duplicated;
        }
    }
    println!("{lost} messages were acknowledged and lost in the proxy's buffer, {duplicated} arrived twice");
}

/// Resets a connection after `bytes` bytes, which contain `passed` whole messages.
async fn reset_after(bytes: u64, passed: u64) -> Report {
    let sink = Sink::start().await;
    let proxy = TcpProxy::start(sink.address).await.unwrap();
    proxy.plan_next(TcpPlan::new().reset_after(bytes));
    let sending = Sending::start(&tcp(proxy.address()));
    sending.send(0..4).await;
    sending.wait_for("the cut", |stats| stats.broken_connections == 1).await;
    sending.send(4..8).await;
    sink.expect(0, 0..8);
    sink.wait_for("the last", |heard| heard.arrivals.last() == Some(&7)).await;
    let (stats, _) = sending.end(8).await;
    assert_eq!((stats.connections, stats.acknowledged), (2, 8));
    let (report, arrivals) = (sink.report(), sink.heard().arrivals);
    assert_eq!(report.altered, 0, "{bytes}: {report}");
    assert!(report.duplicated <= stats.resent, "{bytes}: {report}");
    let (first, next) = arrivals.split_at(passed as usize);
    assert_eq!(first, (0..passed).collect::<Vec<_>>(), "{bytes}");
    assert_eq!(next, (next[0]..8).collect::<Vec<_>>(), "{bytes}");
    assert!(next[0] <= 4, "{bytes}: {arrivals:?}");
    report
}

/// The receiver's window is closed, and its kernel acknowledges each probe of it.
#[tokio::test]
async fn a_connection_with_a_closed_window_is_given_up_and_its_messages_are_sent_again() {
    let user_timeout = Duration::from_secs(2);
    let sink = Sink::start().await;
    sink.leave_unread(1);
    sink.expect(0, 0..20_000);
    let sending = Sending::start(&with_user_timeout(tcp(sink.address), user_timeout));
    let started = Instant::now();
    sending.send(0..20_000).await;
    let stats = sending.wait_for("the end of the connection", |stats| stats.broken_connections == 1).await;
    let took = started.elapsed();
    assert_account(&stats, 20_000);
    println!("connection given up after {took:?}");
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
    println!(
        "{acknowledged} messages were not sent again, {} were, {} arrived twice",
        stats.resent, report.duplicated
    );
    assert!(stats.resent > 0 && report.is_complete() && report.duplicated <= stats.resent, "{report}");
    let (stats, ledger) = sending.end(20_000).await;
    assert_eq!(ledger.with(Outcome::Acknowledged).len(), 20_000);
    assert_eq!((stats.connections, stats.broken_connections, stats.failed_connects), (2, 1, 0));
}

/// Messages that the kernel of a black hole has acknowledged are lost, which no sender can detect. All others
/// arrive on the next connection.
#[tokio::test]
async fn a_connection_into_a_black_hole_is_given_up_and_its_messages_are_sent_again() {
    let sink = Sink::start().await;
    let proxy = TcpProxy::start(sink.address).await.unwrap();
    proxy.plan_next(TcpPlan::new().black_hole());
    let sending = Sending::start(&with_user_timeout(tcp(proxy.address()), Duration::from_secs(2)));
    sending.send(0..20_000).await;
    let stats = sending.wait_for("the acknowledgements", |stats| stats.acknowledged == 20_000).await;
    assert_eq!((stats.connections, stats.broken_connections, stats.failed_connects), (2, 1, 0));
    assert_eq!(proxy.counters().black_holes, 1);
    let arrived = sink.wait_for("the last", |heard| heard.arrivals.last() == Some(&19_999)).await.arrivals;
    let taken = 20_000 - arrived.len() as u64;
    assert_eq!(arrived, (taken..20_000).collect::<Vec<_>>());
    println!("{taken} messages were acknowledged in the black hole");
    sending.end(20_000).await;
}

/// A sender cannot know whether the receiver has read the bytes that its kernel acknowledged.
#[tokio::test]
async fn a_receiver_that_dies_loses_only_messages_that_its_kernel_acknowledged() {
    let sink = Sink::start().await;
    let sending = connected(&sink).await;
    sink.leave_unread(1);
    sending.send(100..20_000).await;
    sink.expect(0, 200..20_000);
    // Once nothing more is acknowledged, all buffers are full.
    let mut stats = sending.wait_for("acknowledgements", |stats| stats.acknowledged > 100).await;
    loop {
        sleep(Duration::from_millis(500)).await;
        let before = std::mem::replace(&mut stats, sending.stats());
        if before.acknowledged == stats.acknowledged {
            break;
        }
    }
    // Closing a socket with unread data resets the connection.
    sink.hang_up().await;
    let last = sending.wait_for("the acknowledgements", |stats| stats.acknowledged == 20_000).await;
    sink.wait_for("the last message", |heard| heard.arrivals.last() == Some(&19_999)).await;
    let report = sink.report();
    println!(
        "{} messages were acknowledged and not read, {} were lost, {} were sent again",
        stats.acknowledged - 100,
        report.lost,
        last.resent
    );
    assert_eq!(report.lost, stats.acknowledged - 100, "{report}");
    assert_eq!((report.duplicated, report.reordered, report.altered), (0, 0, 0), "{report}");
    // The first hundred, and then all messages that were not acknowledged.
    let arrivals = sink.heard().arrivals;
    assert_eq!(arrivals, (0..100).chain(stats.acknowledged..20_000).collect::<Vec<_>>());
    sending.end(20_000).await;
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
    println!("{} connections in 2 s", stats.connections);
    // The first four pauses take at most 1.5 s in all.
    assert!((3..40).contains(&stats.connections), "{stats:?}");
    feeding.abort();
    sending.driver.abort();
}
