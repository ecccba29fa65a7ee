//! The counters of a `UdpSender`.

/// Counters of a [`UdpSender`](crate::UdpSender).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[non_exhaustive]
pub struct UdpSenderStats {
    /// Messages of which the operating system has taken all datagrams.
    pub messages: u64,
    /// Messages that failed because they were too large, or because the operating system did not take a
    /// datagram. A message is not counted if its future was dropped before it completed.
    pub failed: u64,
    /// Messages that were cut to fit into 128 chunks and were then sent, as configured by
    /// [`UdpOptions::overflow`](crate::options::UdpOptions::overflow).
    pub truncated: u64,
    /// Datagrams that the operating system has taken, including datagrams of messages that failed later.
    pub datagrams: u64,
    /// Bytes of the datagrams that the operating system has taken, including chunk headers but not UDP and IP
    /// headers.
    pub bytes: u64,
    /// Datagrams that were sent together with other datagrams by one system call.
    pub segmented: u64,
    /// Addresses to which several datagrams cannot be sent by one system call. An address is counted again if
    /// messages return to it after a change of the address.
    pub fallbacks: u64,
    /// Datagrams for which the destination's host reported a refusal. These datagrams are lost. Such a
    /// datagram belongs to the message that was being sent when the counter was incremented, or to an earlier
    /// message.
    pub refused: u64,
    /// Changes of the destination's address or of the local address.
    pub reroutes: u64,
}
