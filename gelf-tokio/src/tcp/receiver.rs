//! Receives messages as frames, from many connections at once.

mod budget;
mod clock;
mod connection;
mod options;
mod read_buffer;
mod stats;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::net::ToSocketAddrs;

use crate::accept::{AcceptLimits, Accepted};
use crate::connections::{Connections, Event};
use crate::intake::intake;
use crate::receive::{ReceiveError, Received};
#[cfg(feature = "tls")]
use crate::tls::ReceiverTls;

use budget::Budget;
use clock::TimeLimits;
use connection::{End, FrameCounts, Shared, read_plain};
pub use options::TcpReceiverOptions;
pub use stats::TcpReceiverStats;

/// Receives messages from any number of connections: those of each in order, those of different ones as they come.
///
/// Connections are accepted while [`recv`](Self::recv) is waited for, and each is read by a task of its own. They end
/// when the receiver is dropped.
#[derive(Debug)]
pub struct TcpReceiver {
    connections: Connections<End>,
    #[cfg(feature = "tls")]
    tls: Option<ReceiverTls>,
    /// Counts of connections that are over; the rest is elsewhere.
    ended: TcpReceiverStats,
    shared: Arc<Shared>,
}

impl TcpReceiver {
    /// Listens at an address, with the default options; port 0 is any free one.
    ///
    /// # Errors
    /// Those of the operating system, such as an address in use.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with(address, TcpReceiverOptions::default()).await
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// Those of the operating system, such as an address in use.
    pub async fn bind_with(address: impl ToSocketAddrs, options: TcpReceiverOptions) -> io::Result<Self> {
        let limits = AcceptLimits {
            max_connections: options.max_connections,
            max_connections_per_peer: options.max_connections_per_peer,
        };
        let (intake, items) = intake(options.max_queued_frames, options.max_queued_bytes);
        let shared = Shared {
            intake,
            budget: Budget::new(options.max_buffered_bytes.max(options.max_frame_len.saturating_add(1))),
            max_frame_len: options.max_frame_len,
            time_limits: TimeLimits {
                first_byte: options.first_byte_timeout,
                idle: options.idle_timeout,
                frame: options.frame_timeout,
            },
            #[cfg(feature = "tls")]
            handshake_timeout: options.handshake_timeout,
            frames: FrameCounts::default(),
        };
        Ok(Self {
            connections: Connections::bind(address, limits, items).await?,
            #[cfg(feature = "tls")]
            tls: None,
            ended: TcpReceiverStats::default(),
            shared: Arc::new(shared),
        })
    }

    /// Listens at an address, for connections with TLS alone. A handshake that fails costs its connection and is
    /// [counted](TcpReceiverStats::failed_handshakes).
    ///
    /// # Errors
    /// Those of the operating system, such as an address in use.
    #[cfg(feature = "tls")]
    pub async fn bind_tls(
        address: impl ToSocketAddrs,
        options: TcpReceiverOptions,
        tls: ReceiverTls,
    ) -> io::Result<Self> {
        Ok(Self { tls: Some(tls), ..Self::bind_with(address, options).await? })
    }

    /// Waits for the next payload. No message is lost if the future is dropped before it is ready.
    ///
    /// # Errors
    /// A frame that is too long. The next call goes on behind it.
    pub async fn recv(&mut self) -> Result<Received, ReceiveError> {
        loop {
            match self.connections.next().await {
                Event::Item(item) => return item,
                Event::Over(end) => self.ended.count(end.unwrap_or(End::Broken)),
                Event::Accepted(accepted) => self.serve(accepted),
            }
        }
    }

    /// What it has done so far.
    pub fn stats(&self) -> TcpReceiverStats {
        let accept = self.connections.accepted();
        let frames = &self.shared.frames;
        let whole = frames.whole.load(Relaxed);
        let too_long = frames.too_long.load(Relaxed);
        TcpReceiverStats {
            accept_errors: accept.errors,
            connections: accept.connections,
            open_connections: self.connections.open(),
            refused_connections: accept.refused,
            frames: whole,
            too_long_frames: too_long,
            waiting_frames: (whole + too_long).saturating_sub(self.connections.handed_out()),
            cut_frames: frames.cut.load(Relaxed),
            empty_frames: frames.empty.load(Relaxed),
            ..self.ended
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.connections.local_addr()
    }

    fn serve(&mut self, Accepted { stream, from, place }: Accepted) {
        let shared = Arc::clone(&self.shared);
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.clone() {
            return self.connections.serve(place, connection::read_tls(stream, from, shared, tls));
        }
        self.connections.serve(place, read_plain(stream, from, shared));
    }
}
