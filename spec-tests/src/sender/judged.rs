//! Judges single messages.

use std::net::SocketAddr;

use crate::inspect::{self, Inspection, Violation};
use crate::receivers::{Delivery, Transport};

/// A judged message, or a violation outside of a message.
pub(super) struct Judged {
    pub(super) source: SocketAddr,
    pub(super) delivery: Delivery,
    /// The datagrams, or the frame. Empty for HTTP, and for a violation of a TCP connection.
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) inspection: Inspection,
    /// Compression, if the first bytes of the parts do not show it.
    pub(super) compression: Option<&'static str>,
    /// False for a violation that belongs to no message, or to a message that is already counted.
    pub(super) is_message: bool,
}

impl Judged {
    /// Judges the datagrams of a message. `more` are violations that the datagrams themselves do not show,
    /// such as late chunks.
    pub(super) fn datagrams(
        source: SocketAddr,
        parts: Vec<Vec<u8>>,
        interleaved: bool,
        more: Vec<Violation>,
        is_message: bool,
    ) -> Self {
        let mut inspection = inspect::datagrams(&parts, None);
        inspection.violations.extend(more);
        let delivery = Delivery::datagrams(&parts, interleaved, &inspection);
        Self { source, delivery, parts, inspection, compression: None, is_message }
    }

    /// Judges a frame. `frame` does not include the null byte at the end; `is_terminated` tells whether the
    /// sender has sent that byte. `more` are violations outside of the frame, such as a wrong delimiter.
    pub(super) fn frame(
        source: SocketAddr,
        frame: Vec<u8>,
        is_terminated: bool,
        more: Vec<Violation>,
    ) -> Self {
        let mut sent = frame.clone();
        if is_terminated {
            sent.push(0);
        }
        let mut inspection = inspect::stream(&sent);
        inspection.violations.extend(more);
        let delivery = Delivery::frame(&frame, &inspection);
        let parts = vec![frame];
        Self { source, delivery, parts, inspection, compression: None, is_message: true }
    }

    /// Creates the result for a violation outside of an inspected message.
    pub(super) fn violation(
        source: SocketAddr,
        transport: Transport,
        parts: Vec<Vec<u8>>,
        violation: Violation,
        is_message: bool,
    ) -> Self {
        let inspection = Inspection { payload: None, violations: vec![violation] };
        let delivery = match transport {
            Transport::Udp => Delivery::datagrams(&parts, false, &inspection),
            Transport::Tcp => Delivery::frame(&[], &inspection),
            Transport::Http => Delivery::posted(&[], &[], &inspection),
        };
        let compression = (transport == Transport::Http).then_some("unknown");
        Self { source, delivery, parts, inspection, compression, is_message }
    }
}
