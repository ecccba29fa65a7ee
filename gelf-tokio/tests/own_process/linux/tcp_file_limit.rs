//! Tests a TCP receiver that runs out of file descriptors.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::process::limit_files;
use super::tcp_receiver::{GOOD, GoodSender, ReceiverProcess, connect_from};

pub(crate) async fn a_receiver_without_file_descriptors_serves_open_connections() {
    assert!(limit_files(std::process::id(), 4096));
    let mut receiver = ReceiverProcess::start(1024, 30);
    assert!(limit_files(receiver.id(), 256));
    let good = GoodSender::start(receiver.address);
    receiver.until(|report| report["good"] >= 1);

    let mut crowd = Vec::new();
    for number in 0..1000_u32 {
        let mut stream = connect_from(2 + (number % 20) as u8, receiver.address).await.unwrap();
        stream.write_all(b"{}\0").await.unwrap();
        crowd.push(stream);
    }
    receiver.until(|report| report["accept_errors"] >= 1);
    let (started, before) = (receiver.processor_time(), receiver.report());
    let clock = Instant::now();
    sleep(Duration::from_secs(1)).await;
    let (time, after) = (receiver.processor_time() - started, receiver.report());
    let waited = clock.elapsed();
    let share = time.as_secs_f64() / waited.as_secs_f64();
    let errors = after["accept_errors"] - before["accept_errors"];
    let timed = after["good"] - before["good"];
    assert!((200..256).contains(&after["open"]), "{after:?}");
    assert!(share < 0.2, "{share}");
    // The receiver tries every 100 ms to accept the next connection.
    assert!((1..=waited.as_millis() as u64 / 100 + 1).contains(&errors), "{errors} in {waited:?}");
    assert!(timed > 0);

    drop(crowd);
    let mut late = connect_from(1, receiver.address).await.unwrap();
    late.write_all(GOOD).await.unwrap();
    // The waiting connections are accepted and their frames are received, and then this frame is received.
    receiver.until(|report| report["connections"] == 1002 && report["open"] == 2);
    let sent = good.stop();
    let report = receiver.until(|report| report["good"] == sent + 1);
    assert_eq!([report["other"], report["cut"], report["over_limit"]], [1000, 0, 0]);
}
