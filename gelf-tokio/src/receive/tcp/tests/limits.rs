//! Tests the limits that end a connection. Most tests use a stream in memory and a paused clock. One test
//! exceeds the time limits on loopback connections.

use gelf_core::Delimiter;
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, timeout};

use super::*;
use crate::receive::delivery::{Deliveries, Item, delivery_queue};
use crate::receive::server::closing::{self, Closer};
use crate::receive::server::{End, Peer, Protocol};

const SECOND: Duration = Duration::from_secs(1);

/// A time longer than any limit, by the clock of the test.
const GUARD: Duration = Duration::from_secs(7 * 24 * 3600);

/// A reader of one stream in memory.
struct Reading {
    peer: DuplexStream,
    deliveries: Deliveries,
    protocol: Arc<FrameProtocol>,
    closer: Closer,
    end: tokio::task::JoinHandle<End>,
    started: Instant,
}

impl Reading {
    fn start(change: impl FnOnce(&mut TimeLimits)) -> Self {
        let mut time_limits = TimeLimits { first_byte: Some(10 * SECOND), idle: None, frame: 30 * SECOND };
        change(&mut time_limits);
        let (queue, deliveries) = delivery_queue(1, 1000);
        let (closer, closing) = closing::channel();
        let protocol = Arc::new(FrameProtocol {
            budget: Budget::new(1 << 20),
            delimiter: Delimiter::Nul,
            max_frame_len: 1 << 20,
            time_limits,
            frames: FrameCounters::default(),
        });
        let (peer, mut stream) = duplex(1 << 16);
        let serving = Arc::clone(&protocol);
        let address = "10.0.0.7:4711".parse().unwrap();
        let far = Peer { address, queue, closing };
        let end = tokio::spawn(async move { serving.serve(&mut stream, far).await.end });
        Self { peer, deliveries, protocol, closer, end, started: Instant::now() }
    }

    async fn write(&mut self, bytes: &[u8]) {
        timeout(GUARD, self.peer.write_all(bytes)).await.expect("it is read").unwrap();
    }

    async fn item(&mut self) -> Item {
        timeout(GUARD, self.deliveries.recv()).await.expect("it comes").unwrap()
    }

    /// Waits for the end of the connection. Returns its kind, its time in seconds, and the number of cut
    /// frames.
    async fn end(self) -> (End, f64, u64) {
        let end = timeout(GUARD, self.end).await.expect("it ends").unwrap();
        (end, self.started.elapsed().as_secs_f64().round(), self.protocol.frames.cut.get())
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_first_byte_is_closed_after_10_seconds() {
    assert_eq!(Reading::start(|_| {}).end().await, (End::Silent, 10.0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_sent_something_may_be_idle_for_a_day() {
    for ending in [&b"{}\0"[..], b"{}\0\n", b"{}\0\r\n"] {
        let mut reading = Reading::start(|_| {});
        reading.write(ending).await;
        reading.item().await.unwrap();
        tokio::time::sleep(24 * 3600 * SECOND).await;
        assert!(!reading.end.is_finished());
        reading.write(b"[]\0").await;
        assert!(reading.item().await.unwrap().payload.ends_with(b"[]"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_limit_counts_from_the_last_byte() {
    let mut reading = Reading::start(|limits| limits.idle = Some(60 * SECOND));
    for _ in 0..3 {
        reading.write(b"{}\0").await;
        reading.item().await.unwrap();
        tokio::time::sleep(59 * SECOND).await;
    }
    reading.write(b"{").await;
    tokio::time::sleep(29 * SECOND).await;
    reading.write(b"}\0").await;
    reading.item().await.unwrap();
    assert_eq!(reading.end().await, (End::Idle, 3.0 * 59.0 + 29.0 + 60.0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_comes_byte_by_byte_is_cut_after_30_seconds() {
    let mut reading = Reading::start(|_| {});
    for _ in 0..30 {
        reading.write(b"x").await;
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(reading.end().await, (End::Slow, 30.0, 1));
}

#[tokio::test(start_paused = true)]
async fn frames_that_end_in_time_may_come_byte_by_byte() {
    let mut reading = Reading::start(|_| {});
    for _ in 0..10 {
        for byte in b"\0{\"slow\":true}" {
            reading.write(&[*byte]).await;
            tokio::time::sleep(SECOND).await;
        }
        reading.write(b"\0{").await;
        reading.item().await.unwrap();
        tokio::time::sleep(29 * SECOND).await;
        reading.write(b"}\0").await;
        assert_eq!(reading.item().await.unwrap().payload, "{}");
    }
    assert!(!reading.end.is_finished());
}

#[tokio::test(start_paused = true)]
async fn white_space_begins_a_frame_with_its_17th_byte() {
    let mut reading = Reading::start(|_| {});
    reading.write(&[b' '; 16]).await;
    tokio::time::sleep(100 * SECOND).await;
    reading.write(b" ").await;
    // 17 bytes of white space have the time limit of a frame, but do not count as a cut frame.
    assert_eq!(reading.end().await, (End::Slow, 130.0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_long_gets_no_extra_time() {
    let mut reading = Reading::start(|_| {});
    reading.write(b"x").await;
    tokio::time::sleep(5 * SECOND).await;
    reading.write(&vec![b'x'; 1 << 20]).await;
    assert!(matches!(reading.item().await, Err(ReceiveError::Frame { .. })));
    for _ in 0..10 {
        tokio::time::sleep(2 * SECOND).await;
        reading.write(b"more of it").await;
    }
    // The frame is counted once, as too long.
    assert_eq!(reading.end().await, (End::Slow, 30.0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_frame_after_a_skipped_frame_has_its_full_time() {
    let mut reading = Reading::start(|_| {});
    reading.write(&vec![b'x'; 2 << 20]).await;
    assert!(matches!(reading.item().await, Err(ReceiveError::Frame { .. })));
    tokio::time::sleep(29 * SECOND).await;
    reading.write(b"the last of it\0{").await;
    tokio::time::sleep(29 * SECOND).await;
    reading.write(b"}\0").await;
    assert_eq!(reading.item().await.unwrap().payload, "{}");
}

#[tokio::test(start_paused = true)]
async fn the_time_for_which_recv_is_not_called_does_not_count() {
    let mut reading = Reading::start(|limits| limits.idle = Some(60 * SECOND));
    reading.write(b"{\"a\":1}\0{\"b\":1}\0{\"c\":").await;
    // The second frame has no room, so the time of the third frame has not begun.
    tokio::time::sleep(3600 * SECOND).await;
    reading.item().await.unwrap();
    reading.item().await.unwrap();
    tokio::time::sleep(29 * SECOND).await;
    reading.write(b"1}\0").await;
    assert_eq!(reading.item().await.unwrap().payload, "{\"c\":1}");
}

#[tokio::test(start_paused = true)]
async fn the_time_for_which_a_frame_that_is_too_long_waits_for_room_does_not_count() {
    let mut reading = Reading::start(|_| {});
    reading.write(b"{\"a\":1}\0").await;
    // The frame comes in several reads. The queue has no room for the error.
    reading.write(&vec![b'x'; (1 << 20) + 1]).await;
    tokio::time::sleep(3600 * SECOND).await;
    reading.item().await.unwrap();
    assert!(matches!(reading.item().await, Err(ReceiveError::Frame { .. })));
    tokio::time::sleep(29 * SECOND).await;
    reading.write(b"the last of it\0{}\0").await;
    assert_eq!(reading.item().await.unwrap().payload, "{}");
}

#[tokio::test(start_paused = true)]
async fn time_in_which_there_is_no_memory_for_a_frame_does_not_count() {
    let mut reading = Reading::start(|limits| limits.idle = Some(60 * SECOND));
    // This claim stands for a complete long frame of another connection. The frame waits for `recv`.
    let mut other = reading.protocol.budget.claim();
    other.grow(1 << 20).await.unwrap();
    other.complete();
    reading.write(&[b'x'; 1 << 16]).await;
    tokio::time::sleep(3600 * SECOND).await;
    drop(other);
    tokio::time::sleep(29 * SECOND).await;
    reading.write(b"x\0").await;
    assert_eq!(reading.item().await.unwrap().payload.len(), (1 << 16) + 1);
    assert_eq!(reading.protocol.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn blank_frames_are_counted_if_the_connection_ends_while_a_frame_waits_for_room() {
    let mut reading = Reading::start(|_| {});
    // The queue has room for the first frame only.
    reading.write(b"{}\0 \0[]\0\0").await;
    tokio::time::sleep(SECOND).await;
    reading.end.abort();
    (&mut reading.end).await.unwrap_err();
    let frames = &reading.protocol.frames;
    assert_eq!((frames.whole.get(), frames.cut.get(), frames.empty.get()), (1, 1, 2));
}

/// Returns the processor time of this thread.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_processor_time_of_a_frame_in_small_pieces_is_not_quadratic_in_its_length() {
    let mut times = Vec::new();
    for len in [1 << 17, 1 << 20] {
        let mut reading = Reading::start(|_| {});
        let started = processor_time();
        for _ in 0..len / 64 {
            reading.write(&[b'x'; 64]).await;
            tokio::task::yield_now().await;
        }
        reading.write(b"\0").await;
        assert_eq!(reading.item().await.unwrap().payload.len(), len);
        times.push(processor_time() - started);
    }
    // The long frame takes about 8 times as long as the short one, and not 64 times. The system may be some
    // milliseconds late when it adds to the processor time of a thread.
    assert!(times[1] < times[0] * 16 + Duration::from_millis(50), "{times:?}");
}

#[tokio::test]
async fn a_connection_that_is_closed_for_a_limit_is_reset_so_that_its_next_write_fails() {
    for (change, sent, wanted) in [
        (
            (|options| options.first_byte_timeout = Some(Duration::from_millis(20)))
                as fn(&mut TcpReceiverOptions),
            &b""[..],
            (|stats| stats.silent_connections == 1) as fn(TcpReceiverStats) -> bool,
        ),
        (
            |options| options.idle_timeout = Some(Duration::from_millis(20)),
            b"\0",
            |stats| stats.idle_connections == 1 && stats.empty_frames == 1,
        ),
        (
            |options| options.frame_timeout = Duration::from_millis(20),
            b"{",
            |stats| stats.slow_connections == 1 && stats.cut_frames == 1,
        ),
    ] {
        let (mut receiver, mut peer) = connected(change).await;
        peer.write_all(sent).await.unwrap();
        until(&mut receiver, wanted).await;
        assert_adds_up(receiver.stats(), 0);
        let error = peer.write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_frame_of_the_maximum_length_comes_even_if_max_buffered_bytes_is_0() {
    let (mut receiver, mut peer) = connected(|options| options.max_buffered_bytes = 0).await;
    let frame = [&vec![b'x'; 2 << 20][..], b"\0"].concat();
    let writing = tokio::spawn(async move { peer.write_all(&frame).await.map(|()| peer) });
    assert_eq!(payload(&mut receiver).await.len(), 2 << 20);
    writing.await.unwrap().unwrap();
}

#[tokio::test]
async fn unfinished_long_frames_do_not_block_a_long_frame_of_another_connection() {
    const MIB: usize = 1 << 20;
    let mut receiver = receiver(|options| options.max_buffered_bytes = 8 * MIB).await;
    let frame = [&vec![b'x'; 2 * MIB - 1][..], b"\0"].concat();
    // Each connection takes 2 MiB of the budget, less the 64 KiB that it may hold outside of the budget. Four
    // connections have room; each further connection takes the room of the oldest, which is evicted.
    let mut hoarders = Vec::new();
    for count in 0..10 {
        let mut peer = connect(&receiver).await;
        let rest = frame[..2 * MIB - 10].to_vec();
        let writing = tokio::spawn(async move { peer.write_all(&rest).await.map(|()| peer) });
        let budget = (count + 1).min(4) * (2 * MIB - 64 * 1024);
        let protocol = Arc::clone(&receiver.protocol);
        until(&mut receiver, |stats| {
            stats.evicted_connections == (count as u64).saturating_sub(3) && protocol.budget.used() == budget
        })
        .await;
        hoarders.push(writing.await.unwrap().unwrap());
    }
    let mut good = connect(&receiver).await;
    let sent = frame.clone();
    let writing = tokio::spawn(async move { good.write_all(&sent).await.map(|()| good) });
    assert_eq!(payload(&mut receiver).await, &frame[..2 * MIB - 1]);
    let stats = receiver.stats();
    assert_eq!((stats.evicted_connections, stats.cut_frames, stats.open_connections), (7, 7, 4));
    assert_adds_up(stats, 1);
    assert_eq!(receiver.protocol.budget.used(), 3 * (2 * MIB - 64 * 1024));
    // The three youngest hoarders are still connected, and complete their frames.
    for mut peer in hoarders.split_off(7) {
        peer.write_all(&frame[2 * MIB - 10..]).await.unwrap();
        assert_eq!(payload(&mut receiver).await.len(), 2 * MIB - 1);
    }
    for mut peer in hoarders {
        peer.write_all(b"x").await.unwrap_err();
    }
    writing.await.unwrap().unwrap();
    until(&mut receiver, |stats| stats.open_connections == 0).await;
    assert_eq!(receiver.protocol.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_closes_reads_on_through_pauses_of_less_than_100_ms() {
    let mut reading = Reading::start(|_| {});
    reading.write(b"{\"a\":1}\0{\"b\":").await;
    reading.item().await.unwrap();
    reading.closer.close(30 * SECOND);
    // The peer is notified, and keeps sending for a while.
    assert_eq!(reading.peer.read(&mut [0]).await.unwrap(), 0);
    for byte in b"1}\0{\"c\":1}\0{" {
        reading.write(&[*byte]).await;
        tokio::time::sleep(Duration::from_millis(90)).await;
    }
    for payload in ["{\"b\":1}", "{\"c\":1}"] {
        assert_eq!(reading.item().await.unwrap().payload, payload);
    }
    assert_eq!(reading.end().await, (End::Closed, 1.0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_closes_reads_a_connection_for_1_s_at_most() {
    let Reading { mut peer, mut deliveries, closer, end, started, .. } = Reading::start(|_| {});
    closer.close(30 * SECOND);
    let sending = async {
        while peer.write_all(b"{}\0").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let receiving = async { while deliveries.recv().await.is_some() {} };
    tokio::join!(sending, receiving);
    assert_eq!((end.await.unwrap(), started.elapsed().as_secs()), (End::Closed, 1));
}

#[tokio::test(start_paused = true)]
async fn frames_that_find_no_room_in_the_queue_within_the_time_to_close_are_counted_as_cut() {
    let (mut receiver, mut peer) = connected(|options| options.max_queued_frames = 1).await;
    peer.write_all(b"{\"a\":1}\0{\"b\":1}\0{\"c\":1}\0{\"d\":").await.unwrap();
    while receiver.stats().frames == 0 {
        tokio::task::yield_now().await;
    }
    receiver.close(30 * SECOND);
    while receiver.stats().closed_connections == 0 {
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(payload(&mut receiver).await, "{\"a\":1}");
    assert_eq!(receiver.recv().await, None);
    let stats = receiver.stats();
    assert_eq!((stats.frames, stats.cut_frames, stats.closed_connections), (1, 3, 1));
    assert_adds_up(stats, 1);
    peer.write_all(b"x").await.unwrap_err();
}
