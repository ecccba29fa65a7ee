//! Accepts connections up to a maximum number, and serves them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::stall::StallLimit;
use super::{Api, dispatch};
use crate::http_options::{AddressFrom, HttpOptions};
use crate::server::{self, Handler};
use crate::task::task;

/// The maximum number of open connections, not counting WebSockets. Further connections wait in the kernel.
const MAX_CONNECTIONS: usize = 64;
/// The pause after a failed attempt to listen at the address, or to accept a connection.
const RETRY: Duration = Duration::from_secs(2);

/// Serves the API. If the address cannot be used, shipping goes on and the server tries again, since the
/// previous agent may still use the address.
pub(super) async fn run(api: Arc<Api>) {
    let listener = listen(&api.options).await;
    let handler = Handler::new(move |request| {
        let api = api.clone();
        async move { dispatch::answer(api, request).await.map(server::boxed) }
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let stream = Box::new(StallLimit::new(stream));
                    connections.spawn(task(server::serve(stream, handler.clone())));
                }
                Err(error) => {
                    tracing::debug!("the HTTP API cannot accept a connection: {error}");
                    sleep(RETRY).await;
                }
            },
        }
    }
}

async fn listen(options: &HttpOptions) -> TcpListener {
    let address = options.address;
    let mut is_logged = false;
    loop {
        let bound =
            TcpListener::bind(address).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
        match bound {
            Ok((address, listener)) => {
                let reach = reach(address, options.address_from);
                tracing::info!("the HTTP API is at http://{address}{reach}");
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
fn reach(address: SocketAddr, place: AddressFrom) -> String {
    if !address.ip().is_loopback() {
        return "; each client that can connect can read all lines and change routes".to_owned();
    }
    let setting = place.open_setting(address.port());
    format!(", for clients of this host or container alone; to let others in, set {setting}")
}

fn hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}; a port from 1024 on needs no rights"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_line_of_a_loopback_address_names_the_setting_that_has_an_effect() {
        let said = |address: &str, place| reach(address.parse().unwrap(), place);
        for (place, setting) in [
            (AddressFrom::CommandLine, "set --http=0.0.0.0:8000"),
            (AddressFrom::File, "set http = \"0.0.0.0:8000\" in the configuration file"),
            (AddressFrom::Variables, "set HTTP_BIND_ADDRESS=0.0.0.0 and PORT=8000"),
        ] {
            assert!(said("127.0.0.1:8000", place).ends_with(setting));
            assert!(!said("0.0.0.0:8000", place).contains("set "));
        }
    }
}
