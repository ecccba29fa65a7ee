//! How long a connection may stay as it is.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What a connection is waited for to do, and since when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// A request is being read or answered. It looks at the time itself, unless the answers before it are not taken:
    /// then it does not get its turn.
    Busy(Instant),
    /// The head of a request has begun, or the connection is new.
    Head(Instant),
    /// Nothing has come since the last answer.
    Idle(Instant),
}

/// What a connection did not do in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Late {
    /// The head of a request did not come to its end.
    Head,
    /// No request came.
    Request,
    /// The answers were not taken.
    Answers,
}

/// The phase of one connection, which its bytes and its requests change.
#[derive(Debug)]
pub(super) struct Clock {
    phase: Mutex<Phase>,
    /// Whether a write waits until the client takes what was written before.
    is_untaken: AtomicBool,
    head_timeout: Duration,
    idle_timeout: Duration,
    request_timeout: Duration,
}

impl Clock {
    pub(super) fn new(head_timeout: Duration, idle_timeout: Duration, request_timeout: Duration) -> Self {
        Self {
            phase: Mutex::new(Phase::Head(Instant::now())),
            is_untaken: AtomicBool::new(false),
            head_timeout,
            idle_timeout,
            request_timeout,
        }
    }

    /// A head has been read.
    pub(super) fn begin_request(&self) {
        self.change(|_| Phase::Busy(Instant::now()));
    }

    /// A request has its answer.
    pub(super) fn end_request(&self) {
        self.change(|_| Phase::Idle(Instant::now()));
    }

    fn bytes_came(&self) {
        self.change(|phase| match phase {
            Phase::Idle(_) => Phase::Head(Instant::now()),
            phase => phase,
        });
    }

    fn wrote(&self, is_untaken: bool) {
        self.is_untaken.store(is_untaken, Relaxed);
    }

    /// Until when what, if nothing changes.
    pub(super) fn deadline(&self) -> (Instant, Late) {
        match *self.phase.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Busy(since) => {
                (after(since, self.request_timeout.saturating_add(self.idle_timeout)), Late::Answers)
            }
            Phase::Head(since) => (after(since, self.head_timeout), Late::Head),
            Phase::Idle(since) => {
                let late = if self.is_untaken.load(Relaxed) { Late::Answers } else { Late::Request };
                (after(since, self.idle_timeout), late)
            }
        }
    }

    fn change(&self, change: impl FnOnce(Phase) -> Phase) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = change(*phase);
    }
}

/// A point in time, or one so far away that it never comes.
pub(super) fn after(since: Instant, time: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    since + time.min(NEVER)
}

/// Tells the clock when bytes come, and whether they go.
#[derive(Debug)]
pub(super) struct Watched<IO> {
    pub(super) io: IO,
    pub(super) clock: Arc<Clock>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.clock.bytes_came();
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.clock.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.clock.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // That of TLS holds bytes that are written.
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.clock.wrote(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
