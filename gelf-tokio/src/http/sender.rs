//! Provides `HttpSender`, which sends messages as requests.

mod bulk;
mod connect;
mod connection;
mod error;
mod head;
mod observed_io;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use bytes::{Bytes, BytesMut};
use gelf_core::{Compression, Encoder, Message, wire::Compressor};
use hyper::Response;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use crate::endpoint::{Endpoint, HttpOptions, Transport};
use crate::hosts::Hosts;
use crate::resolve::{Resolve, SystemResolver};

pub(crate) use bulk::BulkBody;
use connect::Destination;
use connection::Connection;
pub use error::HttpError;
use head::RequestHead;

/// The time limit for the rest of an answer after its headers. The connection can be used again only if the
/// rest arrives in time.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum length, in bytes, of a body whose buffer is kept for the next body.
const RETAINED_BYTES: usize = 256 * 1024;

/// The first two bytes of gzip (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Sends messages to one receiver, as POST requests of HTTP/1.1.
///
/// Unlike a [`Client`](crate::Client), the sender adds no timestamp to messages.
///
/// There is one connection, with one request at a time. The first request makes the connection, and later
/// requests use the connection while the receiver keeps it open. For each new connection the host is looked
/// up, and its addresses are tried in order; then the addresses of the hosts in [`HttpOptions::failover`] are
/// tried. Nothing happens between two calls.
///
/// A receiver closes an idle connection; Graylog does so after 60 s. A request does not fail if it is sent
/// while the receiver closes the connection: if a kept connection ends before any byte of an answer arrives,
/// the sender sends the request once more on a new connection. The sender retries nothing else: the caller
/// decides about a retry, and [`HttpError::is_retriable`] returns whether a retry may succeed.
///
/// Each body ends in a line feed, which is added before compression. A Graylog input with bulk receiving holds
/// back a message without a line feed, and joins it with the next message of the same connection.
///
/// A 2xx status means that the receiver has accepted the body. Graylog answers 202 before it has read the
/// JSON.
///
/// # Limits
/// | subject | limit | protects against |
/// |---|---|---|
/// | request, from the lookup of the host to the answer | [`HttpOptions::timeout`], 10 s | receivers that do not answer |
/// | connection to one address | one share of the time that is left, at most [`HttpOptions::connect_timeout`]; each address that is left, each further host and the request have equal shares | addresses that do not answer |
/// | headers of an answer | 100, about 64 KiB | answers without end |
/// | body of an answer, which is discarded | 64 KiB and 1 s, then the connection is closed | the same |
/// | whole answer, interim answers (1xx) included | 192 KiB | answers without end |
///
/// ```no_run
/// use gelf_tokio::HttpSender;
/// use gelf_tokio::gelf_core::Message;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = "gelf+http://logs.example:12201".parse()?;
/// let mut sender = HttpSender::new(&endpoint)?;
/// let message = Message::new("web-1", "payment refused");
/// while let Err(error) = sender.send(&message).await {
///     if !error.is_retriable() {
///         return Err(error.into());
///     }
///     tokio::time::sleep(error.retry_after().unwrap_or(std::time::Duration::from_secs(1))).await;
/// }
/// # Ok(())
/// # }
/// ```
pub struct HttpSender {
    destination: Destination,
    head: RequestHead,
    compressor: Option<Compressor>,
    timeout: Duration,
    buffer: BytesMut,
    /// The connection that is kept between two requests.
    connection: Option<Connection>,
    connections: u64,
    requests: u64,
}

impl HttpSender {
    /// Creates a sender for the endpoint. The call neither connects nor reads a file.
    ///
    /// # Errors
    /// Returns `InvalidInput` for an endpoint that is not HTTP, or whose path, header or TLS options are
    /// invalid. Returns `Unsupported` for TLS without the feature `tls`.
    pub fn new(endpoint: &Endpoint) -> io::Result<Self> {
        Self::new_with_resolver(endpoint, Arc::new(SystemResolver))
    }

    /// Creates a sender as [`new`](Self::new) does, with the caller's resolver.
    ///
    /// # Errors
    /// Returns the same errors as [`new`](Self::new).
    pub fn new_with_resolver(endpoint: &Endpoint, resolver: Arc<dyn Resolve>) -> io::Result<Self> {
        let Transport::Http(options) = endpoint.transport() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the endpoint is not HTTP"));
        };
        Self::from_options(options, endpoint.host(), endpoint.port(), resolver)
    }

    fn from_options(
        options: &HttpOptions,
        host: &str,
        port: u16,
        resolver: Arc<dyn Resolve>,
    ) -> io::Result<Self> {
        Ok(Self {
            head: RequestHead::new(options, host, port)?,
            destination: Destination::new(options, host, port, resolver)?,
            compressor: options.gzip.map(|level| Compressor::new(Compression::Gzip(level))),
            timeout: options.timeout,
            buffer: BytesMut::new(),
            connection: None,
            connections: 0,
            requests: 0,
        })
    }

    /// Returns the hosts. The current host is the host of the connection. Without a connection, it is the host that
    /// the next request tries first.
    pub(crate) fn hosts(&mut self) -> &mut Hosts {
        self.destination.hosts()
    }

    /// Returns the number of connections made.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Returns the number of requests that were sent or begun. A request that is sent once more counts twice.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Returns whether a connection is ready for the next request, as far as is known.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Sends one message as one request and waits for the answer. The body is the JSON text and a line feed.
    ///
    /// # Errors
    /// Returns an [`HttpError`]. The sender stays usable. If the receiver has not answered, it may have
    /// accepted the message nevertheless.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, a connection that is in use is closed. The receiver may
    /// have all of the request, or only the beginning of it. The sender stays usable.
    pub async fn send(&mut self, message: &Message<'_>) -> Result<(), HttpError> {
        Encoder::new().encode(message, &mut self.buffer);
        self.buffer.extend_from_slice(b"\n");
        let body = take(&mut self.buffer);
        self.post(body).await
    }

    /// Sends a payload of JSON text as one request and waits for the answer. The body is one line: it ends
    /// with a line feed, and each line feed within the payload becomes a space.
    ///
    /// # Errors
    /// Returns the same errors as [`send`](Self::send).
    ///
    /// # Cancel safety
    /// The same as for [`send`](Self::send).
    pub async fn send_payload(&mut self, payload: &[u8]) -> Result<(), HttpError> {
        bulk::write_line(payload, &mut self.buffer);
        let body = take(&mut self.buffer);
        self.post(body).await
    }

    /// Sends a body as one request, and waits for the answer. The body is compressed if the endpoint says so.
    ///
    /// # Errors
    /// Returns the same errors as [`send`](Self::send).
    ///
    /// # Cancel safety
    /// The same as for [`send`](Self::send).
    pub(crate) async fn post(&mut self, body: Bytes) -> Result<(), HttpError> {
        let started = Instant::now();
        let limit = self.timeout;
        let (body, is_gzip) = self.compress(body);
        let exchanged = timeout(limit, self.exchange(&body, is_gzip, started))
            .await
            .unwrap_or(Err(HttpError::TimedOut { after: limit }));
        let (response, mut connection) = match exchanged {
            Ok(exchanged) => exchanged,
            Err(error) => {
                // After a failed connect, each host has already been noted as failed.
                if !matches!(error, HttpError::Connect(_)) {
                    self.hosts().failed(io::Error::other(error.to_string()));
                }
                return Err(error);
            }
        };
        self.hosts().worked();
        let result = HttpError::of_answer(response.status(), response.headers());
        let finish = FINISH_TIMEOUT.min(limit.saturating_sub(started.elapsed()));
        if timeout(finish, connection.finish(response)).await.unwrap_or(false) {
            self.connection = Some(connection);
        } else {
            self.hosts().restart();
        }
        result
    }

    /// Sends a request and waits for the head of the answer. Until then, the future owns the connection:
    /// dropping the future closes the connection.
    async fn exchange(
        &mut self,
        body: &Bytes,
        is_gzip: bool,
        started: Instant,
    ) -> Result<(Response<Incoming>, Connection), HttpError> {
        if let Some(mut kept) = self.connection.take() {
            if kept.is_ready().await {
                self.requests += 1;
                match kept.send(self.head.request(body, is_gzip)).await {
                    Ok(response) => return Ok((response, kept)),
                    Err(error) if kept.has_heard() => return Err(error),
                    Err(error) => tracing::debug!(%error, "a kept connection has ended; a new one is made"),
                }
            }
            self.hosts().restart();
        }
        let left = self.timeout.saturating_sub(started.elapsed());
        let mut connection = self.destination.connect(left).await.map_err(HttpError::Connect)?;
        let host = self.hosts().current();
        let (name, port) = (host.name.clone(), host.port);
        self.head.set_host(&name, port).map_err(HttpError::Connect)?;
        self.connections += 1;
        self.requests += 1;
        let response = connection.send(self.head.request(body, is_gzip)).await?;
        Ok((response, connection))
    }

    /// Compresses the body if the endpoint says so. Returns the body, and whether the body is in gzip.
    fn compress(&mut self, body: Bytes) -> (Bytes, bool) {
        let Some(compressor) = &mut self.compressor else { return (body, false) };
        let compressed = compressor.compress(&body);
        (Bytes::copy_from_slice(compressed), compressed.starts_with(&GZIP_MAGIC))
    }
}

/// Takes the content of a buffer. The buffer uses its memory again once the returned bytes are dropped,
/// unless the content is large.
fn take(buffer: &mut BytesMut) -> Bytes {
    let taken = buffer.split().freeze();
    if taken.len() > RETAINED_BYTES {
        *buffer = BytesMut::new();
    }
    taken
}

/// Shows no header, since its value may be a secret.
impl fmt::Debug for HttpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSender")
            .field("destination", &self.destination)
            .field("timeout", &self.timeout)
            .field("is_connected", &self.connection.is_some())
            .finish_non_exhaustive()
    }
}
