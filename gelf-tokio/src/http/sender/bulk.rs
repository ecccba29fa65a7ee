//! Provides `BulkBody`, a request body of one or several messages.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::take;

/// Collects payloads for a request body, one line for each payload.
///
/// A line feed ends each line, including the last: Graylog holds back a line without a line feed until the
/// connection closes. A line feed within a payload becomes a space. This changes no value: a line feed in
/// JSON is always white space, since it must be escaped in a string (RFC 8259, section 7).
pub(crate) struct BulkBody {
    lines: BytesMut,
    messages: usize,
    max_bytes: usize,
    max_messages: usize,
}

impl BulkBody {
    /// The default limit of bytes: 64 KiB, the same as Graylog's. The limit applies before compression.
    pub(crate) const DEFAULT_MAX_BYTES: usize = 64 * 1024;

    /// The default limit of messages: 1,024. About this number of the smallest messages fits into 64 KiB.
    pub(crate) const DEFAULT_MAX_MESSAGES: usize = 1024;

    /// Creates an empty body with the default limits.
    pub(crate) fn new() -> Self {
        Self::with_limits(Self::DEFAULT_MAX_BYTES, Self::DEFAULT_MAX_MESSAGES)
    }

    /// Creates an empty body for up to `max_bytes` bytes, line feeds included, and up to `max_messages`
    /// messages. The first message is always added: a message that is too long for any body is sent alone,
    /// and the receiver decides whether to accept it.
    pub(crate) fn with_limits(max_bytes: usize, max_messages: usize) -> Self {
        Self { lines: BytesMut::new(), messages: 0, max_bytes, max_messages }
    }

    /// Adds a payload, which must be JSON text. Returns `false` and adds nothing if there is no room for the
    /// payload. An empty body has room for any payload.
    #[must_use = "a payload for which there is no room is not added"]
    pub(crate) fn push(&mut self, payload: &[u8]) -> bool {
        let bytes = self.lines.len().saturating_add(payload.len()).saturating_add(1);
        if self.messages > 0 && (bytes > self.max_bytes || self.messages >= self.max_messages) {
            return false;
        }
        write_line(payload, &mut self.lines);
        self.messages += 1;
        true
    }

    /// Returns the number of messages.
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// Takes the body and leaves an empty body. The memory of the taken body is used again once the returned
    /// bytes are dropped, unless the body is much larger than a default body.
    pub(crate) fn take(&mut self) -> Bytes {
        self.messages = 0;
        take(&mut self.lines)
    }
}

/// Shows no payload.
impl fmt::Debug for BulkBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkBody")
            .field("messages", &self.messages)
            .field("bytes", &self.lines.len())
            .finish_non_exhaustive()
    }
}

impl Default for BulkBody {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends a payload as a line.
pub(super) fn write_line(payload: &[u8], lines: &mut BytesMut) {
    lines.reserve(payload.len() + 1);
    let start = lines.len();
    lines.extend_from_slice(payload);
    for byte in lines.iter_mut().skip(start).filter(|byte| **byte == b'\n') {
        *byte = b' ';
    }
    lines.extend_from_slice(b"\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_body_has_64_kib_with_its_line_feeds_and_no_more() {
        let mut body = BulkBody::new();
        assert!(body.push(&[b'x'; 65_530]));
        assert!(!body.push(b"12345"));
        assert!(body.push(b"1234"));
        assert_eq!((body.messages(), body.lines.len()), (2, 65_536));
        assert!(!body.push(b""));
        assert_eq!(body.take().len(), 65_536);
        assert!(body.push(b"12345"));
        assert_eq!(body.take(), "12345\n");
    }

    #[test]
    fn a_payload_that_is_too_long_for_any_body_goes_alone() {
        let mut body = BulkBody::with_limits(10, 0);
        assert!(body.push(&[b'x'; 1000]));
        assert!(!body.push(b""));
        assert_eq!(body.take().len(), 1001);
    }

    #[test]
    fn memory_is_used_again() {
        let mut body = BulkBody::new();
        let payload = [b'x'; 1000];
        while body.push(&payload) {}
        let first = body.take();
        let address = first.as_ptr();
        drop(first);
        for _ in 0..10 {
            while body.push(&payload) {}
            let taken = body.take();
            assert_eq!((taken.as_ptr(), taken.len()), (address, 65 * 1001));
        }
    }

    proptest! {
        #[test]
        fn there_is_a_line_for_each_payload(
            payloads in prop::collection::vec("[ -~\n\r]{0,40}", 0..40),
            max_bytes in 0_usize..400,
            max_messages in 0_usize..20,
        ) {
            let mut body = BulkBody::with_limits(max_bytes, max_messages);
            let mut bodies = Vec::new();
            for payload in &payloads {
                if !body.push(payload.as_bytes()) {
                    bodies.push((body.messages(), body.take()));
                    prop_assert!(body.push(payload.as_bytes()));
                }
            }
            bodies.push((body.messages(), body.take()));
            let mut lines = Vec::new();
            for (messages, bytes) in bodies {
                prop_assert!(messages <= 1 || (messages <= max_messages && bytes.len() <= max_bytes));
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                prop_assert!(text.is_empty() || text.ends_with('\n'));
                let own: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
                prop_assert_eq!(own.len(), messages);
                lines.extend(own);
            }
            let expected: Vec<String> = payloads.iter().map(|payload| payload.replace('\n', " ")).collect();
            prop_assert_eq!(lines, expected);
        }
    }
}
