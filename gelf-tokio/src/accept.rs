//! Accepts connections within limits, whatever the system and the peers do.

mod peers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use peers::{Guest, Peers};

/// How many connections the kernel is asked to keep until they are accepted. Linux grants no more than
/// `net.core.somaxconn`, by default 4,096. tokio asks for 128, which a few hosts that start together may fill.
const BACKLOG: u32 = 1024;

/// How long no connection is accepted after the system could not give one: file descriptors do not come back faster.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// When a silent connection is asked whether it is still there: its place may be wanted.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10));

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AcceptLimits {
    /// At once; at least 1. Further ones wait, unaccepted, in the kernel. It stops floods of connections.
    pub(crate) max_connections: usize,
    /// Of one IPv4 address, or of one IPv6 network of 64 bits; at least 1. Further ones are closed at once. It stops a
    /// single peer from taking all places.
    pub(crate) max_connections_per_peer: usize,
}

/// A listener that never ends.
///
/// An error of the system, as when all file descriptors are in use, is counted and followed by a pause.
#[derive(Debug)]
pub(crate) struct Accept {
    listener: TcpListener,
    places: Arc<Semaphore>,
    peers: Arc<Peers>,
    no_accept_before: Option<Instant>,
    stats: AcceptStats,
}

/// What an [`Accept`] has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct AcceptStats {
    /// Connections that the system gave, with those that were refused.
    pub(crate) connections: u64,
    /// Times that the system could not give one.
    pub(crate) errors: u64,
    /// Connections closed at once, for their peer had as many as it may have.
    pub(crate) refused: u64,
}

/// A connection, and its place.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) from: SocketAddr,
    /// To be kept as long as the connection is open.
    pub(crate) place: Place,
}

/// Counts as one connection until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_peer: Guest,
}

impl Accept {
    /// Listens at an address; port 0 is any free one.
    pub(crate) async fn bind(address: impl ToSocketAddrs, limits: AcceptLimits) -> io::Result<Self> {
        let max_connections = limits.max_connections.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            listener: listen(address).await?,
            places: Arc::new(Semaphore::new(max_connections)),
            peers: Peers::new(limits.max_connections_per_peer.max(1)),
            no_accept_before: None,
            stats: AcceptStats::default(),
        })
    }

    /// Waits for the next connection, and for a place. No connection is lost if the future is dropped before it is
    /// ready.
    pub(crate) async fn next(&mut self) -> Accepted {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                // Nobody closes the semaphore.
                return std::future::pending().await;
            };
            if let Some(instant) = self.no_accept_before {
                sleep_until(instant).await;
            }
            let accepted = self.listener.accept().await;
            if let Some(accepted) = self.seat(accepted, place) {
                return accepted;
            }
        }
    }

    /// What it has done so far.
    pub(crate) fn stats(&self) -> AcceptStats {
        self.stats
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn seat(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        place: OwnedSemaphorePermit,
    ) -> Option<Accepted> {
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                self.fail(&error);
                return None;
            }
        };
        self.no_accept_before = None;
        self.stats.connections += 1;
        let Some(guest) = self.peers.enter(from.ip()) else {
            if self.stats.refused == 0 {
                tracing::warn!(%from, "a peer has as many connections as it may have; further ones are closed");
            } else {
                tracing::debug!(%from, "a connection too many of one peer is closed");
            }
            self.stats.refused += 1;
            reset_on_drop(&stream);
            return None;
        };
        if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE) {
            tracing::debug!(%error, %from, "no TCP keepalive");
        }
        Some(Accepted { stream, from, place: Place { _of_all: place, _of_peer: guest } })
    }

    fn fail(&mut self, error: &io::Error) {
        self.stats.errors += 1;
        if is_of_one_connection(error) {
            return;
        }
        if self.no_accept_before.is_none() {
            tracing::warn!(%error, "no connection can be accepted; trying again");
        }
        self.no_accept_before = Some(Instant::now() + PAUSE_AFTER_ERROR);
    }
}

/// Listens at the first address that can be listened at.
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
    // As tokio does: else an address cannot be used for a minute after its last user. On Windows, it means that others
    // may take the address away.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Makes a connection end with a reset when it is dropped, so that the next write of its peer fails. After a plain end
/// that write would succeed, and what it carries would be lost without the peer's knowledge. Nothing of it stays with
/// the kernel either.
pub(crate) fn reset_on_drop(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection ends without a reset");
    }
}

/// Whether the connection that was to be accepted is at fault, and the next one may do: accept(2) hands on errors of
/// the network that are already known of it.
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

    async fn accept(max_connections: usize, max_connections_per_peer: usize) -> Accept {
        let limits = AcceptLimits { max_connections, max_connections_per_peer };
        Accept::bind("127.0.0.1:0", limits).await.unwrap()
    }

    async fn connect(accept: &Accept, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        socket.connect(accept.local_addr().unwrap()).await.unwrap()
    }

    /// Lets it work though nothing is to be accepted.
    async fn accepts_nothing(accept: &mut Accept) {
        for _ in 0..1000 {
            tokio::select! {
                biased;
                accepted = accept.next() => panic!("{accepted:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_until_a_place_is_free() {
        let mut accept = accept(2, 64).await;
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(connect(&accept, "127.0.0.1").await);
        }
        let first = accept.next().await;
        let _second = accept.next().await;
        accepts_nothing(&mut accept).await;
        drop(first);
        assert_eq!(accept.next().await.from, peers[2].local_addr().unwrap());
        assert_eq!(accept.stats(), AcceptStats { connections: 3, errors: 0, refused: 0 });
    }

    #[tokio::test]
    async fn connections_beyond_a_peers_limit_are_reset_at_once_and_take_no_place() {
        let mut accept = accept(3, 2).await;
        let mut peers = Vec::new();
        for from in ["127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3"] {
            peers.push(connect(&accept, from).await);
        }
        let first = accept.next().await;
        let _second = accept.next().await;
        let other = accept.next().await;
        assert_eq!(other.from, peers[4].local_addr().unwrap());
        assert_eq!(accept.stats(), AcceptStats { connections: 5, errors: 0, refused: 2 });
        for refused in &mut peers[2..4] {
            let error = refused.read(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            refused.write_all(b"x").await.unwrap_err();
        }
        drop(first);
        let again = connect(&accept, "127.0.0.2").await;
        assert_eq!(accept.next().await.from, again.local_addr().unwrap());
    }

    #[tokio::test]
    async fn the_first_address_that_can_be_listened_at_is_taken() {
        let listener = listen("127.0.0.1:0").await.unwrap();
        let taken = listener.local_addr().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_ne!(listen(&[taken, any][..]).await.unwrap().local_addr().unwrap(), taken);
        assert_eq!(listen(taken).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(listen(&[][..]).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn places_come_back_however_a_wait_is_given_up() {
        let mut accept = accept(1, 1).await;
        accepts_nothing(&mut accept).await;
        for _ in 0..3 {
            let _peer = connect(&accept, "127.0.0.1").await;
            drop(accept.next().await);
        }
        assert_eq!(accept.stats().refused, 0);
        assert_eq!((accept.places.available_permits(), accept.peers.len()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_error_of_the_system_nothing_is_accepted_for_100_ms() {
        let mut accept = accept(1, 1).await;
        let _peer = connect(&accept, "127.0.0.1").await;
        let before = Instant::now();
        accept.fail(&io::Error::other("no file descriptors"));
        accept.next().await;
        assert_eq!(before.elapsed(), Duration::from_millis(100));
        assert_eq!(accept.no_accept_before, None);
        assert_eq!(accept.stats().errors, 1);
    }

    #[tokio::test]
    async fn after_an_error_of_one_connection_the_next_is_accepted_at_once() {
        let mut accept = accept(1, 1).await;
        for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::HostUnreachable] {
            accept.fail(&kind.into());
        }
        assert_eq!((accept.stats().errors, accept.no_accept_before), (2, None));
    }
}
