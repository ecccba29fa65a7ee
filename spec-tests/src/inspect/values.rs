//! Splits a body with several JSON values as Graylog does: by lines, or by counting brackets.
//!
//! gelf-tokio's receiver has a splitter of its own, on purpose: the suite must not share code with the
//! receiver under test.

use std::ops::Range;

/// Maximum number of values of a body that are inspected. More are only counted.
const MAX_VALUES: usize = 100_000;

/// Arrangement of the values in a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// One value, or bytes that are none.
    One,
    /// Concatenated values.
    Several,
    /// One value per line.
    Lines {
        /// Whether the last line ends with a line feed.
        is_terminated: bool,
    },
    /// Elements of an array.
    Array {
        /// Whether the array is closed.
        is_closed: bool,
    },
}

/// Positions of the values in a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Values {
    pub(super) form: Form,
    pub(super) ranges: Vec<Range<usize>>,
    /// Number of values beyond the limit.
    pub(super) more: usize,
}

impl Values {
    /// Splits a body. `by_lines` tells whether the receiver reads one value per line.
    pub(super) fn of(body: &[u8], by_lines: bool) -> Self {
        let start = skip_space(body, 0);
        if body.get(start) == Some(&b'[') {
            return Self::array(body, start + 1);
        }
        if by_lines { Self::lines(body) } else { Self::several(body, start) }
    }

    fn new(form: Form) -> Self {
        Self { form, ranges: Vec::new(), more: 0 }
    }

    fn add(&mut self, range: Range<usize>) {
        if self.ranges.len() < MAX_VALUES {
            self.ranges.push(range);
        } else {
            self.more += 1;
        }
    }

    fn array(body: &[u8], mut from: usize) -> Self {
        let mut values = Self::new(Form::Array { is_closed: false });
        loop {
            let start = skip_space(body, from);
            let (end, is_closed) = element_end(body, start);
            let closes = body.get(end) == Some(&b']');
            // An empty array and an unclosed array have no element at their end.
            if end > start || body.get(end) == Some(&b',') || (closes && !values.ranges.is_empty()) {
                values.add(start..start + trimmed_len(body.get(start..end).unwrap_or_default()));
            }
            if !is_closed || closes {
                values.form = Form::Array { is_closed: closes };
                return values;
            }
            from = end + 1;
        }
    }

    fn lines(body: &[u8]) -> Self {
        let mut values = Self::new(Form::Lines { is_terminated: true });
        let mut start = 0;
        while start < body.len() {
            let rest = body.get(start..).unwrap_or_default();
            let feed = rest.iter().position(|byte| *byte == b'\n');
            let end = start + feed.unwrap_or(rest.len());
            let len = trimmed_len(body.get(start..end).unwrap_or_default());
            if len > 0 {
                values.add(start..start + len);
                values.form = Form::Lines { is_terminated: feed.is_some() };
            }
            start = end + 1;
        }
        values
    }

    fn several(body: &[u8], mut start: usize) -> Self {
        let mut values = Self::new(Form::Several);
        while body.get(start) == Some(&b'{')
            && let Some(end) = value_end(body, start)
        {
            values.add(start..end);
            start = skip_space(body, end);
        }
        // A trailing value that is not an object counts only after two objects.
        if values.ranges.len() < 2 || start < body.len() && values.more == 0 {
            if values.ranges.len() < 2 {
                return Self { form: Form::One, ranges: std::iter::once(0..body.len()).collect(), more: 0 };
            }
            values.add(start..body.len());
        }
        values
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_space(body: &[u8], from: usize) -> usize {
    let rest = body.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| is_space(**byte)).count()
}

fn trimmed_len(value: &[u8]) -> usize {
    value.len() - value.iter().rev().take_while(|byte| is_space(**byte)).count()
}

/// Returns the position after the bracket that closes the one at `start`, or `None` if it stays open.
fn value_end(body: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut scanner = Scanner::default();
    for (at, byte) in body.iter().enumerate().skip(start) {
        match scanner.bracket(*byte) {
            Some(true) => depth += 1,
            Some(false) => depth = depth.saturating_sub(1),
            None => continue,
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// Returns the end of the element that starts here, at a comma or at the closing bracket, and whether it was
/// found.
fn element_end(body: &[u8], start: usize) -> (usize, bool) {
    let mut depth = 0_usize;
    let mut scanner = Scanner::default();
    for (at, byte) in body.iter().enumerate().skip(start) {
        match scanner.bracket(*byte) {
            Some(true) => depth += 1,
            Some(false) if depth == 0 => return (at, true),
            Some(false) => depth -= 1,
            None if *byte == b',' && depth == 0 && !scanner.in_string => return (at, true),
            None => {}
        }
    }
    (body.len(), false)
}

/// Tracks which brackets are inside strings.
#[derive(Default)]
struct Scanner {
    in_string: bool,
    is_escaped: bool,
}

impl Scanner {
    /// Returns true for an opening bracket, false for a closing one.
    fn bracket(&mut self, byte: u8) -> Option<bool> {
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return None;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => return Some(true),
            b'}' | b']' => return Some(false),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(body: &str, by_lines: bool) -> (Form, Vec<&str>) {
        let values = Values::of(body.as_bytes(), by_lines);
        (values.form, values.ranges.into_iter().map(|range| &body[range]).collect())
    }

    #[test]
    fn a_single_value_is_not_split() {
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
    fn lines_are_split_without_empty_ones() {
        let lines = |is_terminated, parts: &[&'static str]| (Form::Lines { is_terminated }, parts.to_vec());
        assert_eq!(values("{}\n\r\n{\"a\"\r\nx\n", true), lines(true, &["{}", "{\"a\"", "x"]));
        assert_eq!(values("{}\n{}", true), lines(false, &["{}", "{}"]));
        assert_eq!(values("{}\n  ", true), lines(true, &["{}"]));
        assert_eq!(values("\n\n", true), lines(true, &[]));
    }

    #[test]
    fn array_elements_are_split() {
        let array = |is_closed, parts: &[&'static str]| (Form::Array { is_closed }, parts.to_vec());
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
        let values = Values::of("{}".repeat(MAX_VALUES + 5).as_bytes(), false);
        assert_eq!((values.ranges.len(), values.more), (MAX_VALUES, 5));
    }
}
