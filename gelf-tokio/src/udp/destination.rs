//! The destination of datagrams: a socket connected to one of its addresses.

use std::io;
use std::mem::replace;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::names::Names;
use crate::resolve::Resolve;

/// The size, in bytes, of the send buffer that is requested from the kernel: 128 chunks of 8 KiB.
const SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// The shortest time for a round over all addresses. Without this limit, each message to a destination that
/// is down would cost a new socket.
const ROUND: Duration = Duration::from_secs(1);

/// A destination and its current address.
///
/// Each address gets a new socket. A socket that is connected again would keep its local address and the
/// pending errors of the old destination address. The new destination address may be unreachable from the old
/// local address.
#[derive(Debug)]
pub(super) struct Destination {
    socket: UdpSocket,
    address: SocketAddr,
    addresses: Vec<SocketAddr>,
    /// The lookup of the host's name. `None` if the host is an address.
    names: Option<Names>,
    /// `true` if a new socket is wanted, since sending to the current address failed or the name no longer has
    /// this address.
    failed: bool,
    round: Round,
}

/// The number of attempts to get a new socket that are left in a round, and the time before which no other
/// round begins.
#[derive(Debug)]
struct Round {
    left: usize,
    ends: Instant,
}

impl Destination {
    /// Looks the host up, unless it is an address, and connects to the first reachable address.
    pub(super) async fn connect(resolver: Arc<dyn Resolve>, host: &str, port: u16) -> io::Result<Self> {
        let (names, addresses) = match host.parse::<IpAddr>() {
            Ok(ip) => (None, vec![(ip, port).into()]),
            Err(_) => {
                let (names, addresses) = Names::look_up(resolver, host.to_owned(), port).await?;
                (Some(names), addresses)
            }
        };
        let (address, socket) = connect_to_first(addresses.iter().copied())?;
        let round = Round { left: 0, ends: Instant::now() };
        Ok(Self { socket, address, addresses, names, failed: false, round })
    }

    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Replaces the socket if the current address has failed, or if the name no longer has this address. The
    /// socket stays if no address is reachable, or if the round has no attempt left. The new socket leads to
    /// another address if another address is reachable. Returns the old socket if there is a new one. The
    /// method is called before each message, and never waits.
    pub(super) fn follow(&mut self) -> Option<UdpSocket> {
        if let Some(addresses) = self.names.as_mut().and_then(Names::found) {
            let is_gone = !addresses.contains(&self.address);
            self.addresses = addresses;
            if is_gone {
                self.round = Round { left: self.addresses.len(), ends: Instant::now() + ROUND };
                self.failed = true;
            }
        }
        if self.failed { self.connect_to_next() } else { None }
    }

    /// Notes that sending to the current address failed: the host refused, or there is no route that may be used.
    pub(super) fn failed(&mut self, is_refused: bool) {
        if let Some(names) = &self.names {
            names.ask();
        }
        // If there is no other address, a new socket does not help against a refusal. If there is no route, a
        // new socket may help, since the sender's own address may have changed.
        self.failed |= !is_refused || self.addresses.len() > 1;
    }

    /// Connects to the next reachable address. The first address follows the last, and the current address is
    /// tried last. Returns the old socket if there is a new one.
    fn connect_to_next(&mut self) -> Option<UdpSocket> {
        if self.round.left == 0 {
            let now = Instant::now();
            if now < self.round.ends {
                return None;
            }
            self.round = Round { left: self.addresses.len(), ends: now + ROUND };
        }
        self.round.left -= 1;
        let next = self.addresses.iter().position(|address| *address == self.address).map_or(0, |at| at + 1);
        let (before, behind) = self.addresses.split_at(next.min(self.addresses.len()));
        match connect_to_first(behind.iter().chain(before).copied()) {
            Ok((address, socket)) => {
                tracing::debug!(from = %self.address, to = %address, "messages over UDP go through a new socket");
                (self.address, self.failed) = (address, false);
                Some(replace(&mut self.socket, socket))
            }
            Err(error) => {
                tracing::debug!(%error, "none of the destination's addresses is reachable");
                None
            }
        }
    }
}

/// Returns a socket for the first reachable address, or the error of the last address.
fn connect_to_first(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<(SocketAddr, UdpSocket)> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in addresses {
        result = connect_to(address).map(|socket| (address, socket));
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Connects a socket. Connecting a UDP socket never waits.
fn connect_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    if let Err(error) = SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES) {
        // A smaller buffer only makes a sender wait more often.
        tracing::debug!(%error, "the UDP send buffer keeps its size");
    }
    UdpSocket::from_std(socket)
}
