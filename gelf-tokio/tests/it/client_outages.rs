//! Tests which messages of a client arrive, and what the client counts, while its destination is down, slow or
//! unreachable, and while the client ends.

mod broken;
mod cancelled;
mod close;
mod down;
mod ends;
mod failover;
mod names;
mod slow;
