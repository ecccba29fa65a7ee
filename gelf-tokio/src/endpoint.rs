//! Endpoints: the destination of messages, as a URI.

use std::str::FromStr;

mod authority;
mod basic;
mod check;
mod display;
mod error;
mod escape;
mod options;
mod query;
mod scheme;
mod table;

use error::{shown, without_options};
use scheme::Scheme;

#[cfg(any(feature = "http", feature = "tls"))]
pub(crate) use authority::without_zone;
pub use error::InvalidEndpoint;
pub use options::{HttpOptions, QueueOptions, TcpOptions, TlsOptions, Transport, UdpOptions, WhenFull};
pub use table::EndpointOption;

/// The destination of messages: transport, host, port and queue.
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
/// | `gelf+http://[USER:PASSWORD@]HOST[:PORT][/PATH]` | HTTP/1.1 | `http` |
/// | `gelf+https://[USER:PASSWORD@]HOST[:PORT][/PATH]` | HTTP/1.1 with TLS | `http`, `tls` |
///
/// The default port is 12201 for all transports, as for the inputs of Graylog and Logstash. A host is a name,
/// an IPv4 address, or an IPv6 address in brackets. An IPv6 address may have a zone after `%25`, as in
/// `[fe80::1%25eth0]` (RFC 6874), or after a bare `%`, which curl accepts, too. A name is looked up at each
/// connect, and over UDP every 30 s. The path is sent as it is written; an empty path and `/` mean `/gelf`. An
/// `@` in a path must be written as `%40`. User and password are percent-decoded and sent as Basic
/// authentication. A fragment is an error in every URI. A user, or a path other than `/`, is an error in a URI
/// without HTTP.
///
/// Options follow as a query, in any order, as in `gelf://logs?compression=zlib&datagram_size=8192`. Each
/// option may be given once, unless its row below says that it may be repeated. Options are encoded as in
/// HTML forms: `%2B` is a plus sign, and `+` is a space. [`Display`](std::fmt::Display) writes only the
/// options that differ from their defaults.
///
#[doc = include_str!("endpoint/options.md")]
///
/// The fields of [`UdpOptions`], [`TcpOptions`], [`TlsOptions`], [`HttpOptions`] and [`QueueOptions`]
/// describe the options in detail.
///
/// # Secrets
///
/// The value of a `header` may be a password. [`Display`](std::fmt::Display) and [`Debug`] write `***` in
/// place of the value, and write `USER:PASSWORD@` as the header `Authorization` with `***`, so an endpoint
/// may be logged. Before a displayed URI is used again, the values must be restored.
///
/// # Without a URI
///
/// [`new`](Self::new) builds an endpoint from its parts, with the same validation.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Endpoint {
    transport: Transport,
    host: String,
    port: u16,
    queue: QueueOptions,
}

impl Endpoint {
    /// The default port of all transports: 12201.
    pub const DEFAULT_PORT: u16 = 12201;

    /// Creates an endpoint with the [default port](Self::DEFAULT_PORT) and queue. The host is a name or an
    /// address; an IPv6 address may stand in brackets.
    ///
    /// ```
    /// use gelf_tokio::gelf_core::Compression;
    /// use gelf_tokio::options::{QueueOptions, UdpOptions};
    /// use gelf_tokio::{Endpoint, Transport, WhenFull};
    ///
    /// let mut udp = UdpOptions::default();
    /// udp.compression = Compression::None;
    /// let mut queue = QueueOptions::default();
    /// queue.when_full = WhenFull::DropOldest;
    /// let endpoint = Endpoint::new(Transport::Udp(udp), "logs.example")?;
    /// let endpoint = endpoint.with_port(5555)?.with_queue(queue)?;
    /// assert_eq!(endpoint.to_string(), "gelf://logs.example:5555?compression=none&when_full=drop_oldest");
    /// # Ok::<(), gelf_tokio::InvalidEndpoint>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`InvalidEndpoint`] for an invalid host, for options that no URI can express, and for a
    /// transport whose cargo feature is off.
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
    /// Returns [`InvalidEndpoint::Port`] if the port is 0.
    pub fn with_port(mut self, port: u16) -> Result<Self, InvalidEndpoint> {
        if port == 0 {
            return Err(InvalidEndpoint::Port { port: port.to_string() });
        }
        self.port = port;
        Ok(self)
    }

    /// Returns the name of the destination in logs: the URI without the options of the queue.
    ///
    /// ```
    /// let endpoint: gelf_tokio::Endpoint = "gelf://logs?compression=none&queue=100".parse()?;
    /// assert_eq!(endpoint.destination(), "gelf://logs:12201?compression=none");
    /// # Ok::<(), gelf_tokio::InvalidEndpoint>(())
    /// ```
    pub fn destination(&self) -> String {
        Self { queue: QueueOptions::default(), ..self.clone() }.to_string()
    }

    /// Sets the limits of the queue.
    ///
    /// # Errors
    /// Returns [`InvalidEndpoint::Value`] if a size is outside of its range.
    pub fn with_queue(mut self, queue: QueueOptions) -> Result<Self, InvalidEndpoint> {
        self.queue = check::queue(queue)?;
        Ok(self)
    }

    /// Parses a URI that may contain the caller's own options, with the names in `own_options`. Returns the
    /// caller's options as decoded names and values (`%2C` is a comma and `+` a space), in order and with
    /// repetitions. A name such as `field.*` stands for all names that begin with `field.`. An option whose
    /// name is an endpoint option of any transport is never an option of the caller.
    ///
    /// ```
    /// use gelf_tokio::Endpoint;
    ///
    /// let uri = "gelf://logs?filter.name=shop%2A";
    /// let (endpoint, options) = Endpoint::parse_with_options(uri, &["filter.name"])?;
    /// assert_eq!(endpoint.host(), "logs");
    /// assert_eq!(options, [("filter.name".to_owned(), "shop*".to_owned())]);
    /// # Ok::<(), gelf_tokio::InvalidEndpoint>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`InvalidEndpoint`], whose text says in one line what to write instead.
    pub fn parse_with_options(
        uri: &str,
        own_options: &[&str],
    ) -> Result<(Self, Vec<(String, String)>), InvalidEndpoint> {
        Self::parse_with_defaults(uri, own_options, QueueOptions::default())
    }

    /// Parses a URI as [`parse_with_options`](Self::parse_with_options) does, with other defaults for the
    /// queue. An option in the URI overrides its default, even if its value is the default of
    /// [`QueueOptions`].
    ///
    /// ```
    /// use gelf_tokio::options::QueueOptions;
    /// use gelf_tokio::Endpoint;
    ///
    /// let mut small = QueueOptions::default();
    /// small.max_messages = 100;
    /// let (unset, _) = Endpoint::parse_with_defaults("gelf://logs", &[], small)?;
    /// assert_eq!(unset.queue().max_messages, 100);
    /// let (set, _) = Endpoint::parse_with_defaults("gelf://logs?queue=65536", &[], small)?;
    /// assert_eq!(set.queue().max_messages, 65_536);
    /// # Ok::<(), gelf_tokio::InvalidEndpoint>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`parse_with_options`](Self::parse_with_options), and [`InvalidEndpoint::Value`]
    /// for defaults outside of their range.
    pub fn parse_with_defaults(
        uri: &str,
        own_options: &[&str],
        queue: QueueOptions,
    ) -> Result<(Self, Vec<(String, String)>), InvalidEndpoint> {
        // A scheme has no colon. The `://` behind a colon may be a part of a password.
        let Some((scheme, rest)) = uri.split_once("://").filter(|(scheme, _)| !scheme.contains(':')) else {
            return Err(InvalidEndpoint::NoScheme { uri: shown(uri) });
        };
        let unknown = || InvalidEndpoint::Scheme { scheme: shown(scheme) };
        let scheme = Scheme::parse(scheme).ok_or_else(unknown)?;
        check::features(scheme)?;
        if rest.contains('#') {
            return Err(InvalidEndpoint::Fragment);
        }
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = location.split_at(location.find('/').unwrap_or(location.len()));
        // An `@` after a `/` or a `?` may be the end of a password. Any text of the URI, even the text in the
        // place of the host, may then be a part of the password.
        let may_show_password = path.contains('@') || query.contains('@');
        Self::parse_parts(scheme, [authority, path, query], own_options, queue).map_err(|error| {
            if may_show_password && error.shows_text() { InvalidEndpoint::UserInfo } else { error }
        })
    }

    /// Parses the authority, the path and the query of a URI.
    fn parse_parts(
        scheme: Scheme,
        [authority, path, query]: [&str; 3],
        own_options: &[&str],
        mut queue: QueueOptions,
    ) -> Result<(Self, Vec<(String, String)>), InvalidEndpoint> {
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let mut transport = scheme.transport();
        if let Transport::Http(options) = &mut transport {
            path.clone_into(&mut options.path);
            options.headers.extend(user.map(basic::authorization).transpose()?);
        } else if user.is_some() {
            return Err(InvalidEndpoint::User);
        } else if !matches!(path, "" | "/") {
            return Err(InvalidEndpoint::Path { path: without_options(path) });
        }
        let (host, port) = authority::read(authority)?;
        let own = query::read(query, own_options, &mut transport, &mut queue)?;
        let (transport, queue) = (check::transport(transport)?, check::queue(queue)?);
        Ok((Self { transport, host, port, queue }, own))
    }

    /// Returns the transport and its options.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Returns the limits of the queue that a [`Client`](crate::Client) has for the endpoint.
    pub fn queue(&self) -> QueueOptions {
        self.queue
    }

    /// Returns the host: a name or an address. An IPv6 address has no brackets; its zone follows `%`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, which is not 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(uri: &str) -> Result<Self, InvalidEndpoint> {
        Self::parse_with_options(uri, &[]).map(|(endpoint, _)| endpoint)
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
        let tls = Some(TlsOptions::default());
        for (uri, transport) in [
            ("gelf://h", Transport::Udp(UdpOptions::default())),
            ("gelf+udp://h", Transport::Udp(UdpOptions::default())),
            ("GELF+UDP://h", Transport::Udp(UdpOptions::default())),
            ("gelf+tcp://h", Transport::Tcp(TcpOptions::default())),
            ("gelf+tls://h", Transport::Tcp(TcpOptions { tls: tls.clone(), ..TcpOptions::default() })),
            ("gelf+http://h", Transport::Http(HttpOptions::default())),
            ("gelf+https://h", Transport::Http(HttpOptions { tls, ..HttpOptions::default() })),
        ] {
            if Scheme::of(&transport).missing_features().is_empty() {
                let endpoint = parse(uri);
                assert_eq!(endpoint.transport(), &transport, "{uri}");
                assert_eq!((endpoint.port(), endpoint.queue()), (12201, QueueOptions::default()));
            }
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn http_has_a_path_and_a_bare_slash_means_the_default_path() {
        for (uri, path) in [
            ("gelf+http://h/", "/gelf"),
            ("gelf+http://h?bulk=false", "/gelf"),
            ("gelf+http://h/?bulk=false", "/gelf"),
            ("gelf+http://h:80/in/gelf/?bulk=false", "/in/gelf/"),
            ("gelf+http://h/%C3%A4%40:;=~", "/%C3%A4%40:;=~"),
        ] {
            let http = HttpOptions { path: path.to_owned(), ..HttpOptions::default() };
            assert_eq!(parse(uri).transport(), &Transport::Http(http), "{uri}");
        }
    }

    #[test]
    fn the_error_of_a_scheme_of_another_build_names_the_features_that_it_needs() {
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
            // Other mistakes of the URI are not reported.
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
    fn options_of_the_caller_are_parsed_and_listed_as_known() {
        let names = ["filter.name", "append_tag"];
        let uri = "gelf+tcp://h?filter.name=a%2Cb+%C3%A4&queue=7&append_tag&filter.name=%25";
        let (endpoint, options) = Endpoint::parse_with_options(uri, &names).unwrap();
        assert_eq!(endpoint.to_string(), "gelf+tcp://h:12201?queue=7");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(options, [pair("filter.name", "a,b ä"), pair("append_tag", ""), pair("filter.name", "%")]);
        assert_eq!(
            Endpoint::parse_with_options("gelf+tcp://h?filter.id=1", &names).unwrap_err().to_string(),
            "unknown option \"filter.id\": use append_tag, compression, connect_timeout, delimiter, failover, filter.name, max_value_bytes, queue, queue_bytes, \
             reconnect, user_timeout, when_full"
        );
    }

    #[test]
    fn a_group_of_names_belongs_to_the_caller() {
        let names = ["field.*"];
        let (_, options) =
            Endpoint::parse_with_options("gelf://h?field.a=1&field.=2&field.b.c=3", &names).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(options, [pair("field.a", "1"), pair("field.", "2"), pair("field.b.c", "3")]);
        for name in ["field", "fields.a", "fiel", "Field.a"] {
            let error = Endpoint::parse_with_options(&format!("gelf+tcp://h?{name}=1"), &names).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with(&format!("unknown option \"{name}\": use ")), "{error}");
            assert!(error.contains(", delimiter, failover, field.*, max_value_bytes, "), "{error}");
        }
    }

    #[test]
    fn a_name_of_an_endpoint_option_never_belongs_to_the_caller() {
        let (endpoint, options) = Endpoint::parse_with_options("gelf://h?rate=1", &["rate", "bulk"]).unwrap();
        assert_eq!((endpoint.to_string().as_str(), options.len()), ("gelf://h:12201?rate=1", 0));
        assert!(matches!(
            Endpoint::parse_with_options("gelf://h?bulk=1", &["rate", "bulk"]),
            Err(InvalidEndpoint::OtherScheme { name: "bulk", .. })
        ));
    }

    #[test]
    fn an_endpoint_can_be_built_without_a_uri() {
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

    /// Generates texts that are URIs or resemble URIs.
    fn nearly_uris() -> impl Strategy<Value = String> {
        let option = prop_oneof![
            "[a-z_]{0,5}=[^ ]{0,5}",
            "(bulk|ca|cert|compression|datagram_size|failover|header|key|level)=[a-z0-9:*%/+]{0,8}",
            "(max_value_bytes|queue|queue_bytes|rate|server_name|timeout|user_timeout|when_full)=[a-z0-9:*%/+]{0,8}",
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
        fn any_text_gives_an_error_of_one_line_or_an_endpoint_whose_displayed_uri_displays_as_itself(
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
