//! Receives several datagrams by one system call.

use std::array::from_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

use socket2::{SockAddr, SockAddrStorage};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The maximum number of datagrams that one system call receives. At this number, the cost of the call itself
/// is small beside the cost of the datagrams.
pub(crate) const RECEIVE_BATCH: usize = 16;

/// Receives up to [`RECEIVE_BATCH`] datagrams by one system call (recvmmsg(2)). The first datagram is written
/// to the first `size` bytes of `buffers`, and so on. The senders and lengths are added to `received`.
pub(crate) fn receive_datagrams(
    socket: &UdpSocket,
    buffers: &mut [u8],
    size: usize,
    received: &mut Vec<(SocketAddr, usize)>,
) -> io::Result<()> {
    socket.try_io(Interest::READABLE, || {
        let mut addresses: [_; RECEIVE_BATCH] = from_fn(|_| SockAddrStorage::zeroed());
        // SAFETY: the headers consist of integers and pointers, for which zeros are valid.
        let mut headers: [libc::mmsghdr; RECEIVE_BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut slices = [libc::iovec { iov_base: null_mut(), iov_len: 0 }; RECEIVE_BATCH];
        let mut count = 0;
        let parts = headers.iter_mut().zip(&mut slices).zip(&mut addresses);
        for (((header, slice), address), buffer) in parts.zip(buffers.chunks_exact_mut(size)) {
            *slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut *address).cast();
            header.msg_hdr.msg_namelen = address.size_of();
            count += 1;
        }
        // SAFETY: the descriptor is open as long as `socket` is borrowed. The first `count` headers point to
        // buffers and addresses of the stated lengths, which are borrowed mutably and outlive the call.
        let result = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT, null_mut())
        };
        let filled = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        for (header, address) in headers.iter().zip(addresses).take(filled) {
            // SAFETY: the kernel has written an address of this length.
            let address = unsafe { SockAddr::new(address, header.msg_hdr.msg_namelen) };
            let from = address.as_socket().ok_or(io::ErrorKind::InvalidData)?;
            received.push((from, header.msg_len as usize));
        }
        Ok(())
    })
}
