//! Networks of IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network of IP addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address. An IPv4-mapped IPv6 address
/// (RFC 4291, section 2.5.5.2) counts as the IPv4 address.
///
/// # Examples
///
/// ```
/// use gelf_tokio::options::IpNetwork;
///
/// let network: IpNetwork = "10.1.0.0/16".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?));
/// assert!(!network.contains("10.2.0.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IpNetwork {
    /// The first address of the network, which is never an IPv4-mapped address.
    address: IpAddr,
    prefix_len: u8,
}

/// The error for a text that is not an [`IpNetwork`], or for a prefix length that [`IpNetwork::new`] does not accept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidIpNetwork;

impl IpNetwork {
    /// Returns the network of all addresses whose first `prefix_len` bits are those of `address`.
    ///
    /// # Errors
    /// Returns an error if the address has fewer bits than the prefix, or if a bit after the prefix is set,
    /// as in `10.0.0.7/8`.
    pub fn new(address: IpAddr, prefix_len: u8) -> Result<Self, InvalidIpNetwork> {
        let network = match (address, address.to_canonical()) {
            (IpAddr::V6(_), v4 @ IpAddr::V4(_)) => {
                Self { address: v4, prefix_len: prefix_len.checked_sub(96).ok_or(InvalidIpNetwork)? }
            }
            _ => Self { address, prefix_len },
        };
        match network.first_of(network.address) {
            Some(first) if first == network.address => Ok(network),
            _ => Err(InvalidIpNetwork),
        }
    }

    /// Returns whether the network contains the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first_of(address.to_canonical()) == Some(self.address)
    }

    /// Returns the address with the bits after the prefix cleared, or `None` if the address has fewer bits
    /// than the prefix.
    fn first_of(&self, address: IpAddr) -> Option<IpAddr> {
        let prefix_len = u32::from(self.prefix_len);
        Some(match address {
            IpAddr::V4(address) => {
                let host_bits = Ipv4Addr::BITS.checked_sub(prefix_len)?;
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let host_bits = Ipv6Addr::BITS.checked_sub(prefix_len)?;
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        })
    }
}

/// Converts an address to the network of that single address.
impl From<IpAddr> for IpNetwork {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix_len: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for IpNetwork {
    type Err = InvalidIpNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidIpNetwork> {
        let Some((address, prefix_len)) = text.split_once('/') else {
            return text.parse().map(|address: IpAddr| address.into()).map_err(|_| InvalidIpNetwork);
        };
        if !prefix_len.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidIpNetwork);
        }
        match (address.parse(), prefix_len.parse()) {
            (Ok(address), Ok(prefix_len)) => Self::new(address, prefix_len),
            _ => Err(InvalidIpNetwork),
        }
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

impl fmt::Display for InvalidIpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not an IP network: expected an address, or the first address of a network and the length of its \
             prefix, such as 10.0.0.0/8",
        )
    }
}

impl std::error::Error for InvalidIpNetwork {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_with_its_prefix() {
        for (network, inside, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "a00::"][..],
            ),
            ("0.0.0.0/0", &["255.255.255.255", "::ffff:0.0.0.0"], &["::", "::1"]),
            ("::/0", &["::", "ffff::1"], &["10.0.0.1", "::ffff:10.0.0.1"]),
            ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
            ("192.0.2.6/31", &["192.0.2.6", "192.0.2.7"], &["192.0.2.5", "192.0.2.8"]),
            ("2001:db8::/33", &["2001:db8::1", "2001:db8:7fff::"], &["2001:db8:8000::"]),
            ("::1", &["::1"], &["::", "0.0.0.1"]),
            ("::ffff:10.0.0.0/104", &["10.9.9.9", "::ffff:10.9.9.9"], &["11.0.0.0"]),
        ] {
            let parsed: IpNetwork = network.parse().unwrap();
            for address in inside {
                assert!(parsed.contains(address.parse().unwrap()), "{address} in {network}");
            }
            for address in outside {
                assert!(!parsed.contains(address.parse().unwrap()), "{address} in {network}");
            }
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/256",
            "10.0.0/8",
            "10.0.0.7/8",
            "::1/64",
            "::/129",
            "::ffff:10.0.0.0/95",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "host",
        ] {
            assert_eq!(text.parse::<IpNetwork>(), Err(InvalidIpNetwork), "{text:?}");
        }
    }
}
