//! Sends GELF over TCP. Messages are frames that end with a delimiter, a null byte by default. A sender uses
//! one connection at a time.

pub(crate) mod connection;
pub(crate) mod sender;
pub(crate) mod window;

pub use sender::TcpSender;
