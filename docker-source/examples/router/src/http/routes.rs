//! Answers requests for `/routes`, which show, add and remove routes as in Logspout.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Api;
use super::answer::{Answer, TEXT, json as json_answer, refusal, text, wrong_method};
use crate::deliver::{OpenRoute, Opener};
use crate::registry::{RunningRoute, id_of};
use crate::route::{Route, RouteUri, json as route_json, list};
use crate::routes_folder::{MAX_ROUTES, RoutesFolder};
use crate::task::task;

/// The maximum length of the body of a request, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// The time limit for receiving the body of a request.
const WITHIN: Duration = Duration::from_secs(10);

/// The parts of the router that start a route.
pub(crate) struct Adding {
    pub(crate) opener: Opener,
    /// Sends the opened routes to the task that starts them.
    pub(crate) sender: mpsc::Sender<Addition>,
}

/// A route that the router is asked to start. It replaces the route with the same id.
pub(crate) struct Addition {
    pub(crate) id: String,
    pub(crate) route: OpenRoute,
    /// Sends a value when the route has started. The sender is dropped without a value if the router shuts down.
    pub(crate) added: oneshot::Sender<()>,
}

/// The status and the reason of a refusal.
type Refusal = (StatusCode, String);

/// Answers a request for a path. `id` is the part behind `/routes/`, and is empty for `/routes`.
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
        Method::DELETE if !is_all => match change(api, remove(api.clone(), id.to_owned())).await {
            Ok(true) => text(StatusCode::OK, TEXT, ""),
            Ok(false) => not_found(),
            Err((status, reason)) => refusal(status, &reason),
        },
        _ if is_all => wrong_method("GET, HEAD, POST"),
        _ => wrong_method("DELETE, GET, HEAD"),
    }
}

fn shown(route: &RunningRoute) -> Value {
    route_json::masked(&route.id, route.route.uri())
}

/// Adds the route that a request describes. Returns the JSON of the route.
async fn add(api: &Arc<Api>, request: Request<Incoming>) -> Result<Value, Refusal> {
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
    let answer = route_json::masked(&id, route.uri());
    change(api, keep_and_start(api.clone(), id, uri, route)).await?;
    Ok(answer)
}

/// Makes a route with the options that the environment sets, as for routes of the command line.
fn make(api: &Api, uri: RouteUri) -> Result<Route, String> {
    let mut routes = list::routes(vec![uri], &mut api.environment.clone(), false)?;
    routes.pop().ok_or_else(|| "there is no route".to_owned())
}

/// Changes the routes, one change at a time. Otherwise, after two requests with the same id, the route of one
/// request could run while the file has the route of the other request. The change runs in a task of its own,
/// so that it is completed even if the client closes the connection.
async fn change<T: Send + 'static>(
    api: &Arc<Api>,
    change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    let changing = api.changing.clone().lock_owned().await;
    let changed = tokio::spawn(task(async move {
        let _changing = changing;
        change.await
    }));
    changed.await.map_err(failed)?
}

/// Opens a route, saves it in the folder, and then starts it. The route with the same id runs until then, so
/// it keeps running if the new route cannot be opened or saved.
async fn keep_and_start(api: Arc<Api>, id: String, uri: RouteUri, route: Route) -> Result<(), Refusal> {
    if api.registry.find(&id).is_none() && api.registry.routes().len() >= MAX_ROUTES {
        let reason = format!("there are already {MAX_ROUTES} routes, which is the maximum");
        return Err((StatusCode::CONFLICT, reason));
    }
    let opener = api.adding.opener.clone();
    let opened = spawn_blocking(move || opener.open(route)).await.map_err(failed)?;
    let route =
        opened.map_err(|failure| (StatusCode::BAD_REQUEST, format!("Bad route: {}", failure.reason)))?;
    let (shown, kept) = (uri.shown(), id.clone());
    let saved = change_folder(&api, move |folder| folder.save(&kept, &uri)).await;
    saved.map_err(|error| failed(format!("the route is not added, since it cannot be kept: {error}")))?;
    let (added, result) = oneshot::channel();
    let addition = Addition { id: id.clone(), route, added };
    if api.adding.sender.send(addition).await.is_err() || result.await.is_err() {
        let reason = match api.folder {
            Some(_) => "the router shuts down; the route starts at the next start",
            None => "the router shuts down",
        };
        return Err((StatusCode::SERVICE_UNAVAILABLE, reason.to_owned()));
    }
    tracing::info!("the HTTP API has added the route {id}: {shown}");
    Ok(())
}

/// Removes a route and its file. Returns false if there is no such route.
async fn remove(api: Arc<Api>, id: String) -> Result<bool, Refusal> {
    if !api.registry.remove(&id) {
        return Ok(false);
    }
    tracing::info!("the HTTP API has removed the route {id}");
    let removed = change_folder(&api, move |folder| folder.remove(&id)).await;
    removed.map_err(|error| {
        failed(format!("the route is removed, but it returns at the next start: {error}"))
    })?;
    Ok(true)
}

fn failed(reason: impl ToString) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, reason.to_string())
}

/// Changes the folder of routes, if there is a folder. The change runs on another thread, since a disk may be
/// slow.
async fn change_folder(
    api: &Api,
    change: impl FnOnce(RoutesFolder) -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let Some(folder) = api.folder.clone() else { return Ok(()) };
    spawn_blocking(move || change(folder)).await.map_err(io::Error::other)?
}
