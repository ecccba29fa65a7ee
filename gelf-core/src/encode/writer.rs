//! Writes the pieces of a message one after another.
//!
//! The writer extends the buffer ahead of the written part, and truncates the buffer at the end. Since there is always
//! room behind the written part, a small piece is copied with a constant length.

use bytes::BytesMut;

use super::escape::{SLACK, put, reserve, write_escaped};
use crate::message::number::{Digits, Number};
use crate::message::value::Value;

/// The text that is sent for a blank `host` or `short_message`.
pub(crate) const PLACEHOLDER: &str = "-";

/// The options for the values of fields.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ValueOptions {
    /// True if booleans are written as JSON booleans. False if they are written as strings.
    pub(crate) json_booleans: bool,
    /// The maximum length, in bytes, of a string, or of an integer that is outside of `i64` and `u64`.
    pub(crate) max_bytes: usize,
}

impl ValueOptions {
    pub(crate) const DEFAULT: Self = Self { json_booleans: false, max_bytes: usize::MAX };
}

impl Default for ValueOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The text that marks the end of a value that was cut off.
const ELLIPSIS: &str = "…";

/// Returns the longest beginning of a text that ends between characters and leaves room for [`ELLIPSIS`].
#[cold]
fn cut_off(text: &str, max_bytes: usize) -> &str {
    let room = max_bytes.saturating_sub(ELLIPSIS.len());
    let end = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

/// Writes to the end of a buffer.
pub(crate) struct Writer<'a> {
    dst: &'a mut BytesMut,
    /// The end of the written part. The buffer is always at least [`SLACK`] bytes longer.
    at: usize,
}

impl<'a> Writer<'a> {
    /// Creates a writer that expects to write about `expected` bytes.
    pub(crate) fn new(dst: &'a mut BytesMut, expected: usize) -> Self {
        let at = dst.len();
        dst.resize(at + expected + 2 * SLACK, 0);
        Self { dst, at }
    }

    /// Returns the part of the buffer behind the written part.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "the buffer is always longer than its written part")]
    fn room(&mut self) -> &mut [u8] {
        &mut self.dst[self.at..]
    }

    /// Writes a piece of JSON syntax.
    #[inline(always)]
    pub(crate) fn json<const N: usize>(&mut self, bytes: &[u8; N]) {
        const { assert!(N <= SLACK / 2) };
        put(self.room(), *bytes, N);
        self.advance(N);
    }

    /// Writes text that needs no escapes.
    #[allow(clippy::indexing_slicing, reason = "`reserve` makes room for the text")]
    pub(crate) fn plain(&mut self, text: &[u8]) {
        reserve(self.dst, self.at + text.len() + SLACK);
        self.room()[..text.len()].copy_from_slice(text);
        self.advance(text.len());
    }

    /// Writes the text of a string, without the quotes.
    pub(crate) fn escaped(&mut self, text: &str) {
        self.at = write_escaped(text, self.dst, self.at);
    }

    /// Writes `,"_name":value`; the name needs no escapes.
    pub(crate) fn field(&mut self, name: &str, value: &Value<'_>, options: ValueOptions) {
        reserve(self.dst, self.at + name.len() + 2 * SLACK);
        let room = put(self.room(), *br#","_"#, 3);
        let (place, room) = room.split_at_mut(name.len());
        copy_name(name.as_bytes(), place);
        // A string keeps this `":"`. Any other value overwrites it.
        put(room, *br#"":""#, 3);
        self.at += 3 + name.len();
        match value {
            Value::Str(text) => {
                self.at += 3;
                if text.len() <= options.max_bytes {
                    self.escaped(text);
                } else {
                    self.escaped(cut_off(text, options.max_bytes));
                    self.escaped(ELLIPSIS);
                }
                self.json(br#"""#);
            }
            Value::Bool(value) => match (value, options.json_booleans) {
                (true, false) => self.json(br#"":"true""#),
                (false, false) => self.json(br#"":"false""#),
                (true, true) => self.json(br#"":true"#),
                (false, true) => self.json(br#"":false"#),
            },
            Value::Number(number) if number.is_beyond_i64() => {
                self.json(br#"":""#);
                match number.digits() {
                    Digits::Text(text) if text.len() > options.max_bytes => {
                        self.plain(cut_off(text, options.max_bytes).as_bytes());
                        self.plain(ELLIPSIS.as_bytes());
                    }
                    _ => self.number(number),
                }
                self.json(br#"""#);
            }
            Value::Number(number) => {
                self.json(br#"":"#);
                self.number(number);
            }
            // Messages and field sets have no null fields.
            Value::Null => self.json(br#"":null"#),
        }
    }

    fn number(&mut self, number: &Number<'_>) {
        match number.digits() {
            Digits::Negative(integer) => {
                self.json(b"-");
                self.integer(integer);
            }
            Digits::Positive(integer) => self.integer(integer),
            Digits::Text(text) => self.plain(text.as_bytes()),
        }
    }

    /// Writes the digits of an integer.
    #[allow(clippy::indexing_slicing, reason = "`len` is at most the length of `digits`")]
    pub(crate) fn integer(&mut self, mut integer: u64) {
        // The array has a place for each of the 20 digits of `u64::MAX`, and is filled from the end.
        let mut digits = [0; 20];
        let mut len = 0;
        for place in digits.iter_mut().rev() {
            *place = b'0' + (integer % 10) as u8;
            integer /= 10;
            len += 1;
            if integer == 0 {
                break;
            }
        }
        self.plain(&digits[digits.len() - len..]);
    }

    /// Truncates the buffer to the written part.
    pub(crate) fn finish(self) {
        self.dst.truncate(self.at);
    }

    #[inline(always)]
    fn advance(&mut self, len: usize) {
        self.at += len;
        reserve(self.dst, self.at + SLACK);
    }
}

/// Writes the opening brace, `version` and `host`.
pub(crate) fn write_head(host: &str, dst: &mut BytesMut) {
    let mut writer = Writer::new(dst, host.len());
    writer.json(br#"{"version":"1.1","host":""#);
    writer.escaped(or_placeholder(host));
    writer.json(br#"""#);
    writer.finish();
}

/// Replaces a blank text, which is empty or only white space, by the placeholder.
pub(crate) fn or_placeholder(text: &str) -> &str {
    if text.trim_start().is_empty() { PLACEHOLDER } else { text }
}

/// Copies a name to a place of the same length. Most names have 8 to 16 bytes: two overlapping stores copy
/// such a name without a call.
#[inline(always)]
#[allow(
    clippy::indexing_slicing,
    reason = "the place is as long as the name, which has at least 8 bytes in the first arm"
)]
fn copy_name(name: &[u8], place: &mut [u8]) {
    match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) if name.len() <= 16 => {
            place[..8].copy_from_slice(first);
            place[name.len() - 8..].copy_from_slice(last);
        }
        _ => place.copy_from_slice(name),
    }
}
