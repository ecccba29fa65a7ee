//! Tests of the simulated Engine with a small client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod answers;
mod client;
mod logs;
