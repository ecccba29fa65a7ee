//! System calls for TCP sockets.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::SockRef;

/// Sets the time that written bytes may stay unacknowledged before the connection is over
/// (`TCP_USER_TIMEOUT`, tcp(7)).
pub(crate) fn set_user_timeout(socket: &SockRef<'_>, timeout: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(timeout))
}

/// Returns the number of written bytes that the peer of a TCP socket has not acknowledged (`SIOCOUTQ`,
/// tcp(7)). The end of the stream counts as one byte. The number is also valid after a reset.
pub(crate) fn unacknowledged_bytes(socket: &impl AsRawFd) -> io::Result<Option<u64>> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the request writes one int, to
    // `bytes`.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // A negative number is no length, and must not count as "all bytes are acknowledged".
    u64::try_from(bytes).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::Instant;

    use socket2::SockFilter;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    /// Drops all packets to the socket, before they are acknowledged.
    fn drop_all(stream: &TcpStream) {
        SockRef::from(stream).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
    }

    fn unacknowledged(stream: &TcpStream) -> u64 {
        unacknowledged_bytes(stream).unwrap().unwrap()
    }

    fn until(mut is_so: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_number_of_unacknowledged_bytes_is_exact() {
        let (mut client, mut server) = pair();
        assert_eq!(unacknowledged(&client), 0);
        client.write_all(&[b'x'; 1000]).unwrap();
        until(|| unacknowledged(&client) == 0);
        drop_all(&server);
        client.write_all(&[b'x'; 777]).unwrap();
        assert_eq!(unacknowledged(&client), 777);
        SockRef::from(&server).detach_filter().unwrap();
        until(|| unacknowledged(&client) == 0);
        server.read_exact(&mut [0; 1777]).unwrap();
    }

    #[test]
    fn the_end_of_the_stream_counts_as_a_byte_until_it_is_acknowledged() {
        let (mut client, server) = pair();
        drop_all(&server);
        client.write_all(&[b'x'; 10]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(unacknowledged(&client), 11);
        SockRef::from(&server).detach_filter().unwrap();
        until(|| unacknowledged(&client) == 0);
    }

    #[test]
    fn unacknowledged_bytes_are_known_after_a_reset() {
        let (mut client, mut server) = pair();
        client.write_all(&[b'x'; 1000]).unwrap();
        server.read_exact(&mut [0; 1000]).unwrap();
        until(|| unacknowledged(&client) == 0);
        drop_all(&server);
        client.write_all(&[b'x'; 50]).unwrap();
        SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        until(|| client.take_error().unwrap().is_some());
        assert_eq!(unacknowledged(&client), 50);
    }

    #[test]
    fn a_descriptor_that_is_no_socket_is_an_error() {
        let file = std::fs::File::open("/dev/null").unwrap();
        unacknowledged_bytes(&file).unwrap_err();
    }
}
