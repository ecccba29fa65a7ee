//! Replaces invalid UTF-8 in a payload.

use super::text_buffer::{TextBuffer, whole_characters};

/// The length, in bytes, of the windows in which long valid parts are checked.
const WINDOW: usize = 4096;
/// The number of valid ASCII bytes and other characters after which [`push_corrected`] stops and leaves the
/// rest of a valid part to faster functions.
const LONG: usize = 16;
/// The maximum number of characters between two checks of the limit on the result.
const STEPS: usize = 1024;

/// Replaces invalid UTF-8 by U+FFFD. The result is the same as that of [`String::from_utf8_lossy`], but this
/// function is faster for text with many invalid bytes. Returns `None` if the result has more than `limit`
/// bytes.
pub(super) fn corrected(payload: &[u8], limit: usize, buffer: &mut TextBuffer) -> Option<String> {
    buffer.clear();
    let mut rest = payload;
    // Tells whether the last valid part had at least half the length of a window. If it had, the next part is
    // probably long, too.
    let mut is_long = true;
    while !rest.is_empty() && buffer.len() <= limit {
        if is_long {
            rest = push_valid_windows(rest, buffer);
        }
        let Some(chunk) = rest.utf8_chunks().next() else { break };
        buffer.push_str(chunk.valid());
        is_long = chunk.valid().len() >= WINDOW / 2;
        rest = rest.get(chunk.valid().len()..).unwrap_or_default();
        rest = push_corrected(rest, buffer);
    }
    buffer.take().filter(|text| text.len() <= limit)
}

/// Adds valid text to the buffer, a window at a time, and returns the rest, which may begin with valid text.
fn push_valid_windows<'a>(mut text: &'a [u8], buffer: &mut TextBuffer) -> &'a [u8] {
    loop {
        let window = text.first_chunk::<WINDOW>().map_or(text, |window| window);
        let Some((window, rest)) = text.split_at_checked(whole_characters(window)) else { return text };
        match simdutf8::basic::from_utf8(window) {
            Ok(valid) if !valid.is_empty() => buffer.push_str(valid),
            _ => return text,
        }
        text = rest;
    }
}

/// Adds characters, with U+FFFD in place of invalid bytes. Stops within a long valid part, after [`STEPS`]
/// characters, or at the end of the text. Returns the rest of the text.
fn push_corrected<'a>(mut text: &'a [u8], buffer: &mut TextBuffer) -> &'a [u8] {
    let (mut valid, mut steps) = (0, 0);
    while !text.is_empty() && valid < LONG && steps < STEPS {
        let read = match character_len(text) {
            Ok(1) => {
                let len = buffer.push_ascii(text);
                valid += len;
                len
            }
            Ok(len) => {
                valid += 1;
                buffer.push_start(text, len);
                len
            }
            Err(len) => {
                valid = 0;
                buffer.push(char::REPLACEMENT_CHARACTER);
                len
            }
        };
        text = text.get(read..).unwrap_or_default();
        steps += 1;
    }
    text
}

/// Returns the length of the character at the start of `text`. An error is the number of bytes that are
/// replaced by one U+FFFD. This number is the length of an incomplete character, or 1 for a byte with which
/// no character begins (Unicode 16, section 3.9, table 3-7).
#[inline(always)]
fn character_len(text: &[u8]) -> Result<usize, usize> {
    let is_next = |at: usize| matches!(text.get(at), Some(0x80..0xc0));
    let (second, len) = match text {
        [0..0x80, ..] => return Ok(1),
        [0xc2..=0xdf, ..] => (is_next(1), 2),
        [0xe0, second, ..] => (matches!(second, 0xa0..0xc0), 3),
        [0xed, second, ..] => (matches!(second, 0x80..0xa0), 3),
        [0xe1..=0xef, ..] => (is_next(1), 3),
        [0xf0, second, ..] => (matches!(second, 0x90..0xc0), 4),
        [0xf4, second, ..] => (matches!(second, 0x80..0x90), 4),
        [0xf1..=0xf3, ..] => (is_next(1), 4),
        _ => (false, 1),
    };
    match (second, len) {
        (false, _) => Err(1),
        (true, 2) => Ok(2),
        (true, _) if !is_next(2) => Err(2),
        (true, 4) if !is_next(3) => Err(3),
        (true, len) => Ok(len),
    }
}
