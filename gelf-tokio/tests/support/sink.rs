//! Provides receivers that acknowledge an exact number of bytes before they reset a connection.
//!
//! A socket filter (`SO_ATTACH_FILTER`, socket(7)) applies before TCP: a dropped packet is never
//! acknowledged, and neither are bytes that were cut off. A test therefore knows exactly which bytes the
//! receiver's kernel had when the connection was reset. A proxy cannot be as exact, because its kernel
//! acknowledges bytes that the proxy then discards.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, SockFilter, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::outages::receipt_of;

const LOAD_BYTE: u16 = 0x30;
const LOAD_LENGTH: u16 = 0x80;
const SHIFT_RIGHT: u16 = 0x74;
const SHIFT_LEFT: u16 = 0x64;
const ADD: u16 = 0x04;
const SUBTRACT_X: u16 = 0x1c;
const A_TO_X: u16 = 0x07;
const X_TO_A: u16 = 0x87;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const RETURN_A: u16 = 0x16;

/// Listens on a free port of the loopback. Connections have a small receive buffer, so that few bytes are in
/// flight.
pub(crate) fn listen() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    // Without this limit, segments on the loopback would be as long as the receive buffer, and would be sent
    // only while the buffer is empty.
    socket.set_tcp_mss(1400).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(64).unwrap();
    socket.set_nonblocking(true).unwrap();
    TcpListener::from_std(socket.into()).unwrap()
}

/// If a segment has exactly `len` bytes of data, cuts its data to the first `kept` bytes. Drops all other
/// segments with data.
pub(crate) fn cut_segment(stream: &TcpStream, len: usize, kept: usize) {
    let op = |code, jump_true, jump_false, k| SockFilter::new(code, jump_true, jump_false, k);
    let (len, kept) = (u32::try_from(len).unwrap(), u32::try_from(kept).unwrap());
    let filter = [
        // X = length of the TCP header. The upper half of byte 12 states this length in words of 4 bytes.
        op(LOAD_BYTE, 0, 0, 12),
        op(SHIFT_RIGHT, 0, 0, 4),
        op(SHIFT_LEFT, 0, 0, 2),
        op(A_TO_X, 0, 0, 0),
        // A = length of the data: the length of the segment less X.
        op(LOAD_LENGTH, 0, 0, 0),
        op(SUBTRACT_X, 0, 0, 0),
        // A segment without data is kept whole. A segment with `len` bytes of data is cut. All other segments
        // are dropped.
        op(JUMP_IF_EQUAL, 2, 0, 0),
        op(JUMP_IF_EQUAL, 2, 0, len),
        op(RETURN, 0, 0, 0),
        op(RETURN, 0, 0, u32::MAX),
        // The length to keep: the header, and `kept` bytes of data.
        op(X_TO_A, 0, 0, 0),
        op(ADD, 0, 0, kept),
        op(RETURN_A, 0, 0, 0),
    ];
    SockRef::from(stream).attach_filter(&filter).unwrap();
}

/// Drops all packets that arrive on a connection.
pub(crate) fn drop_all(stream: &impl AsFd) {
    SockRef::from(stream).attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)]).unwrap();
}

/// Returns the number of unread bytes. The caller ensures that no bytes arrive meanwhile.
pub(crate) fn unread(stream: &impl AsFd) -> usize {
    let mut buffer = Vec::<u8>::with_capacity(256 * 1024);
    match SockRef::from(stream).peek(buffer.spare_capacity_mut()) {
        Ok(len) => len,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}

/// Resets the connection.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Returns the receipts of the whole frames in a stream, which must be intact messages.
pub(crate) fn receipts(stream: &[u8]) -> Vec<u64> {
    let mut frames: Vec<_> = stream.split(|byte| *byte == 0).collect();
    // The bytes after the last delimiter are not a whole frame.
    frames.pop();
    frames.into_iter().map(|frame| receipt_of(frame).unwrap()).collect()
}
