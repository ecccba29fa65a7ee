//! Where datagrams go: a socket that is connected to one of the destination's addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::names::Names;
use crate::resolve::Resolve;

/// What the kernel is asked to hold of what is not on the wire yet: 128 chunks of 8 KiB.
const SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// How long one round over all addresses takes at least, so that a destination that is down costs no socket for each
/// message.
const ROUND: Duration = Duration::from_secs(1);

/// A destination, and which of its addresses is the present one.
///
/// There is a new socket for each: one that is connected again would keep its own address, which may not be the one from
/// which there is a way to the new destination, and the errors that the old one has earned.
#[derive(Debug)]
pub(super) struct Destination {
    socket: UdpSocket,
    address: SocketAddr,
    addresses: Vec<SocketAddr>,
    /// None when the host is an address.
    names: Option<Names>,
    /// What was sent to the present address failed.
    failed: bool,
    round: Round,
}

/// How many addresses may still be tried until when.
#[derive(Debug)]
struct Round {
    left: usize,
    ends: Instant,
}

impl Destination {
    /// Looks the host up, unless it is an address, and connects to the first address that there is a way to.
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

    /// Goes elsewhere, if the name has other addresses now, or the present address has failed; whether it did. To be
    /// asked before each message: it costs nothing when there is nothing new, and never waits.
    pub(super) fn follow(&mut self) -> bool {
        if let Some(addresses) = self.names.as_mut().and_then(Names::found) {
            let is_gone = !addresses.contains(&self.address);
            self.addresses = addresses;
            if is_gone {
                self.round = Round { left: self.addresses.len(), ends: Instant::now() + ROUND };
                self.failed = true;
            }
        }
        self.failed && self.go_on()
    }

    /// What was sent to the present address failed: because nobody listens there, or because there is no way.
    pub(super) fn failed(&mut self, is_refused: bool) {
        if let Some(names) = &self.names {
            names.ask();
        }
        // When there is no other address, another socket does not help against the first; against the second it may,
        // when it was the sender's own address that has changed.
        self.failed |= !is_refused || self.addresses.len() > 1;
    }

    /// Connects to the address behind the present one, or the first; the present one is the last to be tried.
    fn go_on(&mut self) -> bool {
        if self.round.left == 0 {
            let now = Instant::now();
            if now < self.round.ends {
                return false;
            }
            self.round = Round { left: self.addresses.len(), ends: now + ROUND };
        }
        self.round.left -= 1;
        let next = self.addresses.iter().position(|address| *address == self.address).map_or(0, |at| at + 1);
        let (before, behind) = self.addresses.split_at(next.min(self.addresses.len()));
        match connect_to_first(behind.iter().chain(before).copied()) {
            Ok((address, socket)) => {
                tracing::debug!(from = %self.address, to = %address, "messages over UDP go to another address");
                (self.address, self.socket, self.failed) = (address, socket, false);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "there is no way to any of the destination's addresses");
                false
            }
        }
    }
}

/// A socket for the first address that there is a way to; else why there is none to the last.
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

/// Nothing here waits, so it needs no tokio.
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
