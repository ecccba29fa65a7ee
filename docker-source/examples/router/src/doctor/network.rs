//! Finds the length of the largest packet that the network carries towards an address.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Returns the maximum length of a packet to the address, in bytes. This is the limit of the interface, or a
/// smaller limit that the system has learned for the path. Sends nothing.
///
/// # Errors
/// Returns an error if there is no route to the address.
#[cfg(target_os = "linux")]
pub(super) fn mtu(address: SocketAddr) -> io::Result<usize> {
    let mtu = match address {
        SocketAddr::V4(_) => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(address)?;
            rustix::net::sockopt::ip_mtu(&socket)?
        }
        SocketAddr::V6(_) => {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
            socket.connect(address)?;
            rustix::net::sockopt::ipv6_mtu(&socket)?
        }
    };
    usize::try_from(mtu).map_err(io::Error::other)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn mtu(_: SocketAddr) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_own_limit() {
        let limit: usize = std::fs::read_to_string("/sys/class/net/lo/mtu").unwrap().trim().parse().unwrap();
        // An IPv4 packet has 65,535 bytes at most.
        assert_eq!(mtu("127.0.0.1:9".parse().unwrap()).unwrap(), limit.min(65_535));
        if let Ok(found) = mtu("[::1]:9".parse().unwrap()) {
            assert_eq!(found, limit);
        }
    }
}
