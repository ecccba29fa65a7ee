//! Provides an HTTP client that sends given bytes.
#![allow(dead_code, unreachable_pub, reason = "not every test uses all of it")]

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use gelf_tokio::gelf_core::{Compression, CompressionLevel, wire::Compressor};
use gelf_tokio::options::HttpReceiverOptions;
use gelf_tokio::stats::HttpReceiverStats;
use gelf_tokio::{HttpReceiver, ReceiveError};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The time limit of each step.
pub const GUARD: Duration = Duration::from_secs(30);

/// A small message.
pub const M: &str = r#"{"version":"1.1","host":"h","short_message":"m"}"#;

pub fn gzip(text: &[u8]) -> Vec<u8> {
    Compressor::new(Compression::Gzip(CompressionLevel::default())).compress(text).to_vec()
}

/// Returns a request `POST /gelf` with a body. `headers` are further headers, each with its line end.
pub fn post(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST /gelf", headers, body)
}

pub fn request(line: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head =
        format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Returns a request `POST /gelf` with a body in chunks of `len` bytes.
pub fn post_chunked(headers: &str, body: impl AsRef<[u8]>, len: usize) -> Vec<u8> {
    let mut request =
        format!("POST /gelf HTTP/1.1\r\nhost: localhost\r\n{headers}transfer-encoding: chunked\r\n\r\n")
            .into_bytes();
    for chunk in body.as_ref().chunks(len) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

pub async fn receiver(change: impl FnOnce(&mut HttpReceiverOptions)) -> HttpReceiver {
    let mut options = HttpReceiverOptions::default();
    change(&mut options);
    HttpReceiver::bind_with_options("127.0.0.1:0", options).await.unwrap()
}

/// An item of a receiver, with the payload as text.
pub type Item = Result<String, ReceiveError>;

/// Receives until the client ends and no item is left. Returns the client's output and the items.
pub async fn during<T>(receiver: &mut HttpReceiver, client: impl Future<Output = T>) -> (T, Vec<Item>) {
    let mut items = Vec::new();
    let mut take = |received: Option<Result<gelf_tokio::Received, _>>| {
        let received = received.expect("the receiver is open");
        items.push(received.map(|received| String::from_utf8_lossy(&received.payload).into_owned()));
    };
    let mut client = pin!(timeout(GUARD, client));
    let done = loop {
        tokio::select! {
            biased;
            done = &mut client => break done.expect("the client ends in time"),
            received = receiver.recv() => take(received),
        }
    };
    loop {
        tokio::select! {
            biased;
            received = receiver.recv() => take(received),
            // A single poll of `recv` is not enough: a task that has used up its budget gets no item until it
            // yields.
            () = tokio::task::yield_now() => break,
        }
    }
    (done, items)
}

/// Sends requests on one connection. Returns the status of each answer, and the items.
pub async fn exchange(receiver: &mut HttpReceiver, requests: &[Vec<u8>]) -> (Vec<u16>, Vec<Item>) {
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    during(receiver, async {
        let mut statuses = Vec::new();
        for request in requests {
            client.send(request).await;
            statuses.push(client.answer().await.status);
        }
        statuses
    })
    .await
}

/// Receives until the counters meet a condition, and checks that they add up. Returns the items.
pub async fn until(receiver: &mut HttpReceiver, wanted: impl Fn(&HttpReceiverStats) -> bool) -> Vec<Item> {
    let started = std::time::Instant::now();
    let mut items = Vec::new();
    while !wanted(&receiver.stats()) {
        assert!(started.elapsed() < GUARD, "{:?}", receiver.stats());
        assert_connections_add_up(&receiver.stats());
        let ((), more) = during(receiver, tokio::time::sleep(Duration::from_millis(2))).await;
        items.extend(more);
    }
    assert_adds_up(&receiver.stats());
    items
}

/// Checks that each connection is counted once.
pub fn assert_connections_add_up(stats: &HttpReceiverStats) {
    let over = stats.ended_connections
        + stats.broken_connections
        + stats.closed_connections
        + stats.over_limit_connections
        + stats.failed_handshakes
        + stats.failed_proxy_headers
        + stats.slow_heads
        + stats.idle_connections;
    assert_eq!(stats.connections, stats.open_connections as u64 + over, "{stats:?}");
}

/// Checks that each connection, each request and each value is counted once.
pub fn assert_adds_up(stats: &HttpReceiverStats) {
    assert_connections_add_up(stats);
    assert_eq!(
        stats.requests,
        stats.accepted + stats.preflights + stats.rejected.total() + stats.broken_requests,
        "{stats:?}"
    );
    assert_eq!(stats.values, stats.payloads + stats.dropped.total(), "{stats:?}");
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| &value[..])
    }
}

/// Connects from the loopback address 127.0.0.`host`.
pub fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    // This call blocks, since a connection beyond a limit may be reset before an asynchronous connect
    // returns.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    TcpStream::from_std(socket.into()).unwrap()
}

#[derive(Debug)]
pub struct Client<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(connect_from(1, address))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads the next answer, which must have no body.
    pub async fn answer(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            let len = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(len > 0, "the connection was closed after {:?}", String::from_utf8_lossy(&self.buffer));
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let answer = Answer { status, headers };
        if status != 100 {
            assert_eq!(answer.header("content-length"), Some("0"), "{answer:?}");
        }
        answer
    }

    /// Returns whether the connection ends without further bytes.
    pub async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && self.stream.read_buf(&mut self.buffer).await.unwrap() == 0
    }
}
