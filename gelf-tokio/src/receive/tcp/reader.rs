//! Reads the frames of one connection.

use std::future::{pending, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use gelf_core::{Delimiter, FrameError, Framer};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until};

use super::budget::{Budget, Evicted};
use super::deadlines::{Deadlines, TimeLimits};
use super::read_buffer::{Added, ReadBuffer};
use crate::receive::counter::Counter;
use crate::receive::kernel;
use crate::receive::server::closing::{CloseTimes, Closing};
use crate::receive::server::{End, Peer, Protocol, Served, Stream};
use crate::receive::{ReceiveError, Received};

/// White space of up to this number of bytes does not begin a frame: some senders write a newline after each
/// null byte, and can be silent for long after the newline.
const MAX_BLANK_BYTES: usize = 16;

/// The time of silence after which a closing receiver expects no more data from a connection.
const DRAINED_AFTER: Duration = Duration::from_millis(100);

/// The limits and counters that the connections of a receiver share.
#[derive(Debug)]
pub(super) struct FrameProtocol {
    pub(super) budget: Arc<Budget>,
    pub(super) delimiter: Delimiter,
    pub(super) max_frame_len: usize,
    pub(super) time_limits: TimeLimits,
    pub(super) frames: FrameCounters,
}

/// Frame counters.
#[derive(Debug, Default)]
pub(super) struct FrameCounters {
    pub(super) cut: Counter,
    pub(super) empty: Counter,
    pub(super) too_long: Counter,
    pub(super) whole: Counter,
}

impl Protocol for FrameProtocol {
    async fn serve<S: Stream>(self: Arc<Self>, stream: &mut S, peer: Peer) -> Served {
        let mut reader = Reader {
            framer: Framer::new(self.max_frame_len).with_delimiter(self.delimiter),
            empty_frames: 0,
            buffer: ReadBuffer::new(self.delimiter, self.max_frame_len, &self.budget),
            deadlines: Deadlines::new(self.time_limits),
            draining: Draining::No(peer.closing.clone()),
            peer: &peer,
            protocol: &self,
        };
        let end = reader.read_all(stream).await;
        if end != End::Ended {
            tracing::debug!(from = %peer.address, ?end, "a TCP connection is over");
        }
        Served { end, reset: !matches!(end, End::Ended | End::Broken) }
    }
}

struct Reader<'a> {
    peer: &'a Peer,
    protocol: &'a FrameProtocol,
    framer: Framer,
    /// The number of the blank frames that the framer has skipped and that have been counted.
    empty_frames: u64,
    buffer: ReadBuffer,
    deadlines: Deadlines,
    draining: Draining,
}

/// The progress of closing a connection.
enum Draining {
    /// The receiver is open.
    No(Closing),
    /// The peer is notified, and the reader reads until the peer ends the connection or is silent, or the
    /// time is over.
    Reading { times: CloseTimes, heard: Instant },
    /// The kernel was told to take no more bytes for the connection, and the reader reads the remaining bytes.
    Rest,
}

impl Draining {
    /// Waits for the next state.
    async fn next(&mut self) -> Self {
        match self {
            Self::No(closing) => {
                let times = closing.begun().await;
                Self::Reading { times, heard: Instant::now() }
            }
            Self::Reading { times, heard } => {
                sleep_until(times.read_until.min(*heard + DRAINED_AFTER)).await;
                Self::Rest
            }
            Self::Rest => pending().await,
        }
    }
}

impl Reader<'_> {
    async fn read_all<S: Stream>(&mut self, stream: &mut S) -> End {
        loop {
            if self.buffer.is_full() {
                let asked = Instant::now();
                if self.buffer.make_room().await == Err(Evicted) {
                    return End::Evicted;
                }
                self.deadlines.excuse(asked.elapsed());
            }
            let evicted = self.buffer.evicted();
            let is_rest = matches!(self.draining, Draining::Rest);
            let added = tokio::select! {
                biased;
                () = evicted => return End::Evicted,
                next = self.draining.next() => {
                    self.draining = next;
                    self.drain(stream).await;
                    continue;
                }
                added = read(&mut self.buffer, stream, is_rest) => match added {
                    Ok(Some(added)) => added,
                    Ok(None) => return End::Closed,
                    Err(error) => return self.broken(&error),
                },
                end = self.deadlines.expired() => return end,
            };
            if let Draining::Reading { heard, .. } = &mut self.draining {
                *heard = Instant::now();
            }
            if added.len == 0 {
                return self.finish().await;
            }
            let offered = Instant::now();
            if !self.take_frames().await {
                return End::Closed;
            }
            // The time limits do not include the wait for room in the queue. This also holds for a frame that is
            // too long: its error waits for room while the frame is still unfinished.
            self.deadlines.excuse(offered.elapsed());
            if added.delimiter || self.buffer.is_empty() {
                self.buffer.release();
            }
            let unfinished = if self.buffer.is_empty() {
                // If bytes without a final delimiter have left the buffer empty, a frame that is too long is
                // being skipped.
                !added.ends_with_delimiter
            } else {
                !self.buffer.is_blank(MAX_BLANK_BYTES)
            };
            self.deadlines.hear(added.delimiter, unfinished);
        }
    }

    /// Tells the peer, or the kernel, that the connection has entered the current state of draining.
    async fn drain<S: Stream>(&self, stream: &mut S) {
        let done = match (&self.draining, stream.tcp()) {
            (Draining::Reading { .. }, _) => stream.shutdown().await,
            (Draining::Rest, Some(tcp)) => kernel::drop_incoming(&SockRef::from(tcp)),
            _ => Ok(()),
        };
        if let Err(error) = done {
            tracing::debug!(%error, from = %self.peer.address, "a TCP connection may lose data at its close");
        }
    }

    /// Delivers the complete frames of the buffer. Returns whether the receiver still exists.
    async fn take_frames(&mut self) -> bool {
        let mut is_there = true;
        while let Some(frame) = self.framer.next_frame(self.buffer.bytes()) {
            self.buffer.complete();
            is_there = self.deliver(frame).await;
            if !is_there {
                break;
            }
        }
        self.count_empty_frames();
        is_there
    }

    /// Counts the blank frames that the framer has skipped since the last call.
    fn count_empty_frames(&mut self) {
        let skipped = self.framer.empty_frames();
        self.protocol.frames.empty.add(skipped - self.empty_frames);
        self.empty_frames = skipped;
    }

    /// Delivers the last frame, if the end of the stream terminates it in place of a delimiter.
    async fn finish(&mut self) -> End {
        if let Some(frame) = self.framer.finish(self.buffer.bytes()) {
            self.buffer.complete();
            self.deliver(Ok(frame)).await;
        }
        End::Ended
    }

    fn broken(&self, error: &io::Error) -> End {
        // Many peers end the TCP connection without announcing the end in TLS. Between two frames, such an
        // end loses nothing.
        if error.kind() == io::ErrorKind::UnexpectedEof && self.buffer.is_blank(usize::MAX) {
            return End::Ended;
        }
        tracing::debug!(%error, from = %self.peer.address, "a TCP connection broke");
        End::Broken
    }

    /// Waits for room in the queue, and puts a frame there. Returns whether the receiver still exists.
    async fn deliver(&self, frame: Result<Bytes, FrameError>) -> bool {
        let frames = &self.protocol.frames;
        let lost = frames.cut.unless_disarmed();
        let len = frame.as_ref().map_or(0, Bytes::len);
        let Some(slot) = self.peer.queue.reserve(len).await else { return false };
        lost.disarm();
        let from = self.peer.address;
        match frame {
            Ok(frame) => {
                frames.whole.add(1);
                // The frame is copied, because it shares the memory of the read buffer and would keep the
                // whole buffer alive.
                slot.put(Ok(Received { payload: Bytes::copy_from_slice(&frame), from }));
            }
            Err(error) => {
                frames.too_long.add(1);
                slot.put(Err(ReceiveError::Frame { from, error }));
            }
        }
        true
    }
}

/// Counts each frame that is left in the buffer, whole or unfinished, as cut, and the skipped blank frames as empty. A
/// frame whose rest is skipped because it is too long is counted already, and has nothing in the buffer.
impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut cut = 0;
        while self.framer.next_frame(self.buffer.bytes()).is_some() {
            cut += 1;
        }
        cut += u64::from(!self.buffer.is_blank(usize::MAX));
        self.protocol.frames.cut.add(cut);
        self.count_empty_frames();
    }
}

/// Waits for bytes and reads them. With `is_rest`, returns `None` instead of waiting when the kernel holds no
/// more bytes.
async fn read<S: Stream>(
    buffer: &mut ReadBuffer,
    stream: &mut S,
    is_rest: bool,
) -> io::Result<Option<Added>> {
    poll_fn(|context| match buffer.poll_read_from(context, stream) {
        Poll::Ready(added) => Poll::Ready(added.map(Some)),
        Poll::Pending
            if is_rest && stream.tcp().is_none_or(|tcp| kernel::is_drained(&SockRef::from(tcp))) =>
        {
            Poll::Ready(Ok(None))
        }
        Poll::Pending => Poll::Pending,
    })
    .await
}
