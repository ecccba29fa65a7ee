//! Warns if ports of the router's container are published and the HTTP API answers at none of them.
//!
//! By default, Logspout serves its API at port 80 of all addresses. A deployment file for Logspout may
//! therefore publish this port.

use std::time::Duration;

use docker_source::{EngineAddress, own_container};
use tokio::time::sleep;

use crate::http_options::{AddressFrom, HttpOptions};

/// The pause between two attempts to find the container if the Engine does not answer.
const PAUSE: Duration = Duration::from_secs(10);

/// Finds the container of this process. Warns if its ports are published and the HTTP API answers at none of them.
pub(crate) async fn check(address: EngineAddress, http: Option<HttpOptions>) {
    let container = loop {
        match own_container(address.clone()).await {
            Ok(container) => break container,
            Err(error) if error.is_permanent() => break None,
            Err(_) => sleep(PAUSE).await,
        }
    };
    let ports = container.as_ref().map_or(&[][..], |container| container.published_ports());
    if let Some(warning) = warning(ports, http.as_ref()) {
        tracing::warn!("{warning}");
    }
}

/// Returns the warning, or `None` if no port is published or the API answers at a published port. `ports` are
/// the published ports of the container, in increasing order.
fn warning(ports: &[u16], http: Option<&HttpOptions>) -> Option<String> {
    let first = ports.first()?;
    let place = http.map_or(AddressFrom::Variables, |http| http.address_from);
    let remedy = |port: &u16| format!("to serve it, set {}", place.open_setting(*port));
    match http.map(|http| http.address) {
        None => Some(format!("port {first} is published, but the HTTP API is off; {}", remedy(first))),
        Some(address) if !ports.contains(&address.port()) => Some(format!(
            "port {first} is published, but the HTTP API listens at port {}; {}",
            address.port(),
            remedy(first)
        )),
        Some(address) if address.ip().is_loopback() => Some(format!(
            "port {0} is published, but the HTTP API listens only at {address}; {1}",
            address.port(),
            remedy(&address.port())
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_port_at_which_the_api_does_not_answer_is_named_with_the_setting_that_serves_it() {
        let said_if_set = |ports: &[u16], address: Option<&str>, place| {
            let address = address.map(|address| (address.parse().unwrap(), place));
            warning(ports, HttpOptions::new(address, Vec::new()).unwrap().as_ref())
        };
        let said = |ports: &[u16], address| said_if_set(ports, address, AddressFrom::Variables);
        for (ports, address, expected) in [
            (
                &[80][..],
                None,
                "port 80 is published, but the HTTP API is off; to serve it, set \
                               HTTP_BIND_ADDRESS=0.0.0.0 and PORT=80",
            ),
            (
                &[80, 443],
                Some("0.0.0.0:9000"),
                "port 80 is published, but the HTTP API listens at port 9000; to \
                               serve it, set HTTP_BIND_ADDRESS=0.0.0.0 and PORT=80",
            ),
            (
                &[80, 9000],
                Some("127.0.0.1:9000"),
                "port 9000 is published, but the HTTP API listens only at \
                               127.0.0.1:9000; to serve it, set HTTP_BIND_ADDRESS=0.0.0.0 and PORT=9000",
            ),
        ] {
            assert_eq!(said(ports, address).as_deref(), Some(expected));
        }
        // The variables have no effect if another place sets the address.
        for (place, setting) in [
            (AddressFrom::CommandLine, "set --http=0.0.0.0:80"),
            (AddressFrom::File, "set http = \"0.0.0.0:80\" in the configuration file"),
        ] {
            for address in ["0.0.0.0:9000", "127.0.0.1:80"] {
                let said = said_if_set(&[80], Some(address), place).unwrap();
                assert!(said.ends_with(setting), "{said}");
            }
        }
        for (ports, address) in [(&[][..], None), (&[], Some("127.0.0.1:80")), (&[80], Some("0.0.0.0:80"))] {
            assert_eq!(said(ports, address), None);
        }
    }
}
