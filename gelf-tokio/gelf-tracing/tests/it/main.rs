//! Tests of layers and loggers that send to receivers of this machine.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod compose;
mod mapping;
#[path = "../support/mod.rs"]
mod support;
