//! Tests how whole programs end, and that events of the transport do not become messages.
//!
//! The standard harness is not used, because this program also runs as each of the tested programs. An
//! argument selects the tests whose names contain the argument.
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
