//! Integration tests of the conformance suite, and tests against other programs.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod check_subject;
mod docker_gelf_driver;
mod fuzz_command;
mod gelf_text;
mod http_receiver;
mod http_reference;
mod http_vectors;
mod interop_matrix;
mod live_peers;
mod receiver;
mod sender;
mod shapes;
mod subjects;
mod support;
