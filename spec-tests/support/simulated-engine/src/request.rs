//! Defines the kinds of requests, and determines the kind of a request.

/// A kind of request. The path determines the kind, and for logs also the parameters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RequestKind {
    /// `_ping`.
    Ping,
    /// `info`.
    Info,
    /// `events`.
    Events,
    /// `containers/json`.
    List,
    /// `containers/{id}/json`.
    Inspect,
    /// `containers/{id}/logs` with `follow=1`, with or without `tail`.
    Follow,
    /// `containers/{id}/logs` with `tail`, but with neither `follow=1` nor `until`.
    Tail,
    /// `containers/{id}/logs` with `tail` and `until`, without `follow=1`.
    TailUntil,
    /// `containers/{id}/logs` with neither `follow=1` nor `tail`.
    Whole,
    /// Any other request.
    Other,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and target, such as `GET /v1.41/info`.
    pub(crate) line: String,
    pub(crate) kind: RequestKind,
    /// The container as the path names it, or an empty text. The Engine replaces a name by the id of the
    /// container, if the container exists.
    pub(crate) container: String,
}

impl Request {
    pub(crate) fn new(line: String) -> Self {
        let (path, query) = line.split_once('?').unwrap_or((&line, ""));
        let has = |parameter: &str| query.split('&').any(|pair| pair.starts_with(parameter));
        let path: Vec<&str> = path.split('/').skip(1).filter(|part| !is_version(part)).collect();
        let (kind, container) = match path[..] {
            ["_ping"] => (RequestKind::Ping, ""),
            ["info"] => (RequestKind::Info, ""),
            ["events"] => (RequestKind::Events, ""),
            ["containers", "json"] => (RequestKind::List, ""),
            ["containers", id, "json"] => (RequestKind::Inspect, id),
            ["containers", id, "logs"] => {
                let kind = match (has("follow=1"), has("tail="), has("until=")) {
                    (true, _, _) => RequestKind::Follow,
                    (false, true, true) => RequestKind::TailUntil,
                    (false, true, false) => RequestKind::Tail,
                    (false, false, _) => RequestKind::Whole,
                };
                (kind, id)
            }
            _ => (RequestKind::Other, ""),
        };
        let container = container.to_owned();
        Self { line, kind, container }
    }
}

/// Returns whether this part of a path is an API version, such as `v1.41`.
pub(crate) fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}
