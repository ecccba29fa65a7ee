//! Sends messages as datagrams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use gelf_core::{DatagramWriter, Datagrams, Message};
use socket2::SockRef;
use tokio::net::UdpSocket;

use crate::endpoint::{Endpoint, Transport, UdpOptions};
use crate::resolve::{Resolve, SystemResolver, addresses};
use crate::send::SendError;

/// What the kernel is asked to hold of what is not on the wire yet: 128 chunks of 8 KiB.
const SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// Sends messages to one destination, as datagrams.
///
/// Buffers and compression state are used again for each message, so one that is no larger than those before it
/// allocates nothing. All chunks of a message leave back to back from the same port, by which receivers tell senders
/// apart.
///
/// When nobody listens at the destination, its host may say so, and the kernel reports it in place of sending the
/// *next* datagram. That one is then sent again, and the report is in [`Sent::refused`].
#[derive(Debug)]
pub struct UdpSender {
    writer: DatagramWriter,
    wire: Wire,
}

/// What datagrams go through.
#[derive(Debug)]
struct Wire {
    socket: UdpSocket,
    /// A chunk behind its header: copying it there is faster than a system call that gathers the two.
    chunk: Vec<u8>,
}

/// A message that the operating system has taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sent {
    /// How many datagrams it took: 1, or the number of chunks.
    pub datagrams: usize,
    /// How many bytes they have together, headers of chunks included, those of UDP and IP not.
    pub bytes: usize,
    /// How many earlier datagrams, of this message or the one before, the destination's host was heard to refuse
    /// meanwhile. They are lost, and this message may be.
    pub refused: usize,
}

impl UdpSender {
    /// Looks the host up, and takes the first of its addresses that there is a route to. Nothing is sent.
    ///
    /// # Errors
    /// `InvalidInput` for an endpoint that is not UDP; else why the last address failed.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        Self::connect_with(endpoint, Arc::new(SystemResolver)).await
    }

    /// As [`connect`](Self::connect), with names looked up by `resolver`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(endpoint: &Endpoint, resolver: Arc<dyn Resolve>) -> io::Result<Self> {
        let Transport::Udp(options) = endpoint.transport() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the endpoint is not UDP"));
        };
        let mut result = Err(io::ErrorKind::NotFound.into());
        for address in addresses(&*resolver, endpoint.host(), endpoint.port()).await? {
            result = connect_to(address).await;
            if result.is_ok() {
                break;
            }
        }
        let socket = result?;
        if let Err(error) = SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES) {
            // A smaller buffer only makes a sender wait more often.
            tracing::debug!(%error, "the UDP send buffer keeps its size");
        }
        let UdpOptions { compression, datagram_size, .. } = *options;
        let wire = Wire { socket, chunk: Vec::with_capacity(datagram_size.as_usize()) };
        Ok(Self { writer: DatagramWriter::new(compression, datagram_size), wire })
    }

    /// Sends a message.
    ///
    /// If the future is dropped before it is ready, some chunks may be sent, and the receiver drops the message.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] when it does not fit into 128 chunks, and [`SendError::Io`] when a datagram was not
    /// taken: then the rest of the message is not sent either. The sender is as good as before.
    pub async fn send(&mut self, message: &Message<'_>) -> Result<Sent, SendError> {
        let written = self.writer.write(message)?;
        self.wire.send(written.datagrams).await
    }

    /// Sends a payload that is ready: JSON text, not compressed and not chunked yet.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_payload(&mut self, payload: &[u8]) -> Result<Sent, SendError> {
        self.wire.send(self.writer.write_payload(payload)?).await
    }

    /// Where the datagrams come from.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.wire.socket.local_addr()
    }

    /// Where they go: the address that the host had when it was looked up.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.wire.socket.peer_addr()
    }
}

impl Wire {
    async fn send(&mut self, datagrams: Datagrams<'_>) -> Result<Sent, SendError> {
        let Self { socket, chunk } = self;
        let mut sent = Sent::default();
        for datagram in datagrams {
            let bytes = if datagram.header().is_none() {
                datagram.payload()
            } else {
                chunk.clear();
                datagram.write_to(chunk);
                chunk.as_slice()
            };
            sent.refused += usize::from(send_datagram(socket, bytes).await?);
            sent.datagrams += 1;
            sent.bytes += bytes.len();
        }
        Ok(sent)
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// Sends one datagram; whether an earlier one was refused.
async fn send_datagram(socket: &UdpSocket, bytes: &[u8]) -> io::Result<bool> {
    match socket.send(bytes).await {
        // The error belongs to an earlier datagram, and is cleared by having been reported; this one was not sent.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            socket.send(bytes).await.map(|_| true)
        }
        result => result.map(|_| false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_no_larger_than_the_first_needs_no_new_memory() {
        let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("gelf://{}?datagram_size=100", sink.local_addr().unwrap());
        let mut sender = UdpSender::connect(&uri.parse().unwrap()).await.unwrap();
        let text = "0123456789".repeat(1000);
        sender.send(&Message::new("h", text.as_str())).await.unwrap();
        let before = sender.wire.chunk.as_ptr();
        for len in (0..text.len()).step_by(97) {
            sender.send(&Message::new("h", &text[..len])).await.unwrap();
        }
        assert_eq!(sender.wire.chunk.as_ptr(), before);
    }

    #[tokio::test]
    async fn the_send_buffer_holds_more_than_by_default() {
        let endpoint = "gelf://127.0.0.1:9".parse().unwrap();
        let sender = UdpSender::connect(&endpoint).await.unwrap();
        let plain = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let granted = |socket: &UdpSocket| SockRef::from(socket).send_buffer_size().unwrap();
        assert!(granted(&sender.wire.socket) >= granted(&plain));
    }
}
