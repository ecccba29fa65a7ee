//! Selects the requests that pass: the six GET requests of the agent.

use hyper::{Method, Uri};

/// A request that passes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    /// `/_ping`, `/info`, `/events`, or the log of a container.
    Plain,
    /// `/containers/json` or `/containers/ID/json`, whose answers may have environment variables.
    Containers,
}

/// Returns the kind of a request that passes, and `None` for every other request. A path may begin with a
/// version, such as `/v1.47`. A path of a container has to contain the complete id.
pub(super) fn passing(method: &Method, uri: &Uri) -> Option<Request> {
    if method != Method::GET {
        return None;
    }
    let path = without_version(uri.path());
    match path {
        "/_ping" | "/info" | "/events" => return Some(Request::Plain),
        "/containers/json" => return Some(Request::Containers),
        _ => {}
    }
    let (id, rest) = path.strip_prefix("/containers/")?.split_once('/')?;
    let is_id = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match rest {
        "json" if is_id => Some(Request::Containers),
        "logs" if is_id => Some(Request::Plain),
        _ => None,
    }
}

/// Removes a version such as `/v1.47` from the beginning of a path.
fn without_version(path: &str) -> &str {
    let Some((minor, _)) = path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')) else {
        return path;
    };
    let is_number = !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { path.get("/v1.".len() + minor.len()..).unwrap_or(path) } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn passes(method: Method, uri: &str) -> Option<Request> {
        passing(&method, &uri.replace("ID", ID).parse().unwrap())
    }

    #[test]
    fn the_six_get_requests_of_the_agent_pass_with_and_without_a_version() {
        for (path, request) in [
            ("/_ping", Request::Plain),
            ("/info", Request::Plain),
            ("/events?since=1&filters=%7B%7D", Request::Plain),
            ("/containers/json?all=1", Request::Containers),
            ("/containers/ID/json", Request::Containers),
            ("/containers/ID/logs?follow=1&stdout=1", Request::Plain),
        ] {
            for version in ["", "/v1.40", "/v1.147"] {
                assert_eq!(
                    passes(Method::GET, &format!("{version}{path}")),
                    Some(request),
                    "{version}{path}"
                );
            }
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
                assert_eq!(passes(method, path), None, "{path}");
            }
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for path in [
            "/",
            "/version",
            "/images/json",
            "/containers/ID",
            "/containers/ID/archive?path=/",
            "/containers/ID/export",
            "/containers/ID/top",
            "/containers/ID/json/",
            "/containers/ID/../ID/json",
            "/containers/%49D/json",
            "/containers/web/logs",
            "/containers//json",
            "/containers/IDa/logs",
            "//info",
            "/info/",
            "/INFO",
            "/v1.47",
            "/v1.47/v1.47/info",
            "/v1./info",
            "/v2.0/info",
            "/v1.4x/info",
            "/secrets",
            "/exec/ID/json",
        ] {
            assert_eq!(passes(Method::GET, path), None, "{path}");
        }
    }
}
