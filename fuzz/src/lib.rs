//! Fuzz targets of gelf-core: properties that hold for any input.
//!
//! Each function takes bytes and panics if a property does not hold. `scripts/fuzz` runs them under
//! libFuzzer. The tests replay the seeds in `seeds/`, a folder for each function, and mutations of them; the
//! vectors of the conformance suite are seeds, too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target reports a violated property by a panic"
)]

mod framing;
mod inflating;
mod messages;
mod reassembly;
mod vectors;

pub use framing::framer;
pub use inflating::inflate_capped;
pub use messages::{datagram_decode, json_decode, round_trip};
pub use reassembly::reassembler_operations;
pub use vectors::vector_inputs;

#[cfg(test)]
mod replay;
