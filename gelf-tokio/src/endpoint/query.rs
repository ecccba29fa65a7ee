//! What stands behind `?`: which options there are for which scheme, and how they are read.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gelf_core::{Compression, CompressionLevel, DatagramSize};

use crate::endpoint::authority::read_host;
use crate::endpoint::check::{PEM_FILE, QUEUE_BYTES, QUEUE_MESSAGES, SECONDS, SERVER_NAME};
use crate::endpoint::escape::decode;
use crate::endpoint::scheme::{Scheme, names};
use crate::endpoint::{
    HttpOptions, InvalidEndpoint, QueueOptions, TcpOptions, TlsOptions, Transport, UdpOptions, WhenFull,
};

const HTTP: &[Scheme] = &[Scheme::Http, Scheme::Https];
const TCP: &[Scheme] = &[Scheme::Tcp, Scheme::Tls];
const TLS: &[Scheme] = &[Scheme::Tls, Scheme::Https];
const UDP: &[Scheme] = &[Scheme::Udp];

/// The options that an endpoint itself knows, and the schemes that have them.
const OPTIONS: [(&str, &[Scheme]); 15] = [
    ("bulk", HTTP),
    ("ca", TLS),
    ("cert", TLS),
    ("compression", &Scheme::ALL),
    ("datagram_size", UDP),
    ("header", HTTP),
    ("key", TLS),
    ("level", &[Scheme::Udp, Scheme::Http, Scheme::Https]),
    ("queue", &Scheme::ALL),
    ("queue_bytes", &Scheme::ALL),
    ("rate", UDP),
    ("server_name", TLS),
    ("timeout", HTTP),
    ("user_timeout", TCP),
    ("when_full", &Scheme::ALL),
];

/// The endpoint's own options of a query, decoded: each is one of its scheme, and is there once.
#[derive(Debug)]
pub(super) struct Query {
    scheme: Scheme,
    options: Vec<(&'static str, String)>,
}

impl Query {
    /// Reads a query. The second list has the options that are the caller's, by the names in `own`.
    pub(super) fn read(
        query: &str,
        scheme: Scheme,
        own: &[&str],
    ) -> Result<(Self, Vec<(String, String)>), InvalidEndpoint> {
        let mut options: Vec<(&'static str, String)> = Vec::new();
        let mut taken = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let name = decode(name).ok_or_else(|| InvalidEndpoint::Escape { text: name.to_owned() })?;
            let value = decode(value).ok_or_else(|| {
                // The value of a header is a secret.
                let text = if name == "header" { "header=***" } else { value };
                InvalidEndpoint::Escape { text: text.to_owned() }
            })?;
            match OPTIONS.into_iter().find(|(known, _)| *known == name) {
                Some((name, schemes)) if !schemes.contains(&scheme) => {
                    let (scheme, schemes) = (names(&[scheme]), names(schemes));
                    return Err(InvalidEndpoint::OtherScheme { name, scheme, schemes });
                }
                Some((name, _)) if options.iter().any(|(given, _)| *given == name) => {
                    return Err(InvalidEndpoint::Repeated { name: name.to_owned() });
                }
                Some((name, _)) => options.push((name, value)),
                None if own.iter().any(|known| stands_for(known, &name)) => taken.push((name, value)),
                None => return Err(InvalidEndpoint::Option { name, known: known(scheme, own) }),
            }
        }
        Ok((Self { scheme, options }, taken))
    }

    /// How messages travel by it.
    pub(super) fn transport(&self, path: &str) -> Result<Transport, InvalidEndpoint> {
        Ok(match self.scheme {
            Scheme::Udp => Transport::Udp(self.udp()?),
            Scheme::Tcp | Scheme::Tls => Transport::Tcp(self.tcp()?),
            Scheme::Http | Scheme::Https => Transport::Http(self.http(path)?),
        })
    }

    fn udp(&self) -> Result<UdpOptions, InvalidEndpoint> {
        let level = self.level()?;
        let compression = match self.one_of("compression", "gzip, zlib or none", &["gzip", "zlib", "none"])? {
            Some("none") if level.is_some() => return Err(InvalidEndpoint::LevelOfNothing),
            Some("none") => Compression::None,
            Some("zlib") => Compression::Zlib(level.unwrap_or_default()),
            _ => Compression::Gzip(level.unwrap_or_default()),
        };
        let size = self.value("datagram_size", "a number from 13 to 65507", |value| {
            number(value).and_then(DatagramSize::new)
        })?;
        let rate = self.value("rate", "a number of datagrams a second, from 1 to 4294967295", number)?;
        Ok(UdpOptions { compression, datagram_size: size.unwrap_or_default(), rate })
    }

    fn tcp(&self) -> Result<TcpOptions, InvalidEndpoint> {
        self.one_of("compression", "none, GELF over TCP is not compressed", &["none"])?;
        let default = TcpOptions::default();
        let user_timeout = self.seconds("user_timeout")?.unwrap_or(default.user_timeout);
        Ok(TcpOptions { tls: self.tls()?, user_timeout })
    }

    fn http(&self, path: &str) -> Result<HttpOptions, InvalidEndpoint> {
        let level = self.level()?;
        let gzip = match self.one_of("compression", "gzip or none", &["gzip", "none"])? {
            Some("gzip") => Some(level.unwrap_or_default()),
            _ if level.is_some() => return Err(InvalidEndpoint::LevelOfNothing),
            _ => None,
        };
        let default = HttpOptions::default();
        Ok(HttpOptions {
            bulk: self.one_of("bulk", "true or false", &["true", "false"])? == Some("true"),
            gzip,
            header: self.header()?,
            path: path.to_owned(),
            timeout: self.seconds("timeout")?.unwrap_or(default.timeout),
            tls: self.tls()?,
        })
    }

    /// The options of TLS, which is there by the scheme and not by them.
    fn tls(&self) -> Result<Option<TlsOptions>, InvalidEndpoint> {
        if !TLS.contains(&self.scheme) {
            return Ok(None);
        }
        let file = |name| self.value(name, PEM_FILE, |value| Some(PathBuf::from(value)));
        let is_in_brackets = |value: &str| value.starts_with('[');
        let server_name = self.value("server_name", SERVER_NAME, |value| match is_in_brackets(value) {
            true => read_host(value),
            false => Some(value.to_owned()),
        })?;
        Ok(Some(TlsOptions { ca: file("ca")?, cert: file("cert")?, key: file("key")?, server_name }))
    }

    fn level(&self) -> Result<Option<CompressionLevel>, InvalidEndpoint> {
        self.value("level", "a number from 1 to 9", |value| number(value).and_then(CompressionLevel::new))
    }

    /// Name and value of a header; blanks around the value are no part of it (RFC 9110, section 5.5).
    fn header(&self) -> Result<Option<(String, String)>, InvalidEndpoint> {
        let Some(header) = self.get("header") else { return Ok(None) };
        let (name, value) = header.split_once(':').ok_or(InvalidEndpoint::Header)?;
        Ok(Some((name.to_owned(), value.trim_matches(' ').to_owned())))
    }

    /// How much may wait, and what then.
    pub(super) fn queue(&self) -> Result<QueueOptions, InvalidEndpoint> {
        let default = QueueOptions::default();
        // Where a size has 32 bits, there is less memory than it can say.
        let size = |value: &str| number(value).map(|size: u64| usize::try_from(size).unwrap_or(usize::MAX));
        let when_full = self.value("when_full", "wait, drop_newest or drop_oldest", |value| match value {
            "drop_newest" => Some(WhenFull::DropNewest),
            "drop_oldest" => Some(WhenFull::DropOldest),
            "wait" => Some(WhenFull::Wait),
            _ => None,
        })?;
        Ok(QueueOptions {
            max_messages: self.value("queue", QUEUE_MESSAGES, size)?.unwrap_or(default.max_messages),
            max_bytes: self.value("queue_bytes", QUEUE_BYTES, size)?.unwrap_or(default.max_bytes),
            when_full: when_full.unwrap_or(default.when_full),
        })
    }

    fn seconds(&self, name: &'static str) -> Result<Option<Duration>, InvalidEndpoint> {
        self.value(name, SECONDS, |value| number(value).map(Duration::from_secs))
    }

    fn one_of(
        &self,
        name: &'static str,
        expected: &'static str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, InvalidEndpoint> {
        self.value(name, expected, |value| words.iter().copied().find(|word| *word == value))
    }

    /// The value of an option, if it is given, by what reads it.
    fn value<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, InvalidEndpoint> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(InvalidEndpoint::Value { name: name.to_owned(), value: value.to_owned(), expected }),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }
}

/// Reads digits; `parse` alone would take a plus sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Whether a name of the caller's, or a group of names such as `field.*`, stands for this one.
fn stands_for(known: &str, name: &str) -> bool {
    match known.strip_suffix('*') {
        Some(group) if group.ends_with('.') => name.starts_with(group),
        _ => known == name,
    }
}

/// The names of all options that may stand here.
fn known(scheme: Scheme, own: &[&str]) -> String {
    let of_scheme = OPTIONS.iter().filter(|(_, schemes)| schemes.contains(&scheme)).map(|(name, _)| *name);
    let mut known: Vec<_> = of_scheme.chain(own.iter().copied()).collect();
    known.sort_unstable();
    known.dedup();
    known.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(scheme: Scheme, query: &str) -> Result<Query, InvalidEndpoint> {
        Query::read(query, scheme, &[]).map(|(query, _)| query)
    }

    fn transport(scheme: Scheme, query: &str) -> Transport {
        read(scheme, query).unwrap().transport("/gelf").unwrap()
    }

    fn udp(query: &str) -> UdpOptions {
        read(Scheme::Udp, query).unwrap().udp().unwrap()
    }

    fn tcp(query: &str) -> TcpOptions {
        read(Scheme::Tcp, query).unwrap().tcp().unwrap()
    }

    fn http(query: &str) -> HttpOptions {
        read(Scheme::Http, query).unwrap().http("/gelf").unwrap()
    }

    fn level(number: u8) -> CompressionLevel {
        CompressionLevel::new(number).unwrap()
    }

    #[test]
    fn no_option_is_the_default() {
        for query in ["", "&", "&&"] {
            assert_eq!(transport(Scheme::Udp, query), Transport::Udp(UdpOptions::default()));
            assert_eq!(transport(Scheme::Tcp, query), Transport::Tcp(TcpOptions::default()));
            assert_eq!(transport(Scheme::Http, query), Transport::Http(HttpOptions::default()));
            assert_eq!(read(Scheme::Udp, query).unwrap().queue(), Ok(QueueOptions::default()));
        }
    }

    #[test]
    fn udp_compresses_by_gzip_zlib_or_not_at_all() {
        assert_eq!(udp("").compression, Compression::Gzip(level(2)));
        assert_eq!(udp("level=3").compression, Compression::Gzip(level(3)));
        assert_eq!(udp("compression=gzip&level=9").compression, Compression::Gzip(level(9)));
        assert_eq!(udp("level=1&compression=zlib").compression, Compression::Zlib(level(1)));
        assert_eq!(udp("&compression=%6eone&").compression, Compression::None);
    }

    #[test]
    fn udp_has_a_datagram_size_and_a_rate() {
        assert_eq!(udp("").datagram_size, DatagramSize::WAN);
        assert_eq!(udp("datagram_size=13").datagram_size.as_usize(), 13);
        assert_eq!(udp("datagram_size=65507").datagram_size, DatagramSize::MAX);
        assert_eq!(udp("").rate, None);
        assert_eq!(udp("rate=1").rate.unwrap().get(), 1);
        assert_eq!(udp("rate=4294967295").rate.unwrap().get(), u32::MAX);
    }

    #[test]
    fn tcp_has_a_user_timeout_and_may_say_that_it_does_not_compress() {
        assert_eq!(tcp("compression=none"), TcpOptions::default());
        assert_eq!(tcp("").user_timeout, Duration::from_secs(30));
        assert_eq!(tcp("user_timeout=3600").user_timeout, Duration::from_secs(3600));
        let Transport::Tcp(tls) = transport(Scheme::Tls, "compression=none&user_timeout=1") else { panic!() };
        assert_eq!(tls.user_timeout, Duration::from_secs(1));
    }

    #[test]
    fn tls_is_there_by_the_scheme_and_has_files_and_a_name() {
        let query = "ca=/etc/My%20CA%2B%C3%A4.pem&cert=cert.pem&key=key+1.pem&server_name=graylog.internal";
        let expected = TlsOptions {
            ca: Some("/etc/My CA+ä.pem".into()),
            cert: Some("cert.pem".into()),
            key: Some("key 1.pem".into()),
            server_name: Some("graylog.internal".into()),
        };
        for (query, expected) in [("", TlsOptions::default()), (query, expected)] {
            let tcp = TcpOptions { tls: Some(expected.clone()), ..TcpOptions::default() };
            assert_eq!(transport(Scheme::Tls, query), Transport::Tcp(tcp));
            let http = HttpOptions { tls: Some(expected), ..HttpOptions::default() };
            assert_eq!(transport(Scheme::Https, query), Transport::Http(http));
        }
    }

    #[test]
    fn a_server_name_may_be_an_address_in_brackets_or_not() {
        for (given, expected) in
            [("10.0.0.7", "10.0.0.7"), ("::1", "::1"), ("[::1]", "::1"), ("%5B::1%5D", "::1")]
        {
            let query = read(Scheme::Tls, &format!("server_name={given}")).unwrap();
            assert_eq!(query.tls().unwrap().unwrap().server_name.as_deref(), Some(expected));
        }
    }

    #[test]
    fn http_compresses_by_gzip_or_not_at_all() {
        assert_eq!(http("").gzip, None);
        assert_eq!(http("compression=none").gzip, None);
        assert_eq!(http("compression=gzip").gzip, Some(level(2)));
        assert_eq!(http("level=9&compression=gzip").gzip, Some(level(9)));
    }

    #[test]
    fn http_may_send_in_bulk_and_waits_for_answers() {
        assert!(!http("").bulk && !http("bulk=false").bulk && http("bulk=true").bulk);
        assert_eq!(http("").timeout, Duration::from_secs(10));
        assert_eq!(http("timeout=1").timeout, Duration::from_secs(1));
        assert_eq!(http("timeout=3600").timeout, Duration::from_secs(3600));
    }

    #[test]
    fn http_may_have_a_header_without_the_blanks_around_its_value() {
        for (query, name, value) in [
            ("header=X-Token:abc", "X-Token", "abc"),
            ("header=Authorization:+Bearer+a%2Bb%3D:c==%20", "Authorization", "Bearer a+b=:c=="),
            ("header=!%23$%25%26'*%2B-.^_`|~:%25", "!#$%&'*+-.^_`|~", "%"),
        ] {
            assert_eq!(http(query).header, Some((name.to_owned(), value.to_owned())), "{query}");
        }
    }

    #[test]
    fn all_have_a_queue() {
        for scheme in Scheme::ALL {
            let queue = |query| read(scheme, query).unwrap().queue().unwrap();
            let expected = QueueOptions { max_messages: 1, max_bytes: 1024, when_full: WhenFull::DropNewest };
            assert_eq!(queue("queue=1&queue_bytes=1024&when_full=drop_newest"), expected);
            assert_eq!(queue("queue=16777216").max_messages, 16_777_216);
            #[cfg(target_pointer_width = "64")]
            assert_eq!(queue("queue_bytes=17179869184").max_bytes, 17_179_869_184);
            assert_eq!(queue("when_full=drop_oldest").when_full, WhenFull::DropOldest);
            assert_eq!(queue("when_full=wait").when_full, WhenFull::Wait);
        }
    }

    #[test]
    fn each_scheme_has_its_options_and_no_other() {
        let all = ["compression", "queue", "queue_bytes", "when_full"];
        let tls = ["ca", "cert", "key", "server_name"];
        let http = ["bulk", "header", "level", "timeout"];
        let expected = |more: &[&[&'static str]]| {
            let mut names = [&all[..], &more.concat()].concat();
            names.sort_unstable();
            names
        };
        for (scheme, names) in [
            (Scheme::Udp, expected(&[&["datagram_size", "level", "rate"]])),
            (Scheme::Tcp, expected(&[&["user_timeout"]])),
            (Scheme::Tls, expected(&[&["user_timeout"], &tls])),
            (Scheme::Http, expected(&[&http])),
            (Scheme::Https, expected(&[&http, &tls])),
        ] {
            let unknown = InvalidEndpoint::Option { name: "x".to_owned(), known: names.join(", ") };
            assert_eq!(read(scheme, "x=1").unwrap_err(), unknown);
            for (name, _) in OPTIONS {
                let is_refused = matches!(
                    read(scheme, &format!("{name}=1")),
                    Err(InvalidEndpoint::OtherScheme { name: refused, .. }) if refused == name
                );
                assert_eq!(is_refused, !names.contains(&name), "{name} of {scheme:?}");
                let repeated = read(scheme, &format!("{name}=1&{name}=2"));
                let expected = InvalidEndpoint::Repeated { name: name.to_owned() };
                assert!(is_refused || repeated.unwrap_err() == expected);
            }
        }
    }

    #[test]
    fn numbers_are_digits_alone() {
        for text in ["", "+1", "-1", " 1", "1 ", "1.0", "0x1", "٣", "18446744073709551616"] {
            assert_eq!(number::<u64>(text), None, "{text:?}");
        }
        assert_eq!(number("007"), Some(7_u8));
    }
}
