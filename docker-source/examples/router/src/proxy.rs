//! `gelf-router proxy`: gives agents the part of the Engine's API that they need.
//!
//! An agent behind the proxy has no socket with which it could change the Engine. `rules` selects the
//! requests that pass, `answer` makes the answers, `redact` hides the values of variables in the answers, and
//! `listen` opens the sockets for agents.

mod answer;
mod listen;
mod redact;
mod rules;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use docker_source::EngineAddress;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::answer::{passed, text};
use self::listen::Listener;
use self::redact::EnvRedactor;
use crate::client;
use crate::failure::Failure;
use crate::server::{self, Answer, Handler};
use crate::stop::Stop;
use crate::task::task;

/// The maximum number of open connections. An agent has one connection for each log that it follows. Further
/// connections wait in the kernel.
const MAX_CONNECTIONS: usize = 4096;
/// The pause after a connection could not be accepted.
const RETRY: Duration = Duration::from_secs(1);
/// The maximum number of refused requests that are logged. Further refused requests are only counted.
const MAX_LOGGED: u64 = 100;

struct Proxy {
    address: EngineAddress,
    passed: AtomicU64,
    refused: AtomicU64,
}

/// Passes requests of agents on to the Engine until a signal arrives.
///
/// # Errors
/// Returns an error if the proxy cannot listen, or if the Engine needs TLS.
pub(crate) async fn run(address: EngineAddress, at: EngineAddress) -> Result<(), Failure> {
    if !matches!(address, EngineAddress::Tcp { .. } | EngineAddress::Unix(_)) {
        return Err(Failure::usage(format!(
            "{address}: the proxy does not use TLS; give the Unix socket of the Engine, or an address without TLS"
        )));
    }
    let mut stop = Stop::new().map_err(Failure::refused)?;
    let listener = Listener::bind(&at, &address)
        .await
        .map_err(|error| Failure::refused(format!("cannot listen at {at}: {error}")))?;
    tracing::info!("passing GET requests of agents on to {address}; listening at {at}");
    let proxy = Arc::new(Proxy { address, passed: AtomicU64::new(0), refused: AtomicU64::new(0) });
    stop.unless_asked(serve_all(&listener, &proxy)).await;
    if let EngineAddress::Unix(path) = &at {
        // The next proxy removes the file if this fails.
        let _ = std::fs::remove_file(path);
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    tracing::info!("requests: {} passed, {} refused", count(&proxy.passed), count(&proxy.refused));
    Ok(())
}

async fn serve_all(listener: &Listener, proxy: &Arc<Proxy>) -> Infallible {
    let mut connections = JoinSet::new();
    // If an agent ends its connection, the answer is dropped. This also ends the request to the Engine.
    let proxy = proxy.clone();
    let handler = Handler::new(move |request| {
        let proxy = proxy.clone();
        async move { proxy.answer(request).await }
    });
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok(socket) => {
                    connections.spawn(task(server::serve(socket, handler.clone())));
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    sleep(RETRY).await;
                }
            },
        }
    }
}

impl Proxy {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (method, path) = (request.method(), request.uri().path());
        let redactor = match rules::passing(method, request.uri()) {
            Some(rules::Request::Containers) => Some(EnvRedactor::new()),
            Some(rules::Request::Plain) => None,
            None => {
                let before = self.refused.fetch_add(1, Ordering::Relaxed);
                if before < MAX_LOGGED {
                    tracing::warn!("refused: {method} {}", path.escape_debug());
                }
                return text(
                    StatusCode::FORBIDDEN,
                    "the proxy passes only the GET requests of gelf-router\n",
                );
            }
        };
        self.passed.fetch_add(1, Ordering::Relaxed);
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        // Neither the headers nor the body of the agent's request are passed on.
        match client::get(&self.address, "docker", target).await {
            Ok(answer) => passed(answer, redactor),
            Err(error) => {
                tracing::debug!("GET {path}: {error}");
                text(StatusCode::BAD_GATEWAY, format!("the Engine does not answer: {error}\n"))
            }
        }
    }
}
