//! Displays an endpoint as a URI.

use std::fmt;

use crate::endpoint::authority;
use crate::endpoint::escape::encode;
use crate::endpoint::scheme::Scheme;
use crate::endpoint::table::TABLE;
use crate::endpoint::{Endpoint, HttpOptions, Transport};

/// Writes the URI, always with the port, and with the options that differ from their defaults. The URI parses
/// to the same endpoint, except that `***` stands for the value of each `header`, which is a secret. A user
/// and a password are written as the header `Authorization`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = Scheme::of(&self.transport).name();
        write!(f, "{scheme}://{}", authority::show(&self.host, self.port))?;
        match &self.transport {
            Transport::Http(options) if options.path != HttpOptions::default().path => {
                f.write_str(&options.path)?;
            }
            _ => {}
        }
        let mut separator = '?';
        for row in &TABLE {
            for value in row.show(&self.transport, &self.queue) {
                write!(f, "{separator}{}={}", row.name, encode(&value))?;
                separator = '&';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::path::PathBuf;
    use std::time::Duration;

    use gelf_core::{Compression, CompressionLevel, DatagramSize, Delimiter, Overflow};
    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::{QueueOptions, TcpOptions, TlsOptions, UdpOptions, WhenFull};

    fn displayed(uri: &str) -> String {
        uri.parse::<Endpoint>().unwrap().to_string()
    }

    #[test]
    fn the_port_is_displayed_and_default_options_are_not() {
        for (uri, expected) in [
            ("gelf+udp://h", "gelf://h:12201"),
            ("gelf://h?compression=gzip&datagram_size=1420", "gelf://h:12201"),
            ("gelf://h?queue=65536&queue_bytes=67108864&when_full=wait", "gelf://h:12201"),
            ("gelf+tcp://h?compression=none&user_timeout=30", "gelf+tcp://h:12201"),
            #[cfg(feature = "tls")]
            ("gelf+tls://h", "gelf+tls://h:12201"),
            #[cfg(feature = "http")]
            ("gelf+http://h/gelf?compression=none&timeout=10&bulk=false", "gelf+http://h:12201"),
        ] {
            assert_eq!(displayed(uri), expected);
        }
    }

    #[test]
    fn options_that_differ_from_their_defaults_are_displayed_in_the_order_of_the_table() {
        for uri in [
            "gelf://[::1]:1?compression=zlib&level=9&datagram_size=65507&rate=4294967295",
            "gelf://h:65535?datagram_size=13&rate=1&queue=16777216&queue_bytes=17179869184",
            "gelf://h:12201?compression=none",
            "gelf+tcp://h:12201?user_timeout=3600&queue=1&queue_bytes=1024&when_full=drop_newest",
            "gelf+tcp://h:12201?when_full=drop_oldest",
            #[cfg(feature = "tls")]
            "gelf+tls://h:12201?user_timeout=1&ca=/etc/My%20CA%26%2B.pem&cert=c&key=k&server_name=::1&queue=1",
            #[cfg(feature = "http")]
            "gelf+http://h:80/%41/b?bulk=true&compression=gzip&level=9&timeout=1&queue=1",
            #[cfg(feature = "http")]
            "gelf+http://h:12201?compression=gzip",
            #[cfg(all(feature = "http", feature = "tls"))]
            "gelf+https://h:443/in?bulk=true&timeout=1&ca=ca.pem&server_name=g&when_full=drop_oldest",
        ] {
            assert_eq!(displayed(uri), uri);
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn passwords_and_the_values_of_headers_are_not_shown() {
        let endpoint: Endpoint =
            "gelf+http://me:s3cret@h?header=X-%23:open+sesame&bulk=true".parse().unwrap();
        assert_eq!(
            endpoint.to_string(),
            "gelf+http://h:12201?bulk=true&header=Authorization:***&header=X-%23:***"
        );
        let Transport::Http(options) = &endpoint.transport else { panic!() };
        assert_eq!(options.headers[0].1, "Basic bWU6czNjcmV0");
        assert_eq!(options.headers[1].1, "open sesame");
        let expected = "HttpOptions { bulk: true, connect_timeout: None, failover: [], gzip: None, headers: [(\"Authorization\", \"***\"), \
                        (\"X-#\", \"***\")], path: \"/gelf\", timeout: 10s, tls: None }";
        assert_eq!(format!("{options:?}"), expected);
        assert!(format!("{endpoint:?}").contains(expected));
    }

    fn levels() -> impl Strategy<Value = CompressionLevel> {
        (0..=9u8).prop_map(|level| CompressionLevel::new(level).unwrap_or_default())
    }

    fn udp() -> impl Strategy<Value = Transport> {
        let compressions = prop_oneof![
            Just(Compression::None),
            levels().prop_map(Compression::Gzip),
            levels().prop_map(Compression::Zlib),
        ];
        let overflows = prop_oneof![Just(Overflow::Error), Just(Overflow::Truncate)];
        let rates = prop::option::of(1u32..);
        (compressions, 13..=65_507u16, overflows, rates).prop_map(|(compression, size, overflow, rate)| {
            let datagram_size = DatagramSize::new(size).unwrap();
            Transport::Udp(UdpOptions {
                compression,
                datagram_size,
                overflow,
                rate: rate.and_then(std::num::NonZeroU32::new),
            })
        })
    }

    fn hosts() -> impl Strategy<Value = String> {
        let addresses = || any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).to_string());
        let zoned = (addresses(), "[a-z0-9]{1,5}").prop_map(|(address, zone)| format!("{address}%{zone}"));
        // Drop the zones that start with `25`: the parser reads `fe80::1%25eth0` as the zone `eth0`.
        let zoned = zoned.prop_filter("encoded", |host| !host.contains("%25"));
        prop_oneof!["[a-zA-Z0-9._-]{1,253}", addresses(), zoned]
    }

    fn paths() -> impl Strategy<Value = PathBuf> {
        prop_oneof!["[^\0]{1,20}", "[a-z/&=%+# ]{1,20}"].prop_map(PathBuf::from)
    }

    fn tls() -> impl Strategy<Value = Option<TlsOptions>> {
        use prop::option::of;
        let options =
            (of(paths()), of((paths(), paths())), of(hosts())).prop_map(|(ca, pair, server_name)| {
                let (cert, key) = pair.unzip();
                // A certificate cannot name a host with a zone.
                let server_name = server_name.filter(|name: &String| !name.contains('%'));
                TlsOptions { ca, cert, key, server_name }
            });
        of(options).prop_map(|tls| tls.filter(|_| cfg!(feature = "tls")))
    }

    fn seconds() -> impl Strategy<Value = Duration> {
        (1..=3600u64).prop_map(Duration::from_secs)
    }

    fn failover() -> impl Strategy<Value = Vec<(String, u16)>> {
        prop::collection::vec((hosts(), 1u16..), 0..3)
    }

    fn tcp() -> impl Strategy<Value = Transport> {
        let delimiter = prop_oneof![Just(Delimiter::Nul), Just(Delimiter::Newline)];
        let reconnect = prop::option::of(seconds());
        (seconds(), delimiter, failover(), reconnect, tls(), seconds()).prop_map(
            |(connect_timeout, delimiter, failover, reconnect, tls, user_timeout)| {
                Transport::Tcp(TcpOptions {
                    connect_timeout,
                    delimiter,
                    failover,
                    reconnect,
                    tls,
                    user_timeout,
                })
            },
        )
    }

    fn http() -> impl Strategy<Value = Transport> {
        let header = ("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,3}", "s3cret[!-~]{0,9}");
        let headers = prop::collection::btree_map(header.0, header.1, 0..3);
        let path = "/([a-zA-Z0-9._~!$'()*+,;=:/-]|%[0-9a-fA-F]{2}){1,9}";
        let times = (prop::option::of(seconds()), seconds());
        (any::<bool>(), failover(), prop::option::of(levels()), headers, path, times, tls()).prop_map(
            |(bulk, failover, gzip, headers, path, (connect_timeout, timeout), tls)| {
                let mut headers: Vec<(String, String)> = headers.into_iter().collect();
                // Drop `te`, the only name of up to three characters that an endpoint refuses. Names that
                // differ only in case are one header.
                headers.retain(|(name, _)| !name.eq_ignore_ascii_case("te"));
                headers.dedup_by(|(a, _), (b, _)| a.eq_ignore_ascii_case(b));
                Transport::Http(HttpOptions {
                    bulk,
                    connect_timeout,
                    failover,
                    gzip,
                    headers,
                    path,
                    timeout,
                    tls,
                })
            },
        )
    }

    fn endpoints() -> impl Strategy<Value = Endpoint> {
        let transport = match cfg!(feature = "http") {
            true => prop_oneof![udp(), tcp(), http()].boxed(),
            false => prop_oneof![udp(), tcp()].boxed(),
        };
        let when_full =
            prop_oneof![Just(WhenFull::DropNewest), Just(WhenFull::DropOldest), Just(WhenFull::Wait)];
        let max_value = prop::option::of(3..=1usize << 24);
        let queue = (1..=1usize << 24, 1024..=1usize << 31, max_value, when_full);
        let queue = queue.prop_map(|(max_messages, max_bytes, max_value_bytes, when_full)| QueueOptions {
            max_messages,
            max_bytes,
            max_value_bytes,
            when_full,
        });
        (transport, hosts(), 1u16.., queue).prop_map(|(transport, host, port, queue)| Endpoint {
            transport,
            host,
            port,
            queue,
        })
    }

    proptest! {
        #[test]
        fn a_displayed_endpoint_parses_to_itself_except_for_header_values(mut endpoint in endpoints()) {
            let displayed = endpoint.to_string();
            if let Transport::Http(HttpOptions { headers, .. }) = &mut endpoint.transport {
                headers.iter_mut().for_each(|(_, value)| "***".clone_into(value));
            }
            prop_assert_eq!(displayed.parse(), Ok(endpoint));
        }

        #[test]
        fn an_endpoint_can_be_built_from_its_parts(endpoint in endpoints()) {
            let Endpoint { transport, host, port, queue } = endpoint.clone();
            let built = Endpoint::new(transport, &host).and_then(|built| built.with_port(port)?.with_queue(queue));
            prop_assert_eq!(built, Ok(endpoint));
        }
    }
}
