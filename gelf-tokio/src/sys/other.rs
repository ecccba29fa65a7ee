//! Systems other than Linux.

use std::io;
use std::time::Duration;

use socket2::SockRef;

/// Returns the number of bytes that the peer of a TCP socket has not acknowledged: unknown.
pub(crate) fn unacknowledged_bytes<S>(_socket: &S) -> io::Result<Option<u64>> {
    Ok(None)
}

/// The number of datagrams that may leave by one system call.
pub(crate) const MAX_SEGMENTS: usize = 1;

/// Returns whether [`send_segments`] works: it does not.
pub(crate) fn can_segment<S>(_socket: &S) -> bool {
    false
}

/// Sends datagrams of one size by one system call: unsupported.
pub(crate) fn send_segments<S>(_socket: &S, _datagrams: &[u8], _size: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns whether an error of [`send_segments`] may mean that there is no segmentation: always.
pub(crate) fn is_segmentation_refused(_error: &io::Error) -> bool {
    true
}

/// Returns whether an error of a send may be the ICMP report of an earlier datagram of the same socket.
pub(crate) fn may_be_of_an_earlier_datagram(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

/// Sets the receive buffer beyond the system's limit: unsupported.
pub(crate) fn force_receive_buffer<S>(_socket: &S, _bytes: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns the number of received datagrams that the system has dropped: unknown.
pub(crate) fn dropped_datagrams<S>(_socket: &S) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Sets the time for acknowledgements: without effect, the system decides it. Keepalive finds dead peers.
pub(crate) fn set_user_timeout(_socket: &SockRef<'_>, _timeout: Duration) -> io::Result<()> {
    Ok(())
}
