//! TLS connections to an Engine, with the certificates of the docker CLI.
//!
//! Connections use rustls with ring, and TLS 1.2 or 1.3. The files are read only once, so the process can
//! drop its privileges afterwards.

use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, ptr};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::InvalidEngineAddress;

/// The file with the certificates of the authorities that sign the Engine's certificate.
const CA_FILE: &str = "ca.pem";
/// The file with the client's certificate and its chain.
const CERT_FILE: &str = "cert.pem";
/// The file with the private key of the client's certificate.
const KEY_FILE: &str = "key.pem";
/// The maximum length of a file, in bytes. This maximum protects against a path to a huge file of another
/// kind.
const MAX_FILE_LEN: u64 = 4 * 1024 * 1024;

/// The certificates for TLS connections to an Engine, from a folder with the files of the docker CLI.
///
/// | file | contents, in PEM |
/// |---|---|
/// | `ca.pem` | the authorities of the Engine's certificate; no others are trusted |
/// | `cert.pem`, `key.pem` | the client's certificate and its private key; these two files are optional |
///
/// Only [`from_folder`](Self::from_folder) reads the files: later changes of the files have no effect on this
/// value. A value is equal only to its clones.
///
/// # Examples
///
/// ```no_run
/// use docker_source::{EngineAddress, EngineCertificates, Source};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let certificates = EngineCertificates::from_folder("/etc/docker/client")?;
/// let address = EngineAddress::Tls { host: "docker.example".into(), port: 2376, certificates };
/// let source = Source::builder().address(address).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EngineCertificates {
    folder: PathBuf,
    config: Arc<ClientConfig>,
}

impl EngineCertificates {
    /// Reads the files of a folder. The call blocks the thread.
    ///
    /// # Errors
    /// Returns [`InvalidEngineAddress::Certificates`] if `ca.pem` is missing, if only one of `cert.pem` and
    /// `key.pem` is missing, or if a file cannot be read, is longer than 4 MiB, or is invalid. The error names the
    /// file.
    pub fn from_folder(folder: impl Into<PathBuf>) -> Result<Self, InvalidEngineAddress> {
        let folder = folder.into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let ca = folder.join(CA_FILE);
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(&ca)? {
            authorities.add(certificate).map_err(|_| invalid(&ca, "a certificate is malformed"))?;
        }
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| invalid(&folder, error))?
            .with_root_certificates(authorities);
        let (cert, key) = (folder.join(CERT_FILE), folder.join(KEY_FILE));
        let config = if is_missing(&cert) && is_missing(&key) {
            builder.with_no_client_auth()
        } else {
            let chain = certificates(&cert)?;
            let private_key = private_key(&key)?;
            builder.with_client_auth_cert(chain, private_key).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    invalid(&key, format_args!("not the key of {CERT_FILE}"))
                }
                rustls::Error::InvalidCertificate(_) => invalid(&cert, "a certificate is malformed"),
                error => invalid(&key, error),
            })?
        };
        Ok(Self { folder, config: Arc::new(config) })
    }

    /// Performs the handshake. The Engine's certificate must be valid for `host`, a name or an IP address.
    ///
    /// # Errors
    /// Returns an [`io::Error`] if the handshake fails. If the reason is a certificate, the [`io::Error`]
    /// contains the error of rustls; see [`refusal`](Self::refusal).
    pub(super) async fn connect(&self, host: &str, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| tls_error(rustls::Error::InvalidCertificate(CertificateError::NotValidForName)))?;
        let connecting = TlsConnector::from(self.config.clone()).connect(name, socket);
        connecting.await.map_err(|error| match rustls_error(&error) {
            // The error text of rustls would be misleading, since it says that a message is corrupt.
            Some(rustls::Error::InvalidMessage(_)) => {
                io::Error::new(error.kind(), "the Engine does not speak TLS")
            }
            _ => error,
        })
    }

    /// Returns the reason if the Engine's certificate was refused because of its name or its signature, or if the
    /// Engine refused the client's certificate or its absence. Returns `None` for any other error. For example, the
    /// result is `None` if the Engine's certificate is expired or not valid yet: this problem ends when the clock is
    /// set or the certificate is renewed.
    ///
    /// In TLS 1.3, the Engine refuses a client certificate after the handshake. In this case, the error comes
    /// from a read.
    pub(super) fn refusal(&self, host: &str, error: &io::Error) -> Option<String> {
        use AlertDescription as Alert;

        match rustls_error(error)? {
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Some(format!("its certificate is not valid for the name {host}")),
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => {
                let ca = self.folder.join(CA_FILE);
                Some(format!("its certificate is not signed by an authority of {}", ca.display()))
            }
            rustls::Error::AlertReceived(
                alert @ (Alert::AccessDenied
                | Alert::BadCertificate
                | Alert::CertificateExpired
                | Alert::CertificateRequired
                | Alert::CertificateRevoked
                | Alert::CertificateUnknown
                // The Engine trusts another authority with the same name and a different key.
                | Alert::DecryptError
                | Alert::UnknownCA
                | Alert::UnsupportedCertificate),
            ) => {
                let cert = self.folder.join(CERT_FILE);
                Some(match self.config.client_auth_cert_resolver.has_certs() {
                    true => format!("it refuses the client certificate {}: {alert:?}", cert.display()),
                    false => {
                        format!("it requires a client certificate, and {} does not exist", cert.display())
                    }
                })
            }
            _ => None,
        }
    }
}

impl fmt::Debug for EngineCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineCertificates").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl PartialEq for EngineCertificates {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for EngineCertificates {}

impl Hash for EngineCertificates {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ptr::hash(Arc::as_ptr(&self.config), state);
    }
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn tls_error(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn invalid(path: &Path, reason: impl fmt::Display) -> InvalidEngineAddress {
    InvalidEngineAddress::Certificates { path: path.to_owned(), reason: reason.to_string() }
}

fn is_missing(path: &Path) -> bool {
    matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Reads all certificates of a file. Returns an error if the file contains no certificate.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidEngineAddress> {
    let content = read(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(invalid(path, "there is no certificate in PEM in it"))
        }
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(invalid(path, "not well-formed PEM")),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, InvalidEngineAddress> {
    let content = read(path)?;
    // The error's own text is not used, since it quotes the file.
    PrivateKeyDer::from_pem_slice(&content).map_err(|error| match error {
        _ if content.windows(9).any(|part| part == b"ENCRYPTED") => {
            invalid(path, "the private key is encrypted, which is not supported")
        }
        pem::Error::NoItemsFound => invalid(path, "there is no private key in PEM in it"),
        _ => invalid(path, "not well-formed PEM"),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, InvalidEngineAddress> {
    let unreadable = |error: io::Error| invalid(path, error);
    // Opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(invalid(path, "not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_LEN + 1).read_to_end(&mut content))
        .map_err(unreadable)?;
    match content.len() as u64 > MAX_FILE_LEN {
        true => Err(invalid(path, "longer than 4 MiB")),
        false => Ok(content),
    }
}
