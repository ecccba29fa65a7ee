//! Counts the connections of each peer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections by peer. The map has one entry for each peer with a connection.
#[derive(Debug)]
pub(super) struct Peers {
    max: usize,
    connections: Mutex<HashMap<IpAddr, usize>>,
    /// `true` once a refusal is logged as a warning.
    has_warned: AtomicBool,
}

/// A permit for one connection of a peer. The connection counts until its permit is dropped.
#[derive(Debug)]
pub(super) struct PeerPermit {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, connections: Mutex::default(), has_warned: AtomicBool::new(false) })
    }

    /// Counts one more connection from an address. Returns `None` if the peer already has `max` connections.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<PeerPermit> {
        let peer = peer_of(address);
        let mut connections = self.lock();
        let count = connections.entry(peer).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(PeerPermit { peers: Arc::clone(self), peer })
    }

    /// Logs that a connection is reset because its peer has `max` connections. The first refusal is a warning,
    /// whether the peer is connected directly or through a proxy.
    pub(super) fn log_refusal(&self, from: SocketAddr, proxy: Option<SocketAddr>) {
        let proxy = proxy.map(tracing::field::display);
        if self.has_warned.swap(true, Relaxed) {
            tracing::debug!(%from, proxy, "a connection beyond the limit of its peer is reset");
        } else {
            tracing::warn!(%from, proxy, "a peer has reached its limit of connections; further ones are reset");
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PeerPermit {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.peers.lock().entry(self.peer) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Returns the peer to which an address belongs: the IPv4 address itself, or the IPv6 network of 64 bits. A
/// single host can use all addresses of its IPv6 network.
fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_peer_and_a_mapped_ipv4_address_counts_as_its_ipv4_address() {
        for (address, peer) in [
            ("10.0.0.7", "10.0.0.7"),
            ("::ffff:10.0.0.7", "10.0.0.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("2001:db8:1:3::", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            assert_eq!(peer_of(address.parse().unwrap()), peer.parse::<IpAddr>().unwrap());
        }
    }

    /// Keeps the level of each event.
    #[derive(Clone, Default)]
    struct Levels(Arc<Mutex<Vec<tracing::Level>>>);

    impl tracing::Subscriber for Levels {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            self.0.lock().unwrap().push(*event.metadata().level());
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn the_first_refusal_is_a_warning_also_behind_a_proxy() {
        let (client, proxy) = ("10.0.0.7:1".parse().unwrap(), "10.0.0.8:2".parse().unwrap());
        for first in [None, Some(proxy)] {
            let levels = Levels::default();
            let peers = Peers::new(1);
            tracing::subscriber::with_default(levels.clone(), || {
                peers.log_refusal(client, first);
                peers.log_refusal(client, None);
            });
            assert_eq!(*levels.0.lock().unwrap(), [tracing::Level::WARN, tracing::Level::DEBUG]);
        }
    }

    proptest! {
        #[test]
        fn no_peer_exceeds_its_share_and_disconnected_peers_take_no_memory(
            steps in prop::collection::vec((any::<bool>(), 0u8..4, any::<prop::sample::Index>()), 0..200),
        ) {
            let peers = Peers::new(3);
            let mut open: Vec<(u8, PeerPermit)> = Vec::new();
            for (enters, host, which) in steps {
                if enters {
                    let of_host = open.iter().filter(|(other, _)| *other == host).count();
                    let guest = peers.enter(IpAddr::from([10, 0, 0, host]));
                    prop_assert_eq!(guest.is_some(), of_host < 3);
                    open.extend(guest.map(|guest| (host, guest)));
                } else if !open.is_empty() {
                    open.swap_remove(which.index(open.len()));
                }
            }
            let hosts: std::collections::HashSet<u8> = open.iter().map(|(host, _)| *host).collect();
            prop_assert_eq!(peers.len(), hosts.len());
            open.clear();
            prop_assert_eq!(peers.len(), 0);
        }
    }
}
