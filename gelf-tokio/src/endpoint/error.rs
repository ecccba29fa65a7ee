//! Errors of endpoints.

use std::fmt;

use crate::endpoint::scheme::{enumerate, forms};

/// The error for an invalid URI, or for invalid parts of an [`Endpoint`](crate::Endpoint). The displayed
/// error is one line that says what to write instead. It contains no password and no value of a `header`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// The option needs another option, which is missing.
    Alone {
        /// The name of the option.
        name: &'static str,
        /// The name of the other option.
        other: &'static str,
    },
    /// A `%` is not followed by two hexadecimal digits, or the decoded bytes are not UTF-8.
    Escape {
        /// The name or the value of the option, as it is written.
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
    /// The value of `header` does not consist of a token, a colon and visible ASCII characters, which may
    /// have spaces between them. The error does not show the value.
    Header,
    /// The value of `header` names a header that the sender sets.
    HeaderOfRequests {
        /// The name.
        name: String,
    },
    /// The host is missing, or it is neither a name nor an address.
    Host {
        /// The text in the place of the host, including the port.
        host: String,
    },
    /// The path of an HTTP endpoint does not begin with `/`, or has invalid characters.
    HttpPath {
        /// The path.
        path: String,
    },
    /// A compression level is given without compression.
    LevelOfNothing,
    /// The URI has no `://`, or has a colon in front of it.
    NoScheme {
        /// The text before the first `?` or `&`, without the part up to its last `@`. It is empty if an `@`
        /// follows the first `?` or `&`.
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
        /// The schemes that have the option, enumerated for a sentence.
        schemes: String,
    },
    /// The URI has a path, which its scheme does not permit.
    Path {
        /// The path.
        path: String,
    },
    /// The port is not a number from 1 to 65535.
    Port {
        /// The text in the place of the port.
        port: String,
    },
    /// The option or header is given twice.
    Repeated {
        /// The name of the option, or `the header` and the name of the header.
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
    /// The part before `@` is not a user name and a password, encoded as in a URI. The error does not show
    /// this part. A URI with another mistake gives this error, too, if it has an `@` in its path or its
    /// options, and if the error of the mistake would show text of the URI: this text may be a part of the
    /// password.
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

impl InvalidEndpoint {
    /// Returns whether the error shows text of the URI other than the name of a known option or scheme.
    pub(super) fn shows_text(&self) -> bool {
        match self {
            Self::Alone { .. }
            | Self::Feature { .. }
            | Self::Fragment
            | Self::Header
            | Self::LevelOfNothing
            | Self::OtherScheme { .. }
            | Self::User
            | Self::UserInfo => false,
            Self::Escape { .. }
            | Self::HeaderOfRequests { .. }
            | Self::Host { .. }
            | Self::HttpPath { .. }
            | Self::NoScheme { .. }
            | Self::Option { .. }
            | Self::Path { .. }
            | Self::Port { .. }
            | Self::Repeated { .. }
            | Self::Scheme { .. }
            | Self::Value { .. } => true,
        }
    }
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone { name, other } => write!(f, "{name} needs {other}: give both or neither"),
            Self::Escape { text } => {
                write!(f, "{text:?} is not percent-encoded UTF-8: write % itself as %25")
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

/// Returns the part of a text that an error may show: the part before the options, without everything up to its
/// last `@`. The text has no known scheme, so the other parts may be a password or another secret. Returns an
/// empty text if an `@` follows the first `?` or `&`, because all text before this `@` may be a password.
pub(super) fn shown(text: &str) -> String {
    let location = without_options(text);
    match text.get(location.len()..) {
        Some(options) if options.contains('@') => String::new(),
        _ => location.rsplit('@').next().unwrap_or_default().to_owned(),
    }
}

/// Returns the part before the options, since options may contain a secret. If the `?` is missing, the
/// options begin at the first `&`.
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
    fn the_error_of_a_missing_or_unknown_scheme_names_the_schemes_of_this_build() {
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
    fn an_error_of_a_value_says_what_to_write() {
        let seconds = "a number of seconds, from 1 to 3600";
        let not_compressed = "none, GELF over TCP is not compressed";
        for (scheme, name, values, advice) in [
            (
                "gelf",
                "rate",
                &["0", "4294967296"][..],
                "a number of datagrams a second, from 1 to 4294967295",
            ),
            ("gelf", "compression", &["zstd", ""], "gzip, zlib or none"),
            ("gelf", "level", &["0", "fast", "%2B3"], "a number from 1 to 9"),
            ("gelf", "datagram_size", &["12", "65508"], "a number from 13 to 65507"),
            ("gelf", "queue", &["0", "all", "16777217"], "a number of messages, from 1 to 16777216"),
            (
                "gelf",
                "queue_bytes",
                &["1023", "1M", "17179869185"],
                "a number of bytes, from 1024 to 17179869184",
            ),
            ("gelf", "when_full", &["drop"], "wait, drop_newest or drop_oldest"),
            ("gelf+tcp", "user_timeout", &["0", "3601", "1.5"], seconds),
            ("gelf+tcp", "compression", &["gzip"], not_compressed),
            #[cfg(feature = "tls")]
            ("gelf+tls", "compression", &["zlib"], not_compressed),
            #[cfg(feature = "tls")]
            ("gelf+tls", "ca", &["", "%00"], "the path of a PEM file"),
            #[cfg(feature = "tls")]
            ("gelf+tls", "server_name", &["a%20b", "h:1", "[h]"], "a name or an address"),
            #[cfg(feature = "http")]
            ("gelf+http", "bulk", &["yes", ""], "true or false"),
            #[cfg(feature = "http")]
            ("gelf+http", "compression", &["zlib"], "gzip or none"),
            #[cfg(feature = "http")]
            ("gelf+http", "timeout", &["0", "3601", "1.5"], seconds),
        ] {
            for value in values {
                let shown = crate::endpoint::escape::decode(value).unwrap();
                let expected = format!("{name} cannot be {shown:?}: use {advice}");
                assert_eq!(error(&format!("{scheme}://h?{name}={value}")), expected);
            }
        }
    }

    #[test]
    fn errors_of_options_say_what_to_write() {
        let level = "a level without compression: leave out level or write compression=gzip";
        let percent = "is not percent-encoded UTF-8: write % itself as %25";
        assert_errors(&[
            ("gelf://h?compression", r#"compression cannot be "": use gzip, zlib or none"#),
            ("gelf://h?level=3&level=3", "level is given twice: leave one out"),
            ("gelf://h?compression=none&level=3", level),
            ("gelf://h?level=%zz", &format!("\"%zz\" {percent}")),
            ("gelf://h?a%ff=1", &format!("\"a%ff\" {percent}")),
        ]);
        #[cfg(feature = "tls")]
        assert_errors(&[
            ("gelf+tls://h?cert=a%00&key=b", r#"cert cannot be "a\0": use the path of a PEM file"#),
            ("gelf+tls://h?cert=a&key", r#"key cannot be "": use the path of a PEM file"#),
            ("gelf+tls://h?cert=a", "cert needs key: give both or neither"),
            ("gelf+tls://h?key=a", "key needs cert: give both or neither"),
        ]);
        #[cfg(feature = "http")]
        {
            let header =
                "header is not NAME:VALUE: use letters, digits and - in the name, visible ASCII in the value";
            let path = "begin it with / and write all but letters, digits and -._~ as %XX";
            assert_errors(&[
                ("gelf+http://h/a b", &format!("\"/a b\" is not a path: {path}")),
                ("gelf+http://h?level=1", level),
                ("gelf+http://h?level=1&compression=none", level),
                ("gelf+http://h?header=X", header),
                ("gelf+http://h?header=X:", header),
                ("gelf+http://h?header=:a", header),
                ("gelf+http://h?header=X+Y:a", header),
                ("gelf+http://h?header=X:a%0D%0AY:b", header),
                (
                    "gelf+http://h?header=Host:a",
                    "header cannot be named Host, which the sender sets: use another name",
                ),
            ]);
        }
    }

    #[test]
    fn the_error_of_an_option_of_another_transport_names_the_schemes_that_have_it() {
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
            #[cfg(feature = "http")]
            ("gelf+http://h?ca=a", "ca is for gelf+tls:// and gelf+https://, not for gelf+http://"),
        ] {
            assert_eq!(error(uri), format!("{mistake}: {end}"));
        }
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
                "://me:a/s3cret&1@h",
                "://me:1/s3cret%zz@h",
                "://me:1?s3cret@h",
                "://me:1?s3cret&1@h",
                "://me:1?queue=s3cret@h",
                "://me:1?queue=s3cret&1@h",
                "://me:1?s3cret%zz@h",
                "://me:a@b:s3cret/1@h",
                "//me:s3cret@h?header=X:s3cret",
                "//me:s3cret?1@h",
                "//me:s3cret&1@h",
                "//h?header=X:s3cret@home",
                "://me:1/s3cret@h",
                "://me:1/s3cret@h/gelf?queue=1",
                ":me:s3cret://1@h",
                ":me:1://s3cret@h",
            ] {
                let error = format!("{scheme}{rest}").parse::<Endpoint>().unwrap_err();
                assert!(!format!("{error} {error:?}").contains("s3cret"), "{scheme}{rest}: {error}");
            }
        }
    }
}
