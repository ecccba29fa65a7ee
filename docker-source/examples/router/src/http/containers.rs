//! Answers `GET /containers`: lists the containers, and the reason why the lines of a container are not
//! shipped.
//!
//! The answer contains neither the environment nor the labels of containers, since these may contain secrets.

use std::collections::BTreeMap;
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
    let mut known = BTreeMap::<String, ContainerStatus>::new();
    for status in api.sources.reading().iter().flat_map(|stats| stats.containers()) {
        let id = status.container.id().to_owned();
        // If several sources know the container, the status of a source whose routes select it is used.
        match known.get(&id) {
            Some(other) if other.state != FollowState::NotSelected => {}
            _ => drop(known.insert(id, status)),
        }
    }
    let mut containers: Vec<_> = known.into_values().collect();
    containers.sort_by(|one, other| one.container.name().cmp(other.container.name()));
    let (routes, now) = (api.registry.routes(), Timestamp::from(SystemTime::now()));
    let containers: Vec<_> = containers.iter().map(|status| shown(status, &routes, now)).collect();
    json_answer(StatusCode::OK, &Value::Array(containers))
}

/// Returns the JSON of a container.
fn shown(status: &ContainerStatus, routes: &[RunningRoute], now: Timestamp) -> Value {
    let ContainerStatus { container, state, counts, last_line, .. } = status;
    let selecting = routes.iter().filter(|route| route.route.takes(container));
    json!({
        "id": container.id(),
        "name": container.name(),
        "image": container.image(),
        "log_driver": container.log_driver(),
        "is_followed": *state == FollowState::Followed,
        "reason": reason(status, routes),
        "routes": selecting.map(|route| route.id.as_str()).collect::<Vec<_>>(),
        "lines": counts.yielded + counts.in_flight,
        "lag_seconds": lag(status, now),
        "last_line": last_line.map(rfc3339),
        "gaps": counts.gaps,
    })
}

/// Returns the reason why the log of a container is not read as it grows.
fn reason(status: &ContainerStatus, routes: &[RunningRoute]) -> Option<String> {
    let text = match status.state {
        FollowState::Followed => return None,
        FollowState::Opening => "the Engine has not opened its log yet",
        FollowState::Ended => "it does not run, and its log is read to the end",
        FollowState::Unreadable => "its log driver does not support reading",
        FollowState::WaitingForDescriptor => {
            "it is read in turn for want of a file descriptor, see ulimit -n"
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
                    "it is the container of this router, or was started before its name matched".to_owned()
                }
            });
        }
    };
    Some(text.to_owned())
}

/// Returns the age of the last line that was passed on, in seconds, while further lines wait; otherwise 0.
fn lag(status: &ContainerStatus, now: Timestamp) -> f64 {
    let last = status.last_yielded.or(status.last_line).filter(|_| status.counts.in_flight > 0);
    let nanos = |time: Timestamp| {
        let (seconds, nanos) = time.as_unix();
        i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
    };
    let lag = last.map_or(0, |last| nanos(now) - nanos(last)).max(0);
    // Milliseconds are exact enough, and an `f64` holds the milliseconds of any realistic lag exactly.
    (lag / 1_000_000) as f64 / 1000.0
}
