//! The HTTP server of the simulated Engine.

use std::future::pending;
use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use crate::Fault;
use crate::http::{Connection, Head};
use crate::logs::logs;
use crate::query::{self, Parameters};
use crate::request::{Request, is_version};
use crate::state::{Shared, State};

/// Serves connections. Dropping the future closes all connections.
pub(crate) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (socket, _) = accepted.unwrap();
                let shared = shared.clone();
                // An error ends only this connection, because a client may close a connection at any time.
                connections.spawn(async move {
                    let _open = Open::new(&shared);
                    let mut connection = Connection::new(socket);
                    while converse(&mut connection, &shared).await.is_ok() {}
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection as open while this value exists.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.change(|state| state.connections += 1);
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.connections -= 1);
    }
}

/// Answers one request. Returns an error once the connection has ended.
async fn converse(connection: &mut Connection, shared: &Shared) -> io::Result<()> {
    let Head { method, target, accept } = connection.request().await?;
    let request = Request::new(format!("{method} {target}"));
    // A request can name a container by its id, by the beginning of its id, or by its name.
    let container = shared.change(|state| state.add_request(request));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let parameters = query::parameters(query);
    let mut path: Vec<&str> = path.split('/').skip(1).collect();
    if let Some(version) = path.first().copied().filter(|part| is_version(part)) {
        path.remove(0);
        if let Some(message) = shared.look(|state| unsupported(&version[1..], state)) {
            return refuse(connection, 400, &message).await;
        }
    }
    match (&*method, &path[..]) {
        ("GET" | "HEAD", ["_ping"]) => {
            if let Some(fault) = shared.change(|state| state.ping_faults.pop_front()) {
                return respond(connection, Some(fault), || "OK".into()).await;
            }
            let (version, podman) =
                shared.look(|state| (state.options.api_version.clone(), state.options.podman));
            let more = if podman { "Libpod-Api-Version: 4.3.1\r\n" } else { "" };
            let body = if method == "GET" { "OK" } else { "" };
            connection.answer(200, &format!("Api-Version: {version}\r\n{more}"), body).await
        }
        ("GET", ["info"]) => {
            let fault = shared.change(|state| state.info_faults.pop_front());
            respond(connection, fault, || shared.look(State::info)).await
        }
        ("GET", ["version"]) => respond(connection, None, || shared.look(State::version)).await,
        ("GET", ["events"]) => events(connection, shared, &parameters).await,
        ("GET", ["containers", "json"]) => {
            let fault = shared.change(|state| state.list_faults.pop_front());
            let has_ended_ones = query::is_set(&parameters, "all");
            let list = || {
                shared.look(|state| match &state.frozen_lists {
                    Some(frozen) => frozen[usize::from(has_ended_ones)].clone(),
                    None => state.list(has_ended_ones),
                })
            };
            respond(connection, fault, list).await
        }
        ("GET", ["containers", name, "json" | "logs"]) if container.is_empty() => {
            refuse(connection, 404, &format!("No such container: {name}")).await
        }
        ("GET", ["containers", _, "json"]) => {
            let fault = shared.change(|state| state.container_mut(&container).inspect_faults.pop_front());
            respond(connection, fault, || shared.look(|state| state.container(&container).inspect())).await
        }
        ("GET", ["containers", _, "logs"]) => {
            logs(connection, shared, &container, &parameters, &accept).await
        }
        ("GET", _) => refuse(connection, 404, "page not found").await,
        _ => refuse(connection, 405, "only GET is simulated").await,
    }
}

/// Returns the error message for a version that the Engine does not support.
fn unsupported(version: &str, state: &State) -> Option<String> {
    let number = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let (newest, oldest) = (&state.options.api_version, &state.options.min_api_version);
    if number(version) > number(newest) {
        let limit = format!("Maximum supported API version is {newest}");
        return Some(format!("client version {version} is too new. {limit}"));
    }
    let limit = format!("Minimum supported API version is {oldest}, please upgrade your client");
    (number(version) < number(oldest)).then(|| format!("client version {version} is too old. {limit}"))
}

pub(crate) async fn refuse(connection: &mut Connection, status: u16, message: &str) -> io::Result<()> {
    let body = json!({ "message": message }).to_string();
    connection.answer(status, "Content-Type: application/json\r\n", &body).await
}

async fn respond(
    connection: &mut Connection,
    fault: Option<Fault>,
    body: impl FnOnce() -> Value,
) -> io::Result<()> {
    match fault {
        None => connection.answer(200, "Content-Type: application/json\r\n", &body().to_string()).await,
        Some(Fault::Status(status, message)) => refuse(connection, status, &message).await,
        Some(Fault::Hang) => pending().await,
        Some(Fault::CutAfter(count)) => {
            connection.start_chunks("").await?;
            let body = body().to_string();
            connection.chunk(&body.as_bytes()[..count.min(body.len())]).await?;
            connection.cut();
            Ok(())
        }
        Some(fault) => panic!("{fault:?} applies only to logs"),
    }
}

async fn events(connection: &mut Connection, shared: &Shared, parameters: &Parameters<'_>) -> io::Result<()> {
    let mut changes = shared.changes();
    let times =
        query::time(parameters, "since").and_then(|since| Ok((since, query::time(parameters, "until")?)));
    let (since, until) = match times {
        Ok(times) => times,
        Err(message) => return refuse(connection, 400, &message).await,
    };
    // The first event is determined before the headers are sent, so that no event is missed.
    let (mut next, ended) = shared.look(|state| (state.first_event(since), state.events_ended));
    connection.start_chunks("Content-Type: application/json\r\n").await?;
    loop {
        let (events, is_ended) = shared.look(|state| {
            let is_over = until.is_some_and(|until| until <= state.now());
            (state.events[next..].to_vec(), is_over || state.events_ended != ended)
        });
        next += events.len();
        for event in events.into_iter().filter(|event| until.is_none_or(|until| event.time <= until)) {
            connection.chunk(format!("{}\n", event.line).as_bytes()).await?;
        }
        if is_ended {
            return connection.end_chunks().await;
        }
        connection.wait_for_change(&mut changes).await?;
    }
}
