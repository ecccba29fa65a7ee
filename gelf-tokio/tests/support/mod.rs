//! Shared by the tests.

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
