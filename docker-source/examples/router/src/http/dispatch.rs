//! Finds the answer to a request by its path.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use super::answer::{Answer, refusal, wrong_method};
use super::{Api, caller, containers, health, logs, metrics, routes};

/// Answers a request.
pub(super) async fn answer(api: Arc<Api>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let known = caller::check(request.headers(), &api.options.names);
    // A health check may use any host name.
    if let (Err(reason), false) = (&known, path == "/health") {
        return refusal(StatusCode::FORBIDDEN, reason);
    }
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    match &*path {
        "/health" if is_get => health::answer(&api, known.is_ok()),
        "/metrics" if is_get => metrics::answer(&api),
        "/containers" if is_get => containers::answer(&api),
        "/logs" if is_get => logs::answer_to(&api, "", request),
        "/containers" | "/health" | "/logs" | "/metrics" => wrong_method("GET, HEAD"),
        "/routes" => routes::answer(&api, "", request).await,
        path => match (path.strip_prefix("/logs/"), path.strip_prefix("/routes/")) {
            (Some(containers), _) if is_get => logs::answer_to(&api, containers, request),
            (Some(_), _) => wrong_method("GET, HEAD"),
            (_, Some(id)) => routes::answer(&api, id, request).await,
            (None, None) => refusal(StatusCode::NOT_FOUND, "not found"),
        },
    }
}
