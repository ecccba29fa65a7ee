//! Answers `GET /containers`: lists the containers. If the log of a container is not followed, the list has
//! the reason.
//!
//! The answer contains neither the environment nor the labels of containers, since these may contain secrets.

use std::collections::HashMap;
use std::time::SystemTime;

use docker_source::gelf_core::Timestamp;
use docker_source::{ContainerStatus, FollowState};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Answer, json as json_answer};
use super::time::rfc3339;
use crate::registry::RunningRoute;

/// Returns the containers in the order of their names.
pub(super) fn answer(api: &Api) -> Answer {
    json_answer(StatusCode::OK, &list(api))
}

/// Returns the JSON of the containers in the order of their names.
pub(super) fn list(api: &Api) -> Value {
    let mut containers = known(api);
    containers.sort_by(|one, other| one.container.name().cmp(other.container.name()));
    let (routes, now) = (api.registry.routes(), Timestamp::from(SystemTime::now()));
    let rates = api.history.rates();
    let shown = |status: &ContainerStatus| {
        let rate = rates.get(status.container.id()).copied();
        shown(status, &routes, rate, now)
    };
    containers.iter().map(shown).collect()
}

/// Returns the status of each container. If several sources know a container, the status is that of a source
/// whose routes select the container, if there is such a source.
pub(super) fn known(api: &Api) -> Vec<ContainerStatus> {
    let mut known = HashMap::<String, ContainerStatus>::new();
    for status in api.sources.reading().iter().flat_map(|stats| stats.containers()) {
        let id = status.container.id().to_owned();
        match known.get(&id) {
            Some(other) if other.state != FollowState::NotSelected => {}
            _ => drop(known.insert(id, status)),
        }
    }
    known.into_values().collect()
}

/// Returns the number of lines of a container that were read and not skipped as blank, repeated or too old.
pub(super) fn lines(status: &ContainerStatus) -> u64 {
    status.counts.yielded + status.counts.in_flight
}

/// Returns the JSON of a container.
fn shown(status: &ContainerStatus, routes: &[RunningRoute], rate: Option<f64>, now: Timestamp) -> Value {
    let ContainerStatus { container, state, counts, last_line, .. } = status;
    let selecting = routes.iter().filter(|route| route.route.takes(container));
    json!({
        "id": container.id(),
        "name": container.name(),
        "image": container.image(),
        "log_driver": container.log_driver(),
        "is_followed": *state == FollowState::Followed,
        "state": word(*state),
        "reason": reason(status, routes),
        "routes": selecting.map(|route| route.id.as_str()).collect::<Vec<_>>(),
        "lines": lines(status),
        "lines_per_second": rate,
        "lag_seconds": lag(status, now),
        "last_line": last_line.map(rfc3339),
        "gaps": counts.gaps,
    })
}

/// Returns the name of a state in the answer.
fn word(state: FollowState) -> &'static str {
    match state {
        FollowState::Followed => "followed",
        FollowState::Opening => "opening",
        FollowState::Ended => "ended",
        FollowState::Unreadable => "unreadable",
        FollowState::WaitingForDescriptor => "waiting_for_descriptor",
        _ => "not_selected",
    }
}

/// Returns the reason why the log of a container is not read as it grows.
fn reason(status: &ContainerStatus, routes: &[RunningRoute]) -> Option<String> {
    let text = match status.state {
        FollowState::Followed => return None,
        FollowState::Opening => "the Engine has not opened its log yet",
        FollowState::Ended => "it does not run, and its log has been read to the end",
        FollowState::Unreadable => "its log driver does not support reading",
        FollowState::WaitingForDescriptor => {
            "no file descriptor is free to follow its log, so logs are read in turn, see ulimit -n"
        }
        _ if status.container.is_ignored() => "LOGSPOUT=ignore is in its environment",
        _ => {
            let mismatches = routes.iter().map(|route| route.route.mismatch(&status.container));
            return Some(match mismatches.collect::<Option<Vec<_>>>() {
                Some(reasons) if routes.len() == 1 => reasons.join(""),
                Some(reasons) => {
                    let reasons = routes.iter().zip(reasons);
                    let each = reasons.map(|(route, reason)| format!("not route {}: {reason}", route.id));
                    each.collect::<Vec<_>>().join("; ")
                }
                None => {
                    "it is the container of this router, or its name matched only after its start".to_owned()
                }
            });
        }
    };
    Some(text.to_owned())
}

/// Returns an upper bound of the age of the oldest waiting line, in seconds. Returns 0 if no line waits.
pub(super) fn lag(status: &ContainerStatus, now: Timestamp) -> f64 {
    let nanos = |time: Timestamp| {
        let (seconds, nanos) = time.as_unix();
        i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
    };
    let lag = status.waiting_since.map_or(0, |since| nanos(now) - nanos(since)).max(0);
    // Milliseconds are exact enough, and an `f64` holds the milliseconds of any realistic lag exactly.
    (lag / 1_000_000) as f64 / 1000.0
}
