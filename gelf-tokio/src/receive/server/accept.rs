//! Accepts connections within limits, in spite of errors of the system and floods of connections.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::peers::{PeerPermit, Peers};
use super::{Counts, Proxies, ServerOptions};
use crate::receive::kernel;

/// The number of connections that the kernel is asked to keep until they are accepted. Linux grants no more
/// than `net.core.somaxconn`, by default 4,096. A few hosts that start together can fill the 128 places that
/// tokio would ask for.
const BACKLOG: u32 = 1024;

/// The pause after the system has failed to accept a connection, for example because all file descriptors are
/// in use. File descriptors are rarely freed faster.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// The keepalive of silent connections. It ends dead connections, whose places new connections may need.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10));

/// A listening socket. The server and its accepting task share the socket, so that either can close it
/// immediately.
#[derive(Debug)]
pub(super) struct Listener(Mutex<Option<TcpListener>>);

/// Accepts connections.
///
/// An error of the system, for example because all file descriptors are in use, is counted. After such an
/// error, the acceptor pauses. An error of a single connection is counted too, but causes no pause.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: Arc<Listener>,
    permits: Arc<Semaphore>,
    peers: Arc<Peers>,
    proxies: Proxies,
    no_accept_before: Option<Instant>,
    counts: Arc<Counts>,
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) from: SocketAddr,
    /// `true` if the peer is a proxy, so that the connection has to begin with a header of the PROXY protocol.
    pub(super) is_proxy: bool,
    /// The permit, which is to be kept as long as the connection is open.
    pub(super) permit: ConnectionPermit,
}

/// A permit that counts as one connection until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    _of_all: OwnedSemaphorePermit,
    /// The permit of the peer; `None` for a proxy.
    _of_peer: Option<PeerPermit>,
}

impl Listener {
    /// Listens at an address. Port 0 stands for any free port.
    pub(super) async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self(Mutex::new(Some(listen(address).await?))))
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match &*self.lock() {
            Some(listener) => listener.local_addr(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Closes the socket.
    pub(super) fn close(&self) {
        self.lock().take();
    }

    /// Waits for a connection. Waits for ever once the socket is closed.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| match &*self.lock() {
            Some(listener) => listener.poll_accept(context),
            None => Poll::Pending,
        })
        .await
    }

    /// Accepts a connection that waits in the kernel.
    ///
    /// This method asks the kernel and not tokio. tokio knows of a connection only once it has seen the event for
    /// the connection, and this event may come later than the connection.
    fn accept_waiting(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let Some(listener) = &*self.lock() else { return Err(io::ErrorKind::WouldBlock.into()) };
        let (socket, from) = SockRef::from(listener).accept()?;
        socket.set_nonblocking(true)?;
        let from = from.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok((TcpStream::from_std(socket.into())?, from))
    }

    fn lock(&self) -> MutexGuard<'_, Option<TcpListener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Acceptor {
    pub(super) fn new(listener: Arc<Listener>, options: &ServerOptions, counts: Arc<Counts>) -> Self {
        Self {
            listener,
            permits: Arc::new(Semaphore::new(options.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            peers: Peers::new(options.max_connections_per_peer.max(1)),
            proxies: options.proxies.clone(),
            no_accept_before: None,
            counts,
        }
    }

    /// Returns the counts of connections by peer.
    pub(super) fn peers(&self) -> Arc<Peers> {
        Arc::clone(&self.peers)
    }

    /// Waits until the limit permits one more connection, and then for the next connection.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no connection is lost.
    pub(super) async fn accept(&mut self) -> Accepted {
        loop {
            let permit = self.permit().await;
            let accepted = self.listener.accept().await;
            if let Some(accepted) = self.admit(accepted, permit) {
                return accepted;
            }
        }
    }

    /// Makes the kernel take no new connections, on systems where this is possible.
    /// [`accept_waiting`](Self::accept_waiting) still accepts the connections that the kernel has already
    /// taken.
    pub(super) fn refuse_new(&self) {
        let stopped = match &*self.listener.lock() {
            Some(listener) => kernel::drop_incoming(&SockRef::from(listener)),
            None => Ok(()),
        };
        if let Err(error) = stopped {
            tracing::debug!(%error, "connections that are made while the listener closes may be reset");
        }
    }

    /// Accepts the next connection that waits in the kernel, as soon as the limit permits one more. Returns
    /// `None` if no connection waits.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no connection is lost.
    pub(super) async fn accept_waiting(&mut self) -> Option<Accepted> {
        loop {
            let permit = self.permit().await;
            let accepted = self.listener.accept_waiting();
            if matches!(&accepted, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                return None;
            }
            if let Some(accepted) = self.admit(accepted, permit) {
                return Some(accepted);
            }
        }
    }

    /// Waits until a connection may be accepted.
    async fn permit(&self) -> OwnedSemaphorePermit {
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            // The semaphore is never closed.
            return std::future::pending().await;
        };
        if let Some(instant) = self.no_accept_before {
            sleep_until(instant).await;
        }
        permit
    }

    fn admit(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        permit: OwnedSemaphorePermit,
    ) -> Option<Accepted> {
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                self.fail(&error);
                return None;
            }
        };
        self.no_accept_before = None;
        let is_proxy = self.proxies.contains(from.ip());
        let of_peer = if is_proxy { None } else { self.peers.enter(from.ip()) };
        let is_admitted = is_proxy || of_peer.is_some();
        {
            let mut counts = self.counts.lock();
            counts.accepted += 1;
            if is_admitted {
                counts.open += 1;
            } else {
                counts.over_peer_limit += 1;
            }
        }
        if !is_admitted {
            self.peers.log_refusal(from, None);
            reset_on_drop(&stream);
            return None;
        }
        if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE) {
            tracing::debug!(%error, %from, "no TCP keepalive");
        }
        Some(Accepted {
            stream,
            from,
            is_proxy,
            permit: ConnectionPermit { _of_all: permit, _of_peer: of_peer },
        })
    }

    fn fail(&mut self, error: &io::Error) {
        self.counts.lock().accept_errors += 1;
        if is_of_one_connection(error) {
            return;
        }
        if self.no_accept_before.is_none() {
            tracing::warn!(%error, "no connection can be accepted; trying again");
        }
        self.no_accept_before = Some(Instant::now() + PAUSE_AFTER_ERROR);
    }
}

/// Closes the listener once nothing more is accepted.
impl Drop for Acceptor {
    fn drop(&mut self) {
        self.listener.close();
    }
}

/// Listens at the first address at which the system permits it.
async fn listen(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut result = Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to listen at"));
    for address in lookup_host(address).await? {
        result = listen_at(address);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // tokio sets this option too. Without the option, an address cannot be used for a minute after its last
    // use. The option is not set on Windows, where it lets other programs take the address away.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Makes a connection end with a reset when it is dropped. The kernel also discards the data of the
/// connection that was not sent or read.
pub(super) fn reset_on_drop(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection ends without a reset");
    }
}

/// Returns whether the error belongs to the connection that was to be accepted: accept(2) returns pending
/// network errors of the new connection. After such an error, the next accept may succeed.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn acceptor(max_connections: usize, max_connections_per_peer: usize) -> Acceptor {
        let options = ServerOptions {
            max_connections,
            max_connections_per_peer,
            max_queued_items: 1,
            max_queued_bytes: 1,
            proxies: Proxies::default(),
        };
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        Acceptor::new(Arc::new(listener), &options, Arc::default())
    }

    /// Returns how many connections were accepted, how many of them are over the limit of their peer, and how
    /// many errors there were.
    fn counted(acceptor: &Acceptor) -> (u64, u64, u64) {
        let counts = *acceptor.counts.lock();
        (counts.accepted, counts.over_peer_limit, counts.accept_errors)
    }

    async fn connect(acceptor: &Acceptor, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        socket.connect(acceptor.listener.local_addr().unwrap()).await.unwrap()
    }

    /// Polls the acceptor many times, and panics if it accepts a connection.
    async fn accepts_nothing(acceptor: &mut Acceptor) {
        for _ in 0..1000 {
            tokio::select! {
                biased;
                accepted = acceptor.accept() => panic!("{accepted:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_until_an_open_connection_ends() {
        let mut acceptor = acceptor(2, 64).await;
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(connect(&acceptor, "127.0.0.1").await);
        }
        let first = acceptor.accept().await;
        let _second = acceptor.accept().await;
        accepts_nothing(&mut acceptor).await;
        drop(first);
        assert_eq!(acceptor.accept().await.from, peers[2].local_addr().unwrap());
        assert_eq!(counted(&acceptor), (3, 0, 0));
    }

    #[tokio::test]
    async fn connections_beyond_a_peers_limit_are_reset_immediately_and_take_no_place() {
        let mut acceptor = acceptor(3, 2).await;
        let mut peers = Vec::new();
        for from in ["127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3"] {
            peers.push(connect(&acceptor, from).await);
        }
        let first = acceptor.accept().await;
        let _second = acceptor.accept().await;
        let other = acceptor.accept().await;
        assert_eq!(other.from, peers[4].local_addr().unwrap());
        assert_eq!(counted(&acceptor), (5, 2, 0));
        for over_limit in &mut peers[2..4] {
            let error = over_limit.read(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            over_limit.write_all(b"x").await.unwrap_err();
        }
        drop(first);
        let again = connect(&acceptor, "127.0.0.2").await;
        assert_eq!(acceptor.accept().await.from, again.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_listener_gets_the_first_address_that_is_free() {
        let listener = listen("127.0.0.1:0").await.unwrap();
        let taken = listener.local_addr().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_ne!(listen(&[taken, any][..]).await.unwrap().local_addr().unwrap(), taken);
        assert_eq!(listen(taken).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(listen(&[][..]).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn permits_come_back_when_a_call_of_accept_or_a_connection_is_dropped() {
        let mut acceptor = acceptor(1, 1).await;
        accepts_nothing(&mut acceptor).await;
        for _ in 0..3 {
            let _peer = connect(&acceptor, "127.0.0.1").await;
            drop(acceptor.accept().await);
        }
        assert_eq!(counted(&acceptor), (3, 0, 0));
        assert_eq!((acceptor.permits.available_permits(), acceptor.peers.len()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_error_of_the_system_nothing_is_accepted_for_100_ms() {
        let mut acceptor = acceptor(1, 1).await;
        let _peer = connect(&acceptor, "127.0.0.1").await;
        let before = Instant::now();
        acceptor.fail(&io::Error::other("no file descriptors"));
        acceptor.accept().await;
        assert_eq!(before.elapsed(), Duration::from_millis(100));
        assert_eq!(acceptor.no_accept_before, None);
        assert_eq!(counted(&acceptor), (1, 0, 1));
    }

    #[tokio::test]
    async fn an_error_of_one_connection_is_counted_and_causes_no_pause() {
        let mut acceptor = acceptor(1, 1).await;
        for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::HostUnreachable] {
            acceptor.fail(&kind.into());
        }
        assert_eq!((counted(&acceptor), acceptor.no_accept_before), ((0, 0, 2), None));
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_listener_that_closes_accepts_waiting_connections_and_no_new_connections() {
        let mut acceptor = acceptor(64, 64).await;
        let mut peers = Vec::new();
        for _ in 0..5 {
            peers.push(connect(&acceptor, "127.0.0.1").await);
        }
        acceptor.refuse_new();
        let late = TcpStream::connect(acceptor.listener.local_addr().unwrap());
        tokio::time::timeout(Duration::from_millis(100), late).await.unwrap_err();
        let mut accepted = Vec::new();
        while let Some(connection) = acceptor.accept_waiting().await {
            accepted.push(connection.from);
        }
        assert_eq!(accepted, peers.iter().map(|peer| peer.local_addr().unwrap()).collect::<Vec<_>>());
    }
}
