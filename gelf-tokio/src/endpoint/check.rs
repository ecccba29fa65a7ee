//! Validates the options that a URI or a program has set.

use crate::endpoint::error::without_options;
use crate::endpoint::scheme::Scheme;
use crate::endpoint::table::TABLE;
use crate::endpoint::{HttpOptions, InvalidEndpoint, QueueOptions, TcpOptions, Transport, UdpOptions};

/// The headers that no option may set, because the sender decides what they state: the host, where a request
/// ends, what its body is, and how the connection is used.
const HEADERS_OF_REQUESTS: [&str; 11] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks that this build has the transport of a scheme.
pub(super) fn features(scheme: Scheme) -> Result<(), InvalidEndpoint> {
    match scheme.missing_features() {
        [] => Ok(()),
        missing => Err(InvalidEndpoint::Feature { scheme: scheme.name(), missing }),
    }
}

/// Returns the transport if this build has it and its options are valid. An HTTP path that is empty or `/`
/// becomes the default path.
pub(super) fn transport(mut transport: Transport) -> Result<Transport, InvalidEndpoint> {
    features(Scheme::of(&transport))?;
    if let Transport::Http(options) = &mut transport {
        if matches!(options.path.as_str(), "" | "/") {
            options.path = HttpOptions::default().path;
        }
        check_path(&options.path)?;
        for (at, (name, value)) in options.headers.iter().enumerate() {
            check_header(name, value)?;
            if options.headers.iter().take(at).any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                return Err(InvalidEndpoint::Repeated { name: format!("the header {name}") });
            }
        }
    }
    check_rows(&transport, &QueueOptions::default())?;
    if let Transport::Http(HttpOptions { tls: Some(options), .. })
    | Transport::Tcp(TcpOptions { tls: Some(options), .. }) = &transport
    {
        match (&options.cert, &options.key) {
            (Some(_), None) => return Err(InvalidEndpoint::Alone { name: "cert", other: "key" }),
            (None, Some(_)) => return Err(InvalidEndpoint::Alone { name: "key", other: "cert" }),
            _ => {}
        }
    }
    Ok(transport)
}

/// Returns the queue's options if they are valid.
pub(super) fn queue(options: QueueOptions) -> Result<QueueOptions, InvalidEndpoint> {
    check_rows(&Transport::Udp(UdpOptions::default()), &options)?;
    Ok(options)
}

fn check_rows(transport: &Transport, queue: &QueueOptions) -> Result<(), InvalidEndpoint> {
    TABLE.iter().try_for_each(|row| row.check(transport, queue))
}

/// Checks a header. The name must be a token, and the value must have only visible characters, with spaces
/// only between them (RFC 9110, sections 5.1 and 5.5).
fn check_header(name: &str, value: &str) -> Result<(), InvalidEndpoint> {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_token = !name.is_empty() && name.bytes().all(is_token_byte);
    let is_visible = !value.is_empty() && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !is_token || !is_visible || value.trim_matches(' ') != value {
        return Err(InvalidEndpoint::Header);
    }
    if HEADERS_OF_REQUESTS.iter().any(|header| header.eq_ignore_ascii_case(name)) {
        return Err(InvalidEndpoint::HeaderOfRequests { name: name.to_owned() });
    }
    Ok(())
}

/// Checks a path (RFC 3986, section 3.3). The RFC permits `&` and `@` in a path. This check refuses `&`,
/// because a `&` in the path probably means that the `?` before the options is missing. It refuses `@`,
/// because the URI may have a password with a `/`. The text in front of the `/` is then taken for the host,
/// and the rest of the password for the path.
fn check_path(path: &str) -> Result<(), InvalidEndpoint> {
    let invalid = || InvalidEndpoint::HttpPath { path: without_options(path) };
    let mut bytes = path.strip_prefix('/').ok_or_else(invalid)?.bytes();
    while let Some(byte) = bytes.next() {
        let is_allowed = match byte {
            b'%' => [bytes.next(), bytes.next()]
                .iter()
                .all(|byte| byte.is_some_and(|byte| byte.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$'()*+,;=:/".contains(&byte),
        };
        if !is_allowed {
            return Err(invalid());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    #[cfg(feature = "tls")]
    use crate::endpoint::TlsOptions;

    #[cfg(feature = "tls")]
    fn check_tls(options: TlsOptions) -> Result<(), InvalidEndpoint> {
        let tcp = TcpOptions { tls: Some(options), ..TcpOptions::default() };
        transport(Transport::Tcp(tcp)).map(|_| ())
    }

    fn is_value<T>(checked: Result<T, InvalidEndpoint>, option: &str, text: &str) -> bool {
        matches!(checked, Err(InvalidEndpoint::Value { name, value, .. }) if name == option && value == text)
    }

    #[test]
    fn times_are_whole_seconds_up_to_an_hour() {
        for (time, shown) in [
            (Duration::ZERO, "0"),
            (Duration::from_millis(1500), "1.5"),
            (Duration::from_secs(3601), "3601"),
            (Duration::MAX, "18446744073709552000"),
        ] {
            let tcp = Transport::Tcp(TcpOptions { user_timeout: time, ..TcpOptions::default() });
            assert!(is_value(transport(tcp), "user_timeout", shown), "{time:?}");
        }
    }

    #[cfg(all(feature = "tls", unix))]
    #[test]
    fn a_path_that_no_uri_can_contain_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let ca = std::path::Path::new(std::ffi::OsStr::from_bytes(b"/\xff")).to_owned();
        let checked = check_tls(TlsOptions { ca: Some(ca), ..TlsOptions::default() });
        assert!(is_value(checked, "ca", "/\u{fffd}"));
    }

    #[test]
    fn a_header_has_a_token_for_a_name_and_a_visible_value() {
        for (name, value) in [("X-Token", "~!"), ("!#$%&'*+-.^_`|~09", "a b"), ("Hosts", "h")] {
            assert_eq!(check_header(name, value), Ok(()));
        }
        for (name, value) in [
            ("", "a"),
            ("X Y", "a"),
            ("X:", "a"),
            ("X\n", "a"),
            ("(X)", "a"),
            ("Ä", "a"),
            ("X", ""),
            ("X", " a"),
            ("X", "a "),
            ("X", "a\r\nY: b"),
            ("X", "a\tb"),
            ("X", "\u{7f}"),
            ("X", "ä"),
        ] {
            assert_eq!(check_header(name, value), Err(InvalidEndpoint::Header), "{name:?} {value:?}");
        }
        for name in ["Host", "content-length", "Transfer-Encoding", "CONTENT-ENCODING"] {
            let refused = InvalidEndpoint::HeaderOfRequests { name: name.to_owned() };
            assert_eq!(check_header(name, "1"), Err(refused));
        }
    }

    #[test]
    fn a_path_must_be_valid_in_a_request() {
        for path in ["/", "//", "/gelf", "/a/b;c=1,2:!$'()*+~-._", "/%00%fF"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for path in [
            "", "gelf", "/a b", "/ä", "/a?b", "/a#b", "/%", "/%4", "/%4g", "/a\n", "/a\"b", "/[a]", "/a\\b",
            "/a@b",
        ] {
            let shown = if path == "/a?b" { "/a" } else { path };
            assert_eq!(check_path(path), Err(InvalidEndpoint::HttpPath { path: shown.to_owned() }));
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn path_timeout_and_headers_of_http_are_checked_and_the_default_path_is_set() {
        let checked = |change: fn(&mut HttpOptions)| {
            let mut options = HttpOptions::default();
            change(&mut options);
            transport(Transport::Http(options))
        };
        let default = Ok(Transport::Http(HttpOptions::default()));
        assert_eq!(checked(|options| options.path.clear()), default);
        assert_eq!(checked(|options| options.path = "/".to_owned()), default);
        assert!(matches!(
            checked(|options| options.path = "x".to_owned()),
            Err(InvalidEndpoint::HttpPath { .. })
        ));
        assert!(is_value(checked(|options| options.timeout = Duration::ZERO), "timeout", "0"));
        let header = checked(|options| options.headers = vec![("X".to_owned(), String::new())]);
        assert_eq!(header, Err(InvalidEndpoint::Header));
        let twice = checked(|options| {
            options.headers = ["a", "B", "A"].map(|name| (name.to_owned(), "1".to_owned())).to_vec();
        });
        assert_eq!(twice.unwrap_err().to_string(), "the header A is given twice: leave one out");
    }

    #[cfg(all(feature = "http", feature = "tls"))]
    #[test]
    fn options_of_tls_are_checked_for_tcp_and_http() {
        let tls = Some(TlsOptions { key: Some("k".into()), ..TlsOptions::default() });
        let alone = Err(InvalidEndpoint::Alone { name: "key", other: "cert" });
        assert_eq!(
            transport(Transport::Tcp(TcpOptions { tls: tls.clone(), ..TcpOptions::default() })),
            alone
        );
        assert_eq!(transport(Transport::Http(HttpOptions { tls, ..HttpOptions::default() })), alone);
    }
}
