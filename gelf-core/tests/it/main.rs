//! The public interface.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

mod conversions;
mod debug;
mod errors;
