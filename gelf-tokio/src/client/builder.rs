//! Builds clients.

use std::io;
use std::sync::Arc;

use gelf_core::{Delimiter, Encoder};
use tokio::runtime::Handle;

use crate::endpoint::{Endpoint, Transport};
use crate::resolve::{Resolve, SystemResolver};
#[cfg(feature = "tls")]
use crate::tls::{TlsConfigError, config_from_pem};

use super::queue::Queue;
use super::{Client, Driver, Receipts};

/// Builds a [`Client`] with or without receipts. The methods `connect*` spawn the driver. The methods
/// `build*` return the driver, for the caller to run.
///
/// All of these methods block the thread while they read the TLS files. They fail with an error that names a
/// missing or invalid file (`TlsConfigError` is the inner error). They fail with `Unsupported` for a
/// transport whose cargo feature is off, and with `InvalidInput` if a TLS configuration is given and the
/// endpoint has no TLS.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing by itself"]
pub struct ClientBuilder {
    endpoint: Endpoint,
    encoder: Encoder,
    stamps: bool,
    resolver: Arc<dyn Resolve>,
    #[cfg(feature = "tls")]
    tls_config: Option<Arc<rustls::ClientConfig>>,
}

impl ClientBuilder {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        Self {
            endpoint: endpoint.clone(),
            encoder: Encoder::new(),
            stamps: true,
            resolver: Arc::new(SystemResolver),
            #[cfg(feature = "tls")]
            tls_config: None,
        }
    }

    /// Sets the encoder of messages. The endpoint's option `max_value_bytes`, if it is given, overrides the
    /// encoder's maximum.
    pub fn encoder(mut self, encoder: Encoder) -> Self {
        self.encoder = encoder;
        self
    }

    /// Sets whether a message without a timestamp gets the time at which it is passed to the client; true by default.
    pub fn stamp(mut self, stamps: bool) -> Self {
        self.stamps = stamps;
        self
    }

    /// Sets the resolver of host names. The default is the operating system's resolver.
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Sets a configuration of rustls in place of the endpoint's `ca`, `cert` and `key`. Such a configuration
    /// can have certificates that are not in files, another provider of cryptography, or other rules of
    /// verification. The endpoint's `server_name` or host remains the name that the receiver's certificate
    /// must have.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use gelf_tokio::Client;
    /// use gelf_tokio::rustls::pki_types::{CertificateDer, pem::PemObject};
    /// use gelf_tokio::rustls::{ClientConfig, RootCertStore, crypto::ring};
    ///
    /// # fn read_secret() -> Vec<u8> { Vec::new() }
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut roots = RootCertStore::empty();
    /// roots.add(CertificateDer::from_pem_slice(&read_secret())?)?;
    /// let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
    ///     .with_safe_default_protocol_versions()?
    ///     .with_root_certificates(roots)
    ///     .with_no_client_auth();
    /// let endpoint = "gelf+tls://logs.example".parse()?;
    /// let client = Client::builder(&endpoint).tls_config(Arc::new(config)).connect()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls_config = Some(config);
        self
    }

    /// Sets certificates as PEM text in place of the files of the endpoint's `ca`, `cert` and `key`. The
    /// certificates are checked in the same way as the certificates in such files.
    ///
    /// `ca` contains the certificates that vouch for the receiver. If `ca` is `None`, the certificates of the
    /// system are used. `identity` contains the sender's own certificate chain and its private key, if the
    /// sender has them.
    ///
    /// ```no_run
    /// use gelf_tokio::Client;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ca = std::env::var("LOGS_CA")?;
    /// let endpoint = "gelf+tls://logs.example".parse()?;
    /// let client = Client::builder(&endpoint).tls_pem(Some(ca.as_bytes()), None)?.connect()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if a certificate or key is missing or invalid.
    #[cfg(feature = "tls")]
    pub fn tls_pem(
        self,
        ca: Option<&[u8]>,
        identity: Option<(&[u8], &[u8])>,
    ) -> Result<Self, TlsConfigError> {
        Ok(self.tls_config(config_from_pem(ca, identity)?))
    }

    /// Spawns the driver on the current tokio runtime and returns the client.
    ///
    /// # Errors
    /// Returns the errors of [`ClientBuilder`], and an error if the caller is not within a tokio runtime.
    pub fn connect(self) -> io::Result<Client> {
        let runtime = runtime()?;
        let (client, driver) = self.build()?;
        runtime.spawn(driver.run());
        Ok(client)
    }

    /// Spawns the driver on the current tokio runtime and returns the client and its receipts. `R` identifies
    /// a message for the caller.
    ///
    /// # Errors
    /// Returns the same errors as [`connect`](Self::connect).
    pub fn connect_with_receipts<R: Send + Sync + 'static>(self) -> io::Result<(Client<R>, Receipts<R>)> {
        let runtime = runtime()?;
        let (client, receipts, driver) = self.build_with_receipts()?;
        runtime.spawn(driver.run());
        Ok((client, receipts))
    }

    /// Returns the client, and the driver for the caller to run.
    ///
    /// # Errors
    /// See [`ClientBuilder`].
    pub fn build(self) -> io::Result<(Client, Driver)> {
        let (queue, driver) = self.parts(false)?;
        Ok((self.client(queue), driver))
    }

    /// Returns the client, its receipts, and the driver for the caller to run. `R` identifies a message for
    /// the caller.
    ///
    /// # Errors
    /// See [`ClientBuilder`].
    pub fn build_with_receipts<R>(self) -> io::Result<(Client<R>, Receipts<R>, Driver<R>)> {
        let (queue, driver) = self.parts(true)?;
        let receipts = Receipts::new(Arc::clone(&queue));
        Ok((self.client(queue), receipts, driver))
    }

    fn client<R>(&self, queue: Arc<Queue<R>>) -> Client<R> {
        let encoder = match self.endpoint.queue().max_value_bytes {
            Some(bytes) => self.encoder.with_max_value_bytes(bytes),
            None => self.encoder,
        };
        Client { queue, encoder, delimiter: delimiter(&self.endpoint), stamps: self.stamps }
    }

    fn parts<R>(&self, has_receipts: bool) -> io::Result<(Arc<Queue<R>>, Driver<R>)> {
        let queue = Arc::new(Queue::new(self.endpoint.queue(), has_receipts));
        let driver = Driver::new(
            &self.endpoint,
            Arc::clone(&self.resolver),
            Arc::clone(&queue),
            #[cfg(feature = "tls")]
            self.tls_config.clone(),
        )?;
        Ok((queue, driver))
    }
}

/// Returns the delimiter of frames, or the default delimiter for a transport without frames.
fn delimiter(endpoint: &Endpoint) -> Delimiter {
    match endpoint.transport() {
        Transport::Tcp(options) => options.delimiter,
        Transport::Http(_) | Transport::Udp(_) => Delimiter::default(),
    }
}

fn runtime() -> io::Result<Handle> {
    Handle::try_current().map_err(io::Error::other)
}
