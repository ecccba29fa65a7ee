//! Gives the fuzz targets of this workspace access to the decoders. This module is not part of the public
//! API.

use bytes::Bytes;
use gelf_core::Timestamp;

use crate::dialect::Dialect;
use crate::engine::{Action, EVENT_MAX, EventReader};
use crate::log::{self, LogStream};

/// The maximum number of bytes that a log decoder buffers after a read: one frame, or the window of a
/// terminal.
pub const LOG_BUFFER_MAX: usize = 1024 * 1024 + 8;

/// The maximum number of bytes that the event decoder keeps after a read.
pub const EVENT_BUFFER_MAX: usize = EVENT_MAX;

/// The framing of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "not a part of the public API")]
pub enum Framing {
    Frames,
    Terminal,
}

impl From<Framing> for log::Framing {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Frames => Self::Frames,
            Framing::Terminal => Self::Terminal,
        }
    }
}

/// A record of the Engine: a line, or a piece of a long line.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "not a part of the public API")]
pub struct Piece {
    pub stream: LogStream,
    pub time: Timestamp,
    pub bytes: Bytes,
}

/// A line of a container.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "not a part of the public API")]
pub struct Line {
    pub stream: LogStream,
    pub time: Timestamp,
    pub bytes: Bytes,
    pub length: usize,
    pub ended: bool,
}

/// The result of decoding a log: pieces, and the texts of format errors.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs, reason = "not a part of the public API")]
pub struct Decoded {
    pub items: Vec<Result<Piece, String>>,
    /// The maximum number of bytes that were buffered after a read.
    pub buffered: usize,
}

/// Decodes a log that arrives in parts.
pub fn decode_log<'a>(framing: Framing, parts: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = log::LogDecoder::new(framing.into(), Dialect::Docker);
    let mut input = log::UndecodedBytes::default();
    let mut decoded = Decoded::default();
    for part in parts {
        input.push(Bytes::copy_from_slice(part));
        if !drain(&mut decoded, || input.decode(&mut decoder)) {
            return decoded;
        }
        decoded.buffered = decoded.buffered.max(input.len());
    }
    drain(&mut decoded, || input.finish(&mut decoder));
    decoded
}

/// Decodes until more bytes are needed, or until an error ends the log. Returns false after such an error.
fn drain(
    decoded: &mut Decoded,
    mut next: impl FnMut() -> Result<Option<log::Piece>, log::LogFormatError>,
) -> bool {
    loop {
        match next() {
            Ok(Some(piece)) => {
                let bytes = piece.record().into();
                decoded.items.push(Ok(Piece { stream: piece.stream, time: piece.time, bytes }));
            }
            Ok(None) => return true,
            Err(error) => {
                decoded.items.push(Err(error.to_string()));
                if error.ends_stream() {
                    return false;
                }
            }
        }
    }
}

/// Joins pieces into lines of at most `max_line` bytes.
pub fn join_lines(framing: Framing, max_line: usize, pieces: impl IntoIterator<Item = Piece>) -> Vec<Line> {
    let mut joiner = log::LineJoiner::with_max_line(framing.into(), max_line);
    let mut lines = Vec::new();
    let mut add = |log::Line { stream, time, bytes, length, ended }| {
        lines.push(Line { stream, time, bytes, length, ended });
    };
    for Piece { stream, time, bytes } in pieces {
        joiner.push(log::Piece::copy(stream, time, &bytes), &mut add);
    }
    joiner.finish(&mut add);
    lines
}

/// An event of a container.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "not a part of the public API")]
pub struct Event {
    pub action: &'static str,
    pub id: String,
    pub attributes: Vec<(String, String)>,
}

/// Decodes an event stream that arrives in parts. Returns the events, the number of invalid events, and the
/// maximum number of bytes that were kept after a read.
pub fn decode_events<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, u64, usize) {
    let mut reader = EventReader::default();
    let (mut events, mut buffered) = (Vec::new(), 0);
    for part in parts {
        let mut rest = part;
        while let Some(event) = reader.next(&mut rest) {
            let action = match event.action {
                Action::Destroy => "destroy",
                Action::Die => "die",
                Action::Kill => "kill",
                Action::Rename => "rename",
                Action::Start => "start",
            };
            let attributes = event.attributes.into_iter().collect();
            events.push(Event { action, id: event.id.to_string(), attributes });
        }
        buffered = buffered.max(reader.kept());
    }
    (events, reader.take_bad(), buffered)
}
