//! TLS 1.2 and 1.3 for the transports TCP and HTTP, with rustls and ring.
//!
//! Certificates and keys are PEM, in files or in texts of the caller. A sender checks before each connect
//! whether a file has changed, and reads a changed file again. A receiver does the same before a handshake,
//! at most once a second. Sessions are not resumed, so that the current files apply to each connection. There is one
//! exception: a sender to which its caller has given a configuration of rustls reads no files, and may resume
//! sessions.

use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

mod acceptor;
mod ack_map;
#[cfg(test)]
#[path = "../tests/support/certificates.rs"]
pub(crate) mod certificates;
mod config_error;
mod connector;
mod counting;
mod files;
mod handshake_error;
#[cfg(test)]
mod tests;
mod trust;
mod verifier;

pub use acceptor::ReceiverTls;
pub(crate) use ack_map::AckMap;
pub use config_error::TlsConfigError;
pub(crate) use connector::{Connector, config_from_pem};
pub(crate) use counting::Counting;

/// Returns the provider of algorithms. The provider is always given to rustls explicitly, since a process
/// with several rustls providers has no default provider.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Returns the error for a TLS configuration of an endpoint without TLS.
pub(crate) fn no_tls() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a TLS configuration is given, and the endpoint has no TLS")
}
