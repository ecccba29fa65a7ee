//! Checks the bytes of a sender against the rules.

mod http;
mod values;

use std::fmt;
use std::time::Instant;

use gelf_core::{
    DatagramDeviation, DatagramReader, DecodeErrorKind, Decoder, DeviationKind, Framer, Message,
    wire::{ChunkHeader, Encoding, InvalidChunk},
};

use serde::Serialize;

use crate::builtin::deviations_since;
use crate::names;
pub use http::{GRAYLOG_BODY_BYTES, HttpInspection, request, request_fault};
pub use values::bulk_values;

/// A broken rule.
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
    /// The specification allows the bytes, but a known receiver refuses them, or they are wasteful.
    Odd,
    /// The specification forbids the bytes.
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
        payload: &[u8],
        offset: usize,
    ) {
        let excerpt = format!("at byte {offset}: {}", excerpt(payload, offset));
        self.violations.push(Violation { rule, name, severity, text: String::new(), excerpt });
    }

    fn broken(&mut self, rule: &'static str, name: impl Into<String>, text: impl Into<String>) {
        self.violations.push(Violation::broken(rule, name, text));
    }

    fn odd(&mut self, rule: &'static str, name: impl Into<String>, text: impl Into<String>) {
        self.violations.push(Violation::odd(rule, name, text));
    }

    /// Decodes the message leniently.
    ///
    /// # Errors
    /// Returns the name of the decoding error.
    pub fn message(&self) -> Result<Message<'_>, String> {
        let payload = self.payload.as_deref().ok_or("no payload")?;
        let decoded =
            Decoder::lenient().decode(payload).map_err(|error| names::of_decode_error(error.kind()))?;
        Ok(decoded.message)
    }
}

/// Maximum datagram size that Logstash reads, in bytes.
const LOGSTASH_DATAGRAM_BYTES: usize = 8192;

/// First second of the year 10000 in Unix time. A message with this or a later timestamp ends the process of
/// Seq. The usual cause of such timestamps is milliseconds instead of seconds.
const YEAR_10000: i64 = 253_402_300_800;

/// Inspects the datagrams of one message, in the order in which they were sent. `size` is the maximum
/// datagram size that the sender was asked to use, if any.
pub fn datagrams(sent: &[Vec<u8>], size: Option<usize>) -> Inspection {
    let mut inspection = reassemble(sent, size);
    inspect_zlib(&mut inspection, sent);
    inspect_payload(&mut inspection);
    inspection
}

/// Inspects the datagrams of a payload, except for its zlib header. The payload need not be a message.
pub(crate) fn reassemble(sent: &[Vec<u8>], size: Option<usize>) -> Inspection {
    let mut inspection = Inspection::default();
    let mut chunks: Vec<(ChunkHeader, usize)> = Vec::new();
    let mut reader = DatagramReader::<()>::lenient(Default::default());
    let now = Instant::now();
    let mut complete = 0;
    for (at, datagram) in sent.iter().enumerate() {
        let len = datagram.len();
        if let Some(size) = size.filter(|size| len > *size) {
            inspection.broken("R14", "DatagramSize", format!("datagram {at} has {len} bytes, not {size}"));
        } else if len > LOGSTASH_DATAGRAM_BYTES && size.is_none_or(|size| size <= LOGSTASH_DATAGRAM_BYTES) {
            let text = format!("datagram {at} has {len} bytes; Logstash reads {LOGSTASH_DATAGRAM_BYTES}");
            inspection.odd("R39", "DatagramSize", text);
        }
        if datagram.starts_with(&ChunkHeader::MAGIC) {
            match ChunkHeader::parse(datagram) {
                Ok((header, payload)) => chunks.push((header, payload.len())),
                Err(error) => {
                    let rule =
                        if matches!(error, InvalidChunk::CountTooLarge { .. }) { "R17" } else { "R15" };
                    inspection.broken(rule, names::of_chunk_error(error), format!("datagram {at}: {error}"));
                }
            }
        }
        let before = reader.stats();
        match reader.read(now, (), datagram) {
            Ok(None) => {}
            Ok(Some(payload)) => {
                complete += 1;
                inspection.payload = Some(payload.to_vec());
            }
            // Chunk headers are checked above, and the counts in them below.
            Err(gelf_core::DatagramError::Chunk(_)) => {}
            Err(error) => {
                inspection.broken("R13", names::of_datagram_error(error), format!("datagram {at}: {error}"));
            }
        }
        for (deviation, count) in deviations_since(before, reader.stats()) {
            let rule = if deviation == DatagramDeviation::SmallWindow { "R24" } else { "R13" };
            if count > 0 {
                inspection.broken(rule, names::of_datagram_deviation(deviation), format!("datagram {at}"));
            }
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

/// Inspects the datagrams of a payload, including its zlib header. The payload need not be a message.
pub(crate) fn cut(sent: &[Vec<u8>], size: usize) -> Inspection {
    let mut inspection = reassemble(sent, Some(size));
    inspect_zlib(&mut inspection, sent);
    inspection
}

fn inspect_chunks(inspection: &mut Inspection, chunks: &[(ChunkHeader, usize)]) {
    let Some((first, _)) = chunks.first() else { return };
    let count = first.sequence_count();
    if chunks.iter().any(|(header, _)| header.id() != first.id()) {
        inspection.broken("R16", "ChunkId", "the chunks of one message have several ids");
    }
    if chunks.iter().any(|(header, _)| header.sequence_count() != count) {
        inspection.broken("R15", "ChunkCountMismatch", "the chunks of one message have several counts");
    }
    if chunks.len() != usize::from(count) {
        let text = format!("{} chunks of {count}", chunks.len());
        inspection.broken("R15", "Incomplete", text);
    }
    if count == 1 {
        inspection.odd("R21", "SingleChunk", "a single chunk instead of a plain datagram");
    } else if chunks.iter().any(|(_, len)| *len == 0) {
        inspection.odd(
            "R22",
            "EmptyChunk",
            "an empty chunk; some receivers refuse it and never complete the message",
        );
    }
}

/// Checks whether zlib data starts with the header that all receivers know.
fn inspect_zlib(inspection: &mut Inspection, sent: &[Vec<u8>]) {
    let joined: Vec<u8> = sent
        .iter()
        .flat_map(|datagram| match ChunkHeader::parse(datagram) {
            Ok((_, payload)) => payload,
            Err(_) => datagram,
        })
        .take(2)
        .copied()
        .collect();
    match joined[..] {
        [first @ 0x78, second] if second != 0x9c && Encoding::sniff(&joined) == Encoding::Zlib => {
            let text = format!("zlib header {first:02x} {second:02x}; Logstash accepts only 78 9c");
            inspection.odd("R40", "CompressionHeader", text);
        }
        _ => {}
    }
}

/// Inspects the bytes of one message on a TCP stream.
pub fn stream(sent: &[u8]) -> Inspection {
    let mut inspection = Inspection::default();
    if sent.starts_with(&ChunkHeader::MAGIC) {
        inspection.broken("R25", "ChunkedOnStream", "chunks, which exist over UDP only");
        return inspection;
    }
    let mut framer = Framer::new(64 << 20);
    let mut buffer = sent.into();
    let mut frames = 0;
    while let Some(frame) = framer.next_frame(&mut buffer) {
        if let Ok(frame) = frame {
            frames += 1;
            inspection.payload.get_or_insert_with(|| frame.to_vec());
        }
    }
    if let Some(frame) = framer.finish(&mut buffer) {
        frames += 1;
        inspection.broken("R25", "UnterminatedFrame", "no null byte at the end");
        inspection.payload.get_or_insert_with(|| frame.to_vec());
    }
    if framer.empty_frames() > 0 {
        let text = format!("{} empty frames; Graylog closes the connection", framer.empty_frames());
        inspection.broken("R36", "EmptyFrame", text);
    }
    if frames > 1 {
        inspection.broken("R25", "SeveralMessages", format!("{frames} frames for one message"));
    }
    if inspection.payload.as_deref().is_some_and(|payload| Encoding::sniff(payload) != Encoding::Plain) {
        inspection.broken("R25", "CompressedOnStream", "compressed, but frames are never compressed");
        return inspection;
    }
    inspect_payload(&mut inspection);
    inspection
}

/// Decodes the payload and records its violations.
fn inspect_payload(inspection: &mut Inspection) {
    let Some(payload) = inspection.payload.take() else { return };
    match Decoder::lenient().decode(&payload) {
        Ok(decoded) => {
            for deviation in &decoded.deviations {
                let name = names::of_deviation(deviation.kind);
                inspection.note_at(rule_of(deviation.kind), name, &payload, deviation.offset);
            }
            if let Some(timestamp) = decoded.message.timestamp() {
                if timestamp.as_unix().0 >= YEAR_10000 {
                    let text = format!("{timestamp} is beyond the year 9999, probably milliseconds");
                    inspection.odd("R6", "TimestampTooLarge", text);
                }
            }
        }
        Err(error) => {
            let rule = match error.kind() {
                DecodeErrorKind::Deviation(kind) => rule_of(kind),
                _ => ("R1", Severity::Broken),
            };
            inspection.note_at(rule, names::of_decode_error(error.kind()), &payload, error.offset());
        }
    }
    inspection.payload = Some(payload);
}

/// Returns part of a payload around an offset, as quoted text.
fn excerpt(payload: &[u8], offset: usize) -> String {
    let from = offset.saturating_sub(8);
    let part: Vec<u8> = payload.iter().copied().skip(from).take(offset + 40 - from).collect();
    format!("{:?}", String::from_utf8_lossy(&part))
}

/// Returns the rule that a deviation breaks. Deviations that the specification does not forbid are odd.
pub(crate) fn rule_of(kind: DeviationKind) -> (&'static str, Severity) {
    use gelf_core::Member;
    let broken = |rule| (rule, Severity::Broken);
    match kind {
        DeviationKind::UnprefixedField => ("R31", Severity::Odd),
        DeviationKind::UnsupportedVersion => broken("R2"),
        DeviationKind::Blank(_) => broken("R35"),
        DeviationKind::Missing(member) | DeviationKind::WrongType(member) => broken(match member {
            Member::Version => "R2",
            Member::Host => "R3",
            Member::ShortMessage => "R4",
            Member::FullMessage => "R5",
            Member::Timestamp => "R34",
            Member::Level => "R7",
            _ => "R8",
        }),
        DeviationKind::TimestampRange => broken("R6"),
        DeviationKind::LevelRange => broken("R7"),
        DeviationKind::NumberRange => broken("R33"),
        DeviationKind::FieldName => broken("R10"),
        DeviationKind::ReservedField => ("R11", Severity::Odd),
        DeviationKind::FieldValue => broken("R9"),
        DeviationKind::DuplicateKey => broken("R32"),
        DeviationKind::TrailingNul => broken("R27"),
        _ => broken("R1"),
    }
}
