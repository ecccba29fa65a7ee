//! Receives messages as frames, from many connections at the same time.

mod budget;
mod deadlines;
mod options;
mod read_buffer;
mod reader;
mod stats;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::ToSocketAddrs;

use super::server::{Handshake, Proxies, Server, ServerOptions};
use super::{ReceiveError, Received};
#[cfg(feature = "tls")]
use crate::tls::ReceiverTls;

use budget::Budget;
use deadlines::TimeLimits;
pub use options::TcpReceiverOptions;
use reader::{FrameCounters, FrameProtocol};
pub use stats::TcpReceiverStats;

/// Receives messages from many TCP connections at the same time, in order for each connection.
///
/// Tasks of the current tokio runtime accept and read connections, up to the limits of
/// [`TcpReceiverOptions`], even while no [`recv`](Self::recv) waits. Dropping the receiver closes all
/// connections immediately and loses the messages that are not returned yet; [`close`](Self::close) lets
/// `recv` return them first.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use gelf_tokio::gelf_core::{Decoder, Message};
/// use gelf_tokio::{TcpReceiver, TcpSender};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut receiver = TcpReceiver::bind("127.0.0.1:0").await?;
///
/// let endpoint = format!("gelf+tcp://{}", receiver.local_addr()?).parse()?;
/// let mut sender = TcpSender::connect(&endpoint).await?;
/// sender.send(&Message::new("web-1", "payment refused")).await?;
///
/// let mut decoder = Decoder::lenient();
/// if let Some(received) = receiver.recv().await {
///     let received = received?;
///     let decoded = received.decode(&mut decoder)?;
///     assert_eq!(decoded.message.short_message(), "payment refused");
/// }
///
/// receiver.close(Duration::from_secs(5));
/// assert!(receiver.recv().await.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpReceiver {
    server: Server,
    protocol: Arc<FrameProtocol>,
}

impl TcpReceiver {
    /// Listens at an address with the default options. Port 0 means any free port.
    ///
    /// # Errors
    /// Returns errors of the operating system, such as an address in use.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the socket is closed.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with_options(address, TcpReceiverOptions::default()).await
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// Returns errors of the operating system, such as an address in use.
    ///
    /// # Cancel safety
    /// The same as for [`bind`](Self::bind).
    pub async fn bind_with_options(
        address: impl ToSocketAddrs,
        options: TcpReceiverOptions,
    ) -> io::Result<Self> {
        Self::serve(address, options, None).await
    }

    /// Listens at an address, only for connections with TLS. A failed handshake closes its connection and is
    /// [counted](TcpReceiverStats::failed_handshakes).
    ///
    /// # Errors
    /// Returns errors of the operating system, such as an address in use.
    ///
    /// # Cancel safety
    /// The same as for [`bind`](Self::bind).
    #[cfg(feature = "tls")]
    pub async fn bind_tls(
        address: impl ToSocketAddrs,
        options: TcpReceiverOptions,
        tls: ReceiverTls,
    ) -> io::Result<Self> {
        let handshake = Handshake { tls, alpn: None, timeout: options.handshake_timeout };
        Self::serve(address, options, Some(handshake)).await
    }

    /// Waits for the next payload. After a call of [`close`](Self::close), returns `None` when all connections have
    /// ended and all payloads are returned.
    ///
    /// # Errors
    /// Returns an error for a frame that is too long. The next call continues after the frame.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no message is lost.
    pub async fn recv(&mut self) -> Option<Result<Received, ReceiveError>> {
        self.server.recv().await
    }

    /// Begins to close. Call [`recv`](Self::recv) until it returns `None`: the port and all connections are then
    /// closed. Later calls of `close` change nothing.
    ///
    /// The receiver still accepts the connections that wait in the kernel, and no later connections. It ends
    /// its side of each connection and thereby notifies the sender. The receiver reads on until the sender
    /// ends the connection or has been silent for 100 ms. The reading takes at most half of the time
    /// `within`, and at most 1 s. If the sender has not ended the connection by then, the connection is reset,
    /// and the reset notifies the sender too. `recv` returns all whole frames that were read, with one
    /// exception: frames that find no room in the queue within the time `within`, because `recv` is not called
    /// often enough, are lost and [counted](TcpReceiverStats::cut_frames). Frames that the kernel holds
    /// meanwhile are then lost too, and are not counted.
    ///
    /// On Linux, as long as the queue has room, each whole frame that the kernel has acknowledged to its sender
    /// is read: before the last read of a connection, the receiver tells the kernel to take and acknowledge
    /// nothing more. On other systems, a frame that arrives between the last read and the end of its connection
    /// may be acknowledged and lost.
    pub fn close(&mut self, within: Duration) {
        self.server.close(within);
    }

    /// Returns the counters.
    pub fn stats(&self) -> TcpReceiverStats {
        TcpReceiverStats::new(self.server.connections(), &self.protocol.frames, self.server.handed_out())
    }

    /// Returns the local address.
    ///
    /// # Errors
    /// Returns no error at present.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.server.local_addr())
    }

    async fn serve(
        address: impl ToSocketAddrs,
        options: TcpReceiverOptions,
        handshake: Option<Handshake>,
    ) -> io::Result<Self> {
        let protocol = Arc::new(FrameProtocol {
            budget: Budget::new(options.max_buffered_bytes.max(options.max_frame_len.saturating_add(1))),
            delimiter: options.delimiter,
            max_frame_len: options.max_frame_len,
            time_limits: TimeLimits {
                first_byte: options.first_byte_timeout,
                idle: options.idle_timeout,
                frame: options.frame_timeout,
            },
            frames: FrameCounters::default(),
        });
        let limits = ServerOptions {
            max_connections: options.max_connections,
            max_connections_per_peer: options.max_connections_per_peer,
            max_queued_items: options.max_queued_frames,
            max_queued_bytes: options.max_queued_bytes,
            proxies: Proxies { networks: options.proxy_protocol_from, timeout: options.handshake_timeout },
        };
        let server = Server::bind(address, limits, Arc::clone(&protocol), handshake).await?;
        Ok(Self { server, protocol })
    }
}
