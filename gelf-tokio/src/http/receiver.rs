//! Receives messages as requests, from many connections at once.

mod accept;
mod clock;
mod connection;
mod gunzip;
mod intake;
mod request;
mod rules;
mod stats;
mod unpack;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::JoinSet;

use self::accept::Acceptor;
use self::connection::serve;
use self::intake::{Intake, Outlet};
use self::rules::Rules;
use self::stats::Counters;
pub use self::stats::{HttpDroppedValues, HttpReceiverStats, HttpRefusals};
use crate::receive::{ReceiveError, Received};

/// What a [`HttpReceiver`] takes, and how much it holds.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct HttpReceiverOptions {
    /// Whether the body of a request may carry several messages: one in each line, or in each element of a JSON array;
    /// no. Graylog's `enable_bulk_receiving`. Else only the first value of a body is handed out, and the others are
    /// [counted](HttpDroppedValues::after_first).
    pub bulk: bool,
    /// Whether pages of any origin may send messages and read the status: yes, as Graylog's `enable_cors`. A browser
    /// lets any page send messages in any case, and an answer holds nothing but its status, so this gives nothing away.
    pub cors: bool,
    /// How long the head of a request may take from its first byte, and the first head of a connection from its
    /// beginning: 10 s. It stops clients that send a byte now and then. The connection is closed without an answer. (A
    /// head that begins in the same packet as the end of the request before it may take as long as
    /// [`idle_timeout`](Self::idle_timeout).)
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request, or leave answers unread: 60 s, as Graylog's
    /// `idle_writer_timeout`.
    pub idle_timeout: Duration,
    /// How long the body of a request may be with [`bulk`](Self::bulk), inflated: 8 MiB. Without, it is
    /// [`max_payload_len`](Self::max_payload_len).
    pub max_bulk_len: usize,
    /// How many connections may be open: 1,024, at least 1. Further ones wait, unaccepted, until one ends. Each holds up
    /// to 32 KiB, 64 KiB more while it inflates a body, and up to twice the longest payload.
    pub max_connections: usize,
    /// How long a payload may be, inflated: 65,536 bytes, as Graylog's `max_chunk_size`. It stops bodies without an
    /// end, and decompression bombs.
    pub max_payload_len: usize,
    /// How many bytes the payloads that wait to be received may have together: 16 MiB. A single one may be larger.
    pub max_queued_bytes: usize,
    /// How many payloads may wait to be received: 1,024, at least 1. Requests are not answered meanwhile, and their
    /// bodies not read.
    pub max_queued_payloads: usize,
    /// The path, compared as it is written; `/gelf`, as Graylog. Another one, or a query behind it, is answered with 404.
    pub path: String,
    /// How long a request may take from the end of its head, to come and to find room in the queue: 30 s. It stops
    /// clients that send a byte now and then.
    pub request_timeout: Duration,
    /// A header that each request must have, and its value; none. Graylog's `authorization_header_name` and
    /// `authorization_header_value`.
    pub required_header: Option<(String, String)>,
}

impl Default for HttpReceiverOptions {
    fn default() -> Self {
        Self {
            bulk: false,
            cors: true,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            max_bulk_len: 8 * 1024 * 1024,
            max_connections: 1024,
            max_payload_len: 64 * 1024,
            max_queued_bytes: 16 * 1024 * 1024,
            max_queued_payloads: 1024,
            path: "/gelf".to_owned(),
            request_timeout: Duration::from_secs(30),
            required_header: None,
        }
    }
}

/// Without the value of the required header, which is a secret.
impl fmt::Debug for HttpReceiverOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpReceiverOptions")
            .field("bulk", &self.bulk)
            .field("cors", &self.cors)
            .field("head_timeout", &self.head_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_bulk_len", &self.max_bulk_len)
            .field("max_connections", &self.max_connections)
            .field("max_payload_len", &self.max_payload_len)
            .field("max_queued_bytes", &self.max_queued_bytes)
            .field("max_queued_payloads", &self.max_queued_payloads)
            .field("path", &self.path)
            .field("request_timeout", &self.request_timeout)
            .field("required_header", &self.required_header.as_ref().map(|(name, _)| name))
            .finish()
    }
}

/// Receives messages over HTTP/1.1, by Graylog's rules: a request `POST /gelf` carries a message, and the answer is
/// `202 Accepted`.
///
/// Connections are accepted while [`recv`](Self::recv) is waited for, and each is served by a task of its own. They end
/// when the receiver is dropped.
///
/// ```no_run
/// use gelf_tokio::HttpReceiver;
///
/// # async fn example() -> std::io::Result<()> {
/// let mut receiver = HttpReceiver::bind("0.0.0.0:12201").await?;
/// loop {
///     match receiver.recv().await {
///         Ok(received) => println!("{} bytes from {}", received.payload.len(), received.from),
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// # }
/// ```
///
/// # Answers
///
/// None has a body. In this order, the first that applies:
///
/// | status | to |
/// |---|---|
/// | 400 | what is not HTTP/1; HTTP/2 gets no answer |
/// | 431 | a head of more than 16 KiB, or more than 100 headers |
/// | 200 | `OPTIONS`, with the headers for [pages of other origins](HttpReceiverOptions::cors) |
/// | 401 | a request without the [header](HttpReceiverOptions::required_header) that is asked for, or with another value |
/// | 405 | another method than `POST` |
/// | 404 | another [path](HttpReceiverOptions::path) |
/// | 415 | a `Content-Encoding` other than `gzip`, `deflate` and `identity`. Graylog takes it for text, and loses the message |
/// | 413 | a body that is too long, inflated; the connection is closed |
/// | 408 | a body that does not come in [time](HttpReceiverOptions::request_timeout); the connection is closed |
/// | 400 | a body that is damaged; the connection is closed |
/// | 503 | a message for which there was no room in the queue in that time; the connection is closed |
/// | 202 | a request of which all payloads are in the queue, to be received. Also when they are not JSON, as Graylog: the payload comes out as it is, and [`Decoder`](gelf_core::Decoder) says what is wrong with it |
///
/// Graylog answers 202 before it does anything with the message. Here, as long as the queue is full, the answer waits,
/// and so do clients.
///
/// # Bodies
///
/// gzip, and zlib, are known by their first bytes, whatever `Content-Encoding` says or does not say: pygelf says
/// `gzip,deflate` and sends zlib, others say nothing. With `deflate`, bare deflate data (RFC 1951) is known too. A body
/// without any value is accepted, and gives nothing.
///
/// # Several messages in a body
///
/// If the [option](HttpReceiverOptions::bulk) is set and the first character of a body is `[`, each element of the array
/// is a payload. Elements are told apart by braces, brackets and strings: one that is no GELF comes out as it is, and
/// those behind it are not disturbed. Any other body is cut into lines, that end with a line feed, or a carriage return
/// and a line feed; empty ones are left out. The last line may have no line feed: the end of the body ends it. (Graylog
/// holds it back until the connection ends.) An element or line that is longer than
/// [`max_payload_len`](HttpReceiverOptions::max_payload_len) is a [`ReceiveError::ValueTooLong`], and the others come out.
///
/// Values are handed out as they come. If such a request is refused in its middle, as by 413 or 503, those that were
/// before are received, and a client that sends all of it again sends them twice.
#[derive(Debug)]
pub struct HttpReceiver {
    acceptor: Acceptor,
    max_connections: usize,
    connections: JoinSet<()>,
    queued: Outlet,
    shared: Arc<Shared>,
}

/// What the connections have in common.
#[derive(Debug)]
struct Shared {
    bulk: bool,
    counters: Counters,
    head_timeout: Duration,
    idle_timeout: Duration,
    intake: Intake,
    max_body_len: usize,
    max_payload_len: usize,
    request_timeout: Duration,
    rules: Rules,
}

impl Shared {
    fn new(options: &HttpReceiverOptions) -> io::Result<(Self, Outlet)> {
        let required = options.required_header.as_ref().map(|(name, value)| (&name[..], &value[..]));
        let rules = Rules::new(&options.path, required, options.cors)?;
        let (intake, queued) = intake::queue(options.max_queued_payloads, options.max_queued_bytes);
        let shared = Self {
            bulk: options.bulk,
            counters: Counters::default(),
            head_timeout: options.head_timeout,
            idle_timeout: options.idle_timeout,
            intake,
            max_body_len: if options.bulk { options.max_bulk_len } else { options.max_payload_len },
            max_payload_len: options.max_payload_len,
            request_timeout: options.request_timeout,
            rules,
        };
        Ok((shared, queued))
    }
}

impl HttpReceiver {
    /// Listens at an address, with the default options; port 0 is any free one.
    ///
    /// Nothing is left behind if the future is dropped before it is ready.
    ///
    /// # Errors
    /// Those of the operating system, such as an address in use.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with(address, HttpReceiverOptions::default()).await
    }

    /// Listens at an address.
    ///
    /// Nothing is left behind if the future is dropped before it is ready.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a path or header that no request can have. Those of the
    /// operating system, such as an address in use.
    pub async fn bind_with(address: impl ToSocketAddrs, options: HttpReceiverOptions) -> io::Result<Self> {
        let (shared, queued) = Shared::new(&options)?;
        let acceptor = Acceptor::new(TcpListener::bind(address).await?);
        Ok(Self {
            acceptor,
            max_connections: options.max_connections.max(1),
            connections: JoinSet::new(),
            queued,
            shared: Arc::new(shared),
        })
    }

    /// Waits for the next payload. No message is lost if the future is dropped before it is ready.
    ///
    /// # Errors
    /// [`ReceiveError::ValueTooLong`] for a value among several that is too long. The next call goes on behind it. What is wrong
    /// with a request as a whole, its sender is told, and [`stats`](Self::stats) counts it.
    pub async fn recv(&mut self) -> Result<Received, ReceiveError> {
        loop {
            tokio::select! {
                Some(item) = self.queued.next() => return item,
                Some(_) = self.connections.join_next() => {}
                accepted = self.acceptor.accept(), if self.connections.len() < self.max_connections => {
                    self.handle(accepted);
                }
            }
        }
    }

    /// What it has done so far.
    pub fn stats(&self) -> HttpReceiverStats {
        self.shared.counters.stats(self.connections.len())
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.acceptor.local_addr()
    }

    fn handle(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match self.acceptor.settle(accepted) {
            Ok((stream, from)) => {
                self.shared.counters.connections.add(1);
                self.connections.spawn(serve(stream, from, Arc::clone(&self.shared)));
            }
            Err(_) => self.shared.counters.accept_errors.add(1),
        }
    }
}
