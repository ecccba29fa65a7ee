//! Answers requests for `/routes`, which show, add and remove routes as in Logspout.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Api;
use super::answer::{Answer, TEXT, json as json_answer, refusal, text, wrong_method};
use crate::registry::{RunningRoute, id_of};
use crate::route::{Route, RouteUri, json as route_json, list};
use crate::routes_folder::{MAX_ROUTES, RoutesFolder};

/// The maximum length of the body of a request, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// The time limit for receiving the body of a request, and the time limit for starting a route.
const WITHIN: Duration = Duration::from_secs(10);

/// A route that the router is asked to start. It replaces the route with the same id.
pub(crate) struct Addition {
    pub(crate) id: String,
    pub(crate) route: Route,
    /// Takes the result. An error is the reason on one line.
    pub(crate) added: oneshot::Sender<Result<(), String>>,
}

/// Answers a request for a path. `id` is the part behind `/routes/`.
pub(super) async fn answer(api: &Arc<Api>, id: &str, request: Request<Incoming>) -> Answer {
    let (is_all, not_found) = (id.is_empty(), || refusal(StatusCode::NOT_FOUND, "no route has this id"));
    match *request.method() {
        Method::GET | Method::HEAD if is_all => {
            let routes = api.registry.routes().iter().map(shown).collect();
            json_answer(StatusCode::OK, &Value::Array(routes))
        }
        Method::GET | Method::HEAD => match api.registry.find(id) {
            Some(route) => json_answer(StatusCode::OK, &shown(&route)),
            None => not_found(),
        },
        Method::POST if is_all => match add(api, request).await {
            Ok(route) => json_answer(StatusCode::CREATED, &route),
            Err((status, reason)) => refusal(status, &reason),
        },
        Method::DELETE if !is_all => match remove(api, id).await {
            Ok(true) => text(StatusCode::OK, TEXT, ""),
            Ok(false) => not_found(),
            Err(error) => {
                let reason = format!("the route is removed, but it returns at the next start: {error}");
                refusal(StatusCode::INTERNAL_SERVER_ERROR, &reason)
            }
        },
        _ if is_all => wrong_method("GET, HEAD, POST"),
        _ => wrong_method("DELETE, GET, HEAD"),
    }
}

fn shown(route: &RunningRoute) -> Value {
    route_json::masked(&route.id, route.route.uri())
}

/// Starts the route that a request describes, and saves the route in the folder. Returns the JSON of the
/// route.
async fn add(api: &Api, request: Request<Incoming>) -> Result<Value, (StatusCode, String)> {
    let bad = |reason| (StatusCode::BAD_REQUEST, reason);
    let body = timeout(WITHIN, Limited::new(request.into_body(), MAX_BODY).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let reason = format!("a route has at most {MAX_BODY} bytes");
            return Err((StatusCode::PAYLOAD_TOO_LARGE, reason));
        }
        Ok(Err(error)) => return Err(bad(format!("Bad request: {error}"))),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the route took too long to arrive".to_owned())),
    };
    let (id, uri) = route_json::parse(&body).map_err(|mistake| bad(format!("Bad request: {mistake}")))?;
    let id = id.unwrap_or_else(|| id_of(&uri, 0));
    let route = make(api, uri.clone()).map_err(|mistake| bad(format!("Bad route: {mistake}")))?;
    // The lock lets one request at a time change routes. Otherwise, after two requests with the same id, the
    // route of one request could run while the file has the route of the other request.
    let _changing = api.changing.lock().await;
    if api.registry.find(&id).is_none() && api.registry.routes().len() >= MAX_ROUTES {
        return Err((
            StatusCode::CONFLICT,
            format!("there are already {MAX_ROUTES} routes, which is the maximum"),
        ));
    }
    let answer = route_json::masked(&id, route.uri());
    start(api, id.clone(), route).await?;
    tracing::info!("the HTTP API has added the route {id}: {}", uri.shown());
    let kept = id.clone();
    if let Err(error) = change(api, move |folder| folder.save(&kept, &uri)).await {
        api.registry.remove(&id);
        let reason = format!("the route is not added, since it cannot be kept: {error}");
        return Err((StatusCode::INTERNAL_SERVER_ERROR, reason));
    }
    Ok(answer)
}

/// Makes a route with the options that the environment sets, as for routes of the command line.
fn make(api: &Api, uri: RouteUri) -> Result<Route, String> {
    let mut routes = list::routes(vec![uri], &mut api.environment.clone(), false)?;
    routes.pop().ok_or_else(|| "there is no route".to_owned())
}

async fn start(api: &Api, id: String, route: Route) -> Result<(), (StatusCode, String)> {
    let (added, result) = oneshot::channel();
    let asking = async {
        api.adding.send(Addition { id, route, added }).await.ok()?;
        result.await.ok()
    };
    match timeout(WITHIN, asking).await {
        Ok(Some(added)) => {
            added.map_err(|mistake| (StatusCode::BAD_REQUEST, format!("Bad route: {mistake}")))
        }
        Ok(None) => Err((StatusCode::SERVICE_UNAVAILABLE, "the router shuts down".to_owned())),
        Err(_) => {
            let text = format!("the router did not start the route within {} s", WITHIN.as_secs());
            Err((StatusCode::SERVICE_UNAVAILABLE, text))
        }
    }
}

/// Removes a route and its file. Returns false if there is no such route.
async fn remove(api: &Api, id: &str) -> io::Result<bool> {
    let _changing = api.changing.lock().await;
    if !api.registry.remove(id) {
        return Ok(false);
    }
    tracing::info!("the HTTP API has removed the route {id}");
    let id = id.to_owned();
    change(api, move |folder| folder.remove(&id)).await.map(|()| true)
}

/// Changes the folder of routes, if there is a folder. The change runs on another thread, since a disk may be
/// slow.
async fn change(
    api: &Api,
    change: impl FnOnce(RoutesFolder) -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let Some(folder) = api.folder.clone() else { return Ok(()) };
    spawn_blocking(move || change(folder)).await.map_err(io::Error::other)?
}
