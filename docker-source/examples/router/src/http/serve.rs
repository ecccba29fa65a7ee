//! Accepts connections within limits, and serves them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::stall::StallLimit;
use super::{Api, dispatch};

/// The maximum number of open connections. Further connections wait in the kernel.
const MAX_CONNECTIONS: usize = 64;
/// The maximum length of the head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The maximum number of headers of a request.
const MAX_HEADERS: usize = 64;
/// The time limit for receiving the head of a request. The time starts at the end of the previous request.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The pause between two attempts to listen at the address, and the pause after an error of accepting.
const RETRY: Duration = Duration::from_secs(2);

/// Serves the API. If the address cannot be used, shipping goes on and the server tries again, since the
/// previous agent may still use the address.
pub(super) async fn run(api: Arc<Api>) {
    let listener = listen(api.options.address).await;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(api.clone(), stream));
                }
                Err(error) => {
                    tracing::debug!("the HTTP API cannot accept a connection: {error}");
                    sleep(RETRY).await;
                }
            },
        }
    }
}

async fn listen(address: SocketAddr) -> TcpListener {
    let mut is_logged = false;
    loop {
        let bound =
            TcpListener::bind(address).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
        match bound {
            Ok((address, listener)) => {
                tracing::info!("the HTTP API is at http://{address}{}", reach(address));
                return listener;
            }
            Err(error) => {
                if !std::mem::replace(&mut is_logged, true) {
                    tracing::warn!("the HTTP API cannot listen at {address}: {}; retrying", hint(&error));
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// Returns the part of the log line that says which clients can connect.
fn reach(address: SocketAddr) -> &'static str {
    match address.ip().is_loopback() {
        true => ", for clients of this host or container alone; HTTP_BIND_ADDRESS=0.0.0.0 lets others in",
        false => "; each client that can connect can read all lines and change routes",
    }
}

fn hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}; a port from 1024 on needs no rights"),
        _ => error.to_string(),
    }
}

async fn serve(api: Arc<Api>, stream: TcpStream) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(dispatch::answer(api, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(StallLimit::new(stream)), answer)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!("a connection of the HTTP API has ended: {error}");
    }
}
