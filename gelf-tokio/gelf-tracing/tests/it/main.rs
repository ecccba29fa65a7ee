//! Tests of layers and loggers that send to receivers of this machine.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod compose;
mod lifecycle;
#[cfg(feature = "log")]
mod logger;
mod mapping;
mod outages;
#[path = "../support/mod.rs"]
mod support;
