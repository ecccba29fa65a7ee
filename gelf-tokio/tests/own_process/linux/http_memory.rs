//! Measures the peak memory of the HTTP receiver, for requests and for TLS handshakes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::support::http_client::{GUARD, M, gzip, post, post_chunked, receiver};
#[cfg(feature = "tls")]
use crate::support::http_client::{connect_from, until};
use gelf_tokio::HttpReceiver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(bytes: usize) {
    PEAK.fetch_max(NOW.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KIB: usize = 1024;

/// Receives and drops items until the clients are done. Returns the peak growth of allocated bytes, and the
/// clients' output.
async fn peak<T>(receiver: &mut HttpReceiver, clients: impl Future<Output = T>) -> (usize, T) {
    let mut clients = Box::pin(timeout(GUARD, clients));
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let done = loop {
        tokio::select! {
            done = &mut clients => break done.expect("the clients end in time"),
            _ = receiver.recv() => {}
        }
    };
    (PEAK.load(Relaxed) - before, done)
}

/// Sends a request `times` times without waiting for answers. Returns the number of answers.
async fn pipeline(address: SocketAddr, request: &[u8], times: usize) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let sending = async {
        for _ in 0..times {
            if writing.write_all(request).await.is_err() {
                break;
            }
        }
        let _ = writing.shutdown().await;
    };
    let counting = async {
        let mut answers = 0;
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = reading.read(&mut buffer).await {
            // Each answer contains one `H`, in "HTTP/1.1".
            answers += buffer[..len].iter().filter(|byte| **byte == b'H').count();
        }
        answers
    };
    tokio::join!(sending, counting).1
}

pub(crate) async fn memory_depends_on_the_limits_and_not_on_the_input() {
    let mut single = receiver(|_| {}).await;
    let mut bulk = receiver(|options| {
        options.bulk = true;
        options.max_connections_per_peer = 200;
    })
    .await;
    let addresses = [single.local_addr().unwrap(), bulk.local_addr().unwrap()];

    let request = post("", M);
    let (few, answers) = peak(&mut single, pipeline(addresses[0], &request, 1000)).await;
    assert_eq!(answers, 1000);
    let (many, answers) = peak(&mut single, pipeline(addresses[0], &request, 10_000)).await;
    assert_eq!(answers, 10_000);
    assert!(few <= 256 * KIB && many <= 256 * KIB, "{few}, {many}");

    let (bytes, sent) = peak(&mut single, async {
        let mut stream = TcpStream::connect(addresses[0]).await.unwrap();
        let mut sent = 0;
        while let Ok(written) = timeout(Duration::from_secs(2), stream.write_all(&request)).await {
            written.unwrap();
            sent += 1;
        }
        sent
    })
    .await;
    assert!(sent > 1000 && bytes <= 256 * KIB, "{sent}, {bytes}");

    let bomb = gzip(&vec![b' '; 16 * KIB * KIB]);
    let bomb_of_one_value = gzip(&vec![b'x'; 16 * KIB * KIB]);
    let packed = "content-encoding: gzip\r\n";
    for bomb in [&bomb, &bomb_of_one_value] {
        assert!(bomb.len() < 17 * KIB, "{}", bomb.len());
        let request = post_chunked(packed, bomb, 5000);
        let (bytes, answers) = peak(&mut single, pipeline(addresses[0], &request, 1)).await;
        assert_eq!(answers, 1);
        assert!(bytes <= 384 * KIB, "{bytes}");
        let (bytes, answers) = peak(&mut bulk, pipeline(addresses[1], &request, 1)).await;
        assert_eq!(answers, 1);
        assert!(bytes <= 384 * KIB, "{bytes}");
    }
    assert_eq!((single.stats().rejected.body_too_large, bulk.stats().rejected.body_too_large), (2, 2));

    let line = format!("{M}\n");
    let body = gzip(line.repeat(8 * KIB * KIB / line.len()).as_bytes());
    let request = post(packed, &body);
    let (bytes, answers) = peak(&mut bulk, pipeline(addresses[1], &request, 1)).await;
    let values = bulk.stats().payloads;
    assert_eq!((answers, values), (1, 65_536), "the maximum of a request");
    assert!(bytes <= 1024 * KIB, "{bytes}");

    // Each connection holds its head, a compressed body without its last byte, and a value of about 60 KiB that has
    // no end yet.
    let text: Vec<_> = (0..64 * KIB).map(|at| b"0123456789abcdef"[at * at / 7 % 16]).collect();
    let body = gzip(&[b"{\"a\":\"", &text[..60 * KIB]].concat());
    let half = post(packed, &body);
    let (bytes, streams) = peak(&mut bulk, async {
        let mut streams = Vec::new();
        for _ in 0..100 {
            let mut stream = TcpStream::connect(addresses[1]).await.unwrap();
            stream.write_all(&half[..half.len() - 1]).await.unwrap();
            streams.push(stream);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        streams
    })
    .await;
    assert!(bytes / streams.len() <= 224 * KIB, "{bytes}");
}

#[cfg(feature = "tls")]
pub(crate) async fn incomplete_handshakes_take_little_memory() {
    let (files, _) = crate::support::certificates::Directory::of_server(&["127.0.0.1"]);
    let (cert, key) = (files.path("server.pem"), files.path("server.key"));
    let tls = gelf_tokio::ReceiverTls::from_pem_files(cert, key).unwrap();
    let mut receiver = HttpReceiver::bind_tls("127.0.0.1:0", Default::default(), tls).await.unwrap();
    let address = receiver.local_addr().unwrap();

    // These bytes are the header of a handshake message of 64 KiB, and most of its content in records of 16
    // KiB. rustls buffers at most 64 KiB.
    let mut hello = [&[22, 3, 1, 0x40, 0][..], &[0; 16 * KIB]].concat().repeat(4);
    hello[5..9].copy_from_slice(&[1, 0, 0xff, 0xff]);
    hello.truncate(65_000);
    for (_what, sent, most) in [("nothing", &[][..], 32 * KIB), ("most of 64 KiB", &hello, 96 * KIB)] {
        let (bytes, streams) = peak(&mut receiver, async {
            let mut streams = Vec::new();
            for number in 0..200 {
                let mut stream = connect_from(2 + number % 20, address);
                stream.write_all(sent).await.unwrap();
                streams.push(stream);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            streams
        })
        .await;
        assert!(bytes / streams.len() <= most, "{bytes}");
        // All handshakes are still incomplete.
        assert_eq!(receiver.stats().open_connections, 200);
        drop(streams);
        until(&mut receiver, |stats| stats.open_connections == 0).await;
    }
    assert_eq!((receiver.stats().connections, receiver.stats().failed_handshakes), (400, 400));
}
