//! The limits of a [`Reassembler`](super::Reassembler).

use std::time::Duration;

/// The limits of a [`Reassembler`](super::Reassembler).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReassemblyLimits {
    /// The maximum time between the first chunk of a message and its completion. The default is 5 s.
    pub timeout: Duration,
    /// The maximum number of pending messages. The default is 8,192. This number also bounds the memory for a
    /// flood of chunks that never complete a message. A flood of first chunks does not displace a legitimate
    /// message whose second chunk arrives before the flood has begun `max_entries / 2` messages. This holds
    /// while messages that have received several chunks fill less than half of the table.
    pub max_entries: usize,
    /// The maximum number of pending messages of one source. The default is 512. With this limit, one sender
    /// cannot crowd out the others. If a flood of first chunks forges the address of a legitimate sender, the
    /// messages of this sender are protected as [`max_entries`](Self::max_entries) describes, until the flood
    /// has begun `max_entries_per_source / 2` messages.
    pub max_entries_per_source: usize,
    /// The maximum memory in bytes, including bookkeeping and memory kept for reuse. The default is 64 MiB. A
    /// message of 128 chunks of 64 KiB each has 8 MiB. The message that was returned last can exceed the
    /// limit until the next call.
    pub max_bytes: usize,
    /// `true` if a message is dropped when one of its chunks arrives twice with different payloads. The
    /// default is `false`: the first payload is kept, as in Graylog. The sender of the message sent only one
    /// of the two payloads, and a receiver cannot tell which one.
    pub discard_conflicts: bool,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            max_entries: 8192,
            max_entries_per_source: 512,
            max_bytes: 64 * 1024 * 1024,
            discard_conflicts: false,
        }
    }
}
