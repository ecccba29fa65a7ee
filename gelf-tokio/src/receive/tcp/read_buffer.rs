//! Buffers the bytes of a connection until the caller takes whole frames.

use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use gelf_core::Delimiter;
use tokio::io::{AsyncRead, ReadBuf};

use super::budget::{Budget, Claim, Evicted};

/// The maximum number of bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// The number of bytes that each connection may hold outside of the budget that all connections share. It is
/// enough for the bytes that a read brings after the end of a frame.
const OWN_BYTES: usize = READ_BYTES;

/// A buffer whose memory is at most twice the number of bytes that it holds.
///
/// Bytes are read onto the stack and appended, so a silent connection has no memory reserved.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    bytes: BytesMut,
    /// The byte that ends a frame.
    delimiter: u8,
    /// The maximum length of an unfinished frame.
    max_len: usize,
    budget: Arc<Budget>,
    /// The claim on the budget for the bytes beyond `OWN_BYTES`.
    claim: Option<Claim>,
}

/// The bytes that a read has added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Added {
    /// The number of bytes, 0 at the end of the stream.
    pub(super) len: usize,
    /// `true` if the bytes contain a delimiter.
    pub(super) delimiter: bool,
    /// `true` if the last of the bytes is a delimiter.
    pub(super) ends_with_delimiter: bool,
}

impl ReadBuffer {
    pub(super) fn new(delimiter: Delimiter, max_frame_len: usize, budget: &Arc<Budget>) -> Self {
        // One byte beyond the maximum length shows that a frame is too long.
        let max_len = max_frame_len.saturating_add(1);
        Self {
            bytes: BytesMut::new(),
            delimiter: delimiter.byte(),
            max_len,
            budget: Arc::clone(budget),
            claim: None,
        }
    }

    /// Returns the bytes, from which the caller takes frames.
    pub(super) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Returns whether the buffer is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns whether the buffer is empty, or contains only white space of at most `max` bytes.
    pub(super) fn is_blank(&self, max: usize) -> bool {
        self.bytes.len() <= max && self.bytes.iter().all(u8::is_ascii_whitespace)
    }

    /// Returns whether a read must wait until there is [room](Self::make_room).
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= self.allowed()
    }

    /// Doubles the number of bytes that the buffer may hold, up to `max_len`. If `max_len` is already reached,
    /// adds one byte. The further bytes are taken from the budget.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing is lost.
    pub(super) async fn make_room(&mut self) -> Result<(), Evicted> {
        let allowed = self.allowed();
        let more = allowed.min(self.max_len.saturating_sub(allowed)).max(1);
        self.claim.get_or_insert_with(|| self.budget.claim()).grow(more).await
    }

    /// Waits until the claim of the buffer on the budget is evicted.
    pub(super) fn evicted(&self) -> impl Future<Output = ()> + use<> {
        let evicted = self.claim.as_ref().map(Claim::evicted);
        async move {
            match evicted {
                Some(evicted) => evicted.await,
                None => pending().await,
            }
        }
    }

    /// Reads the bytes that are available, up to 64 KiB and up to the room of the buffer.
    pub(super) fn poll_read_from(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<Added>> {
        let mut memory = [const { MaybeUninit::uninit() }; READ_BYTES];
        let room = self.allowed().saturating_sub(self.bytes.len()).min(READ_BYTES);
        let (memory, _) = memory.split_at_mut(room);
        let mut read = ReadBuf::uninit(memory);
        ready!(Pin::new(stream).poll_read(context, &mut read))?;
        let added = read.filled();
        self.append(added);
        Poll::Ready(Ok(Added {
            len: added.len(),
            delimiter: added.contains(&self.delimiter),
            ends_with_delimiter: added.last() == Some(&self.delimiter),
        }))
    }

    /// Protects the claim of the buffer from eviction until [`release`](Self::release), because a frame is
    /// complete.
    pub(super) fn complete(&mut self) {
        if let Some(claim) = &mut self.claim {
            claim.complete();
        }
    }

    /// Frees the memory of frames that were taken, and gives the bytes of the budget back. The remaining bytes are
    /// copied, because they would otherwise keep the memory of these frames.
    pub(super) fn release(&mut self) {
        self.bytes = if self.bytes.is_empty() { BytesMut::new() } else { BytesMut::from(&self.bytes[..]) };
        self.claim = None;
    }

    /// Returns the number of bytes that the buffer may hold.
    fn allowed(&self) -> usize {
        OWN_BYTES + self.claim.as_ref().map_or(0, Claim::bytes)
    }

    fn append(&mut self, added: &[u8]) {
        let len = self.bytes.len() + added.len();
        if len > self.bytes.capacity() {
            // `BytesMut` would double its capacity even beyond the number of bytes that the buffer may hold.
            let capacity = (2 * self.bytes.capacity()).min(self.allowed()).max(len);
            let mut larger = BytesMut::with_capacity(capacity);
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(added);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// Reads all of a stream, making room as needed.
    async fn read(buffer: &mut ReadBuffer, mut stream: &[u8]) {
        while !stream.is_empty() {
            if buffer.is_full() {
                buffer.make_room().await.unwrap();
            }
            assert_ne!(poll_fn(|context| buffer.poll_read_from(context, &mut stream)).await.unwrap().len, 0);
            assert!(buffer.bytes.capacity() <= buffer.allowed());
        }
    }

    #[tokio::test]
    async fn a_few_bytes_take_little_memory_and_nothing_of_the_budget() {
        let budget = Budget::new(1 << 30);
        let mut buffer = ReadBuffer::new(Delimiter::Nul, 2 << 20, &budget);
        for _ in 0..100 {
            read(&mut buffer, b"x").await;
        }
        assert!(buffer.bytes.capacity() < 256, "{}", buffer.bytes.capacity());
        read(&mut buffer, &[b'x'; OWN_BYTES - 100]).await;
        assert_eq!((buffer.bytes.len(), buffer.bytes.capacity(), budget.used()), (OWN_BYTES, OWN_BYTES, 0));
    }

    #[tokio::test]
    async fn a_long_frame_takes_as_much_of_the_budget_as_it_may_have_and_gives_it_back() {
        let budget = Budget::new(1 << 30);
        let mut buffer = ReadBuffer::new(Delimiter::Nul, 1_000_000, &budget);
        read(&mut buffer, &vec![b'x'; 1_000_000]).await;
        assert_eq!((buffer.bytes.capacity(), budget.used()), (1_000_001, 1_000_001 - OWN_BYTES));
        read(&mut buffer, b"\0").await;
        let frame = buffer.bytes().split_to(1_000_000);
        drop(frame);
        buffer.release();
        assert_eq!((&buffer.bytes[..], budget.used()), (&b"\0"[..], 0));
        // Nothing is left of the memory of the frame.
        assert!(!buffer.bytes.try_reclaim(100));
    }

    #[tokio::test]
    async fn a_read_reports_delimiters() {
        let mut buffer = ReadBuffer::new(Delimiter::Nul, 100, &Budget::new(0));
        for (stream, delimiter, ends_with_delimiter) in
            [(&b"a"[..], false, false), (b"a\0a", true, false), (b"a\0", true, true), (b"", false, false)]
        {
            let added = poll_fn(|context| buffer.poll_read_from(context, &mut &stream[..])).await.unwrap();
            assert_eq!(added, Added { len: stream.len(), delimiter, ends_with_delimiter });
        }
    }
}
