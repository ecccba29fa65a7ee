//! Checks the destinations: their names, connections and the size of datagrams.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use gelf_tokio::options::{TcpOptions, TlsOptions};
use gelf_tokio::{Endpoint, TcpSender, Transport};
use tokio::time::timeout;

use super::{Finding, network};
use crate::route::Route;

/// The time limit for the lookup of a name.
const LOOKUP: Duration = Duration::from_secs(5);
/// The time limit for connecting, including the TLS handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// The maximum length of a datagram that the gelf input of Logstash reads, in bytes.
const LOGSTASH: usize = 8192;

/// Examines the host of a route, and the further hosts of `failover=`. No message is sent.
pub(super) async fn examine(route: &Route) -> Vec<Finding> {
    let endpoint = &route.endpoint;
    let (tls, failover) = match endpoint.transport() {
        Transport::Tcp(options) => (options.tls.as_ref(), &options.failover[..]),
        Transport::Http(options) => (options.tls.as_ref(), &options.failover[..]),
        _ => (None, &[][..]),
    };
    let own = (endpoint.host(), endpoint.port());
    let hosts = failover.iter().map(|(host, port)| (host.as_str(), *port));
    let mut findings = Vec::new();
    for (host, port) in std::iter::once(own).chain(hosts) {
        let subject = match (host, port) == own {
            true => format!("route {}", route.uri().shown()),
            false => format!("route {}, host {host}:{port}", route.uri().shown()),
        };
        let looked_up = timeout(LOOKUP, tokio::net::lookup_host((host, port))).await;
        let looked_up = looked_up.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let address = match looked_up
            .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into()))
        {
            Ok(address) => address,
            Err(error) => {
                findings.push(judge_lookup(subject, host, &error));
                continue;
            }
        };
        findings.push(match endpoint.transport() {
            Transport::Udp(options) => {
                judge_datagram(subject, address, options.datagram_size.as_usize(), network::mtu(address))
            }
            _ => judge_connection(subject, host, port, connect(host, port, tls).await),
        });
    }
    findings
}

/// Connects to a host over TCP, with TLS if `tls` is given, and closes the connection. Returns the address that has
/// taken the connection, which need not be the first address of the host.
async fn connect(host: &str, port: u16, tls: Option<&TlsOptions>) -> io::Result<SocketAddr> {
    let mut options = TcpOptions::default();
    options.tls = tls.cloned();
    let endpoint = Endpoint::new(Transport::Tcp(options), host).and_then(|endpoint| endpoint.with_port(port));
    let endpoint =
        endpoint.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
    let connected = timeout(CONNECT, TcpSender::connect(&endpoint)).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?.peer_addr()
}

fn judge_lookup(subject: String, host: &str, error: &io::Error) -> Finding {
    let what = match error.kind() {
        io::ErrorKind::TimedOut => "was not found in time",
        _ => "has no address",
    };
    Finding::fail(
        subject,
        format!("the name {host} {what}: {error}"),
        "check the name, and the DNS servers in /etc/resolv.conf (--dns of docker run)",
    )
}

fn judge_connection(subject: String, host: &str, port: u16, connected: io::Result<SocketAddr>) -> Finding {
    match connected {
        Ok(address) => Finding::ok(subject, format!("{address} takes connections")),
        Err(error) => Finding::fail(
            subject,
            format!("no connection to {host}:{port}: {error}"),
            "start the receiver, and check its port, certificate and firewall",
        ),
    }
}

/// Judges the length of datagrams. `mtu` is the maximum length of a packet, with its headers.
fn judge_datagram(subject: String, address: SocketAddr, datagram: usize, mtu: io::Result<usize>) -> Finding {
    let headers = if address.is_ipv4() { 28 } else { 48 };
    let largest = match mtu {
        Ok(mtu) => Some(mtu.saturating_sub(headers)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
        Err(error) => {
            let text = format!("no packet can be sent to {address}: {error}");
            return Finding::fail(subject, text, "check the network and its routes");
        }
    };
    if let Some(largest) = largest.filter(|largest| datagram > *largest) {
        return Finding::warn(
            subject,
            format!(
                "datagrams of {datagram} bytes are cut into fragments on the way to {address}, where at most \
                 {largest} bytes fit into a packet; if a fragment is lost, the whole datagram is lost"
            ),
            format!("set datagram_size={}", largest.min(LOGSTASH)),
        );
    }
    if datagram > LOGSTASH {
        return Finding::warn(
            subject,
            format!("Logstash cuts datagrams of more than {LOGSTASH} bytes, and datagram_size is {datagram}"),
            format!("set datagram_size={LOGSTASH} if the receiver is Logstash"),
        );
    }
    let found = match largest {
        Some(_) => "are not cut into fragments",
        None => "may be cut into fragments: this system does not tell the length of packets",
    };
    Finding::ok(subject, format!("datagrams of {datagram} bytes to {address} {found}"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::assert_finds;
    use super::*;

    async fn found(uri: &str) -> Vec<Finding> {
        examine(&Route::parse(uri).unwrap()).await
    }

    #[tokio::test]
    async fn a_host_name_without_an_address_is_reported() {
        for scheme in ["gelf", "gelf+tcp", "gelf+https"] {
            let found = found(&format!("{scheme}://host.invalid")).await;
            assert_eq!(found.len(), 1);
            assert_finds(&found[0], "fail", "the name host.invalid has no address: ");
            assert_finds(&found[0], "fail", "; check the name, and the DNS servers");
        }
    }

    #[tokio::test]
    async fn a_connection_to_each_host_of_a_route_is_attempted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listening = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let found_both = found(&format!("gelf+tcp://{listening}?failover={closed}")).await;
        assert_finds(&found_both[0], "ok", "takes connections");
        assert_finds(&found_both[1], "fail", "no connection to");
        assert_finds(&found(&format!("gelf+http://{listening}")).await[0], "ok", "takes connections");
        // This server accepts connections, but does not answer the TLS handshake.
        let answering = tokio::spawn(async move {
            loop {
                drop(listener.accept().await);
            }
        });
        assert_finds(&found(&format!("gelf+tls://{listening}")).await[0], "fail", "no connection to");
        answering.abort();
    }

    #[tokio::test]
    async fn the_address_that_takes_the_connection_is_named() {
        // On most systems, the name has the address ::1 first, at which nothing listens.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let found = found(&format!("gelf+tcp://localhost:{}", address.port())).await;
        assert_finds(&found[0], "ok", &format!("{address} takes connections"));
    }

    #[tokio::test]
    async fn a_datagram_size_that_leads_to_fragments_is_reported() {
        assert_finds(&found("gelf://127.0.0.1").await[0], "ok", "datagrams of 1420 bytes");
        let judge = |address: &str, datagram, mtu| {
            judge_datagram("route r".into(), address.parse().unwrap(), datagram, Ok(mtu))
        };
        let (four, six) = ("192.0.2.1:1", "[2001:db8::1]:1");
        assert_finds(&judge(four, 1472, 1500), "ok", "are not cut");
        assert_finds(&judge(four, 1473, 1500), "warn", "; set datagram_size=1472");
        assert_finds(&judge(six, 1453, 1500), "warn", "; set datagram_size=1452");
        assert_finds(
            &judge(four, 8193, 65_536),
            "warn",
            "set datagram_size=8192 if the receiver is Logstash",
        );
        assert_finds(&judge(four, 65_507, 9000), "warn", "; set datagram_size=8192");
        let unreachable = Err(io::ErrorKind::NetworkUnreachable.into());
        let found = judge_datagram("route r".into(), four.parse().unwrap(), 1420, unreachable);
        assert_finds(&found, "fail", "check the network and its routes");
        let unknown = Err(io::ErrorKind::Unsupported.into());
        let found = judge_datagram("route r".into(), four.parse().unwrap(), 1420, unknown);
        assert_finds(&found, "ok", "may be cut into fragments");
    }
}
