//! Implements the part of HTTP/1.1 that an Engine needs: requests without a body on persistent connections, and
//! chunked answers.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// The maximum length of a request's head in bytes.
const HEAD_MAX: usize = 64 * 1024;

/// A connection of a client.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: UnixStream,
    /// Bytes that were received after the last request.
    received: Vec<u8>,
    /// True if the connection ends with the current answer.
    must_close: bool,
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// The header `Accept`, or an empty text.
    pub(crate) accept: String,
}

impl Connection {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, received: Vec::new(), must_close: false }
    }

    /// Reads a request up to its empty line. Returns an error if the connection has ended, or if the
    /// request is too long.
    pub(crate) async fn request(&mut self) -> io::Result<Head> {
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let is_too_long = self.received.len() > HEAD_MAX;
            self.received.reserve(4096);
            if self.must_close || is_too_long || self.socket.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        let text = String::from_utf8_lossy(&head);
        let mut lines = text.lines();
        let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut accept = String::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match &*name.to_ascii_lowercase() {
                "accept" => value.trim().clone_into(&mut accept),
                "connection" => self.must_close = value.trim().eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        Ok(Head { method, target, accept })
    }

    /// Sends a complete answer.
    pub(crate) async fn answer(&mut self, status: u16, headers: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Status\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.socket.write_all(head.as_bytes()).await?;
        self.socket.write_all(body.as_bytes()).await
    }

    /// Starts a chunked answer.
    pub(crate) async fn start_chunks(&mut self, headers: &str) -> io::Result<()> {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
        self.socket.write_all(head.as_bytes()).await
    }

    pub(crate) async fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.socket.write_all(&chunk).await
    }

    pub(crate) async fn end_chunks(&mut self) -> io::Result<()> {
        self.socket.write_all(b"0\r\n\r\n").await
    }

    /// Ends the answer without the final chunk, and lets the connection end.
    pub(crate) fn cut(&mut self) {
        self.must_close = true;
        self.received.clear();
    }

    /// Waits for a change of the Engine's state. Returns an error if the client closes the connection first.
    pub(crate) async fn wait_for_change(&mut self, changes: &mut watch::Receiver<u64>) -> io::Result<()> {
        loop {
            tokio::select! {
                changed = changes.changed() => return changed.map_err(io::Error::other),
                count = self.socket.read_buf(&mut self.received) => {
                    if count? == 0 {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
            }
        }
    }
}
