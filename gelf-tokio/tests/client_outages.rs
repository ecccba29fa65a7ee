//! A client while its destination is down, slow, unreachable or on its way out: what arrives, and what its figures say.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "tests state what they know, and share what they need"
)]

#[path = "support/account.rs"]
mod account;
#[path = "support/outages.rs"]
mod outages;

#[path = "client_outages/broken.rs"]
mod broken;
#[path = "client_outages/cancelled.rs"]
mod cancelled;
#[path = "client_outages/close.rs"]
mod close;
#[path = "client_outages/down.rs"]
mod down;
#[path = "client_outages/ends.rs"]
mod ends;
#[path = "client_outages/names.rs"]
mod names;
#[path = "client_outages/slow.rs"]
mod slow;
#[path = "client_outages/udp.rs"]
mod udp;
