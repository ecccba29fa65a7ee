//! Counts the connections of each peer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections by peer. The map has one entry for each peer with a connection.
#[derive(Debug)]
pub(super) struct Peers {
    max: usize,
    connections: Mutex<HashMap<IpAddr, usize>>,
}

/// A permit for one connection of a peer. The connection counts until its permit is dropped.
#[derive(Debug)]
pub(super) struct PeerPermit {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, connections: Mutex::default() })
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
