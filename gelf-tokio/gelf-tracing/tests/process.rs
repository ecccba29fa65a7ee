//! Tests of whole programs: how they end, and what their own transport logs.
//!
//! The standard harness is not used, because this program is also the programs of the tests. An argument
//! selects the tests whose names contain it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

#[cfg(unix)]
#[path = "process/programs.rs"]
mod programs;
#[path = "support/mod.rs"]
#[cfg(unix)]
mod support;
#[cfg(unix)]
#[path = "process/tests.rs"]
mod tests;

fn main() {
    #[cfg(unix)]
    tests::main();
}
