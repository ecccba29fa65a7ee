//! Refuses requests that a browser sends for a page of another site.
//!
//! A page of another site cannot read answers of this API. But it can send POST requests, open a WebSocket,
//! or let its own host name resolve to the address of this API (DNS rebinding). The browser sends the origin
//! of the page in the header `Origin`, and the host name of the request in the header `Host`.

use hyper::header::{HOST, HeaderMap, ORIGIN};

/// The header in which a browser says whether the page belongs to the same site as this API.
const FETCH_SITE: &str = "sec-fetch-site";

/// Checks the origin of a request, and the host name in its header `Host`; see [`check_host`].
///
/// # Errors
/// Returns the reason on one line if the request has to be refused.
pub(super) fn check(headers: &HeaderMap, names: &[String]) -> Result<(), String> {
    let host = check_host(headers, names)?;
    let text = |name| text(headers, name);
    if text(ORIGIN.as_str()).is_some_and(|origin| !is_same(origin, host)) {
        return Err("the request comes from a page of another origin".to_owned());
    }
    match text(FETCH_SITE) {
        None | Some("none" | "same-origin") => Ok(()),
        Some(_) => Err("the request comes from a page of another site".to_owned()),
    }
}

/// Checks the host name of a request, and returns the value of its header `Host`. The host name has to be an
/// address, a name without a dot such as `localhost` or the name of a service, or one of `names`. An attacker
/// who owns a public domain controls none of these.
///
/// # Errors
/// Returns the reason on one line if the request has to be refused.
pub(super) fn check_host<'a>(headers: &'a HeaderMap, names: &[String]) -> Result<&'a str, String> {
    let host = text(headers, HOST.as_str()).ok_or("the request has no header Host")?;
    if is_known(name_of(host), names) {
        return Ok(host);
    }
    let name = name_of(host).escape_debug();
    Err(format!("the host name {name} is unknown: use an address, or --http-names={name}"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// Returns the name or address of a host, without the port.
fn name_of(host: &str) -> &str {
    let behind_port =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = behind_port.map_or(host, |(name, _)| name);
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
}

fn is_known(name: &str, names: &[String]) -> bool {
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    // The name of a service can have underscores, although a host name of the DNS cannot.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_local = !name.is_empty() && name.bytes().all(is_plain);
    is_address || is_local || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns whether the origin is this API. The scheme `https` is accepted as well, for a proxy with TLS in
/// front of the API.
fn is_same(origin: &str, host: &str) -> bool {
    let of_origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    of_origin.is_some_and(|of_origin| of_origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(headers: &[(&'static str, &str)]) -> Result<(), String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), value.parse().unwrap()));
        check(&headers.collect(), &["router.example".to_owned()])
    }

    #[test]
    fn addresses_names_without_a_dot_and_configured_names_are_known_hosts() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]:80",
            "[::1]",
            "localhost:8000",
            "gelf-router",
            "gelf_router:8000",
            "Router.Example:1",
        ] {
            assert_eq!(checked(&[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:80", "", ":80", "a_b.c", "router.example.evil"] {
            assert!(checked(&[("host", host)]).is_err(), "{host}");
        }
        assert!(checked(&[]).is_err());
        let reason = checked(&[("host", "evil.example")]).unwrap_err();
        assert!(reason.contains("--http-names=evil.example"), "{reason}");
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let host = ("host", "127.0.0.1:8000");
        for (name, value, is_refused) in [
            ("origin", "http://127.0.0.1:8000", false),
            ("origin", "https://127.0.0.1:8000", false),
            ("origin", "http://127.0.0.1:8001", true),
            ("origin", "http://evil.example", true),
            ("origin", "null", true),
            ("origin", "http://127.0.0.1:8000.evil.example", true),
            ("sec-fetch-site", "same-origin", false),
            ("sec-fetch-site", "none", false),
            ("sec-fetch-site", "same-site", true),
            ("sec-fetch-site", "cross-site", true),
        ] {
            assert_eq!(checked(&[host, (name, value)]).is_err(), is_refused, "{name}: {value}");
        }
    }
}
