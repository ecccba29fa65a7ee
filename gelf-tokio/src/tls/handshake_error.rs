//! Explains TLS handshake errors to operators.

use std::error::Error;
use std::{fmt, io};

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};

use super::trust::Trusted;
use super::verifier::is_authority;

/// The context of a failed handshake.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) server_name: &'a ServerName<'static>,
    pub(super) trusted: &'a Trusted,
    /// The file of the sender's own certificate, or a description if the certificate is not from a file.
    pub(super) cert: Option<&'a str>,
    /// `true` if the receiver has asked for a certificate.
    pub(super) was_asked: bool,
}

/// A handshake error. The text quotes nothing that the peer has sent, but the source may do so.
#[derive(Debug)]
struct HandshakeError {
    text: String,
    /// The inner error; `None` if the text shows it.
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &(dyn Error + 'static) = self.source.as_deref()?;
        Some(source)
    }
}

impl Attempt<'_> {
    /// Returns an error of the same kind, with a text for operators.
    pub(super) fn explain(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        let text = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::AlertReceived(alert)) => self.of_alert(*alert),
            Some(rustls::Error::InvalidCertificate(error)) => self.of_certificate(error),
            Some(rustls::Error::InvalidMessage(_)) => "the receiver does not speak TLS".to_owned(),
            Some(rustls::Error::PeerIncompatible(_)) => {
                "the receiver supports neither TLS 1.2 nor TLS 1.3, or no algorithm of this sender".to_owned()
            }
            Some(error) => format!("the TLS handshake failed: {error}"),
            None if self.was_asked && self.cert.is_none() => {
                "the receiver asked for a client certificate, there is none, and the connection ended"
                    .to_owned()
            }
            None if kind == io::ErrorKind::UnexpectedEof => {
                "the receiver closed the connection during the TLS handshake".to_owned()
            }
            None => format!("the connection broke in the TLS handshake: {error}"),
        };
        let source = match error.get_ref() {
            _ if text.ends_with(&error.to_string()) => None,
            Some(_) => error.into_inner(),
            // An error of the operating system has no inner error.
            None => Some(error.into()),
        };
        io::Error::new(kind, HandshakeError { text, source })
    }

    fn of_certificate(&self, error: &CertificateError) -> String {
        let what = match error {
            CertificateError::BadEncoding => "is malformed",
            CertificateError::BadSignature => {
                return format!(
                    "the receiver's certificate is not signed with the key of the trusted authority that it \
                     names, or the receiver does not have the key of its certificate ({})",
                    self.trusted
                );
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "is not for servers"
            }
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                "has no subjectAltName, which TLS needs; a common name does not count"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let name = self.server_name.to_str();
                return format!("the receiver's certificate is not valid for the name {name}");
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet, or the clock here is wrong"
            }
            CertificateError::UnknownIssuer => {
                let trusted = self.trusted;
                return format!(
                    "the receiver's certificate is not signed by a trusted authority ({trusted})"
                );
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                "is signed in a way that is not supported"
            }
            error if is_authority(error) => {
                "is that of an authority: give the receiver its own certificate, signed by the authority or \
                 listed in ca"
            }
            _ => "is not accepted",
        };
        format!("the receiver's certificate {what}")
    }

    fn of_alert(&self, alert: AlertDescription) -> String {
        let Some(cert) = self.cert else {
            return match alert {
                // Only TLS 1.3 has an alert for a missing certificate.
                AlertDescription::CertificateRequired => "the receiver wants a client certificate".to_owned(),
                _ if self.was_asked => "the receiver wants a client certificate".to_owned(),
                _ => self.of_refusal(alert),
            };
        };
        if !self.was_asked {
            return self.of_refusal(alert);
        }
        let what = match alert {
            AlertDescription::CertificateExpired => "it has expired",
            AlertDescription::CertificateRevoked => "it is revoked",
            AlertDescription::UnknownCA => "it is not signed by an authority that the receiver trusts",
            AlertDescription::UnsupportedCertificate => "it is not for clients, or its kind is unknown",
            _ => {
                return format!("the receiver does not accept the client certificate {cert}: {alert:?}");
            }
        };
        format!("the receiver does not accept the client certificate {cert}: {what}")
    }

    fn of_refusal(&self, alert: AlertDescription) -> String {
        match alert {
            AlertDescription::HandshakeFailure => {
                "the receiver finds no TLS algorithm in common, or wants a client certificate".to_owned()
            }
            AlertDescription::ProtocolVersion => "the receiver speaks neither TLS 1.2 nor 1.3".to_owned(),
            AlertDescription::UnrecognisedName => {
                format!("the receiver does not know the name {}", self.server_name.to_str())
            }
            _ => format!("the receiver refuses the TLS handshake: {alert:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::{InvalidMessage, PeerIncompatible};

    use super::*;

    fn said(error: io::Error, cert: Option<&str>, was_asked: bool) -> String {
        let attempt = Attempt {
            server_name: &ServerName::try_from("logs.example").unwrap(),
            trusted: &Trusted::File("ca.pem".into()),
            cert,
            was_asked,
        };
        let kind = error.kind();
        let explained = attempt.explain(error);
        assert_eq!(explained.kind(), kind);
        let source = explained.get_ref().unwrap().source();
        assert!(source.is_none_or(|source| !explained.to_string().contains(&source.to_string())));
        explained.to_string()
    }

    fn tls(error: impl Into<rustls::Error>) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error.into())
    }

    fn alert(alert: AlertDescription) -> io::Error {
        tls(rustls::Error::AlertReceived(alert))
    }

    #[test]
    fn errors_of_certificates_have_texts_for_operators() {
        let cases = [
            (CertificateError::BadEncoding, "is malformed"),
            (CertificateError::Expired, "has expired"),
            (CertificateError::InvalidPurpose, "is not for servers"),
            (CertificateError::NotValidForName, "is not valid for the name logs.example"),
            (CertificateError::NotValidYet, "is not valid yet, or the clock here is wrong"),
            (CertificateError::Revoked, "is not accepted"),
            (CertificateError::UnknownIssuer, "is not signed by a trusted authority (CA file ca.pem)"),
        ];
        for (error, expected) in cases {
            assert_eq!(said(tls(error), None, false), format!("the receiver's certificate {expected}"));
        }
    }

    #[test]
    fn an_alert_after_a_request_for_a_certificate_is_about_the_client_certificate() {
        use AlertDescription::*;
        let wanted = "the receiver wants a client certificate";
        let refused = "the receiver does not accept the client certificate c.pem";
        let c = Some("c.pem");
        let cases = [
            (CertificateRequired, None, false, wanted.to_owned()),
            (HandshakeFailure, None, true, wanted.to_owned()),
            (BadCertificate, None, true, wanted.to_owned()),
            (
                UnknownCA,
                c,
                true,
                format!("{refused}: it is not signed by an authority that the receiver trusts"),
            ),
            (CertificateExpired, c, true, format!("{refused}: it has expired")),
            (AccessDenied, c, true, format!("{refused}: AccessDenied")),
            (InternalError, c, false, "the receiver refuses the TLS handshake: InternalError".to_owned()),
            (ProtocolVersion, None, false, "the receiver speaks neither TLS 1.2 nor 1.3".to_owned()),
            (UnrecognisedName, None, false, "the receiver does not know the name logs.example".to_owned()),
        ];
        for (description, cert, was_asked, expected) in cases {
            assert_eq!(said(alert(description), cert, was_asked), expected);
        }
    }

    #[test]
    fn a_receiver_without_tls_and_a_broken_connection_have_different_errors() {
        let no_tls = tls(InvalidMessage::InvalidContentType);
        assert_eq!(said(no_tls, None, false), "the receiver does not speak TLS");
        let old = "the receiver supports neither TLS 1.2 nor TLS 1.3, or no algorithm of this sender";
        assert_eq!(said(tls(PeerIncompatible::ServerDoesNotSupportTls12Or13), None, false), old);
        let eof = || io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        let closed = "the receiver closed the connection during the TLS handshake";
        assert_eq!(said(eof(), None, false), closed);
        assert_eq!(said(eof(), Some("c.pem"), true), closed);
        let asked = "the receiver asked for a client certificate, there is none, and the connection ended";
        assert_eq!(said(eof(), None, true), asked);
        let reset = || io::Error::from_raw_os_error(104);
        assert_eq!(said(reset(), None, true), asked);
        let broke = format!("the connection broke in the TLS handshake: {}", reset());
        assert_eq!(said(reset(), None, false), broke);
    }
}
