//! Errors of certificates and keys.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// The error for missing or invalid certificates or keys. The text of the error has the reason, and the file
/// if the error is about a file. The text quotes no part of a certificate or key.
#[derive(Debug)]
pub struct TlsConfigError {
    file: Option<PathBuf>,
    reason: Reason,
}

#[derive(Debug)]
pub(super) enum Reason {
    /// The certificate with this number, counted from 1, is malformed.
    Certificate(usize),
    Encrypted,
    Key,
    /// The private key does not belong to the certificate with this path or description.
    KeyOfAnother(String),
    NoCertificate,
    NoKey,
    NotAFile,
    NotPem(&'static str),
    Rustls(String),
    System(String),
    TooLong,
    Unreadable(io::Error),
}

impl TlsConfigError {
    pub(super) fn of(file: &Path, reason: Reason) -> Self {
        Self { file: Some(file.to_owned()), reason }
    }

    pub(super) fn without_file(reason: Reason) -> Self {
        Self { file: None, reason }
    }

    /// Returns the file; `None` if the error is not about a file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns whether the operating system refused to read the file. The next attempt may succeed, although
    /// the file has not changed.
    pub(super) fn is_of_the_system(&self) -> bool {
        matches!(self.reason, Reason::Unreadable(_))
    }
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        match &self.reason {
            Reason::Certificate(number) => write!(f, "certificate {number} is malformed"),
            Reason::Encrypted => f.write_str("the private key is encrypted, which is not supported"),
            Reason::Key => f.write_str("the private key is malformed, or of a kind that is not supported"),
            Reason::KeyOfAnother(cert) => write!(f, "not the private key of {cert}"),
            Reason::NoCertificate => f.write_str("no certificate in PEM format found"),
            Reason::NoKey => f.write_str("no private key in PEM format found"),
            Reason::NotAFile => f.write_str("not a regular file"),
            Reason::NotPem(what) => write!(f, "not well-formed PEM: {what}"),
            Reason::Rustls(error) => write!(f, "TLS cannot be set up: {error}"),
            Reason::System(error) => write!(f, "the system's certificates cannot be read: {error}"),
            Reason::TooLong => f.write_str("longer than 4 MiB"),
            Reason::Unreadable(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

impl std::error::Error for TlsConfigError {}

/// Converts the error. The kind is the kind of the operating system's error, or `InvalidData`.
impl From<TlsConfigError> for io::Error {
    fn from(error: TlsConfigError) -> Self {
        let kind = match &error.reason {
            Reason::Unreadable(error) => error.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
