//! The receiver's side.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{StoresServerSessions, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ServerConfig, crypto::CryptoProvider};
use tokio_rustls::TlsAcceptor;

use super::config_error::{Reason, TlsConfigError};
use super::{files, provider};

/// Who a receiver says it is, and whom it takes messages from: TLS 1.2 and 1.3 for receivers over TCP and HTTP.
///
/// The files are PEM, of up to 4 MiB each. They are looked at before each handshake and read again when one has
/// changed, so that new certificates need no restart; connections that are open keep theirs. When the new files cannot
/// be used, the receiver goes on with what it has, warns by [tracing], and tries again: when a file changes, or, where
/// it was the operating system that refused it, at the next handshake. [`stats`](Self::stats) counts that.
///
/// Clones share everything.
#[derive(Clone, Debug)]
pub struct ReceiverTls {
    shared: Arc<Shared>,
}

/// How often the files of a [`ReceiverTls`] have changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReceiverTlsStats {
    /// Times that changed files could not be used, and the receiver went on with what it had.
    pub failed_reloads: u64,
    /// Times that changed files were taken.
    pub reloads: u64,
}

#[derive(Debug)]
struct Shared {
    sources: Sources,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
    failed_reloads: AtomicU64,
    reloads: AtomicU64,
}

#[derive(Clone, Debug)]
struct Sources {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// What was seen of the files when they were read last.
#[derive(Debug, Default)]
struct Seen {
    /// None when they are to be read in any case.
    stamps: Option<Vec<Option<files::Stamp>>>,
    /// Why they could not be used, for that is said once.
    error: Option<String>,
}

impl ReceiverTls {
    /// Reads the receiver's certificate chain, its own certificate first, and the private key of that: PKCS #8, PKCS #1
    /// or SEC1, not encrypted. Senders need no certificate.
    ///
    /// # Errors
    /// Says which file cannot be used, and why.
    pub fn from_pem_files(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsConfigError> {
        Self::load(Sources { cert: cert.into(), key: key.into(), client_ca: None })
    }

    /// Wants a certificate of each sender, that one of the authorities in a file has signed. A sender without one is
    /// refused in the handshake.
    ///
    /// # Errors
    /// As for [`from_pem_files`](Self::from_pem_files): a file without a certificate, or with a malformed one, is
    /// refused.
    pub fn with_client_ca(self, path: impl Into<PathBuf>) -> Result<Self, TlsConfigError> {
        Self::load(Sources { client_ca: Some(path.into()), ..self.shared.sources.clone() })
    }

    /// What has happened so far.
    pub fn stats(&self) -> ReceiverTlsStats {
        ReceiverTlsStats {
            failed_reloads: self.shared.failed_reloads.load(Relaxed),
            reloads: self.shared.reloads.load(Relaxed),
        }
    }

    /// What shakes hands, by the files as they are. The handshake has no limit of time; the receiver sets one.
    ///
    /// It asks the operating system for the times of two or three files, and reads them when they have changed: some
    /// microseconds, and about a millisecond, where the file system is a local one. While one thread reads them, others
    /// get what was there before.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        match self.shared.seen.try_lock() {
            Ok(mut seen) => self.shared.refresh(&mut seen),
            Err(TryLockError::Poisoned(poisoned)) => self.shared.refresh(&mut poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        let current = self.shared.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    fn load(sources: Sources) -> Result<Self, TlsConfigError> {
        let stamps = files::stamps(sources.paths());
        let config = Arc::new(sources.load()?);
        let shared = Shared {
            sources,
            current: RwLock::new(config),
            seen: Mutex::new(Seen { stamps: Some(stamps), error: None }),
            failed_reloads: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    fn refresh(&self, seen: &mut Seen) {
        let stamps = Some(files::stamps(self.sources.paths()));
        if seen.stamps == stamps {
            return;
        }
        match self.sources.load() {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                *seen = Seen { stamps, error: None };
                self.reloads.fetch_add(1, Relaxed);
                tracing::info!(cert = %self.sources.cert.display(), "TLS files have changed and are read again");
            }
            Err(error) => {
                self.failed_reloads.fetch_add(1, Relaxed);
                seen.stamps = stamps.filter(|_| !error.is_of_the_system());
                let error = error.to_string();
                if seen.error.as_ref() != Some(&error) {
                    tracing::warn!(%error, "TLS files have changed and cannot be used; the former ones go on");
                    seen.error = Some(error);
                }
            }
        }
    }
}

impl Sources {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        [&*self.cert, &*self.key].into_iter().chain(self.client_ca.as_deref())
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
        Ok(config)
    }

    fn client_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsConfigError> {
        let Some(client_ca) = &self.client_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
        let roots = Arc::new(files::authorities(client_ca)?);
        WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .build()
            .map_err(|error| TlsConfigError::of(client_ca, Reason::Rustls(error.to_string())))
    }
}

/// Says that it stores sessions, and does not: a sender then gets the session ticket by which it knows that it is
/// accepted, and no sender is ever accepted for what it showed on an earlier connection.
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
