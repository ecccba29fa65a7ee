//! Finds the answer to a request by its path.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use super::answer::{Answer, refusal, wrong_method};
use super::{Api, caller, containers, health, logs, metrics, page, routes, status};

/// Answers a request.
pub(super) async fn answer(api: Arc<Api>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    // Only the host is checked, not the origin. Other sites may have links to the page, since the page
    // contains no data of the router.
    if path == "/" {
        return match caller::check_host(request.headers(), &api.options.names) {
            Ok(_) if is_get(&request) => page::answer(),
            Ok(_) => wrong_method("GET, HEAD"),
            Err(reason) => refusal(StatusCode::FORBIDDEN, &reason),
        };
    }
    let known = caller::check(request.headers(), &api.options.names);
    // Every caller may ask for the health, since a health check may use any host name. The answer to a
    // caller that the check refuses has only the status.
    if let (Err(reason), false) = (&known, path == "/health") {
        return refusal(StatusCode::FORBIDDEN, reason);
    }
    let is_get = is_get(&request);
    match &*path {
        "/health" if is_get => health::answer(&api, known.is_ok()),
        "/metrics" if is_get => metrics::answer(&api),
        "/containers" if is_get => containers::answer(&api),
        "/logs" if is_get => logs::answer_to(&api, "", request),
        "/status" if is_get => status::answer(&api),
        "/containers" | "/health" | "/logs" | "/metrics" | "/status" => wrong_method("GET, HEAD"),
        "/routes" => routes::answer(&api, "", request).await,
        path => match (path.strip_prefix("/logs/"), path.strip_prefix("/routes/")) {
            (Some(containers), _) if is_get => logs::answer_to(&api, containers, request),
            (Some(_), _) => wrong_method("GET, HEAD"),
            (_, Some(id)) => routes::answer(&api, id, request).await,
            (None, None) => refusal(StatusCode::NOT_FOUND, "not found"),
        },
    }
}

fn is_get(request: &Request<Incoming>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}
