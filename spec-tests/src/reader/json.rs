//! Reads a JSON object (RFC 8259), and names the errors that some JSON parsers ignore.

use super::Fault;

/// Maximum nesting of arrays and objects. The message itself is the first level.
const MAX_DEPTH: usize = 128;
/// Maximum number of members of a message.
const MAX_MEMBERS: usize = 1024;
/// Maximum number of values within the members of a message. A member that is an array or an object counts,
/// too.
const MAX_VALUES: usize = 64 * 1024;
/// Maximum number of escapes. A pair of surrogates counts as two, a sequence of invalid UTF-8 as four.
const MAX_ESCAPES: usize = 384 * 1024;
/// Maximum length of a member's name in bytes.
const MAX_NAME_BYTES: usize = 1024;

/// A JSON value.
#[derive(Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// The JSON text of a number.
    Number(String),
    Text(String),
    /// The JSON text of an array or object.
    Nested(String),
}

/// A member of an object, with the faults in its text.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Offset of the name.
    pub(super) at: usize,
    pub(super) value: Json,
    /// At most one fault of each name.
    pub(super) faults: Vec<Fault>,
}

/// The members of an object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) members: Vec<Member>,
    /// Faults before the first member.
    pub(super) before: Vec<Fault>,
    /// Faults after the last member.
    pub(super) after: Vec<Fault>,
    /// Offset of the end.
    pub(super) end: usize,
}

/// Reads an object from a text. The number of escapes starts at `escapes`: four for each sequence of invalid
/// UTF-8 that was replaced in the text.
///
/// # Errors
/// Returns the reason why the text is not an object, or the limit that it exceeds.
pub(super) fn object(text: &str, escapes: usize) -> Result<Object, Fault> {
    let mut reader = Reader { text, at: 0, faults: Vec::new(), values: 0, escapes };
    if escapes > MAX_ESCAPES {
        return Err(Fault::new("TooManyEscapes", 0));
    }
    if reader.eat("\u{feff}") {
        reader.note("ByteOrderMark", 0);
    }
    reader.skip_space();
    let start = reader.at;
    match reader.peek() {
        None => return Err(Fault::new("EmptyPayload", start)),
        Some('{') => reader.at += 1,
        Some(_) => {
            reader.value(1)?;
            return Err(Fault::new("NotAnObject", start));
        }
    }
    let before = std::mem::take(&mut reader.faults);
    let mut members = Vec::new();
    // True at the start and after a comma, where a member may follow.
    let mut comma = true;
    while !reader.ends('}', comma && members.is_empty())? {
        if !comma {
            return reader.syntax();
        }
        let (name, at) = reader.name()?;
        if name.len() > MAX_NAME_BYTES {
            return Err(Fault::new("NameTooLong", at));
        }
        if members.len() == MAX_MEMBERS {
            return Err(Fault::new("TooManyMembers", at));
        }
        let value = reader.value(1)?;
        members.push(Member { name, at, value, faults: std::mem::take(&mut reader.faults) });
        reader.skip_space();
        comma = reader.eat(",");
    }
    reader.skip_space();
    let rest = text.get(reader.at..).unwrap_or_default();
    if !rest.is_empty() {
        let only_null = rest.chars().all(|character| character == '\0' || is_space(character));
        reader.note(if only_null { "TrailingNul" } else { "TrailingData" }, reader.at);
    }
    Ok(Object { members, before, after: reader.faults, end: text.len() })
}

struct Reader<'t> {
    text: &'t str,
    /// Offset of the next character.
    at: usize,
    /// Faults since the last member.
    faults: Vec<Fault>,
    /// Number of values that count for [`MAX_VALUES`].
    values: usize,
    /// Number of escapes, as [`MAX_ESCAPES`] counts them.
    escapes: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, word: &str) -> bool {
        let eaten = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += if eaten { word.len() } else { 0 };
        eaten
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn syntax<T>(&self) -> Result<T, Fault> {
        Err(Fault::new("JsonSyntax", self.at))
    }

    fn note(&mut self, name: &str, at: usize) {
        if !self.faults.iter().any(|fault| fault.name == name) {
            self.faults.push(Fault::new(name, at));
        }
    }

    /// Reads white space, and the closing bracket of an array or object if the bracket follows. Returns whether
    /// the bracket follows. `is_first` is true if no element precedes the bracket. A comma between the last
    /// element and the bracket is a fault.
    fn ends(&mut self, close: char, is_first: bool) -> Result<bool, Fault> {
        self.skip_space();
        if self.peek() != Some(close) {
            return Ok(false);
        }
        let before = self.text.get(..self.at).unwrap_or_default().trim_end_matches(is_space);
        if !is_first && before.ends_with(',') {
            self.note("TrailingComma", self.at);
        }
        self.at += 1;
        Ok(true)
    }

    /// Reads a name and its colon. Returns the name and its offset.
    fn name(&mut self) -> Result<(String, usize), Fault> {
        self.skip_space();
        let at = self.at;
        let name = self.string()?;
        self.skip_space();
        if !self.eat(":") {
            return self.syntax();
        }
        self.skip_space();
        Ok((name, at))
    }

    /// Reads a value. `depth` is the number of arrays and objects around the value.
    fn value(&mut self, depth: usize) -> Result<Json, Fault> {
        let start = self.at;
        let is_nested = matches!(self.peek(), Some('{' | '['));
        if is_nested || depth > 1 {
            self.values += 1;
            if self.values > MAX_VALUES {
                return Err(Fault::new("TooManyValues", start));
            }
        }
        match self.peek() {
            Some('"') => self.string().map(Json::Text),
            Some('{') => self.nested(depth, '}').map(Json::Nested),
            Some('[') => self.nested(depth, ']').map(Json::Nested),
            _ if self.eat("true") => Ok(Json::Bool(true)),
            _ if self.eat("false") => Ok(Json::Bool(false)),
            _ if self.eat("null") => Ok(Json::Null),
            _ => self.number().map(Json::Number),
        }
    }

    fn nested(&mut self, depth: usize, close: char) -> Result<String, Fault> {
        let start = self.at;
        if depth >= MAX_DEPTH {
            return Err(Fault::new("TooDeep", start));
        }
        self.at += 1;
        let (mut is_first, mut comma) = (true, true);
        while !self.ends(close, is_first)? {
            if !comma {
                return self.syntax();
            }
            if close == '}' {
                self.name()?;
            }
            self.skip_space();
            self.value(depth + 1)?;
            self.skip_space();
            (is_first, comma) = (false, self.eat(","));
        }
        Ok(self.text.get(start..self.at).unwrap_or_default().to_owned())
    }

    fn string(&mut self) -> Result<String, Fault> {
        if !self.eat("\"") {
            return self.syntax();
        }
        let mut string = String::new();
        loop {
            let at = self.at;
            match self.next() {
                Some('"') => return Ok(string),
                Some('\\') => string.push(self.escaped(at)?),
                Some(character) => {
                    if character < ' ' {
                        self.note("ControlCharacter", at);
                    }
                    string.push(character);
                }
                None => return self.syntax(),
            }
        }
    }

    fn count_escape(&mut self, at: usize) -> Result<(), Fault> {
        self.escapes += 1;
        if self.escapes > MAX_ESCAPES {
            return Err(Fault::new("TooManyEscapes", at));
        }
        Ok(())
    }

    /// Reads the rest of an escape. `at` is the offset of its backslash.
    fn escaped(&mut self, at: usize) -> Result<char, Fault> {
        self.count_escape(at)?;
        Ok(match self.next() {
            Some(character @ ('"' | '\\' | '/')) => character,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let unit = self.unit()?;
                let after_first = self.at;
                if matches!(unit, 0xd800..0xdc00) && self.eat("\\u") {
                    let second = self.unit()?;
                    if let 0xdc00..0xe000 = second {
                        self.count_escape(at)?;
                        let code = 0x1_0000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
                        return char::from_u32(code).map_or_else(|| self.syntax(), Ok);
                    }
                    self.at = after_first;
                }
                char::from_u32(unit).unwrap_or_else(|| {
                    self.note("LoneSurrogate", at);
                    char::REPLACEMENT_CHARACTER
                })
            }
            _ => return self.syntax(),
        })
    }

    /// Reads a UTF-16 code unit: four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return self.syntax();
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).or_else(|_| self.syntax())
    }

    fn number(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.eat("-");
        if !self.eat("0") {
            self.digits()?;
        } else if self.peek().is_some_and(|next| next.is_ascii_digit()) {
            return self.syntax();
        }
        if self.eat(".") {
            self.digits()?;
        }
        if self.eat("e") || self.eat("E") {
            let _ = self.eat("+") || self.eat("-");
            self.digits()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or_default().to_owned())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|character| character.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.syntax() } else { Ok(()) }
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}
