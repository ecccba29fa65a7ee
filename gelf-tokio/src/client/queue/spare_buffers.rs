//! Keeps the buffers of settled messages for further messages.

use std::mem::take;

use bytes::BytesMut;

/// The maximum number of buffers.
pub(super) const MAX_BUFFERS: usize = 64;
/// The maximum capacity of a buffer in bytes, which is enough for a typical message. All buffers together
/// take at most 128 KiB.
pub(super) const MAX_CAPACITY: usize = 2048;

/// The empty buffers of settled messages.
#[derive(Debug, Default)]
pub(super) struct SpareBuffers(Vec<BytesMut>);

impl SpareBuffers {
    /// Takes a buffer, if there is one and few messages wait. While many messages wait, each message
    /// gets a new buffer, since a spare buffer can be longer than its message.
    pub(super) fn take(&mut self, waiting: usize) -> Option<BytesMut> {
        if waiting < MAX_BUFFERS { self.0.pop() } else { None }
    }

    /// Keeps the buffer of a settled message, unless the buffer is large or enough buffers are kept.
    pub(super) fn put(&mut self, payload: &mut BytesMut) {
        if payload.capacity() <= MAX_CAPACITY && self.0.len() < MAX_BUFFERS {
            let mut buffer = take(payload);
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
