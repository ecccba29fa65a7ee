//! Answers of Graylog's inputs: the status of HTTP requests, and the end of TCP connections.
//!
//! The source is Graylog server at commit cbcc671: `HttpHandler`, `AbstractHttpTransport` and
//! `LenientDelimiterBasedFrameDecoder`.

use crate::http::Request;
use crate::inspect::{GRAYLOG_BODY_BYTES, HttpInspection};

/// Maximum length of a frame in bytes: Graylog's default `max_message_size`.
const MAX_FRAME_BYTES: usize = 2 << 20;

/// Minimum length of a frame in bytes. Graylog determines the type of a frame by its first two bytes.
const MIN_FRAME_BYTES: usize = 2;

/// Returns the status with which Graylog refuses a request, or `None` if Graylog accepts it. Graylog answers
/// before it decodes the body, so even a body that is not JSON is accepted. `request` does not have the method
/// `OPTIONS`, which Graylog accepts.
pub(super) fn refusal(request: &Request, inspection: &HttpInspection) -> Option<u16> {
    let is_too_long = inspection.body_bytes.is_some_and(|bytes| bytes > GRAYLOG_BODY_BYTES)
        || inspection.violations.iter().any(|violation| violation.name == "CompressionLimit");
    match (request.method.as_str(), request.target.as_str()) {
        _ if is_too_long => Some(413),
        ("POST", "/gelf") => None,
        ("POST", _) => Some(404),
        _ => Some(405),
    }
}

/// Finds the position in a TCP connection at which Graylog would close the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct GraylogConnection {
    /// Length of the current frame in bytes.
    len: usize,
}

impl GraylogConnection {
    /// Reads the next bytes of the connection. If Graylog would close the connection at one of these bytes,
    /// returns the number of bytes up to and including that byte. Graylog closes a connection at the end of a
    /// frame of less than two bytes, and in a frame of more than 2 MiB.
    pub fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            let is_end = *byte == 0;
            if is_end && self.len < MIN_FRAME_BYTES || !is_end && self.len == MAX_FRAME_BYTES {
                return Some(at + 1);
            }
            self.len = if is_end { 0 } else { self.len + 1 };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RequestReader;
    use crate::inspect;

    #[test]
    fn the_method_is_checked_before_the_target() {
        let refusal = |line: &str| {
            let mut reader = RequestReader::new(100);
            reader.push(format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes());
            let request = reader.next().unwrap().unwrap();
            refusal(&request, &inspect::request(&request, false))
        };
        let lines = ["POST /gelf", "POST /elsewhere", "PUT /gelf", "PUT /elsewhere"];
        assert_eq!(lines.map(refusal), [None, Some(404), Some(405), Some(405)]);
    }

    #[test]
    fn a_connection_ends_at_a_frame_that_graylog_cannot_read() {
        let end = |reads: &[&[u8]]| {
            let mut connection = GraylogConnection::default();
            reads.iter().map(|read| connection.end(read)).collect::<Vec<_>>()
        };
        assert_eq!(end(&[b"{}\0\n{}\0", b"{", b"}\0"]), [None; 3]);
        assert_eq!(end(&[b"{}\0\0{}\0"]), [Some(4)]);
        assert_eq!(end(&[b"{}", b"\0\n", b"\0{}\0"]), [None, None, Some(1)]);
        let long = vec![b' '; MAX_FRAME_BYTES];
        assert_eq!(end(&[&long, b"\0", &long, b" "]), [None, None, None, Some(1)]);
    }
}
