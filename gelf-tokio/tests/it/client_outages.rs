//! Tests the arrivals and counters of a client while its destination is down, slow or unreachable, and while
//! the client ends.

mod broken;
mod cancelled;
mod close;
mod down;
mod ends;
mod failover;
mod names;
mod slow;
