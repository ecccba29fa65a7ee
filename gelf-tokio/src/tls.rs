//! TLS below TCP and HTTP, by rustls with ring.

mod connector;
mod counting;

pub(crate) use connector::Connector;
pub(crate) use counting::Counting;
