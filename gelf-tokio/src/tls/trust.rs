//! The authorities that a sender without a CA file trusts.

use std::path::PathBuf;
use std::{env, fmt};

use rustls::RootCertStore;
use rustls_native_certs::CertificateResult;

use super::config_error::{Reason, TlsConfigError};

/// The origin of the trusted authorities.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Trusted {
    File(PathBuf),
    /// The caller's configuration.
    Given,
    Mozilla,
    System,
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "CA file {}", path.display()),
            Self::Given => f.write_str("the given configuration"),
            Self::Mozilla => f.write_str("Mozilla's authorities"),
            Self::System => f.write_str("the system's authorities"),
        }
    }
}

/// Returns the system's authorities, or Mozilla's if the system has none. For example, a container image that
/// contains only one program has no authorities.
///
/// # Errors
/// Returns an error if the system has authorities but none of them can be read, or if `SSL_CERT_FILE` or
/// `SSL_CERT_DIR` is set and leads to no authorities. Mozilla's authorities are not used in these cases.
pub(super) fn of_the_system() -> Result<(RootCertStore, Trusted), TlsConfigError> {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_configured = is_set("SSL_CERT_FILE") || is_set("SSL_CERT_DIR");
    choose(rustls_native_certs::load_native_certs(), is_configured)
}

/// Chooses the authorities. `is_configured` tells whether an environment variable names the place of the
/// system's authorities.
fn choose(found: CertificateResult, is_configured: bool) -> Result<(RootCertStore, Trusted), TlsConfigError> {
    for error in &found.errors {
        tracing::debug!(%error, "some of the system's certificates are left out");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(added, ignored, "some of the system's certificates are malformed");
    }
    if added > 0 {
        return Ok((roots, Trusted::System));
    }
    let refuse = |reason: String| Err(TlsConfigError::without_file(Reason::System(reason)));
    match found.errors.first() {
        Some(error) => refuse(error.to_string()),
        None if ignored > 0 => refuse("they are malformed".to_owned()),
        None if is_configured => {
            refuse("there are none where SSL_CERT_FILE and SSL_CERT_DIR lead".to_owned())
        }
        None => {
            tracing::debug!("the system has no certificates; Mozilla's are trusted");
            Ok((webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(), Trusted::Mozilla))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustls::pki_types::CertificateDer;
    use rustls_native_certs::load_certs_from_paths;

    use super::super::certificates::{Authority, Directory};
    use super::*;

    #[test]
    fn certificates_that_are_bad_are_left_out_as_long_as_there_is_a_good_one() {
        let directory = Directory::new();
        let good = Authority::new("a").pem();
        let file = directory.write("ca.pem", &format!("{good}{}", &good[..good.len() / 2]));
        let mut found = load_certs_from_paths(Some(&file), None);
        assert_eq!((found.certs.len(), found.errors.len()), (1, 1));
        found.certs.push(CertificateDer::from(vec![1, 2, 3]));

        let (roots, trusted) = choose(found, false).unwrap();
        assert_eq!((roots.len(), trusted), (1, Trusted::System));
    }

    #[test]
    fn mozillas_authorities_are_trusted_only_when_the_system_has_none() {
        let (roots, trusted) = choose(CertificateResult::default(), false).unwrap();
        assert_eq!((roots.len(), trusted), (webpki_roots::TLS_SERVER_ROOTS.len(), Trusted::Mozilla));

        let unreadable = load_certs_from_paths(Some(Path::new("/none.pem")), None);
        let error = choose(unreadable, false).unwrap_err().to_string();
        assert!(error.starts_with("the system's certificates cannot be read: "), "{error}");
        assert!(error.contains("/none.pem"), "{error}");

        let mut malformed = CertificateResult::default();
        malformed.certs.push(CertificateDer::from(vec![1, 2, 3]));
        let error = choose(malformed, false).unwrap_err().to_string();
        assert_eq!(error, "the system's certificates cannot be read: they are malformed");

        let error = choose(CertificateResult::default(), true).unwrap_err().to_string();
        let nothing_there = "there are none where SSL_CERT_FILE and SSL_CERT_DIR lead";
        assert_eq!(error, format!("the system's certificates cannot be read: {nothing_there}"));
    }
}
