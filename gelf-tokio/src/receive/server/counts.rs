//! Counts the connections of a server.

/// The end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// The connection failed, for example by a reset, or it ended in the middle of the head of a request.
    Broken,
    /// The server was [closed](super::Server::close).
    Closed,
    /// The peer ended the connection, or the server ended it after the last answer.
    Ended,
    /// The memory for the frames of all connections was used up, and the connection's unfinished frame had to go.
    Evicted,
    /// The TLS handshake failed or took too long.
    #[cfg(feature = "tls")]
    FailedHandshake,
    /// No valid header of the PROXY protocol came in time.
    FailedProxyHeader,
    /// Nothing came, or no answer was read, for too long.
    Idle,
    /// The client behind a proxy had the permitted number of connections already.
    OverPeerLimit,
    /// The first byte did not come in time.
    Silent,
    /// A frame, or the head of a request, took too long.
    Slow,
}

/// Connection counters. At any time, `accepted` is the sum of `open` and of the counters of ended
/// connections, including `over_peer_limit`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ConnectionCounts {
    /// Accepted connections.
    pub(crate) accepted: u64,
    /// Failures of the system to accept a connection.
    pub(crate) accept_errors: u64,
    pub(crate) broken: u64,
    pub(crate) closed: u64,
    pub(crate) ended: u64,
    pub(crate) evicted: u64,
    pub(crate) failed_handshakes: u64,
    pub(crate) failed_proxy_headers: u64,
    pub(crate) idle: u64,
    pub(crate) open: usize,
    /// Connections that were reset because their peer already had the permitted number of connections. The
    /// reset came immediately, or after the header of a proxy.
    pub(crate) over_peer_limit: u64,
    pub(crate) silent: u64,
    pub(crate) slow: u64,
}

impl ConnectionCounts {
    /// Counts the end of an open connection.
    pub(crate) fn end(&mut self, end: End) {
        self.open -= 1;
        *match end {
            End::Broken => &mut self.broken,
            End::Closed => &mut self.closed,
            End::Ended => &mut self.ended,
            End::Evicted => &mut self.evicted,
            #[cfg(feature = "tls")]
            End::FailedHandshake => &mut self.failed_handshakes,
            End::FailedProxyHeader => &mut self.failed_proxy_headers,
            End::Idle => &mut self.idle,
            End::OverPeerLimit => &mut self.over_peer_limit,
            End::Silent => &mut self.silent,
            End::Slow => &mut self.slow,
        } += 1;
    }
}
