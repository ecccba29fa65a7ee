//! Replaces the system calls of Linux on other systems.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;

/// Returns `None`: the number of bytes that the peer of a TCP socket has not acknowledged is unknown.
pub(crate) fn unacknowledged_bytes<S>(_socket: &S) -> io::Result<Option<u64>> {
    Ok(None)
}

/// The number of datagrams that one system call can send.
pub(crate) const MAX_SEGMENTS: usize = 1;

/// Returns `false`: [`send_segments`] does not work on this system.
pub(crate) fn can_segment<S>(_socket: &S) -> bool {
    false
}

/// Returns an error: one system call cannot send several datagrams.
pub(crate) fn send_segments<S>(_socket: &S, _datagrams: &[u8], _size: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns `true`: any error of [`send_segments`] may mean that there is no segmentation.
pub(crate) fn is_segmentation_refused(_error: &io::Error) -> bool {
    true
}

/// Returns whether an error of a send may be an ICMP report about an earlier datagram of the same socket.
pub(crate) fn may_be_of_an_earlier_datagram(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

/// Returns an error: the receive buffer cannot be set beyond the system's limit.
pub(crate) fn force_receive_buffer<S>(_socket: &S, _bytes: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The maximum number of datagrams that one system call receives.
pub(crate) const RECEIVE_BATCH: usize = 1;

/// Receives one datagram into the first `size` bytes of `buffers`. Its sender and length are added to
/// `received`.
pub(crate) fn receive_datagrams(
    socket: &UdpSocket,
    buffers: &mut [u8],
    size: usize,
    received: &mut Vec<(SocketAddr, usize)>,
) -> io::Result<()> {
    let buffer = buffers.get_mut(..size).ok_or(io::ErrorKind::InvalidInput)?;
    let (len, from) = socket.try_recv_from(buffer)?;
    received.push((from, len));
    Ok(())
}

/// Returns `None`: the number of received datagrams that the system has dropped is unknown.
pub(crate) fn dropped_datagrams<S>(_socket: &S) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Does nothing: the system decides how long written bytes may stay unacknowledged. Keepalive finds dead
/// peers.
pub(crate) fn set_user_timeout(_socket: &SockRef<'_>, _timeout: Duration) -> io::Result<()> {
    Ok(())
}
