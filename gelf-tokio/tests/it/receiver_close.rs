//! Tests receivers that are closed while senders are active: every message that was acknowledged or answered
//! is delivered.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use gelf_tokio::gelf_core::{FieldName, Message};
use gelf_tokio::options::TcpReceiverOptions;
#[cfg(feature = "http")]
use gelf_tokio::{HttpReceiver, HttpSender};
use gelf_tokio::{TcpReceiver, TcpSender};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The number of rounds of a test that repeats its steps. Each round closes one receiver. The slowest of
/// these tests has a quarter of the rounds.
const RUNS: u64 = 20;

const SENDERS: u64 = 6;

/// The time limit of a `close`, unless a test states another one. The receivers end earlier.
const WITHIN: Duration = Duration::from_secs(20);

/// The time limit of each step.
const GUARD: Duration = Duration::from_secs(60);

fn message(sender: u64, number: u64) -> Message<'static> {
    let text = format!("{sender}/{number} {}", "x".repeat((number * 37 % 3000) as usize));
    Message::new("h", text).with_field(FieldName::from_static("sender"), sender)
}

/// Returns the part of a message's text that identifies it.
fn name(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let (_, rest) = text.split_once("\"short_message\":\"").unwrap();
    rest.split_once(' ').unwrap().0.to_owned()
}

/// Receives `after` messages, closes the receiver, and receives the rest. Evaluates to the names of all
/// messages.
macro_rules! close_after {
    ($receiver:expr, $after:expr, $within:expr) => {{
        let mut names = HashSet::new();
        while names.len() < $after {
            let received = timeout(GUARD, $receiver.recv()).await.expect("messages arrive").unwrap();
            names.insert(name(&received.unwrap().payload));
        }
        $receiver.close($within);
        let closed = Instant::now();
        while let Some(received) = timeout(GUARD, $receiver.recv()).await.expect("the receiver ends") {
            names.insert(name(&received.unwrap().payload));
        }
        assert!(closed.elapsed() < $within + Duration::from_secs(10), "{:?}", closed.elapsed());
        assert!($receiver.recv().await.is_none());
        names
    }};
}

/// Checks that all messages in `known` were received. `known` has the messages whose acknowledgement or
/// answer has reached their senders.
async fn check(mut known: JoinSet<Vec<String>>, received: &HashSet<String>) {
    let mut count = 0;
    while let Some(names) = timeout(GUARD, known.join_next()).await.expect("senders end") {
        for name in names.unwrap() {
            assert!(received.contains(&name), "{name} was acknowledged but not received");
            count += 1;
        }
    }
    assert!(count > 0);
}

/// Sends over TCP or TLS until the connection ends, `batch` messages at a time. Returns the messages that the
/// kernel of the receiver has acknowledged to the last byte.
async fn send_over_tcp(endpoint: String, sender: u64, batch: u64) -> Vec<String> {
    // The receiver may be closed already.
    let Ok(mut connection) = TcpSender::connect(&endpoint.parse().unwrap()).await else { return Vec::new() };
    let mut ends = Vec::new();
    let mut end = 0;
    'sending: for first in (0..).step_by(batch as usize) {
        for number in first..first + batch {
            let text = "x".repeat((number * 37 % 3000) as usize);
            let payload = format!("{{\"host\":\"h\",\"short_message\":\"{sender}/{number} {text}\"}}");
            if connection.feed_payload(payload.as_bytes()).await.is_err() {
                break 'sending;
            }
            end += payload.len() as u64 + 1;
            ends.push(end);
        }
        if connection.flush().await.is_err() {
            break;
        }
    }
    let acknowledged = connection.acknowledged().unwrap();
    let whole = ends.iter().take_while(|end| **end <= acknowledged).count();
    (0..whole).map(|number| format!("{sender}/{number}")).collect()
}

async fn close_over_tcp(mut receiver: TcpReceiver, query: &str, scheme: &str) {
    let endpoint = format!("{scheme}://{}{query}", receiver.local_addr().unwrap());
    let mut known = JoinSet::new();
    for sender in 0..SENDERS {
        known.spawn(send_over_tcp(endpoint.clone(), sender, 1 + sender * 5));
    }
    let received = close_after!(receiver, 200, WITHIN);
    check(known, &received).await;
    let stats = receiver.stats();
    assert_eq!((stats.open_connections, stats.waiting_frames), (0, 0), "{stats:?}");
    assert_eq!(
        stats.connections,
        stats.ended_connections + stats.broken_connections + stats.closed_connections,
        "{stats:?}"
    );
    // The port is closed.
    TcpSender::connect(&endpoint.parse().unwrap()).await.unwrap_err();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tcp_receiver_delivers_all_acknowledged_messages() {
    for _ in 0..RUNS {
        close_over_tcp(TcpReceiver::bind("127.0.0.1:0").await.unwrap(), "", "gelf+tcp").await;
    }
}

#[cfg(feature = "tls")]
fn receiver_tls() -> (crate::support::certificates::Directory, gelf_tokio::ReceiverTls) {
    let (files, _) = crate::support::certificates::Directory::of_server(&["127.0.0.1"]);
    let (cert, key) = (files.path("server.pem"), files.path("server.key"));
    (files, gelf_tokio::ReceiverTls::from_pem_files(cert, key).unwrap())
}

#[cfg(all(feature = "tls", target_os = "linux"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_receiver_delivers_all_acknowledged_messages() {
    let (files, tls) = receiver_tls();
    let query = format!("?ca={}", files.path("ca.pem").display());
    for _ in 0..RUNS {
        let receiver = TcpReceiver::bind_tls("127.0.0.1:0", TcpReceiverOptions::default(), tls.clone());
        close_over_tcp(receiver.await.unwrap(), &query, "gelf+tls").await;
    }
}

#[cfg(feature = "http")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_receiver_delivers_all_answered_messages() {
    for _ in 0..RUNS {
        let mut receiver = HttpReceiver::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("gelf+http://{}", receiver.local_addr().unwrap());
        let mut known = JoinSet::new();
        for sender in 0..SENDERS {
            let endpoint = endpoint.clone();
            known.spawn(async move {
                let mut connection = HttpSender::new(&endpoint.parse().unwrap()).unwrap();
                let mut answered = Vec::new();
                for number in 0.. {
                    if connection.send(&message(sender, number)).await.is_err() {
                        break;
                    }
                    answered.push(format!("{sender}/{number}"));
                }
                answered
            });
        }
        let received = close_after!(receiver, 100, WITHIN);
        check(known, &received).await;
        let stats = receiver.stats();
        assert_eq!((stats.open_connections, stats.accepted), (0, received.len() as u64), "{stats:?}");
    }
}

/// The senders never read, so they notice the close only when the receiver resets their connections.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tcp_receiver_delivers_all_acknowledged_messages_of_senders_that_keep_sending() {
    for _ in 0..RUNS / 4 {
        let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
        let address = receiver.local_addr().unwrap();
        let mut known = JoinSet::new();
        for sender in 0..3 {
            let stream = std::net::TcpStream::connect(address).unwrap();
            known.spawn_blocking(move || raw::send_until_reset(stream, sender));
        }
        let mut names = HashSet::new();
        let mut closed = None;
        while let Some(received) = timeout(GUARD, receiver.recv()).await.expect("the receiver ends") {
            names.insert(name(&received.unwrap().payload));
            if names.len() == 1000 {
                receiver.close(WITHIN);
                closed = Some(Instant::now());
            }
        }
        let took = closed.unwrap().elapsed();
        assert!(took < WITHIN, "{took:?}");
        check(known, &names).await;
        let stats = receiver.stats();
        assert_eq!((stats.closed_connections, stats.connections), (3, 3), "{stats:?}");
    }
}

#[cfg(target_os = "linux")]
mod raw {
    use std::io::{ErrorKind, Write};
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;

    /// Sends frames until the connection is reset. Returns the frames that the receiver's kernel
    /// acknowledged.
    pub(super) fn send_until_reset(mut stream: TcpStream, sender: u64) -> Vec<String> {
        stream.set_nonblocking(true).unwrap();
        // The offset of the end of each frame in the stream.
        let mut ends = Vec::new();
        let mut written = 0;
        let mut frame = Vec::new();
        loop {
            if frame.is_empty() {
                let number = ends.len();
                let text = "x".repeat(number * 37 % 3000);
                frame = format!("{{\"short_message\":\"{sender}/{number} {text}\"}}\0").into_bytes();
                ends.push(written + frame.len() as u64);
            }
            match stream.write(&frame) {
                Ok(len) => {
                    frame.drain(..len);
                    written += len as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(_) => break,
            }
        }
        let acknowledged = written - unacknowledged(&stream);
        let whole = ends.iter().take_while(|end| **end <= acknowledged).count();
        (0..whole).map(|number| format!("{sender}/{number}")).collect()
    }

    fn unacknowledged(stream: &TcpStream) -> u64 {
        let mut bytes: libc::c_int = 0;
        // SAFETY: `SIOCOUTQ`, which has the number of `TIOCOUTQ`, writes one int (tcp(7)).
        let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        assert_eq!(result, 0);
        bytes as u64
    }
}

#[tokio::test]
async fn an_unpolled_receiver_accepts_connections_and_messages_up_to_its_limits() {
    let mut options = TcpReceiverOptions::default();
    options.max_queued_frames = 3;
    let mut receiver = TcpReceiver::bind_with_options("127.0.0.1:0", options).await.unwrap();
    let endpoint = format!("gelf+tcp://{}", receiver.local_addr().unwrap()).parse().unwrap();
    let mut sender = TcpSender::connect(&endpoint).await.unwrap();
    for number in 0..10 {
        sender.send(&message(0, number)).await.unwrap();
    }
    let started = Instant::now();
    while receiver.stats().waiting_frames < 3 {
        assert!(started.elapsed() < GUARD, "{:?}", receiver.stats());
        tokio::task::yield_now().await;
    }
    assert_eq!((receiver.stats().connections, receiver.stats().frames), (1, 3));
    // The other messages wait in the kernel and in the connection's buffer.
    receiver.close(WITHIN);
    let mut count = 0;
    while let Some(received) = receiver.recv().await {
        assert_eq!(name(&received.unwrap().payload), format!("0/{count}"));
        count += 1;
    }
    assert_eq!(count, 10);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn messages_of_connections_in_the_listen_backlog_are_delivered_too() {
    let mut options = TcpReceiverOptions::default();
    options.max_connections = 1;
    let mut receiver = TcpReceiver::bind_with_options("127.0.0.1:0", options).await.unwrap();
    let endpoint = format!("gelf+tcp://{}", receiver.local_addr().unwrap()).parse().unwrap();
    let mut senders = Vec::new();
    for number in 0..5 {
        let mut sender = TcpSender::connect(&endpoint).await.unwrap();
        sender.send(&message(0, number)).await.unwrap();
        senders.push(sender);
    }
    receiver.close(WITHIN);
    let mut names = HashSet::new();
    while let Some(received) = timeout(GUARD, receiver.recv()).await.expect("the receiver ends") {
        names.insert(name(&received.unwrap().payload));
    }
    assert_eq!(names, (0..5).map(|number| format!("0/{number}")).collect());
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_close_does_not_wait_until_a_stalled_handshake_times_out() {
    let (_files, tls) = receiver_tls();
    let mut options = TcpReceiverOptions::default();
    options.handshake_timeout = GUARD * 2;
    let mut receiver = TcpReceiver::bind_tls("127.0.0.1:0", options, tls).await.unwrap();
    let _silent = tokio::net::TcpStream::connect(receiver.local_addr().unwrap()).await.unwrap();
    receiver.close(GUARD * 2);
    assert!(timeout(GUARD, receiver.recv()).await.expect("the receiver ends").is_none());
    assert_eq!((receiver.stats().connections, receiver.stats().closed_connections), (1, 1));
}
