//! A client while its destination is down, slow, unreachable or on its way out: what arrives, and what its figures say.

mod broken;
mod cancelled;
mod close;
mod down;
mod ends;
mod names;
mod slow;
mod udp;
