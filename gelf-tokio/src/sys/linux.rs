//! System calls of Linux.

mod datagrams;
mod tcp;
mod udp;

pub(crate) use datagrams::{RECEIVE_BATCH, receive_datagrams};
pub(crate) use tcp::{set_user_timeout, unacknowledged_bytes};
pub(crate) use udp::{
    MAX_SEGMENTS, can_segment, dropped_datagrams, force_receive_buffer, is_segmentation_refused,
    may_be_of_an_earlier_datagram, send_segments,
};
