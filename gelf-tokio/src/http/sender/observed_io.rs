//! Provides the socket below hyper. The socket counts the bytes read, and defers write errors, so that an
//! answer can still be read after a write has failed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The limit of the bytes of one answer: 64 KiB each for its headers, for its body, and for interim answers
/// and chunk framing. The limit is checked before each read from the socket, so the last read can exceed the
/// limit.
pub(super) const MAX_ANSWER_BYTES: usize = 192 * 1024;

/// A connection, plain or with TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// The state of an [`ObservedIo`]. The state is shared, since hyper owns the IO.
#[derive(Debug, Default)]
pub(super) struct IoState {
    heard: AtomicUsize,
    broken: AtomicBool,
}

impl IoState {
    /// Resets the number of bytes read, for the next request.
    pub(super) fn begin(&self) {
        self.heard.store(0, Ordering::Relaxed);
    }

    /// Returns the number of bytes read since the last call of `begin`.
    pub(super) fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// Returns whether a write has failed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// A socket whose reads are counted and whose write errors are deferred.
///
/// A receiver can refuse a request before it has read the whole request, and close the connection. Then
/// writing fails, while the answer with the reason can be read. hyper would end at the failed write, and a
/// request that can never succeed would seem retriable. So a failed write is reported only at the end of
/// reading.
pub(super) struct ObservedIo {
    socket: Box<dyn Socket>,
    state: Arc<IoState>,
    write_error: Option<io::Error>,
}

impl ObservedIo {
    pub(super) fn new(socket: Box<dyn Socket>, state: Arc<IoState>) -> Self {
        Self { socket, state, write_error: None }
    }

    /// Keeps the first write error, which `poll_read` reports later.
    fn put_off(&mut self, error: io::Error) {
        self.write_error.get_or_insert(error);
        self.state.broken.store(true, Ordering::Relaxed);
    }
}

impl AsyncRead for ObservedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state.heard() > MAX_ANSWER_BYTES {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long")));
        }
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.socket).poll_read(context, buffer));
        let read = buffer.filled().len() - before;
        self.state.heard.fetch_add(read, Ordering::Relaxed);
        match self.write_error.take() {
            Some(error) if read == 0 => Poll::Ready(Err(error)),
            error => {
                self.write_error = error;
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncWrite for ObservedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.state.is_broken() {
            match ready!(Pin::new(&mut self.socket).poll_write(context, bytes)) {
                Ok(written) => return Poll::Ready(Ok(written)),
                Err(error) => self.put_off(error),
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.state.is_broken() {
            match ready!(Pin::new(&mut self.socket).poll_write_vectored(context, slices)) {
                Ok(written) => return Poll::Ready(Ok(written)),
                Err(error) => self.put_off(error),
            }
        }
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.state.is_broken() {
            if let Err(error) = ready!(Pin::new(&mut self.socket).poll_flush(context)) {
                self.put_off(error);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::Connection;
    use super::super::error::HttpError;
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::Request;

    /// A socket whose writes fail, and whose reads return an answer only after a failed write.
    struct Refusing {
        answer: &'static [u8],
        /// `true` if the connection ends after the answer.
        ends: bool,
        is_vectored: bool,
        has_refused: bool,
    }

    impl AsyncRead for Refusing {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if !self.has_refused {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.answer.is_empty() && !self.ends {
                return Poll::Pending;
            }
            buffer.put_slice(std::mem::take(&mut self.answer));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Refusing {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            assert!(!self.has_refused, "a socket that has failed is written to");
            self.has_refused = true;
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            _: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.poll_write(context, &[])
        }

        fn is_write_vectored(&self) -> bool {
            self.is_vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Sends a request. Its write fails, and after that the socket returns `answer`. Returns the result, and whether
    /// another request may follow.
    async fn refused(answer: &'static str, ends: bool, is_vectored: bool) -> (Result<u16, HttpError>, bool) {
        let socket = Refusing { answer: answer.as_bytes(), ends, is_vectored, has_refused: false };
        let mut connection = Connection::new(Box::new(socket)).await.unwrap();
        let request = Request::post("/").body(Full::new(Bytes::from_static(b"{}"))).unwrap();
        match connection.send(request).await {
            Ok(answer) => (Ok(answer.status().as_u16()), connection.finish(answer).await),
            Err(error) => (Err(error), connection.is_ready().await),
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_although_the_write_has_failed_and_nothing_is_sent_afterwards() {
        for (ends, is_vectored) in [(false, false), (false, true), (true, false), (true, true)] {
            let answer = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
            let (result, is_ready) = refused(answer, ends, is_vectored).await;
            assert_eq!((result.unwrap(), is_ready), (413, false));
        }
    }

    #[tokio::test]
    async fn without_a_whole_answer_the_failed_write_is_the_error() {
        for (is_vectored, answer) in [(false, ""), (true, "HTTP/1.1 413 Too")] {
            let (result, is_ready) = refused(answer, true, is_vectored).await;
            let error = result.unwrap_err();
            let expected = io::ErrorKind::BrokenPipe;
            assert!(matches!(&error, HttpError::Disconnected(e) if e.kind() == expected), "{error:?}");
            assert!(!is_ready);
        }
    }
}
