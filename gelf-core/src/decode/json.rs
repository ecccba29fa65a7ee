//! Provides a pull parser for JSON (RFC 8259), which reads in place.
//!
//! The parser returns the members of one object, borrows text without escapes, and checks the syntax of
//! nested values that it skips. Deviations that only a lenient decoder accepts are recorded as
//! [`Deviation`]s.

use std::borrow::Cow;

use super::text_buffer::TextBuffer;
use super::unescape::{unescape, unescape_in_blocks};
use super::{DecodeError, DecodeErrorKind, Decoder, Deviation, DeviationKind, Limits, MAX_DEPTH};
use crate::encode::escape::{behind_clean, clean_prefix};
use crate::message::number::{behind_number, json_number_len};

/// The number of bytes that are searched for a quotation mark or a backslash before `memchr2` is called. A
/// message can have many strings in which fewer bytes follow the first control character.
const SHORT: usize = 16;

/// The threshold for the sum of a message's escapes and its strings with escapes so far. From this sum on, strings
/// are unescaped in blocks.
const MANY: usize = 1024;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Bool(bool),
    /// The text of an array or object.
    Container(&'a str),
    Null,
    /// The text of a number.
    Number(&'a str),
    Str(Cow<'a, str>),
}

impl<'a> Json<'a> {
    /// Converts the value to text: a string without quotes, any other value as JSON.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Container(text) | Self::Number(text) => Cow::Borrowed(text),
            Self::Null => Cow::Borrowed("null"),
            Self::Str(text) => text,
        }
    }
}

pub(super) struct Reader<'a, 'd> {
    text: &'a str,
    at: usize,
    /// The deviations of the current member, with one entry for each kind.
    deviations: &'d mut Vec<Deviation>,
    /// The number of control characters in the strings of the current member.
    controls: usize,
    /// The number of nested values that the message may still have, see [`Decoder::MAX_NESTED_VALUES`].
    nested_values: usize,
    /// The number of escapes so far. A sequence of invalid UTF-8 counts as four.
    escapes: usize,
    /// The number of strings with escapes so far.
    escaped_strings: usize,
    /// The buffer for strings with escapes.
    buffer: &'d mut TextBuffer,
    limits: Limits,
}

impl<'a, 'd> Reader<'a, 'd> {
    /// Creates a reader for a text. `escapes` is the initial number of escapes: four for each sequence of
    /// invalid UTF-8 that was replaced in the text.
    pub(super) fn new(
        text: &'a str,
        escapes: usize,
        limits: Limits,
        deviations: &'d mut Vec<Deviation>,
        buffer: &'d mut TextBuffer,
    ) -> Self {
        Self {
            text,
            at: 0,
            deviations,
            controls: 0,
            nested_values: Decoder::MAX_NESTED_VALUES,
            escapes,
            escaped_strings: 0,
            buffer,
            limits,
        }
    }

    /// Returns the offset of the next byte.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Records a deviation, or returns it as an error in strict mode.
    pub(super) fn deviate(&mut self, kind: DeviationKind, offset: usize) -> Result<(), DecodeError> {
        self.deviate_times(kind, offset, 1)
    }

    /// Records deviations of one kind, the first of which is at this offset.
    fn deviate_times(&mut self, kind: DeviationKind, offset: usize, count: usize) -> Result<(), DecodeError> {
        if self.limits.strict {
            return Err(DecodeError::new(DecodeErrorKind::Deviation(kind), offset));
        }
        match self.deviations.iter_mut().find(|known| known.kind == kind) {
            Some(known) => known.count += count,
            None => self.deviations.push(Deviation { kind, offset, count }),
        }
        Ok(())
    }

    /// Returns whether there are deviations since the last call of [`deviations`](Self::deviations).
    pub(super) fn has_deviations(&self) -> bool {
        !self.deviations.is_empty()
    }

    fn error<T>(&self, kind: DecodeErrorKind) -> Result<T, DecodeError> {
        Err(DecodeError::new(kind, self.at))
    }

    fn syntax<T>(&self) -> Result<T, DecodeError> {
        self.error(DecodeErrorKind::JsonSyntax)
    }

    #[allow(
        clippy::indexing_slicing,
        reason = "`at` never passes the end: it advances by bytes that were seen"
    )]
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Returns a part of the text that has been read. Both ends of the part must be next to an ASCII character.
    #[allow(clippy::indexing_slicing, reason = "the ends of an ASCII character are character boundaries")]
    fn slice(&self, from: usize, to: usize) -> &'a str {
        &self.text[from..to]
    }

    fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == Some(byte);
        self.at += usize::from(eaten);
        eaten
    }

    fn skip_white_space(&mut self) {
        // Most senders write no white space.
        if self.peek().is_some_and(|byte| byte > b' ') {
            return;
        }
        self.at = self.offset_of(behind_white_space(self.rest()));
    }

    /// Reads up to the first member of the object.
    pub(super) fn begin(&mut self) -> Result<(), DecodeError> {
        if self.text.starts_with('\u{feff}') {
            self.deviate(DeviationKind::ByteOrderMark, 0)?;
            self.at = '\u{feff}'.len_utf8();
        }
        self.skip_white_space();
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Ok(())
            }
            None => self.error(DecodeErrorKind::EmptyPayload),
            Some(_) => {
                // A valid JSON value of another type gives a different error than invalid JSON.
                let start = self.at;
                let value = self.value();
                self.at = start;
                value.and_then(|_| self.error(DecodeErrorKind::NotAnObject))
            }
        }
    }

    /// Reads the name of the next member, up to the value. Returns the name and its offset, or `None` at the
    /// end of the object.
    #[inline(always)]
    pub(super) fn name(&mut self, first: bool) -> Result<Option<(Cow<'a, str>, usize)>, DecodeError> {
        self.skip_white_space();
        if self.eat(b'}') {
            return Ok(None);
        }
        if !first {
            if !self.eat(b',') {
                return self.syntax();
            }
            self.skip_white_space();
            if self.peek() == Some(b'}') {
                self.deviate(DeviationKind::TrailingComma, self.at)?;
                self.at += 1;
                return Ok(None);
            }
        }
        let offset = self.at;
        let name = match self.plain_string() {
            Some(name) => Cow::Borrowed(name),
            None => self.string()?,
        };
        if name.len() > self.limits.max_name_bytes {
            return Err(DecodeError::new(DecodeErrorKind::NameTooLong, offset));
        }
        self.skip_white_space();
        if !self.eat(b':') {
            return self.syntax();
        }
        self.skip_white_space();
        Ok(Some((name, offset)))
    }

    /// Checks the text behind the object.
    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        self.skip_white_space();
        let offset = self.at;
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(());
        }
        let mut blocks = rest.chunks(64);
        let only_nul = blocks
            .all(|block| block.iter().fold(true, |all, byte| all & ((*byte == 0) | is_white_space(*byte))));
        self.deviate(if only_nul { DeviationKind::TrailingNul } else { DeviationKind::TrailingData }, offset)
    }

    /// Reads the value that begins here.
    pub(super) fn value(&mut self) -> Result<Json<'a>, DecodeError> {
        if matches!(self.peek(), Some(b'{' | b'[')) {
            let start = self.at;
            self.skip_container()?;
            return Ok(Json::Container(self.slice(start, self.at)));
        }
        self.scalar()
    }

    fn scalar(&mut self) -> Result<Json<'a>, DecodeError> {
        let rest = self.rest();
        let (len, value) = match self.peek() {
            Some(b'"') => return self.string().map(Json::Str),
            Some(b't') if rest.starts_with(b"true") => (4, Json::Bool(true)),
            Some(b'f') if rest.starts_with(b"false") => (5, Json::Bool(false)),
            Some(b'n') if rest.starts_with(b"null") => (4, Json::Null),
            _ => match json_number_len(rest) {
                Some(len) => (len, Json::Number(self.slice(self.at, self.at + len))),
                None => return self.syntax(),
            },
        };
        self.at += len;
        Ok(value)
    }

    /// Skips an array or object and checks its syntax. Uses no recursion, so nested values need no stack.
    ///
    /// An array may have many tiny values. Therefore the rest of the text is a local variable, which stays in
    /// registers, and the shortest values are checked for first.
    fn skip_container(&mut self) -> Result<(), DecodeError> {
        // The bracket that closes the innermost container, and the brackets that close the containers around
        // it. The message is the outermost level.
        let mut closing = 0;
        let mut outer = [0; MAX_DEPTH - 1];
        let mut depth = 0;
        let mut rest = self.rest();
        loop {
            if self.nested_values == 0 {
                return self.error_at(rest, DecodeErrorKind::TooManyValues);
            }
            self.nested_values -= 1;
            match rest {
                [bracket @ (b'{' | b'['), tail @ ..] => {
                    let Some(place) = outer.get_mut(depth) else {
                        return self.error_at(rest, DecodeErrorKind::TooDeep);
                    };
                    *place = closing;
                    depth += 1;
                    closing = if *bracket == b'{' { b'}' } else { b']' };
                    rest = skip_white_space(tail);
                    if rest.first() != Some(&closing) {
                        if *bracket == b'{' {
                            rest = self.skip_name(rest)?;
                        }
                        continue;
                    }
                }
                [b'"', b'"', tail @ ..] => rest = tail,
                [b'0'..=b'9', tail @ ..] if !matches!(tail, [b'0'..=b'9' | b'.' | b'E' | b'e', ..]) => {
                    rest = tail
                }
                [b'-' | b'0'..=b'9', ..] => match behind_number(rest) {
                    Some(tail) => rest = tail,
                    None => return self.error_at(rest, DecodeErrorKind::JsonSyntax),
                },
                [b'"', ..] => rest = self.skip_string(rest)?,
                _ => rest = self.skip_word(rest)?,
            }
            // A value has ended here, or an empty container has begun. The containers around the value may
            // end here, too.
            loop {
                match rest {
                    [b',', tail @ ..] => {
                        rest = skip_white_space(tail);
                        if rest.first() != Some(&closing) {
                            if closing == b'}' {
                                rest = self.skip_name(rest)?;
                            }
                            break;
                        }
                        self.deviate(DeviationKind::TrailingComma, self.offset_of(rest))?;
                    }
                    [byte, tail @ ..] if *byte == closing => {
                        depth -= 1;
                        closing = outer.get(depth).copied().unwrap_or_default();
                        rest = tail;
                        if depth == 0 {
                            self.at = self.offset_of(rest);
                            return Ok(());
                        }
                    }
                    [b' ' | b'\t' | b'\n' | b'\r', tail @ ..] => rest = skip_white_space(tail),
                    _ => return self.error_at(rest, DecodeErrorKind::JsonSyntax),
                }
            }
        }
    }

    /// Returns the offset of a text that ends where the whole text ends.
    fn offset_of(&self, rest: &[u8]) -> usize {
        self.text.len() - rest.len()
    }

    fn error_at<T>(&self, rest: &[u8], kind: DecodeErrorKind) -> Result<T, DecodeError> {
        Err(DecodeError::new(kind, self.offset_of(rest)))
    }

    /// Skips `true`, `false` or `null` at the start of `rest`.
    fn skip_word(&mut self, rest: &'a [u8]) -> Result<&'a [u8], DecodeError> {
        self.at = self.offset_of(rest);
        self.scalar()?;
        Ok(self.rest())
    }

    /// Skips a member's name and colon at the start of `rest`.
    #[inline(always)]
    fn skip_name(&mut self, rest: &'a [u8]) -> Result<&'a [u8], DecodeError> {
        let rest = match rest {
            [b'"', b'"', tail @ ..] => tail,
            _ => self.skip_string(rest)?,
        };
        match skip_white_space(rest) {
            [b':', tail @ ..] => Ok(skip_white_space(tail)),
            other => self.error_at(other, DecodeErrorKind::JsonSyntax),
        }
    }

    /// Skips a string at the start of `rest`, and checks its syntax. The text is not kept, so even many escapes
    /// take little memory.
    #[inline(always)]
    fn skip_string(&mut self, rest: &'a [u8]) -> Result<&'a [u8], DecodeError> {
        let [b'"', text @ ..] = rest else { return self.error_at(rest, DecodeErrorKind::JsonSyntax) };
        match behind_clean(text) {
            [b'"', tail @ ..] => Ok(tail),
            special => {
                self.at = self.offset_of(special);
                self.skip_special()?;
                Ok(self.rest())
            }
        }
    }

    /// Skips the rest of a string from its first escape or control character on.
    #[inline(never)]
    fn skip_special(&mut self) -> Result<(), DecodeError> {
        if matches!(self.peek(), Some(0..0x20)) {
            self.control_characters()?;
        }
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(())
            }
            Some(b'\\') => self.escaped::<false>(),
            _ => self.syntax(),
        }
    }

    /// Reads a string without escapes and control characters. Reads nothing if no such string begins here.
    ///
    /// Nearly all strings are plain. Returning two registers instead of a [`Cow`] saves a fifth of the
    /// decoding time.
    #[inline(always)]
    pub(super) fn plain_string(&mut self) -> Option<&'a str> {
        let (b'"', text) = self.rest().split_first()? else { return None };
        let start = self.at + 1;
        let end = start + clean_prefix(text);
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        Some(self.slice(start, end))
    }

    /// Reads a string; borrows it unless it has escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        if !self.eat(b'"') {
            return self.syntax();
        }
        let start = self.at;
        loop {
            self.at += clean_prefix(self.rest());
            match self.peek() {
                Some(b'"') => {
                    let text = self.slice(start, self.at);
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => {
                    self.buffer.clear();
                    self.buffer.push_str(self.slice(start, self.at));
                    self.escaped::<true>()?;
                    // The text is UTF-8 and escapes are whole characters, so the error cannot occur.
                    return self.buffer.take().map_or_else(|| self.syntax(), |text| Ok(Cow::Owned(text)));
                }
                Some(_) => self.control_characters()?,
                None => return self.syntax(),
            }
        }
    }

    /// Reads the rest of a string, and adds it to the buffer if `KEEP` is true.
    #[inline(never)]
    fn escaped<const KEEP: bool>(&mut self) -> Result<(), DecodeError> {
        // Control characters behind this offset are read like other characters, and are counted at the end of
        // the string. The offset is `None` until the member has a control character: a member that has one is
        // likely to have more of them.
        let mut controls = (self.controls > 0).then_some(self.at);
        self.escaped_strings += 1;
        loop {
            let (rest, at) = (self.rest(), self.at);
            let room = self.buffer.room(rest.len());
            let raw = controls.is_some();
            let step = if self.escapes + self.escaped_strings >= MANY {
                unescape_in_blocks(rest, raw, room)
            } else if raw {
                unescape::<true>(rest, room)
            } else {
                unescape::<false>(rest, room)
            };
            self.escapes += step.escapes;
            if self.escapes > Decoder::MAX_ESCAPES {
                return self.error(DecodeErrorKind::TooManyEscapes);
            }
            self.at += step.read;
            if KEEP {
                self.buffer.advance(step.written);
            }
            if step.lone_surrogates > 0 {
                let kind = DeviationKind::LoneSurrogate;
                self.deviate_times(kind, at + step.before_first, step.lone_surrogates)?;
            }
            match self.peek() {
                Some(b'"') => {
                    if let Some(from) = controls {
                        self.count_controls(from, self.at)?;
                    }
                    self.at += 1;
                    return Ok(());
                }
                Some(0..0x20) if controls.is_none() => {
                    self.count_controls(self.at, self.at + 1)?;
                    controls = Some(self.at + 1);
                }
                Some(_) if step.read > 0 => {}
                _ => return self.syntax(),
            }
        }
    }

    /// Reads text up to the next quotation mark or backslash. The text begins with a raw control character,
    /// which Graylog accepts. A string may have millions of control characters, so all of them are counted in
    /// one step.
    #[inline(never)]
    fn control_characters(&mut self) -> Result<(), DecodeError> {
        let rest = self.rest();
        let ends = |byte: &u8| matches!(byte, b'"' | b'\\');
        let len = match rest.iter().take(SHORT).position(ends) {
            Some(len) => len,
            None => memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len()),
        };
        self.count_controls(self.at, self.at + len)?;
        self.at += len;
        Ok(())
    }

    /// Counts the control characters of a text. If the member had no control character before this text, the
    /// text must begin with a control character. This character is recorded as a deviation, or returned as an
    /// error in strict mode.
    #[inline]
    #[allow(clippy::indexing_slicing, reason = "the text has been read")]
    fn count_controls(&mut self, from: usize, to: usize) -> Result<(), DecodeError> {
        if self.controls == 0 {
            self.deviate(DeviationKind::ControlCharacter, from)?;
        }
        // The count for a block of 64 bytes fits into a byte, so one vector instruction can add many counts.
        let blocks = self.text.as_bytes()[from..to].chunks(64);
        let counts = blocks.map(|block| block.iter().fold(0, |count, byte| count + u8::from(*byte < 0x20)));
        self.controls += counts.map(usize::from).sum::<usize>();
        Ok(())
    }

    /// Returns the deviations since the last call, with one entry for each kind.
    pub(super) fn deviations(&mut self) -> &mut Vec<Deviation> {
        let controls = std::mem::take(&mut self.controls);
        let kind = DeviationKind::ControlCharacter;
        for known in self.deviations.iter_mut().filter(|known| known.kind == kind) {
            known.count = controls;
        }
        self.deviations
    }
}

/// Returns the text behind the white space at its start.
#[inline(always)]
fn skip_white_space(text: &[u8]) -> &[u8] {
    // Most senders write no white space.
    if text.first().is_some_and(|byte| *byte > b' ') {
        return text;
    }
    behind_white_space(text)
}

fn behind_white_space(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let [b' ' | b'\t' | b'\n' | b'\r', tail @ ..] = rest {
        rest = tail;
        // A text can have millions of spaces. After 32 spaces, a few vector instructions check each block.
        if text.len() - rest.len() == 32 {
            while let Some((block, tail)) = rest.split_first_chunk::<32>() {
                if !block.iter().fold(true, |all, byte| all & is_white_space(*byte)) {
                    break;
                }
                rest = tail;
            }
        }
    }
    rest
}

const fn is_white_space(byte: u8) -> bool {
    (byte == b' ') | (byte == b'\t') | (byte == b'\n') | (byte == b'\r')
}
