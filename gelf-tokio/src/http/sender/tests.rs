//! The sender against servers that are written out by hand, on real sockets.

mod answers;
mod cancelled;
mod connections;
mod requests;
#[cfg(feature = "tls")]
mod secure;
mod server;
