//! Reads one connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
#[cfg(feature = "tls")]
use std::time::Duration;

use bytes::Bytes;
use gelf_core::{FrameTooLong, Framer};
use tokio::io::AsyncRead;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::budget::{Budget, Evicted};
use super::clock::{Clock, TimeLimits};
use super::read_buffer::ReadBuffer;
use crate::accept::reset_on_drop;
use crate::intake::Intake;
use crate::receive::{ReceiveError, Received};
#[cfg(feature = "tls")]
use crate::tls::ReceiverTls;

/// White space in front of a frame up to this is no beginning of it. Some senders write a newline after each null byte,
/// and may be silent then.
const MAX_BLANK_BYTES: usize = 16;

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The peer ended it.
    Ended,
    /// With an error, such as a reset.
    Broken,
    /// The TLS handshake failed, or took too long.
    #[cfg(feature = "tls")]
    FailedHandshake,
    /// No first byte came in time.
    Silent,
    /// No byte came for too long.
    Idle,
    /// A frame took too long.
    Slow,
    /// The memory of its frame was needed for others.
    Evicted,
}

impl End {
    /// Whether it is this side that ends it.
    fn is_ours(self) -> bool {
        matches!(self, Self::Silent | Self::Idle | Self::Slow | Self::Evicted)
    }
}

/// What the connections have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) intake: Intake,
    pub(super) budget: Arc<Budget>,
    pub(super) max_frame_len: usize,
    pub(super) time_limits: TimeLimits,
    #[cfg(feature = "tls")]
    pub(super) handshake_timeout: Duration,
    pub(super) frames: FrameCounts,
}

/// What became of frames.
#[derive(Debug, Default)]
pub(super) struct FrameCounts {
    pub(super) cut: AtomicU64,
    pub(super) empty: AtomicU64,
    pub(super) too_long: AtomicU64,
    pub(super) whole: AtomicU64,
}

/// Reads a connection to its end.
pub(super) async fn read_plain(mut stream: TcpStream, from: SocketAddr, shared: Arc<Shared>) -> End {
    let end = read(&mut stream, from, &shared).await;
    if end.is_ours() {
        reset_on_drop(&stream);
    }
    end
}

/// Shakes hands and reads a connection to its end.
#[cfg(feature = "tls")]
pub(super) async fn read_tls(
    stream: TcpStream,
    from: SocketAddr,
    shared: Arc<Shared>,
    tls: ReceiverTls,
) -> End {
    let Some(mut stream) = tls.shake_hands(None, stream, from, shared.handshake_timeout).await else {
        return End::FailedHandshake;
    };
    let end = read(&mut stream, from, &shared).await;
    if end.is_ours() {
        reset_on_drop(stream.get_ref().0);
    }
    end
}

/// Reads a stream to its end.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin), from: SocketAddr, shared: &Shared) -> End {
    let mut reader = Reader {
        from,
        shared,
        framer: Framer::new(shared.max_frame_len),
        buffer: ReadBuffer::new(shared.max_frame_len, &shared.budget),
        clock: Clock::new(shared.time_limits),
    };
    let end = reader.read_all(stream).await;
    if end != End::Ended {
        tracing::debug!(%from, ?end, "a TCP connection is over");
        // Of a frame that is too long there is nothing in the buffer: it is counted already.
        shared.frames.cut.fetch_add(u64::from(!reader.buffer.is_blank(usize::MAX)), Relaxed);
    }
    end
}

struct Reader<'a> {
    from: SocketAddr,
    shared: &'a Shared,
    framer: Framer,
    buffer: ReadBuffer,
    clock: Clock,
}

impl Reader<'_> {
    async fn read_all(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> End {
        loop {
            if self.buffer.is_full() {
                let asked = Instant::now();
                if self.buffer.make_room().await == Err(Evicted) {
                    return End::Evicted;
                }
                self.clock.excuse(asked.elapsed());
            }
            let evicted = self.buffer.evicted();
            let added = tokio::select! {
                biased;
                () = evicted => return End::Evicted,
                added = self.buffer.read_from(stream) => match added {
                    Ok(added) => added,
                    Err(error) => return self.broken(&error),
                },
                end = self.clock.expired() => return end,
            };
            if added.len == 0 {
                return self.finish().await;
            }
            if !self.take_frames().await {
                return End::Ended;
            }
            if added.delimiter || self.buffer.is_empty() {
                self.buffer.release();
            }
            let unfinished = if self.buffer.is_empty() {
                // Then a frame that is too long is being skipped.
                !added.ends_with_delimiter
            } else {
                !self.buffer.is_blank(MAX_BLANK_BYTES)
            };
            self.clock.hear(added.delimiter, unfinished);
        }
    }

    /// Hands over the frames that are whole; whether the receiver is still there.
    async fn take_frames(&mut self) -> bool {
        let empty_frames = self.framer.empty_frames();
        let mut is_there = true;
        while let Some(frame) = self.framer.next_frame(self.buffer.bytes()) {
            self.buffer.complete();
            is_there = self.hand_over(frame).await;
            if !is_there {
                break;
            }
        }
        self.shared.frames.empty.fetch_add(self.framer.empty_frames() - empty_frames, Relaxed);
        is_there
    }

    /// The end of the stream: the last frame need not be terminated.
    async fn finish(&mut self) -> End {
        if let Some(frame) = self.framer.finish(self.buffer.bytes()) {
            self.buffer.complete();
            self.hand_over(Ok(frame)).await;
        }
        End::Ended
    }

    fn broken(&self, error: &io::Error) -> End {
        // Many peers end the connection below TLS without saying so in TLS. Between two frames it does not matter.
        if error.kind() == io::ErrorKind::UnexpectedEof && self.buffer.is_blank(usize::MAX) {
            return End::Ended;
        }
        tracing::debug!(%error, from = %self.from, "a TCP connection broke");
        End::Broken
    }

    /// Waits for room in the queue; whether the receiver is still there.
    async fn hand_over(&self, frame: Result<Bytes, FrameTooLong>) -> bool {
        let len = frame.as_ref().map_or(0, Bytes::len);
        let Some(room) = self.shared.intake.reserve(len).await else { return false };
        let from = self.from;
        match frame {
            Ok(frame) => {
                self.shared.frames.whole.fetch_add(1, Relaxed);
                // A copy, for the frame shares the read buffer and would keep all of it.
                room.put(Ok(Received { payload: Bytes::copy_from_slice(&frame), from }));
            }
            Err(error) => {
                self.shared.frames.too_long.fetch_add(1, Relaxed);
                room.put(Err(ReceiveError::Frame { from, error }));
            }
        }
        true
    }
}
