//! Tests the sender with handwritten servers, on real sockets or on streams in memory.

mod answers;
mod cancelled;
mod connections;
#[path = "../../../tests/support/http_server.rs"]
mod peer;
#[path = "../../../tests/support/polled.rs"]
mod polled;
mod requests;
mod server;
