//! The server that the receivers over TCP, TLS and HTTP share. It accepts connections within limits, reads the
//! headers of proxies, performs TLS handshakes, serves each connection in a separate task, counts
//! connections, and closes them.

mod accept;
pub(crate) mod closing;
mod counts;
mod opening;
mod peers;
mod proxy;
mod proxy_header;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::task::{JoinError, JoinSet};
#[cfg(feature = "tls")]
use tokio::time::timeout;
#[cfg(feature = "tls")]
use tokio_rustls::Accept;

use super::delivery::{Deliveries, DeliveryQueue, Item, delivery_queue};
use accept::{Accepted, Acceptor, Listener};
use closing::{Closer, Closing};
pub(crate) use counts::{ConnectionCounts, End};
use peers::Peers;
pub(crate) use proxy::Proxies;

/// The TLS handshake of a server.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) tls: crate::tls::ReceiverTls,
    /// The name of the protocol to negotiate (ALPN, RFC 7301), if there is one.
    pub(crate) alpn: Option<&'static [u8]>,
    pub(crate) timeout: Duration,
}

/// There is no handshake without TLS.
#[cfg(not(feature = "tls"))]
#[derive(Debug)]
pub(crate) enum Handshake {}

/// The protocol on the connections of a [`Server`].
pub(crate) trait Protocol: fmt::Debug + Send + Sync + 'static {
    /// Serves a connection until the connection ends. The returned future should end soon after
    /// [`Peer::closing`] has begun. The server drops the future when the time to close is over.
    fn serve<S: Stream>(self: Arc<Self>, stream: &mut S, peer: Peer) -> impl Future<Output = Served> + Send;
}

/// A connection, plain or with TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Returns the TCP connection below; streams in memory have none.
    fn tcp(&self) -> Option<&TcpStream>;
}

/// The peer of a connection, and the handles that the task of the connection uses.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) queue: DeliveryQueue,
    pub(crate) closing: Closing,
}

/// The result of serving a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Served {
    pub(crate) end: End,
    /// `true` if the connection is to be reset, so that the next write of its peer fails. After an end
    /// without a reset, the write would succeed, and its data would be lost without notice.
    pub(crate) reset: bool,
}

/// The limits of a [`Server`], and its proxies.
#[derive(Clone, Debug)]
pub(crate) struct ServerOptions {
    /// The limit of open connections, at least 1. Further connections wait in the kernel until they are
    /// accepted. The limit stops floods of connections.
    pub(crate) max_connections: usize,
    /// The limit of open connections of one IPv4 address, or of one IPv6 network of 64 bits; at least 1.
    /// Further connections are reset immediately. The limit stops a single peer from taking all connections.
    pub(crate) max_connections_per_peer: usize,
    pub(crate) max_queued_items: usize,
    pub(crate) max_queued_bytes: usize,
    pub(crate) proxies: Proxies,
}

/// A server, which accepts connections until it is closed or dropped.
#[derive(Debug)]
pub(crate) struct Server {
    local_addr: SocketAddr,
    listener: Arc<Listener>,
    closer: Closer,
    counts: Arc<Counts>,
    deliveries: Deliveries,
    /// The task that accepts connections. It owns the tasks of all connections and aborts them when it is
    /// dropped.
    _accepting: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Counts(Mutex<ConnectionCounts>);

impl Counts {
    fn lock(&self) -> MutexGuard<'_, ConnectionCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens at an address, and spawns a task that accepts connections.
    pub(crate) async fn bind<P: Protocol>(
        address: impl ToSocketAddrs,
        options: ServerOptions,
        protocol: Arc<P>,
        handshake: Option<Handshake>,
    ) -> io::Result<Self> {
        let listener = Arc::new(Listener::bind(address).await?);
        let local_addr = listener.local_addr()?;
        let (queue, deliveries) = delivery_queue(options.max_queued_items, options.max_queued_bytes);
        let (closer, closing) = closing::channel();
        let counts = Arc::new(Counts::default());
        let acceptor = Acceptor::new(Arc::clone(&listener), &options, Arc::clone(&counts));
        let peers = acceptor.peers();
        let service = Service { protocol, handshake, queue, closing, proxies: options.proxies, peers };
        let mut accepting = JoinSet::new();
        accepting.spawn(accept_all(acceptor, service, Arc::clone(&counts)));
        Ok(Self { local_addr, listener, closer, counts, deliveries, _accepting: accepting })
    }

    /// Waits for the next item. After a call of [`close`](Self::close), returns `None` when all connections have ended
    /// and the queue is empty.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no item is lost.
    pub(crate) async fn recv(&mut self) -> Option<Item> {
        self.deliveries.recv().await
    }

    /// Begins to close. The server still accepts the connections that wait in the kernel, and notifies all
    /// connections. Connections that are open after the time `within` are reset, or closed without a reset if they are
    /// still in the TLS handshake.
    pub(crate) fn close(&self, within: Duration) {
        self.closer.close(within);
    }

    /// Returns the connection counters.
    pub(crate) fn connections(&self) -> ConnectionCounts {
        *self.counts.lock()
    }

    /// Returns how many items [`recv`](Self::recv) has returned.
    pub(crate) fn handed_out(&self) -> u64 {
        self.deliveries.handed_out()
    }

    /// Returns the local address.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// Closes the listener immediately. The runtime ends the tasks a little later.
impl Drop for Server {
    fn drop(&mut self) {
        self.listener.close();
    }
}

/// The state that the connections of a server share.
#[derive(Debug)]
struct Service<P> {
    protocol: Arc<P>,
    handshake: Option<Handshake>,
    queue: DeliveryQueue,
    closing: Closing,
    proxies: Proxies,
    peers: Arc<Peers>,
}

/// Accepts connections and serves them, until the server is closed and the last connection has ended.
async fn accept_all<P: Protocol>(mut acceptor: Acceptor, service: Service<P>, counts: Arc<Counts>) {
    let mut closing = service.closing.clone();
    let service = Arc::new(service);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = closing.begun() => break,
            // Ended tasks are joined before the next accept, so that they do not accumulate.
            Some(ended) = connections.join_next() => count_end(&counts, ended),
            accepted = acceptor.accept() => {
                connections.spawn(serve(Arc::clone(&service), accepted));
            }
        }
    }
    acceptor.refuse_new();
    loop {
        tokio::select! {
            biased;
            () = closing.over() => break,
            Some(ended) = connections.join_next() => count_end(&counts, ended),
            accepted = acceptor.accept_waiting() => match accepted {
                Some(accepted) => {
                    connections.spawn(serve(Arc::clone(&service), accepted));
                }
                None => break,
            }
        }
    }
    drop(acceptor);
    while let Some(ended) = connections.join_next().await {
        count_end(&counts, ended);
    }
    // `service` has the last sender of the queue. The queue therefore ends only once all counts are final.
    drop(service);
}

/// Counts the end of a connection. A failure is logged before the counts are locked, since the log subscriber may
/// read the counts.
fn count_end(counts: &Counts, ended: Result<End, JoinError>) {
    let end = ended.unwrap_or_else(|error| {
        tracing::error!(%error, "the task of a connection failed");
        End::Broken
    });
    counts.lock().end(end);
}

/// Serves a connection. If the peer is a proxy, its header is read first.
async fn serve<P: Protocol>(service: Arc<Service<P>>, accepted: Accepted) -> End {
    let Accepted { stream, from, is_proxy, permit: _permit } = accepted;
    if !is_proxy {
        return serve_client(&service, stream, from).await;
    }
    let mut closing = service.closing.clone();
    let header = {
        let reading = pin!(service.proxies.read_header(&stream));
        opening::open(reading, &mut closing, |_| Some(&stream)).await
    };
    let client = match header {
        Some(Ok(Some(client))) => client,
        Some(Ok(None)) => return serve_client(&service, stream, from).await,
        Some(Err(error)) => {
            tracing::debug!(%error, proxy = %from, "no valid header of the PROXY protocol");
            accept::reset_on_drop(&stream);
            return End::FailedProxyHeader;
        }
        None => return End::Closed,
    };
    let Some(_permit_of_client) = service.peers.enter(client.ip()) else {
        service.peers.log_refusal(client, Some(from));
        accept::reset_on_drop(&stream);
        return End::OverPeerLimit;
    };
    serve_client(&service, stream, client).await
}

/// Serves the connection of a client. If the server has TLS, performs the handshake first.
async fn serve_client<P: Protocol>(service: &Service<P>, stream: TcpStream, from: SocketAddr) -> End {
    let Some(handshake) = &service.handshake else { return serve_stream(service, stream, from).await };
    #[cfg(feature = "tls")]
    {
        let (mut closing, mut over) = (service.closing.clone(), service.closing.clone());
        let shake_hands = async {
            let acceptor = handshake.tls.next_acceptor(handshake.alpn).await;
            opening::open(acceptor.accept(stream), &mut closing, Accept::get_ref).await
        };
        let shaken = tokio::select! {
            biased;
            shaken = timeout(handshake.timeout, shake_hands) => shaken,
            // The check of the TLS files can hang.
            () = over.over() => return End::Closed,
        };
        match shaken {
            Ok(Some(Ok(stream))) => serve_stream(service, stream, from).await,
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, %from, "a TLS handshake failed");
                End::FailedHandshake
            }
            Ok(None) => End::Closed,
            Err(_) => {
                tracing::debug!(%from, "a TLS handshake took too long");
                End::FailedHandshake
            }
        }
    }
    #[cfg(not(feature = "tls"))]
    match *handshake {}
}

async fn serve_stream<P: Protocol>(service: &Service<P>, mut stream: impl Stream, from: SocketAddr) -> End {
    let mut closing = service.closing.clone();
    let peer = Peer { address: from, queue: service.queue.clone(), closing: closing.clone() };
    let served = tokio::select! {
        biased;
        served = Arc::clone(&service.protocol).serve(&mut stream, peer) => served,
        () = closing.over() => Served { end: End::Closed, reset: true },
    };
    if served.reset {
        stream.tcp().into_iter().for_each(accept::reset_on_drop);
    }
    tracing::trace!(%from, end = ?served.end, "a connection ended");
    served.end
}

impl Stream for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

#[cfg(feature = "tls")]
impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }
}

#[cfg(test)]
impl Stream for tokio::io::DuplexStream {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}
