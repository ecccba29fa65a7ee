//! Decodes the log files of Docker's `json-file` driver.
//!
//! A file has a record on each line. The text of a record ends with a newline, unless the container's line goes
//! on in a later record or is unfinished. The member `attrs` exists only if options of the driver, such as
//! `tag`, ask for it. The decoder ignores `attrs`, as the Engine does. A record looks like this:
//!
//! ```text
//! {"log":"text\n","stream":"stdout","attrs":{"tag":"web"},"time":"2026-11-22T22:44:18.123456789Z"}
//! ```

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use gelf_core::Timestamp;
use memchr::{memchr, memchr2, memmem};
use serde_json::Value;

use super::error::LogFormatError;
use super::piece::Piece;
use super::stream::LogStream;

/// The maximum length of a record whose newline has not been read yet: 1 MiB. A record has at most 16 KiB of
/// text, which take at most 96 KiB in JSON. Without a maximum, a damaged file without newlines would fill the
/// memory.
const RECORD_MAX: usize = 1024 * 1024;

/// The start of each record that Docker writes. Further behind in a record, these bytes can occur only in
/// `attrs`, since quotes within a text are escaped.
const START: &[u8] = b"{\"log\":\"";

/// Decodes the bytes of a file, no matter how they are split into reads.
#[derive(Debug, Default)]
pub(crate) struct JsonFileDecoder {
    /// True if the bytes up to the next newline belong to a record that is too long, which has been reported
    /// as damaged.
    skips: bool,
}

impl JsonFileDecoder {
    /// Takes the next piece from the front of `input`. If `input` has no whole record, at most [`RECORD_MAX`] bytes
    /// stay in `input`.
    ///
    /// # Errors
    /// Returns [`LogFormatError::DamagedRecord`] for each damaged record, which is removed from `input`. If a
    /// further record begins on the same line, the next call returns that record.
    pub(super) fn decode(
        &mut self,
        input: &mut (impl Buf + AsRef<[u8]>),
    ) -> Result<Option<Piece>, LogFormatError> {
        loop {
            let bytes = input.as_ref();
            let Some(end) = memchr(b'\n', bytes) else {
                let length = bytes.len();
                if length <= RECORD_MAX {
                    return Ok(None);
                }
                input.advance(length);
                match std::mem::replace(&mut self.skips, true) {
                    true => return Ok(None),
                    false => return Err(LogFormatError::DamagedRecord),
                }
            };
            let (record, _) = bytes.split_at(end);
            let piece = parse(record);
            let next = match piece {
                Some(_) => None,
                None => memmem::find(record.get(1..).unwrap_or_default(), START),
            };
            input.advance(next.map_or(end, |at| at) + 1);
            let was_counted = std::mem::take(&mut self.skips);
            match piece {
                Some(piece) => return Ok(Some(piece)),
                None if was_counted => {}
                None => return Err(LogFormatError::DamagedRecord),
            }
        }
    }

    /// Ends a file. Returns an error if the file ends within a record that has not been reported as damaged.
    pub(super) fn end_file(&mut self, input: &mut impl Buf) -> Result<(), LogFormatError> {
        let length = input.remaining();
        input.advance(length);
        match std::mem::take(&mut self.skips) || length == 0 {
            true => Ok(()),
            false => Err(LogFormatError::DamagedRecord),
        }
    }
}

/// Parses a record, without its newline. Returns `None` if the record is damaged.
pub(crate) fn parse(record: &[u8]) -> Option<Piece> {
    parse_usual(record).or_else(|| parse_any(record))
}

/// Parses a record in the form in which Docker writes it.
fn parse_usual(record: &[u8]) -> Option<Piece> {
    let (bytes, has_newline, rest) = unescape(record.strip_prefix(START)?)?;
    let rest = rest.strip_prefix(b",\"stream\":\"std")?;
    let (stream, rest) = match rest.strip_prefix(b"out\"") {
        Some(rest) => (LogStream::Stdout, rest),
        None => (LogStream::Stderr, rest.strip_prefix(b"err\"")?),
    };
    const TIME: &[u8] = b",\"time\":\"";
    let time = match rest.strip_prefix(TIME) {
        Some(time) => time,
        None => {
            // The time is the last member.
            let attributes = rest.strip_prefix(b",\"attrs\":{")?;
            let at = attributes.windows(TIME.len()).rposition(|bytes| bytes == TIME)?;
            attributes.get(at + TIME.len()..)?
        }
    };
    let time = Timestamp::from_rfc3339_bytes(time.strip_suffix(b"\"}")?).ok()?;
    Some(Piece { stream, time, bytes, has_newline })
}

/// Decodes a JSON string whose opening quote is already taken. Returns the text without a final newline,
/// whether there was a final newline, and the bytes behind the closing quote. Returns `None` if the string
/// has no end, or has an escape that this function does not read. Docker writes few of the escapes of JSON.
fn unescape(json: &[u8]) -> Option<(Bytes, bool, &[u8])> {
    let at = memchr2(b'"', b'\\', json)?;
    let (plain, escaped) = json.split_at(at);
    if let Some(rest) = escaped.strip_prefix(b"\\n\"") {
        // The text of most records has no other escape.
        return Some((Bytes::copy_from_slice(plain), true, rest));
    }
    let mut text = plain.to_vec();
    let mut rest = escaped;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => {
                let has_newline = text.last() == Some(&b'\n');
                text.truncate(text.len() - usize::from(has_newline));
                return Some((text.into_boxed_slice().into(), has_newline, rest));
            }
            [b'\\', b'u', hex @ ..] => {
                let (digits, rest) = hex.split_at_checked(4)?;
                let digits = std::str::from_utf8(digits).ok()?;
                // A surrogate alone is not a character. `parse_any` decodes pairs of surrogates.
                let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest
            }
            [b'\\', escape, rest @ ..] => {
                text.push(match escape {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'"' | b'\\' | b'/' => *escape,
                    _ => return None,
                });
                rest
            }
            _ => return None,
        };
        let (plain, behind) = rest.split_at(memchr2(b'"', b'\\', rest)?);
        text.extend_from_slice(plain);
        rest = behind;
    }
}

/// Parses a record in the form of any JSON object.
fn parse_any(record: &[u8]) -> Option<Piece> {
    let members: BTreeMap<String, Value> = serde_json::from_slice(record).ok()?;
    let text = |name| members.get(name).and_then(Value::as_str);
    let stream = match text("stream") {
        Some("stderr") => LogStream::Stderr,
        _ => LogStream::Stdout,
    };
    let time = Timestamp::from_rfc3339(text("time")?).ok()?;
    Some(Piece::copy(stream, time, text("log").unwrap_or_default().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use proptest::prelude::*;

    const TIME: &str = "2026-11-22T22:44:18.5Z";

    fn record(text: &str) -> String {
        format!("{{\"log\":{},\"stream\":\"stderr\",\"time\":\"{TIME}\"}}\n", serde_json::json!(text))
    }

    /// Decodes `bytes` in parts of `step` bytes. An error counts as the text `!`.
    fn decode(bytes: &[u8], step: usize) -> Vec<String> {
        let (mut decoder, mut input) = (JsonFileDecoder::default(), BytesMut::new());
        let mut texts = Vec::new();
        for part in bytes.chunks(step) {
            input.extend_from_slice(part);
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(piece)) => texts.push(String::from_utf8(piece.record()).unwrap()),
                    Ok(None) => break,
                    Err(_) => texts.push("!".to_owned()),
                }
            }
            assert!(input.len() <= RECORD_MAX);
        }
        if decoder.end_file(&mut input).is_err() {
            texts.push("!".to_owned());
        }
        texts
    }

    #[test]
    fn a_record_has_its_stream_and_time_whatever_else_it_has() {
        let parsed = |record: &str| {
            let piece = parse(record.as_bytes()).unwrap();
            (piece.stream, piece.time.to_rfc3339().unwrap(), String::from_utf8(piece.record()).unwrap())
        };
        let time = Timestamp::from_rfc3339(TIME).unwrap().to_rfc3339().unwrap();
        for (members, stream, text) in [
            (r#""log":"a\n","stream":"stdout","#, LogStream::Stdout, "a\n"),
            (r#""log":"","stream":"stderr","#, LogStream::Stderr, ""),
            (
                r#""log":"a","stream":"stdout","attrs":{"time":"}\",\"time\":\"x","b":"}"},"#,
                LogStream::Stdout,
                "a",
            ),
            (r#""log":"\u003c\ud83d\ude00\b","stream":"stdout","#, LogStream::Stdout, "<\u{1f600}\u{8}"),
            (
                r#""log":"\ud83d\ude00","stream":"stderr","attrs":{"tag":"web"},"#,
                LogStream::Stderr,
                "\u{1f600}",
            ),
            (r#" "stream" : "stderr", "log":"b\n","#, LogStream::Stderr, "b\n"),
            ("", LogStream::Stdout, ""),
        ] {
            let record = format!("{{{members}\"time\":\"{TIME}\"}}");
            assert_eq!(parsed(&record), (stream, time.clone(), text.to_owned()), "{record}");
        }
    }

    #[test]
    fn damage_costs_only_the_records_that_it_touches() {
        let (a, b, c) = (record("a\n"), record("b\n"), record("c\n"));
        let half = &b[..b.len() / 2];
        let nul = "\0".repeat(4096);
        for (bytes, expected) in [
            (format!("{a}{half}{c}"), &["a\n", "!", "c\n"][..]),
            (format!("{a}{nul}{c}"), &["a\n", "!", "c\n"]),
            (format!("{a}{half}{nul}{half}\n{c}"), &["a\n", "!", "!", "c\n"]),
            (format!("{a}\n{c}"), &["a\n", "!", "c\n"]),
            (format!("{a}{half}"), &["a\n", "!"]),
            (format!("{a}{}\n{c}", "x".repeat(3 * RECORD_MAX)), &["a\n", "!", "c\n"]),
            (format!("{a}{}", "x".repeat(3 * RECORD_MAX)), &["a\n", "!"]),
        ] {
            for step in [1000, bytes.len()] {
                assert_eq!(decode(bytes.as_bytes(), step), expected, "{step}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_file_that_arrives_in_parts_has_the_written_texts(
            texts in prop::collection::vec(".{0,40}\n?", 1..8),
            escapes in any::<bool>(),
            step in 1usize..200,
        ) {
            let mut file: String = texts.iter().map(|text| record(text)).collect();
            if escapes {
                // serde_json writes these characters without an escape. Docker escapes `<` and `&`.
                file = file.replace('<', "\\u003c").replace('&', "\\u0026").replace('é', "\\u00e9");
            }
            prop_assert_eq!(decode(file.as_bytes(), step), texts);
        }
    }
}
