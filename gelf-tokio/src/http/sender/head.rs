//! Builds the head of requests.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use hyper::{Method, Request, Uri};

use crate::endpoint::{HttpOptions, without_zone};

/// Headers that no option may set, because the sender decides what they state: the host, where a request
/// ends, how its body is encoded, and how the connection is used.
const OURS: [HeaderName; 9] =
    [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// The part of the head that all requests to one host share.
#[derive(Debug)]
pub(super) struct RequestHead {
    path: Uri,
    default_port: u16,
    headers: HeaderMap,
}

impl RequestHead {
    /// Creates the head.
    ///
    /// # Errors
    /// Returns `InvalidInput` if the host, the path or a header is invalid in a request, or if the options
    /// set a header that only the sender may set.
    pub(super) fn new(options: &HttpOptions, host: &str, port: u16) -> io::Result<Self> {
        let default_port = if options.tls.is_some() { 443 } else { 80 };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host_header(host, port, default_port)?);
        headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("gelf-tokio/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &options.headers {
            let name = HeaderName::try_from(name)
                .map_err(|_| invalid(format!("{name:?} is not a header's name")))?;
            if OURS.contains(&name) {
                return Err(invalid(format!("the header {name} is set by the sender itself")));
            }
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| invalid(format!("the value of the header {name} is not valid")))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self { path: parse_path(&options.path)?, default_port, headers })
    }

    /// Sets the header `Host` of the next requests.
    ///
    /// # Errors
    /// Returns `InvalidInput` for a host that is invalid in a header.
    pub(super) fn set_host(&mut self, host: &str, port: u16) -> io::Result<()> {
        self.headers.insert(HOST, host_header(host, port, self.default_port)?);
        Ok(())
    }

    /// Returns the request with this body.
    pub(super) fn request(&self, body: &Bytes, is_gzip: bool) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        if is_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        request
    }
}

/// Returns the `Host` header. The header has the port only if the port is not the scheme's default. An IPv6
/// address is in brackets (RFC 9110, sections 4.2 and 7.2). The zone of the address is left out, since it has
/// a meaning only on the sender's machine (RFC 6874, section 4).
///
/// # Errors
/// Returns `InvalidInput` for a host that is invalid in a header.
fn host_header(host: &str, port: u16, default_port: u16) -> io::Result<HeaderValue> {
    let host = without_zone(host);
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    let port = if port == default_port { String::new() } else { format!(":{port}") };
    HeaderValue::try_from(format!("{open}{host}{close}{port}")).map_err(|_| invalid("the host is not valid"))
}

fn parse_path(path: &str) -> io::Result<Uri> {
    let refuse =
        || invalid(format!("{path:?} is not a path: begin with /, and write invalid characters as %XX"));
    let uri: Uri = path.parse().map_err(|_| refuse())?;
    // `Uri` would drop a fragment silently.
    if path.starts_with('/') && !path.contains('#') { Ok(uri) } else { Err(refuse()) }
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::TlsOptions;

    fn head(options: &HttpOptions) -> io::Result<RequestHead> {
        RequestHead::new(options, "h", 12201)
    }

    fn with_path(path: &str) -> HttpOptions {
        HttpOptions { path: path.to_owned(), ..HttpOptions::default() }
    }

    fn with_header(name: &str, value: &str) -> HttpOptions {
        HttpOptions { headers: vec![(name.to_owned(), value.to_owned())], ..HttpOptions::default() }
    }

    #[test]
    fn the_host_has_brackets_for_ipv6_and_no_port_if_it_is_the_schemes_own() {
        let host = |host, port, tls: bool| {
            let options = HttpOptions { tls: tls.then(TlsOptions::default), ..HttpOptions::default() };
            let head = RequestHead::new(&options, host, port).unwrap();
            head.headers[HOST].to_str().unwrap().to_owned()
        };
        assert_eq!(host("logs.example", 12201, false), "logs.example:12201");
        assert_eq!(host("logs.example", 80, false), "logs.example");
        assert_eq!(host("logs.example", 443, false), "logs.example:443");
        assert_eq!(host("logs.example", 443, true), "logs.example");
        assert_eq!(host("logs.example", 80, true), "logs.example:80");
        assert_eq!(host("::1", 12201, false), "[::1]:12201");
        assert_eq!(host("::1", 80, false), "[::1]");
        assert_eq!(host("fe80::1%eth0", 12201, false), "[fe80::1]:12201");
        assert_eq!(host("127.0.0.1", 12201, true), "127.0.0.1:12201");
    }

    #[test]
    fn a_path_is_sent_unchanged_or_refused() {
        for path in ["/gelf", "/", "/a/b?c=d&e", "/%20", "//x"] {
            assert_eq!(head(&with_path(path)).unwrap().path, path);
        }
        for path in ["", "gelf", "*", "/a b", "/a\r\nX: y", "/gelf#x", "http://h/gelf", "/\0"] {
            let error = head(&with_path(path)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
            assert!(error.to_string().starts_with(&format!("{path:?} is not a path")), "{error}");
        }
    }

    #[test]
    fn a_header_cannot_break_the_request() {
        for (name, value) in [("", "x"), ("a b", "x"), ("a:", "x"), ("a", "x\r\nb: c"), ("a", "\0")] {
            let error = head(&with_header(name, value)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}: {value:?}");
        }
        for ours in OURS {
            let error = head(&with_header(&ours.as_str().to_uppercase(), "x")).unwrap_err();
            assert_eq!(error.to_string(), format!("the header {ours} is set by the sender itself"));
        }
    }

    #[test]
    fn a_header_of_the_options_replaces_a_default_header() {
        let head = head(&with_header("Content-Type", "application/x-ndjson")).unwrap();
        assert_eq!(head.headers.get_all(CONTENT_TYPE).iter().collect::<Vec<_>>(), ["application/x-ndjson"]);
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_value_of_a_header() {
        let head = head(&with_header("authorization", "open sesame")).unwrap();
        assert!(!format!("{head:?}").contains("sesame"));
        let error = RequestHead::new(&with_header("authorization", "sesame\n"), "h", 1).unwrap_err();
        assert_eq!(error.to_string(), "the value of the header authorization is not valid");
    }
}
