//! Reads and answers HTTP connections, each in its own thread.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use gelf_spec_tests::http::{RequestReader, is_time_out};
use gelf_spec_tests::sender::{Event, HttpEvent, HttpEventKind};

use super::reading::{Grace, TimedEvent};

/// Maximum length of a body before inflation: 2 MiB. A longer body is answered with 413 and discarded.
const MAX_BODY_BYTES: usize = 2 << 20;

/// Idle time after which a connection is closed: 60 s, as in Graylog.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum time to wait for the judgement of a request.
const JUDGE_TIMEOUT: Duration = Duration::from_secs(10);

/// [`drain`](Connection::drain) ends once it has read this many bytes. Its last read can exceed the number by up to
/// 64 KiB.
const MAX_DRAINED_BYTES: usize = 16 << 20;

/// Maximum time for reading bytes after the last answer on a connection.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads a connection and answers its requests.
pub(super) fn serve(
    stream: TcpStream,
    source: SocketAddr,
    _: usize,
    events: &SyncSender<TimedEvent>,
    stop: &AtomicBool,
) {
    Connection { stream, source, events: events.clone(), bytes: 0, requests: 0, status: None }.serve(stop);
}

struct Connection {
    stream: TcpStream,
    source: SocketAddr,
    events: SyncSender<TimedEvent>,
    /// Number of bytes read since the last event.
    bytes: usize,
    /// Number of requests so far.
    requests: u64,
    /// Status of the last answer, if any.
    status: Option<u16>,
}

/// Next action on a connection.
enum Next {
    Read,
    Close,
    /// Close after reading the remaining input.
    Drain,
}

impl Connection {
    fn serve(mut self, stop: &AtomicBool) {
        let mut reader = RequestReader::new(MAX_BODY_BYTES);
        let mut buffer = vec![0; 1 << 16];
        let mut grace = Grace::default();
        let mut last = Instant::now();
        self.send(HttpEventKind::Opened);
        let mut by_sender = false;
        let next = loop {
            match self.requests(&mut reader) {
                Next::Read => {}
                next => break next,
            }
            if reader.wants_continue() && self.write(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
                break Next::Close;
            }
            if grace.is_over(stop) || last.elapsed() > IDLE_TIMEOUT {
                break Next::Close;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    by_sender = true;
                    break Next::Close;
                }
                Ok(len) => {
                    last = Instant::now();
                    self.bytes += len;
                    reader.push(buffer.split_at(len).0);
                }
                Err(error) if is_time_out(&error) && grace.has_begun() => break Next::Close,
                Err(error) if is_time_out(&error) => {}
                Err(_) => {
                    by_sender = true;
                    break Next::Close;
                }
            }
        };
        if matches!(next, Next::Drain) {
            self.drain(&mut buffer);
        }
        let unfinished = reader.unfinished();
        let (requests, status) = (self.requests, self.status);
        self.send(HttpEventKind::Closed { requests, by_sender, status, unfinished });
    }

    /// Passes the complete requests to the judge, and answers each. Stops at a request after whose answer the
    /// connection ends, and at bytes that cannot be read as a request.
    fn requests(&mut self, reader: &mut RequestReader) -> Next {
        while let Some(next) = reader.next() {
            match next {
                Ok(request) => {
                    self.requests += 1;
                    let keeps_alive = request.keeps_alive();
                    let (answer, answered) = sync_channel(1);
                    let number = self.requests;
                    self.send(HttpEventKind::Request { request: Box::new(request), number, answer });
                    // If no judge answers in time, for example after the end of the run, the request is accepted.
                    let status = answered.recv_timeout(JUDGE_TIMEOUT).unwrap_or(202);
                    // As in Graylog, the connection ends after an answer with 413.
                    let keeps_alive = keeps_alive && status != 413;
                    match self.answer(status, keeps_alive) {
                        Ok(()) if keeps_alive => {}
                        Ok(()) => return Next::Drain,
                        Err(_) => return Next::Close,
                    }
                }
                Err(fault) => {
                    let status = fault.status;
                    self.send(HttpEventKind::Fault(fault));
                    let answered = self.answer(status, false);
                    return if answered.is_ok() { Next::Drain } else { Next::Close };
                }
            }
        }
        Next::Read
    }

    fn answer(&mut self, status: u16, keeps_alive: bool) -> std::io::Result<()> {
        self.status = Some(status);
        let connection = if keeps_alive { "keep-alive" } else { "close" };
        let length = if matches!(status, 204 | 304) { "" } else { "Content-Length: 0\r\n" };
        let reason = reason(status);
        self.write(
            format!("HTTP/1.1 {status} {reason}\r\n{length}Connection: {connection}\r\n\r\n").as_bytes(),
        )
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush())
    }

    /// Reads the remaining input. If the connection were closed with unread input, the kernel would send a
    /// TCP reset, which could destroy the answer before the sender reads it.
    fn drain(&mut self, buffer: &mut [u8]) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let (mut drained, until) = (0, Instant::now() + DRAIN_TIMEOUT);
        while drained < MAX_DRAINED_BYTES && Instant::now() < until {
            match self.stream.read(buffer) {
                Ok(len @ 1..) => drained += len,
                Err(error) if is_time_out(&error) => {}
                Ok(0) | Err(_) => break,
            }
        }
        self.bytes += drained;
    }

    fn send(&mut self, kind: HttpEventKind) {
        let event = HttpEvent { source: self.source, bytes: std::mem::take(&mut self.bytes), kind };
        // Sending fails only after the end of the run, when the channel is closed.
        let _ = self.events.send((Instant::now(), Event::Http(event)));
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}
