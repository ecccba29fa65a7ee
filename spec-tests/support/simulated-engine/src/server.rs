//! The HTTP server.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::http;
use crate::stamp::{rfc3339, rfc3339_of_second};
use crate::state::{Piece, Shared, State};
use crate::{Fault, Options, Since, Stream};

/// Serves connections. Dropping the future closes all of them.
pub(crate) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (socket, _) = accepted.unwrap();
                let shared = shared.clone();
                // A client may close the connection at any time.
                connections.spawn(async move {
                    let _open = Open::new(&shared);
                    let _ = converse(socket, &shared).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection as open while it exists.
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

async fn converse(mut socket: UnixStream, shared: &Shared) -> io::Result<()> {
    let (method, target) = http::read_request(&mut socket).await?;
    let socket = &mut socket;
    shared.change(|state| state.requests.push(format!("{method} {target}")));
    if method != "GET" {
        return refuse(socket, 405, "only GET is simulated").await;
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let parameters: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let path: Vec<&str> = path.split('/').skip(1).filter(|part| !is_version(part)).collect();
    match path[..] {
        ["_ping"] => {
            if let Some(fault) = shared.change(|state| state.ping_faults.pop_front()) {
                return respond(socket, Some(fault), || "OK".into()).await;
            }
            let (version, podman) =
                shared.look(|state| (state.options.api_version.clone(), state.options.podman));
            let more = if podman { "Libpod-Api-Version: 4.3.1\r\n" } else { "" };
            http::answer(socket, 200, &format!("Api-Version: {version}\r\n{more}"), "OK").await
        }
        ["info"] => {
            let fault = shared.change(|state| state.info_faults.pop_front());
            respond(socket, fault, || shared.look(State::info)).await
        }
        ["events"] => events(socket, shared).await,
        ["containers", "json"] => {
            let fault = shared.change(|state| state.list_faults.pop_front());
            let list = || shared.look(|state| state.frozen_list.clone().unwrap_or_else(|| state.list()));
            respond(socket, fault, list).await
        }
        ["containers", id, "json"] => {
            if !exists(shared, id) {
                return refuse(socket, 404, &format!("No such container: {id}")).await;
            }
            let fault = shared.change(|state| state.container_mut(id).inspect_faults.pop_front());
            respond(socket, fault, || shared.look(|state| state.container(id).inspect())).await
        }
        ["containers", id, "logs"] => {
            if !exists(shared, id) {
                return refuse(socket, 404, &format!("No such container: {id}")).await;
            }
            logs(socket, shared, id, &parameters).await
        }
        _ => refuse(socket, 404, "page not found").await,
    }
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn exists(shared: &Shared, id: &str) -> bool {
    shared.look(|state| state.find(id).is_some_and(|container| !container.is_removed))
}

async fn refuse(socket: &mut UnixStream, status: u16, message: &str) -> io::Result<()> {
    let body = json!({ "message": message }).to_string();
    http::answer(socket, status, "Content-Type: application/json\r\n", &body).await
}

async fn respond(
    socket: &mut UnixStream,
    fault: Option<Fault>,
    body: impl FnOnce() -> Value,
) -> io::Result<()> {
    match fault {
        None => http::answer(socket, 200, "Content-Type: application/json\r\n", &body().to_string()).await,
        Some(Fault::Status(status, message)) => refuse(socket, status, &message).await,
        Some(Fault::Hang) => pending().await,
        Some(Fault::CutAfter(count)) => {
            http::start_chunks(socket, "").await?;
            let body = body().to_string();
            http::chunk(socket, &body.as_bytes()[..count.min(body.len())]).await
        }
        Some(fault) => panic!("{fault:?} applies only to logs"),
    }
}

async fn events(socket: &mut UnixStream, shared: &Shared) -> io::Result<()> {
    let mut changes = shared.changes();
    // Subscribes before the headers are sent, so that no event is missed.
    let (mut next, ended) = shared.look(|state| (state.events.len(), state.events_ended));
    http::start_chunks(socket, "Content-Type: application/json\r\n").await?;
    loop {
        let (lines, is_ended) =
            shared.look(|state| (state.events[next..].to_vec(), state.events_ended != ended));
        next += lines.len();
        for line in lines {
            http::chunk(socket, format!("{line}\n").as_bytes()).await?;
        }
        if is_ended {
            return http::end_chunks(socket).await;
        }
        wait_for_change(socket, &mut changes).await?;
    }
}

/// Waits for a change. Returns an error if the client closes the connection first.
async fn wait_for_change(
    socket: &mut UnixStream,
    changes: &mut tokio::sync::watch::Receiver<u64>,
) -> io::Result<()> {
    let mut byte = [0];
    tokio::select! {
        changed = changes.changed() => changed.map_err(io::Error::other),
        _ = socket.read(&mut byte) => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

async fn logs(
    socket: &mut UnixStream,
    shared: &Shared,
    id: &str,
    parameters: &HashMap<&str, &str>,
) -> io::Result<()> {
    assert_eq!(parameters.get("timestamps"), Some(&"1"), "only logs with timestamps are simulated");
    assert_eq!((parameters.get("stdout"), parameters.get("stderr")), (Some(&"1"), Some(&"1")));
    let mut changes = shared.changes();
    let (fault, unreadable) = shared.change(|state| {
        let container = state.container_mut(id);
        (container.log_faults.pop_front(), container.unreadable)
    });
    if unreadable {
        return refuse(socket, 501, "configured logging driver does not support reading").await;
    }
    match &fault {
        Some(Fault::Status(status, message)) => return refuse(socket, *status, message).await,
        Some(Fault::Hang) => return pending().await,
        Some(Fault::Late(time)) => tokio::time::sleep(*time).await,
        _ => {}
    }
    let (content_type, tty, runs, chunk, since_mode, podman) = shared.look(|state| {
        let container = state.container(id);
        let kind = if container.options.tty { "raw-stream" } else { "multiplexed-stream" };
        let content_type = match state.options.names_content_type {
            true => format!("Content-Type: application/vnd.docker.{kind}\r\n"),
            false => String::new(),
        };
        let Options { chunk, since, podman, .. } = state.options;
        (content_type, container.options.tty, container.runs, chunk, since, podman)
    });
    assert!(!podman || !parameters.contains_key("tail"), "Podman joins the pieces of both streams there");
    let since = parameters.get("since").map(|text| parse_since(text));
    let follow = parameters.get("follow") == Some(&"1");
    let mut next = match parameters.get("tail") {
        Some(tail) => {
            shared.look(|state| state.container(id).log.len().saturating_sub(tail.parse().unwrap()))
        }
        None => 0,
    };
    http::start_chunks(socket, &content_type).await?;
    if let Some(Fault::LateBody(time)) = &fault {
        tokio::time::sleep(*time).await;
    }
    let mut sender = Sender { socket, chunk, fault, pieces: 0, bytes: 0 };
    let mut has_passed_since = false;
    loop {
        let (pieces, is_over, damaged) = shared.look(|state| {
            let container = state.container(id);
            // Lines of a later run of the container belong to later requests.
            let is_over = !follow || !container.is_running || container.runs != runs;
            let pieces = container.log[next..].iter().take_while(|piece| !follow || piece.run <= runs);
            (pieces.cloned().collect::<Vec<_>>(), is_over, container.damaged)
        });
        for piece in pieces {
            next += 1;
            if damaged == Some(next - 1) {
                http::chunk(sender.socket, b"\x03\0\0\0\0\0\0\x19Error grabbing logs: EOF\n").await?;
                return http::end_chunks(sender.socket).await;
            }
            let is_older = since.is_some_and(|since| piece.stamp < since);
            if is_older && (since_mode == Since::EachPiece || !has_passed_since) {
                continue;
            }
            has_passed_since = true;
            match sender.send(&piece, tty, podman).await? {
                Sent::Whole => {}
                Sent::Ended => return http::end_chunks(sender.socket).await,
                Sent::Cut => return Ok(()),
            }
        }
        if is_over {
            return http::end_chunks(sender.socket).await;
        }
        wait_for_change(sender.socket, &mut changes).await?;
    }
}

/// Parses `SECONDS` or `SECONDS.FRACTION`, with the fraction padded on the right to nanoseconds.
fn parse_since(text: &str) -> i64 {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    seconds.parse::<i64>().unwrap() * 1_000_000_000 + format!("{fraction:0<9}").parse::<i64>().unwrap()
}

/// Sends pieces, and injects a fault.
struct Sender<'a> {
    socket: &'a mut UnixStream,
    chunk: usize,
    fault: Option<Fault>,
    pieces: usize,
    bytes: usize,
}

enum Sent {
    Cut,
    Ended,
    Whole,
}

impl Sender<'_> {
    async fn send(&mut self, piece: &Piece, tty: bool, podman: bool) -> io::Result<Sent> {
        match &self.fault {
            Some(Fault::EndAfter(count)) if *count == self.pieces => return Ok(Sent::Ended),
            Some(Fault::BytesAfter(count, bytes)) if *count == self.pieces => {
                let bytes = bytes.clone();
                self.fault = None;
                http::chunk(self.socket, &bytes).await?;
            }
            _ => {}
        }
        let bytes = encode(piece, tty, podman);
        self.pieces += 1;
        for part in bytes.chunks(self.chunk) {
            let left = match self.fault {
                Some(Fault::CutAfter(count)) => count.saturating_sub(self.bytes),
                _ => usize::MAX,
            };
            self.bytes += part.len();
            http::chunk(self.socket, &part[..part.len().min(left)]).await?;
            if part.len() > left {
                return Ok(Sent::Cut);
            }
        }
        Ok(Sent::Whole)
    }
}

fn encode(piece: &Piece, tty: bool, podman: bool) -> Vec<u8> {
    let stamp = if podman { rfc3339_of_second(piece.stamp) } else { rfc3339(piece.stamp) };
    let mut text = format!("{stamp} ").into_bytes();
    text.extend_from_slice(&piece.bytes);
    if tty {
        return text;
    }
    let kind = match piece.stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    };
    let mut frame = vec![kind, 0, 0, 0];
    frame.extend_from_slice(&(text.len() as u32).to_be_bytes());
    frame.extend_from_slice(&text);
    frame
}
