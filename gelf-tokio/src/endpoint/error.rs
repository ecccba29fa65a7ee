//! Why a URI is no endpoint.

use std::fmt;

use crate::endpoint::scheme::{enumerate, forms};

/// Why a URI, or what a program has put together, is not an [`Endpoint`](crate::Endpoint). Each displays as one line
/// that says what to write; all are the user's to mend. What may be a password or the value of a `header` is left out.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// The option has no meaning without the other.
    Alone {
        /// Its name.
        name: &'static str,
        /// The name of the other.
        other: &'static str,
    },
    /// A `%` is not followed by two hexadecimal digits, or what they stand for is not UTF-8.
    Escape {
        /// The name or value that has it.
        text: String,
    },
    /// This build does not have the transport.
    Feature {
        /// The scheme.
        scheme: &'static str,
        /// The cargo features that it needs and that are off.
        missing: &'static [&'static str],
    },
    /// There is a `#`.
    Fragment,
    /// The value of `header` is not a token, a colon and visible ASCII. It is not shown.
    Header,
    /// The value of `header` has the name of a header that requests have anyway.
    HeaderOfRequests {
        /// The name.
        name: String,
    },
    /// The host is missing, or no name and no address.
    Host {
        /// What stands in its place, the port included.
        host: String,
    },
    /// The path has characters that no path has.
    HttpPath {
        /// The path.
        path: String,
    },
    /// A compression level is given, and no compression.
    LevelOfNothing,
    /// There is no `://`.
    NoScheme {
        /// The text, without what `@` ends and what `?` begins.
        uri: String,
    },
    /// The option is not known.
    Option {
        /// Its name.
        name: String,
        /// Those that are, with commas between them.
        known: String,
    },
    /// The option is for other schemes.
    OtherScheme {
        /// Its name.
        name: &'static str,
        /// The scheme that stands there.
        scheme: String,
        /// Those that have it, as in a sentence.
        schemes: String,
    },
    /// There is a path, and the scheme has none.
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
        match self {
            Self::Alone { name, other } => write!(f, "{name} needs {other}: give both or neither"),
            Self::Escape { text } => {
                write!(f, "{text:?} has a % without two hexadecimal digits of UTF-8: write % itself as %25")
            }
            Self::Feature { scheme, missing } => {
                let quoted: Vec<_> = missing.iter().map(|feature| format!("{feature:?}")).collect();
                let features = if missing.len() == 1 { "feature" } else { "features" };
                write!(f, "{scheme} needs the {features} {}", enumerate(&quoted, "and"))
            }
            Self::Fragment => f.write_str("an endpoint has no fragment: write # as %23"),
            Self::Header => f.write_str(
                "header is not NAME:VALUE: use letters, digits and - in the name, visible ASCII in the value",
            ),
            Self::HeaderOfRequests { name } => {
                write!(f, "header cannot be named {name}, for requests have that anyway: use another name")
            }
            Self::Host { host } => {
                write!(f, "{host:?} is not a host: use a name, an IPv4 address or [IPv6 address], then :PORT")
            }
            Self::HttpPath { path } => {
                write!(
                    f,
                    "{path:?} is not a path: begin it with / and write all but letters, digits and -._~ as %XX"
                )
            }
            Self::LevelOfNothing => {
                f.write_str("a level without compression: leave out level or write compression=gzip")
            }
            Self::NoScheme { uri } => write!(f, "no scheme in {uri:?}: use {}", forms()),
            Self::Option { name, known } => write!(f, "unknown option {name:?}: use {known}"),
            Self::OtherScheme { name, scheme, schemes } => {
                write!(f, "{name} is for {schemes}, not for {scheme}: leave it out or change the scheme")
            }
            Self::Path { path } => {
                write!(f, "a path is for gelf+http:// and gelf+https:// alone: leave out {path:?}")
            }
            Self::Port { port } => write!(f, "{port:?} is not a port: use a number from 1 to 65535"),
            Self::Repeated { name } => write!(f, "{name} is given twice: leave one out"),
            Self::Scheme { scheme } => write!(f, "unknown scheme {scheme:?}: use {}", forms()),
            Self::User => f.write_str("GELF knows no users: leave out what stands before @"),
            Self::Value { name, value, expected } => write!(f, "{name} cannot be {value:?}: use {expected}"),
        }
    }
}

impl std::error::Error for InvalidEndpoint {}

/// What stands before options, also where their `?` is forgotten: they may have a secret.
pub(super) fn without_options(text: &str) -> String {
    text.split(['?', '&']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use crate::endpoint::Endpoint;

    fn error(uri: &str) -> String {
        uri.parse::<Endpoint>().unwrap_err().to_string()
    }

    #[track_caller]
    fn assert_errors(expected: &[(&str, &str)]) {
        for (uri, expected) in expected {
            assert_eq!(error(uri), *expected, "{uri}");
        }
    }

    #[test]
    fn a_missing_or_unknown_scheme_is_told_with_those_of_this_build() {
        let forms = match (cfg!(feature = "http"), cfg!(feature = "tls")) {
            (true, true) => "gelf+udp://, gelf+tcp://, gelf+tls://, gelf+http:// or gelf+https://",
            (true, false) => "gelf+udp://, gelf+tcp:// or gelf+http://",
            (false, true) => "gelf+udp://, gelf+tcp:// or gelf+tls://",
            (false, false) => "gelf+udp:// or gelf+tcp://",
        };
        for (uri, mistake) in [
            ("syslog://h:514", r#"unknown scheme "syslog""#),
            ("https://h", r#"unknown scheme "https""#),
            ("gelf+quic://h", r#"unknown scheme "gelf+quic""#),
            ("://h", r#"unknown scheme """#),
            ("logstash.core:12201", r#"no scheme in "logstash.core:12201""#),
            ("", r#"no scheme in """#),
            ("gelf:h\n", r#"no scheme in "gelf:h\n""#),
        ] {
            assert_eq!(error(uri), format!("{mistake}: use gelf://HOST[:PORT], {forms}"));
        }
    }

    #[test]
    fn a_wrong_place_is_told() {
        let host = "use a name, an IPv4 address or [IPv6 address], then :PORT";
        assert_eq!(error("gelf://:12201"), format!("\":12201\" is not a host: {host}"));
        assert_eq!(error("gelf+tcp://fe80::1"), format!("\"fe80::1\" is not a host: {host}"));
        assert_errors(&[
            ("gelf://h:0", r#""0" is not a port: use a number from 1 to 65535"#),
            ("gelf+tcp://h:", r#""" is not a port: use a number from 1 to 65535"#),
            ("gelf://me:secret@h", "GELF knows no users: leave out what stands before @"),
            ("gelf://h/gelf", r#"a path is for gelf+http:// and gelf+https:// alone: leave out "/gelf""#),
            ("gelf+tcp://h//", r#"a path is for gelf+http:// and gelf+https:// alone: leave out "//""#),
            ("gelf://h#top", "an endpoint has no fragment: write # as %23"),
        ]);
    }

    #[test]
    fn a_wrong_option_is_told_with_what_to_write() {
        let udp = "use compression, datagram_size, level, overflow, queue, queue_bytes, rate, when_full";
        assert_eq!(error("gelf://h?compresion=none"), format!("unknown option \"compresion\": {udp}"));
        assert_eq!(error("gelf://h?=1"), format!("unknown option \"\": {udp}"));
        let number = "use a number of";
        for (uri, mistake) in [
            ("gelf://h?rate=0", r#"rate cannot be "0""#),
            ("gelf://h?rate=4294967296", r#"rate cannot be "4294967296""#),
        ] {
            assert_eq!(error(uri), format!("{mistake}: {number} datagrams a second, from 1 to 4294967295"));
        }
        for (uri, mistake) in [
            ("gelf+tcp://h?user_timeout=0", r#"user_timeout cannot be "0""#),
            ("gelf+tcp://h?user_timeout=3601", r#"user_timeout cannot be "3601""#),
            ("gelf+tcp://h?user_timeout=1.5", r#"user_timeout cannot be "1.5""#),
        ] {
            assert_eq!(error(uri), format!("{mistake}: {number} seconds, from 1 to 3600"));
        }
        assert_errors(&[
            ("gelf://h?compression=zstd", r#"compression cannot be "zstd": use gzip, zlib or none"#),
            ("gelf://h?compression", r#"compression cannot be "": use gzip, zlib or none"#),
            (
                "gelf+tcp://h?compression=gzip",
                r#"compression cannot be "gzip": use none, GELF over TCP is not compressed"#,
            ),
            ("gelf://h?level=0", r#"level cannot be "0": use a number from 1 to 9"#),
            ("gelf://h?level=fast", r#"level cannot be "fast": use a number from 1 to 9"#),
            ("gelf://h?level=%2B3", r#"level cannot be "+3": use a number from 1 to 9"#),
            ("gelf://h?datagram_size=12", r#"datagram_size cannot be "12": use a number from 13 to 65507"#),
            (
                "gelf://h?datagram_size=65508",
                r#"datagram_size cannot be "65508": use a number from 13 to 65507"#,
            ),
            ("gelf://h?queue=0", r#"queue cannot be "0": use a number of messages, from 1 to 16777216"#),
            (
                "gelf+tcp://h?queue=all",
                r#"queue cannot be "all": use a number of messages, from 1 to 16777216"#,
            ),
            (
                "gelf://h?queue_bytes=1023",
                r#"queue_bytes cannot be "1023": use a number of bytes, from 1024 to 17179869184"#,
            ),
            (
                "gelf://h?queue_bytes=1M",
                r#"queue_bytes cannot be "1M": use a number of bytes, from 1024 to 17179869184"#,
            ),
            (
                "gelf://h?when_full=drop",
                r#"when_full cannot be "drop": use wait, drop_newest or drop_oldest"#,
            ),
            ("gelf://h?level=3&level=3", "level is given twice: leave one out"),
            (
                "gelf://h?compression=none&level=3",
                "a level without compression: leave out level or write compression=gzip",
            ),
            (
                "gelf://h?level=%zz",
                r#""%zz" has a % without two hexadecimal digits of UTF-8: write % itself as %25"#,
            ),
            (
                "gelf://h?a%ff=1",
                r#""a%ff" has a % without two hexadecimal digits of UTF-8: write % itself as %25"#,
            ),
        ]);
    }

    #[test]
    fn an_option_of_another_transport_is_told_with_its_schemes() {
        let end = "leave it out or change the scheme";
        for (uri, mistake) in [
            ("gelf+tcp://h?datagram_size=8192", "datagram_size is for gelf://, not for gelf+tcp://"),
            ("gelf+tcp://h?rate=1", "rate is for gelf://, not for gelf+tcp://"),
            (
                "gelf+tcp://h?level=1",
                "level is for gelf://, gelf+http:// and gelf+https://, not for gelf+tcp://",
            ),
            (
                "gelf+udp://h?user_timeout=1",
                "user_timeout is for gelf+tcp:// and gelf+tls://, not for gelf://",
            ),
            ("gelf+tcp://h?ca=a", "ca is for gelf+tls:// and gelf+https://, not for gelf+tcp://"),
            ("gelf://h?header=X:secret", "header is for gelf+http:// and gelf+https://, not for gelf://"),
        ] {
            assert_eq!(error(uri), format!("{mistake}: {end}"));
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_wrong_option_of_tls_is_told() {
        let tls = "use ca, cert, compression, connect_timeout, key, queue, queue_bytes, server_name, user_timeout, when_full";
        assert_eq!(error("gelf+tls://h?cafile=a"), format!("unknown option \"cafile\": {tls}"));
        assert_errors(&[
            ("gelf+tls://h?ca=", r#"ca cannot be "": use the path of a PEM file"#),
            ("gelf+tls://h?cert=a%00&key=b", r#"cert cannot be "a\0": use the path of a PEM file"#),
            ("gelf+tls://h?cert=a&key", r#"key cannot be "": use the path of a PEM file"#),
            ("gelf+tls://h?cert=a", "cert needs key: give both or neither"),
            ("gelf+tls://h?key=a", "key needs cert: give both or neither"),
            ("gelf+tls://h?server_name=a%20b", r#"server_name cannot be "a b": use a name or an address"#),
            ("gelf+tls://h?server_name=h:1", r#"server_name cannot be "h:1": use a name or an address"#),
            ("gelf+tls://h?server_name=[h]", r#"server_name cannot be "[h]": use a name or an address"#),
            (
                "gelf+tls://h?compression=zlib",
                r#"compression cannot be "zlib": use none, GELF over TCP is not compressed"#,
            ),
        ]);
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_wrong_option_of_http_is_told() {
        let http =
            "use bulk, compression, connect_timeout, header, level, queue, queue_bytes, timeout, when_full";
        assert_eq!(error("gelf+http://h?batch=1"), format!("unknown option \"batch\": {http}"));
        let header =
            "header is not NAME:VALUE: use letters, digits and - in the name, visible ASCII in the value";
        let path = "begin it with / and write all but letters, digits and -._~ as %XX";
        assert_eq!(error("gelf+http://h/a b"), format!("\"/a b\" is not a path: {path}"));
        assert_errors(&[
            ("gelf+http://h?bulk=yes", r#"bulk cannot be "yes": use true or false"#),
            ("gelf+http://h?bulk", r#"bulk cannot be "": use true or false"#),
            ("gelf+http://h?compression=zlib", r#"compression cannot be "zlib": use gzip or none"#),
            (
                "gelf+http://h?level=1",
                "a level without compression: leave out level or write compression=gzip",
            ),
            (
                "gelf+http://h?level=1&compression=none",
                "a level without compression: leave out level or write compression=gzip",
            ),
            ("gelf+http://h?timeout=0", r#"timeout cannot be "0": use a number of seconds, from 1 to 3600"#),
            (
                "gelf+http://h?timeout=3601",
                r#"timeout cannot be "3601": use a number of seconds, from 1 to 3600"#,
            ),
            ("gelf+http://h?header=X", header),
            ("gelf+http://h?header=X:", header),
            ("gelf+http://h?header=:a", header),
            ("gelf+http://h?header=X+Y:a", header),
            ("gelf+http://h?header=X:a%0D%0AY:b", header),
            (
                "gelf+http://h?header=Host:a",
                "header cannot be named Host, for requests have that anyway: use another name",
            ),
            (
                "gelf+http://h?ca=a",
                "ca is for gelf+tls:// and gelf+https://, not for gelf+http://: leave it out or change the scheme",
            ),
        ]);
    }

    #[test]
    fn no_error_shows_a_secret() {
        for scheme in ["gelf+http", "gelf+https", "gelf+tcp", "gelf", "http"] {
            for rest in [
                "://h?header=X:s3cret%zz",
                "://h?header=s3cret",
                "://h?header=X:s3cret%00",
                "://h?header=Host:s3cret",
                "://h?header=X:s3cret&header=X:s3cret",
                "://h&header=X:s3cret",
                "://h:1&header=s3cret",
                "://h/gelf&header=X:s3cret",
                "://me:s3cret@h",
                "//me:s3cret@h?header=X:s3cret",
                "//h?header=X:s3cret@home",
            ] {
                let error = format!("{scheme}{rest}").parse::<Endpoint>().unwrap_err();
                assert!(!format!("{error} {error:?}").contains("s3cret"), "{scheme}{rest}: {error}");
            }
        }
    }
}
