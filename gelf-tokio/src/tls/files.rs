//! Reads certificates and keys in PEM, and detects changes of files.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};

use super::config_error::{Reason, TlsConfigError};
use super::provider;

/// The maximum length of a file in bytes. A file with Mozilla's authorities has 0.2 MiB. The limit protects
/// against a path to a file of another kind.
const MAX_FILE_LEN: u64 = 4 * 1024 * 1024;

/// The place of a PEM text.
#[derive(Clone)]
pub(super) enum Pem {
    /// A text from the caller. The text can contain a private key, and is never shown.
    Bytes(Arc<[u8]>),
    File(PathBuf),
}

impl Pem {
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.into())
    }

    /// Returns the path if the text is in a file.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Bytes(_) => None,
            Self::File(path) => Some(path),
        }
    }

    fn read(&self) -> Result<Cow<'_, [u8]>, TlsConfigError> {
        match self {
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::File(path) => read(path).map(Cow::Owned),
        }
    }

    pub(super) fn error(&self, reason: Reason) -> TlsConfigError {
        match self {
            Self::Bytes(_) => TlsConfigError::without_file(reason),
            Self::File(path) => TlsConfigError::of(path, reason),
        }
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(_) => f.write_str("the given certificate"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// The metadata of a file that show whether the file was replaced or its contents have changed.
///
/// Writing into a file changes its times. On Unix, the stamp includes two further values. Replacing a file
/// changes the inode, even if the path is a symbolic link, as with Kubernetes and certbot. A program cannot set
/// the time of the last status change, and the system also updates it when permissions change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    #[cfg(unix)]
    changed: (i64, i64),
    #[cfg(unix)]
    inode: (u64, u64),
}

impl Stamp {
    /// Returns `None` if the file does not exist or its metadata cannot be read.
    fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;

        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            len: metadata.len(),
            #[cfg(unix)]
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            #[cfg(unix)]
            inode: (metadata.dev(), metadata.ino()),
        })
    }
}

/// Returns the stamps of files. The caller takes the stamps before it reads the files, so that the next
/// comparison detects a change in between.
pub(super) fn stamps<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<Option<Stamp>> {
    paths.into_iter().map(Stamp::of).collect()
}

/// Reads all certificates of a PEM text. A text without a certificate is an error.
pub(super) fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let content = pem.read()?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    let certificates = certificates.map_err(|error| pem.error(of_pem(&error)))?;
    match certificates.is_empty() {
        true => Err(pem.error(Reason::NoCertificate)),
        false => Ok(certificates),
    }
}

/// Converts the certificates of a PEM text to trusted authorities. A malformed certificate is an error: if it
/// were skipped, connections would fail for a reason that is hard to find.
pub(super) fn authorities(
    pem: &Pem,
    certificates: &[CertificateDer<'static>],
) -> Result<RootCertStore, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|_| pem.error(Reason::Certificate(index + 1)))?;
    }
    Ok(roots)
}

/// Reads a certificate chain, and the private key of its first certificate.
pub(super) fn certified_key(cert: &Pem, key: &Pem) -> Result<CertifiedKey, TlsConfigError> {
    let chain = certificates(cert)?;
    let content = key.read()?;
    let private_key = PrivateKeyDer::from_pem_slice(&content).map_err(|error| {
        let is_encrypted = content.windows(9).any(|part| part == b"ENCRYPTED");
        key.error(if is_encrypted { Reason::Encrypted } else { of_pem_key(&error) })
    })?;
    CertifiedKey::from_der(chain, private_key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            key.error(Reason::KeyOfAnother(cert.to_string()))
        }
        rustls::Error::InvalidCertificate(_) => cert.error(Reason::Certificate(1)),
        _ => key.error(Reason::Key),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsConfigError> {
    let unreadable = |error| TlsConfigError::of(path, Reason::Unreadable(error));
    // Opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TlsConfigError::of(path, Reason::NotAFile));
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_LEN + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > MAX_FILE_LEN {
        return Err(TlsConfigError::of(path, Reason::TooLong));
    }
    Ok(content)
}

/// Returns the reason for an error. The reason leaves out the error's text, since that text quotes the file.
fn of_pem(error: &pem::Error) -> Reason {
    match error {
        pem::Error::MissingSectionEnd { .. } => Reason::NotPem("it ends within a section"),
        pem::Error::IllegalSectionStart { .. } => Reason::NotPem("a BEGIN line does not end in five hyphens"),
        pem::Error::Base64Decode(_) => Reason::NotPem("a section is not base64"),
        pem::Error::NoItemsFound => Reason::NoCertificate,
        _ => Reason::NotPem("a section cannot be read"),
    }
}

fn of_pem_key(error: &pem::Error) -> Reason {
    match error {
        pem::Error::NoItemsFound => Reason::NoKey,
        other => of_pem(other),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::super::certificates::{Authority, Directory};
    use super::*;

    fn message(result: Result<impl Sized, TlsConfigError>, directory: &Directory) -> String {
        let error = result.err().expect("it is refused");
        error.to_string().replace(&directory.path("").display().to_string(), "")
    }

    fn authorities(path: &Path) -> Result<RootCertStore, TlsConfigError> {
        let pem = Pem::File(path.to_owned());
        super::authorities(&pem, &certificates(&pem)?)
    }

    fn stamp(path: &Path) -> Option<Stamp> {
        Stamp::of(path)
    }

    #[test]
    fn a_file_may_hold_several_authorities_and_text_between_them() {
        let directory = Directory::new();
        let pem: String = (0..3).map(|n| format!("# {n}\n{}", Authority::new("a").pem())).collect();
        assert_eq!(authorities(&directory.write("ca.pem", &pem)).unwrap().len(), 3);
    }

    #[test]
    fn an_invalid_file_of_authorities_is_an_error_with_the_reason() {
        let directory = Directory::new();
        let pem = Authority::new("a").pem();
        let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cases = [
            ("", "ca.pem: no certificate in PEM format found"),
            (&pem[..pem.len() / 2], "ca.pem: not well-formed PEM: it ends within a section"),
            (&pem.replace("MII", "M!I"), "ca.pem: not well-formed PEM: a section is not base64"),
            (
                &pem.replace("CERTIFICATE-----", "CERTIFICATE----"),
                "ca.pem: not well-formed PEM: a BEGIN line does not end in five hyphens",
            ),
            (&format!("{pem}{no_der}"), "ca.pem: certificate 2 is malformed"),
            (&"\n".repeat(4 * 1024 * 1024 + 1), "ca.pem: longer than 4 MiB"),
        ];
        for (content, expected) in cases {
            assert_eq!(message(authorities(&directory.write("ca.pem", content)), &directory), expected);
        }
        let missing = directory.path("none.pem");
        let said = message(authorities(&missing), &directory);
        assert_eq!(said, "none.pem: cannot be read: No such file or directory (os error 2)");
        assert_eq!(authorities(&missing).unwrap_err().file(), Some(missing.as_path()));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let directory = Directory::new();
        assert!(authorities(&directory.path("")).unwrap_err().to_string().ends_with(": not a regular file"));
        #[cfg(unix)]
        {
            let error = authorities(Path::new("/dev/zero")).unwrap_err();
            assert_eq!(error.to_string(), "/dev/zero: not a regular file");
        }
    }

    #[test]
    fn an_invalid_key_is_an_error_with_the_reason() {
        let directory = Directory::new();
        let authority = Authority::new("a");
        let (issued, other) = (authority.issue(&["h"]), authority.issue(&["h"]));
        let cert = Pem::File(directory.write("cert.pem", &issued.cert_pem));
        let label = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let cases = [
            ("", "key.pem: no private key in PEM format found"),
            (&*issued.cert_pem, "key.pem: no private key in PEM format found"),
            (label, "key.pem: the private key is encrypted, which is not supported"),
            (no_key, "key.pem: the private key is malformed, or of a kind that is not supported"),
            (&*other.key_pem, "key.pem: not the private key of cert.pem"),
        ];
        for (content, expected) in cases {
            let key = Pem::File(directory.write("key.pem", content));
            assert_eq!(message(certified_key(&cert, &key), &directory), expected);
        }
        let both = format!("{}{}", issued.cert_pem, issued.key_pem);
        let file = Pem::File(directory.write("both.pem", &both));
        assert!(certified_key(&file, &file).is_ok());

        // A text from the caller is checked in the same way, and is never shown.
        let bytes = Pem::of_bytes(both.as_bytes());
        assert!(certified_key(&bytes, &bytes).is_ok());
        assert!(format!("{bytes:?}").len() < 20);
        let error = certified_key(&bytes, &Pem::of_bytes(other.key_pem.as_bytes())).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.file()),
            ("not the private key of the given certificate", None)
        );
    }

    #[test]
    fn a_stamp_differs_when_the_file_is_written_replaced_or_gone_and_not_when_it_is_read() {
        let directory = Directory::new();
        let path = directory.write("f", "one");
        let first = stamp(&path);
        assert!(first.is_some());
        fs::read(&path).unwrap();
        assert_eq!(stamp(&path), first);

        // On Unix, a replacement with the same length and the same time has another stamp.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        directory.write("f", "two");
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        #[cfg(unix)]
        assert_ne!(stamp(&path), first);

        // On Unix, a file that is written into and whose time is set back has another stamp too: the time of
        // the status change cannot be set.
        let second = stamp(&path);
        thread::sleep(Duration::from_millis(50));
        fs::write(&path, "six").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        #[cfg(unix)]
        assert_ne!(stamp(&path), second);

        let second = stamp(&path);
        fs::write(&path, "longer").unwrap();
        assert_ne!(stamp(&path), second);
        fs::remove_file(&path).unwrap();
        assert_eq!(stamp(&path), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_stamp_differs_when_a_symbolic_link_leads_elsewhere() {
        let directory = Directory::new();
        directory.write("old", "x");
        directory.write("new", "x");
        let link = directory.path("link");
        std::os::unix::fs::symlink(directory.path("old"), &link).unwrap();
        let first = stamp(&link);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(directory.path("new"), &link).unwrap();
        assert_ne!(stamp(&link), first);
    }
}
