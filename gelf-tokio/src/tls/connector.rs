//! TLS connections of senders.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};

use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ProtocolVersion, SignatureScheme};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::config_error::{Reason, TlsConfigError};
use super::files::{self, Pem};
use super::handshake_error::Attempt;
use super::provider;
use super::trust::{self, Trusted};
use super::verifier::Verifier;
use crate::blocking::{self, Blocking};
use crate::endpoint::{TlsOptions, without_zone};

/// The maximum time for which the connector waits, after the handshake, for the receiver to accept or refuse the
/// sender's certificate. This time is longer than almost any round trip.
const VERDICT: Duration = Duration::from_secs(1);

/// Makes TLS connections to one receiver.
///
/// The connector trusts only the certificates of the CA file. Without a CA file, it trusts only the system's
/// authorities, or Mozilla's if the system has none. It reads the system's authorities once, and again only
/// when the file of the client certificate or of its key changes. A configuration of the caller replaces these
/// rules. The connector never connects without TLS.
#[derive(Debug)]
pub(crate) struct Connector {
    server_name: ServerName<'static>,
    sources: Arc<Sources>,
    loaded: Option<Arc<Loaded>>,
    /// The reading of the files that a cancelled call of `connect` has begun.
    reading: Option<Blocking<Result<Arc<Loaded>, TlsConfigError>>>,
}

/// The files of a connector, or the configuration that replaces them.
#[derive(Clone, Debug)]
struct Sources {
    ca: Option<Pem>,
    identity: Option<Identity>,
    alpn: Option<&'static [u8]>,
    /// The caller's own configuration, which replaces the files.
    config: Option<Arc<ClientConfig>>,
}

/// The sender's own certificate.
#[derive(Clone, Debug)]
struct Identity {
    cert: Pem,
    key: Pem,
}

/// The configuration that was made from the files, or from the caller's own configuration.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    stamps: Vec<Option<files::Stamp>>,
    config: ClientConfig,
    trusted: Trusted,
}

impl Connector {
    /// Creates a connector for the receiver at `host`, which is a name or an address. The receiver's
    /// certificate must contain the server name of the options or, without such an option, `host`. No file is
    /// read yet.
    ///
    /// # Errors
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) for a name that no certificate can have, for a
    /// client certificate without its key, and for a key without its certificate.
    pub(crate) fn new(options: &TlsOptions, host: &str) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let name = options.server_name.as_deref().unwrap_or_else(|| without_zone(host));
        let server_name = ServerName::try_from(name)
            .map_err(|_| invalid(format!("{name:?} is not a name that a certificate can have")))?;
        let identity = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => {
                Some(Identity { cert: Pem::File(cert.clone()), key: Pem::File(key.clone()) })
            }
            (None, None) => None,
            (Some(_), None) => return Err(invalid("a client certificate needs its private key".to_owned())),
            (None, Some(_)) => return Err(invalid("a private key needs its client certificate".to_owned())),
        };
        let sources = Sources { ca: options.ca.clone().map(Pem::File), identity, alpn: None, config: None };
        Ok(Self {
            server_name: server_name.to_owned(),
            sources: Arc::new(sources),
            loaded: None,
            reading: None,
        })
    }

    /// Announces `protocol`, such as `http/1.1`, by ALPN (RFC 7301). A receiver that knows ALPN but not the
    /// protocol refuses the handshake.
    #[cfg(any(feature = "http", test))]
    pub(crate) fn set_alpn(&mut self, protocol: &'static [u8]) {
        Arc::make_mut(&mut self.sources).alpn = Some(protocol);
        self.loaded = None;
    }

    /// Replaces the files by the caller's configuration.
    pub(crate) fn set_config(&mut self, config: Arc<ClientConfig>) {
        let sources = Arc::make_mut(&mut self.sources);
        (sources.ca, sources.identity, sources.config) = (None, None, Some(config));
        self.loaded = None;
    }

    /// Performs the handshake over an open connection. Files that have changed are read first, in a separate
    /// thread.
    ///
    /// In TLS 1.3, a receiver that asks for a client certificate judges the certificate after the sender's
    /// handshake is over. Therefore the connector waits until the receiver accepts or refuses the
    /// certificate, for 1 s at most. Otherwise the sender would write many messages to a receiver that reads
    /// none of them.
    ///
    /// The caller has to set a time limit.
    ///
    /// # Errors
    /// Returns an error if a file is missing or invalid, if the certificate of either side is invalid, if the
    /// receiver does not speak TLS, or if the connection ends. The source of a handshake error is the error
    /// that it explains, unless the text of the handshake error already shows that error.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the connection is closed. If the thread that reads the
    /// files is still running, the next call first waits for it.
    pub(crate) async fn connect<IO>(&mut self, io: IO) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let loaded = self.load().await?;
        let mut config = loaded.config.clone();
        let certificates = Arc::clone(&config.client_auth_cert_resolver);
        let observed = Arc::new(ObservedCertificates { certificates, asked: AtomicBool::new(false) });
        config.client_auth_cert_resolver = Arc::<ObservedCertificates>::clone(&observed);
        let cert = match &self.sources.identity {
            Some(identity) => Some(identity.cert.to_string()),
            None => observed.has_certs().then(|| "of the given configuration".to_owned()),
        };
        let explain = |error| {
            let attempt = Attempt {
                server_name: &self.server_name,
                trusted: &loaded.trusted,
                cert: cert.as_deref(),
                was_asked: observed.asked.load(Relaxed),
            };
            attempt.explain(error)
        };
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(self.server_name.clone(), io).await.map_err(explain)?;
        if observed.asked.load(Relaxed) {
            verdict(&mut stream).await.map_err(explain)?;
        }
        Ok(stream)
    }

    /// Loads the files. Blocks the thread meanwhile.
    ///
    /// # Errors
    /// Returns an error if a file is missing or invalid.
    pub(crate) fn load_now(&mut self) -> Result<(), TlsConfigError> {
        self.loaded = Some(self.sources.load(self.loaded.take())?);
        Ok(())
    }

    /// Starts a thread that loads the files if they have changed, and waits for it.
    pub(super) async fn load(&mut self) -> io::Result<Arc<Loaded>> {
        // The wait for an earlier read ensures that a hanging file system blocks only one thread, not one
        // thread for each attempt. The result of the earlier read is ignored, since it may be outdated.
        if let Some(left) = &mut self.reading {
            let _ = left.await;
            self.reading = None;
        }
        let sources = Arc::clone(&self.sources);
        let held = self.loaded.clone();
        let reading = self.reading.insert(blocking::spawn(move || sources.load(held))?);
        let read = reading.await;
        self.reading = None;
        // Invalid files cause an error at each call until they are valid again, since their stamps differ
        // from the stamps of the held configuration.
        let loaded = read??;
        self.loaded = Some(Arc::clone(&loaded));
        Ok(loaded)
    }
}

impl Sources {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|identity| [&identity.cert, &identity.key]);
        self.ca.iter().chain(identity).filter_map(Pem::path)
    }

    /// Returns the caller's own configuration if there is one. Otherwise, returns the held configuration if no file has
    /// changed, and a new configuration if a file has changed or nothing is held.
    fn load(&self, held: Option<Arc<Loaded>>) -> Result<Arc<Loaded>, TlsConfigError> {
        if let Some(own) = &self.config {
            let mut config = (**own).clone();
            if config.alpn_protocols.is_empty() {
                config.alpn_protocols = self.alpn();
            }
            return Ok(Arc::new(Loaded { stamps: Vec::new(), config, trusted: Trusted::Given }));
        }
        let stamps = files::stamps(self.paths());
        let is_first = match held {
            Some(held) if held.stamps == stamps => return Ok(held),
            held => held.is_none(),
        };
        let cannot =
            |error: &dyn fmt::Display| TlsConfigError::without_file(Reason::Rustls(error.to_string()));
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| cannot(&error))?;
        let (builder, trusted) = match &self.ca {
            Some(ca) => {
                let certificates = files::certificates(ca)?;
                let roots = Arc::new(files::authorities(ca, &certificates)?);
                let authorities = WebPkiServerVerifier::builder_with_provider(roots, provider())
                    .build()
                    .map_err(|error| cannot(&error))?;
                let verifier = Arc::new(Verifier::new(authorities, certificates));
                let trusted = ca.path().map_or(Trusted::Given, |path| Trusted::File(path.to_owned()));
                (builder.dangerous().with_custom_certificate_verifier(verifier), trusted)
            }
            None => {
                let (roots, trusted) = trust::of_the_system()?;
                (builder.with_root_certificates(roots), trusted)
            }
        };
        let mut config = builder.with_no_client_auth();
        if let Some(Identity { cert, key }) = &self.identity {
            let certificate = SingleCertAndKey::from(files::certified_key(cert, key)?);
            config.client_auth_cert_resolver = Arc::new(certificate);
        }
        config.alpn_protocols = self.alpn();
        // A resumed session would skip the checks of certificates.
        config.resumption = Resumption::disabled();
        if !is_first {
            tracing::debug!("TLS files have changed and are read again");
        }
        Ok(Arc::new(Loaded { stamps, config, trusted }))
    }

    fn alpn(&self) -> Vec<Vec<u8>> {
        self.alpn.iter().map(|protocol| protocol.to_vec()).collect()
    }
}

/// Makes a configuration of rustls from PEM text, as
/// [`ClientBuilder::tls_pem`](crate::ClientBuilder::tls_pem) describes it.
pub(crate) fn config_from_pem(
    ca: Option<&[u8]>,
    identity: Option<(&[u8], &[u8])>,
) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let identity =
        identity.map(|(cert, key)| Identity { cert: Pem::of_bytes(cert), key: Pem::of_bytes(key) });
    let sources = Sources { ca: ca.map(Pem::of_bytes), identity, alpn: None, config: None };
    let Loaded { config, .. } = Arc::unwrap_or_clone(sources.load(None)?);
    Ok(Arc::new(config))
}

/// The sender's certificates for one connection, and a flag that tells whether the receiver has asked for a
/// certificate.
#[derive(Debug)]
struct ObservedCertificates {
    certificates: Arc<dyn ResolvesClientCert>,
    asked: AtomicBool,
}

impl ResolvesClientCert for ObservedCertificates {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Relaxed);
        self.certificates.resolve(authorities, schemes)
    }

    fn has_certs(&self) -> bool {
        self.certificates.has_certs()
    }
}

/// Waits until the receiver of a TLS 1.3 connection has accepted or refused the sender's certificate. A
/// session ticket or data means that the receiver has accepted the certificate. If nothing comes within
/// [`VERDICT`], the certificate counts as accepted.
async fn verdict<IO>(stream: &mut TlsStream<IO>) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    if stream.get_ref().1.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return Ok(());
    }
    let heard = poll_fn(|cx| {
        // Nothing is consumed, so that no data is lost.
        let polled = Pin::new(&mut *stream).poll_fill_buf(cx).map_ok(<[u8]>::is_empty);
        match polled {
            Poll::Ready(Ok(true)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(false)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if stream.get_ref().1.tls13_tickets_received() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    });
    timeout(VERDICT, heard).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use tokio::io::duplex;

    use super::super::certificates::{Authority, Directory};
    use super::super::tests::options;
    use super::*;

    #[tokio::test]
    async fn cancelled_connects_start_no_second_read_of_the_files_while_one_hangs() {
        let directory = Directory::new();
        let ca = directory.write("ca.pem", &Authority::new("a").pem());
        let mut connector = Connector::new(&options(Some(&ca), None), "h").unwrap();
        // This read waits, as on a file system that hangs.
        let (go_on, wait) = mpsc::channel();
        let hanging = move || {
            wait.recv().unwrap();
            Err(TlsConfigError::without_file(Reason::Rustls("hung".into())))
        };
        connector.reading = Some(blocking::spawn(hanging).unwrap());

        for _ in 0..3 {
            let (io, _peer) = duplex(16);
            let mut connect = Box::pin(connector.connect(io));
            assert!(connect.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        go_on.send(()).unwrap();
        let first = connector.reading.as_mut().unwrap().await.unwrap();
        assert!(first.unwrap_err().to_string().contains("hung"));

        connector.reading = None;
        let loaded = connector.load().await.unwrap();
        assert_eq!(loaded.stamps, files::stamps([&*ca]));
        assert!(connector.reading.is_none());
    }
}
