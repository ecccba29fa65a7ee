//! Answers `GET /health`: with status 200 if the router has no problem, otherwise with status 503. A caller whose
//! host name and origin are accepted also gets the problems.

use std::time::Instant;

use gelf_tokio::ClientState;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Answer, json as json_answer};
use super::progress::Part;
use super::time::since;
use crate::condition::Problem;
use crate::registry::RunningRoute;

/// The maximum number of names of containers in an answer.
const MAX_NAMES: usize = 10;

/// Returns the state of the router. Includes the problems if `known` is true, that is, if the host name and the
/// origin of the caller are accepted.
pub(super) fn answer(api: &Api, known: bool) -> Answer {
    let problems = problems(api);
    let (code, status) = match problems.is_empty() {
        // Logspout answers "Healthy!".
        true => (StatusCode::OK, "Healthy!"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
    };
    match known {
        true => json_answer(code, &json!({ "status": status, "problems": problems })),
        false => json_answer(code, &json!({ "status": status })),
    }
}

/// Returns the present problems.
pub(super) fn problems(api: &Api) -> Vec<Value> {
    let mut problems = Vec::new();
    if let Some(problem) = api.engine.problem() {
        problems.push(json!({
            "problem": "the Engine does not answer", "since": since(problem.since), "error": problem.error,
        }));
    }
    if let Some(problem) = api.is_writable.problem() {
        problems.push(json!({
            "problem": "the state folder cannot be written", "since": since(problem.since), "error": problem.error,
        }));
    }
    let (routes, sources) = (api.registry.routes(), api.sources.reading());
    if sources.is_empty() && !routes.is_empty() {
        problems.push(json!({ "problem": "no log is read yet" }));
    }
    let down = routes.iter().filter_map(|route| Some((route, destination_problem(route)?)));
    let mut down_ids = Vec::new();
    for (route, problem) in down {
        down_ids.push(&route.id);
        problems.push(destination_down(route, &problem));
    }
    let mut unopened = Vec::new();
    for (part, lines, at) in api.progress.stalled(Instant::now()) {
        problems.push(match part {
            Part::Log(container) => {
                unopened.push((container, at));
                continue;
            }
            // A destination that is down has been reported already.
            Part::Route(id) if down_ids.contains(&&id) => continue,
            Part::Route(id) => {
                let Some(route) = routes.iter().find(|route| route.id == id) else { continue };
                let problem = "the destination takes no lines";
                json!({ "problem": problem, "route": shown(route), "since": since(at), "lines": lines })
            }
            Part::Source(_) => {
                json!({ "problem": "the reading of logs is stalled", "since": since(at), "lines": lines })
            }
            Part::Lists(_) => {
                json!({ "problem": "the Engine does not list its containers", "since": since(at) })
            }
        });
    }
    if let Some(first) = unopened.iter().map(|(_, at)| *at).min() {
        let names: Vec<_> = unopened.iter().take(MAX_NAMES).map(|(name, _)| name).collect();
        let problem = "the Engine does not open the logs of containers";
        let count = unopened.len();
        problems
            .push(json!({ "problem": problem, "since": since(first), "containers": count, "names": names }));
    }
    let waiting: u64 = sources.iter().map(|stats| stats.snapshot().waiting_for_descriptor).sum();
    if waiting > 0 {
        let problem = "containers wait for a file descriptor, see ulimit -n";
        problems.push(json!({ "problem": problem, "containers": waiting }));
    }
    problems
}

/// Returns the problem of a destination that is down. The result of the last attempt for an idle route counts
/// only until the route has a connection.
pub(super) fn destination_problem(route: &RunningRoute) -> Option<Problem> {
    match route.tally.state() {
        ClientState::Down { since } => {
            let error = route.tally.last_error().map(|error| error.to_string());
            Some(Problem { since, error: error.unwrap_or_default() })
        }
        ClientState::Connecting => route.is_reachable.problem(),
        _ => None,
    }
}

fn destination_down(route: &RunningRoute, problem: &Problem) -> Value {
    json!({
        "problem": "the destination is down",
        "route": shown(route),
        "since": since(problem.since),
        "error": problem.error,
    })
}

/// Returns the id, the name and the destination of a route, without its credentials.
pub(super) fn shown(route: &RunningRoute) -> Value {
    json!({ "id": route.id, "name": route.route.uri().name, "destination": route.route.to_string() })
}
