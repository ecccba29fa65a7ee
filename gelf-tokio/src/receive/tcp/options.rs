//! The limits of a receiver over TCP.

use std::time::Duration;

use gelf_core::{Delimiter, Framer};

use crate::receive::IpNetwork;

/// Limits of a [`TcpReceiver`](crate::TcpReceiver). The text of each field states the default. If a limit
/// stops an abuse, its text names the abuse.
///
/// A connection that the receiver ends because of a limit is reset, so that the next write of its sender
/// fails. After an ordinary end of the stream, the next write would succeed, and its messages would be lost
/// unnoticed. The TLS handshake is an exception: before its end, a sender has sent no message, and the
/// connection is only closed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TcpReceiverOptions {
    /// The delimiter of frames. The default is [`Delimiter::Nul`], as GELF specifies. [`Delimiter::Newline`]
    /// reads one message in each line, as Graylog's raw inputs do with `use_null_delimiter=false`: lines end
    /// with a line feed, or a carriage return and a line feed. With either delimiter, the end of the
    /// connection also ends the last frame.
    pub delimiter: Delimiter,
    /// The limit of open connections, at least 1. The default is 1,024. The receiver accepts no further
    /// connections until an open connection ends.
    pub max_connections: usize,
    /// The limit of open connections of one peer, at least 1. The default is 64. Further connections are
    /// reset immediately. A peer is an IPv4 address or an IPv6 network of 64 bits. All hosts behind an
    /// address translation count as one peer, and so do all hosts behind a proxy without the [PROXY
    /// protocol](Self::proxy_protocol_from). The limit stops a single host from taking all connections.
    pub max_connections_per_peer: usize,
    /// The limit of a frame in bytes. The default is 2 MiB, the same as Graylog's `max_message_size`. The
    /// limit stops a stream without a delimiter.
    pub max_frame_len: usize,
    /// The limit of the bytes of frames that all connections hold together, in addition to 64 KiB for each
    /// connection. The frames are unfinished, or are complete and do not fit into the queue yet. The default
    /// is 256 MiB. A limit that is too small for a frame of [`max_frame_len`](Self::max_frame_len) bytes is
    /// raised to that length. When these bytes are used up, connections with unfinished frames are closed
    /// until enough bytes are free. The connections whose unfinished frames have held such bytes for the
    /// longest time are closed first. The limit stops long frames that begin on many connections and never
    /// end. It does not affect frames that arrive fast, unless newer or complete frames use up all bytes.
    pub max_buffered_bytes: usize,
    /// The limit of frames that wait to be received, at least 1. The default is 1,024. While there is no
    /// room, connections are not read, so that senders wait.
    pub max_queued_frames: usize,
    /// The limit of the bytes of the frames that wait to be received. The default is 16 MiB. A single frame
    /// may be larger.
    pub max_queued_bytes: usize,
    /// The proxies whose connections begin with a header of the [PROXY protocol], version 1 or 2. By default,
    /// there are none. The receiver takes the address of the client from the header, applies
    /// [`max_connections_per_peer`](Self::max_connections_per_peer) to it, and returns it as the
    /// [sender](crate::Received::from). If the header names no address (`LOCAL`, `UNKNOWN`), the proxy is the
    /// sender. A connection of these proxies without a valid header of at most 4 KiB is
    /// [reset](crate::stats::TcpReceiverStats::failed_proxy_headers). List no network whose hosts can connect
    /// without the proxy, since each of these hosts could claim any address.
    ///
    /// [PROXY protocol]: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
    pub proxy_protocol_from: Vec<IpNetwork>,
    /// The time limit of a TLS handshake, and of the header of a [proxy](Self::proxy_protocol_from). The
    /// default is 10 s. The limit stops connections that are never used.
    pub handshake_timeout: Duration,
    /// The time limit of the first byte of a connection, after its TLS handshake if there is one. By default,
    /// there is no limit, because senders connect when they start, and their first message can come hours
    /// later. A limit stops connections that are never used.
    pub first_byte_timeout: Option<Duration>,
    /// The time limit from one byte of a connection to the next. By default, there is no limit, because an
    /// idle host is no fault, and keepalive detects a vanished peer within two and a half minutes. A limit
    /// stops connections that are used once and kept.
    pub idle_timeout: Option<Duration>,
    /// The time limit of a frame from its first byte to its end. The default is 30 s. White space of up to 16
    /// bytes does not begin a frame. The limit is paused while the receiver does not read the connection
    /// because the queue or the memory is full. The limit stops frames that come byte by byte.
    pub frame_timeout: Duration,
}

impl Default for TcpReceiverOptions {
    fn default() -> Self {
        Self {
            delimiter: Delimiter::Nul,
            max_connections: 1024,
            max_connections_per_peer: 64,
            max_frame_len: Framer::DEFAULT_MAX_FRAME_LEN,
            max_buffered_bytes: 256 * 1024 * 1024,
            max_queued_frames: 1024,
            max_queued_bytes: 16 * 1024 * 1024,
            proxy_protocol_from: Vec::new(),
            handshake_timeout: Duration::from_secs(10),
            first_byte_timeout: None,
            idle_timeout: None,
            frame_timeout: Duration::from_secs(30),
        }
    }
}
