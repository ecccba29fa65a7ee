//! Runs gelf-core as a subject.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use gelf_core::{
    Compression, CompressionLevel, DatagramDeviation, DatagramLimits, DatagramReader, DatagramSize,
    DatagramStats, Decoder, Encoder, FieldName, Framer, Level, Message, Number, Timestamp, Value,
    wire::{Chunker, Compressor, ReassemblyDropReason},
};

use crate::names;
use crate::recipe::Content;
use crate::subject::{Answer, Description, Reply, Request, Subject};
use crate::vector::{FieldValue, Input, Limits, MessageText, Mode, SendRequest, Step};

/// gelf-core as a subject, called in the process of the runner.
#[derive(Clone, Debug)]
pub struct Builtin(Description);

impl Default for Builtin {
    fn default() -> Self {
        let can = ["payload", "datagrams", "stream", "send", "chunk", "clock", "limits", "modes", "names"];
        let notes = "The library of this repository, run in the same process.";
        Self(Description {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sends: ["udp", "tcp"].map(str::to_owned).into(),
            ..Description::new("gelf-core", "Rust", &can, notes)
        })
    }
}

impl Subject for Builtin {
    fn description(&self) -> &Description {
        &self.0
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Reply, String> {
        if matches!(request.input, Input::Http(_)) {
            return Ok(Reply::Unsupported("gelf-core has no sockets".to_owned()));
        }
        answer(request).map(Reply::Named)
    }
}

fn answer(request: Request<'_>) -> Result<Answer, String> {
    let Request { input, limits, mode, .. } = request;
    match input {
        Input::Payload(payload) => {
            let mut answer = Answer::default();
            decode(mode, payload, &mut answer);
            Ok(answer)
        }
        Input::Datagrams(steps) => Ok(datagrams(mode, limits, steps)),
        Input::Stream(pieces) => Ok(stream(mode, limits, pieces)),
        Input::Send(request) => send(request),
        Input::Chunk(request) => {
            let mut answer = Answer::default();
            cut(request.datagram_size, &request.payload, &mut answer);
            Ok(answer)
        }
        Input::Http(_) => Err("gelf-core has no sockets".to_owned()),
    }
}

fn decode(mode: Mode, payload: &[u8], answer: &mut Answer) {
    let mut decoder = match mode {
        Mode::Strict => Decoder::strict(),
        Mode::Lenient => Decoder::lenient(),
    };
    match decoder.decode(payload) {
        Ok(decoded) => {
            answer.messages.push(text_of(&decoded.message));
            answer
                .deviations
                .extend(decoded.deviations.iter().map(|deviation| names::of_deviation(deviation.kind)));
        }
        Err(error) => answer.errors.push(names::of_decode_error(error.kind())),
    }
}

/// Decodes a payload leniently. Returns `None` if it is not a message.
pub(crate) fn decoded(payload: &[u8]) -> Option<MessageText> {
    Decoder::lenient().decode(payload).ok().map(|decoded| text_of(&decoded.message))
}

/// Converts a message to the types of the vectors.
pub fn text_of(message: &Message<'_>) -> MessageText {
    MessageText {
        host: message.host().map(str::to_owned),
        short_message: message.short_message().to_owned(),
        full_message: message.full_message().map(str::to_owned),
        timestamp: message.timestamp().map(|timestamp| timestamp.to_string()),
        level: message.level().map(Level::as_u8),
        fields: message.fields().map(|(name, value)| (name.as_str().to_owned(), value_of(value))).collect(),
    }
}

fn value_of(value: &Value<'_>) -> FieldValue {
    match value {
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::Number(number) => FieldValue::Number { number: number.to_string() },
        other => FieldValue::Text(other.to_string()),
    }
}

fn datagrams(mode: Mode, limits: Limits, steps: &[Step]) -> Answer {
    let mut datagram_limits = DatagramLimits::default();
    let reassembly = &mut datagram_limits.reassembly;
    reassembly.max_entries = limits.pending.unwrap_or(reassembly.max_entries);
    reassembly.max_entries_per_source =
        limits.pending_per_sender.unwrap_or(reassembly.max_entries_per_source);
    datagram_limits.max_payload_bytes = limits.payload.unwrap_or(datagram_limits.max_payload_bytes);
    let mut reader = match mode {
        Mode::Strict => DatagramReader::strict(datagram_limits),
        Mode::Lenient => DatagramReader::lenient(datagram_limits),
    };
    let start = Instant::now();
    let mut answer = Answer::default();
    for step in steps {
        // The times of the vectors have microsecond precision.
        let now = start + Duration::from_micros((step.at * 1e6).round() as u64);
        let before = reader.stats();
        match &step.datagram {
            None => reader.reassembler_mut().handle_timeout(now),
            Some(datagram) => match reader.read(now, step.from.clone(), datagram) {
                Ok(None) => {}
                Ok(Some(payload)) => decode(mode, payload, &mut answer),
                Err(error) => answer.errors.push(names::of_datagram_error(error)),
            },
        }
        let after = reader.stats();
        for (deviation, count) in deviations_since(before, after) {
            answer.deviations.extend((0..count).map(|_| names::of_datagram_deviation(deviation)));
        }
        let duplicates = after.reassembly.duplicates - before.reassembly.duplicates;
        answer.events.extend((0..duplicates).map(|_| "Duplicate".to_owned()));
        while let Some(dropped) = reader.reassembler_mut().poll_dropped() {
            answer.events.push(match dropped.reason {
                ReassemblyDropReason::TooLarge => "MessageTooLarge".to_owned(),
                reason => format!("{reason:?}"),
            });
        }
    }
    answer.pending = reader.stats().reassembly.pending;
    answer
}

/// Returns, for each deviation, how often a reader tolerated it while its counters went from `before`
/// to `after`.
fn deviations_since(before: DatagramStats, after: DatagramStats) -> [(DatagramDeviation, u64); 3] {
    [
        (DatagramDeviation::LegacyHeader, after.legacy_headers - before.legacy_headers),
        (DatagramDeviation::SmallWindow, after.small_windows - before.small_windows),
        (DatagramDeviation::TrailingData, after.trailing_data - before.trailing_data),
    ]
}

fn stream(mode: Mode, limits: Limits, pieces: &[Content]) -> Answer {
    let mut framer = limits.frame.map_or_else(Framer::default, Framer::new);
    let mut buffer = BytesMut::new();
    let mut answer = Answer::default();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(frame) = framer.next_frame(&mut buffer) {
            match frame {
                Ok(frame) => decode(mode, &frame, &mut answer),
                Err(_) => answer.errors.push("FrameTooLong".to_owned()),
            }
        }
    }
    if let Some(frame) = framer.finish(&mut buffer) {
        match mode {
            Mode::Strict => answer.errors.push("UnterminatedFrame".to_owned()),
            Mode::Lenient => {
                answer.deviations.push("UnterminatedFrame".to_owned());
                decode(mode, &frame, &mut answer);
            }
        }
    }
    answer.events.extend((0..framer.empty_frames()).map(|_| "EmptyFrame".to_owned()));
    answer
}

fn send(request: &SendRequest) -> Result<Answer, String> {
    let mut answer = Answer::default();
    let mut payload = BytesMut::new();
    match message_of(&request.message) {
        Ok(message) => Encoder::new().encode(&message, &mut payload),
        Err(name) => {
            answer.errors.push(name.to_owned());
            return Ok(answer);
        }
    }
    let level = CompressionLevel::DEFAULT;
    let compression = match request.compression() {
        "none" => Compression::None,
        "gzip" => Compression::Gzip(level),
        "zlib" => Compression::Zlib(level),
        other => return Err(format!("unknown compression {other:?}")),
    };
    match request.transport.as_str() {
        "udp" => {
            let mut compressor = Compressor::new(compression);
            cut(request.datagram_size, compressor.compress(&payload), &mut answer);
        }
        "tcp" if compression == Compression::None => {
            let mut frame = BytesMut::new();
            match Framer::write_frame(&payload, &mut frame) {
                Ok(()) => answer.sent.push(frame.to_vec()),
                Err(error) => answer.errors.push(format!("{error:?}")),
            }
        }
        "tcp" => answer.errors.push("CompressedOnStream".to_owned()),
        other => return Err(format!("unknown transport {other:?}")),
    }
    Ok(answer)
}

/// Converts a message to gelf-core's types, or returns the name of the error.
pub(crate) fn message_of(text: &MessageText) -> Result<Message<'_>, &'static str> {
    let mut message = Message::new(text.host.as_deref().unwrap_or_default(), text.short_message.as_str());
    if let Some(full_message) = &text.full_message {
        message = message.with_full_message(full_message.as_str());
    }
    if let Some(timestamp) = &text.timestamp {
        message = message.with_timestamp(Timestamp::from_decimal(timestamp).map_err(|_| "TimestampRange")?);
    }
    if let Some(level) = text.level {
        message = message.with_level(Level::try_from(level).map_err(|_| "LevelRange")?);
    }
    for (name, value) in &text.fields {
        let name = FieldName::sanitize(name.as_str());
        let value = match value {
            FieldValue::Bool(value) => Value::Bool(*value),
            FieldValue::Number { number } => {
                Value::Number(Number::parse(number.as_str()).ok_or("FieldValue")?)
            }
            FieldValue::Text(text) => Value::from(text.as_str()),
        };
        message = message.with_sanitized_field(name.as_str().to_owned(), value);
    }
    Ok(message)
}

fn cut(size: u16, payload: &[u8], answer: &mut Answer) {
    match DatagramSize::new(size).map(|size| chunks(size, payload)) {
        Some(Some(datagrams)) => answer.sent = datagrams,
        Some(None) => answer.errors.push("TooManyChunks".to_owned()),
        None => answer.errors.push("DatagramSize".to_owned()),
    }
}

/// Splits a payload into datagrams. Returns `None` if there would be too many datagrams.
fn chunks(size: DatagramSize, payload: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut chunker = Chunker::new(size);
    let wires = chunker.split(payload).ok()?.map(|datagram| {
        let mut wire = Vec::new();
        datagram.write_to(&mut wire);
        wire
    });
    Some(wires.collect())
}
