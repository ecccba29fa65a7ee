//! Finds the brackets and commas outside of the strings of JSON text. The text need not be valid JSON.

/// A byte that structures JSON text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Token {
    /// An opening bracket or brace.
    Open,
    /// A closing bracket or brace.
    Close,
    /// A comma.
    Comma,
}

/// Tracks which bytes are inside strings.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    in_string: bool,
    is_escaped: bool,
}

impl Scanner {
    /// Returns the token of a byte, or `None` if the byte is no token or is inside a string.
    pub(crate) fn token(&mut self, byte: u8) -> Option<Token> {
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
            b'{' | b'[' => return Some(Token::Open),
            b'}' | b']' => return Some(Token::Close),
            b',' => return Some(Token::Comma),
            b'"' => self.in_string = true,
            _ => {}
        }
        None
    }
}
