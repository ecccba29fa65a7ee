//! The pieces of a message, put one behind the other.
//!
//! The buffer is made longer ahead of what is written, and cut at the end: so small pieces are stores of a constant
//! length, and not calls that each look for room.

use bytes::BytesMut;

use crate::escape::{SLACK, put, reserve, write_escaped};
use crate::field::{Number, Value};

/// How [`Value::Bool`] goes out.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "JSON has no third way")]
pub enum Booleans {
    /// As the strings `"true"` and `"false"`, the default: GELF has no booleans, and Graylog drops them.
    #[default]
    Strings,
    /// As JSON's `true` and `false`, for readers that are known to take them, such as Logstash.
    Json,
}

/// Writes to the end of a buffer.
pub(crate) struct Writer<'a> {
    dst: &'a mut BytesMut,
    /// Where the written part ends; behind it, there is always room for [`SLACK`] bytes.
    at: usize,
}

impl<'a> Writer<'a> {
    /// A writer that expects about so many bytes.
    pub(crate) fn new(dst: &'a mut BytesMut, expected: usize) -> Self {
        let at = dst.len();
        dst.resize(at + expected + 2 * SLACK, 0);
        Self { dst, at }
    }

    /// A piece of JSON's own.
    #[inline(always)]
    pub(crate) fn json<const N: usize>(&mut self, bytes: &[u8; N]) {
        const { assert!(N <= SLACK / 2) };
        put(self.dst.get_mut(self.at..).unwrap_or_default(), *bytes, N);
        self.advance(N);
    }

    /// Text that needs no escapes.
    pub(crate) fn plain(&mut self, text: &[u8]) {
        reserve(self.dst, self.at + text.len() + SLACK);
        if let Some(room) = self.dst.get_mut(self.at..).and_then(|room| room.get_mut(..text.len())) {
            room.copy_from_slice(text);
        }
        self.advance(text.len());
    }

    /// Text between the quotes of a string.
    pub(crate) fn escaped(&mut self, text: &str) {
        self.at = write_escaped(text, self.dst, self.at);
    }

    /// `,"_name":value`; the name needs no escapes.
    pub(crate) fn field(&mut self, name: &str, value: &Value<'_>, booleans: Booleans) {
        reserve(self.dst, self.at + name.len() + 2 * SLACK);
        let room = put(self.dst.get_mut(self.at..).unwrap_or_default(), *br#","_"#, 3);
        if let Some((place, room)) = room.split_at_mut_checked(name.len()) {
            copy_name(name.as_bytes(), place);
            put(room, *br#"":""#, 3);
        }
        self.at += 3 + name.len();
        match value {
            Value::Str(text) => {
                // The `":"` that stands there already.
                self.at += 3;
                self.escaped(text);
                self.json(br#"""#);
            }
            Value::Bool(value) => match (value, booleans) {
                (true, Booleans::Strings) => self.json(br#"":"true""#),
                (false, Booleans::Strings) => self.json(br#"":"false""#),
                (true, Booleans::Json) => self.json(br#"":true"#),
                (false, Booleans::Json) => self.json(br#"":false"#),
            },
            Value::Number(number) if number.is_beyond_i64() => {
                self.json(br#"":""#);
                self.number(number);
                self.json(br#"""#);
            }
            Value::Number(number) => {
                self.json(br#"":"#);
                self.number(number);
            }
        }
    }

    fn number(&mut self, number: &Number<'_>) {
        match number.as_i64() {
            Some(integer) => {
                if integer < 0 {
                    self.json(b"-");
                }
                self.integer(integer.unsigned_abs());
            }
            None => match number.text() {
                Some(text) => self.plain(text.as_bytes()),
                None => self.integer(number.as_u64().unwrap_or_default()),
            },
        }
    }

    /// The digits of an integer.
    pub(crate) fn integer(&mut self, mut integer: u64) {
        // As many as u64::MAX has, filled from the end.
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
        self.plain(digits.get(digits.len() - len..).unwrap_or_default());
    }

    /// Cuts off what was not written.
    pub(crate) fn finish(self) {
        self.dst.truncate(self.at);
    }

    #[inline(always)]
    fn advance(&mut self, len: usize) {
        self.at += len;
        reserve(self.dst, self.at + SLACK);
    }
}

/// Copies a name, of which most have 8 to 16 bytes: two stores that overlap, in place of a call.
#[inline(always)]
fn copy_name(name: &[u8], place: &mut [u8]) {
    if name.len() <= 16
        && let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>())
    {
        if let Some(place) = place.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = place.last_chunk_mut() {
            *place = *last;
        }
    } else {
        place.copy_from_slice(name);
    }
}
