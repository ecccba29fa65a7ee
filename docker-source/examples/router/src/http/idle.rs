//! Tries to connect to the destinations of idle routes. An idle route has no connection and no line to send.
//! Its client connects only when the next line arrives, so until then the client does not notice that the
//! destination is down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gelf_tokio::{ClientState, Transport};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::Api;
use crate::condition::{Condition, Problem};
use crate::registry::RunningRoute;
use crate::task::task;

/// The pause between two attempts. A problem is known after at most 8 s: the sum of this pause and
/// [`WITHIN`].
const INTERVAL: Duration = Duration::from_secs(5);
/// The maximum duration of an attempt.
const WITHIN: Duration = Duration::from_secs(3);

/// The result of the last attempt for each idle route, by the id of the route.
#[derive(Debug, Default)]
pub(super) struct IdleRoutes(Mutex<HashMap<String, Condition>>);

impl IdleRoutes {
    /// Returns the problem of an idle route, if the last attempt to reach its destination failed.
    pub(super) fn problem(&self, id: &str) -> Option<Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id)?.problem()
    }

    /// Returns the conditions of the routes with these ids, and forgets the conditions of other routes.
    fn conditions(&self, ids: impl Iterator<Item = String>) -> Vec<Condition> {
        let known = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now: Vec<_> = ids.map(|id| (known.get(&id).cloned().unwrap_or_default(), id)).collect();
        *known = now.iter().map(|(condition, id)| (id.clone(), condition.clone())).collect();
        now.into_iter().map(|(condition, _)| condition).collect()
    }
}

/// Tries each idle route at an interval.
pub(super) async fn watch(api: Arc<Api>) {
    loop {
        let routes = api.registry.routes();
        let idle: Vec<_> = routes.iter().filter(|route| is_idle(route)).collect();
        let conditions = api.idle.conditions(idle.iter().map(|route| route.id.clone()));
        for (route, condition) in idle.into_iter().zip(conditions) {
            let endpoint = &route.route.endpoint;
            let connecting = TcpStream::connect((endpoint.host().to_owned(), endpoint.port()));
            tokio::spawn(task(async move {
                match timeout(WITHIN, connecting).await {
                    Ok(Ok(_)) => condition.holds(),
                    Ok(Err(error)) => condition.failed(error),
                    Err(_) => condition.failed("the attempt to connect timed out"),
                }
            }));
        }
        sleep(INTERVAL).await;
    }
}

/// Returns whether the route sends over plain TCP or TLS, has no connection now, and has no line to send.
/// Returns false for a route over UDP or HTTP. Returns false for a destination with several hosts, since one
/// reachable host is enough.
fn is_idle(route: &RunningRoute) -> bool {
    let Transport::Tcp(options) = route.route.endpoint.transport() else { return false };
    let is_unconnected = matches!(route.tally.state(), ClientState::Connecting);
    options.failover.is_empty() && is_unconnected && route.tally.figures().waiting() == 0
}
