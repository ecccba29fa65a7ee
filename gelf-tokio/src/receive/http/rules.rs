//! Judges a request by its head alone. Apart from the rule for encodings, Graylog has the same rules, in the
//! same order.

use std::io;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
    CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, ORIGIN,
};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, StatusCode};

use super::rejection::Rejection;
use super::unpack::Declared;

/// The rules for requests.
#[derive(Debug)]
pub(super) struct Rules {
    path: PathAndQuery,
    required: Option<(HeaderName, HeaderValue)>,
    /// The headers that a page of another origin may send; `None` without CORS.
    cors: Option<HeaderValue>,
}

/// The decision about a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Judgement {
    /// The body of the request is to be read.
    Read(Declared),
    /// The request is to be answered as a preflight of a browser (CORS).
    Preflight,
    Reject(Rejection),
}

impl Rules {
    /// Creates the rules for a path, and for a required header with its value.
    ///
    /// # Errors
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) for a path or header that no request could have.
    pub(super) fn new(path: &str, required: Option<(&str, &str)>, cors: bool) -> io::Result<Self> {
        let path = PathAndQuery::try_from(path)
            .ok()
            .filter(|parsed| path.starts_with('/') && parsed.as_str() == path)
            .ok_or_else(|| invalid("the path is not one that a request can have"))?;
        let required = match required {
            Some((name, value)) => Some(parse_header(name, value)?),
            None => None,
        };
        let cors = cors.then(|| allowed_headers(required.as_ref().map(|(name, _)| name)));
        Ok(Self { path, required, cors })
    }

    /// Judges a request. A preflight of a browser has no credentials, so it is recognized first. The required
    /// header is checked next, so that a client without credentials learns nothing about the later rules.
    pub(super) fn judge(&self, head: &Parts) -> Judgement {
        if head.method == Method::OPTIONS {
            return Judgement::Preflight;
        }
        if let Some((name, value)) = &self.required {
            let given = head.headers.get(name);
            if !given.is_some_and(|given| is_same(given.as_bytes(), value.as_bytes())) {
                return Judgement::Reject(Rejection::Unauthorized);
            }
        }
        if head.method != Method::POST {
            return Judgement::Reject(Rejection::MethodNotAllowed);
        }
        if head.uri.path_and_query() != Some(&self.path) {
            return Judgement::Reject(Rejection::NotFound);
        }
        match declared(&head.headers) {
            Some(declared) => Judgement::Read(declared),
            None => Judgement::Reject(Rejection::UnknownEncoding),
        }
    }

    /// Adds the headers of an answer.
    pub(super) fn describe(&self, status: StatusCode, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            headers.insert(hyper::header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        }
        if let (Some(allowed), Some(origin)) = (&self.cors, origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
    }
}

/// Returns the origin of the page that a request comes from, if the request names an origin.
pub(super) fn origin(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ORIGIN).filter(|origin| !origin.is_empty()).cloned()
}

fn declared(headers: &HeaderMap) -> Option<Declared> {
    let mut values = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        values.push(value.to_str().ok()?);
    }
    Declared::parse(values)
}

fn parse_header(name: &str, value: &str) -> io::Result<(HeaderName, HeaderValue)> {
    let name = HeaderName::try_from(name)
        .map_err(|_| invalid("the name of the required header is not one that a request can have"))?;
    let mut value = HeaderValue::try_from(value)
        .ok()
        .filter(|_| !value.is_empty() && value.trim() == value)
        .ok_or_else(|| invalid("the value of the required header is not one that a request can have"))?;
    // A sensitive value is not part of the output of `Debug`.
    value.set_sensitive(true);
    Ok((name, value))
}

/// Returns the headers that Graylog allows, and the required header.
fn allowed_headers(required: Option<&HeaderName>) -> HeaderValue {
    const ALLOWED: &str = "Authorization, Content-Type";
    match required {
        Some(name) if *name != hyper::header::AUTHORIZATION => {
            HeaderValue::try_from(format!("{ALLOWED}, {name}"))
                .unwrap_or_else(|_| HeaderValue::from_static(ALLOWED))
        }
        _ => HeaderValue::from_static(ALLOWED),
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

/// Compares two values in a time that depends on their lengths alone, so that a secret cannot be guessed byte
/// by byte.
fn is_same(given: &[u8], secret: &[u8]) -> bool {
    let differences =
        given.iter().zip(secret).fold(0, |differences, (left, right)| differences | (left ^ right));
    given.len() == secret.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_the_exact_path_is_read() {
        let rules = Rules::new("/gelf", None, true).unwrap();
        let judge = |target| rules.judge(&head("POST", target, &[]));
        assert_eq!(judge("/gelf"), Judgement::Read(Declared::Nothing));
        // RFC 9112, section 3.2.2: a server must accept this form of the target, and proxies send it.
        assert_eq!(judge("http://logs.example:12201/gelf"), Judgement::Read(Declared::Nothing));
        for other in ["/", "/gelf/", "/gelf?", "/gelf?a=1", "/GELF", "/%67elf", "/gelf2", "//gelf", "*"] {
            assert_eq!(judge(other), Judgement::Reject(Rejection::NotFound), "{other}");
        }
    }

    #[test]
    fn a_preflight_is_recognized_before_header_method_path_and_encoding_are_checked_in_this_order() {
        let rules = Rules::new("/gelf", Some(("X-Token", "secret")), true).unwrap();
        let token = ("x-token", "secret");
        let br = ("content-encoding", "br");
        let judge = |method, target, headers: &[_]| rules.judge(&head(method, target, headers));
        assert_eq!(judge("OPTIONS", "/other", &[br]), Judgement::Preflight);
        assert_eq!(judge("GET", "/other", &[br]), Judgement::Reject(Rejection::Unauthorized));
        assert_eq!(judge("GET", "/other", &[br, token]), Judgement::Reject(Rejection::MethodNotAllowed));
        assert_eq!(judge("POST", "/other", &[br, token]), Judgement::Reject(Rejection::NotFound));
        assert_eq!(judge("POST", "/gelf", &[br, token]), Judgement::Reject(Rejection::UnknownEncoding));
        assert_eq!(judge("POST", "/gelf", &[token]), Judgement::Read(Declared::Nothing));
        let packed = [token, ("content-encoding", "gzip"), ("content-encoding", "deflate")];
        assert_eq!(judge("POST", "/gelf", &packed), Judgement::Read(Declared::Several));
    }

    #[test]
    fn the_header_must_have_exactly_its_value() {
        let rules = Rules::new("/gelf", Some(("Authorization", "Bearer abc")), true).unwrap();
        for (value, right) in [
            ("Bearer abc", true),
            ("", false),
            ("Bearer ab", false),
            ("Bearer abcd", false),
            ("bearer abc", false),
        ] {
            let judgement = rules.judge(&head("POST", "/gelf", &[("authorization", value)]));
            assert_eq!(matches!(judgement, Judgement::Read(_)), right, "{value}");
        }
        assert!(!format!("{rules:?}").contains("abc"));
    }

    #[test]
    fn rules_with_an_invalid_path_or_header_are_refused() {
        for path in ["", "gelf", "/ge lf", "/gelf#a", "*", "http://a/gelf"] {
            let error = Rules::new(path, None, true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        for header in [("", "a"), ("a b", "a"), ("a", ""), ("a", "b\n"), ("a", " b")] {
            let error = Rules::new("/gelf", Some(header), true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{header:?}");
        }
    }
}
