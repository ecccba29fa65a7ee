//! A server whose every byte is the test's.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::super::{HttpError, HttpSender};
use crate::endpoint::HttpOptions;
use crate::resolve::{Resolve, Resolving};

/// What Graylog answers.
pub(super) const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/// Gives a test up that hangs. Real time: only for tests that do not pause it.
pub(super) async fn guarded<T>(test: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), test).await.expect("the test hangs")
}

/// The addresses that it is given, whatever the host.
#[derive(Debug)]
pub(super) struct Addresses(pub(super) Vec<SocketAddr>);

impl Resolve for Addresses {
    fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Resolving<'a> {
        // Takes a moment, as a real one does.
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(self.0.clone())
        })
    }
}

pub(super) struct Server {
    pub(super) listener: TcpListener,
    /// How many connections were accepted.
    pub(super) connections: usize,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), connections: 0 }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// A sender to here, which knows the host as `logs.example`.
    pub(super) fn sender(&self, options: &HttpOptions) -> HttpSender {
        sender_to(vec![self.address()], options)
    }

    pub(super) async fn accept(&mut self) -> Peer<TcpStream> {
        let stream = self.listener.accept().await.unwrap().0;
        self.connections += 1;
        Peer::new(stream)
    }

    /// Posts while the server takes one connection and answers one request on it.
    pub(super) async fn answer_one(
        &mut self,
        sender: &mut HttpSender,
        answer: &str,
    ) -> (Result<(), HttpError>, Peer<TcpStream>) {
        let serve = async {
            let mut peer = self.accept().await;
            peer.request().await.expect("a request");
            peer.write(answer).await;
            peer
        };
        guarded(async { tokio::join!(post(sender), serve) }).await
    }

    /// Whether somebody has connected who was not accepted yet.
    pub(super) async fn has_another(&mut self) -> bool {
        timeout(Duration::from_millis(5), self.listener.accept()).await.is_ok()
    }
}

pub(super) fn sender_to(addresses: Vec<SocketAddr>, options: &HttpOptions) -> HttpSender {
    HttpSender::from_options(options, "logs.example", 12201, Arc::new(Addresses(addresses))).unwrap()
}

pub(super) async fn post(sender: &mut HttpSender) -> Result<(), HttpError> {
    sender.post(Bytes::from_static(b"{}")).await
}

/// One request as it stood on the wire.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The server's end of a connection.
pub(super) struct Peer<S> {
    pub(super) stream: S,
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWriteExt + Unpin> Peer<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// The next request; `None` when the connection has ended before it was whole.
    pub(super) async fn request(&mut self) -> Option<Seen> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(self.unread[..end + 4].to_vec()).unwrap();
                let seen = Seen { head, body: Vec::new() };
                let len: usize = seen.header("content-length").expect("a length").parse().unwrap();
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

    /// Reads something; 0 at the end.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.unread).await
    }

    /// What was read and is not a whole request.
    pub(super) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Writes, as far as the other side takes it.
    pub(super) async fn write(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes()).await;
        let _ = self.stream.flush().await;
    }
}

impl Peer<TcpStream> {
    /// Ends the connection with a reset.
    pub(super) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits until the sender has closed the connection, or reset it.
    pub(super) async fn closed(&mut self) {
        guarded(async { while self.read().await.is_ok_and(|len| len > 0) {} }).await;
    }
}
