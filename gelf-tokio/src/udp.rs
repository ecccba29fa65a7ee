//! GELF over UDP: a message is one datagram, or the chunks of one.
//!
//! A message's way out: `sender` asks `destination` for a socket (which `names` tells of other addresses), and hands its
//! datagrams to `wire`, which sends them as fast as `pacing` permits.

mod destination;
mod names;
mod pacing;
mod sender;
mod wire;

pub use sender::{Sent, UdpSender, UdpSenderStats};
