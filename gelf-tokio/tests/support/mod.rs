//! Support shared by the test binaries.
#![allow(dead_code, unreachable_pub, reason = "not every test uses all of the support")]

pub mod account;
#[cfg(feature = "tls")]
pub mod certificates;
#[cfg(feature = "http")]
pub mod http_client;
#[cfg(feature = "http")]
pub mod http_server;
pub mod oracle;
pub mod outages;
pub mod polled;
#[cfg(target_os = "linux")]
pub mod sink;
