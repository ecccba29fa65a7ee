//! Receives messages as HTTP requests, from many connections at once.

mod body_values;
mod connection;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod options;
mod protocol;
mod rejection;
mod request;
mod rules;
mod stats;
mod timer;
mod unpack;
mod values;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::ToSocketAddrs;

use super::server::{Handshake, Server, ServerOptions};
use super::{ReceiveError, Received};
#[cfg(feature = "tls")]
use crate::tls::ReceiverTls;

pub use options::HttpReceiverOptions;
use protocol::HttpProtocol;
pub use stats::{HttpDroppedValues, HttpReceiverStats, HttpRejections};

/// Receives messages over HTTP/1.1, by Graylog's rules: a request `POST /gelf` carries a message, and the
/// answer is `202 Accepted`.
///
/// Connections are accepted and served by tasks of the runtime that [`bind`](Self::bind) is called in, up to
/// the limits of [`HttpReceiverOptions`], whether or not somebody waits for [`recv`](Self::recv). Dropping
/// the receiver ends everything at once, and loses messages that were not handed out; [`close`](Self::close)
/// does not.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use gelf_tokio::gelf_core::{Decoder, Message};
/// use gelf_tokio::{HttpReceiver, HttpSender};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut receiver = HttpReceiver::bind("127.0.0.1:0").await?;
///
/// let endpoint = format!("gelf+http://{}", receiver.local_addr()?).parse()?;
/// let mut sender = HttpSender::new(&endpoint)?;
/// sender.send(&Message::new("web-1", "payment refused")).await?;
///
/// receiver.close(Duration::from_secs(5));
/// let mut decoder = Decoder::lenient();
/// while let Some(received) = receiver.recv().await {
///     match received {
///         Ok(received) => println!("{}", received.decode(&mut decoder)?.message.short_message()),
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// assert_eq!(receiver.stats().accepted, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Answers
///
/// No answer has a body. The first row that applies, in this order:
///
/// | status | to |
/// |---|---|
/// | 400 | bytes that are not HTTP/1; HTTP/2 gets no answer |
/// | 431 | a head of more than 16 KiB, or more than 100 headers |
/// | 200 | `OPTIONS`, with [headers for pages of other origins](HttpReceiverOptions::cors) where they are allowed |
/// | 401 | a request without the required [header](HttpReceiverOptions::required_header), or with another value |
/// | 405 | another method than `POST` |
/// | 404 | another [path](HttpReceiverOptions::path) |
/// | 415 | a `Content-Encoding` other than `gzip`, `deflate` and `identity`. Graylog takes it for text, and loses the message |
/// | 413 | a body that is too long, inflated; the connection is closed |
/// | 408 | a body that does not come in [time](HttpReceiverOptions::request_timeout); the connection is closed |
/// | 400 | a body that is damaged; the connection is closed |
/// | 503 | a message for which there was no room in the queue in that time; the connection is closed |
/// | 202 | a request whose payloads are all in the queue, to be received; also when they are not JSON, as Graylog: the payload is handed out as it is, and [`Received::decode`] reports its faults |
///
/// Graylog answers 202 before it does anything with the message. Here, as long as the queue is full, the
/// answer waits, and so do clients.
///
/// # Bodies
///
/// gzip and zlib are known by their first bytes, also without a `Content-Encoding` or with a wrong one:
/// pygelf says `gzip,deflate` and sends zlib, others say nothing. With `deflate`, bare deflate data (RFC
/// 1951) is known too. A body without any value is accepted, and gives nothing.
///
/// # Several messages in a body
///
/// If the [option](HttpReceiverOptions::bulk) is set and the first character of a body is `[`, each element
/// of the array is a payload. Elements are told apart by braces, brackets and strings: one that is no GELF is
/// handed out as it is, and the elements behind it are not disturbed. Any other body is cut into lines, which
/// end with a line feed, or a carriage return and a line feed; empty ones are left out. The last line may
/// have no line feed: the end of the body ends it. (Graylog holds it back until the connection ends.) An
/// element or line that is longer than [`max_payload_len`](HttpReceiverOptions::max_payload_len) is a
/// [`ReceiveError::ValueTooLong`], and the others are handed out.
///
/// Values are handed out as they come. If such a request is rejected in its middle, as by 413 or 503, the
/// values before are received, and a client that sends all of it again sends them twice.
#[derive(Debug)]
pub struct HttpReceiver {
    server: Server,
    protocol: Arc<HttpProtocol>,
}

impl HttpReceiver {
    /// Listens at an address, with the default options; port 0 is any free one.
    ///
    /// # Errors
    /// Errors of the operating system, such as an address in use.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with(address, HttpReceiverOptions::default()).await
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a path or header that no request can have. Errors of
    /// the operating system, such as an address in use.
    pub async fn bind_with(address: impl ToSocketAddrs, options: HttpReceiverOptions) -> io::Result<Self> {
        Self::serve(address, options, None).await
    }

    /// Listens at an address, for connections with TLS alone. A handshake that fails, as that of a client
    /// which names other protocols than `http/1.1` alone (RFC 7301), costs its connection and is
    /// [counted](HttpReceiverStats::failed_handshakes).
    ///
    /// # Errors
    /// As for [`bind_with`](Self::bind_with).
    #[cfg(feature = "tls")]
    pub async fn bind_tls(
        address: impl ToSocketAddrs,
        options: HttpReceiverOptions,
        tls: ReceiverTls,
    ) -> io::Result<Self> {
        let handshake = Handshake { tls, alpn: Some(b"http/1.1"), timeout: options.handshake_timeout };
        Self::serve(address, options, Some(handshake)).await
    }

    /// Waits for the next payload. Returns `None` once the receiver is [closed](Self::close) and everything
    /// is handed out.
    ///
    /// # Errors
    /// [`ReceiveError::ValueTooLong`] for a value among several that is too long. The next call goes on
    /// behind it. A fault of a request as a whole is answered, and counted by [`stats`](Self::stats).
    ///
    /// # Cancel safety
    /// No message is lost if the future is dropped before it is ready.
    pub async fn recv(&mut self) -> Option<Result<Received, ReceiveError>> {
        self.server.recv().await
    }

    /// Begins to close, and is done when [`recv`](Self::recv) returns `None`: go on calling it. Later calls
    /// change nothing.
    ///
    /// No further connection is accepted. Connections without a request are closed, and later requests with
    /// them. A request that has begun may come to its end and is answered, and its connection is closed
    /// behind the answer; after the time `within` it is reset without an answer. Each message of a request
    /// that was answered with 202 is handed out.
    pub fn close(&mut self, within: Duration) {
        self.server.close(within);
    }

    /// Returns the counters.
    pub fn stats(&self) -> HttpReceiverStats {
        self.protocol.counters.stats(self.server.connections())
    }

    /// Returns the address that it listens at.
    ///
    /// # Errors
    /// None at present.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.server.local_addr())
    }

    async fn serve(
        address: impl ToSocketAddrs,
        options: HttpReceiverOptions,
        handshake: Option<Handshake>,
    ) -> io::Result<Self> {
        let protocol = Arc::new(HttpProtocol::new(&options)?);
        let limits = ServerOptions {
            max_connections: options.max_connections,
            max_connections_per_peer: options.max_connections_per_peer,
            max_queued_items: options.max_queued_payloads,
            max_queued_bytes: options.max_queued_bytes,
        };
        let server = Server::bind(address, limits, Arc::clone(&protocol), handshake).await?;
        Ok(Self { server, protocol })
    }
}
