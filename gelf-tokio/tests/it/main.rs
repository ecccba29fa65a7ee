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
mod receiver_close;
