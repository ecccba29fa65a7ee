//! System calls for UDP sockets.

use std::io::{self, IoSlice};
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use bytes::BufMut;
use socket2::{MsgHdr, SockRef};

/// The maximum number of datagrams that one system call sends. It is the kernel's `UDP_MAX_SEGMENTS` before
/// Linux 6.9; later kernels have 128.
pub(crate) const MAX_SEGMENTS: usize = 64;

/// The length of the header of a control message (cmsg(3)). The header consists of a length and two ints, and
/// a padded `u16` follows it.
const CONTROL_HEADER_LEN: usize = size_of::<usize>() + 2 * size_of::<libc::c_int>();
const CONTROL_LEN: usize = CONTROL_HEADER_LEN + size_of::<usize>();

/// The number of counters of `SO_MEMINFO`, and the index of `SK_MEMINFO_DROPS` (linux/sock_diag.h; libc has
/// only the latter).
const MEMINFO_VARS: usize = 9;
const MEMINFO_DROPS: usize = 8;

/// Returns whether the kernel knows `UDP_SEGMENT`, which came with Linux 4.18. The caller of [`send_segments`]
/// must check this first: an older kernel ignores the control message, and would send all datagrams as a single
/// datagram.
pub(crate) fn can_segment(socket: &impl AsRawFd) -> bool {
    option(socket, libc::SOL_UDP, libc::UDP_SEGMENT, &mut [0]).is_ok()
}

/// Sends all datagrams or none by one system call (`UDP_SEGMENT`, udp(7)). Each datagram has `size` bytes;
/// the last may be shorter. The caller passes at most [`MAX_SEGMENTS`] datagrams, and at most 65,507 bytes in total.
///
/// The size is part of the call. As an option of the socket, the size would also apply to single datagrams,
/// and make them cost more.
pub(crate) fn send_segments(socket: &impl AsFd, datagrams: &[u8], size: usize) -> io::Result<()> {
    let size = u16::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut control = [0; CONTROL_LEN];
    let mut rest = control.as_mut_slice();
    // musl declares the length as an int and padding, which together are the kernel's length.
    rest.put_slice(&(CONTROL_HEADER_LEN + size_of::<u16>()).to_ne_bytes());
    rest.put_slice(&libc::SOL_UDP.to_ne_bytes());
    rest.put_slice(&libc::UDP_SEGMENT.to_ne_bytes());
    rest.put_slice(&size.to_ne_bytes());
    let buffers = [IoSlice::new(datagrams)];
    let message = MsgHdr::new().with_buffers(&buffers).with_control(&control);
    SockRef::from(socket).sendmsg(&message, 0).map(|_| ())
}

/// Returns whether an error of [`send_segments`] may mean that the route does not support segments. The
/// interface may be unable to compute checksums (`EIO`), or a datagram may be longer than the frames of the
/// interface (`EINVAL`, in newer kernels `EMSGSIZE`). Such a datagram can still be sent alone, since it is
/// then cut into IP fragments. `EOPNOTSUPP` and `ENOPROTOOPT` come from emulations of Linux.
pub(crate) fn is_segmentation_refused(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE | libc::EOPNOTSUPP | libc::ENOPROTOOPT)
    )
}

/// Returns whether an error of a send may be an ICMP report about an earlier datagram of the same socket: one
/// of the errors of the kernel's `icmp_err_convert` and `icmpv6_err_convert`, except `EOPNOTSUPP`, which is not
/// fatal there.
pub(crate) fn may_be_of_an_earlier_datagram(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EACCES
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EMSGSIZE
                | libc::ENETUNREACH
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EPROTO
        )
    )
}

/// Sets the receive buffer beyond the system's limit (`SO_RCVBUFFORCE`, socket(7)). The call needs
/// `CAP_NET_ADMIN`.
pub(crate) fn force_receive_buffer(socket: &impl AsRawFd, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the option is read from one int.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns the number of received datagrams that the kernel has dropped because there was no room or because
/// a checksum was wrong (`SO_MEMINFO`, since Linux 4.12). The number wraps at 2^32.
pub(crate) fn dropped_datagrams(socket: &impl AsRawFd) -> io::Result<Option<u32>> {
    let mut counters = [0; MEMINFO_VARS];
    let given = option(socket, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut counters)?;
    Ok(counters.get(..given).and_then(|counters| counters.get(MEMINFO_DROPS)).copied())
}

/// Reads a socket option that consists of ints. Returns the number of these ints.
fn option(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &mut [u32],
) -> io::Result<usize> {
    let mut len = size_of_val(value) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and no more than `len` bytes are
    // written to `value`, which has as many.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(len as usize / size_of::<u32>()) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        from.connect(to.local_addr().unwrap()).unwrap();
        assert!(can_segment(&from));
        (from, to)
    }

    #[test]
    fn one_call_sends_64_datagrams_of_which_the_last_may_be_shorter() {
        let (from, to) = pair();
        let bytes: Vec<u8> = (0..64 * 100 - 1).map(|at| (at / 100) as u8).collect();
        send_segments(&from, &bytes, 100).unwrap();
        let mut buffer = [0; 200];
        for datagram in bytes.chunks(100) {
            let len = to.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], datagram);
        }
        to.set_nonblocking(true).unwrap();
        assert_eq!(to.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn segments_that_are_too_many_or_too_long_in_total_are_refused_and_none_is_sent() {
        let (from, to) = pair();
        let refused = send_segments(&from, &[0; 65_508], 1420).unwrap_err();
        assert!(is_segmentation_refused(&refused), "{refused}");
        let refused = send_segments(&from, &[0; 300], 1).unwrap_err();
        assert!(is_segmentation_refused(&refused), "{refused}");
        to.set_nonblocking(true).unwrap();
        assert_eq!(to.recv(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_refused_connection_may_be_of_an_earlier_datagram_but_a_full_queue_may_not() {
        let error = io::Error::from_raw_os_error;
        assert!(may_be_of_an_earlier_datagram(&error(libc::ECONNREFUSED)));
        assert!(!may_be_of_an_earlier_datagram(&error(libc::ENOBUFS)));
        assert!(!may_be_of_an_earlier_datagram(&error(libc::EPERM)));
        assert!(!is_segmentation_refused(&error(libc::ECONNREFUSED)));
        assert!(!is_segmentation_refused(&error(libc::ENOBUFS)));
    }

    #[test]
    fn the_kernel_counts_the_datagrams_that_it_drops() {
        let (from, to) = pair();
        SockRef::from(&to).set_recv_buffer_size(0).unwrap();
        assert_eq!(dropped_datagrams(&to).unwrap(), Some(0));
        for _ in 0..100 {
            from.send(&[0; 1000]).unwrap();
        }
        to.set_nonblocking(true).unwrap();
        let mut received = 0;
        while to.recv(&mut [0; 1000]).is_ok() {
            received += 1;
        }
        assert!(received < 100);
        assert_eq!(dropped_datagrams(&to).unwrap(), Some(100 - received));
    }
}
