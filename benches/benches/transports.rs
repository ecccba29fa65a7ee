//! Benchmarks of sending. They measure the processor time of the sending thread, which includes the kernel's
//! work on the loopback. Wall time would depend on whether the receiver has its own processor. It is measured
//! only on platforms other than Unix.
//!
//! Before the benchmarks, two pairs of methods are compared. Over UDP (on Linux), one system call for all
//! chunks of a message is compared with one system call for each chunk. Over TCP, one write for many frames is
//! compared with one write for each frame.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "benchmarks may panic"
)]

use std::future::poll_fn;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_sink::Sink;
use gelf_benches::Corpus;
use gelf_tokio::{GelfCodec, UdpSender};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_util::codec::{Encoder, FramedWrite};

/// The number of datagrams that are sent before the receiving socket's queue is emptied. By default, this
/// queue has room for at least twice as many datagrams.
const BURST_DATAGRAMS: u64 = 32;

/// The number of buffered bytes at which the buffered frames are written to the socket.
const BOUNDARY: usize = 64 * 1024;

/// The number of measurements of each method. The methods take turns.
const ROUNDS: usize = 21;

/// Returns the processor time of this thread.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns the wall time on platforms without thread time.
#[cfg(not(unix))]
fn processor_time() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A sender, and a socket that receives its datagrams.
struct Udp {
    runtime: Runtime,
    sender: UdpSender,
    sink: UdpSocket,
    payload: Vec<u8>,
}

impl Udp {
    /// Creates a sender whose messages are each split into `chunks` datagrams of 1,420 bytes. If `chunks` is 1,
    /// a message is one datagram without a chunk header.
    fn new(chunks: usize, segmentation: bool) -> Self {
        let runtime = runtime();
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        sink.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let endpoint = format!("gelf://{}?compression=none", sink.local_addr().unwrap()).parse().unwrap();
        let mut sender = runtime.block_on(UdpSender::connect(&endpoint)).unwrap();
        sender.set_segmentation(segmentation);
        let payload = vec![b'{'; if chunks == 1 { 1420 } else { chunks * 1408 }];
        Self { runtime, sender, sink, payload }
    }

    /// Returns the cost of sending messages, without the cost of receiving them.
    fn send(&mut self, messages: u64) -> Duration {
        let Self { runtime, sender, sink, payload } = self;
        let burst = BURST_DATAGRAMS / payload.len().div_ceil(1420) as u64;
        let mut cost = Duration::ZERO;
        let mut left = messages;
        let mut buffer = [0; 2048];
        while left > 0 {
            let now = left.min(burst);
            let sent = sender.stats().datagrams;
            let before = processor_time();
            runtime.block_on(async {
                for _ in 0..now {
                    sender.send_payload(payload).await.unwrap();
                }
            });
            cost += processor_time() - before;
            for _ in sent..sender.stats().datagrams {
                sink.recv(&mut buffer).expect("a datagram");
            }
            left -= now;
        }
        cost
    }
}

/// A connection to a reader, a thread that reads everything and then waits for more.
///
/// A write that wakes a waiting reader costs three times as much as a write while the reader is busy. If the
/// next write follows immediately, chance decides whether the reader waits. Therefore, with
/// [`Pace::ReaderWaits`], each write finds a waiting reader. In practice, the receiver of a log sender mostly
/// waits.
struct Tcp {
    runtime: Runtime,
    framed: FramedWrite<TcpStream, GelfCodec>,
    /// The payloads are encoded in advance, so that only the path to the kernel is measured.
    payloads: Vec<Bytes>,
    /// The number of bytes that were written.
    written: u64,
    /// The number of bytes that the reader has read.
    read: Arc<AtomicU64>,
}

impl Tcp {
    fn new(corpus: &Corpus) -> Self {
        let runtime = runtime();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = runtime.block_on(TcpStream::connect(listener.local_addr().unwrap())).unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sink, _) = listener.accept().unwrap();
        let read = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&read);
        thread::spawn(move || {
            let mut buffer = vec![0; 256 * 1024];
            while let Ok(len @ 1..) = sink.read(&mut buffer) {
                count.fetch_add(len as u64, Relaxed);
            }
        });
        let mut framed = FramedWrite::new(stream, GelfCodec::new());
        framed.set_backpressure_boundary(BOUNDARY);
        let payloads = corpus.payloads().into_iter().map(Bytes::from).collect();
        Self { runtime, framed, payloads, written: 0, read }
    }

    /// Returns the cost of sending all messages once, with one write for each message.
    fn write_each(&mut self, pace: Pace) -> Duration {
        let Self { runtime, framed, payloads, written, read } = self;
        let mut codec = GelfCodec::new();
        let mut buffer = BytesMut::new();
        runtime.block_on(async {
            let mut cost = Cost::default();
            for payload in payloads.iter() {
                let before = processor_time();
                buffer.clear();
                codec.encode(payload.clone(), &mut buffer).unwrap();
                framed.get_mut().write_all(&buffer).await.unwrap();
                cost.add(before);
                *written += buffer.len() as u64;
                pace.wait_for(read, *written);
            }
            Pace::ReaderWaits.wait_for(read, *written);
            cost.total()
        })
    }

    /// Returns the cost of sending all messages once, with one write for each 64 KiB.
    fn write_many(&mut self, pace: Pace) -> Duration {
        let Self { runtime, framed, payloads, written, read } = self;
        let mut framed = Pin::new(framed);
        runtime.block_on(async {
            let mut cost = Cost::default();
            let mut rest = payloads.iter();
            while rest.len() > 0 {
                let before = processor_time();
                while framed.write_buffer().len() < BOUNDARY {
                    let Some(payload) = rest.next() else { break };
                    framed.as_mut().start_send(payload.clone()).unwrap();
                }
                let len = framed.write_buffer().len();
                // A caller of `poll_ready` gets the same flush when the buffer reaches the boundary.
                poll_fn(|context| Sink::<Bytes>::poll_flush(framed.as_mut(), context)).await.unwrap();
                cost.add(before);
                *written += len as u64;
                pace.wait_for(read, *written);
            }
            Pace::ReaderWaits.wait_for(read, *written);
            cost.total()
        })
    }
}

/// The time of the next write.
#[derive(Clone, Copy)]
enum Pace {
    /// Immediately.
    Free,
    /// After the reader has read everything and waits.
    ReaderWaits,
}

impl Pace {
    fn wait_for(self, read: &AtomicU64, written: u64) {
        match self {
            Self::Free => {}
            Self::ReaderWaits => {
                while read.load(Relaxed) < written {
                    thread::yield_now();
                }
                let idle = Instant::now();
                while idle.elapsed() < Duration::from_micros(20) {
                    std::hint::spin_loop();
                }
            }
        }
    }
}

/// The processor time of many short intervals, corrected for the cost of reading the clock.
#[derive(Default)]
struct Cost {
    sum: Duration,
    intervals: u32,
}

impl Cost {
    fn add(&mut self, before: Duration) {
        self.sum += processor_time() - before;
        self.intervals += 1;
    }

    fn total(self) -> Duration {
        const EMPTY_INTERVALS: u32 = 1000;
        let overhead = (0..EMPTY_INTERVALS).fold(Duration::ZERO, |sum, _| {
            let before = processor_time();
            sum + (processor_time() - before)
        });
        self.sum.saturating_sub(overhead * self.intervals / EMPTY_INTERVALS)
    }
}

/// Measures two methods in turns. Prints the median time of each method, and the ratio of the medians.
fn compare(
    what: &str,
    messages: u32,
    mut first: impl FnMut() -> Duration,
    mut second: impl FnMut() -> Duration,
) {
    let (mut first, mut second): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| (first(), second())).unzip();
    first.sort();
    second.sort();
    let (first, second) = (first[ROUNDS / 2], second[ROUNDS / 2]);
    let ratio = second.as_secs_f64() / first.as_secs_f64();
    println!("{what}: {:?} and {:?} per message, {ratio:.2} times", first / messages, second / messages);
}

fn transports(criterion: &mut Criterion) {
    let (mut together, mut one_by_one) = (Udp::new(8, true), Udp::new(8, false));
    if cfg!(target_os = "linux") {
        const MESSAGES: u32 = 2000;
        compare(
            "UDP, 8 chunks: together and one by one",
            MESSAGES,
            || together.send(MESSAGES.into()),
            || one_by_one.send(MESSAGES.into()),
        );
        assert_eq!(together.sender.stats().segmented, together.sender.stats().datagrams);
        assert_eq!(one_by_one.sender.stats().segmented, 0);
    }
    let mut tcp = Tcp::new(&Corpus::new(5000));
    for (what, pace) in [
        ("TCP, waiting reader: 64 KiB per write, and one write per message", Pace::ReaderWaits),
        ("TCP, free running: 64 KiB per write, and one write per message", Pace::Free),
    ] {
        let tcp = std::cell::RefCell::new(&mut tcp);
        compare(what, 5000, || tcp.borrow_mut().write_many(pace), || tcp.borrow_mut().write_each(pace));
    }

    let mut group = criterion.benchmark_group("transports");
    group.bench_function("UDP, 1 datagram", |bencher| {
        let mut single = Udp::new(1, true);
        bencher.iter_custom(|messages| single.send(messages));
    });
    group.bench_function("UDP, 8 chunks together", |bencher| {
        bencher.iter_custom(|messages| together.send(messages));
    });
    group.bench_function("UDP, 8 chunks one by one", |bencher| {
        bencher.iter_custom(|messages| one_by_one.send(messages));
    });
    group.bench_function("TCP, 5,000 messages, 64 KiB per write", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| tcp.write_many(Pace::ReaderWaits)).sum());
    });
    group.bench_function("TCP, 5,000 messages, one write per message", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| tcp.write_each(Pace::ReaderWaits)).sum());
    });
    group.finish();
}

criterion_group!(all, transports);
criterion_main!(all);
