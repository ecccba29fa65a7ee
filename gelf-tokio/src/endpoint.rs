//! Where messages go, as a URI.
//!
//! | URI | transport |
//! |---|---|
//! | `gelf://HOST[:PORT]`, `gelf+udp://HOST[:PORT]` | UDP |
//! | `gelf+tcp://HOST[:PORT]` | TCP |
//!
//! The port is 12201 unless it is given, for both transports, as the inputs of Graylog and Logstash have it. A host is
//! a name, an IPv4 address, or an IPv6 address in brackets. A name stays a name: it is looked up at each connect.
//!
//! Options follow as a query, `gelf://logs?compression=zlib&datagram_size=8192`. GELF has no compression and no chunks
//! on a stream, so all of them are for UDP; only `compression=none` may be said of TCP too.
//!
//! | option | values | default |
//! |---|---|---|
//! | `compression` | `gzip`, `zlib`, `none` | `gzip` |
//! | `level` | 1, the fastest, to 9, the smallest | 2 |
//! | `datagram_size` | 13 to 65507 bytes, a chunk's header included | 1420 |
//!
//! Only scheme, host, port and query count, as in Logspout. A path other than `/`, a user or a fragment is an error,
//! for it would mean something that nobody heeds.

use std::fmt::{self, Write};
use std::net::Ipv6Addr;
use std::str::FromStr;

use gelf_core::{Compression, CompressionLevel, DatagramSize};

mod options;

pub use options::{HttpOptions, QueueOptions, TcpOptions, TlsOptions, Transport, UdpOptions, WhenFull};

/// The longest host name that the domain name system has (RFC 1035, section 2.3.4).
const MAX_HOST_LEN: usize = 253;

/// The options that an endpoint itself knows.
const OPTIONS: [&str; 3] = ["compression", "datagram_size", "level"];

/// A destination of messages: transport, host and port.
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
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Endpoint {
    transport: Transport,
    host: String,
    port: u16,
    queue: QueueOptions,
}

impl Endpoint {
    /// 12201, for UDP and TCP.
    pub const DEFAULT_PORT: u16 = 12201;

    /// Reads a URI that may have options of the caller's own, by the names in `own_options`. Returns those that it
    /// has, name and value decoded (`%2C` is a comma and `+` a space), in order and with repetitions.
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
            return Err(InvalidEndpoint::NoScheme { uri: uri.to_owned() });
        };
        let over_udp = match scheme.to_ascii_lowercase().as_str() {
            "gelf" | "gelf+udp" => true,
            "gelf+tcp" => false,
            _ => return Err(InvalidEndpoint::Scheme { scheme: scheme.to_owned() }),
        };
        if rest.contains('#') {
            return Err(InvalidEndpoint::Fragment);
        }
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = location.split_once('/').unwrap_or((location, ""));
        if authority.contains('@') {
            return Err(InvalidEndpoint::User);
        }
        if !path.is_empty() {
            return Err(InvalidEndpoint::Path { path: format!("/{path}") });
        }
        let (host, port) = read_authority(authority)?;
        let mut options = Options::default();
        let own = options.read(query, own_options)?;
        let transport = if over_udp { Transport::Udp(options.for_udp()?) } else { options.for_tcp()? };
        Ok((Self { transport, host, port, queue: QueueOptions::default() }, own))
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

/// The URI, with the port and those options that are not the defaults.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.transport {
            Transport::Http(options) if options.tls.is_some() => "gelf+https",
            Transport::Http(_) => "gelf+http",
            Transport::Tcp(options) if options.tls.is_some() => "gelf+tls",
            Transport::Tcp(_) => "gelf+tcp",
            Transport::Udp(_) => "gelf",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port)?,
            false => write!(f, "{scheme}://{}:{}", self.host, self.port)?,
        }
        let Transport::Udp(options) = &self.transport else { return Ok(()) };
        let (name, level) = match options.compression {
            Compression::None => ("none", CompressionLevel::DEFAULT),
            Compression::Gzip(level) => ("gzip", level),
            Compression::Zlib(level) => ("zlib", level),
        };
        let size = options.datagram_size;
        let mut separator = '?';
        let mut write_option = |name, value: &dyn fmt::Display| {
            f.write_char(std::mem::replace(&mut separator, '&'))?;
            write!(f, "{name}={value}")
        };
        if name != "gzip" {
            write_option("compression", &name)?;
        }
        if level != CompressionLevel::DEFAULT {
            write_option("level", &level.as_u8())?;
        }
        if size != DatagramSize::default() {
            write_option("datagram_size", &size.as_usize())?;
        }
        Ok(())
    }
}

fn read_authority(authority: &str) -> Result<(String, u16), InvalidEndpoint> {
    let invalid_host = || InvalidEndpoint::Host { host: authority.to_owned() };
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (address, after) = bracketed.split_once(']').ok_or_else(invalid_host)?;
            let address: Ipv6Addr = address.parse().map_err(|_| invalid_host())?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(invalid_host()),
            };
            (address.to_string(), port)
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            if host.is_empty() || host.len() > MAX_HOST_LEN || !host.bytes().all(is_host_byte) {
                return Err(invalid_host());
            }
            if port.is_some_and(|port| port.contains(':')) {
                return Err(invalid_host());
            }
            (host.to_owned(), port)
        }
    };
    let Some(port) = port else { return Ok((host, Endpoint::DEFAULT_PORT)) };
    match port.parse() {
        // `parse` would take a plus sign.
        Ok(number) if number != 0 && !port.starts_with('+') => Ok((host, number)),
        _ => Err(InvalidEndpoint::Port { port: port.to_owned() }),
    }
}

/// What a query says of the transport.
#[derive(Debug, Default)]
struct Options {
    compression: Option<String>,
    level: Option<CompressionLevel>,
    datagram_size: Option<DatagramSize>,
}

impl Options {
    /// Takes what it knows, and returns what is the caller's.
    fn read(&mut self, query: &str, own: &[&str]) -> Result<Vec<(String, String)>, InvalidEndpoint> {
        let mut taken = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let refuse =
                |expected| InvalidEndpoint::Value { name: name.clone(), value: value.clone(), expected };
            let repeated = match name.as_str() {
                "compression" if matches!(value.as_str(), "gzip" | "none" | "zlib") => {
                    self.compression.replace(value).is_some()
                }
                "compression" => return Err(refuse("gzip, zlib or none")),
                "datagram_size" => {
                    let size = value.parse().ok().and_then(DatagramSize::new);
                    let size = size.ok_or_else(|| refuse("a number from 13 to 65507"))?;
                    self.datagram_size.replace(size).is_some()
                }
                "level" => {
                    let level = value.parse().ok().and_then(CompressionLevel::new);
                    self.level.replace(level.ok_or_else(|| refuse("a number from 1 to 9"))?).is_some()
                }
                _ if own.contains(&name.as_str()) => {
                    taken.push((name, value));
                    continue;
                }
                _ => {
                    let mut known = [&OPTIONS, own].concat();
                    known.sort_unstable();
                    return Err(InvalidEndpoint::Option { name, known: known.join(", ") });
                }
            };
            if repeated {
                return Err(InvalidEndpoint::Repeated { name });
            }
        }
        Ok(taken)
    }

    fn for_udp(&self) -> Result<UdpOptions, InvalidEndpoint> {
        let level = self.level.unwrap_or_default();
        let compression = match self.compression.as_deref() {
            Some("none") if self.level.is_some() => return Err(InvalidEndpoint::LevelOfNothing),
            Some("none") => Compression::None,
            Some("zlib") => Compression::Zlib(level),
            _ => Compression::Gzip(level),
        };
        Ok(UdpOptions { compression, datagram_size: self.datagram_size.unwrap_or_default(), rate: None })
    }

    fn for_tcp(&self) -> Result<Transport, InvalidEndpoint> {
        let not_for_tcp = |name| Err(InvalidEndpoint::NotForTcp { name });
        match self {
            Self { level: Some(_), .. } => not_for_tcp("level"),
            Self { datagram_size: Some(_), .. } => not_for_tcp("datagram_size"),
            Self { compression: Some(compression), .. } if compression != "none" => {
                not_for_tcp("compression")
            }
            _ => Ok(Transport::Tcp(TcpOptions::default())),
        }
    }
}

/// Decodes a name or value of a query, as HTML forms encode it.
fn decode(text: &str) -> Result<String, InvalidEndpoint> {
    let invalid = || InvalidEndpoint::Escape { text: text.to_owned() };
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = digit().zip(digit()).ok_or_else(invalid)?;
                // Two hexadecimal digits are at most 255.
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| invalid())
}

/// Why a URI is not an [`Endpoint`]. Each displays as one line that says what to write; all are the user's to mend.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// A `%` is not followed by two hexadecimal digits, or what they stand for is not UTF-8.
    Escape {
        /// The name or value that has it.
        text: String,
    },
    /// There is a `#`.
    Fragment,
    /// The host is missing, or no name and no address.
    Host {
        /// What stands in its place, the port included.
        host: String,
    },
    /// A compression level is given, and no compression.
    LevelOfNothing,
    /// There is no `://`.
    NoScheme {
        /// The whole text.
        uri: String,
    },
    /// The option is for UDP alone.
    NotForTcp {
        /// Its name.
        name: &'static str,
    },
    /// The option is not known.
    Option {
        /// Its name.
        name: String,
        /// Those that are, with commas between them.
        known: String,
    },
    /// There is a path.
    Path {
        /// The path.
        path: String,
    },
    /// The port is not a number from 1 to 65535.
    Port {
        /// What stands in its place.
        port: String,
    },
    /// The option stands twice.
    Repeated {
        /// Its name.
        name: String,
    },
    /// The scheme is not known.
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// There is a user name, and perhaps a password; neither is shown.
    User,
    /// The option has no such value.
    Value {
        /// Its name.
        name: String,
        /// The value.
        value: String,
        /// The values that it has.
        expected: &'static str,
    },
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FORMS: &str = "use gelf://HOST[:PORT], gelf+udp:// or gelf+tcp://";
        match self {
            Self::Escape { text } => {
                write!(f, "{text:?} has a % without two hexadecimal digits of UTF-8: write % itself as %25")
            }
            Self::Fragment => f.write_str("an endpoint has no fragment: write # as %23"),
            Self::Host { host } => {
                write!(f, "{host:?} is not a host: use a name, an IPv4 address or [IPv6 address], then :PORT")
            }
            Self::LevelOfNothing => f.write_str("a level without compression: leave out level"),
            Self::NoScheme { uri } => write!(f, "no scheme in {uri:?}: {FORMS}"),
            Self::NotForTcp { name } => {
                write!(f, "{name} is for UDP: GELF over TCP has no compression and no chunks, leave it out")
            }
            Self::Option { name, known } => write!(f, "unknown option {name:?}: use {known}"),
            Self::Path { path } => write!(f, "an endpoint has no path: leave out {path:?}"),
            Self::Port { port } => write!(f, "{port:?} is not a port: use a number from 1 to 65535"),
            Self::Repeated { name } => write!(f, "{name} is given twice: leave one out"),
            Self::Scheme { scheme } => write!(f, "unknown scheme {scheme:?}: {FORMS}"),
            Self::User => f.write_str("GELF knows no users: leave out what stands before @"),
            Self::Value { name, value, expected } => write!(f, "{name} cannot be {value:?}: use {expected}"),
        }
    }
}

impl std::error::Error for InvalidEndpoint {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(uri: &str) -> Endpoint {
        uri.parse().unwrap()
    }

    fn error(uri: &str) -> String {
        uri.parse::<Endpoint>().unwrap_err().to_string()
    }

    fn udp(uri: &str) -> UdpOptions {
        match parse(uri).transport() {
            Transport::Udp(options) => *options,
            other => panic!("{uri} is {other:?}"),
        }
    }

    #[test]
    fn gelf_is_udp_unless_it_says_tcp() {
        let default = Transport::Udp(UdpOptions::default());
        assert_eq!(*parse("gelf://logstash.core:12201").transport(), default);
        assert_eq!(*parse("gelf+udp://logstash.core:12201").transport(), default);
        assert_eq!(*parse("GELF+UDP://logstash.core:12201").transport(), default);
        assert_eq!(
            parse("gelf+tcp://logstash.core:12201").transport(),
            &Transport::Tcp(TcpOptions::default())
        );
    }

    #[test]
    fn hosts_are_names_or_addresses_and_the_port_is_12201_unless_given() {
        for (uri, host, port) in [
            ("gelf://logstash.core", "logstash.core", 12201),
            ("gelf://Log_Stash-1:1", "Log_Stash-1", 1),
            ("gelf://h/", "h", 12201),
            ("gelf://h:65535/?level=2", "h", 65535),
            ("gelf://10.0.0.7:12202", "10.0.0.7", 12202),
            ("gelf+tcp://[2001:db8::7]", "2001:db8::7", 12201),
            ("gelf+tcp://[::1]:99", "::1", 99),
        ] {
            let endpoint = parse(uri);
            assert_eq!((endpoint.host(), endpoint.port()), (host, port), "{uri}");
        }
    }

    #[test]
    fn udp_options_are_read_from_the_query() {
        let level = |number| CompressionLevel::new(number).unwrap();
        assert_eq!(udp("gelf://h").compression, Compression::Gzip(level(2)));
        assert_eq!(udp("gelf://h?compression=gzip&level=9").compression, Compression::Gzip(level(9)));
        assert_eq!(udp("gelf://h?level=1&compression=zlib").compression, Compression::Zlib(level(1)));
        assert_eq!(udp("gelf://h?&compression=%6eone&").compression, Compression::None);
        assert_eq!(udp("gelf://h").datagram_size, DatagramSize::WAN);
        assert_eq!(udp("gelf://h?datagram_size=13").datagram_size.as_usize(), 13);
        assert_eq!(udp("gelf://h?datagram_size=65507").datagram_size, DatagramSize::MAX);
    }

    #[test]
    fn tcp_may_say_that_it_does_not_compress() {
        assert_eq!(
            parse("gelf+tcp://h?compression=none").transport(),
            &Transport::Tcp(TcpOptions::default())
        );
    }

    #[test]
    fn each_mistake_is_told_in_one_line_that_says_what_to_write() {
        let forms = "use gelf://HOST[:PORT], gelf+udp:// or gelf+tcp://";
        let host = "use a name, an IPv4 address or [IPv6 address], then :PORT";
        let for_tcp = "is for UDP: GELF over TCP has no compression and no chunks, leave it out";
        for (uri, expected) in [
            ("syslog://h:514", format!("unknown scheme \"syslog\": {forms}")),
            ("gelf+tls://h", format!("unknown scheme \"gelf+tls\": {forms}")),
            ("://h", format!("unknown scheme \"\": {forms}")),
            ("logstash.core:12201", format!("no scheme in \"logstash.core:12201\": {forms}")),
            ("", format!("no scheme in \"\": {forms}")),
            ("gelf:h\n", format!("no scheme in \"gelf:h\\n\": {forms}")),
            ("gelf://", format!("\"\" is not a host: {host}")),
            ("gelf://:12201", format!("\":12201\" is not a host: {host}")),
            ("gelf://a b", format!("\"a b\" is not a host: {host}")),
            ("gelf://::1:12201", format!("\"::1:12201\" is not a host: {host}")),
            ("gelf://fe80::1", format!("\"fe80::1\" is not a host: {host}")),
            ("gelf://[::1", format!("\"[::1\" is not a host: {host}")),
            ("gelf://[::1]12201", format!("\"[::1]12201\" is not a host: {host}")),
            ("gelf://[h]", format!("\"[h]\" is not a host: {host}")),
            ("gelf://h:", "\"\" is not a port: use a number from 1 to 65535".into()),
            ("gelf://h:0", "\"0\" is not a port: use a number from 1 to 65535".into()),
            ("gelf://h:+1", "\"+1\" is not a port: use a number from 1 to 65535".into()),
            ("gelf://h:65536", "\"65536\" is not a port: use a number from 1 to 65535".into()),
            ("gelf://me:secret@h", "GELF knows no users: leave out what stands before @".into()),
            ("gelf://h/gelf", "an endpoint has no path: leave out \"/gelf\"".into()),
            ("gelf://h//", "an endpoint has no path: leave out \"//\"".into()),
            ("gelf://h#top", "an endpoint has no fragment: write # as %23".into()),
            (
                "gelf://h?compresion=none",
                "unknown option \"compresion\": use compression, datagram_size, level".into(),
            ),
            ("gelf://h?=1", "unknown option \"\": use compression, datagram_size, level".into()),
            ("gelf://h?compression=zstd", "compression cannot be \"zstd\": use gzip, zlib or none".into()),
            ("gelf://h?compression", "compression cannot be \"\": use gzip, zlib or none".into()),
            ("gelf://h?level=0", "level cannot be \"0\": use a number from 1 to 9".into()),
            ("gelf://h?level=fast", "level cannot be \"fast\": use a number from 1 to 9".into()),
            (
                "gelf://h?datagram_size=12",
                "datagram_size cannot be \"12\": use a number from 13 to 65507".into(),
            ),
            (
                "gelf://h?datagram_size=65508",
                "datagram_size cannot be \"65508\": use a number from 13 to 65507".into(),
            ),
            ("gelf://h?compression=none&level=3", "a level without compression: leave out level".into()),
            ("gelf://h?level=3&level=3", "level is given twice: leave one out".into()),
            ("gelf+tcp://h?compression=gzip", format!("compression {for_tcp}")),
            ("gelf+tcp://h?level=1", format!("level {for_tcp}")),
            ("gelf+tcp://h?datagram_size=8192", format!("datagram_size {for_tcp}")),
            (
                "gelf://h?level=%zz",
                "\"%zz\" has a % without two hexadecimal digits of UTF-8: write % itself as %25".into(),
            ),
            (
                "gelf://h?a%ff=1",
                "\"a%ff\" has a % without two hexadecimal digits of UTF-8: write % itself as %25".into(),
            ),
        ] {
            assert_eq!(error(uri), expected, "{uri}");
        }
    }

    #[test]
    fn a_host_name_is_as_long_as_a_name_may_be() {
        let longest = "h".repeat(253);
        assert_eq!(parse(&format!("gelf://{longest}")).host(), longest);
        assert!(error(&format!("gelf://{longest}h")).ends_with("then :PORT"));
    }

    #[test]
    fn the_callers_options_are_its_own_and_are_named_among_the_known() {
        let names = ["filter.name", "append_tag"];
        let uri = "gelf+tcp://h?filter.name=a%2Cb+%C3%A4&append_tag&filter.name=%25";
        let (endpoint, options) = Endpoint::parse_with(uri, &names).unwrap();
        assert_eq!(endpoint.transport(), &Transport::Tcp(TcpOptions::default()));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(options, [pair("filter.name", "a,b ä"), pair("append_tag", ""), pair("filter.name", "%")]);
        assert_eq!(
            Endpoint::parse_with("gelf://h?filter.id=1", &names).unwrap_err().to_string(),
            "unknown option \"filter.id\": use append_tag, compression, datagram_size, filter.name, level"
        );
    }

    #[test]
    fn what_is_displayed_has_the_port_and_no_default_options() {
        for (uri, displayed) in [
            ("gelf+udp://h", "gelf://h:12201"),
            ("gelf://h?compression=gzip&level=2&datagram_size=1420", "gelf://h:12201"),
            (
                "gelf://[::1]:1?datagram_size=8192&level=9&compression=zlib",
                "gelf://[::1]:1?compression=zlib&level=9&datagram_size=8192",
            ),
            ("gelf://h?compression=none", "gelf://h:12201?compression=none"),
            ("gelf+tcp://h?compression=none", "gelf+tcp://h:12201"),
        ] {
            assert_eq!(parse(uri).to_string(), displayed);
        }
    }

    fn transports() -> impl Strategy<Value = Transport> {
        let options = (0..3, 1..=9u8, 13..=65_507u16).prop_map(|(kind, level, size)| {
            let level = CompressionLevel::new(level).unwrap();
            let compression = match kind {
                0 => Compression::None,
                1 => Compression::Gzip(level),
                _ => Compression::Zlib(level),
            };
            Transport::Udp(UdpOptions {
                compression,
                datagram_size: DatagramSize::new(size).unwrap(),
                rate: None,
            })
        });
        prop_oneof![Just(Transport::Tcp(TcpOptions::default())), options]
    }

    proptest! {
        #[test]
        fn what_is_displayed_parses_to_the_same(
            transport in transports(),
            host in prop_oneof![
                "[a-zA-Z0-9._-]{1,253}",
                any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).to_string()),
            ],
            port in 1u16..,
        ) {
            let endpoint = Endpoint { transport, host, port, queue: QueueOptions::default() };
            prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
        }

        #[test]
        fn no_text_is_too_strange_to_be_refused_in_one_line(
            uri in prop_oneof![any::<String>(), "gelf(\\+tcp)?://[^ ]{0,5}[\\[\\]:/?#@%=&a1]{0,20}"],
        ) {
            if let Err(error) = uri.parse::<Endpoint>() {
                prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }
    }
}
