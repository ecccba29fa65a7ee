//! GELF over UDP: a message is one datagram, or the chunks of one.

mod receiver;
mod sender;

pub use receiver::{UdpReceiver, UdpReceiverOptions, UdpReceiverStats};
pub use sender::{Sent, UdpSender};
