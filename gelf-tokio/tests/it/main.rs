//! Integration tests that need no process of their own.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "http")]
mod client_http;
mod client_outages;
#[cfg(target_os = "linux")]
mod client_resets;
#[cfg(feature = "tls")]
mod client_tls;
mod client_udp;
#[cfg(target_os = "linux")]
mod client_unproven;
#[cfg(feature = "http")]
mod http_receiver;
#[cfg(feature = "http")]
mod http_receiver_hostile;
#[cfg(feature = "http")]
mod http_receiver_limits;
#[cfg(feature = "http")]
mod http_receiver_proxies;
#[cfg(all(feature = "http", feature = "tls"))]
mod http_receiver_tls;
mod receiver_close;
mod tcp;
mod udp;
#[cfg(target_os = "linux")]
mod udp_names;
