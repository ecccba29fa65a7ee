//! Tests of a source against a simulated Engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod discovery;
mod files;
mod followers;
mod formatting;
mod later_stamps;
mod lists;
mod outages;
mod podman;
mod reading;
mod resuming;
mod schedules;
mod slow_engines;
mod statuses;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod unavailable_logs;
mod windows;
