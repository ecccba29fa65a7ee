//! One HTTP connection, with one request at a time.
//!
//! The future that waits for an answer also drives the connection. There is therefore no separate task,
//! nothing is read or written between requests, and dropping a connection closes it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::TRANSFER_ENCODING;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::error::HttpError;
use super::observed_io::{IoState, ObservedIo, Socket};

/// The limit of hyper's buffer in bytes. The head of an answer must end within the buffer. hyper checks the
/// limit before each read from the socket, so the last read can exceed the limit.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The limit of the body of an answer in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A connection to the receiver.
pub(super) struct Connection {
    requests: http1::SendRequest<Full<Bytes>>,
    /// `None` once the connection is over.
    http: Option<http1::Connection<TokioIo<ObservedIo>, Full<Bytes>>>,
    state: Arc<IoState>,
}

impl Connection {
    /// Creates an HTTP connection over a socket. Nothing is sent yet.
    pub(super) async fn new(socket: Box<dyn Socket>) -> hyper::Result<Self> {
        let state = Arc::new(IoState::default());
        let socket = ObservedIo::new(socket, Arc::clone(&state));
        let (requests, http) =
            http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(socket)).await?;
        Ok(Self { requests, http: Some(http), state })
    }

    /// Returns whether the connection can take a request, as far as is known without waiting.
    pub(super) async fn is_ready(&mut self) -> bool {
        poll_fn(|context| {
            self.drive(context);
            let is_idle = self.http.is_some() && self.requests.is_ready();
            Poll::Ready(is_idle && !self.state.is_broken())
        })
        .await
    }

    /// Sends a request and waits for the head of the answer. The caller then has to [finish](Self::finish)
    /// the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, HttpError> {
        self.state.begin();
        let mut answer = Box::pin(self.requests.send_request(request));
        let http = &mut self.http;
        let answer = poll_fn(|context| {
            drive(http, context);
            answer.as_mut().poll(context)
        });
        answer.await.map_err(HttpError::from)
    }

    /// Returns whether any byte has come since the last request was sent.
    pub(super) fn has_heard(&self) -> bool {
        self.state.heard() > 0
    }

    /// Reads the rest of the answer. Returns whether the connection can take another request.
    pub(super) async fn finish(&mut self, answer: Response<Incoming>) -> bool {
        // A body that has neither a length nor chunks ends only with the connection.
        let is_chunked = answer.headers().contains_key(TRANSFER_ENCODING);
        let mut body = answer.into_body();
        let max = MAX_BODY_BYTES as u64;
        if body.size_hint().upper().map_or(!is_chunked, |len| len > max) {
            return false;
        }
        let mut read = 0;
        loop {
            let frame = poll_fn(|context| {
                self.drive(context);
                Pin::new(&mut body).poll_frame(context)
            });
            match frame.await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => return false,
                None => return self.is_ready().await,
            }
            if read > MAX_BODY_BYTES {
                return false;
            }
        }
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.http, context);
    }
}

/// Moves bytes between the socket and the request. If the connection ends, the future of the request returns
/// the reason.
fn drive(http: &mut Option<http1::Connection<TokioIo<ObservedIo>, Full<Bytes>>>, context: &mut Context<'_>) {
    if http.as_mut().is_some_and(|running| Pin::new(running).poll(context).is_ready()) {
        *http = None;
    }
}
