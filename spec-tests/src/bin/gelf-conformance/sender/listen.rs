//! Opens the sockets. Each socket is read by its own thread.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use gelf_spec_tests::accept;
use gelf_spec_tests::http::is_time_out;
use gelf_spec_tests::sender::{Event, GraylogConnection};
use socket2::SockRef;

use super::listen_http;
use super::reading::{Grace, MAX_CONNECTIONS, STOP_CHECK_INTERVAL, TimedEvent};

/// Requested size of the UDP receive buffer: 4 MiB.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Maximum time to write an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum number of queued events. An event of UDP or TCP has at most 64 KiB. While the queue is full, TCP
/// senders block, and the kernel drops the datagrams for which its buffer has no room.
const MAX_EVENTS: usize = 1024;

/// Binds the sockets, prints their addresses to standard error, and starts the threads that read. Returns the
/// channel of the events. After the stop flag is set, the threads end, which closes the channel. `as_graylog`
/// tells whether TCP connections are closed where Graylog would close them.
pub(super) fn bind(
    udp: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
    http: Option<SocketAddr>,
    as_graylog: bool,
    stop: &Arc<AtomicBool>,
) -> Result<Receiver<TimedEvent>, String> {
    let (sender, events) = sync_channel(MAX_EVENTS);
    if let Some(address) = udp {
        let wrong = |error| format!("udp {address}: {error}");
        let socket = UdpSocket::bind(address).map_err(wrong)?;
        socket.set_read_timeout(Some(STOP_CHECK_INTERVAL)).map_err(wrong)?;
        // The kernel can grant a smaller buffer than requested, so the actual size is printed.
        let _ = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
        let buffer = SockRef::from(&socket).recv_buffer_size().map_err(wrong)?;
        let bound = socket.local_addr().map_err(wrong)?;
        eprintln!("listening on udp {bound}, with {} KiB of receive buffer", buffer / 1024);
        let (sender, stop) = (sender.clone(), Arc::clone(stop));
        thread::spawn(move || read_datagrams(&socket, &sender, &stop));
    }
    let read_stream: Serve = if as_graylog { read_as_graylog } else { read_whole };
    let listeners: [(_, _, Serve); 2] = [("tcp", tcp, read_stream), ("http", http, listen_http::serve)];
    for (name, address, serve) in listeners {
        let Some(address) = address else { continue };
        let wrong = |error| format!("{name} {address}: {error}");
        let listener = TcpListener::bind(address).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        eprintln!("listening on {name} {}", listener.local_addr().map_err(wrong)?);
        let (sender, stop) = (sender.clone(), Arc::clone(stop));
        let (refusals, stopped) = (sender.clone(), Arc::clone(&stop));
        let refused = move || refusals.send((Instant::now(), Event::Refused)).is_ok();
        let serve = move |stream: TcpStream, source: SocketAddr, connection: usize| {
            let set = stream
                .set_nonblocking(false)
                .and_then(|()| stream.set_nodelay(true))
                .and_then(|()| stream.set_read_timeout(Some(STOP_CHECK_INTERVAL)))
                .and_then(|()| stream.set_write_timeout(Some(WRITE_TIMEOUT)));
            // Setting the options fails only if the sender has already closed the connection.
            if set.is_ok() {
                serve(stream, source, connection, &sender, &stop);
            }
        };
        thread::spawn(move || accept(&listener, MAX_CONNECTIONS, &stopped, serve, refused));
    }
    Ok(events)
}

fn read_datagrams(socket: &UdpSocket, events: &SyncSender<TimedEvent>, stop: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    let mut grace = Grace::default();
    while !grace.is_over(stop) {
        match socket.recv_from(&mut buffer) {
            Ok((len, source)) => {
                let bytes = buffer.split_at(len).0.to_vec();
                if events.send((Instant::now(), Event::Datagram { source, bytes })).is_err() {
                    return;
                }
            }
            Err(error) if is_time_out(&error) && grace.has_begun() => break,
            // Reading continues after a time-out before the grace has begun, and after any other error.
            Err(_) => {}
        }
    }
    let dropped = socket.local_addr().map_or(0, |address| dropped_datagrams(address.port()));
    // Sending fails only if the judge has ended.
    let _ = events.send((Instant::now(), Event::Dropped(dropped)));
}

/// Returns the number of datagrams that the kernel has dropped at the sockets of this port. Returns 0 if the
/// system is not Linux.
///
/// The man page `proc_pid_net(5)` describes the files. Their second column is the local address in
/// hexadecimal digits, and their last column is the number of dropped datagrams.
fn dropped_datagrams(port: u16) -> u64 {
    let end = format!(":{port:04X}");
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let dropped = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| {
        let mut columns = line.split_whitespace();
        columns.nth(1).filter(|address| address.ends_with(&end))?;
        columns.next_back()?.parse::<u64>().ok()
    });
    dropped.sum()
}

/// A function that reads a connection to its end. Its third argument is the number of the connection, from 0.
type Serve = fn(TcpStream, SocketAddr, usize, &SyncSender<TimedEvent>, &AtomicBool);

fn read_whole(
    stream: TcpStream,
    source: SocketAddr,
    connection: usize,
    events: &SyncSender<TimedEvent>,
    stop: &AtomicBool,
) {
    read_stream(stream, source, connection, events, stop, |_| None);
}

fn read_as_graylog(
    stream: TcpStream,
    source: SocketAddr,
    connection: usize,
    events: &SyncSender<TimedEvent>,
    stop: &AtomicBool,
) {
    let mut graylog = GraylogConnection::default();
    read_stream(stream, source, connection, events, stop, |bytes| graylog.end(bytes));
}

/// Reads a connection to its end. `end` is called with the bytes of each read. If it returns a number, only
/// this many of the bytes count, and the connection is closed.
fn read_stream(
    mut stream: TcpStream,
    source: SocketAddr,
    connection: usize,
    events: &SyncSender<TimedEvent>,
    stop: &AtomicBool,
    mut end: impl FnMut(&[u8]) -> Option<usize>,
) {
    if events.send((Instant::now(), Event::Opened { source })).is_err() {
        return;
    }
    let mut buffer = vec![0; 1 << 16];
    let mut grace = Grace::default();
    while !grace.is_over(stop) {
        let event = match stream.read(&mut buffer) {
            Ok(0) => Event::Closed { connection },
            Ok(len) => {
                let (mut bytes, _) = buffer.split_at(len);
                let end = end(bytes);
                (bytes, _) = bytes.split_at(end.unwrap_or(len));
                let read = Event::Read { connection, source, bytes: bytes.to_vec() };
                if end.is_none() {
                    read
                } else if [read, Event::Ended]
                    .into_iter()
                    .all(|event| events.send((Instant::now(), event)).is_ok())
                {
                    Event::Closed { connection }
                } else {
                    return;
                }
            }
            Err(error) if is_time_out(&error) => {
                if grace.has_begun() {
                    return;
                }
                continue;
            }
            Err(_) => Event::Closed { connection },
        };
        let is_closed = matches!(event, Event::Closed { .. });
        if events.send((Instant::now(), event)).is_err() || is_closed {
            return;
        }
    }
}
