//! Allocations in the steady state, and memory under attack. These tests need an allocator of their own.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

mod counting;
mod decode;
mod encode;
mod inflate;
mod reassembly;
