//! Systems that do not tell, or are not known here to.

use std::io;
use std::time::Duration;

use socket2::SockRef;

/// How many bytes the peer of a TCP socket has not acknowledged: not known.
pub(crate) fn unacknowledged_bytes<S>(_socket: &S) -> io::Result<Option<u64>> {
    Ok(None)
}

/// How many datagrams may leave by one system call: not known to be more.
pub(crate) const MAX_SEGMENTS: usize = 1;

/// Whether there is [`send_segments`]: it is not known here.
pub(crate) fn can_segment<S>(_socket: &S) -> bool {
    false
}

/// Sends datagrams of one size by one system call: not known how.
pub(crate) fn send_segments<S>(_socket: &S, _datagrams: &[u8], _size: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether an error of [`send_segments`] may mean that there is no segmentation: always.
pub(crate) fn is_segmentation_refused(_error: &io::Error) -> bool {
    true
}

/// Whether an error of a send may be what ICMP said of an earlier datagram of the same socket.
pub(crate) fn may_be_of_an_earlier_datagram(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

/// Sets the receive buffer beyond the limit for all: not known how.
pub(crate) fn force_receive_buffer<S>(_socket: &S, _bytes: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How many datagrams that came for a socket the system has dropped: not known.
pub(crate) fn dropped_datagrams<S>(_socket: &S) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Elsewhere the system alone decides how long a silent peer is waited for; keepalive finds those that are gone.
pub(crate) fn set_user_timeout(_socket: &SockRef<'_>, _timeout: Duration) -> io::Result<()> {
    Ok(())
}
