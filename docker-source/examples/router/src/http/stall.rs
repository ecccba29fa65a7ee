//! Ends a connection if bytes wait for its client, and the client takes none of them for 30 s. Without this
//! limit, a client that stops reading would keep its connection and its live tail for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The maximum time within which a client has to take the next bytes.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection whose writes fail if the client takes no bytes within [`LIMIT`].
#[derive(Debug)]
pub(super) struct StallLimit<S> {
    stream: S,
    /// The end of the time limit. Present while a write waits for the client.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> StallLimit<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, until: None }
    }

    /// Returns the result of a write. A write that still waits for the client fails at the end of the time
    /// limit.
    fn limited<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(LIMIT)));
        ready!(until.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no bytes")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallLimit<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallLimit<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.limited(context, written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.limited(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = Pin::new(&mut this.stream).poll_shutdown(context);
        this.limited(context, ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_once_the_client_has_taken_nothing_for_thirty_seconds() {
        let (server, mut client) = duplex(1);
        let mut server = StallLimit::new(server);
        let writing = tokio::spawn(async move { server.write_all(b"abc").await.unwrap_err().kind() });
        advance(LIMIT - Duration::from_secs(1)).await;
        // Each byte that the client takes starts a new time limit for the next byte.
        client.read_u8().await.unwrap();
        advance(LIMIT - Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
        assert!(!writing.is_finished());
        assert_eq!(writing.await.unwrap(), io::ErrorKind::TimedOut);
    }
}
