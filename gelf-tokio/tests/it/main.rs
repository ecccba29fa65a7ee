//! Tests of the public interface that need no process of their own.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

#[cfg(feature = "tls")]
#[path = "../support/certificates.rs"]
mod certificates;
#[cfg(feature = "http")]
#[path = "../support/http_client.rs"]
mod http_client;
#[cfg(feature = "http")]
mod http_receiver;
#[cfg(feature = "http")]
mod http_receiver_hostile;
#[cfg(feature = "http")]
mod http_receiver_limits;
#[cfg(all(feature = "http", feature = "tls"))]
mod http_receiver_tls;
mod receiver_close;
mod tcp;
mod udp;
