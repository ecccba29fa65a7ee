//! Reads datagrams from a socket in batches.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::UdpSocket;

use crate::sys;

/// The size of the buffer of a datagram. No datagram is cut, since the buffer is larger than any UDP datagram.
/// The size is not a power of two: the starts of buffers at multiples of 64 KiB would compete for the same few
/// lines of the processor's caches.
const DATAGRAM_BYTES: usize = 65_536 + 1_088;

/// Datagrams that are read and not taken yet.
///
/// The buffers take about 1 MiB on Linux. The system provides this memory only as far as datagrams have been written
/// to it.
#[derive(Debug)]
pub(super) struct Datagrams {
    buffers: Box<[u8]>,
    /// The sender and the length of each datagram.
    received: Vec<(SocketAddr, usize)>,
    /// The number of datagrams that are taken.
    taken: usize,
    received_at: Instant,
}

impl Datagrams {
    pub(super) fn new() -> Self {
        Self {
            buffers: vec![0; sys::RECEIVE_BATCH * DATAGRAM_BYTES].into(),
            received: Vec::with_capacity(sys::RECEIVE_BATCH),
            taken: 0,
            received_at: Instant::now(),
        }
    }

    /// Reads as many datagrams as the system has and the buffers hold. All earlier datagrams must be taken.
    ///
    /// # Errors
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the system has no datagram, and the errors of the
    /// socket.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.received.clear();
        self.taken = 0;
        sys::receive_datagrams(socket, &mut self.buffers, DATAGRAM_BYTES, &mut self.received)?;
        self.received_at = Instant::now();
        Ok(())
    }

    /// Takes the next datagram. Returns the time at which it was read, its sender and its bytes.
    pub(super) fn take(&mut self) -> Option<(Instant, SocketAddr, &[u8])> {
        let (from, len) = *self.received.get(self.taken)?;
        let datagram = self.buffers.get(self.taken * DATAGRAM_BYTES..)?.get(..len)?;
        self.taken += 1;
        Some((self.received_at, from, datagram))
    }
}
