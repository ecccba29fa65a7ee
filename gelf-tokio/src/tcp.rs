//! GELF over TCP: messages as frames that end with a null byte, on one connection after another.

pub(crate) mod connection;
pub(crate) mod sender;
pub(crate) mod window;

pub use sender::TcpSender;
