//! Answers `GET /logs` with a live tail as text, as JSON or over a WebSocket, as Logspout does. A live tail
//! is a stream of the lines that containers write from now on.

use std::sync::Arc;

use docker_source::{NamePattern, StreamFilter};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderMap};
use hyper::{Method, Request, StatusCode};

use super::answer::{Answer, Body, JSON, TEXT, answer, refusal};
use super::tail::{Selected, Tail, TailRequest};
use super::tail_text::Form;
use super::{Api, web_socket};
use crate::route::decode;

/// Answers a request for a live tail. `path` is the part behind `/logs` or `/logs/`.
pub(super) fn answer_to(api: &Arc<Api>, path: &str, request: Request<Incoming>) -> Answer {
    let key = match web_socket::key(request.headers()) {
        Ok(key) => key,
        Err(reason) => return refusal(StatusCode::BAD_REQUEST, reason),
    };
    let query = request.uri().query().unwrap_or_default();
    let is_json = key.is_some() || wants_json(request.headers());
    let tail = match parse(path, query, is_json) {
        Ok(Some(tail)) => tail,
        Ok(None) => return refusal(StatusCode::NOT_FOUND, "use /logs, /logs/id:PREFIX or /logs/name:GLOB"),
        Err(reason) => return refusal(StatusCode::BAD_REQUEST, &reason),
    };
    if matches!(&tail.selected, Selected::Id(_)) && !exists(api, &tail.selected) {
        return refusal(StatusCode::NOT_FOUND, "no container has this id");
    }
    let content_type = if is_json { JSON } else { TEXT };
    if request.method() == Method::HEAD {
        return answer(StatusCode::OK, content_type, Body::Whole(None));
    }
    let Ok(permit) = api.tails.clone().try_acquire_owned() else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "the maximum number of live tails is open");
    };
    let (address, filter) = (api.address.clone(), api.environment.filter());
    let tail = Tail::start(address, tail, filter, api.stop.clone(), permit);
    match key {
        Some(key) => web_socket::upgrade(&key, request, tail),
        None => answer(StatusCode::OK, content_type, Body::Tail(tail)),
    }
}

/// Returns whether a source knows a selected container. Returns true if no source reads yet, since it is
/// unknown then whether the container exists.
fn exists(api: &Api, selected: &Selected) -> bool {
    let sources = api.sources.reading();
    let mut containers = sources.iter().flat_map(|stats| stats.containers());
    sources.is_empty() || containers.any(|status| selected.has(&status.container))
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with(JSON))
}

/// Parses the path behind `/logs` or `/logs/`, and the query. Returns `None` for a path that does not exist.
///
/// # Errors
/// Returns the reason on one line if a pattern, a stream or an option cannot be used.
fn parse(path: &str, query: &str, is_json: bool) -> Result<Option<TailRequest>, String> {
    let decoded = |text: &str| decode(text).ok_or_else(|| format!("{text:?} has an incomplete %XX"));
    let path = decoded(path)?;
    let selected = match path.trim_start_matches('/').split_once(':') {
        None if path.trim_matches('/').is_empty() => Selected::All,
        Some(("id", prefix)) => Selected::Id(prefix.into()),
        Some(("name", pattern)) => {
            Selected::Name(NamePattern::new(pattern).map_err(|error| format!("name:{pattern}: {error}"))?)
        }
        _ => return Ok(None),
    };
    let (mut streams, mut has_colors) = (StreamFilter::default(), true);
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = decoded(value)?;
        match name {
            // Both names are accepted, since the documentation and the code of Logspout use different names.
            "source" | "sources" if value.is_empty() => {}
            "source" | "sources" => {
                streams = StreamFilter::new(&value).map_err(|error| format!("{name}: {error}"))?;
            }
            "colors" => has_colors = value != "off",
            _ => return Err(format!("unknown option {name:?}: use sources or colors")),
        }
    }
    let form = if is_json { Form::Json } else { Form::text(has_colors) };
    Ok(Some(TailRequest { selected, streams, form }))
}

#[cfg(test)]
mod tests {
    use docker_source::{Container, LogStream};

    use super::*;

    #[test]
    fn paths_select_containers_by_id_and_name() {
        let web = Container::builder("shop-web").id("abcdef").build();
        for (path, selects) in [
            ("", true),
            ("/", true),
            ("/id:abc", true),
            ("/id:bc", false),
            ("/name:shop-*", true),
            ("/name:shop-%2A", true),
            ("/name:shop", false),
        ] {
            let request = parse(path, "", false).unwrap().unwrap();
            assert_eq!(request.selected.has(&web), selects, "{path}");
        }
        for path in ["/web", "/image:x", "/id"] {
            assert!(parse(path, "", false).unwrap().is_none(), "{path}");
        }
    }

    #[test]
    fn options_select_streams_and_colors_and_unknown_options_are_refused() {
        let parsed = |query: &str| parse("", query, false).map(Option::unwrap);
        for query in
            ["sources=stderr", "source=stderr", "sources=stderr&colors=off", "sources=stderr%2Cstderr"]
        {
            let streams = parsed(query).unwrap().streams;
            assert!(streams.selects(LogStream::Stderr) && !streams.selects(LogStream::Stdout), "{query}");
        }
        assert!(parsed("sources=").unwrap().streams.selects(LogStream::Stdout));
        for (query, colors) in [("", true), ("colors=on", true), ("colors=off", false)] {
            let form = parsed(query).unwrap().form;
            assert!(matches!(form, Form::Text { has_colors, .. } if has_colors == colors), "{query}");
        }
        for (query, says) in
            [("sources=stdin", "sources: "), ("color=off", "unknown option \"color\""), ("sources=%2", "%XX")]
        {
            let mistake = parsed(query).unwrap_err();
            assert!(mistake.contains(says), "{mistake}");
        }
        assert!(parse("/name:[", "", false).unwrap_err().starts_with("name:["));
    }
}
