//! Sends messages from the queue to the destination, over each transport.

#[cfg(feature = "http")]
pub(super) mod http;
pub(super) mod tcp;
pub(super) mod udp;
