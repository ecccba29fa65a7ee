//! GELF over TCP: messages as frames that end with a null byte, on one connection after another.

mod receiver;
mod sender;

pub use receiver::{TcpReceiver, TcpReceiverOptions, TcpReceiverStats};
pub use sender::TcpSender;
