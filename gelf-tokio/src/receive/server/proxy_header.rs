//! Parses the header of the PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The maximum length of a header of version 1 with its end of line (section 2.1), in bytes.
const MAX_V1_LEN: usize = 107;

/// The maximum length of a header that is accepted, in bytes. Version 2 permits 65,551 bytes; proxies send a
/// few hundred bytes.
pub(super) const MAX_LEN: usize = 4096;

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The length of the fixed part of version 2.
const V2_FIXED_LEN: usize = 16;

/// The result of parsing the first bytes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Parsed {
    /// The bytes may be the beginning of a header.
    Incomplete,
    /// A header is complete.
    Header {
        /// The address of the client. `None` if the proxy speaks for itself (`LOCAL`), or if the header names no
        /// client of TCP over IP (`UNKNOWN`, `UNSPEC`, datagrams, Unix sockets).
        source: Option<SocketAddr>,
        /// The number of bytes of the header.
        len: usize,
    },
}

/// The error for bytes that are not a header, or for a header that is too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct InvalidHeader;

/// Parses the header that a connection begins with.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, InvalidHeader> {
    if begins(bytes, V1_START) {
        parse_v1(bytes)
    } else if begins(bytes, V2_START) {
        parse_v2(bytes)
    } else {
        Err(InvalidHeader)
    }
}

/// Returns whether the bytes begin with `start`, or are the beginning of `start`.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, expected)| byte == expected)
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, InvalidHeader> {
    let Some(line) = bytes.split_inclusive(|byte| *byte == b'\n').next().filter(|line| line.ends_with(b"\n"))
    else {
        return if bytes.len() < MAX_V1_LEN { Ok(Parsed::Incomplete) } else { Err(InvalidHeader) };
    };
    let len = line.len();
    let line = line.strip_suffix(b"\r\n").filter(|_| len <= MAX_V1_LEN).ok_or(InvalidHeader)?;
    let line = std::str::from_utf8(line).map_err(|_| InvalidHeader)?;
    let fields: Vec<_> = line.split(' ').collect();
    let source = match fields[..] {
        // The specification requires that the rest of the line is ignored.
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", source, destination, source_port, destination_port] => {
            let (source, _): (Ipv4Addr, Ipv4Addr) = (parsed(source)?, parsed(destination)?);
            port(destination_port)?;
            Some(SocketAddr::new(source.into(), port(source_port)?))
        }
        ["PROXY", "TCP6", source, destination, source_port, destination_port] => {
            let (source, _): (Ipv6Addr, Ipv6Addr) = (parsed(source)?, parsed(destination)?);
            port(destination_port)?;
            Some(SocketAddr::new(source.into(), port(source_port)?))
        }
        _ => return Err(InvalidHeader),
    };
    Ok(Parsed::Header { source, len })
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, InvalidHeader> {
    text.parse().map_err(|_| InvalidHeader)
}

/// Parses a decimal port without leading zeros.
fn port(text: &str) -> Result<u16, InvalidHeader> {
    let port: u16 = parsed(text)?;
    if text.starts_with('+') || (text.starts_with('0') && text.len() > 1) {
        return Err(InvalidHeader);
    }
    Ok(port)
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, InvalidHeader> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED_LEN>() else {
        return Ok(Parsed::Incomplete);
    };
    let [.., command, family, len_high, len_low] = *fixed;
    let addresses_len = usize::from(u16::from_be_bytes([len_high, len_low]));
    let len = V2_FIXED_LEN + addresses_len;
    if len > MAX_LEN {
        return Err(InvalidHeader);
    }
    // The upper four bits are the version, which is 2. The lower four bits are the command, LOCAL or PROXY.
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(InvalidHeader),
    };
    let Some(addresses) = rest.get(..addresses_len) else { return Ok(Parsed::Incomplete) };
    // 0x11 is TCP over IPv4, and 0x21 is TCP over IPv6.
    let source = match family {
        _ if is_local => None,
        0x11 => {
            // The header has the source, the destination, and their ports.
            let [a, b, c, d, _, _, _, _, high, low, _, _] =
                *addresses.first_chunk::<12>().ok_or(InvalidHeader)?;
            Some((IpAddr::from([a, b, c, d]), [high, low]))
        }
        0x21 => {
            let addresses = addresses.first_chunk::<36>().ok_or(InvalidHeader)?;
            let source = *addresses.first_chunk::<16>().ok_or(InvalidHeader)?;
            let [.., high, low, _, _] = *addresses;
            Some((IpAddr::from(source), [high, low]))
        }
        // These families are UNSPEC, datagrams, and Unix sockets.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => None,
        _ => return Err(InvalidHeader),
    };
    let source = source.map(|(address, port)| SocketAddr::new(address, u16::from_be_bytes(port)));
    Ok(Parsed::Header { source, len })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(source: Option<&str>, len: usize) -> Result<Parsed, InvalidHeader> {
        Ok(Parsed::Header { source: source.map(|source| source.parse().unwrap()), len })
    }

    /// Returns a header of version 2.
    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let len = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family], &len, addresses].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 0x30, 0x39];

    fn v6() -> Vec<u8> {
        let source: Ipv6Addr = "2001:db8::1".parse().unwrap();
        [&source.octets()[..], &[0xff; 16], &[0xff, 0xfe, 0, 80]].concat()
    }

    /// Checks that each beginning of the header is incomplete, and that the header is found whatever bytes
    /// follow.
    fn assert_header(bytes: &[u8], source: Option<&str>) {
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(Parsed::Incomplete), "{cut} of {}", bytes.escape_ascii());
        }
        for behind in [&b""[..], b"\0", b"PROXY ", &[b'\n'; 5000]] {
            assert_eq!(
                parse(&[bytes, behind].concat()),
                header(source, bytes.len()),
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    /// Parses lines of the form of section 2.1, including the longest lines.
    #[test]
    fn a_header_of_version_1_names_the_source_unless_it_is_unknown() {
        let longest_v6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        for (line, source) in [
            ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", Some("192.168.0.1:56324")),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255:65535")),
            (
                &format!("PROXY TCP6 {longest_v6} {longest_v6} 65535 65535\r\n"),
                Some(&*format!("[{longest_v6}]:65535")),
            ),
            ("PROXY TCP6 ::1 2001:db8::2 0 1\r\n", Some("[::1]:0")),
            ("PROXY UNKNOWN\r\n", None),
            (&format!("PROXY UNKNOWN {longest_v6} {longest_v6} 65535 65535\r\n"), None),
            ("PROXY UNKNOWN any text\r\n", None),
        ] {
            assert!(line.len() <= 107);
            assert_header(line.as_bytes(), source);
        }
    }

    #[test]
    fn a_line_that_departs_from_version_1_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        assert_eq!(long.len(), 108);
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 +2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 host 1 2\r\n",
            "PROXY \r\n",
            "PROXY unknown\r\n",
            "proxy ",
            "PROXY\t",
            "{\"version\":\"1.1\"}",
            "\r\n\r\n\0\r\nQUIT\r",
            &long,
            &long[..107],
        ] {
            assert_eq!(parse(line.as_bytes()), Err(InvalidHeader), "{line:?}");
        }
    }

    #[test]
    fn a_header_of_version_2_names_the_source_of_a_tcp_connection() {
        assert_header(&v2(0x21, 0x11, &V4), Some("192.0.2.1:4711"));
        assert_header(&v2(0x21, 0x21, &v6()), Some("[2001:db8::1]:65534"));
        // Additional fields (TLVs) follow the addresses; here PP2_TYPE_NOOP.
        assert_header(&v2(0x21, 0x11, &[&V4[..], &[4, 0, 3, 1, 2, 3]].concat()), Some("192.0.2.1:4711"));
        assert_header(&v2(0x21, 0x21, &[&v6()[..], &[4, 0, 0]].concat()), Some("[2001:db8::1]:65534"));
        let longest = [&V4[..], &[0; MAX_LEN - V2_FIXED_LEN - 12]].concat();
        assert_header(&v2(0x21, 0x11, &longest), Some("192.0.2.1:4711"));
    }

    #[test]
    fn a_header_of_version_2_that_is_local_or_of_another_family_names_no_source() {
        for (command, family, addresses) in [
            (0x20, 0x00, &[][..]),
            (0x20, 0x11, &V4[..]),
            // The specification requires that the family of a LOCAL header is ignored.
            (0x20, 0xff, &[1]),
            (0x21, 0x00, &[]),
            (0x21, 0x00, &[1, 2, 3]),
            (0x21, 0x12, &V4),
            (0x21, 0x31, &[b'/'; 216]),
        ] {
            assert_header(&v2(command, family, addresses), None);
        }
    }

    #[test]
    fn bytes_that_depart_from_version_2_are_refused() {
        for header in [
            v2(0x22, 0x11, &V4),
            v2(0x11, 0x11, &V4),
            v2(0x31, 0x11, &V4),
            v2(0x21, 0x13, &V4),
            v2(0x21, 0x41, &v6()),
            v2(0x21, 0x11, &V4[..11]),
            v2(0x21, 0x21, &v6()[..35]),
        ] {
            assert_eq!(parse(&header), Err(InvalidHeader), "{}", header.escape_ascii());
        }
        // The length is known before the addresses have come.
        let too_long = v2(0x21, 0x11, &[0; MAX_LEN - V2_FIXED_LEN + 1]);
        assert_eq!(parse(&too_long[..V2_FIXED_LEN]), Err(InvalidHeader));
    }
}
