//! Counters of a receiver over TCP.

use super::reader::FrameCounters;
use crate::receive::server::ConnectionCounts;

/// Counters of a [`TcpReceiver`](crate::TcpReceiver).
///
/// The counters add up at any time:
///
/// * `connections` = `open_connections` + `ended_connections` + `broken_connections` + `closed_connections` +
///   `over_limit_connections` + `failed_handshakes` + `failed_proxy_headers` + `silent_connections` +
///   `idle_connections` + `slow_connections` + `evicted_connections`
/// * items that [`recv`](crate::TcpReceiver::recv) has returned = `frames` + `too_long_frames` -
///   `waiting_frames`
///
/// Each frame that the receiver has begun to read is counted in `frames`, `too_long_frames`, `cut_frames` or
/// `empty_frames`, or is unfinished or waits for room in the queue on an open connection. White space at the
/// end of a connection, without a delimiter, is not counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[non_exhaustive]
pub struct TcpReceiverStats {
    /// Failures of the system to accept a connection, for example because all file descriptors are in use.
    pub accept_errors: u64,
    /// Accepted connections.
    pub connections: u64,
    /// Connections that are open now, including connections in the TLS handshake.
    pub open_connections: usize,
    /// Connections that their peers ended.
    pub ended_connections: u64,
    /// Connections that ended with an error, such as a reset. A reset discards data that the sender's system
    /// still holds, and no counter of the receiver includes the frames in that data. Check the sender of each
    /// broken connection for lost frames.
    pub broken_connections: u64,
    /// Connections closed by [`close`](crate::TcpReceiver::close).
    pub closed_connections: u64,
    /// Connections reset because their peer already had the permitted number of connections.
    pub over_limit_connections: u64,
    /// Connections closed because the TLS handshake failed or took too long.
    pub failed_handshakes: u64,
    /// Connections of [proxies](crate::options::TcpReceiverOptions::proxy_protocol_from) that were reset
    /// because they did not begin with a valid header of the PROXY protocol, or because the header took too
    /// long.
    pub failed_proxy_headers: u64,
    /// Connections reset because their first byte did not come in time.
    pub silent_connections: u64,
    /// Connections reset because nothing came for too long.
    pub idle_connections: u64,
    /// Connections reset because a frame took too long.
    pub slow_connections: u64,
    /// Connections reset because the memory of their unfinished frame was needed.
    pub evicted_connections: u64,
    /// Frames that `recv` has returned or will return.
    pub frames: u64,
    /// Frames that were skipped because they were too long. `recv` returns an error for each of them.
    pub too_long_frames: u64,
    /// Frames and errors that wait for `recv`.
    pub waiting_frames: u64,
    /// Frames lost because their connection broke or was closed before they were complete, or before the
    /// queue had room for them.
    pub cut_frames: u64,
    /// Frames that were skipped because they were empty or had only white space.
    pub empty_frames: u64,
}

impl TcpReceiverStats {
    pub(super) fn new(connections: ConnectionCounts, frames: &FrameCounters, handed_out: u64) -> Self {
        let whole = frames.whole.get();
        let too_long = frames.too_long.get();
        Self {
            accept_errors: connections.accept_errors,
            connections: connections.accepted,
            open_connections: connections.open,
            ended_connections: connections.ended,
            broken_connections: connections.broken,
            closed_connections: connections.closed,
            over_limit_connections: connections.over_peer_limit,
            failed_handshakes: connections.failed_handshakes,
            failed_proxy_headers: connections.failed_proxy_headers,
            silent_connections: connections.silent,
            idle_connections: connections.idle,
            slow_connections: connections.slow,
            evicted_connections: connections.evicted,
            frames: whole,
            too_long_frames: too_long,
            waiting_frames: (whole + too_long).saturating_sub(handed_out),
            cut_frames: frames.cut.get(),
            empty_frames: frames.empty.get(),
        }
    }
}
