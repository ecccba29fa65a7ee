//! The sender against handwritten servers, on real sockets.

mod answers;
mod cancelled;
mod connections;
#[path = "../../../tests/support/http_server.rs"]
mod peer;
#[path = "../../../tests/support/polled.rs"]
mod polled;
mod requests;
mod server;
