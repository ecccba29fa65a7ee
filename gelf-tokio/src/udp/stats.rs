//! The counters of a `UdpSender`.

/// A message that the operating system has taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sent {
    /// The number of datagrams: 1, or the number of chunks.
    pub datagrams: usize,
    /// The number of bytes in all datagrams: headers of chunks included, those of UDP and IP not.
    pub bytes: usize,
    /// The number of earlier datagrams, of this message or the previous one, that the destination's host was
    /// heard to refuse meanwhile. They are lost, and this message may be.
    pub refused: usize,
    /// Whether the message was cut to fit into 128 chunks, by
    /// [`UdpOptions::overflow`](crate::options::UdpOptions::overflow).
    pub is_truncated: bool,
}

/// Counters of a [`UdpSender`](crate::UdpSender).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[non_exhaustive]
pub struct UdpSenderStats {
    /// Messages of which the operating system has taken all datagrams.
    pub messages: u64,
    /// Messages that failed: too large, or a datagram was not taken. A message whose future was dropped
    /// before it was ready is not counted.
    pub failed: u64,
    /// Messages that were cut to fit into 128 chunks.
    pub truncated: u64,
    /// Datagrams that the operating system has taken, those of messages that failed later included.
    pub datagrams: u64,
    /// Bytes of these datagrams, headers of chunks included, those of UDP and IP not.
    pub bytes: u64,
    /// Datagrams that left together with others, by one system call.
    pub segmented: u64,
    /// Times that datagrams were found unable to leave together: once for an address.
    pub fallbacks: u64,
    /// Datagrams that the destination's host was heard to refuse.
    pub refused: u64,
    /// Times that messages went on to another address, or from another one.
    pub reroutes: u64,
}

impl Sent {
    /// Returns what was taken between two moments.
    pub(super) fn between(before: &UdpSenderStats, after: &UdpSenderStats) -> Self {
        let difference = |before, after: u64| usize::try_from(after - before).unwrap_or(usize::MAX);
        Self {
            datagrams: difference(before.datagrams, after.datagrams),
            bytes: difference(before.bytes, after.bytes),
            refused: difference(before.refused, after.refused),
            is_truncated: false,
        }
    }
}
