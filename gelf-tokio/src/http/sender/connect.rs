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
use crate::resolve::{Resolve, addresses};
#[cfg(feature = "tls")]
use crate::tls::{Connector, no_tls};

/// The receiver of requests, with the settings for connecting to it.
pub(super) struct Destination {
    host: String,
    port: u16,
    connect_timeout: Option<Duration>,
    resolver: Arc<dyn Resolve>,
    #[cfg(feature = "tls")]
    tls: Option<Connector>,
}

impl Destination {
    /// Creates the destination, with TLS if the options have it.
    pub(super) fn new(
        options: &HttpOptions,
        host: &str,
        port: u16,
        resolver: Arc<dyn Resolve>,
    ) -> io::Result<Self> {
        #[cfg(not(feature = "tls"))]
        if options.tls.is_some() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "TLS needs the feature \"tls\""));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            connect_timeout: options.connect_timeout,
            resolver,
            #[cfg(feature = "tls")]
            tls: match &options.tls {
                Some(options) => Some(Connector::new(options, host)?.with_alpn(b"http/1.1")),
                None => None,
            },
        })
    }

    /// Reads the files of TLS, blocking the thread.
    ///
    /// # Errors
    /// A file that is missing or invalid.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::needless_pass_by_ref_mut, clippy::unnecessary_wraps, reason = "TLS reads files")
    )]
    pub(super) fn load_tls_files(&mut self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            tls.load_now()?;
        }
        Ok(())
    }

    /// Replaces the files of TLS by a configuration of the caller's.
    ///
    /// # Errors
    /// `InvalidInput` if the endpoint has no TLS.
    #[cfg(feature = "tls")]
    pub(super) fn set_tls_config(&mut self, config: Arc<rustls::ClientConfig>) -> io::Result<()> {
        let tls = self.tls.as_mut().ok_or_else(no_tls)?;
        tls.set_config(config);
        Ok(())
    }

    /// Looks the host up and connects to the first address that answers. Each address has an equal share of
    /// the rest of `limit`, of which the request has one too.
    ///
    /// # Errors
    /// The error of the last address.
    pub(super) async fn connect(&mut self, limit: Duration) -> io::Result<Connection> {
        let started = Instant::now();
        let addresses = addresses(&*self.resolver, &self.host, self.port).await?;
        let mut shares = u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut result = Err(io::ErrorKind::NotFound.into());
        for address in addresses {
            let share = limit.saturating_sub(started.elapsed()) / shares.max(1);
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
        allow(clippy::needless_pass_by_ref_mut, reason = "connecting with TLS reads its files again")
    )]
    async fn open(&mut self, address: SocketAddr) -> io::Result<Box<dyn Socket>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return Ok(Box::new(tls.connect(stream).await?));
        }
        Ok(Box::new(stream))
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
