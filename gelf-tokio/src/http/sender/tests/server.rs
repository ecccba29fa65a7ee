//! Provides a test server, and senders that send to this server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::super::connection::Connection;
use super::super::{HttpError, HttpSender};
pub(super) use super::peer::{ACCEPTED, Peer, Seen, guarded};
use crate::endpoint::HttpOptions;
use crate::resolve::{Resolve, Resolving};

/// A resolver that returns the same addresses for every host.
#[derive(Debug)]
pub(super) struct Addresses(pub(super) Vec<SocketAddr>);

impl Resolve for Addresses {
    fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Resolving<'a> {
        // The lookup takes a moment, as with a real resolver.
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(self.0.clone())
        })
    }
}

pub(super) struct Server {
    pub(super) listener: TcpListener,
    /// The number of accepted connections.
    pub(super) connections: usize,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), connections: 0 }
    }

    /// Starts a server. Returns the server, and a sender with default options.
    pub(super) async fn with_sender() -> (Self, HttpSender) {
        let server = Self::start().await;
        let sender = server.sender(&HttpOptions::default());
        (server, sender)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Returns a sender that reaches this server under the host name `logs.example`.
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

    /// Returns whether another connection waits to be accepted, or comes within 5 ms.
    pub(super) async fn has_another(&self) -> bool {
        timeout(Duration::from_millis(5), self.listener.accept()).await.is_ok()
    }
}

pub(super) fn sender_to(addresses: Vec<SocketAddr>, options: &HttpOptions) -> HttpSender {
    HttpSender::from_options(options, "logs.example", 12201, Arc::new(Addresses(addresses))).unwrap()
}

/// Returns a sender with a connection in memory, and the other end of that connection. With real sockets, a
/// test with paused time would depend on when the operating system delivers the bytes.
pub(super) async fn piped(options: &HttpOptions) -> (HttpSender, Peer<DuplexStream>) {
    let (ours, theirs) = duplex(64 * 1024);
    let mut sender = sender_to(Vec::new(), options);
    sender.connection = Some(Connection::new(Box::new(ours)).await.unwrap());
    (sender, Peer::new(theirs))
}

pub(super) async fn post(sender: &mut HttpSender) -> Result<(), HttpError> {
    sender.post(Bytes::from_static(b"{}")).await
}

impl Peer<TcpStream> {
    /// Ends the connection with a reset.
    pub(super) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Ends the connection: with a reset if `reset` is true, otherwise with a FIN.
    pub(super) fn end(self, reset: bool) {
        if reset {
            self.reset();
        }
    }

    /// Waits until the sender has closed the connection, or reset it.
    pub(super) async fn closed(&mut self) {
        guarded(async { while self.read().await.is_ok_and(|len| len > 0) {} }).await;
    }
}
