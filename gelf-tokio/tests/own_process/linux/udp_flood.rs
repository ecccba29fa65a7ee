//! Tests a UDP receiver under a flood of first chunks, beside valid messages.
//!
//! The flood takes 5 s, or the number of seconds in `GELF_FLOOD_SECONDS`.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Other, memory, wait_until_stdin_closes};
use gelf_tokio::gelf_core::wire::ChunkHeader;
use gelf_tokio::{UdpReceiver, UdpSender};
use tokio::runtime::Builder;

/// The role of the receiving process.
pub(crate) const RECEIVER: &str = "udp-flood-receiver";

/// The number of hostile senders: enough to fill the table of 8,192 entries with 512 entries per sender.
const HOSTILE_SOCKETS: usize = 16;
/// The number of hostile chunks per second. A receiver that is built without optimisation reads fewer chunks
/// per second than an optimised receiver.
const HOSTILE_PER_SECOND: u64 = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
const GOOD_PER_SECOND: u64 = 200;
const MAX_GROWTH: u64 = 16 * 1024 * 1024;

pub(crate) fn a_flood_of_chunks_costs_at_most_16_mib_and_1_percent_of_messages_beyond_kernel_drops() {
    let seconds = std::env::var("GELF_FLOOD_SECONDS").map_or(5, |text| text.parse().unwrap());
    let duration = Duration::from_secs(seconds);
    let mut receiver = Other::start(&[], RECEIVER, "");
    let address: SocketAddr = receiver.says("listens at ").parse().unwrap();

    let over = AtomicBool::new(false);
    let (hostile, good) = thread::scope(|scope| {
        let hostile = scope.spawn(|| flood(address, &over));
        let good = send_good(address, duration);
        over.store(true, Relaxed);
        (hostile.join().unwrap(), good)
    });
    receiver.end();
    let report = receiver.says("report ");
    let figures: Vec<u64> = report.split(' ').map(|figure| figure.parse().unwrap()).collect();
    let [arrived, datagrams, errors, drops, pending, before, peak] = figures[..] else { panic!("{report}") };
    assert_eq!(datagrams + drops, hostile + good * 8, "each datagram is received or counted as dropped");
    assert_eq!(errors, 0);
    assert!(pending <= 8192, "{pending} pending");
    assert!(peak - before <= MAX_GROWTH, "{} bytes more", peak - before);
    // The kernel drops datagrams of both kinds, and each dropped datagram can cost one message. Beyond that,
    // at most 1 % of the messages may be missing.
    assert!(good - arrived <= drops + good / 100, "{arrived} of {good}, {drops} drops");
}

/// Sends first chunks with unique ids, whose messages are never completed. Returns the number of chunks.
fn flood(to: SocketAddr, over: &AtomicBool) -> u64 {
    let sockets: Vec<_> = (0..HOSTILE_SOCKETS)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(to).unwrap();
            socket
        })
        .collect();
    let started = Instant::now();
    let mut sent: u64 = 0;
    while !over.load(Relaxed) {
        thread::sleep(Duration::from_millis(1));
        let due = started.elapsed().as_micros() as u64 * HOSTILE_PER_SECOND / 1_000_000;
        // After a pause of this thread, the missed chunks are sent gradually.
        for _ in 0..due.saturating_sub(sent).min(HOSTILE_PER_SECOND / 200) {
            let mut chunk = ChunkHeader::MAGIC.to_vec();
            chunk.extend((sent.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes());
            chunk.extend([0, 2, b'x']);
            sockets[sent as usize % HOSTILE_SOCKETS].send(&chunk).unwrap();
            sent += 1;
        }
    }
    sent
}

/// Sends messages of eight chunks. Returns the number of messages.
fn send_good(to: SocketAddr, duration: Duration) -> u64 {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoint = format!("gelf://{to}?compression=none").parse().unwrap();
        let mut sender = UdpSender::connect(&endpoint).await.unwrap();
        let mut payload = br#"{"version":"1.1","host":"h","short_message":""#.to_vec();
        payload.resize(8 * 1408 - 2, b'x');
        payload.extend(b"\"}");
        let started = Instant::now();
        while started.elapsed() < duration {
            let due = started.elapsed().as_millis() as u64 * GOOD_PER_SECOND / 1000;
            if sender.stats().messages < due {
                sender.send_payload(&payload).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sender.stats().messages
    })
}

/// Receives until standard input is closed, then writes a report.
pub(crate) fn receive() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (ended, mut end) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        wait_until_stdin_closes();
        let _ = ended.send(());
    });
    runtime.block_on(async {
        let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
        eprintln!("listens at {}", receiver.local_addr().unwrap());
        let before = memory(std::process::id(), "VmRSS");
        let (mut good, mut errors) = (0, 0);
        let mut is_open = true;
        loop {
            tokio::select! {
                received = receiver.recv() => match received {
                    Some(Ok(received)) => {
                        assert_eq!(received.payload.len(), 8 * 1408);
                        good += 1;
                    }
                    Some(Err(_)) => errors += 1,
                    None => break,
                },
                _ = &mut end, if is_open => {
                    is_open = false;
                    receiver.close(Duration::from_secs(60));
                }
            }
        }
        let stats = receiver.stats();
        let datagrams = stats.datagrams;
        eprintln!(
            "report {good} {} {errors} {} {} {before} {}",
            datagrams.datagrams,
            stats.kernel_drops.unwrap(),
            datagrams.reassembly.pending,
            memory(std::process::id(), "VmHWM"),
        );
    });
}
