//! Serves HTTP on one connection, and limits the size of the head of each request and the time to receive it.
//! The HTTP API and the proxy share this code.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

/// The maximum length of the head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The maximum number of headers of a request.
const MAX_HEADERS: usize = 64;
/// The time limit for receiving the head of a request. The time starts when the connection starts, or when the
/// previous request is answered.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// A connection over any transport.
pub(crate) trait Socket: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Socket for T {}

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
pub(crate) type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;
pub(crate) type Answer = Response<BoxBody>;
type Answering = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

/// Converts a body of any type to the common type [`BoxBody`].
pub(crate) fn boxed(body: impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static) -> BoxBody {
    Box::pin(body.map_err(Into::into))
}

/// A function that answers requests.
#[derive(Clone)]
pub(crate) struct Handler(Arc<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>);

impl Handler {
    pub(crate) fn new<F>(answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self(Arc::new(move |request| {
            let answer = answer(request);
            Box::pin(async move { Ok(answer.await) })
        }))
    }
}

impl Service<Request<Incoming>> for Handler {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        (self.0)(request)
    }
}

/// Serves the requests of a connection until the connection ends or becomes a WebSocket.
pub(crate) async fn serve(socket: Box<dyn Socket>, handler: Handler) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(socket), handler)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!("a connection of an HTTP client has ended: {error}");
    }
}
