//! Tries to connect to the destinations of idle routes. The connection of an idle route has ended, and no line
//! is waiting. The route's client connects again only when the next line arrives, so until then the client does
//! not notice that the destination is down.

use std::sync::Arc;
use std::time::Duration;

use gelf_tokio::{ClientState, Transport};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::Api;
use crate::registry::RunningRoute;
use crate::task::task;

/// The pause between two attempts. A problem is known after at most 8 s: the sum of this pause and
/// [`WITHIN`].
const INTERVAL: Duration = Duration::from_secs(5);
/// The maximum duration of an attempt.
const WITHIN: Duration = Duration::from_secs(3);

/// Tries each idle route at an interval. The result is a condition of the route, so a route that replaces another
/// one with the same id does not inherit it.
pub(super) async fn watch(api: Arc<Api>) {
    loop {
        for route in api.registry.routes() {
            let condition = route.is_reachable.clone();
            if !is_idle(&route) {
                condition.holds();
                continue;
            }
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
/// Returns false for a route over UDP or HTTP, and for a route whose client already knows that the destination
/// is down. Returns false for a destination with several hosts, since one reachable host is enough.
fn is_idle(route: &RunningRoute) -> bool {
    let Transport::Tcp(options) = route.route.endpoint.transport() else { return false };
    let is_unconnected = matches!(route.tally.state(), ClientState::Connecting);
    options.failover.is_empty() && is_unconnected && route.tally.figures().waiting() == 0
}
