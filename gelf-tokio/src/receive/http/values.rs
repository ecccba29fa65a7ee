//! Cuts the body of a request into its values. Lines are delimited by line feeds, and the elements of an
//! array by commas, white space, braces, brackets and strings. The decoder checks later whether a value is
//! JSON.

use bytes::{Buf, Bytes, BytesMut};
use gelf_core::{Delimiter, Framer};

/// The maximum capacity in bytes of a buffer that is kept after its values are taken. A larger buffer is
/// freed.
const RETAINED_BYTES: usize = 256 * 1024;

/// The values of a body that arrives in parts: its lines, or the elements of a JSON array if the first
/// character of the body, apart from white space, is `[`. The boundaries of the parts make no difference.
///
/// A value that is too long is an error and is skipped; the values after it are read. The buffer holds at
/// most a value of the maximum length and one part.
#[derive(Debug)]
pub(super) struct Values {
    max_len: usize,
    state: State,
    buffer: BytesMut,
    /// `true` if the last call of [`next_value`](Self::next_value) has found no complete value.
    is_read: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing but white space, null bytes and a byte order mark has come.
    Start,
    Array(Array),
    Lines(Framer),
}

/// The position between the brackets of an array.
#[derive(Debug, Default)]
struct Array {
    /// The position in the current element; `None` between two elements.
    scan: Option<Scan>,
    /// The number of bytes at the beginning of the buffer that the scan has seen.
    scanned: usize,
    /// `true` while the rest of an element that is too long is skipped.
    skipping: bool,
}

/// The error for a value that is longer than the maximum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooLong;

impl Values {
    /// Creates a reader of values of up to `max_len` bytes.
    pub(super) fn new(max_len: usize) -> Self {
        Self { max_len, state: State::Start, buffer: BytesMut::new(), is_read: false }
    }

    /// Adds a part of the body. The caller takes all complete values before it adds the next part.
    pub(super) fn push(&mut self, part: &[u8]) {
        if self.buffer.is_empty() && self.buffer.capacity() > RETAINED_BYTES {
            self.buffer = BytesMut::new();
        }
        self.buffer.extend_from_slice(part);
    }

    /// Takes the next complete value. The value shares the memory of the buffer.
    pub(super) fn next_value(&mut self) -> Option<Result<Bytes, TooLong>> {
        let value = self.take_value();
        self.is_read = value.is_none();
        value
    }

    fn take_value(&mut self) -> Option<Result<Bytes, TooLong>> {
        if let State::Start = self.state {
            let blank = blank_len(&self.buffer);
            self.buffer.advance(blank);
            self.state = match self.buffer.first()? {
                b'[' => {
                    self.buffer.advance(1);
                    State::Array(Array::default())
                }
                _ => self.lines(),
            };
        }
        if let State::Array(array) = &mut self.state {
            if let Some(element) = array.next_element(&mut self.buffer, self.max_len) {
                return Some(element);
            }
            if array.scan.is_some() || self.buffer.first() != Some(&b']') {
                return None;
            }
            // The array has ended. The rest of the body is read as lines.
            self.buffer.advance(1);
            self.state = self.lines();
        }
        match &mut self.state {
            State::Lines(framer) => loop {
                match framer.next_frame(&mut self.buffer)? {
                    Ok(line) if blank_len(&line) == line.len() => {}
                    line => return Some(line.map_err(|_| TooLong)),
                }
            },
            State::Array(_) | State::Start => None,
        }
    }

    /// Takes the last value, if the value extends to the end of the body.
    pub(super) fn finish(&mut self) -> Option<Bytes> {
        match &mut self.state {
            State::Start => None,
            State::Array(array) => {
                (array.scan.take().is_some() && !array.skipping && !self.buffer.is_empty())
                    .then(|| self.buffer.split().freeze())
            }
            State::Lines(framer) => {
                framer.finish(&mut self.buffer).filter(|line| blank_len(line) < line.len())
            }
        }
    }

    /// Returns whether a value has begun and has not ended. Such a value is lost if the rest of the body does
    /// not come. If the last call of [`next_value`](Self::next_value) has returned a value, the result is `false`,
    /// even if a further value has begun.
    pub(super) fn has_begun_value(&self) -> bool {
        match &self.state {
            State::Start => false,
            State::Array(array) => array.scan.is_some() && !array.skipping,
            State::Lines(_) => self.is_read && blank_len(&self.buffer) < self.buffer.len(),
        }
    }

    fn lines(&self) -> State {
        State::Lines(Framer::new(self.max_len).with_delimiter(Delimiter::Newline))
    }
}

impl Array {
    /// Takes the next complete element. Returns `None` if the buffer has no complete element, or if the array
    /// ends before the next element.
    fn next_element(&mut self, buffer: &mut BytesMut, max_len: usize) -> Option<Result<Bytes, TooLong>> {
        loop {
            let mut scan = match self.scan {
                Some(scan) => scan,
                None => {
                    let between = buffer.iter().take_while(|byte| is_between(**byte)).count();
                    buffer.advance(between);
                    let first = *buffer.first()?;
                    if first == b']' {
                        return None;
                    }
                    self.scanned = 1;
                    Scan::begin(first)
                }
            };
            let Some(end) = scan.end(buffer.split_at(self.scanned).1) else {
                self.scan = Some(scan);
                self.scanned = buffer.len();
                if !self.skipping && buffer.len() <= max_len {
                    return None;
                }
                // The element is too long. The rest of it is skipped, and the error is returned only once.
                buffer.clear();
                self.scanned = 0;
                return (!std::mem::replace(&mut self.skipping, true)).then_some(Err(TooLong));
            };
            self.scan = None;
            let element = buffer.split_to(self.scanned + end);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            return Some(if element.len() <= max_len { Ok(element.freeze()) } else { Err(TooLong) });
        }
    }
}

/// The first value of a body that is to carry only one value.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct FirstValue<'a> {
    pub(super) value: &'a [u8],
    /// The number of values after the first value.
    pub(super) surplus: u64,
}

/// Finds the first value of a body; `None` if there is nothing but white space, null bytes and a byte order mark.
///
/// An object or array ends with its closing brace or bracket. Any other value extends to the end of the body,
/// and so does an object or array without a closing brace or bracket.
pub(super) fn first_value(body: &[u8]) -> Option<FirstValue<'_>> {
    let text = body.split_at(blank_len(body)).1;
    let (first, behind) = text.split_first()?;
    let end = match first {
        b'{' | b'[' => Scan::begin(*first).end(behind),
        _ => None,
    };
    Some(match end {
        Some(end) => {
            let (value, rest) = text.split_at(1 + end);
            FirstValue { value, surplus: count_values(rest) }
        }
        None => FirstValue { value: trim_end(text), surplus: 0 },
    })
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some((last, before)) = text.split_last() {
        if !is_blank(*last) {
            break;
        }
        text = before;
    }
    text
}

fn count_values(mut text: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((first, behind)) = text.split_first() {
        text = behind;
        if is_between(*first) {
            continue;
        }
        count += 1;
        let end = Scan::begin(*first).end(behind).unwrap_or(behind.len());
        text = behind.split_at(end).1;
    }
    count
}

/// Returns the length of the white space, null bytes and byte order mark before the first value.
fn blank_len(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_blank(**byte) || matches!(byte, 0xef | 0xbb | 0xbf)).count()
}

/// Returns whether a byte is white space, or the null byte that senders of frames put after a message.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0
}

/// Returns whether a byte may stand between two values.
fn is_between(byte: u8) -> bool {
    is_blank(byte) || byte == b','
}

/// The position in a value, after its first byte.
#[derive(Clone, Copy, Debug)]
enum Scan {
    /// In an object, array or string.
    Nested { depth: usize, string: bool, escaped: bool },
    /// In a number, a literal, or text that is no JSON.
    Word,
}

impl Scan {
    fn begin(first: u8) -> Self {
        match first {
            b'{' | b'[' => Self::Nested { depth: 1, string: false, escaped: false },
            b'"' => Self::Nested { depth: 0, string: true, escaped: false },
            _ => Self::Word,
        }
    }

    /// Returns the number of `bytes` up to the end of the value; `None` if the value does not end in `bytes`.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let Self::Nested { depth, string, escaped } = self else {
            return bytes
                .iter()
                .position(|byte| is_between(*byte) || matches!(byte, b'{' | b'}' | b'[' | b']' | b'"'));
        };
        for (at, byte) in bytes.iter().enumerate() {
            if *string {
                match byte {
                    _ if *escaped => *escaped = false,
                    b'\\' => *escaped = true,
                    b'"' => *string = false,
                    _ => {}
                }
                // A string outside of objects and arrays is a value, and ends with its closing quotation
                // mark.
                if *string || *depth > 0 {
                    continue;
                }
                return Some(at + 1);
            }
            match byte {
                b'"' => *string = true,
                b'{' | b'[' => *depth += 1,
                b'}' | b']' => *depth -= 1,
                _ => {}
            }
            if *depth == 0 {
                return Some(at + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Value = Result<String, TooLong>;

    fn take(values: &mut Values, taken: &mut Vec<Value>) {
        while let Some(value) = values.next_value() {
            taken.push(value.map(text));
        }
    }

    fn text(value: Bytes) -> String {
        String::from_utf8_lossy(&value).into_owned()
    }

    /// Cuts a body that comes in parts into values of up to `max_len` bytes. Checks that the buffer is
    /// bounded.
    fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>, max_len: usize) -> Vec<Value> {
        let mut values = Values::new(max_len);
        let mut taken = Vec::new();
        for part in parts {
            values.push(part);
            assert!(values.buffer.len() <= max_len + part.len());
            take(&mut values, &mut taken);
            assert!(values.buffer.len() <= max_len, "{}", values.buffer.len());
        }
        taken.extend(values.finish().map(text).map(Ok));
        taken
    }

    fn whole(body: &str) -> Vec<Value> {
        read([body.as_bytes()], 1000)
    }

    fn good(values: &[&str]) -> Vec<Value> {
        values.iter().map(|value| Ok((*value).to_owned())).collect()
    }

    #[test]
    fn lines_end_at_a_line_feed_or_at_the_end_of_the_body() {
        for body in
            ["{\"a\":1}\n{\"b\":2}", "{\"a\":1}\r\n{\"b\":2}\r\n", " \n\n{\"a\":1}\n\0\n{\"b\":2}\n\0"]
        {
            assert_eq!(whole(body), good(&["{\"a\":1}", "{\"b\":2}"]), "{body:?}");
        }
        assert_eq!(whole(""), []);
        assert_eq!(whole(" \r\n\u{feff}\n"), []);
    }

    #[test]
    fn elements_of_an_array_come_out_one_by_one_whatever_they_are() {
        assert_eq!(whole("[]"), []);
        assert_eq!(whole("\u{feff} [ \n ] \n"), []);
        assert_eq!(
            whole(r#"[{"a":[1,{}]} , [2],"x\"]", 3.5,null,{bad}]"#),
            good(&[r#"{"a":[1,{}]}"#, "[2]", r#""x\"]""#, "3.5", "null", "{bad}"])
        );
        assert_eq!(whole("[{}{},,{}true{}]"), good(&["{}", "{}", "{}", "true", "{}"]));
    }

    #[test]
    fn braces_in_strings_and_escaped_quotes_do_not_count() {
        let element = r#"{"a}\"{[":"}]\\","b":"\\\""}"#;
        assert_eq!(whole(&format!("[{element},{element}]")), good(&[element, element]));
        let body = format!(" {element}{element}");
        let first = first_value(body.as_bytes()).unwrap();
        assert_eq!(first, FirstValue { value: element.as_bytes(), surplus: 1 });
    }

    #[test]
    fn text_after_an_array_is_read_as_lines() {
        assert_eq!(whole("[{}]\n{\"a\":1}\n[{}]"), good(&["{}", "{\"a\":1}", "[{}]"]));
        assert_eq!(whole("[1]]\n"), good(&["1", "]"]));
    }

    #[test]
    fn an_incomplete_value_is_recognized() {
        for (body, begun) in [
            ("", false),
            (" \n", false),
            ("[", false),
            ("[{}", false),
            ("[{},", false),
            ("[{},{", true),
            ("{}", true),
            ("{}\n", false),
            ("{}\n ", false),
            ("{}\n{", true),
        ] {
            let mut values = Values::new(1000);
            values.push(body.as_bytes());
            while values.next_value().is_some() {}
            assert_eq!(values.has_begun_value(), begun, "{body:?}");
        }
    }

    #[test]
    fn a_value_counts_as_begun_only_after_next_value_has_returned_none() {
        for body in ["{}\n{}\n{", "[{},{},{"] {
            let mut values = Values::new(1000);
            values.push(body.as_bytes());
            for _ in 0..2 {
                assert!(values.next_value().is_some());
                assert!(!values.has_begun_value(), "{body:?}");
            }
            assert!(values.next_value().is_none());
            assert!(values.has_begun_value(), "{body:?}");
        }
    }

    #[test]
    fn the_first_value_ends_with_its_closing_brace_and_the_other_values_are_counted() {
        let first = |body: &str| {
            let first = first_value(body.as_bytes())?;
            Some((String::from_utf8(first.value.to_vec()).unwrap(), first.surplus))
        };
        let found = |text: &str, surplus| Some((text.to_owned(), surplus));
        assert_eq!(first(""), None);
        assert_eq!(first(" \r\n\0\u{feff}"), None);
        assert_eq!(first("{}"), found("{}", 0));
        assert_eq!(first("\u{feff} {\"a\":{}}\r\n\0"), found("{\"a\":{}}", 0));
        assert_eq!(first("{}\n{}"), found("{}", 1));
        assert_eq!(first("{}\n{},[1,2]\n\"{}\" true{"), found("{}", 5));
        assert_eq!(first("[{},{}]"), found("[{},{}]", 0));
        // A value that is not JSON is returned unchanged.
        assert_eq!(first("no json {}\n"), found("no json {}", 0));
        assert_eq!(first("{\"a\":"), found("{\"a\":", 0));
    }

    proptest! {
        #[test]
        fn the_elements_of_an_array_are_found_however_they_are_spaced(
            elements in prop::collection::vec(
                (
                    prop::sample::select(vec![
                        "{}", "[]", "{\"a\":\"}\\\"\"}", "[[\"]\"],{}]", "\"{\\\\\"", "-1.5e3", "null",
                    ]),
                    "[ \n\t\r]{0,3}",
                    "[ \n\t\r]{0,3}",
                ),
                0..20,
            ),
        ) {
            let spaced: Vec<_> =
                elements.iter().map(|(element, before, behind)| format!("{before}{element}{behind}")).collect();
            let expected: Vec<_> = elements.iter().map(|(element, ..)| *element).collect();
            prop_assert_eq!(whole(&format!("[{}]", spaced.join(","))), good(&expected));
        }
    }
}
