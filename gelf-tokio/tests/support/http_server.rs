//! Provides an HTTP server that answers with given bytes.
#![allow(dead_code, unreachable_pub, reason = "not every test uses all of it")]

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Graylog's answer to an accepted message.
pub const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/// Limits the time of a test that does not pause the clock.
pub async fn guarded<T>(test: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), test).await.expect("the test hangs")
}

/// A request as received.
#[derive(Debug, Eq, PartialEq)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The server's end of a connection.
#[derive(Debug)]
pub struct Peer<S> {
    pub stream: S,
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Returns the next request, or `None` if the connection ends before the request is complete.
    pub async fn request(&mut self) -> Option<Seen> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(self.unread[..end + 4].to_vec()).unwrap();
                let seen = Seen { head, body: Vec::new() };
                let len: usize =
                    seen.header("content-length").expect("the request has a length").parse().unwrap();
                if self.unread.len() >= end + 4 + len {
                    let body = self.unread[end + 4..end + 4 + len].to_vec();
                    self.unread.drain(..end + 4 + len);
                    return Some(Seen { body, ..seen });
                }
            }
            if self.read().await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Reads some bytes. Returns their number, 0 at the end of the connection.
    pub async fn read(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.unread).await
    }

    /// Returns the received bytes of an incomplete request.
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Writes text. Errors are ignored, because the other side may have closed the connection.
    pub async fn write(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes()).await;
        let _ = self.stream.flush().await;
    }
}
