//! TLS connections of receivers.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{StoresServerSessions, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ServerConfig, crypto::CryptoProvider};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::config_error::{Reason, TlsConfigError};
use super::files::{self, Pem};
use super::provider;
use crate::blocking;

/// The TLS settings of receivers over TCP and HTTP, for TLS 1.2 and 1.3: the receiver's certificate, and the
/// authorities that sign the certificates of its senders.
///
/// The files are PEM, of up to 4 MiB each. The receiver checks them before a handshake, once a second at
/// most, and reads them again if a file has changed, so that new certificates need no restart. Open
/// connections keep their certificates. If the new files are invalid, the receiver keeps the previous files,
/// logs a warning, and tries again when a file changes. If the operating system refused to read a file, the
/// receiver tries again at the next check. [`failed_reloads`](Self::failed_reloads) counts these failures.
///
/// Clones share their state.
#[derive(Clone, Debug)]
pub struct ReceiverTls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sources: Sources,
    current: RwLock<Arc<ServerConfig>>,
    /// The time of the last check of the files.
    checked: Mutex<Instant>,
    seen: Mutex<Seen>,
    failed_reloads: AtomicU64,
    reloads: AtomicU64,
}

/// The minimum time between two checks of the files, so that a storm of handshakes does not start a thread
/// for each handshake.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Sources {
    cert: Pem,
    key: Pem,
    client_ca: Option<Pem>,
}

/// The result of the last reading of the files.
#[derive(Debug, Default)]
struct Seen {
    /// The stamps of the files. `None` if the next check reads the files even if they have not changed.
    stamps: Option<Vec<Option<files::Stamp>>>,
    /// The error of the files, which is logged once.
    error: Option<String>,
}

impl ReceiverTls {
    /// Reads the receiver's certificate chain and its private key. The chain begins with the receiver's own
    /// certificate. The key is PKCS #8, PKCS #1 or SEC1, and not encrypted. Senders need no certificate.
    ///
    /// # Errors
    /// Returns an error if a file is missing or invalid.
    pub fn from_pem_files(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsConfigError> {
        let (cert, key) = (Pem::File(cert.into()), Pem::File(key.into()));
        Self::load(Sources { cert, key, client_ca: None })
    }

    /// Takes the certificate chain and the key as PEM text, as [`from_pem_files`](Self::from_pem_files) takes
    /// them from files. The certificate and the key never change.
    ///
    /// # Errors
    /// Returns an error if the certificate or the key is missing or invalid.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, TlsConfigError> {
        Self::load(Sources { cert: Pem::of_bytes(cert), key: Pem::of_bytes(key), client_ca: None })
    }

    /// Requires from each sender a certificate that one of the authorities in a file has signed. A sender
    /// without such a certificate is refused in the handshake.
    ///
    /// With TLS 1.3, this setting makes the receiver send one session ticket, from which
    /// [`Client`](crate::Client) learns that its certificate is accepted. A sender that closes its connection
    /// without having read the ticket resets the connection, and may lose its last messages. Without this
    /// setting, a receiver over TCP sends nothing between the handshake and the end of the connection. Sessions
    /// are never resumed.
    ///
    /// # Errors
    /// Returns an error as [`from_pem_files`](Self::from_pem_files) does, or if the file has no certificate
    /// or a malformed certificate.
    pub fn with_client_ca(self, path: impl Into<PathBuf>) -> Result<Self, TlsConfigError> {
        self.with_client_authorities(Pem::File(path.into()))
    }

    /// Requires from each sender a certificate that one of the authorities in a PEM text has signed. Apart
    /// from that, this function does the same as [`with_client_ca`](Self::with_client_ca).
    ///
    /// # Errors
    /// Returns the same errors as [`with_client_ca`](Self::with_client_ca).
    pub fn with_client_ca_pem(self, authorities: &[u8]) -> Result<Self, TlsConfigError> {
        self.with_client_authorities(Pem::of_bytes(authorities))
    }

    fn with_client_authorities(self, authorities: Pem) -> Result<Self, TlsConfigError> {
        Self::load(Sources { client_ca: Some(authorities), ..self.shared.sources.clone() })
    }

    /// Returns the number of successful reloads of changed files.
    pub fn reloads(&self) -> u64 {
        self.shared.reloads.load(Relaxed)
    }

    /// Returns the number of reloads that failed, for example because a changed file was invalid. The
    /// receiver kept the previous files.
    pub fn failed_reloads(&self) -> u64 {
        self.shared.failed_reloads.load(Relaxed)
    }

    /// Returns the acceptor of the next handshake, after the files are checked if a check is due.
    ///
    /// With a `protocol`, such as `http/1.1` (RFC 7301), senders that offer only other protocols are refused;
    /// senders that offer none are accepted.
    pub(crate) async fn next_acceptor(&self, protocol: Option<&'static [u8]>) -> TlsAcceptor {
        self.refresh(Instant::now()).await;
        self.acceptor(protocol)
    }

    /// Checks the files if a check is due. The check runs in a new thread, since the files may be on a file
    /// system that hangs. Handshakes that begin during the check use the previous files.
    async fn refresh(&self, now: Instant) {
        if !self.shared.is_check_due(now) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let checked = match blocking::spawn(move || shared.check()) {
            Ok(checking) => checking.await,
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            self.shared.failed_reloads.fetch_add(1, Relaxed);
            tracing::warn!(%error, "TLS files cannot be checked; the previous ones stay in use");
        }
    }

    /// Returns an acceptor for the files as they were last read.
    pub(super) fn acceptor(&self, protocol: Option<&[u8]>) -> TlsAcceptor {
        let current = self.shared.current.read().unwrap_or_else(PoisonError::into_inner);
        let mut config = Arc::clone(&current);
        drop(current);
        if let Some(protocol) = protocol {
            Arc::make_mut(&mut config).alpn_protocols = vec![protocol.to_vec()];
        }
        TlsAcceptor::from(config)
    }

    fn load(sources: Sources) -> Result<Self, TlsConfigError> {
        let stamps = files::stamps(sources.paths());
        let config = Arc::new(sources.load()?);
        let shared = Shared {
            sources,
            current: RwLock::new(config),
            checked: Mutex::new(Instant::now()),
            seen: Mutex::new(Seen { stamps: Some(stamps), error: None }),
            failed_reloads: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    /// Returns whether the files are to be checked. If so, begins the next interval. No check is due while
    /// another check is running, for example because a file system hangs.
    fn is_check_due(&self, now: Instant) -> bool {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_checking = matches!(self.seen.try_lock(), Err(TryLockError::WouldBlock));
        let is_due = !is_checking && now.saturating_duration_since(*checked) >= CHECK_INTERVAL;
        if is_due {
            *checked = now;
        }
        is_due
    }

    /// Reads the files again if they have changed, unless another thread is doing so.
    fn check(&self) {
        let mut seen = match self.seen.try_lock() {
            Ok(seen) => seen,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let stamps = Some(files::stamps(self.sources.paths()));
        if seen.stamps == stamps {
            return;
        }
        match self.sources.load() {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                *seen = Seen { stamps, error: None };
                self.reloads.fetch_add(1, Relaxed);
                tracing::info!(cert = %self.sources.cert, "TLS files have been read again");
            }
            Err(error) => {
                self.failed_reloads.fetch_add(1, Relaxed);
                seen.stamps = stamps.filter(|_| !error.is_of_the_system());
                let error = error.to_string();
                if seen.error.as_ref() != Some(&error) {
                    tracing::warn!(%error, "TLS files cannot be used; the previous ones stay in use");
                    seen.error = Some(error);
                }
            }
        }
    }
}

impl Sources {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca).filter_map(Pem::path)
    }

    fn load(&self) -> Result<ServerConfig, TlsConfigError> {
        let provider = provider();
        let verifier = self.client_verifier(&provider)?;
        let certificate = files::certified_key(&self.cert, &self.key)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| TlsConfigError::without_file(Reason::Rustls(error.to_string())))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)));
        config.session_storage = Arc::new(Forgetful);
        // A ticket stays unread in the socket of a sender that never reads. When this sender closes the
        // connection, its kernel sends a reset and discards the data that is not sent yet. Tickets are
        // therefore sent only if senders need certificates.
        config.send_tls13_tickets = usize::from(self.client_ca.is_some());
        Ok(config)
    }

    fn client_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsConfigError> {
        let Some(client_ca) = &self.client_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
        let roots = Arc::new(files::authorities(client_ca, &files::certificates(client_ca)?)?);
        WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .build()
            .map_err(|error| client_ca.error(Reason::Rustls(error.to_string())))
    }
}

/// A storage that drops every session. With this storage, rustls sends session tickets, but resumes no
/// session. A ticket tells a sender that its certificate is accepted. A resumed session could still use an
/// earlier certificate.
#[derive(Debug)]
struct Forgetful;

impl StoresServerSessions for Forgetful {
    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) -> bool {
        true
    }

    fn get(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_rustls::client::TlsStream;

    use super::super::Connector;
    use super::super::certificates::Authority;
    use super::super::tests::{attempt, authority, echo, guard, options, refusal};
    use super::*;

    /// Returns an acceptor for the files as they are now.
    fn checked(receiver: &ReceiverTls) -> TlsAcceptor {
        receiver.shared.check();
        receiver.acceptor(None)
    }

    fn certificate(stream: &TlsStream<TcpStream>) -> Vec<u8> {
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    #[tokio::test]
    async fn a_receiver_shows_its_new_certificate_after_the_next_check_of_the_files() {
        let (directory, authority, ca) = authority();
        let (first, second) = (authority.issue(&["h"]), authority.issue(&["h"]));
        let (cert, key) = directory.write_issued("server", &first);
        let receiver = ReceiverTls::from_pem_files(&cert, &key).unwrap();
        let shared = receiver.clone();
        let address = echo(move || checked(&shared)).await;
        let mut connector = Connector::new(&options(Some(&ca), None), "h").unwrap();
        let mut open = attempt(&mut connector, address).await.unwrap();
        assert_eq!(certificate(&open), first.der);
        assert_eq!((receiver.reloads(), receiver.failed_reloads()), (0, 0));

        // While only one of the two files is replaced, and while files are invalid, the previous files apply.
        directory.write("server.pem", &second.cert_pem);
        assert_eq!(certificate(&attempt(&mut connector, address).await.unwrap()), first.der);
        assert_eq!(certificate(&attempt(&mut connector, address).await.unwrap()), first.der);
        assert_eq!((receiver.reloads(), receiver.failed_reloads()), (0, 1));
        directory.write("server.key", "nothing");
        assert_eq!(certificate(&attempt(&mut connector, address).await.unwrap()), first.der);
        assert_eq!((receiver.reloads(), receiver.failed_reloads()), (0, 2));

        directory.write("server.key", &second.key_pem);
        assert_eq!(certificate(&attempt(&mut connector, address).await.unwrap()), second.der);
        assert_eq!(certificate(&attempt(&mut connector, address).await.unwrap()), second.der);
        assert_eq!((receiver.reloads(), receiver.failed_reloads()), (1, 2));

        // An open connection is not affected.
        open.write_all(b"x").await.unwrap();
        assert_eq!(guard(open.read_u8()).await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn files_that_are_missing_are_looked_for_at_each_check() {
        let (directory, authority, ca) = authority();
        let issued = authority.issue(&["h"]);
        let (cert, key) = directory.write_issued("server", &issued);
        let receiver = ReceiverTls::from_pem_files(&cert, &key).unwrap();
        let shared = receiver.clone();
        let address = echo(move || checked(&shared)).await;
        let mut connector = Connector::new(&options(Some(&ca), None), "h").unwrap();
        std::fs::remove_file(&cert).unwrap();
        for failed in 1..=3 {
            attempt(&mut connector, address).await.unwrap();
            assert_eq!((receiver.reloads(), receiver.failed_reloads()), (0, failed));
        }
        directory.write_issued("server", &issued);
        attempt(&mut connector, address).await.unwrap();
        assert_eq!((receiver.reloads(), receiver.failed_reloads()), (1, 3));
    }

    #[tokio::test]
    async fn only_senders_with_a_certificate_of_the_current_client_authorities_are_accepted() {
        let (directory, authority, ca) = authority();
        let (cert, key) = directory.write_issued("server", &authority.issue(&["h"]));
        let (old, new) = (Authority::new("old"), Authority::new("new"));
        let client_ca = directory.write("client-ca.pem", &old.pem());
        let receiver = ReceiverTls::from_pem_files(&cert, &key).unwrap().with_client_ca(&client_ca).unwrap();
        let shared = receiver.clone();
        let address = echo(move || checked(&shared)).await;

        let by_old = directory.write_issued("old", &old.issue(&["sender"]));
        let by_new = directory.write_issued("new", &new.issue(&["sender"]));
        let mut by_old = Connector::new(&options(Some(&ca), Some((&by_old.0, &by_old.1))), "h").unwrap();
        let mut by_new = Connector::new(&options(Some(&ca), Some((&by_new.0, &by_new.1))), "h").unwrap();
        let mut by_nobody = Connector::new(&options(Some(&ca), None), "h").unwrap();
        attempt(&mut by_old, address).await.unwrap();
        refusal(&mut by_new, address).await;
        assert_eq!(refusal(&mut by_nobody, address).await, "the receiver wants a client certificate");

        directory.write("client-ca.pem", &new.pem());
        attempt(&mut by_new, address).await.unwrap();
        refusal(&mut by_old, address).await;

        // A file without a certificate changes nothing: the previous authorities still apply.
        directory.write("client-ca.pem", "");
        attempt(&mut by_new, address).await.unwrap();
        assert_eq!(refusal(&mut by_nobody, address).await, "the receiver wants a client certificate");
        assert_eq!((receiver.reloads(), receiver.failed_reloads()), (1, 1));
    }

    #[tokio::test]
    async fn the_files_are_checked_at_most_once_a_second_and_by_one_thread_at_a_time() {
        let (directory, authority, _) = authority();
        let (cert, key) = directory.write_issued("server", &authority.issue(&["h"]));
        let receiver = ReceiverTls::from_pem_files(&cert, &key).unwrap();
        let loaded = *receiver.shared.checked.lock().unwrap();
        directory.write_issued("server", &authority.issue(&["h"]));
        for (millis, reloads) in [(0, 0), (999, 0), (1000, 1), (1000, 1), (1999, 1), (2000, 1)] {
            guard(receiver.refresh(loaded + Duration::from_millis(millis))).await;
            assert_eq!(receiver.reloads(), reloads, "{millis} ms");
        }

        // While a file system hangs, no further thread is started, and handshakes do not wait.
        directory.write_issued("server", &authority.issue(&["h"]));
        let hanging = receiver.shared.seen.lock().unwrap();
        assert!(!receiver.shared.is_check_due(loaded + Duration::from_secs(60)));
        drop(hanging);
        guard(receiver.refresh(loaded + Duration::from_secs(60))).await;
        assert_eq!(receiver.reloads(), 2);
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_the_file() {
        let (directory, authority, _) = authority();
        let (cert, key) = directory.write_issued("server", &authority.issue(&["h"]));
        let missing = directory.path("missing.pem");
        assert_eq!(ReceiverTls::from_pem_files(&missing, &key).unwrap_err().file(), Some(&*missing));
        assert_eq!(ReceiverTls::from_pem_files(&cert, &missing).unwrap_err().file(), Some(&*missing));
        let receiver = ReceiverTls::from_pem_files(&cert, &key).unwrap();
        assert_eq!(receiver.with_client_ca(&missing).unwrap_err().file(), Some(&*missing));
    }
}
