//! Linux.

mod tcp;

pub(crate) use tcp::unacknowledged_bytes;
