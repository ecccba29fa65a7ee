//! The list of refused messages. As long as a message is in this list, further invalid chunks of the message are
//! counted and cause no error, except chunks with a `CountMismatch`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::wire::chunk::{ChunkHeader, MessageId};

/// The maximum number of refused messages that are remembered. If more messages are refused at a time, the
/// oldest message is forgotten, and the next invalid chunk of that message causes an error again.
const MAX_MESSAGES: usize = 64;

/// The messages of which a chunk has been refused, the oldest first.
#[derive(Debug)]
pub(super) struct RefusedMessages<S> {
    timeout: Duration,
    messages: VecDeque<(MessageId, S, Instant)>,
}

impl<S: Eq> RefusedMessages<S> {
    /// Creates an empty list, which forgets each message after the timeout.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, messages: VecDeque::new() }
    }

    /// Returns whether the list has the message of this chunk. If not, adds the message.
    #[cold]
    pub(super) fn is_known(&mut self, now: Instant, source: S, datagram: &[u8]) -> bool {
        // A datagram without the whole header has no id.
        let Some([_, _, id @ .., _, _]) = datagram.first_chunk::<{ ChunkHeader::LEN }>() else {
            return false;
        };
        let id = MessageId(*id);
        while self.messages.front().is_some_and(|oldest| now.duration_since(oldest.2) > self.timeout) {
            self.messages.pop_front();
        }
        if self.messages.iter().any(|known| known.0 == id && known.1 == source) {
            return true;
        }
        if self.messages.len() == MAX_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back((id, source, now));
        false
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }
}
