//! Tests of the allocations in the steady state, and of the memory under attack. The tests replace the global
//! allocator, so they are a separate test binary.
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
