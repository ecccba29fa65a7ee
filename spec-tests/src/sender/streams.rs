//! Splits TCP connections into frames and judges the frames.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde::de::IgnoredAny;

use super::judged::Judged;
use crate::inspect::Violation;
use crate::reader::{Encoding, Frame, Frames, encoding, is_chunk};
use crate::receivers::Transport;

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<usize, Connection>,
}

#[derive(Debug)]
struct Connection {
    source: SocketAddr,
    frames: Frames,
    /// The first bytes, while they can be the beginning of another protocol; `None` when that is decided.
    start: Option<Vec<u8>>,
    /// True if the connection began with bytes of another protocol. Its further bytes are ignored.
    is_foreign: bool,
    /// True after a compressed frame. Null bytes in compressed data split it into pieces, so the next frames
    /// can be such pieces instead of messages.
    in_pieces: bool,
}

impl Streams {
    /// Adds bytes that were read from a connection. Returns the frames that they complete, and the violations outside
    /// of frames.
    pub(super) fn read(&mut self, connection: usize, source: SocketAddr, bytes: &[u8]) -> Vec<Judged> {
        let connection = self.open.entry(connection).or_insert_with(|| Connection {
            source,
            frames: Frames::new(Frames::MAX_BYTES),
            start: Some(Vec::new()),
            is_foreign: false,
            in_pieces: false,
        });
        if connection.is_foreign {
            return Vec::new();
        }
        let Some(mut start) = connection.start.take() else { return connection.push(bytes) };
        start.extend_from_slice(bytes);
        if let Some(violation) = foreign(&start) {
            connection.is_foreign = true;
            return vec![connection.violation(violation, true)];
        }
        if matches!(start[..], [] | [0x16] | [0x16, 0x03] | [0x1e]) {
            // A read can end within the bytes that tell protocols apart.
            connection.start = Some(start);
            return Vec::new();
        }
        connection.push(&start)
    }

    /// Removes a closed connection. Returns its unterminated frame.
    pub(super) fn close(&mut self, connection: usize) -> Vec<Judged> {
        self.open.remove(&connection).map(|connection| connection.end("")).unwrap_or_default()
    }

    /// Returns the unterminated frames of all connections that are open at the end of the run.
    pub(super) fn finish(&mut self) -> Vec<Judged> {
        let mut open: Vec<_> = self.open.drain().collect();
        open.sort_by_key(|(number, _)| *number);
        open.into_iter()
            .flat_map(|(_, connection)| connection.end("; the connection is still open"))
            .collect()
    }
}

impl Connection {
    /// Adds bytes. Returns the frames that they complete, and the violations outside of frames.
    fn push(&mut self, bytes: &[u8]) -> Vec<Judged> {
        let mut judged = Vec::new();
        let mut empty = 0;
        for frame in self.frames.push(bytes) {
            if frame == Frame::Empty {
                empty += 1;
                continue;
            }
            judged.extend(self.empty(std::mem::take(&mut empty)));
            match frame {
                Frame::Whole(frame) => judged.extend(self.whole(frame, true)),
                Frame::Empty => {}
                Frame::TooLong => {
                    let text = format!("more than {} bytes; the rest is ignored", Frames::MAX_BYTES);
                    let violation = Violation::odd("R25", "FrameTooLong", text);
                    judged.push(self.violation(violation, true));
                }
            }
        }
        judged.extend(self.empty(empty));
        judged
    }

    /// Judges the unterminated frame, if any. `more` is added to the text of its violation.
    fn end(mut self, more: &str) -> Vec<Judged> {
        // The bytes that are left in `start` have no null byte, so they complete no frame.
        self.frames.push(&self.start.take().unwrap_or_default());
        let Some(frame) = self.frames.finish() else { return Vec::new() };
        let mut judged = self.whole(frame, false);
        let violations = judged.iter_mut().flat_map(|judged| &mut judged.inspection.violations);
        for violation in violations.filter(|violation| violation.name == "UnterminatedFrame") {
            violation.text.push_str(more);
        }
        judged
    }

    /// Judges a frame, unless it is probably a piece of compressed data. If the frame has several lines and each
    /// is a JSON object, the sender meant each line as a message. Then the frame counts as the first message, and
    /// each further line as another.
    fn whole(&mut self, frame: Vec<u8>, is_terminated: bool) -> Vec<Judged> {
        let is_compressed = encoding(&frame) != Encoding::Plain;
        if !is_compressed && self.in_pieces && !frame.trim_ascii_start().starts_with(b"{") {
            return Vec::new();
        }
        self.in_pieces = is_compressed;
        let lines = objects_by_line(&frame);
        let further: Vec<Vec<u8>> = lines.iter().skip(1).map(|line| line.to_vec()).collect();
        let text = format!("{} JSON objects, separated by line feeds instead of null bytes", lines.len());
        let mut judged = vec![Judged::frame(self.source, frame, is_terminated, Vec::new())];
        judged.extend(further.into_iter().map(|line| {
            let violation = Violation::broken("R25", "LineFeedDelimiter", text.clone());
            Judged::frame(self.source, line, true, vec![violation])
        }));
        judged
    }

    /// Returns one violation for this number of successive empty frames.
    fn empty(&self, empty: usize) -> Option<Judged> {
        // While `in_pieces` is true, an empty frame is probably the result of a null byte in compressed data.
        if empty == 0 || self.in_pieces {
            return None;
        }
        let frames = if empty == 1 { "an empty frame".to_owned() } else { format!("{empty} empty frames") };
        let text = format!("{frames}; Graylog closes the connection");
        Some(self.violation(Violation::broken("R36", "EmptyFrame", text), false))
    }

    fn violation(&self, violation: Violation, is_message: bool) -> Judged {
        Judged::violation(self.source, Transport::Tcp, Vec::new(), violation, is_message)
    }
}

/// Returns the violation of a connection that begins with bytes of another protocol: TLS on a plain port, or
/// chunks, which exist over UDP only.
fn foreign(first: &[u8]) -> Option<Violation> {
    match first {
        [0x16, 0x03, 0..=4, ..] => {
            Some(Violation::broken("R25", "TlsHandshake", "this is TLS, and the port is plain".to_owned()))
        }
        _ if is_chunk(first) => {
            let text = "chunks, which exist over UDP only; the rest of the connection is ignored";
            Some(Violation::broken("R25", "ChunkedOnStream", text.to_owned()))
        }
        _ => None,
    }
}

/// Returns the lines of a frame if there are several and each is a JSON object. Otherwise, returns no lines.
fn objects_by_line(frame: &[u8]) -> Vec<&[u8]> {
    let lines = frame.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let is_object =
        |line: &&[u8]| line.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(line).is_ok();
    let lines: Vec<&[u8]> = lines.collect();
    if lines.len() > 1 && lines.iter().all(is_object) { lines } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str = r#"{"version":"1.1","host":"h","short_message":"m"}"#;

    /// Reads a connection. Returns rules and names of the violations, and the number of messages.
    fn judged(reads: &[&[u8]]) -> (Vec<Vec<String>>, usize) {
        let mut streams = Streams::default();
        let mut judged = Vec::new();
        for read in reads {
            judged.extend(streams.read(0, SocketAddr::from(([127, 0, 0, 1], 1000)), read));
        }
        judged.extend(streams.close(0));
        let names = |judged: &Judged| {
            let names = judged.inspection.violations.iter();
            names.map(|violation| format!("{} {}", violation.rule, violation.name)).collect()
        };
        let messages = judged.iter().filter(|judged| judged.is_message).count();
        (judged.iter().map(names).collect(), messages)
    }

    #[test]
    fn a_frame_ends_with_a_null_byte() {
        let stream = format!("{PAYLOAD}\0{PAYLOAD}\n\0");
        assert_eq!(judged(&[stream.as_bytes()]), (vec![vec![], vec![]], 2));
        let (one, two) = stream.as_bytes().split_at(60);
        assert_eq!(judged(&[one, two, b"\n"]), (vec![vec![], vec![]], 2));
        let last = vec!["R25 UnterminatedFrame".to_owned()];
        assert_eq!(judged(&[stream.as_bytes(), PAYLOAD.as_bytes()]), (vec![vec![], vec![], last], 3));
    }

    #[test]
    fn each_line_of_a_frame_counts_as_a_message_if_all_are_objects() {
        let delimiter = vec!["R25 LineFeedDelimiter".to_owned()];
        let trailing = |more: &str| vec!["R1 TrailingData".to_owned(), more.to_owned()];
        let lines = format!("{PAYLOAD}\n").repeat(3);
        let first = vec!["R25 UnterminatedFrame".to_owned(), "R1 TrailingData".to_owned()];
        assert_eq!(judged(&[lines.as_bytes()]), (vec![first, delimiter.clone(), delimiter.clone()], 3));
        // A null byte at the end does not turn the lines into frames.
        let ended = format!("{PAYLOAD}\r\n{PAYLOAD}\r\n\0");
        assert_eq!(judged(&[ended.as_bytes()]), (vec![trailing("")[..1].to_vec(), delimiter], 2));
        let pretty = format!("{}\0", PAYLOAD.replace(',', ",\n"));
        assert_eq!(judged(&[pretty.as_bytes()]), (vec![vec![]], 1));
    }

    #[test]
    fn an_empty_frame_is_not_a_message() {
        let empty = vec!["R36 EmptyFrame".to_owned()];
        let stream = format!("{PAYLOAD}\0\0\n\0{PAYLOAD}\0");
        assert_eq!(judged(&[stream.as_bytes()]), (vec![vec![], empty.clone(), vec![]], 2));
        assert_eq!(judged(&[b"\0"]), (vec![empty], 0));
    }

    #[test]
    fn a_compressed_frame_is_one_message() {
        let stream =
            [b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xabV\0*K-*\0".as_slice(), PAYLOAD.as_bytes(), b"\0"].concat();
        let compressed = vec!["R25 CompressedOnStream".to_owned()];
        assert_eq!(judged(&[&stream]), (vec![compressed, vec![]], 2));
    }

    #[test]
    fn a_connection_that_begins_with_chunks_or_tls_is_one_violation() {
        let chunk = [b"\x1e\x0f12345678\0\x02".as_slice(), &PAYLOAD.as_bytes()[..20], b"\0\0"].concat();
        let chunked = vec!["R25 ChunkedOnStream".to_owned()];
        assert_eq!(judged(&[&chunk, &chunk, PAYLOAD.as_bytes()]), (vec![chunked], 1));
        let tls = vec!["R25 TlsHandshake".to_owned()];
        assert_eq!(judged(&[b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"\0{\0"]), (vec![tls], 1));
        // The first read can have fewer bytes than it takes to tell the protocols apart.
        let tls = vec!["R25 TlsHandshake".to_owned()];
        assert_eq!(judged(&[b"\x16", b"\x03", b"\x01\x02\0\x01\0"]), (vec![tls], 1));
        assert_eq!(judged(&[b"\x1e", &chunk[1..]]), (vec![vec!["R25 ChunkedOnStream".to_owned()]], 1));
        assert_eq!(judged(&[b"\x1e", b"\0"]).1, 1);
        assert_eq!(judged(&[b"\x16\x03"]).1, 1);
        // Bytes that look like TLS count as TLS only at the start of a connection.
        let (violations, messages) = judged(&[PAYLOAD.as_bytes(), b"\0\x16\x03\x01\0"]);
        assert_eq!((violations.len(), messages), (2, 2));
        assert!(violations[0].is_empty() && !violations[1].contains(&"R25 TlsHandshake".to_owned()));
    }

    #[test]
    fn an_oversized_frame_is_one_violation() {
        let long = vec![b'a'; Frames::MAX_BYTES + 1];
        let stream = [&long, b"\0".as_slice(), PAYLOAD.as_bytes(), b"\0"].concat();
        let too_long = vec!["R25 FrameTooLong".to_owned()];
        assert_eq!(judged(&[&stream]), (vec![too_long, vec![]], 2));
    }
}
