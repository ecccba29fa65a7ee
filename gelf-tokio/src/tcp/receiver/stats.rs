//! What a receiver has done.

use super::connection::End;

/// What a [`TcpReceiver`](crate::TcpReceiver) has done so far.
///
/// The account adds up at any time:
///
/// * `connections` = `open_connections` + `ended_connections` + `broken_connections` + `refused_connections` +
///   `failed_handshakes` + `silent_connections` + `idle_connections` + `slow_connections` + `evicted_connections`
/// * what [`recv`](crate::TcpReceiver::recv) has given = `frames` + `too_long_frames` - `waiting_frames`
///
/// Of the frames that senders began, each is in `frames`, `too_long_frames`, `cut_frames` or `empty_frames`, or is
/// unfinished on an open connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TcpReceiverStats {
    /// Times that the system could not give a connection, as when all file descriptors are in use.
    pub accept_errors: u64,
    /// Connections that the system gave.
    pub connections: u64,
    /// Connections that are open now, those that shake hands included.
    pub open_connections: usize,
    /// Connections that their peers ended.
    pub ended_connections: u64,
    /// Connections that ended with an error, such as a reset.
    pub broken_connections: u64,
    /// Connections closed at once, for their peer had as many as it may have.
    pub refused_connections: u64,
    /// Connections closed because the TLS handshake failed or took too long.
    pub failed_handshakes: u64,
    /// Connections closed because their first byte did not come in time.
    pub silent_connections: u64,
    /// Connections closed because nothing came for too long.
    pub idle_connections: u64,
    /// Connections closed because a frame took too long.
    pub slow_connections: u64,
    /// Connections closed because the memory of their unfinished frame was needed.
    pub evicted_connections: u64,
    /// Frames read and handed out, or waiting to be.
    pub frames: u64,
    /// Frames that were too long, and skipped. Each is handed out as an error.
    pub too_long_frames: u64,
    /// Frames and errors that wait to be handed out.
    pub waiting_frames: u64,
    /// Frames lost because their connection broke, or was closed, in the middle of them.
    pub cut_frames: u64,
    /// Frames of nothing but white space, which are left out.
    pub empty_frames: u64,
}

impl TcpReceiverStats {
    /// Counts a connection that is over.
    pub(super) fn count(&mut self, end: End) {
        *match end {
            End::Ended => &mut self.ended_connections,
            End::Broken => &mut self.broken_connections,
            #[cfg(feature = "tls")]
            End::FailedHandshake => &mut self.failed_handshakes,
            End::Silent => &mut self.silent_connections,
            End::Idle => &mut self.idle_connections,
            End::Slow => &mut self.slow_connections,
            End::Evicted => &mut self.evicted_connections,
        } += 1;
    }
}
