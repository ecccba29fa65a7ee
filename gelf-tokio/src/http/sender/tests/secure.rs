//! With TLS.
