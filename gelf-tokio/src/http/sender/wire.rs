//! What a connection reads and writes through: it counts, and lets an answer be heard that came before a broken write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are read for one answer: its headers and its body, and as much again for interim answers and for what
/// frames the body. A read may go beyond it by its own length.
pub(super) const MAX_ANSWER_BYTES: usize = 192 * 1024;

/// A connection, plain or with TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// What is known of a [`Wire`] while hyper has it.
#[derive(Debug, Default)]
pub(super) struct WireState {
    heard: AtomicUsize,
    broken: AtomicBool,
}

impl WireState {
    /// Begins to count again: a request goes out.
    pub(super) fn begin(&self) {
        self.heard.store(0, Ordering::Relaxed);
    }

    /// How many bytes came since.
    pub(super) fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether a write has failed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// A socket that is watched.
///
/// A receiver may refuse a request before it has read it all, and close the connection. Then writing fails, and the
/// answer, which says why, is there to be read. hyper would end at the failed write, and a request that can never succeed
/// would look like one that may. So here writing seems to go on, and the error is told when reading has come to the end.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    state: Arc<WireState>,
    write_error: Option<io::Error>,
}

impl Wire {
    pub(super) fn new(socket: Box<dyn Socket>, state: Arc<WireState>) -> Self {
        Self { socket, state, write_error: None }
    }

    /// Notes that writing has failed.
    fn put_off(&mut self, error: io::Error) {
        self.write_error.get_or_insert(error);
        self.state.broken.store(true, Ordering::Relaxed);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state.heard() > MAX_ANSWER_BYTES {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long")));
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

impl AsyncWrite for Wire {
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
        if !self.state.is_broken()
            && let Err(error) = ready!(Pin::new(&mut self.socket).poll_flush(context))
        {
            self.put_off(error);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
