//! TLS connections of senders.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ProtocolVersion, SignatureScheme};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::config_error::{Reason, TlsConfigError};
use super::handshake_error::Attempt;
use super::trust::{self, Trusted};
use super::{files, provider};
use crate::endpoint::TlsOptions;

/// How long a receiver that has asked for a certificate has time to refuse it, after the handshake: longer than any
/// way there and back takes.
const VERDICT: Duration = Duration::from_secs(1);

/// Makes TLS connections to one receiver.
///
/// It trusts the authorities of the CA file and no others, or without such a file those of the system, which are read
/// once. Nothing makes it trust others than these, nor connect without TLS.
#[derive(Debug)]
pub(crate) struct Connector {
    server_name: ServerName<'static>,
    sources: Arc<Sources>,
    loaded: Option<Arc<Loaded>>,
    /// What a connect has begun to read that was cancelled.
    reading: Option<JoinHandle<Result<Arc<Loaded>, TlsConfigError>>>,
}

/// Where everything is from.
#[derive(Debug)]
struct Sources {
    ca: Option<PathBuf>,
    identity: Option<Identity>,
    alpn: Option<&'static [u8]>,
}

/// The files of the sender's own certificate.
#[derive(Debug)]
struct Identity {
    cert: PathBuf,
    key: PathBuf,
}

/// What the files held.
#[derive(Debug)]
pub(super) struct Loaded {
    stamps: Vec<Option<files::Stamp>>,
    config: ClientConfig,
    trusted: Trusted,
    certificate: Option<Arc<CertifiedKey>>,
}

impl Connector {
    /// A connector for the receiver at `host`, which its certificate must name unless the options have another name.
    /// An address is as good as a name. No file is read yet.
    ///
    /// # Errors
    /// Of the kind [`InvalidInput`](io::ErrorKind::InvalidInput): what no certificate can name, and a client
    /// certificate without its key, or the other way round.
    pub(crate) fn new(options: &TlsOptions, host: &str) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let name = options.server_name.as_deref().unwrap_or(host);
        let server_name = ServerName::try_from(name)
            .map_err(|_| invalid(format!("{name:?} is not a name that a certificate can have")))?;
        let identity = match (&options.cert, &options.key) {
            (Some(cert), Some(key)) => Some(Identity { cert: cert.clone(), key: key.clone() }),
            (None, None) => None,
            (Some(_), None) => return Err(invalid("a client certificate needs its private key".to_owned())),
            (None, Some(_)) => return Err(invalid("a private key needs its client certificate".to_owned())),
        };
        let sources = Sources { ca: options.ca.clone(), identity, alpn: None };
        Ok(Self {
            server_name: server_name.to_owned(),
            sources: Arc::new(sources),
            loaded: None,
            reading: None,
        })
    }

    /// The same, and it says that it is about to speak `protocol`, such as `http/1.1` (RFC 7301). A receiver that
    /// knows the extension and not the protocol refuses.
    #[cfg(any(feature = "http", test))]
    pub(crate) fn with_alpn(mut self, protocol: &'static [u8]) -> Self {
        let Sources { ca, identity, alpn: _ } = &*self.sources;
        let identity = identity.as_ref().map(|of| Identity { cert: of.cert.clone(), key: of.key.clone() });
        self.sources = Arc::new(Sources { ca: ca.clone(), identity, alpn: Some(protocol) });
        self.loaded = None;
        self
    }

    /// Shakes hands over a connection that is made. Files that have changed since are read first, in a thread of
    /// their own.
    ///
    /// A receiver that asks for a client certificate judges it, in TLS 1.3, after the handshake is over for the sender.
    /// So its verdict is waited for, until it says or sends anything, or for 1 s at most: otherwise whole connections
    /// of messages would be written to a receiver that reads none of them.
    ///
    /// There is no other limit of time; the caller sets one. When it is cancelled, the connection is dropped, and the
    /// connector is as it was.
    ///
    /// # Errors
    /// A file that cannot be used, by its name, until it can. What is wrong with the receiver's certificate or with the
    /// sender's, or that the receiver does not speak TLS; the error of the library is the source.
    pub(crate) async fn connect<IO>(&mut self, io: IO) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let loaded = self.load().await?;
        let client =
            Arc::new(Client { certificate: loaded.certificate.clone(), asked: AtomicBool::new(false) });
        let mut config = loaded.config.clone();
        config.client_auth_cert_resolver = Arc::<Client>::clone(&client);
        let explain = |error| {
            let attempt = Attempt {
                server_name: &self.server_name,
                trusted: &loaded.trusted,
                cert: self.sources.identity.as_ref().map(|identity| identity.cert.as_path()),
                was_asked: client.asked.load(Relaxed),
            };
            attempt.explain(error)
        };
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(self.server_name.clone(), io).await.map_err(explain)?;
        if client.asked.load(Relaxed) {
            verdict(&mut stream).await.map_err(explain)?;
        }
        Ok(stream)
    }

    /// Loads the files, blocking the thread.
    ///
    /// # Errors
    /// A file that is missing or invalid.
    pub(crate) fn load_now(&mut self) -> Result<(), TlsConfigError> {
        self.loaded = Some(self.sources.load(self.loaded.take())?);
        Ok(())
    }

    /// Loads the files if they have changed, in a thread of its own.
    pub(super) async fn load(&mut self) -> io::Result<Arc<Loaded>> {
        // A file system that hangs holds one thread then, and not one for each attempt. What was read may be old.
        if let Some(left) = &mut self.reading {
            let _ = left.await;
            self.reading = None;
        }
        let sources = Arc::clone(&self.sources);
        let held = self.loaded.clone();
        let reading = self.reading.insert(spawn_blocking(move || sources.load(held)));
        let read = reading.await;
        self.reading = None;
        // Files that are bad are an error until they are good again: what is held is of other stamps.
        let loaded = read.map_err(io::Error::other)??;
        self.loaded = Some(Arc::clone(&loaded));
        Ok(loaded)
    }
}

impl Sources {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|identity| [&*identity.cert, &*identity.key]);
        self.ca.as_deref().into_iter().chain(identity)
    }

    /// What is held, as long as no file has changed.
    fn load(&self, held: Option<Arc<Loaded>>) -> Result<Arc<Loaded>, TlsConfigError> {
        let stamps = files::stamps(self.paths());
        let is_first = match held {
            Some(held) if held.stamps == stamps => return Ok(held),
            held => held.is_none(),
        };
        let (roots, trusted) = match &self.ca {
            Some(ca) => (files::authorities(ca)?, Trusted::File(ca.clone())),
            None => trust::of_the_system()?,
        };
        let certificate = match &self.identity {
            Some(Identity { cert, key }) => Some(Arc::new(files::certified_key(cert, key)?)),
            None => None,
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| TlsConfigError::without_file(Reason::Rustls(error.to_string())))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        // A session that is resumed would have nobody's certificate looked at.
        config.resumption = Resumption::disabled();
        if !is_first {
            tracing::debug!("TLS files have changed and are read again");
        }
        Ok(Arc::new(Loaded { stamps, config, trusted, certificate }))
    }
}

/// The sender's own certificate for one connection, and whether the receiver has asked for it.
#[derive(Debug)]
struct Client {
    certificate: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Client {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Relaxed);
        self.certificate.clone()
    }

    fn has_certs(&self) -> bool {
        self.certificate.is_some()
    }
}

/// Waits until the receiver of a TLS 1.3 connection has accepted or refused the sender's certificate: accepted is what
/// gets a session ticket or data.
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
    use tokio::runtime::Builder;

    use super::super::certificates::{Authority, Directory};
    use super::super::tests::options;
    use super::*;

    #[test]
    fn a_connect_that_is_cancelled_leaves_one_reading_at_most_and_nothing_that_is_used() {
        let directory = Directory::new();
        let ca = directory.write("ca.pem", &Authority::new("a").pem());
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            // As if the file system hung.
            let (go_on, wait) = mpsc::channel();
            let hanging = spawn_blocking(move || wait.recv().unwrap());

            let mut connector = Connector::new(&options(Some(&ca), None), "h").unwrap();
            let mut tasks = Vec::new();
            for _ in 0..3 {
                let (io, _peer) = duplex(16);
                let mut connect = Box::pin(connector.connect(io));
                assert!(connect.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                drop(connect);
                tasks.push(connector.reading.as_ref().unwrap().id());
            }
            assert!(tasks.iter().all(|task| *task == tasks[0]), "{tasks:?}");

            go_on.send(()).unwrap();
            hanging.await.unwrap();
            while !connector.reading.as_ref().unwrap().is_finished() {
                tokio::task::yield_now().await;
            }
            directory.write("ca.pem", &Authority::new("another").pem());
            let loaded = connector.load().await.unwrap();
            assert_eq!(loaded.stamps, files::stamps([&*ca]));
            assert!(connector.reading.is_none());
        });
    }
}
