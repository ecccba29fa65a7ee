//! Receivers, payloads and errors.

mod counter;
mod datagrams;
mod delivery;
#[cfg(feature = "http")]
mod http;
mod ip_network;
mod kernel;
mod server;
mod tcp;
mod udp;

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use gelf_core::{DatagramError, DecodeError, Decoded, Decoder, FrameError};

#[cfg(feature = "fuzzing")]
pub use http::fuzzing;
#[cfg(feature = "http")]
pub use http::{HttpDropCounts, HttpReceiver, HttpReceiverOptions, HttpReceiverStats, HttpRejectionCounts};
pub use ip_network::{InvalidIpNetwork, IpNetwork};
pub use tcp::{TcpReceiver, TcpReceiverOptions, TcpReceiverStats};
pub use udp::{UdpReceiver, UdpReceiverOptions, UdpReceiverStats};

/// A payload, and the address of its sender. `Debug` prints the payload's length and not its text.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Received {
    /// The payload, reassembled and inflated, without a delimiter. The payload should be JSON text;
    /// [`decode`](Self::decode) checks this. The payload shares no memory with other payloads.
    pub payload: Bytes,
    /// The address of the sender. If the payload came through a proxy that the receiver's options trust, this
    /// is the address that the proxy states.
    pub from: SocketAddr,
}

impl Received {
    /// Decodes the payload. A decoder can be used for one payload after another.
    ///
    /// # Errors
    /// Returns an error if the payload is not a GELF message by the rules of the decoder.
    pub fn decode(&self, decoder: &mut Decoder) -> Result<Decoded<'_>, DecodeError> {
        decoder.decode(&self.payload)
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("len", &self.payload.len()).field("from", &self.from).finish()
    }
}

/// Input that is not a payload. Only this input is lost: the next call of `recv` continues after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReceiveError {
    /// A datagram is invalid, or completes an invalid message.
    Datagram {
        /// The address of the sender.
        from: SocketAddr,
        /// The fault of the datagram.
        error: DatagramError,
    },
    /// A frame is too long. It is skipped, and the connection stays open.
    Frame {
        /// The address of the sender.
        from: SocketAddr,
        /// The error, which contains the limit that the frame exceeds.
        error: FrameError,
    },
    /// A message in an HTTP request is too long, and the receiver accepts several messages in a request. This message
    /// is skipped, and the other messages of the request are received.
    ValueTooLong {
        /// The address of the sender.
        from: SocketAddr,
        /// The maximum length in bytes.
        max: usize,
    },
}

impl ReceiveError {
    /// Returns the address of the sender.
    pub fn sender(&self) -> SocketAddr {
        match self {
            Self::Datagram { from, .. } | Self::Frame { from, .. } | Self::ValueTooLong { from, .. } => *from,
        }
    }
}

/// Shows the inner error as part of the text. The inner error is therefore not the `source` of this error.
impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datagram { from, error } => write!(f, "from {from}: {error}"),
            Self::Frame { from, error } => write!(f, "from {from}: {error}"),
            Self::ValueTooLong { from, max } => write!(f, "from {from}: a message of more than {max} bytes"),
        }
    }
}

impl std::error::Error for ReceiveError {}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711);

    #[test]
    fn an_error_names_the_sender_and_the_fault_once() {
        let error = ReceiveError::Datagram { from: FROM, error: DatagramError::Empty };
        assert_eq!(error.to_string(), "from 127.0.0.1:4711: an empty datagram");
        assert!(std::error::Error::source(&error).is_none());
        assert_eq!(error.sender(), FROM);
    }

    #[test]
    fn debug_does_not_print_the_payload() {
        let received = Received { payload: Bytes::from_static(b"secret"), from: FROM };
        assert_eq!(format!("{received:?}"), "Received { len: 6, from: 127.0.0.1:4711 }");
    }
}
