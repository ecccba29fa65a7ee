//! Tests a TCP receiver with hostile peers: other senders lose nothing, and slow peers and unfinished frames take
//! a bounded amount of memory.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::process::limit_files;
use super::tcp_receiver::{GOOD, GoodSender, ReceiverProcess, connect_from};

const MIB: u64 = 1 << 20;

fn start(max_connections: usize, frame_seconds: u64) -> ReceiverProcess {
    // The receiver's process inherits the limit of open files from this process.
    assert!(limit_files(std::process::id(), 4096));
    ReceiverProcess::start(max_connections, frame_seconds)
}

/// Returns whether the receiver has closed a connection. The receiver never sends anything.
fn is_closed(stream: &TcpStream) -> bool {
    !matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

pub(crate) async fn a_thousand_slow_connections_are_closed_and_take_at_most_40_mib() {
    let mut receiver = start(1024, 6);
    let good = GoodSender::start(receiver.address);
    receiver.until(|report| report["good"] >= 10);
    let before = receiver.forget_peak();

    let mut slow = Vec::new();
    for number in 0..1000 {
        slow.push(connect_from(1 + (number % 20) as u8, receiver.address).await.unwrap());
    }
    let started = Instant::now();
    while !slow.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(120), "{} connections are open", slow.len());
        for stream in &slow {
            // An error means that the connection is closed, which is checked below.
            let _ = stream.try_write(b"x");
        }
        sleep(Duration::from_secs(1)).await;
        slow.retain(|stream| !is_closed(stream));
    }
    let growth = receiver.peak().saturating_sub(before);
    let sent = good.stop();
    let report = receiver.until(|report| report["good"] >= sent && report["open"] == 0);
    assert!(growth <= 40 * MIB);
    assert_eq!(report["good"], sent);
    assert!(sent > 0);
    assert_eq!([report["slow"], report["cut"], report["other"], report["over_limit"]], [1000, 1000, 0, 0]);
}

pub(crate) async fn unfinished_long_frames_cost_at_most_64_mib_more_than_their_budget() {
    let mut receiver = start(1024, 30);
    let good = GoodSender::start(receiver.address);
    receiver.until(|report| report["good"] >= 10);
    let before = receiver.forget_peak();
    // The test sends 300 unfinished frames of 2 MiB less 100 KiB each, 570 MiB in all.
    let unfinished = vec![b'x'; (2 << 20) - (100 << 10)];
    let mut hoarders = Vec::new();
    for number in 0..300_u32 {
        let mut stream = connect_from(2 + (number % 20) as u8, receiver.address).await.unwrap();
        stream.write_all(&unfinished).await.unwrap();
        hoarders.push(stream);
    }
    let mut long = TcpStream::connect(receiver.address).await.unwrap();
    let frame = [&vec![b'x'; 2 << 20][..], b"\0"].concat();
    long.write_all(&frame).await.unwrap();
    // Each unfinished frame claims 2 MiB of the budget, less the 64 KiB that a connection has outside of the
    // budget. The budget of 256 MiB therefore holds at most 132 unfinished frames.
    receiver.until(|report| report["other"] == 1 && report["evicted"] >= 300 - 132);
    let growth = receiver.peak().saturating_sub(before);
    let sent = good.stop();
    let after = receiver.until(|report| report["good"] >= sent);
    // The limit consists of the budget, 64 KiB per connection, and the overhead of the allocator.
    assert!(growth <= (256 + 20 + 44) * MIB, "{growth}");
    assert_eq!(after["good"], sent);
    assert_eq!([after["cut"], after["slow"]], [after["evicted"], 0]);
    assert!(after["evicted"] < 300 - 120, "{after:?}");
}

pub(crate) async fn a_flood_of_connections_does_not_affect_open_ones() {
    let mut receiver = start(200, 30);
    let good: Vec<_> = (0..10).map(|_| GoodSender::start(receiver.address)).collect();
    receiver.until(|report| report["open"] == 10);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..2000 {
        let address = receiver.address;
        tasks.spawn(async move {
            // While the listen backlog is full, a connect does not complete, so the test limits its time.
            let mut stream =
                timeout(Duration::from_secs(5), connect_from(2 + (number % 100) as u8, address)).await;
            if let Ok(Ok(stream)) = &mut stream {
                let _ = stream.write_all(b"{}\0").await;
            }
            stream
        });
    }
    let mut flood = Vec::new();
    while let Some(stream) = tasks.join_next().await {
        flood.extend(stream.unwrap().into_iter().flatten());
    }
    let full = receiver.report();
    let sent: u64 = good.into_iter().map(GoodSender::stop).sum();
    let report = receiver.until(|report| report["good"] >= sent);
    assert!(flood.len() > 1000, "{} connections", flood.len());
    assert_eq!([full["open"], full["over_limit"], full["accept_errors"]], [200, 0, 0]);
    assert_eq!(report["good"], sent);

    drop(flood);
    let mut late = TcpStream::connect(receiver.address).await.unwrap();
    late.write_all(GOOD).await.unwrap();
    receiver.until(|report| report["good"] == sent + 1);
}
