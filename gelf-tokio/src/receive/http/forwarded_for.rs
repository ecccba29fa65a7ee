//! Finds the client of a request that HTTP proxies have forwarded, by the header `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;

use crate::receive::IpNetwork;

/// Returns the address of the client of a request that came from `peer`.
///
/// A peer that is not a proxy is itself the client. Each proxy appends the address from which it received the
/// request. Therefore the client of a proxy has the last address in the list that does not belong to a proxy, or the
/// first address if all belong to proxies. All entries to the left of the client's address are the client's own
/// claims. If an entry is not an address (`unknown`, or a name that hides the address), the proxy that wrote the
/// entry stands for the client. A client whose port is not named has port 0.
pub(super) fn client(peer: SocketAddr, head: &HeaderMap, proxies: &[IpNetwork]) -> SocketAddr {
    let is_proxy = |address: SocketAddr| proxies.iter().any(|network| network.contains(address.ip()));
    let mut client = peer;
    let entries = head.get_all("x-forwarded-for").iter().rev();
    let mut entries = entries.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    while is_proxy(client) {
        match entries.next().and_then(address) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// Parses an address with or without a port; an IPv6 address may be in brackets.
fn address(entry: &[u8]) -> Option<SocketAddr> {
    let entry = std::str::from_utf8(entry.trim_ascii()).ok()?;
    if let Ok(address) = entry.parse() {
        return Some(address);
    }
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']'));
    let address = match bare {
        Some(bare) => IpAddr::V6(bare.parse().ok()?),
        None => entry.parse().ok()?,
    };
    Some(SocketAddr::new(address, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    /// Returns the client of a request from 10.0.0.1:5000 with these headers, behind the proxies 10.0.0.0/8
    /// and 2001:db8::/32.
    fn client_of(headers: &[&[u8]]) -> String {
        client_from("10.0.0.1:5000", headers)
    }

    fn client_from(peer: &str, headers: &[&[u8]]) -> String {
        let mut head = HeaderMap::new();
        for header in headers {
            head.append("x-forwarded-for", HeaderValue::from_bytes(header).unwrap());
        }
        let proxies = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        client(peer.parse().unwrap(), &head, &proxies).to_string()
    }

    #[test]
    fn the_client_is_the_first_address_from_the_right_that_is_no_proxy() {
        for (headers, client) in [
            (&[&b"192.0.2.1"[..]][..], "192.0.2.1:0"),
            (&[b"192.0.2.1, 10.0.0.2,10.0.0.3"], "192.0.2.1:0"),
            // The client claims another address.
            (&[b"198.51.100.1, 192.0.2.1, 10.0.0.2"], "192.0.2.1:0"),
            (&[b"10.0.0.9, 192.0.2.1"], "192.0.2.1:0"),
            // Several headers are one list.
            (&[b"198.51.100.1, 192.0.2.1", b"10.0.0.3", b"10.0.0.2"], "192.0.2.1:0"),
            (&[b"192.0.2.1:4711, 2001:db8::1"], "192.0.2.1:4711"),
            (&[b"[2001:db9::1]:4711, [2001:db8::1]:80, [2001:db8::2]"], "[2001:db9::1]:4711"),
            (&[b"2001:db9::1,::ffff:10.0.0.4"], "[2001:db9::1]:0"),
            // Proxies can send messages themselves.
            (&[b"10.0.0.3, 10.0.0.2"], "10.0.0.3:0"),
            (&[], "10.0.0.1:5000"),
        ] {
            assert_eq!(client_of(headers), client, "{headers:?}");
        }
    }

    #[test]
    fn the_walk_stops_at_an_entry_that_is_not_an_address() {
        for entry in [
            "",
            "unknown",
            "_hidden",
            "host.example",
            "192.0.2.1:port",
            "192.0.2.256",
            "[192.0.2.1]",
            "[::1",
            "\"192.0.2.1\"",
            "192.0.2.1 10.0.0.2",
            "192.0.2.0/24",
        ] {
            for before in ["", "192.0.2.1, "] {
                let header = format!("{before}{entry}, 10.0.0.2");
                assert_eq!(client_of(&[header.as_bytes()]), "10.0.0.2:0", "{header:?}");
                assert_eq!(client_of(&[format!("{before}{entry}").as_bytes()]), "10.0.0.1:5000", "{entry:?}");
            }
        }
        assert_eq!(client_of(&[b"192.0.2.1, \xff, 10.0.0.2"]), "10.0.0.2:0");
    }

    #[test]
    fn a_peer_that_is_no_proxy_is_the_client_whatever_it_claims() {
        assert_eq!(client_from("192.0.2.7:5000", &[b"10.0.0.9, 198.51.100.1"]), "192.0.2.7:5000");
    }
}
