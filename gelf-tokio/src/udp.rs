//! GELF over UDP: a message is sent as one datagram, or as chunks in several datagrams.
//!
//! To send a message, `sender` asks `destination` for a socket and hands the datagrams to `segmented_socket`.
//! `names` looks up the host name repeatedly, and gives the addresses to `destination`. `segmented_socket`
//! sends the datagrams as fast as `pacing` permits.

mod destination;
mod names;
mod pacing;
mod segmented_socket;
mod sender;
mod stats;

pub use sender::UdpSender;
pub(crate) use sender::is_unreachable;
pub use stats::UdpSenderStats;
