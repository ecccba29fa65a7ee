//! What a TCP socket knows of its peer.

use std::io;
use std::os::fd::AsRawFd;

/// How many bytes that were written to a TCP socket its peer has not acknowledged (`SIOCOUTQ`, tcp(7)). After the end
/// of the stream was sent, it counts as one until it is acknowledged. It can be asked after a reset, too.
pub(crate) fn unacknowledged_bytes(socket: &impl AsRawFd) -> io::Result<Option<u64>> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the request writes one int, to `bytes`.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Some(u64::try_from(bytes).unwrap_or(0)))
}
