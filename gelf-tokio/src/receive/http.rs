//! Receives messages as HTTP requests, from many connections at the same time.

mod body_values;
mod connection;
mod forwarded_for;
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

use super::server::{Handshake, Proxies, Server, ServerOptions};
use super::{ReceiveError, Received};
#[cfg(feature = "tls")]
use crate::tls::ReceiverTls;

pub use options::HttpReceiverOptions;
use protocol::HttpProtocol;
pub use stats::{HttpDropCounts, HttpReceiverStats, HttpRejectionCounts};

/// Receives messages over HTTP/1.1, by Graylog's rules: a request `POST /gelf` carries a message, and the
/// answer is `202 Accepted`.
///
/// Tasks of the current tokio runtime accept and serve connections, up to the limits of
/// [`HttpReceiverOptions`], even while no [`recv`](Self::recv) waits. Dropping the receiver closes all
/// connections immediately and loses the messages that are not returned yet; [`close`](Self::close) lets
/// `recv` return them first.
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
/// No answer has a body. The first row that applies determines the status. If a body has several messages, the
/// fault that is found first decides between 413, 408, 503, and 400 for a damaged or incomplete body.
///
/// | status | answers |
/// |---|---|
/// | 400 | bytes that are not HTTP/1; HTTP/2 gets no answer |
/// | 431 | a head of more than 16 KiB, or more than 100 headers |
/// | 200 | `OPTIONS`, with [headers for pages of other origins](HttpReceiverOptions::cors) if the option is set |
/// | 401 | a request without the required [header](HttpReceiverOptions::required_header), or with another value |
/// | 405 | another method than `POST` |
/// | 404 | another [path](HttpReceiverOptions::path) |
/// | 415 | a `Content-Encoding` other than `gzip`, `x-gzip`, `deflate` and `identity`, or with the same compression twice. Graylog treats a body in another encoding as text, and loses the message |
/// | 413 | a body that is too long after inflation, or has [too many values](HttpReceiverOptions::max_bulk_values); the connection is closed |
/// | 408 | a body that does not come in [time](HttpReceiverOptions::request_timeout); the connection is closed |
/// | 400 | a body that is damaged or incomplete; the connection is closed |
/// | 503 | a message for which the queue has no room in [time](HttpReceiverOptions::request_timeout); the connection is closed |
/// | 400 | a request with a value that is not GELF, if [such requests are rejected](HttpReceiverOptions::reject_invalid) |
/// | 202 | a request whose payloads are all in the queue. As with Graylog, a payload need not be JSON: it is returned as it is, and [`Received::decode`] reports its faults |
///
/// Graylog answers 202 before it processes the message. This receiver answers once the message is in its
/// queue, so clients wait while the queue is full.
///
/// # Bodies
///
/// Bodies in gzip and zlib are recognized by their first bytes, even if the `Content-Encoding` is missing or
/// wrong. For example, pygelf declares `gzip,deflate` and sends zlib; other senders declare nothing. With
/// `deflate`, bare deflate data (RFC 1951) is recognized too. A body without any value is accepted and yields
/// no payload.
///
/// # Several messages in a body
///
/// Unless the [option](HttpReceiverOptions::bulk) is set, only the first value of a body is a payload. The rest of
/// this section applies if the option is set.
///
/// If the first character of a body, apart from white space, is `[`, each element of the array is a payload.
/// Elements are delimited by commas, white space, braces, brackets and strings: an element that is not GELF is
/// returned as it is, and does not affect the elements after it. Any other body is cut into lines, which end with a
/// line feed, or a carriage return and a line feed; empty lines are skipped. The end of the body also ends the last
/// line. (Graylog holds back a last line without a line feed until the connection ends.) For an element or line that
/// is longer than [`max_payload_len`](HttpReceiverOptions::max_payload_len), `recv` returns a
/// [`ReceiveError::ValueTooLong`]. The other elements or lines are returned as payloads.
///
/// Values are returned as they arrive, so that no request has to be held in memory. If a request with several
/// values is rejected midway, for example with 413 or 503, the earlier values are received nevertheless. A
/// client that repeats the request sends these values twice.
#[derive(Debug)]
pub struct HttpReceiver {
    server: Server,
    protocol: Arc<HttpProtocol>,
}

impl HttpReceiver {
    /// Listens at an address with the default options. Port 0 means any free port.
    ///
    /// # Errors
    /// Returns errors of the operating system, such as an address in use.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the socket is closed.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with_options(address, HttpReceiverOptions::default()).await
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) for a path or header that no request can have,
    /// and errors of the operating system, such as an address in use.
    ///
    /// # Cancel safety
    /// The same as for [`bind`](Self::bind).
    pub async fn bind_with_options(
        address: impl ToSocketAddrs,
        options: HttpReceiverOptions,
    ) -> io::Result<Self> {
        Self::serve(address, options, None).await
    }

    /// Listens at an address for connections with TLS only. A failed handshake closes its connection and is
    /// [counted](HttpReceiverStats::failed_handshakes). The handshake also fails for a client that offers
    /// protocols (RFC 7301) without `http/1.1`.
    ///
    /// # Errors
    /// Returns the same errors as [`bind_with_options`](Self::bind_with_options).
    ///
    /// # Cancel safety
    /// The same as for [`bind`](Self::bind).
    #[cfg(feature = "tls")]
    pub async fn bind_tls(
        address: impl ToSocketAddrs,
        options: HttpReceiverOptions,
        tls: ReceiverTls,
    ) -> io::Result<Self> {
        let handshake = Handshake { tls, alpn: Some(b"http/1.1"), timeout: options.handshake_timeout };
        Self::serve(address, options, Some(handshake)).await
    }

    /// Waits for the next payload. After a call of [`close`](Self::close), returns `None` when all connections have
    /// ended and all payloads are returned.
    ///
    /// # Errors
    /// With the option [`bulk`](HttpReceiverOptions::bulk), returns [`ReceiveError::ValueTooLong`] for each value that
    /// is too long. The next call continues after this value. A fault of a request as a whole is not returned: the
    /// receiver answers the request with an error status and counts it in [`stats`](Self::stats).
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no message is lost.
    pub async fn recv(&mut self) -> Option<Result<Received, ReceiveError>> {
        self.server.recv().await
    }

    /// Begins to close. Call [`recv`](Self::recv) until it returns `None`: the port and all connections are then
    /// closed. Later calls of `close` change nothing.
    ///
    /// The receiver still accepts the connections that wait in the kernel, and no later connections. It
    /// closes connections without a request. If the head of a request has been read, the receiver reads and
    /// answers this request, and then closes the connection. A request whose head is not complete within 100
    /// ms is not answered. After the time `within`, the remaining connections are reset without an answer.
    /// Each message of a request that was answered with 202 is returned.
    pub fn close(&mut self, within: Duration) {
        self.server.close(within);
    }

    /// Returns the counters.
    pub fn stats(&self) -> HttpReceiverStats {
        self.protocol.counters.stats(self.server.connections())
    }

    /// Returns the local address.
    ///
    /// # Errors
    /// Returns no error at present.
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
            proxies: Proxies { networks: options.proxy_protocol_from, timeout: options.handshake_timeout },
        };
        let server = Server::bind(address, limits, Arc::clone(&protocol), handshake).await?;
        Ok(Self { server, protocol })
    }
}
