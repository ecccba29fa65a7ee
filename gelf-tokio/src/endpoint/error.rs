//! Errors of endpoints.

use std::fmt;

use crate::endpoint::scheme::{enumerate, forms};

/// The error of an invalid URI, or of invalid parts of an [`Endpoint`](crate::Endpoint). Each error displays
/// as one line that says what to write instead, without passwords and the value of a `header`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// The option needs another one.
    Alone {
        /// The name of the option.
        name: &'static str,
        /// The name of the other option.
        other: &'static str,
    },
    /// A `%` is not followed by two hexadecimal digits, or the decoded bytes are not UTF-8.
    Escape {
        /// The name or value.
        text: String,
    },
    /// This build does not include the transport.
    Feature {
        /// The scheme.
        scheme: &'static str,
        /// The missing cargo features.
        missing: &'static [&'static str],
    },
    /// The URI has a fragment.
    Fragment,
    /// The value of `header` is not a token, a colon and visible ASCII. The error does not show it.
    Header,
    /// The value of `header` names a header that the sender sets.
    HeaderOfRequests {
        /// The name.
        name: String,
    },
    /// The host is missing, or neither a name nor an address.
    Host {
        /// The text in its place, the port included.
        host: String,
    },
    /// The path has invalid characters.
    HttpPath {
        /// The path.
        path: String,
    },
    /// A compression level is given without compression.
    LevelOfNothing,
    /// The URI has no `://`.
    NoScheme {
        /// The text, without the part before `@` and the part after `?`.
        uri: String,
    },
    /// The option is unknown.
    Option {
        /// The name of the option.
        name: String,
        /// The known options, with commas between them.
        known: String,
    },
    /// The option belongs to other schemes.
    OtherScheme {
        /// The name of the option.
        name: &'static str,
        /// The scheme of the URI.
        scheme: String,
        /// The schemes that have the option, as in a sentence.
        schemes: String,
    },
    /// The URI has a path, which its scheme does not permit.
    Path {
        /// The path.
        path: String,
    },
    /// The port is not a number from 1 to 65535.
    Port {
        /// The text in its place.
        port: String,
    },
    /// The option is given twice.
    Repeated {
        /// The name of the option.
        name: String,
    },
    /// The scheme is unknown.
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The URI has a user name, and perhaps a password, which its scheme does not permit. The error shows
    /// neither.
    User,
    /// The part before `@` is not a user name and a password, encoded as in a URI. The error does not show it.
    UserInfo,
    /// The value is not valid for the option.
    Value {
        /// The name of the option.
        name: String,
        /// The value.
        value: String,
        /// The valid values.
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
                write!(f, "header cannot be named {name}, which the sender sets: use another name")
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
            Self::User => {
                f.write_str("a user is for gelf+http:// and gelf+https:// alone: leave out the part before @")
            }
            Self::UserInfo => f.write_str(
                "the part before @ is not USER:PASSWORD: write all but letters, digits and -._~ as %XX",
            ),
            Self::Value { name, value, expected } => write!(f, "{name} cannot be {value:?}: use {expected}"),
        }
    }
}

impl std::error::Error for InvalidEndpoint {}

/// Returns the part that may be shown of a text without a known scheme. The other parts may contain a
/// password or other secrets.
pub(super) fn shown(text: &str) -> String {
    without_options(text).rsplit('@').next().unwrap_or_default().to_owned()
}

/// Returns the part before the options, even if their `?` is missing: they may have a secret.
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
    fn a_missing_or_unknown_scheme_names_the_schemes_of_this_build() {
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
    fn errors_of_host_port_path_and_user_say_what_to_write() {
        let host = "use a name, an IPv4 address or [IPv6 address], then :PORT";
        assert_eq!(error("gelf://:12201"), format!("\":12201\" is not a host: {host}"));
        assert_eq!(error("gelf+tcp://fe80::1"), format!("\"fe80::1\" is not a host: {host}"));
        assert_errors(&[
            ("gelf://h:0", r#""0" is not a port: use a number from 1 to 65535"#),
            ("gelf+tcp://h:", r#""" is not a port: use a number from 1 to 65535"#),
            (
                "gelf://me:secret@h",
                "a user is for gelf+http:// and gelf+https:// alone: leave out the part before @",
            ),
            ("gelf://h/gelf", r#"a path is for gelf+http:// and gelf+https:// alone: leave out "/gelf""#),
            ("gelf+tcp://h//", r#"a path is for gelf+http:// and gelf+https:// alone: leave out "//""#),
            ("gelf://h#top", "an endpoint has no fragment: write # as %23"),
        ]);
    }

    #[test]
    fn errors_of_options_say_what_to_write() {
        let udp = "use compression, datagram_size, level, max_value_bytes, overflow, queue, queue_bytes, rate, when_full";
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
    fn an_option_of_another_transport_names_its_schemes() {
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
    fn errors_of_tls_options_say_what_to_write() {
        let tls = "use ca, cert, compression, connect_timeout, delimiter, failover, key, max_value_bytes, queue, queue_bytes, reconnect, server_name, user_timeout, when_full";
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
    fn errors_of_http_options_say_what_to_write() {
        let http = "use bulk, compression, connect_timeout, failover, header, level, max_value_bytes, queue, queue_bytes, timeout, when_full";
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
                "header cannot be named Host, which the sender sets: use another name",
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
                "://me:s3cret@h:x",
                "://me:s3cret@h&",
                "://me:s3cret%zz@h",
                "://me:s3cret/1@h",
                "://me:s3cret?1@h",
                "://me:s3cret#1@h",
                "://me:s3cret&1@h?x",
                "://me:s3cret:1@h?header=Authorization:s3cret",
                "//me:s3cret@h?header=X:s3cret",
                "//h?header=X:s3cret@home",
            ] {
                let error = format!("{scheme}{rest}").parse::<Endpoint>().unwrap_err();
                assert!(!format!("{error} {error:?}").contains("s3cret"), "{scheme}{rest}: {error}");
            }
        }
    }
}
