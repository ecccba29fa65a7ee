//! Checks the decoding of messages, the reading of datagrams, and round trips of messages.

use std::time::{Duration, Instant};

use arbitrary::{Result, Unstructured};
use bytes::BytesMut;
use gelf_core::wire::{Chunker, Compressor, MessageId};
use gelf_core::{
    Compression, CompressionLevel, DatagramReader, DatagramSize, DecodeErrorKind, Decoder, Encoder,
    FieldName, Level, Message, Timestamp, Value,
};

/// Checks that a lenient decoder reports no deviation in a message that a strict decoder accepts, and at least
/// one in each other message that it decodes. Also checks that a strict decoder accepts each decoded message
/// after it was encoded again, unless the message then has too many members.
fn decode(payload: &[u8]) {
    let lenient = Decoder::lenient().decode(payload);
    match (Decoder::strict().decode(payload), &lenient) {
        (Ok(strict), Ok(lenient)) => {
            assert_eq!(strict.message, lenient.message);
            assert_eq!(lenient.deviations, []);
        }
        (Ok(_), Err(error)) => panic!("only a strict decoder accepts the payload: {error}"),
        (Err(_), Ok(lenient)) => assert!(!lenient.deviations.is_empty()),
        (Err(_), Err(_)) => {}
    }
    if let Ok(decoded) = lenient {
        let mut sent_on = BytesMut::new();
        Encoder::new().encode(&decoded.message, &mut sent_on);
        match Decoder::strict().decode(&sent_on) {
            Ok(again) => {
                assert_eq!(again.message.fields().count(), decoded.message.fields().count());
                assert_eq!(again.message.timestamp(), decoded.message.timestamp());
            }
            // The encoder adds missing members, so the encoded message can have too many members to decode.
            Err(error) => assert_eq!(error.kind(), DecodeErrorKind::TooManyMembers, "{error}"),
        }
        assert!(!sent_on.contains(&0));
    }
}

/// Checks that a lenient decoder finds no syntax error in JSON that serde_json accepts, and that serde_json
/// accepts all JSON that a strict decoder accepts.
pub fn json_decode(data: &[u8]) {
    decode(data);
    let theirs = serde_json::from_slice::<serde_json::Value>(data);
    if let (Err(error), Ok(_)) = (Decoder::lenient().decode(data), &theirs) {
        let is_json = !matches!(error.kind(), DecodeErrorKind::JsonSyntax | DecodeErrorKind::EmptyPayload);
        assert!(is_json, "only serde_json accepts the payload: {error}");
    }
    if Decoder::strict().decode(data).is_ok() {
        assert!(theirs.is_ok(), "only gelf-core accepts the payload: {theirs:?}");
    }
}

/// Checks that the counters of a reader add up after any datagrams, and checks the decoding of the payloads.
///
/// The byte before each datagram is the length of the datagram in bytes; the last datagram can be shorter. This
/// byte also determines the source of the datagram, and the time that passes before the datagram arrives.
pub fn datagram_decode(data: &[u8]) {
    let mut reader = DatagramReader::<u8>::default();
    let start = Instant::now();
    let (mut elapsed, mut rest) = (0, data);
    while let Some((head, tail)) = rest.split_first() {
        let (datagram, tail) = tail.split_at(tail.len().min(usize::from(*head)));
        elapsed += u64::from(head % 16) * 300;
        rest = tail;
        let now = start + Duration::from_millis(elapsed);
        if let Ok(Some(payload)) = reader.read(now, head % 2, datagram) {
            assert!(!payload.is_empty());
            decode(payload);
        }
        let stats = reader.stats();
        let reads = stats.payloads + stats.chunks + stats.refused_chunks + stats.errors.total();
        assert_eq!(stats.datagrams, reads);
    }
    // The whole input is also read as a single datagram.
    if let Ok(Some(payload)) = DatagramReader::<u8>::default().read(start, 0, data) {
        decode(payload);
    }
}

/// Checks that an encoded message is decoded to the same message. Also checks that a reader returns the payload
/// unchanged after compression and chunking, with chunks in any order and some of them duplicated.
pub fn round_trip(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(message) = any_message(&mut input) else { return };
    let mut payload = BytesMut::new();
    Encoder::new().encode(&message, &mut payload);
    let decoded = Decoder::strict().decode(&payload).expect("the encoded message is GELF 1.1");
    assert_eq!(decoded.message, message);

    let level = CompressionLevel::new(input.int_in_range(1..=9).unwrap_or(1)).expect("1 to 9");
    let compression = match input.int_in_range(0..=2).unwrap_or(0) {
        0 => Compression::None,
        1 => Compression::Gzip(level),
        _ => Compression::Zlib(level),
    };
    let mut compressor = Compressor::new(compression);
    let size = DatagramSize::new(input.int_in_range(13..=1420).unwrap_or(1420)).expect("13 and more");
    let id = MessageId(*b"one id  ");
    let Ok(datagrams) = Chunker::new(size).split_with_id(compressor.compress(&payload), id) else { return };
    let mut wires: Vec<Vec<u8>> = datagrams
        .map(|datagram| {
            let mut wire = Vec::new();
            datagram.write_to(&mut wire);
            wire
        })
        .collect();
    for at in (1..wires.len()).rev() {
        wires.swap(at, input.int_in_range(0..=at).unwrap_or(0));
    }
    let mut reader = DatagramReader::<()>::default();
    let now = Instant::now();
    let last = wires.len() - 1;
    for (at, wire) in wires.iter().enumerate() {
        // A repetition after the last chunk would begin another message.
        let times = if at < last && input.arbitrary().unwrap_or(false) { 2 } else { 1 };
        for time in 0..times {
            let read = reader.read(now, (), wire).expect("the datagram is read");
            assert_eq!(read.is_some(), at == last && time == 0);
            if let Some(read) = read {
                assert_eq!(read, &payload[..]);
            }
        }
    }
}

fn any_message<'a>(input: &mut Unstructured<'a>) -> Result<Message<'a>> {
    let text = |input: &mut Unstructured<'a>| -> Result<&'a str> {
        let text: &str = input.arbitrary()?;
        Ok(if text.trim().is_empty() { "text" } else { text })
    };
    let mut message = Message::new(text(input)?, text(input)?);
    if let Some(full) = input.arbitrary::<Option<&str>>()? {
        message = message.with_full_message(full);
    }
    if let Some(nanos) = input.arbitrary()? {
        message = message.with_timestamp(Timestamp::from_unix_nanos(nanos));
    }
    if let Some(level) = input.arbitrary::<Option<u8>>()? {
        message = message.with_level(Level::try_from(level % 8).expect("0 to 7"));
    }
    for _ in 0..input.int_in_range(0..=8)? {
        let name = FieldName::sanitize(format!("_{}", input.arbitrary::<&str>()?));
        let value = match input.arbitrary::<u8>()? % 4 {
            0 => Value::from(input.arbitrary::<i64>()?),
            1 => Value::from(input.arbitrary::<f64>()?),
            _ => Value::from(input.arbitrary::<&str>()?),
        };
        message = message.with_field(name, value);
    }
    Ok(message)
}
