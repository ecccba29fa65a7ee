//! Support that the test binaries share.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "tests state what they know, and each uses some of it"
)]

pub mod account;
#[cfg(feature = "tls")]
pub mod certificates;
#[cfg(feature = "http")]
pub mod http_client;
#[cfg(feature = "http")]
pub mod http_server;
pub mod outages;
#[cfg(target_os = "linux")]
pub mod sink;
