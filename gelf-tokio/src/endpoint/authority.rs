//! Parses host and port.

use std::net::Ipv6Addr;

use crate::endpoint::error::without_options;
use crate::endpoint::{Endpoint, InvalidEndpoint};

/// The maximum length of a host name in the domain name system (RFC 1035, section 2.3.4), in bytes.
const MAX_NAME_LEN: usize = 253;

/// The maximum length of a zone, in bytes. Names of interfaces have up to 15 bytes on Linux.
const MAX_ZONE_LEN: usize = 63;

/// Writes `HOST:PORT` in the form that [`read`] parses.
pub(super) fn show(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{}]:{port}", host.replace('%', "%25")),
        false => format!("{host}:{port}"),
    }
}

/// Parses `HOST[:PORT]`, where an IPv6 address is in brackets. Returns the host without brackets, and the
/// port.
pub(super) fn read(authority: &str) -> Result<(String, u16), InvalidEndpoint> {
    let host_len = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, after) = authority.split_at(host_len);
    let port = after.strip_prefix(':');
    // Only a colon and a port may follow the host. A second colon is refused: it is probably part of an IPv6
    // address without brackets.
    let is_separated = port.map_or(after.is_empty(), |port| !port.contains(':'));
    let host = read_host(host).filter(|_| is_separated);
    let host = host.ok_or_else(|| InvalidEndpoint::Host { host: without_options(authority) })?;
    match port {
        Some(port) => Ok((host, read_port(port)?)),
        None => Ok((host, Endpoint::DEFAULT_PORT)),
    }
}

/// Parses a name, an IPv4 address, or an IPv6 address with or without brackets. Returns the host without
/// brackets.
///
/// An IPv6 address may have a zone, such as the name of an interface. The address is written `fe80::1%25eth0`
/// in a URI (RFC 6874, section 2) and `fe80::1%eth0` elsewhere; the second form is returned.
pub(super) fn read_host(text: &str) -> Option<String> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (address, zone) = match bracketed.unwrap_or(text).split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (bracketed.unwrap_or(text), None),
    };
    if let Ok(address) = address.parse::<Ipv6Addr>() {
        let Some(zone) = zone else { return Some(address.to_string()) };
        let zone = zone.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(zone);
        let is_zone_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_zone = (1..=MAX_ZONE_LEN).contains(&zone.len()) && zone.bytes().all(is_zone_byte);
        return is_zone.then(|| format!("{address}%{zone}"));
    }
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_name = (1..=MAX_NAME_LEN).contains(&text.len()) && text.bytes().all(is_host_byte);
    is_name.then(|| text.to_owned())
}

/// Returns a host without the zone of an IPv6 address. The result is the name by which a peer knows the host.
#[cfg(any(feature = "http", feature = "tls"))]
pub(crate) fn without_zone(host: &str) -> &str {
    host.split('%').next().unwrap_or_default()
}

fn read_port(text: &str) -> Result<u16, InvalidEndpoint> {
    match text.parse() {
        // `parse` would accept a plus sign.
        Ok(port) if port != 0 && !text.starts_with('+') => Ok(port),
        _ => Err(InvalidEndpoint::Port { port: without_options(text) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_and_the_port_is_12201_unless_given() {
        for (authority, host, port) in [
            ("logstash.core", "logstash.core", 12201),
            ("Log_Stash-1:1", "Log_Stash-1", 1),
            ("h:65535", "h", 65535),
            ("10.0.0.7:12202", "10.0.0.7", 12202),
            ("[2001:db8::7]", "2001:db8::7", 12201),
            ("[::1]:99", "::1", 99),
            ("[fe80::1%25eth0]:99", "fe80::1%eth0", 99),
            ("[fe80::1%eth0.1]", "fe80::1%eth0.1", 12201),
            ("[fe80::1%25]", "fe80::1%25", 12201),
            ("[fe80::1%2525]", "fe80::1%25", 12201),
            ("[0:0::FFFF:10.0.0.7]", "::ffff:10.0.0.7", 12201),
        ] {
            assert_eq!(read(authority), Ok((host.to_owned(), port)));
        }
    }

    #[test]
    fn an_invalid_host_is_refused() {
        for authority in [
            "",
            ":12201",
            "a b",
            "a/b",
            "ä",
            "h%41",
            "::1:12201",
            "fe80::1",
            "h:1:2",
            "[::1",
            "::1]",
            "[::1]12201",
            "[::1]]",
            "[[::1]]",
            "[]",
            "[h]",
            "[10.0.0.7]",
            "[fe80::1%]",
            "[fe80::1%eth 0]",
            "[10.0.0.1%eth0]",
            "h%eth0",
            "[::1]:1:2",
            "h]:1",
        ] {
            assert_eq!(read(authority), Err(InvalidEndpoint::Host { host: authority.to_owned() }));
        }
    }

    #[test]
    fn a_port_is_a_number_from_1_to_65535() {
        for port in ["", "0", "+1", "-1", "65536", "1 ", "http", "٣"] {
            for host in ["h", "[::1]"] {
                let read = read(&format!("{host}:{port}"));
                assert_eq!(read, Err(InvalidEndpoint::Port { port: port.to_owned() }));
            }
        }
    }

    #[test]
    fn a_host_name_has_at_most_253_bytes() {
        let longest = "h".repeat(253);
        assert_eq!(read(&longest), Ok((longest.clone(), 12201)));
        let longer = longest + "h";
        assert_eq!(read(&longer), Err(InvalidEndpoint::Host { host: longer }));
    }

    #[test]
    fn a_host_by_itself_needs_no_brackets() {
        assert_eq!(read_host("::1").as_deref(), Some("::1"));
        assert_eq!(read_host("[::1]").as_deref(), Some("::1"));
        assert_eq!(read_host("logs.example").as_deref(), Some("logs.example"));
        for wrong in ["", "h:1", "[::1]:1", "[h]"] {
            assert_eq!(read_host(wrong), None);
        }
    }
}
