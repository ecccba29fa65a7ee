//! Sends one GET request on a new connection, applies the timeouts, and returns the body of the answer as it
//! arrives.
//!
//! A call that reads the body also drives the connection. Therefore a request needs no task of its own, bytes
//! are read from the socket only while a caller waits for them, and dropping the body closes the connection.

use std::error::Error as _;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use bytes::{Bytes, BytesMut};
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::resolve::Resolver;
use super::{ApiVersion, EngineAddress, EngineError};
use crate::dialect::Dialect;

/// The maximum size of hyper's read buffer of a connection, in bytes. The buffer holds the headers of an answer,
/// and bytes of the body that are read ahead. Each log that is read has such a buffer, so a larger buffer would
/// cost memory for each container.
const CONNECTION_BUFFER: usize = 16 * 1024;
/// The maximum number of bytes that the client keeps of the body of an error answer. Such a body usually has
/// about 100 bytes.
const ERROR_BODY_MAX: usize = 16 * 1024;

/// Timeouts of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The maximum time to connect and to receive the headers of the answer.
    pub(crate) headers: Duration,
    /// The maximum time to connect and to receive the headers of a log. Logs have a separate, longer timeout
    /// because an Engine under load may open a log late, and because the log of a removed container cannot be
    /// requested again after a timeout.
    pub(crate) log: Duration,
    /// The maximum time between two parts of a JSON answer.
    pub(crate) body: Duration,
}

trait Socket: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Socket for T {}

type Connection = http1::Connection<TokioIo<Box<dyn Socket>>, Empty<Bytes>>;

/// A client of the Engine. It cannot change the Engine: every request is a GET, and no function takes another
/// method.
#[derive(Clone, Debug)]
pub(crate) struct EngineClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: EngineAddress,
    host_header: String,
    limits: Limits,
    resolver: Resolver,
    /// The bits of the negotiated [`ApiVersion`].
    version: AtomicU32,
    is_podman: AtomicBool,
    requests: AtomicU64,
}

impl EngineClient {
    pub(crate) fn new(address: EngineAddress, limits: Limits) -> Self {
        let host_header = match &address {
            EngineAddress::Tcp { host, port } => format!("{host}:{port}"),
            #[cfg(feature = "tls")]
            EngineAddress::Tls { host, port, .. } => format!("{host}:{port}"),
            EngineAddress::Unix(_) => "docker".into(),
        };
        let version = AtomicU32::new(ApiVersion::OLDEST.to_bits());
        let requests = AtomicU64::new(0);
        Self {
            shared: Arc::new(Shared {
                address,
                host_header,
                limits,
                resolver: Resolver::new(),
                version,
                is_podman: AtomicBool::new(false),
                requests,
            }),
        }
    }

    pub(crate) fn address(&self) -> &EngineAddress {
        &self.shared.address
    }

    pub(crate) fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// Returns the API version of requests: the version that was given to [`set_version`](Self::set_version),
    /// or the oldest supported version before that call.
    pub(crate) fn version(&self) -> ApiVersion {
        ApiVersion::from_bits(self.shared.version.load(Ordering::Relaxed))
    }

    pub(crate) fn set_version(&self, version: ApiVersion) {
        self.shared.version.store(version.to_bits(), Ordering::Relaxed);
    }

    /// Returns the kind of the Engine: the kind that was given to [`set_dialect`](Self::set_dialect), or
    /// Docker before that call.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.shared.is_podman.load(Ordering::Relaxed) {
            true => Dialect::Podman,
            false => Dialect::Docker,
        }
    }

    pub(crate) fn set_dialect(&self, dialect: Dialect) {
        self.shared.is_podman.store(dialect == Dialect::Podman, Ordering::Relaxed);
    }

    /// Returns the number of requests that were sent.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Sends `GET path` and waits for the headers of the answer, but no longer than `limits.headers`.
    ///
    /// # Errors
    /// Returns [`EngineError::Status`] for a status other than 200.
    pub(super) async fn get(&self, endpoint: &'static str, path: &str) -> Result<Answer, EngineError> {
        self.get_within(self.shared.limits.headers, endpoint, path).await
    }

    /// Does the same as [`get`](Self::get), with the limit `after` in place of `limits.headers`.
    pub(super) async fn get_within(
        &self,
        after: Duration,
        endpoint: &'static str,
        path: &str,
    ) -> Result<Answer, EngineError> {
        let waited = timeout(after, async {
            let (response, connection) = self.exchange(endpoint, path).await?;
            let (head, incoming) = response.into_parts();
            let mut body = Body { endpoint, incoming, connection };
            if head.status != StatusCode::OK {
                let text = body.start(ERROR_BODY_MAX).await;
                return Err(EngineError::from_status(endpoint, head.status.as_u16(), &text));
            }
            Ok(Answer { headers: head.headers, body })
        });
        waited.await.unwrap_or(Err(EngineError::TimedOut { endpoint, after }))
    }

    async fn exchange(
        &self,
        endpoint: &'static str,
        path: &str,
    ) -> Result<(Response<Incoming>, Option<Connection>), EngineError> {
        let socket = self.connect().await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(CONNECTION_BUFFER)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| self.http_error(endpoint, &error))?;
        let request = Request::get(path)
            .header(HOST, &self.shared.host_header)
            .header(USER_AGENT, concat!("docker-source/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| EngineError::answer(endpoint, error))?;
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        let mut connection = Some(connection);
        let mut response = std::pin::pin!(sender.send_request(request));
        let response = poll_fn(|context| {
            drive(&mut connection, context);
            response.as_mut().poll(context)
        })
        .await
        .map_err(|error| self.http_error(endpoint, &error))?;
        Ok((response, connection))
    }

    async fn connect(&self) -> Result<Box<dyn Socket>, EngineError> {
        let connected: io::Result<Box<dyn Socket>> = match &self.shared.address {
            EngineAddress::Unix(path) => {
                UnixStream::connect(path).await.map(|s| Box::new(s) as Box<dyn Socket>)
            }
            EngineAddress::Tcp { host, port } => {
                self.connect_tcp(host, *port).await.map(|s| Box::new(s) as Box<dyn Socket>)
            }
            #[cfg(feature = "tls")]
            EngineAddress::Tls { host, port, certificates } => match self.connect_tcp(host, *port).await {
                Ok(socket) => {
                    let handshake = certificates.connect(bare(host), socket);
                    handshake.await.map(|s| Box::new(s) as Box<dyn Socket>)
                }
                Err(error) => Err(error),
            },
        };
        connected.map_err(|error| {
            self.tls_refusal(&error)
                .unwrap_or_else(|| EngineError::Connect { address: self.shared.address.clone(), error })
        })
    }

    /// Converts an error of the HTTP client that occurred before the answer began.
    fn http_error(&self, endpoint: &'static str, error: &hyper::Error) -> EngineError {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        cause
            .and_then(|cause| self.tls_refusal(cause))
            .unwrap_or_else(|| EngineError::from_http(endpoint, error))
    }

    /// Returns [`EngineError::Tls`] if the error is a refusal of a certificate, as `EngineCertificates::refusal` finds
    /// it.
    #[cfg(feature = "tls")]
    fn tls_refusal(&self, error: &io::Error) -> Option<EngineError> {
        let EngineAddress::Tls { host, certificates, .. } = &self.shared.address else { return None };
        let reason = certificates.refusal(bare(host), error)?;
        Some(EngineError::Tls { address: self.shared.address.clone(), reason })
    }

    #[cfg(not(feature = "tls"))]
    fn tls_refusal(&self, _: &io::Error) -> Option<EngineError> {
        None
    }

    async fn connect_tcp(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let bare = bare(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return TcpStream::connect((ip, port)).await;
        }
        let addresses = self.shared.resolver.addresses(bare, port).await?;
        TcpStream::connect(addresses.as_slice()).await
    }
}

/// Returns the host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Moves bytes between the socket and the request or body. An error of the connection is ignored here, since
/// the response or its body reports the same error.
fn drive(connection: &mut Option<Connection>, context: &mut std::task::Context<'_>) {
    if connection.as_mut().is_some_and(|running| Pin::new(running).poll(context).is_ready()) {
        *connection = None;
    }
}

/// The answer to a request, with status 200.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: hyper::HeaderMap,
    pub(super) body: Body,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.header(CONTENT_TYPE.as_str())
    }
}

/// The body of an answer, as it arrives. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Body {
    endpoint: &'static str,
    incoming: Incoming,
    connection: Option<Connection>,
}

impl Body {
    /// Returns the bytes that arrive next, or `None` once the Engine has completed the body.
    ///
    /// # Errors
    /// Returns [`EngineError::Broken`] if the connection breaks before the body is complete.
    ///
    /// # Cancel safety
    /// Cancel safe: no byte is lost.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, EngineError>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Returns the result of [`next`](Self::next) if it is available already, otherwise `None`. The call
    /// starts no timer and waits for no other task, so a body that arrives fast is read at little cost.
    pub(crate) async fn next_at_once(&mut self) -> Option<Option<Result<Bytes, EngineError>>> {
        poll_fn(|context| {
            Poll::Ready(match self.poll_next(context) {
                Poll::Ready(next) => Some(next),
                Poll::Pending => None,
            })
        })
        .await
    }

    fn poll_next(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Bytes, EngineError>>> {
        loop {
            drive(&mut self.connection, context);
            match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(EngineError::from_http(self.endpoint, &error))));
                }
            }
        }
    }

    /// Does the same as [`next`](Self::next), but returns an error if no byte arrives within `wait`.
    pub(crate) async fn next_within(&mut self, wait: Duration) -> Option<Result<Bytes, EngineError>> {
        let endpoint = self.endpoint;
        timeout(wait, self.next()).await.unwrap_or(Some(Err(EngineError::TimedOut { endpoint, after: wait })))
    }

    /// Reads the first `limit` bytes of the body. Reads fewer bytes if the body ends or breaks earlier.
    async fn start(&mut self, limit: usize) -> BytesMut {
        let mut start = BytesMut::new();
        while start.len() < limit {
            let Some(Ok(part)) = self.next().await else { break };
            start.extend_from_slice(&part);
        }
        start.truncate(limit);
        start
    }
}
