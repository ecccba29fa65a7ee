//! Fuzz targets of gelf-core, gelf-tokio and docker-source: properties that hold for any input.
//!
//! Each target is a function that takes bytes, and panics if a property does not hold. `scripts/fuzz` runs the
//! targets under libFuzzer. The folder `seeds/` has a folder with seeds for each target. The tests replay the
//! seeds and mutations of the seeds. The vectors of the conformance suite, which [`vector_inputs`] returns, are
//! seeds, too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target reports a violated property by a panic"
)]

mod compressing;
mod container_logs;
mod engine_events;
mod framing;
mod http_bodies;
mod inflating;
mod messages;
mod parts;
mod reassembly;
mod vectors;

pub use compressing::compressed;
pub use container_logs::{line_joiner, log_frames, log_terminal};
pub use engine_events::event_stream;
pub use framing::framer;
pub use http_bodies::http_body;
pub use inflating::inflate_capped;
pub use messages::{datagram_decode, json_decode, round_trip};
pub use reassembly::reassembler_operations;
pub use vectors::vector_inputs;

#[cfg(test)]
mod replay;
