//! Generates valid messages in random notations, encodings and orders, with the expected result.

use std::fmt::Write;

use gelf_core::{Compression, CompressionLevel, wire::Compressor};

use super::case::{Case, Datagram};
use crate::numbers::Numbers;
use crate::vector::{FieldValue, MessageText};

/// Generates a case of one to four messages. Also returns the messages in the order in which they become
/// complete.
pub(super) fn valid(numbers: &mut Numbers) -> (Case, Vec<MessageText>) {
    match numbers.below(8) {
        0 | 1 => {
            let (message, payload) = message(numbers);
            (Case::Payload(payload), vec![message])
        }
        2 | 3 => stream(numbers),
        _ => datagrams(numbers),
    }
}

fn stream(numbers: &mut Numbers) -> (Case, Vec<MessageText>) {
    let mut wire = Vec::new();
    let mut messages = Vec::new();
    for _ in 0..numbers.between(1, 4) {
        let (message, payload) = message(numbers);
        wire.extend(payload);
        wire.push(0);
        messages.push(message);
    }
    (Case::Stream(pieces(&wire, numbers)), messages)
}

/// Splits a stream into pieces of random size.
pub(super) fn pieces(wire: &[u8], numbers: &mut Numbers) -> Vec<Vec<u8>> {
    let most = numbers.pick(&[7, 100, 1000, usize::MAX]).max(wire.len() / 64 + 1);
    let mut pieces = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(numbers.between(1, most.min(rest.len())));
        pieces.push(piece.to_vec());
        rest = tail;
    }
    pieces
}

fn datagrams(numbers: &mut Numbers) -> (Case, Vec<MessageText>) {
    // The datagrams of each message are shuffled, and then interleaved with the datagrams of the other
    // messages. The last datagram of each message decides the order of delivery.
    let mut messages = Vec::new();
    let mut waiting: Vec<(usize, Vec<Datagram>)> = Vec::new();
    for at in 0..numbers.between(1, 3) {
        let (message, payload) = message(numbers);
        let from = numbers.pick(&['A', 'A', 'A', 'B']);
        let mut datagrams = chunks(&packed(&payload, numbers), numbers);
        numbers.shuffle(&mut datagrams);
        match &datagrams[..] {
            // Repeats the first datagram while the message is still incomplete.
            [first, _, ..] if numbers.once_in(4) => {
                let first = first.clone();
                datagrams.insert(1, first);
            }
            _ => {}
        }
        // The datagrams are sent from the end of the list.
        datagrams.reverse();
        waiting.push((
            at,
            datagrams.into_iter().map(|bytes| Datagram { from, ..Datagram::new(bytes) }).collect(),
        ));
        messages.push(message);
    }
    let (mut sent, mut delivered) = (Vec::new(), Vec::new());
    while !waiting.is_empty() {
        let at = numbers.below(waiting.len());
        let Some((message, datagrams)) = waiting.get_mut(at) else { break };
        sent.extend(datagrams.pop());
        if datagrams.is_empty() {
            delivered.extend(messages.get(*message).cloned());
            waiting.swap_remove(at);
        }
    }
    (Case::Datagrams(sent), delivered)
}

/// Compresses a payload or leaves it plain.
pub(super) fn packed(payload: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let level = CompressionLevel::new(numbers.between(1, 9) as u8).unwrap_or_default();
    let compression = match numbers.below(3) {
        0 => Compression::None,
        1 => Compression::Gzip(level),
        _ => Compression::Zlib(level),
    };
    Compressor::new(compression).compress(payload).to_vec()
}

/// Splits a payload into chunks, or leaves it in one datagram.
pub(super) fn chunks(payload: &[u8], numbers: &mut Numbers) -> Vec<Vec<u8>> {
    if payload.len() <= 1420 && numbers.once_in(2) {
        return vec![payload.to_vec()];
    }
    let least = payload.len().div_ceil(128).max(1);
    let size = match numbers.below(3) {
        0 => numbers.between(least, least + 20),
        _ => 1408.max(least),
    };
    let count = payload.len().div_ceil(size).max(1);
    let id = numbers.next().to_be_bytes();
    payload
        .chunks(size)
        .enumerate()
        .map(|(at, part)| [&[0x1e, 0x0f][..], &id, &[at as u8, count as u8], part].concat())
        .collect()
}

/// Generates a message and one of its many JSON notations.
pub(super) fn message(numbers: &mut Numbers) -> (MessageText, Vec<u8>) {
    let mut message =
        MessageText { host: Some(text(numbers, 20)), short_message: text(numbers, 60), ..Default::default() };
    let mut members = vec![
        ("version".to_owned(), "\"1.1\"".to_owned()),
        ("host".to_owned(), quoted(message.host.as_deref().unwrap_or_default(), numbers)),
        ("short_message".to_owned(), quoted(&message.short_message, numbers)),
    ];
    if numbers.once_in(3) {
        let most = numbers.pick(&[100, 100, 3000, 30_000]);
        let full = text(numbers, most);
        members.push(("full_message".to_owned(), quoted(&full, numbers)));
        message.full_message = Some(full);
    }
    if numbers.once_in(2) {
        let timestamp = timestamp(numbers);
        members.push(("timestamp".to_owned(), timestamp.clone()));
        message.timestamp = Some(timestamp);
    }
    if numbers.once_in(2) {
        let level = numbers.below(8) as u8;
        members.push(("level".to_owned(), level.to_string()));
        message.level = Some(level);
    }
    let field_count = numbers.pick(&[0, 1, 3, 8, 8, 40]);
    let mut named = Vec::new();
    for at in 0..field_count {
        // The index makes the name unique.
        let name = format!("f{at}-{}", name(numbers));
        let (value, json) = value(numbers);
        named.push((name, value, json));
    }
    members.extend(named.iter().map(|(name, _, json)| (format!("_{name}"), json.clone())));
    numbers.shuffle(&mut members);
    // Fields are delivered in the order of the JSON text.
    for (member, _) in &members {
        let of_name = named.iter().find(|(name, ..)| member.strip_prefix('_') == Some(name));
        message.fields.extend(of_name.map(|(name, value, _)| (name.clone(), value.clone())));
    }
    let spaced = numbers.once_in(4);
    let mut json = String::from("{");
    for (at, (name, value)) in members.iter().enumerate() {
        let space =
            |numbers: &mut Numbers| if spaced { numbers.pick(&["", " ", "\n", "\t", "\r\n  "]) } else { "" };
        let comma = if at == 0 { "" } else { "," };
        let (before, middle, behind) = (space(numbers), space(numbers), space(numbers));
        let _ = write!(json, "{comma}{before}\"{name}\"{middle}:{behind}{value}{before}");
    }
    json.push('}');
    (message, json.into_bytes())
}

/// Generates a text that is not blank, often with characters of several scripts and control characters.
fn text(numbers: &mut Numbers, most: usize) -> String {
    const EXOTIC: &str = "é|ß|漢|😀|\u{7f}|\u{0}|\n|\t|\"|\\|/|\u{2028}|\u{fffd}|\u{10ffff}";
    let plain = numbers.once_in(2);
    let mut text = String::from(numbers.pick(&["m", "x", "error", "Grüße"]));
    for _ in 0..numbers.below(most) {
        if !plain && numbers.once_in(6) {
            text.push_str(numbers.word(EXOTIC));
        } else {
            text.push(char::from(numbers.between(0x20, 0x7e) as u8));
        }
    }
    text
}

fn name(numbers: &mut Numbers) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    (0..numbers.below(12)).map(|_| char::from(numbers.pick(LETTERS))).collect()
}

fn value(numbers: &mut Numbers) -> (FieldValue, String) {
    let number = |number: String| (FieldValue::Number { number: number.clone() }, number);
    match numbers.below(5) {
        0 => number((numbers.next() as i64 >> numbers.below(64)).to_string()),
        1 => number(format!("{}.{}", numbers.below(100_000), numbers.between(1, 9))),
        _ => {
            let text = if numbers.once_in(10) { String::new() } else { text(numbers, 40) };
            let json = quoted(&text, numbers);
            (FieldValue::Text(text), json)
        }
    }
}

fn timestamp(numbers: &mut Numbers) -> String {
    let seconds = numbers.pick(&[1_u64, 1_385_053_862, 1_700_000_000, 4_000_000_000]);
    match numbers.below(3) {
        0 => seconds.to_string(),
        1 => format!("{seconds}.{:03}", numbers.below(1000)),
        _ => format!("{seconds}.{:06}", numbers.below(1_000_000)),
    }
}

/// Encodes a JSON string, with optional escapes chosen at random.
fn quoted(text: &str, numbers: &mut Numbers) -> String {
    let escape_all = numbers.once_in(8);
    let mut json = String::from("\"");
    for character in text.chars() {
        let unit_escapes = |json: &mut String| {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(json, "\\u{unit:04x}");
            }
        };
        match character {
            _ if escape_all => unit_escapes(&mut json),
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '/' if numbers.once_in(2) => json.push_str("\\/"),
            '\n' if numbers.once_in(2) => json.push_str("\\n"),
            '\t' if numbers.once_in(2) => json.push_str("\\t"),
            '\0'..' ' => unit_escapes(&mut json),
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_cases_are_generated() {
        let (mut payloads, mut streams, mut whole, mut chunked) = (0, 0, 0, 0);
        for number in 0..500 {
            match valid(&mut Numbers::new(4, number)) {
                (Case::Payload(_), messages) => payloads += messages.len(),
                (Case::Stream(_), messages) => streams += messages.len(),
                (Case::Datagrams(datagrams), _) if datagrams.iter().any(Datagram::is_chunk) => chunked += 1,
                (Case::Datagrams(_), _) => whole += 1,
            }
        }
        for count in [payloads, streams, whole, chunked] {
            assert!(count > 20, "{payloads} {streams} {whole} {chunked}");
        }
    }
}
