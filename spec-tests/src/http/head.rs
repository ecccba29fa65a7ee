//! Reads heads: the first line and the headers.

use bytes::{Buf, BytesMut};

use super::{Fault, MAX_HEAD_BYTES, MAX_HEADERS};

/// Progress of the search for the empty line at the end of a head. It ensures that no byte is searched twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Searched {
    /// Start of the line in which the search continues.
    line: usize,
    /// End of the searched bytes. No line feed lies between `line` and this position.
    bytes: usize,
}

/// A first line with headers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Head {
    /// The bytes, including the final empty line.
    pub(super) raw: Vec<u8>,
    /// The first line, without its line end.
    pub(super) first: String,
    /// Names and values, in order.
    pub(super) headers: Vec<(String, String)>,
    /// Violations of RFC 9112.
    pub(super) faults: Vec<Fault>,
}

impl Head {
    /// Takes a complete head from the buffer. Empty lines before the head are skipped, as section 2.2 of RFC
    /// 9112 recommends.
    pub(super) fn take(buffer: &mut BytesMut, searched: &mut Searched) -> Result<Option<Self>, Fault> {
        if searched.line == 0 {
            let blank = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            buffer.advance(blank);
            searched.bytes -= blank.min(searched.bytes);
        }
        let end = searched.end(buffer);
        if end.unwrap_or(buffer.len()) > MAX_HEAD_BYTES {
            return Err(Fault::new(431, format!("a head of more than {MAX_HEAD_BYTES} bytes"), buffer));
        }
        let Some(end) = end else { return Ok(None) };
        *searched = Searched::default();
        Self::parse(buffer.split_to(end).to_vec()).map(Some)
    }

    fn parse(raw: Vec<u8>) -> Result<Self, Fault> {
        let mut head = Self::default();
        let mut lines = raw.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let bare = line.strip_suffix(b"\n").unwrap_or(line);
            bare.strip_suffix(b"\r").map_or((bare, false), |bare| (bare, true))
        });
        // The earliest line that ends with a line feed alone, without a carriage return.
        let mut bare_feed = None;
        if let Some((first, is_crlf)) = lines.next() {
            bare_feed = (!is_crlf).then_some(first);
            head.first = String::from_utf8_lossy(first).into_owned();
        }
        for (line, is_crlf) in lines {
            bare_feed = bare_feed.or_else(|| (!is_crlf).then_some(line));
            if line.is_empty() {
                break;
            }
            if head.headers.len() == MAX_HEADERS {
                return Err(Fault::new(431, format!("more than {MAX_HEADERS} headers"), line));
            }
            head.header(line)?;
        }
        if let Some(line) = bare_feed {
            head.faults.push(Fault::new(400, "a line that ends with a bare line feed", line));
        }
        head.raw = raw;
        Ok(head)
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(line);
        if text.starts_with([' ', '\t']) {
            self.faults.push(Fault::new(400, "a folded header", line));
            let Some((_, value)) = self.headers.last_mut() else {
                return Err(Fault::new(400, "a first header that starts with a space", line));
            };
            value.push(' ');
            value.push_str(text.trim());
            return Ok(());
        }
        let Some((name, value)) = text.split_once(':') else {
            return Err(Fault::new(400, "a header without a colon", line));
        };
        if name.ends_with([' ', '\t']) {
            self.faults.push(Fault::new(400, "a space before the colon of a header", line));
        }
        let name = name.trim_end();
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Fault::new(400, "an invalid header name", line));
        }
        self.headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        Ok(())
    }

    /// Returns the values of all headers with this name, ignoring case.
    pub(super) fn values<'h>(
        headers: &'h [(String, String)],
        name: &'h str,
    ) -> impl Iterator<Item = &'h str> {
        let has_name = move |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        headers.iter().filter(has_name).map(|(_, value)| value.as_str())
    }

    /// Returns whether a header with this name lists a word. The values of the header are comma-separated
    /// lists.
    pub(super) fn has_word(headers: &[(String, String)], name: &str, word: &str) -> bool {
        Self::values(headers, name)
            .flat_map(|value| value.split(','))
            .any(|own| own.trim().eq_ignore_ascii_case(word))
    }
}

impl Searched {
    /// Returns the position after the empty line, or `None` if there is no empty line yet.
    fn end(&mut self, buffer: &[u8]) -> Option<usize> {
        loop {
            let Some(found) = buffer.get(self.bytes..)?.iter().position(|byte| *byte == b'\n') else {
                self.bytes = buffer.len();
                return None;
            };
            let feed = self.bytes + found;
            if matches!(buffer.get(self.line..feed)?, b"" | b"\r") {
                return Some(feed + 1);
            }
            (self.line, self.bytes) = (feed + 1, feed + 1);
        }
    }
}

pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
