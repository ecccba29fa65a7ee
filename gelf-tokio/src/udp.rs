//! GELF over UDP: a message is one datagram, or the chunks of one.
//!
//! To send a message, `sender` asks `destination` for a socket (which learns of other addresses from
//! `names`), and hands the datagrams to `segmented_socket`, which sends them as fast as `pacing` permits.

mod destination;
mod names;
mod pacing;
mod segmented_socket;
mod sender;
mod stats;

pub use sender::UdpSender;
pub(crate) use sender::is_unreachable;
pub use stats::{Sent, UdpSenderStats};
