//! System calls of a receiver that closes.

use std::io;
use std::mem::MaybeUninit;

use socket2::SockRef;

/// Makes the kernel drop all further packets for a socket. The kernel then acknowledges no further bytes, so
/// the socket holds all bytes that were acknowledged and not read. For a listener, the kernel drops the
/// packets of new connections.
///
/// # Errors
/// Returns [`Unsupported`](io::ErrorKind::Unsupported) on systems other than Linux.
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) fn drop_incoming(socket: &SockRef<'_>) -> io::Result<()> {
    // `BPF_RET | BPF_K` with 0: keep no byte of the packet (bpf(4)).
    socket.attach_filter(&[socket2::SockFilter::new(0x06, 0, 0, 0)])
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) fn drop_incoming(_socket: &SockRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns whether the kernel has nothing to read for a non-blocking socket. The end of a stream counts as
/// something to read.
///
/// The function asks the kernel and not tokio. tokio knows of the data only once it has seen the event for the
/// data, and this event may come later than the data.
pub(crate) fn is_drained(socket: &SockRef<'_>) -> bool {
    let peeked = socket.peek(&mut [MaybeUninit::uninit()]);
    matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
