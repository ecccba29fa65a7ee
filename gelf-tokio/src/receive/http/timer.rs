//! The time limits of one connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The phase of a connection, and the instant at which the phase began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// A request is being read or answered. The request watches its own time limit, except while the client
    /// does not read earlier answers: then the request is not polled.
    Busy(Instant),
    /// The head of a request has begun, or the connection is new.
    Head(Instant),
    /// No byte was read since the last answer.
    Idle(Instant),
}

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    /// `true` while a write waits for the client to take earlier bytes.
    is_untaken: bool,
    /// `true` if the connection has failed, for example by a reset. hyper treats a failed read between two
    /// requests as an ordinary end.
    is_broken: bool,
}

/// The step that a connection did not complete in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Late {
    /// Sending the head of a request to its end.
    Head,
    /// Beginning the next request.
    Request,
    /// Taking the answers.
    Answers,
}

/// The timer of one connection. The stream and the requests of the connection report to the timer.
#[derive(Debug)]
pub(super) struct Timer {
    state: Mutex<State>,
    head_timeout: Duration,
    idle_timeout: Duration,
    request_timeout: Duration,
}

impl Timer {
    pub(super) fn new(head_timeout: Duration, idle_timeout: Duration, request_timeout: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Head(Instant::now()),
                is_untaken: false,
                is_broken: false,
            }),
            head_timeout,
            idle_timeout,
            request_timeout,
        }
    }

    /// Notes that a head has been read.
    pub(super) fn begin_request(&self) {
        self.lock().phase = Phase::Busy(Instant::now());
    }

    /// Notes that a request has its answer.
    pub(super) fn end_request(&self) {
        self.lock().phase = Phase::Idle(Instant::now());
    }

    /// Returns whether a read or a write has failed.
    pub(super) fn is_broken(&self) -> bool {
        self.lock().is_broken
    }

    /// Notes the result of a read or a write.
    fn note<T>(&self, result: &Poll<io::Result<T>>) {
        // A TLS connection that ends without a `close_notify` is not broken: it ends as a connection without
        // TLS does.
        if matches!(result, Poll::Ready(Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof) {
            self.lock().is_broken = true;
        }
    }

    fn bytes_came(&self) {
        let mut state = self.lock();
        if let Phase::Idle(_) = state.phase {
            state.phase = Phase::Head(Instant::now());
        }
    }

    fn wrote(&self, is_untaken: bool) {
        self.lock().is_untaken = is_untaken;
    }

    /// Returns the instant at which the connection will be late if nothing changes, and the step that will
    /// then be late.
    pub(super) fn deadline(&self) -> (Instant, Late) {
        let state = *self.lock();
        match state.phase {
            Phase::Busy(since) => {
                (after(since, self.request_timeout.saturating_add(self.idle_timeout)), Late::Answers)
            }
            Phase::Head(since) => (after(since, self.head_timeout), Late::Head),
            Phase::Idle(since) => {
                let late = if state.is_untaken { Late::Answers } else { Late::Request };
                (after(since, self.idle_timeout), late)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns `since + time`, but at most 30 years after `since`: later instants are beyond the range of some
/// clocks.
pub(super) fn after(since: Instant, time: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    since + time.min(NEVER)
}

/// A stream that reports to the timer when bytes are read, and whether writes are blocked.
#[derive(Debug)]
pub(super) struct TimedStream<IO> {
    pub(super) io: IO,
    pub(super) timer: Arc<Timer>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for TimedStream<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.timer.bytes_came();
        }
        self.timer.note(&read);
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for TimedStream<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.timer.wrote(written.is_pending());
        self.timer.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.timer.wrote(written.is_pending());
        self.timer.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TLS stream buffers written bytes, so a flush may also wait for the client.
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.timer.wrote(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
