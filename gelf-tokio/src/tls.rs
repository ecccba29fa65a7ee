//! TLS below TCP and HTTP, by rustls with ring.

mod connector;

pub(crate) use connector::Connector;
