//! Options of endpoints and receivers.
//!
//! The defaults suit most programs. The options of an [`Endpoint`](crate::Endpoint) are usually written in
//! its URI. Each options struct implements `Default` and has public fields.

pub use crate::endpoint::{EndpointOption, HttpOptions, QueueOptions, TcpOptions, TlsOptions, UdpOptions};
#[cfg(feature = "http")]
pub use crate::receive::HttpReceiverOptions;
pub use crate::receive::{InvalidIpNetwork, IpNetwork, TcpReceiverOptions, UdpReceiverOptions};
