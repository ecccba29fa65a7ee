//! Where messages go, as a URI.

use std::str::FromStr;

mod authority;
mod check;
mod display;
mod error;
mod escape;
mod options;
mod query;
mod scheme;

use error::without_options;
use query::Query;
use scheme::Scheme;

pub use error::InvalidEndpoint;
pub use options::{HttpOptions, QueueOptions, TcpOptions, TlsOptions, Transport, UdpOptions, WhenFull};

/// A destination of messages: transport, host, port and queue.
///
/// ```
/// use gelf_tokio::{Endpoint, Transport};
///
/// let endpoint: Endpoint = "gelf+tcp://logs.example".parse()?;
/// assert!(matches!(endpoint.transport(), Transport::Tcp(_)));
/// assert_eq!((endpoint.host(), endpoint.port()), ("logs.example", 12201));
/// assert_eq!(endpoint.to_string(), "gelf+tcp://logs.example:12201");
/// # Ok::<(), gelf_tokio::InvalidEndpoint>(())
/// ```
///
/// # URIs
///
/// | URI | transport | cargo features |
/// |---|---|---|
/// | `gelf://HOST[:PORT]`, `gelf+udp://HOST[:PORT]` | UDP | |
/// | `gelf+tcp://HOST[:PORT]` | TCP | |
/// | `gelf+tls://HOST[:PORT]` | TCP with TLS | `tls` |
/// | `gelf+http://HOST[:PORT][/PATH]` | HTTP/1.1 | `http` |
/// | `gelf+https://HOST[:PORT][/PATH]` | HTTP/1.1 with TLS | `http`, `tls` |
///
/// The port is 12201 unless it is given, for all of them, as the inputs of Graylog and Logstash have it. A host is a
/// name, an IPv4 address, or an IPv6 address in brackets. A name stays a name: it is looked up at each connect. The
/// path is `/gelf` unless there is one other than `/`, and stands as it is sent. A path of another scheme, a user or a
/// fragment is an error, for it would mean something that nobody heeds.
///
/// Options follow as a query, in any order, each at most once: `gelf://logs?compression=zlib&datagram_size=8192`. They
/// are encoded as in HTML forms: `%2B` is a plus sign, and `+` a space. Only what is not the default is displayed.
///
/// | option | of | values | default |
/// |---|---|---|---|
/// | `compression` | UDP | `gzip`, `zlib`, `none` | `gzip` |
/// | | TCP, TLS | `none`: GELF has no compression on a stream | `none` |
/// | | HTTP, HTTPS | `gzip`, `none` | `none` |
/// | `level` | UDP, HTTP, HTTPS | 1, the fastest, to 9, the smallest; needs a compression | 2 |
/// | `datagram_size` | UDP | 13 to 65507 bytes, a chunk's header included | 1420 |
/// | `rate` | UDP | 1 to 4294967295 datagrams a second | no limit |
/// | `user_timeout` | TCP, TLS | 1 to 3600 seconds without an acknowledgement | 30 |
/// | `ca` | TLS, HTTPS | a PEM file: who may vouch for the receiver | those of the system |
/// | `cert`, `key` | TLS, HTTPS | PEM files: who the sender is; both or neither | none |
/// | `server_name` | TLS, HTTPS | the name or address in the receiver's certificate | the host |
/// | `bulk` | HTTP, HTTPS | `true`, `false`: several messages in a request | `false` |
/// | `header` | HTTP, HTTPS | `NAME:VALUE`, a header by which the receiver knows the sender | none |
/// | `timeout` | HTTP, HTTPS | 1 to 3600 seconds for an answer | 10 |
/// | `queue` | all | 1 to 16777216 messages that may wait | 65536 |
/// | `queue_bytes` | all | 1024 to 17179869184 bytes that may wait | 67108864 |
/// | `when_full` | all | `wait`, `drop_newest`, `drop_oldest` | `wait` |
///
/// What they are for is said at [`UdpOptions`], [`TcpOptions`], [`TlsOptions`], [`HttpOptions`] and [`QueueOptions`].
///
/// # Secrets
///
/// The value of `header` may be a password. [`Display`](std::fmt::Display) and [`Debug`] write `***` in its place, so
/// an endpoint may be logged, and a URI that was displayed needs the value again.
///
/// # Without a URI
///
/// A program that has the parts uses [`new`](Self::new), which holds them to the same limits.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Endpoint {
    transport: Transport,
    host: String,
    port: u16,
    queue: QueueOptions,
}

impl Endpoint {
    /// 12201, for all transports.
    pub const DEFAULT_PORT: u16 = 12201;

    /// An endpoint of the [default port](Self::DEFAULT_PORT) and queue. The host is a name or an address; an IPv6
    /// address may stand in brackets.
    ///
    /// ```
    /// use gelf_tokio::gelf_core::Compression;
    /// use gelf_tokio::{Endpoint, QueueOptions, Transport, UdpOptions, WhenFull};
    ///
    /// let mut udp = UdpOptions::default();
    /// udp.compression = Compression::None;
    /// let mut queue = QueueOptions::default();
    /// queue.when_full = WhenFull::DropOldest;
    /// let endpoint = Endpoint::new(Transport::Udp(udp), "logs.example")?.with_port(5555)?.with_queue(queue)?;
    /// assert_eq!(endpoint.to_string(), "gelf://logs.example:5555?compression=none&when_full=drop_oldest");
    /// # Ok::<(), gelf_tokio::InvalidEndpoint>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidEndpoint`] for a host that is none, for options that a URI could not have, and for a transport whose
    /// cargo feature is off.
    pub fn new(transport: Transport, host: &str) -> Result<Self, InvalidEndpoint> {
        let invalid_host = || InvalidEndpoint::Host { host: host.to_owned() };
        Ok(Self {
            transport: check::transport(transport)?,
            host: authority::read_host(host).ok_or_else(invalid_host)?,
            port: Self::DEFAULT_PORT,
            queue: QueueOptions::default(),
        })
    }

    /// Sets the port.
    ///
    /// # Errors
    /// [`InvalidEndpoint::Port`] for 0.
    pub fn with_port(mut self, port: u16) -> Result<Self, InvalidEndpoint> {
        if port == 0 {
            return Err(InvalidEndpoint::Port { port: port.to_string() });
        }
        self.port = port;
        Ok(self)
    }

    /// Sets how much may wait, and what then.
    ///
    /// # Errors
    /// [`InvalidEndpoint::Value`] for a size beyond its limits.
    pub fn with_queue(mut self, queue: QueueOptions) -> Result<Self, InvalidEndpoint> {
        self.queue = check::queue(queue)?;
        Ok(self)
    }

    /// Reads a URI that may have options of the caller's own, by the names in `own_options`. Returns those that it
    /// has, name and value decoded (`%2C` is a comma and `+` a space), in order and with repetitions. A name such as
    /// `field.*` stands for all that begin with `field.`. A name that the endpoint has itself, for whichever transport, is
    /// never the caller's.
    ///
    /// ```
    /// use gelf_tokio::Endpoint;
    ///
    /// let (endpoint, options) = Endpoint::parse_with("gelf://logs?filter.name=shop%2A", &["filter.name"])?;
    /// assert_eq!(endpoint.host(), "logs");
    /// assert_eq!(options, [("filter.name".to_owned(), "shop*".to_owned())]);
    /// # Ok::<(), gelf_tokio::InvalidEndpoint>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidEndpoint`] says in one line what to write instead.
    pub fn parse_with(
        uri: &str,
        own_options: &[&str],
    ) -> Result<(Self, Vec<(String, String)>), InvalidEndpoint> {
        let Some((scheme, rest)) = uri.split_once("://") else {
            return Err(InvalidEndpoint::NoScheme { uri: scheme::shown(uri) });
        };
        let scheme = Scheme::parse(scheme)?;
        if rest.contains('#') {
            return Err(InvalidEndpoint::Fragment);
        }
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = location.split_at(location.find('/').unwrap_or(location.len()));
        if authority.contains('@') {
            return Err(InvalidEndpoint::User);
        }
        if !matches!(path, "" | "/") && !scheme.has_path() {
            return Err(InvalidEndpoint::Path { path: without_options(path) });
        }
        let (host, port) = authority::read(authority)?;
        let (query, own) = Query::read(query, scheme, own_options)?;
        let transport = check::transport(query.transport(path)?)?;
        let queue = check::queue(query.queue()?)?;
        Ok((Self { transport, host, port, queue }, own))
    }

    /// How messages travel, and the options of that.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// How much may wait for it in a [`Client`](crate::Client), and what then.
    pub fn queue(&self) -> QueueOptions {
        self.queue
    }

    /// The host's name or address; an IPv6 address stands without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, not 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(uri: &str) -> Result<Self, InvalidEndpoint> {
        Self::parse_with(uri, &[]).map(|(endpoint, _)| endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(uri: &str) -> Endpoint {
        uri.parse().unwrap()
    }

    #[test]
    fn each_scheme_is_a_transport() {
        let udp = Transport::Udp(UdpOptions::default());
        let tcp = Transport::Tcp(TcpOptions::default());
        for (uri, transport) in
            [("gelf://h", &udp), ("gelf+udp://h", &udp), ("GELF+UDP://h", &udp), ("gelf+tcp://h", &tcp)]
        {
            assert_eq!(parse(uri).transport(), transport, "{uri}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_is_tcp_with_default_options() {
        let tls = TcpOptions { tls: Some(TlsOptions::default()), ..TcpOptions::default() };
        assert_eq!(parse("gelf+tls://h").transport(), &Transport::Tcp(tls));
    }

    #[cfg(feature = "http")]
    #[test]
    fn http_has_a_path_and_slash_is_none() {
        for (uri, path) in [
            ("gelf+http://h", "/gelf"),
            ("gelf+http://h/", "/gelf"),
            ("gelf+http://h?bulk=false", "/gelf"),
            ("gelf+http://h/?bulk=false", "/gelf"),
            ("gelf+http://h:80/in/gelf/?bulk=false", "/in/gelf/"),
            ("gelf+http://h/%C3%A4@:;=~", "/%C3%A4@:;=~"),
        ] {
            let http = HttpOptions { path: path.to_owned(), ..HttpOptions::default() };
            assert_eq!(parse(uri).transport(), &Transport::Http(http), "{uri}");
        }
    }

    #[cfg(all(feature = "http", feature = "tls"))]
    #[test]
    fn https_is_http_with_tls() {
        let https = HttpOptions { tls: Some(TlsOptions::default()), ..HttpOptions::default() };
        assert_eq!(parse("gelf+https://h").transport(), &Transport::Http(https));
    }

    #[test]
    fn the_port_is_12201_for_every_scheme_of_this_build() {
        for scheme in Scheme::ALL.into_iter().filter(|scheme| scheme.check_features().is_ok()) {
            for (host, uri_host) in [("h", "h"), ("10.0.0.7", "10.0.0.7"), ("2001:db8::7", "[2001:db8::7]")] {
                for (path, port, expected) in [("", "", 12201), ("/", "", 12201), ("/", ":99", 99)] {
                    let endpoint = parse(&format!("{}://{uri_host}{port}{path}", scheme.name()));
                    assert_eq!((endpoint.host(), endpoint.port()), (host, expected));
                    assert_eq!(Scheme::of(endpoint.transport()), scheme);
                    assert_eq!(endpoint.queue(), QueueOptions::default());
                }
            }
        }
    }

    #[test]
    fn a_scheme_of_another_build_says_which_features_it_needs() {
        for (scheme, http, tls) in
            [("gelf+tls", false, true), ("gelf+http", true, false), ("gelf+https", true, true)]
        {
            let missing_http = http && !cfg!(feature = "http");
            let missing_tls = tls && !cfg!(feature = "tls");
            let expected = match (missing_http, missing_tls) {
                (true, true) => format!("{scheme} needs the features \"http\" and \"tls\""),
                (true, false) => format!("{scheme} needs the feature \"http\""),
                (false, true) => format!("{scheme} needs the feature \"tls\""),
                (false, false) => continue,
            };
            // Not what else may be wrong with it.
            assert_eq!(format!("{scheme}://?x").parse::<Endpoint>().unwrap_err().to_string(), expected);
            let tls = tls.then(TlsOptions::default);
            let transport = match http {
                true => Transport::Http(HttpOptions { tls, ..HttpOptions::default() }),
                false => Transport::Tcp(TcpOptions { tls, ..TcpOptions::default() }),
            };
            assert_eq!(Endpoint::new(transport, "h").unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn the_callers_options_are_its_own_and_are_named_among_the_known() {
        let names = ["filter.name", "append_tag"];
        let uri = "gelf+tcp://h?filter.name=a%2Cb+%C3%A4&queue=7&append_tag&filter.name=%25";
        let (endpoint, options) = Endpoint::parse_with(uri, &names).unwrap();
        assert_eq!(endpoint.to_string(), "gelf+tcp://h:12201?queue=7");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(options, [pair("filter.name", "a,b ä"), pair("append_tag", ""), pair("filter.name", "%")]);
        assert_eq!(
            Endpoint::parse_with("gelf+tcp://h?filter.id=1", &names).unwrap_err().to_string(),
            "unknown option \"filter.id\": use append_tag, compression, filter.name, queue, queue_bytes, user_timeout, \
             when_full"
        );
    }

    #[test]
    fn a_group_of_names_is_the_callers() {
        let names = ["field.*"];
        let (_, options) = Endpoint::parse_with("gelf://h?field.a=1&field.=2&field.b.c=3", &names).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(options, [pair("field.a", "1"), pair("field.", "2"), pair("field.b.c", "3")]);
        for name in ["field", "fields.a", "fiel", "Field.a"] {
            let error = Endpoint::parse_with(&format!("gelf+tcp://h?{name}=1"), &names).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "unknown option \"{name}\": use compression, field.*, queue, queue_bytes, user_timeout, when_full"
                )
            );
        }
    }

    #[test]
    fn a_name_of_the_endpoint_is_never_the_callers() {
        let (endpoint, options) = Endpoint::parse_with("gelf://h?rate=1", &["rate", "bulk"]).unwrap();
        assert_eq!((endpoint.to_string().as_str(), options.len()), ("gelf://h:12201?rate=1", 0));
        assert!(matches!(
            Endpoint::parse_with("gelf://h?bulk=1", &["rate", "bulk"]),
            Err(InvalidEndpoint::OtherScheme { name: "bulk", .. })
        ));
    }

    #[test]
    fn a_program_needs_no_uri() {
        let udp = Transport::Udp(UdpOptions::default());
        let queue = QueueOptions { max_messages: 1, ..QueueOptions::default() };
        for (host, uri) in [
            ("h", "gelf://h:1?queue=1"),
            ("::1", "gelf://[::1]:1?queue=1"),
            ("[::1]", "gelf://[::1]:1?queue=1"),
        ] {
            let endpoint = Endpoint::new(udp.clone(), host).unwrap();
            assert_eq!(endpoint.port(), 12201);
            assert_eq!(endpoint.with_port(1).unwrap().with_queue(queue).unwrap(), parse(uri));
        }
        for host in ["", "h:1", "[::1]:1", "me@h", "gelf://h"] {
            let invalid = InvalidEndpoint::Host { host: host.to_owned() };
            assert_eq!(Endpoint::new(udp.clone(), host), Err(invalid));
        }
        let endpoint = parse("gelf://h");
        assert_eq!(endpoint.clone().with_port(0), Err(InvalidEndpoint::Port { port: "0".to_owned() }));
        let queue = QueueOptions { max_messages: 0, ..queue };
        assert!(matches!(endpoint.with_queue(queue), Err(InvalidEndpoint::Value { .. })));
    }

    /// Texts that are URIs, or nearly.
    fn nearly_uris() -> impl Strategy<Value = String> {
        let option = prop_oneof![
            "[a-z_]{0,5}=[^ ]{0,5}",
            "(bulk|ca|cert|compression|datagram_size|header|key|level)=[a-z0-9:*%/+]{0,8}",
            "(queue|queue_bytes|rate|server_name|timeout|user_timeout|when_full)=[a-z0-9:*%/+]{0,8}",
            "(rate|level|timeout|user_timeout|datagram_size|queue)=[1-9]{1,4}",
            "(compression=(gzip|zlib|none)|bulk=true|header=X:y|ca=/a|when_full=drop_oldest)",
        ];
        let location = prop_oneof!["[^ ]{0,5}[\\[\\]:/?#@%=&a1]{0,20}", "h(:[0-9]{1,5})?(/[a-z%2&]{0,5})?"];
        let scheme = "gelf(\\+udp|\\+tcp|\\+tls|\\+http|\\+https)?";
        (scheme, location, prop::collection::vec(option, 0..4))
            .prop_map(|(scheme, location, options)| format!("{scheme}://{location}?{}", options.join("&")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_text_is_an_endpoint_that_displays_as_itself_or_is_refused_in_one_line(
            uri in prop_oneof![1 => any::<String>(), 9 => nearly_uris()],
        ) {
            match uri.parse::<Endpoint>() {
                Ok(endpoint) => {
                    let displayed = endpoint.to_string();
                    prop_assert_eq!(displayed.parse::<Endpoint>().map(|again| again.to_string()), Ok(displayed));
                }
                Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
            }
        }
    }
}
