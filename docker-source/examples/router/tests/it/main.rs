//! Tests of the router as a process.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

mod auditing;
mod bad_input;
mod checking;
mod common;
mod content;
mod doctoring;
mod every_line;
mod explaining;
mod http_api;
mod image;
mod independent_routes;
mod joining;
mod printing;
mod proxying;
mod real_containers;
mod restarts;
mod routing;
mod tailing;
mod when_things_are_down;
