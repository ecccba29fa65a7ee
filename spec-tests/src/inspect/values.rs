//! Splits a body with several JSON values. Lines and the elements of an array are found as in Graylog. Concatenated
//! objects, of which Graylog takes only the first, are found by counting brackets.
//!
//! gelf-tokio's receiver has a separate splitter, because the suite must not share code with the receiver
//! under test.

use crate::brackets::{Scanner, Token};

/// Maximum number of values of a body that are inspected. Further values are only counted.
const MAX_VALUES: usize = 100_000;

/// Arrangement of the values in a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// One value, valid or not.
    One,
    /// Concatenated values.
    Several,
    /// One value per line.
    Lines {
        /// True if the last line that is not blank ends with a line feed, or if all lines are blank.
        is_terminated: bool,
    },
    /// Elements of an array.
    Array {
        /// True if the array is closed.
        is_closed: bool,
        /// Number of bytes after the array, without white space around them.
        trailing: usize,
    },
}

/// The values of a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Values<'b> {
    pub(super) form: Form,
    pub(super) values: Vec<&'b [u8]>,
    /// Number of values beyond [`MAX_VALUES`].
    pub(super) more: usize,
}

/// Returns the values of a body in bulk mode: the elements of an array, or the lines that are not blank. Values
/// beyond the first 100,000 are left out.
pub fn bulk_values(body: &[u8]) -> Vec<&[u8]> {
    Values::of(body, true).values
}

impl<'b> Values<'b> {
    /// Splits a body. `by_lines` tells whether the receiver reads one value per line.
    pub(super) fn of(body: &'b [u8], by_lines: bool) -> Self {
        match trim_start(body) {
            [b'[', elements @ ..] => Self::array(elements),
            _ if by_lines => Self::lines(body),
            start => Self::several(body, start),
        }
    }

    fn new(form: Form) -> Self {
        Self { form, values: Vec::new(), more: 0 }
    }

    fn add(&mut self, value: &'b [u8]) {
        if self.values.len() < MAX_VALUES {
            self.values.push(value);
        } else {
            self.more += 1;
        }
    }

    fn array(mut rest: &'b [u8]) -> Self {
        let mut values = Self::new(Form::Array { is_closed: false, trailing: 0 });
        loop {
            let start = trim_start(rest);
            let (element, tail) = start.split_at(element_len(start));
            let closes = tail.starts_with(b"]");
            // An empty element counts if a comma follows. If the closing bracket follows, the empty element
            // counts only if other elements precede it: `[]` has no element, and `[1,]` has two.
            if !element.is_empty() || tail.starts_with(b",") || (closes && !values.values.is_empty()) {
                values.add(trim_end(element));
            }
            match tail {
                [b',', next @ ..] => rest = next,
                // The element ends at a comma, at a closing bracket, or at the end of the body.
                [_, after @ ..] => {
                    let trailing = trim_end(trim_start(after)).len();
                    values.form = Form::Array { is_closed: closes, trailing };
                    return values;
                }
                [] => return values,
            }
        }
    }

    fn lines(body: &'b [u8]) -> Self {
        let mut values = Self::new(Form::Lines { is_terminated: true });
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            let value = trim_end(line);
            if !value.is_empty() {
                values.add(value);
                values.form = Form::Lines { is_terminated: line.ends_with(b"\n") };
            }
        }
        values
    }

    fn several(body: &'b [u8], mut rest: &'b [u8]) -> Self {
        let mut values = Self::new(Form::Several);
        while rest.starts_with(b"{") {
            let Some(len) = object_len(rest) else { break };
            let (object, tail) = rest.split_at(len);
            values.add(object);
            rest = trim_start(tail);
        }
        if values.values.len() < 2 {
            return Self { form: Form::One, values: vec![body], more: 0 };
        }
        // The bytes after the last object count as a further value, unless the maximum is exceeded already.
        if !rest.is_empty() && values.more == 0 {
            values.add(rest);
        }
        values
    }
}

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn trim_start(text: &[u8]) -> &[u8] {
    text.split_at(text.iter().take_while(|byte| is_space(byte)).count()).1
}

fn trim_end(text: &[u8]) -> &[u8] {
    text.split_at(text.len() - text.iter().rev().take_while(|byte| is_space(byte)).count()).0
}

/// Returns the length of the object at the start, or `None` if its end is missing.
fn object_len(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut scanner = Scanner::default();
    for (at, byte) in text.iter().enumerate() {
        match scanner.token(*byte) {
            Some(Token::Open) => depth += 1,
            Some(Token::Close) => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// Returns the length of the array element at the start, up to a comma, the closing bracket, or the end.
fn element_len(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut scanner = Scanner::default();
    for (at, byte) in text.iter().enumerate() {
        match (scanner.token(*byte), depth) {
            (Some(Token::Close | Token::Comma), 0) => return at,
            (Some(Token::Open), _) => depth += 1,
            (Some(Token::Close), _) => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(body: &str, by_lines: bool) -> (Form, Vec<&str>) {
        let values = Values::of(body.as_bytes(), by_lines);
        (values.form, values.values.into_iter().map(|value| std::str::from_utf8(value).unwrap()).collect())
    }

    #[test]
    fn a_body_without_two_objects_is_not_split() {
        for body in ["", " ", "{}", " {\n}\n", "{", "x", "1 2", "{}x", "\"{}{}\""] {
            assert_eq!(values(body, false), (Form::One, vec![body]), "{body}");
        }
    }

    #[test]
    fn several_values_are_split() {
        let several = |parts: &[&'static str]| (Form::Several, parts.to_vec());
        assert_eq!(values("{\"a\":1}\n{\"b\":\"}{\"}\r\n", false), several(&["{\"a\":1}", "{\"b\":\"}{\"}"]));
        assert_eq!(values("{}{}", false), several(&["{}", "{}"]));
        assert_eq!(values("{}{} x", false), several(&["{}", "{}", "x"]));
    }

    #[test]
    fn lines_are_split_and_empty_lines_are_left_out() {
        let lines = |is_terminated, parts: &[&'static str]| (Form::Lines { is_terminated }, parts.to_vec());
        assert_eq!(values("{}\n\r\n{\"a\"\r\nx\n", true), lines(true, &["{}", "{\"a\"", "x"]));
        assert_eq!(values("{}\n{}", true), lines(false, &["{}", "{}"]));
        assert_eq!(values("{}\n  ", true), lines(true, &["{}"]));
        assert_eq!(values("\n\n", true), lines(true, &[]));
    }

    #[test]
    fn array_elements_are_split() {
        let array =
            |is_closed, parts: &[&'static str]| (Form::Array { is_closed, trailing: 0 }, parts.to_vec());
        for by_lines in [false, true] {
            assert_eq!(values("[]", by_lines), array(true, &[]));
            assert_eq!(values(" [ ] ", by_lines), array(true, &[]));
            assert_eq!(values("[{},\n{\"a\":[1,2]} ]", by_lines), array(true, &["{}", "{\"a\":[1,2]}"]));
            assert_eq!(values("[{\"a\":\"],\\\"\"},1]", by_lines), array(true, &["{\"a\":\"],\\\"\"}", "1"]));
            assert_eq!(values("[{},{", by_lines), array(false, &["{}", "{"]));
            assert_eq!(values("[{},,{},]", by_lines), array(true, &["{}", "", "{}", ""]));
            assert_eq!(values("[", by_lines), array(false, &[]));
        }
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let body = "{}".repeat(MAX_VALUES + 5);
        let values = Values::of(body.as_bytes(), false);
        assert_eq!((values.values.len(), values.more), (MAX_VALUES, 5));
    }
}
