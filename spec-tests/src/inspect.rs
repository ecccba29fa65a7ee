//! Checks the bytes of a sender against the rules.

mod http;
mod values;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::compare;
use crate::reader::{self, CHUNK_HEADER_BYTES, Chunk, Encoding, Frame, Frames, encoding, is_chunk};
use crate::vector::MessageText;
pub use http::{GRAYLOG_BODY_BYTES, HttpInspection, request, request_fault};
pub use values::bulk_values;

/// A broken rule, or bytes that are allowed but [odd](Severity::Odd).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Violation {
    /// The rule, from the table in `vectors/README.md`.
    pub rule: &'static str,
    /// Name of the violation. The vectors use the same names.
    pub name: String,
    /// Severity.
    pub severity: Severity,
    /// Details that the name does not state, or an empty text.
    pub text: String,
    /// Bytes around the violation.
    pub excerpt: String,
}

/// Severity of a violation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The bytes are allowed, but not every receiver handles them as intended, or they are wasteful.
    Odd,
    /// The source of the rule, such as the specification, forbids the bytes.
    Broken,
}

impl Violation {
    /// Creates a violation with the severity [`Severity::Broken`], without an excerpt.
    pub(crate) fn broken(rule: &'static str, name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(rule, name, Severity::Broken, text)
    }

    /// Creates a violation with the severity [`Severity::Odd`], without an excerpt.
    pub(crate) fn odd(rule: &'static str, name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(rule, name, Severity::Odd, text)
    }

    /// Adds the bytes around the violation.
    pub(crate) fn at(self, excerpt: impl Into<String>) -> Self {
        Self { excerpt: excerpt.into(), ..self }
    }

    fn new(rule: &'static str, name: impl Into<String>, severity: Severity, text: impl Into<String>) -> Self {
        Self { rule, name: name.into(), severity, text: text.into(), excerpt: String::new() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, excerpt) = (&self.text, &self.excerpt);
        let colon = if text.is_empty() && excerpt.is_empty() { "" } else { ": " };
        let space = if text.is_empty() || excerpt.is_empty() { "" } else { ", " };
        write!(f, "{} {}{colon}{text}{space}{excerpt}", self.rule, self.name)
    }
}

/// Result of inspecting the bytes of one message.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// The payload, reassembled and inflated, if possible.
    pub payload: Option<Vec<u8>>,
    /// Violations in transport and payload.
    pub violations: Vec<Violation>,
}

impl Inspection {
    /// Records a violation at an offset of the payload.
    fn note_at(
        &mut self,
        (rule, severity): (&'static str, Severity),
        name: String,
        text: String,
        payload: &[u8],
        offset: usize,
    ) {
        let excerpt = format!("at byte {offset}: {}", excerpt(payload, offset));
        self.violations.push(Violation { rule, name, severity, text, excerpt });
    }

    fn broken(&mut self, rule: &'static str, name: impl Into<String>, text: impl Into<String>) {
        self.violations.push(Violation::broken(rule, name, text));
    }

    fn odd(&mut self, rule: &'static str, name: impl Into<String>, text: impl Into<String>) {
        self.violations.push(Violation::odd(rule, name, text));
    }

    /// Reads the payload as a message.
    ///
    /// # Errors
    /// Returns the name of the error.
    pub(crate) fn message(&self) -> Result<MessageText, String> {
        let payload = self.payload.as_deref().ok_or("no payload")?;
        reader::message(payload).map(|read| read.message).map_err(|fault| fault.name)
    }
}

/// Maximum datagram size that Logstash reads, in bytes.
const LOGSTASH_DATAGRAM_BYTES: usize = 8192;

/// First second of the year 10000 in Unix time. The process of the log server Seq ends when it receives a
/// message whose timestamp, as a 64-bit float, is this or a later time. Such a timestamp usually has milliseconds
/// instead of seconds.
const YEAR_10000: f64 = 253_402_300_800.0;

/// Inspects the datagrams of one message, in the order in which they were sent. `size` is the maximum
/// datagram size that the sender was asked to use, if any.
pub fn datagrams(sent: &[Vec<u8>], size: Option<usize>) -> Inspection {
    let mut inspection = reassemble(sent, size);
    inspect_payload(&mut inspection);
    inspection
}

/// Reassembles the datagrams of a payload. Records all violations of the transport. The payload need not be a
/// message.
pub(crate) fn reassemble(sent: &[Vec<u8>], size: Option<usize>) -> Inspection {
    let mut inspection = Inspection::default();
    let mut chunks: Vec<Chunk<'_>> = Vec::new();
    // The payloads of the chunks of each message, by sequence number.
    let mut pending: BTreeMap<[u8; 8], BTreeMap<u8, &[u8]>> = BTreeMap::new();
    let mut complete = 0;
    for (at, datagram) in sent.iter().enumerate() {
        let len = datagram.len();
        if let Some(size) = size.filter(|size| len > *size) {
            let text = format!("datagram {at} has {len} bytes, more than {size}");
            inspection.broken("R14", "DatagramSize", text);
        } else if len > LOGSTASH_DATAGRAM_BYTES && size.is_none_or(|size| size <= LOGSTASH_DATAGRAM_BYTES) {
            let text = format!("datagram {at} has {len} bytes; Logstash reads {LOGSTASH_DATAGRAM_BYTES}");
            inspection.odd("R39", "DatagramSize", text);
        }
        let message = if is_chunk(datagram) {
            match Chunk::read(datagram) {
                Ok(chunk) => {
                    chunks.push(chunk);
                    let parts = pending.entry(chunk.id).or_default();
                    parts.entry(chunk.number).or_insert(chunk.payload);
                    if parts.len() < usize::from(chunk.count) {
                        continue;
                    }
                    pending.remove(&chunk.id).unwrap_or_default().into_values().flatten().copied().collect()
                }
                Err(fault) => {
                    let rule = if fault.name == "ChunkCountTooLarge" { "R17" } else { "R15" };
                    let text = match datagram.get(10..CHUNK_HEADER_BYTES) {
                        Some([number, count]) => {
                            format!("datagram {at}: chunk {number} of {count}, counted from 0")
                        }
                        _ => format!("datagram {at}: {len} bytes, fewer than a header"),
                    };
                    inspection.broken(rule, fault.name, text);
                    continue;
                }
            }
        } else {
            datagram.clone()
        };
        if message.is_empty() && !is_chunk(datagram) {
            inspection.broken("R13", "EmptyDatagram", format!("datagram {at}"));
            continue;
        }
        inspect_zlib(&mut inspection, &message);
        match reader::payload(&message) {
            Ok((payload, names)) => {
                complete += 1;
                inspection.payload = Some(payload);
                for name in names {
                    let rule = if name == "SmallWindow" { "R24" } else { "R13" };
                    inspection.broken(rule, name, format!("datagram {at}"));
                }
            }
            Err(fault) => inspection.broken("R13", fault.name, format!("datagram {at}")),
        }
    }
    inspect_chunks(&mut inspection, &chunks);
    if complete > 1 {
        inspection.broken("R16", "SeveralMessages", format!("{complete} messages instead of one"));
    }
    if complete == 0 && inspection.violations.is_empty() && !sent.is_empty() {
        let text = format!("{} datagrams without a complete message", sent.len());
        inspection.broken("R15", "Incomplete", text);
    }
    inspection
}

fn inspect_chunks(inspection: &mut Inspection, chunks: &[Chunk<'_>]) {
    let Some(Chunk { id, count, .. }) = chunks.first().copied() else { return };
    if chunks.iter().any(|chunk| chunk.id != id) {
        inspection.broken("R16", "ChunkId", "the chunks of one message have several ids");
    }
    if chunks.iter().any(|chunk| chunk.count != count) {
        inspection.broken("R15", "ChunkCountMismatch", "the chunks of one message have several counts");
    }
    if chunks.len() != usize::from(count) {
        let text = format!("{} chunks of {count}", chunks.len());
        inspection.broken("R15", "Incomplete", text);
    }
    if count == 1 {
        inspection.odd("R21", "SingleChunk", "a single chunk instead of a plain datagram");
    } else if chunks.iter().any(|chunk| chunk.payload.is_empty()) {
        inspection.odd(
            "R22",
            "EmptyChunk",
            "an empty chunk; some receivers refuse it and never complete the message",
        );
    }
}

/// Checks whether zlib data starts with `78 9c`, the only header that all receivers accept.
fn inspect_zlib(inspection: &mut Inspection, message: &[u8]) {
    match message {
        [0x78, second, ..] if *second != 0x9c && encoding(message) == Encoding::Zlib => {
            let text = format!("zlib header 78 {second:02x}; Logstash accepts only 78 9c");
            inspection.odd("R40", "CompressionHeader", text);
        }
        _ => {}
    }
}

/// Maximum length of an inspected frame in bytes: 64 MiB.
const MAX_STREAM_BYTES: usize = 64 << 20;

/// Inspects the bytes of one message on a TCP stream.
pub fn stream(sent: &[u8]) -> Inspection {
    stream_up_to(MAX_STREAM_BYTES, sent)
}

/// Inspects a stream as [`stream`] does, with this maximum length of an inspected frame.
fn stream_up_to(max_bytes: usize, sent: &[u8]) -> Inspection {
    let mut inspection = Inspection::default();
    if is_chunk(sent) {
        inspection.broken("R25", "ChunkedOnStream", "chunks, which exist over UDP only");
        return inspection;
    }
    let mut stream = Frames::new(max_bytes);
    let (mut frames, mut empty) = (0, 0);
    for frame in stream.push(sent) {
        match frame {
            Frame::Whole(frame) => {
                frames += 1;
                inspection.payload.get_or_insert(frame);
            }
            Frame::Empty => empty += 1,
            Frame::TooLong => {
                frames += 1;
                let text = format!("more than {max_bytes} bytes; the frame is not inspected");
                inspection.odd("R25", "FrameTooLong", text);
            }
        }
    }
    if let Some(frame) = stream.finish() {
        frames += 1;
        inspection.broken("R25", "UnterminatedFrame", "no null byte at the end");
        inspection.payload.get_or_insert(frame);
    }
    if empty > 0 {
        let text = format!("{empty} empty frames; Graylog closes the connection");
        inspection.broken("R36", "EmptyFrame", text);
    }
    if frames > 1 {
        inspection.broken("R25", "SeveralMessages", format!("{frames} frames for one message"));
    }
    if inspection.payload.as_deref().is_some_and(|payload| encoding(payload) != Encoding::Plain) {
        inspection.broken("R25", "CompressedOnStream", "compressed, but frames are never compressed");
        return inspection;
    }
    inspect_payload(&mut inspection);
    inspection
}

/// Reads the payload and records its violations.
fn inspect_payload(inspection: &mut Inspection) {
    let Some(payload) = inspection.payload.take() else { return };
    let (faults, message) = match reader::message(&payload) {
        Ok(read) => (read.faults, Some(read.message)),
        Err(fault) => (vec![fault], None),
    };
    let timestamp = message.and_then(|message| {
        // A timestamp out of range is kept as a field.
        let field = message.fields.into_iter().find(|(name, _)| name == "timestamp");
        message.timestamp.or_else(|| field.map(|(_, value)| value.to_string()))
    });
    let far = timestamp.as_deref().and_then(far_future);
    for reader::Fault { name, at } in faults {
        let text = far.clone().filter(|_| name == "TimestampRange").unwrap_or_default();
        inspection.note_at(rule_of(&name), name, text, &payload, at);
    }
    // A timestamp that already has the violation `TimestampRange` is not reported a second time.
    let is_noted = |violation: &Violation| violation.name == "TimestampRange";
    if let Some(text) = far.filter(|_| !inspection.violations.iter().any(is_noted)) {
        inspection.odd("R6", "TimestampTooLarge", text);
    }
    inspection.payload = Some(payload);
}

/// Describes a timestamp beyond the year 9999 and names the unit that the sender probably used. Returns
/// `None` for any other timestamp.
fn far_future(timestamp: &str) -> Option<String> {
    compare::decimal(timestamp)?;
    let unit = match timestamp.parse::<f64>().ok()? {
        ..YEAR_10000 => return None,
        YEAR_10000..1e14 => "milliseconds",
        1e14..1e17 => "microseconds",
        _ => "nanoseconds",
    };
    Some(format!("{timestamp} is beyond the year 9999, probably {unit}"))
}

/// Returns part of a payload around an offset, as quoted text.
fn excerpt(payload: &[u8], offset: usize) -> String {
    let from = offset.saturating_sub(8);
    let part: Vec<u8> = payload.iter().copied().skip(from).take(offset + 40 - from).collect();
    format!("{:?}", String::from_utf8_lossy(&part))
}

/// Returns the rule that a deviation breaks, and the severity. Two deviations are odd: a field without its
/// underscore, and the field `_id`.
fn rule_of(name: &str) -> (&'static str, Severity) {
    let rule = match name.split_once(' ') {
        Some(("Blank", _)) => "R35",
        Some((_, "version")) => "R2",
        Some((_, "host")) => "R3",
        Some((_, "short_message")) => "R4",
        Some((_, "full_message")) => "R5",
        Some((_, "timestamp")) => "R34",
        Some((_, "level")) => "R7",
        Some(_) => "R8",
        None => match name {
            "UnprefixedField" => return ("R31", Severity::Odd),
            "ReservedField" => return ("R11", Severity::Odd),
            "UnsupportedVersion" => "R2",
            "TimestampRange" => "R6",
            "LevelRange" => "R7",
            "NumberRange" => "R33",
            "FieldName" => "R10",
            "FieldValue" => "R9",
            "DuplicateKey" => "R32",
            "TrailingNul" => "R27",
            _ => "R1",
        },
    };
    (rule, Severity::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zlib_header_is_that_of_the_first_chunk_in_any_order() {
        // `deflated` writes the header 78 9c. The header 78 01 is as valid.
        let mut payload = reader::deflated(br#"{"version":"1.1","host":"h","short_message":"m"}"#, false);
        let names = |payload: &[u8]| {
            let mut chunks = reader::split(payload, CHUNK_HEADER_BYTES + 20).unwrap();
            chunks.reverse();
            let violations = datagrams(&chunks, None).violations;
            violations.into_iter().map(|violation| violation.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&payload), [""; 0]);
        payload[1] = 0x01;
        assert_eq!(names(&payload), ["CompressionHeader"]);
    }

    #[test]
    fn a_frame_above_the_limit_is_a_violation() {
        let message = br#"{"version":"1.1","host":"h","short_message":"m"}"#;
        let names = |sent: &[u8]| {
            let violations = stream_up_to(message.len(), sent).violations;
            violations.iter().map(|violation| format!("{} {}", violation.rule, violation.name)).collect()
        };
        let names: Vec<Vec<String>> = [&[message, &b"\0"[..]].concat(), &[message, &b" \0"[..]].concat()]
            .map(|sent| names(sent))
            .into();
        assert_eq!(names, [vec![], vec!["R25 FrameTooLong".to_owned()]]);
    }
}
