//! Measures gelf-router on a real Docker Engine. Containers write numbered lines. A receiver finds the lines
//! that are missing, repeated or altered, and the gaps that the router announced.
//!
//! The program `router-oracle` has a row (a measurement) for each property; `scripts/oracle --list` lists the
//! rows. The program starts a separate Engine for each row, because some rows kill the Engine, and others measure
//! its processor time.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test support: a failure ends the row"
)]

pub mod agent;
pub mod api;
pub mod bench;
pub mod daemon;
pub mod message;
pub mod receiver;
pub mod rows;
pub mod tally;

use crate::message::Messages;

/// Seed of all messages.
pub const SEED: u64 = 7;

/// Returns the generator of all messages. Docker adds about 100 bytes to each message, so that a line takes
/// about 200 bytes in a log file.
pub fn messages() -> Messages {
    Messages::new(SEED).lengths(80..=80)
}
