//! Reads the query of a URI: the endpoint's options, and the caller's own options.

use crate::endpoint::escape::decode;
use crate::endpoint::scheme::Scheme;
use crate::endpoint::table::{self, MASK, Row, TABLE};
use crate::endpoint::{InvalidEndpoint, QueueOptions, Transport};

/// Reads the options of a query, and sets them in `transport` and `queue`. Returns the decoded names and values of
/// the caller's options, whose names are in `own`.
pub(super) fn read(
    query: &str,
    own: &[&str],
    transport: &mut Transport,
    queue: &mut QueueOptions,
) -> Result<Vec<(String, String)>, InvalidEndpoint> {
    let scheme = Scheme::of(transport);
    let mut options: Vec<(&'static Row, String)> = Vec::new();
    let mut callers_options = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let name = decode(name).ok_or_else(|| InvalidEndpoint::Escape { text: name.to_owned() })?;
        let value = decode(value).ok_or_else(|| {
            // The value of a header is a secret.
            let text = if name == "header" { format!("header={MASK}") } else { value.to_owned() };
            InvalidEndpoint::Escape { text }
        })?;
        match table::find(&name, scheme)? {
            Some(row) if !row.is_list() && options.iter().any(|(given, _)| given.name == row.name) => {
                return Err(InvalidEndpoint::Repeated { name });
            }
            Some(row) => options.push((row, value)),
            None if own.iter().any(|known| stands_for(known, &name)) => callers_options.push((name, value)),
            None => return Err(InvalidEndpoint::Option { name, known: known(scheme, own) }),
        }
    }
    // The options are read in the order of the table, in which `level` follows `compression`.
    for row in &TABLE {
        for (_, value) in options.iter().filter(|(given, _)| std::ptr::eq(*given, row)) {
            row.read(value, transport, queue)?;
        }
    }
    Ok(callers_options)
}

/// Returns whether `known` is `name`, or is a group of names that includes `name`, such as `field.*`.
fn stands_for(known: &str, name: &str) -> bool {
    match known.strip_suffix('*') {
        Some(group) if group.ends_with('.') => name.starts_with(group),
        _ => known == name,
    }
}

/// Returns the names of all options that a URI of the scheme may have.
fn known(scheme: Scheme, own: &[&str]) -> String {
    let of_scheme = TABLE.iter().filter(|row| row.schemes().contains(&scheme)).map(|row| row.name);
    let mut known: Vec<_> = of_scheme.chain(own.iter().copied()).collect();
    known.sort_unstable();
    known.dedup();
    known.join(", ")
}

#[cfg(test)]
mod tests {

    use gelf_core::{Compression, CompressionLevel};

    use super::*;
    use crate::endpoint::{HttpOptions, TcpOptions, UdpOptions};

    fn read_all(scheme: Scheme, query: &str) -> Result<(Transport, QueueOptions), InvalidEndpoint> {
        let (mut transport, mut queue) = (scheme.transport(), QueueOptions::default());
        read(query, &[], &mut transport, &mut queue)?;
        Ok((transport, queue))
    }

    fn transport(scheme: Scheme, query: &str) -> Transport {
        read_all(scheme, query).unwrap().0
    }

    fn udp(query: &str) -> UdpOptions {
        let Transport::Udp(options) = transport(Scheme::Udp, query) else { panic!() };
        options
    }

    fn http(query: &str) -> HttpOptions {
        let Transport::Http(options) = transport(Scheme::Http, query) else { panic!() };
        options
    }

    fn level(number: u8) -> CompressionLevel {
        CompressionLevel::new(number).unwrap()
    }

    #[test]
    fn udp_compresses_by_gzip_zlib_or_not_at_all() {
        assert_eq!(udp("").compression, Compression::Gzip(CompressionLevel::DEFAULT));
        assert_eq!(udp("compression=zlib").compression, Compression::Zlib(CompressionLevel::DEFAULT));
        assert_eq!(udp("level=2").compression, Compression::Gzip(level(2)));
        assert_eq!(udp("level=3").compression, Compression::Gzip(level(3)));
        assert_eq!(udp("compression=gzip&level=9").compression, Compression::Gzip(level(9)));
        assert_eq!(udp("level=1&compression=zlib").compression, Compression::Zlib(level(1)));
        assert_eq!(udp("&compression=%6eone&").compression, Compression::None);
    }

    #[test]
    fn up_to_seven_further_hosts_are_read_in_order_each_with_a_port_of_its_own() {
        let query = "failover=b.example:1&reconnect=9&failover=%5Bfe80::1%25eth0%5D&failover=[::1]:65535";
        let expected = [("b.example", 1), ("fe80::1%eth0", 12201), ("::1", 65535)];
        let Transport::Tcp(tcp) = transport(Scheme::Tcp, query) else { panic!() };
        assert_eq!(tcp.failover, expected.map(|(host, port)| (host.to_owned(), port)));
        assert_eq!(http("failover=10.0.0.7&failover=10.0.0.7:7").failover.len(), 2);
        for wrong in ["", "a,b", "a:0", "::1", "gelf://a", "a:1:2", "a/b"] {
            assert!(matches!(
                read_all(Scheme::Tcp, &format!("failover=a&failover={wrong}")),
                Err(InvalidEndpoint::Value { name, value, .. }) if name == "failover" && value == wrong
            ));
        }
        for (hosts, is_valid) in [(7, true), (8, false)] {
            let uri = format!("gelf+https://h?{}", "failover=h&".repeat(hosts));
            #[cfg(all(feature = "http", feature = "tls"))]
            assert_eq!(uri.parse::<crate::Endpoint>().is_ok(), is_valid, "{uri}");
            let uri = uri.replace("https", "tcp");
            assert_eq!(uri.parse::<crate::Endpoint>().is_ok(), is_valid, "{uri}");
        }
    }

    #[test]
    fn a_server_name_may_be_an_address_with_or_without_brackets() {
        for (given, expected) in
            [("10.0.0.7", "10.0.0.7"), ("::1", "::1"), ("[::1]", "::1"), ("%5B::1%5D", "::1")]
        {
            let read = transport(Scheme::Tls, &format!("server_name={given}"));
            let Transport::Tcp(TcpOptions { tls: Some(tls), .. }) = read else { panic!() };
            assert_eq!(tls.server_name.as_deref(), Some(expected));
        }
    }

    #[test]
    fn spaces_around_the_value_of_a_header_are_removed() {
        for (query, name, value) in [
            ("header=X-Token:abc", "X-Token", "abc"),
            ("header=Authorization:+Bearer+a%2Bb%3D:c==%20", "Authorization", "Bearer a+b=:c=="),
            ("header=!%23$%25%26'*%2B-.^_`|~:%25", "!#$%&'*+-.^_`|~", "%"),
        ] {
            assert_eq!(http(query).headers, [(name.to_owned(), value.to_owned())], "{query}");
        }
        let names: Vec<String> =
            http("header=B:1&bulk=true&header=A:2").headers.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["B", "A"]);
    }

    #[test]
    fn each_scheme_has_its_options_and_no_other() {
        let all = ["compression", "max_value_bytes", "queue", "queue_bytes", "when_full"];
        let tls = ["ca", "cert", "key", "server_name"];
        let tcp = ["connect_timeout", "delimiter", "failover", "reconnect", "user_timeout"];
        let http = ["bulk", "connect_timeout", "failover", "header", "level", "timeout"];
        let expected = |more: &[&[&'static str]]| {
            let mut names = [&all[..], &more.concat()].concat();
            names.sort_unstable();
            names
        };
        for (scheme, names) in [
            (Scheme::Udp, expected(&[&["datagram_size", "level", "overflow", "rate"]])),
            (Scheme::Tcp, expected(&[&tcp])),
            (Scheme::Tls, expected(&[&tcp, &tls])),
            (Scheme::Http, expected(&[&http])),
            (Scheme::Https, expected(&[&http, &tls])),
        ] {
            let unknown = InvalidEndpoint::Option { name: "x".to_owned(), known: names.join(", ") };
            assert_eq!(read_all(scheme, "x=1").unwrap_err(), unknown);
            for name in TABLE.iter().map(|row| row.name) {
                let is_refused = matches!(
                    read_all(scheme, &format!("{name}=1")),
                    Err(InvalidEndpoint::OtherScheme { name: refused, .. }) if refused == name
                );
                assert_eq!(is_refused, !names.contains(&name), "{name} of {scheme:?}");
                let repeated = read_all(scheme, &format!("{name}=1&{name}=2"));
                let expected = InvalidEndpoint::Repeated { name: name.to_owned() };
                let may_repeat = TABLE.iter().any(|row| row.name == name && row.is_list());
                assert!(is_refused || may_repeat || repeated.unwrap_err() == expected);
            }
        }
    }
}
