//! Receives messages as requests, from many connections at once.

mod clock;
mod connection;
mod request;
mod rules;
mod stats;
mod unpack;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use tokio::net::ToSocketAddrs;

use self::connection::End;
use self::rules::Rules;
use self::stats::Counters;
pub use self::stats::{HttpDroppedValues, HttpReceiverStats, HttpRefusals};
use crate::accept::{AcceptLimits, Accepted};
use crate::connections::{Connections, Event};
use crate::intake::{Intake, Items, intake};
use crate::receive::{ReceiveError, Received};
#[cfg(feature = "tls")]
use crate::tls::ReceiverTls;

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
    /// How long a TLS handshake may take: 10 s. It stops connections that are never used.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take from its first byte, and the first head of a connection from its
    /// beginning, or the end of its TLS handshake: 10 s. It stops clients that send a byte now and then. The connection
    /// is reset, without an answer. (A head that begins in the same packet as the end of the request before it may take as long as
    /// [`idle_timeout`](Self::idle_timeout).)
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request, or leave answers unread: 60 s, as Graylog's
    /// `idle_writer_timeout`. In the first case it is closed, in the second reset, for the kernel would keep the answers.
    pub idle_timeout: Duration,
    /// How long the body of a request may be with [`bulk`](Self::bulk), inflated: 8 MiB. Without, it is
    /// [`max_payload_len`](Self::max_payload_len).
    pub max_bulk_len: usize,
    /// How many connections may be open: 1,024, at least 1. Further ones wait, unaccepted, until one ends. Each holds up
    /// to 32 KiB, 64 KiB more while it inflates a body, and up to twice the longest payload. With TLS, it is up to
    /// 80 KiB while it shakes hands, and 32 KiB more from then on.
    pub max_connections: usize,
    /// How many of them may be from one peer: 64, at least 1. Further ones are closed at once. A peer is an IPv4 address
    /// or an IPv6 network of 64 bits; those behind a proxy or an address translation are one. It stops a single host
    /// from taking all connections.
    pub max_connections_per_peer: usize,
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
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            max_bulk_len: 8 * 1024 * 1024,
            max_connections: 1024,
            max_connections_per_peer: 64,
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
            .field("handshake_timeout", &self.handshake_timeout)
            .field("head_timeout", &self.head_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_bulk_len", &self.max_bulk_len)
            .field("max_connections", &self.max_connections)
            .field("max_connections_per_peer", &self.max_connections_per_peer)
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
    connections: Connections<End>,
    #[cfg(feature = "tls")]
    tls: Option<ReceiverTls>,
    /// Counts of connections that are over; the rest is elsewhere.
    ended: HttpReceiverStats,
    shared: Arc<Shared>,
}

/// What the connections have in common.
#[derive(Debug)]
struct Shared {
    bulk: bool,
    counters: Counters,
    #[cfg(feature = "tls")]
    handshake_timeout: Duration,
    head_timeout: Duration,
    idle_timeout: Duration,
    intake: Intake,
    max_body_len: usize,
    max_payload_len: usize,
    request_timeout: Duration,
    rules: Rules,
}

impl Shared {
    fn new(options: &HttpReceiverOptions) -> io::Result<(Self, Items)> {
        let required = options.required_header.as_ref().map(|(name, value)| (&name[..], &value[..]));
        let rules = Rules::new(&options.path, required, options.cors)?;
        let (intake, items) = intake(options.max_queued_payloads, options.max_queued_bytes);
        let shared = Self {
            bulk: options.bulk,
            counters: Counters::default(),
            #[cfg(feature = "tls")]
            handshake_timeout: options.handshake_timeout,
            head_timeout: options.head_timeout,
            idle_timeout: options.idle_timeout,
            intake,
            max_body_len: if options.bulk { options.max_bulk_len } else { options.max_payload_len },
            max_payload_len: options.max_payload_len,
            request_timeout: options.request_timeout,
            rules,
        };
        Ok((shared, items))
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
        let (shared, items) = Shared::new(&options)?;
        let limits = AcceptLimits {
            max_connections: options.max_connections,
            max_connections_per_peer: options.max_connections_per_peer,
        };
        Ok(Self {
            connections: Connections::bind(address, limits, items).await?,
            #[cfg(feature = "tls")]
            tls: None,
            ended: HttpReceiverStats::default(),
            shared: Arc::new(shared),
        })
    }

    /// Listens at an address, for connections with TLS alone. A handshake that fails, as that of a client which names
    /// other protocols than `http/1.1` alone (RFC 7301), costs its connection and is
    /// [counted](HttpReceiverStats::failed_handshakes).
    ///
    /// Nothing is left behind if the future is dropped before it is ready.
    ///
    /// # Errors
    /// As for [`bind_with`](Self::bind_with).
    #[cfg(feature = "tls")]
    pub async fn bind_tls(
        address: impl ToSocketAddrs,
        options: HttpReceiverOptions,
        tls: ReceiverTls,
    ) -> io::Result<Self> {
        Ok(Self { tls: Some(tls), ..Self::bind_with(address, options).await? })
    }

    /// Waits for the next payload. No message is lost if the future is dropped before it is ready.
    ///
    /// # Errors
    /// [`ReceiveError::ValueTooLong`] for a value among several that is too long. The next call goes on behind it. What is wrong
    /// with a request as a whole, its sender is told, and [`stats`](Self::stats) counts it.
    pub async fn recv(&mut self) -> Result<Received, ReceiveError> {
        loop {
            match self.connections.next().await {
                Event::Item(item) => return item,
                Event::Over(end) => self.ended.count(end.unwrap_or(End::Broken)),
                Event::Accepted(accepted) => self.serve(accepted),
            }
        }
    }

    /// What it has done so far.
    pub fn stats(&self) -> HttpReceiverStats {
        let accept = self.connections.accepted();
        self.shared.counters.stats(HttpReceiverStats {
            accept_errors: accept.errors,
            connections: accept.connections,
            open_connections: self.connections.open(),
            refused_connections: accept.refused,
            ..self.ended
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.connections.local_addr()
    }

    fn serve(&mut self, Accepted { stream, from, place }: Accepted) {
        // Answers are short, and waited for.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %from, "answers may be delayed");
        }
        let shared = Arc::clone(&self.shared);
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.clone() {
            return self.connections.serve(place, connection::serve_tls(stream, from, shared, tls));
        }
        self.connections.serve(place, connection::serve_plain(stream, from, shared));
    }
}
