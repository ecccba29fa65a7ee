//! A client while its destination is down, slow or unreachable, and at its end: arrivals and counters.

mod broken;
mod cancelled;
mod close;
mod down;
mod ends;
mod names;
mod slow;
mod udp;
