//! Connects to the receiver of requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::observed_io::Socket;
use crate::endpoint::HttpOptions;
use crate::hosts::Hosts;
use crate::resolve::{Resolve, addresses};

/// The receiver of requests, with the settings for connecting to it.
pub(super) struct Destination {
    hosts: Hosts,
    connect_timeout: Option<Duration>,
    resolver: Arc<dyn Resolve>,
}

impl Destination {
    /// Creates the destination, with TLS if the options have it.
    pub(super) fn new(
        options: &HttpOptions,
        host: &str,
        port: u16,
        resolver: Arc<dyn Resolve>,
    ) -> io::Result<Self> {
        let hosts = Hosts::new((host, port), &options.failover, options.tls.as_ref())?;
        #[cfg(feature = "tls")]
        let hosts = hosts.with_alpn(b"http/1.1");
        Ok(Self { hosts, connect_timeout: options.connect_timeout, resolver })
    }

    pub(super) fn hosts(&mut self) -> &mut Hosts {
        &mut self.hosts
    }

    /// Connects to the current host, or to the first host after it that can be reached. Each host is looked
    /// up, and its addresses are tried in order. The rest of `limit` is divided into equal shares: one for
    /// each address, one for each further host, and one for the request. [`HttpOptions::connect_timeout`] can
    /// shorten the share of an address.
    ///
    /// # Errors
    /// Returns an error if no host could be reached. The error of a host is the error of its last address.
    pub(super) async fn connect(&mut self, limit: Duration) -> io::Result<Connection> {
        let ends = Instant::now() + limit;
        loop {
            match self.connect_to_host(ends).await {
                Ok(connection) => return Ok(connection),
                Err(error) => match self.hosts.failed(error) {
                    Some(error) => return Err(error),
                    None => continue,
                },
            }
        }
    }

    async fn connect_to_host(&mut self, ends: Instant) -> io::Result<Connection> {
        let host = self.hosts.current();
        let addresses = addresses(&*self.resolver, &host.name, host.port).await?;
        let mut shares = u32::try_from(addresses.len() + self.hosts.left()).unwrap_or(u32::MAX);
        let mut result = Err(io::ErrorKind::NotFound.into());
        for address in addresses {
            // The request has a share too.
            let share = ends.saturating_duration_since(Instant::now()) / shares.saturating_add(1);
            let share = self.connect_timeout.map_or(share, |timeout| timeout.min(share));
            shares = shares.saturating_sub(1);
            result = match timeout(share, self.open(address)).await {
                Ok(result) => result,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the host does not answer")),
            };
            match &result {
                Ok(_) => break,
                Err(error) => result = Err(io::Error::new(error.kind(), format!("{address}: {error}"))),
            }
        }
        Connection::new(result?).await.map_err(io::Error::other)
    }

    #[cfg_attr(
        not(feature = "tls"),
        allow(clippy::needless_pass_by_ref_mut, reason = "connecting with TLS reads the TLS files again")
    )]
    async fn open(&mut self, address: SocketAddr) -> io::Result<Box<dyn Socket>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = self.hosts.connector() {
            return Ok(Box::new(tls.connect(stream).await?));
        }
        Ok(Box::new(stream))
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.hosts.current();
        f.debug_struct("Destination")
            .field("host", &host.name)
            .field("port", &host.port)
            .finish_non_exhaustive()
    }
}
