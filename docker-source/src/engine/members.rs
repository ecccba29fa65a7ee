//! Copies the needed members of a JSON value while its bytes arrive. The length of each copy is limited.
//!
//! The user who starts a container chooses its labels, and the Engine limits neither the number nor the
//! length of labels. Therefore no list, event or inspection is kept whole. A [`MemberFilter`] keeps an
//! excerpt of limited length and passes over the rest. The excerpt is JSON again. To find the members, the
//! filter checks only a part of the syntax. The parser of the excerpt checks the rest.

use super::keep::{ITEM_COST, Items, Keep, NAME_MAX, OTHER_TYPE_MAX};

/// The excerpt of a value.
#[derive(Debug)]
pub(super) struct Excerpt {
    /// The excerpt as JSON. It is empty if the value ended early, or if the filter found the value invalid.
    pub(super) text: Vec<u8>,
    /// True if a member or item that was to be kept is cut or left out.
    pub(super) is_cut: bool,
}

/// Copies the excerpts of values, one value after another.
#[derive(Debug)]
pub(super) struct MemberFilter {
    keep: &'static Keep,
    kept: Vec<u8>,
    is_cut: bool,
    state: State,
    /// The part of the next value to keep.
    next: Next,
    /// The open objects and arrays of which items are kept.
    frames: Vec<Frame>,
    /// The item that is being copied. `None` if no item is being copied.
    copy: Option<Copying>,
    /// The number of open brackets in a value that is copied or passed over whole.
    depth: usize,
    in_string: bool,
    /// The part of an escape sequence that comes next.
    escape: Escape,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// A value comes next, or the end of an array.
    Value,
    /// More bytes of a value come next. The value is copied or passed over whole.
    Whole,
    /// More bytes of a number, `true`, `false` or `null` come next.
    Word,
    /// A member comes next, or the end of the object.
    Name,
    /// More bytes of a member's name come next.
    NameText,
    Colon,
    /// A comma comes next, or the end of the object or array.
    Comma,
    Complete,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Item,
    Keep(&'static Keep),
    Skip,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Escape {
    None,
    /// The byte behind a backslash.
    Character,
    /// The number of digits that are still missing in an escape such as `\u0000`.
    Digits(u8),
}

#[derive(Debug)]
struct Frame {
    keeps: FrameKeeps,
    closing: u8,
    /// True if an item was kept, so that the next item needs a comma.
    has_items: bool,
}

#[derive(Debug)]
enum FrameKeeps {
    Items {
        items: &'static Items,
        spent: usize,
    },
    Members {
        members: &'static [(&'static str, Keep)],
        /// The members that were seen: one bit for each place in `members`. If several members have the same
        /// name, only the first is kept.
        seen: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Copying {
    /// The length of the excerpt before the item.
    start: usize,
    /// The maximum length of the whole excerpt while the item is copied.
    limit: usize,
    /// True if the value is a string that may be cut.
    can_cut: bool,
    /// The length of the excerpt at the last place where the string can be cut.
    boundary: usize,
}

impl MemberFilter {
    pub(super) fn new(keep: &'static Keep) -> Self {
        Self {
            keep,
            kept: Vec::new(),
            is_cut: false,
            state: State::Value,
            next: Next::Keep(keep),
            frames: Vec::new(),
            copy: None,
            depth: 0,
            in_string: false,
            escape: Escape::None,
        }
    }

    /// Takes bytes up to the end of the value and returns their number.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            if self.state == State::Complete {
                break;
            }
            let is_passed_over = self.in_string && self.copy.is_none() && self.escape == Escape::None;
            let rest = bytes.get(at..).unwrap_or_default();
            match is_passed_over.then(|| memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len())) {
                Some(length) if length > 0 => at += length,
                _ if self.in_string => {
                    self.string(byte);
                    at += 1;
                }
                // This byte ends the word. It is not taken here, since it is not a part of the word.
                _ if self.state == State::Word && is_delimiter(byte) => self.end_value(),
                _ => {
                    self.token(byte);
                    at += 1;
                }
            }
        }
        at
    }

    /// Returns whether the value has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Returns the number of bytes that are kept.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Returns the excerpt, and prepares for the next value.
    pub(super) fn take(&mut self) -> Excerpt {
        let Self { kept, is_cut, state, .. } = std::mem::replace(self, Self::new(self.keep));
        Excerpt { text: if state == State::Complete { kept } else { Vec::new() }, is_cut }
    }

    /// Takes a byte outside of strings.
    fn token(&mut self, byte: u8) {
        match (self.state, byte) {
            (State::Whole, _) => self.whole(byte),
            (State::Word, _) => self.append(byte),
            (_, b' ' | b'\t' | b'\n' | b'\r') => {}
            (State::Value, b']') if self.closes(byte) => self.close(byte),
            (State::Value, _) => self.begin_value(byte),
            (State::Name, b'"') => {
                self.begin_item();
                self.append(b'"');
                (self.in_string, self.state) = (true, State::NameText);
            }
            (State::Colon, b':') => {
                self.append(b':');
                self.state = State::Value;
            }
            (State::Comma, b',') => match self.frames.last() {
                Some(Frame { closing: b'}', .. }) => self.state = State::Name,
                _ => (self.state, self.next) = (State::Value, Next::Item),
            },
            (State::Name | State::Comma, _) if self.closes(byte) => self.close(byte),
            _ => self.invalid(byte),
        }
    }

    fn begin_value(&mut self, byte: u8) {
        let next = std::mem::replace(&mut self.next, Next::Skip);
        let is_string = byte == b'"';
        match (next, byte) {
            (Next::Keep(Keep::Members(members)), b'{') => {
                self.open(FrameKeeps::Members { members, seen: 0 }, b'}');
                return;
            }
            (Next::Keep(Keep::Items(items)), b'{' | b'[') => {
                self.open(FrameKeeps::Items { items, spent: 0 }, if byte == b'{' { b'}' } else { b']' });
                return;
            }
            (Next::Keep(keep), _) => {
                let start = self.copy.map_or(self.kept.len(), |copy| copy.start);
                let max = if let Keep::Value(max) = keep { *max } else { OTHER_TYPE_MAX };
                let limit = self.kept.len() + max;
                self.copy = Some(Copying { start, limit, can_cut: is_string, boundary: 0 });
            }
            (Next::Item, _) => {
                let is_element = matches!(self.frames.last(), Some(Frame { closing: b']', .. }));
                if is_element {
                    self.begin_item();
                }
                if let Some(copy) = &mut self.copy {
                    copy.can_cut = is_string && is_element;
                }
            }
            (Next::Skip, _) => self.copy = None,
        }
        match byte {
            b'{' | b'[' | b'"' => self.state = State::Whole,
            b'}' | b']' | b',' | b':' => return self.invalid(byte),
            _ => self.state = State::Word,
        }
        self.whole(byte);
    }

    /// Takes a byte of a value that is copied or passed over whole.
    fn whole(&mut self, byte: u8) {
        self.append(byte);
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.end_value();
                }
            }
            _ => {}
        }
    }

    /// Takes a byte within a string.
    fn string(&mut self, byte: u8) {
        match (self.escape, byte) {
            (Escape::Character, b'u') => self.escape = Escape::Digits(4),
            (Escape::Character, _) | (Escape::Digits(1), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.escape = Escape::None;
            }
            (Escape::Digits(count), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.escape = Escape::Digits(count - 1);
            }
            (_, b'\\') => self.escape = Escape::Character,
            (_, b'"') => {
                self.escape = Escape::None;
                return self.end_string();
            }
            _ => {
                self.escape = Escape::None;
                let is_continuation = (0x80..0xc0).contains(&byte);
                if let Some(copy) = self.copy.as_mut().filter(|_| !is_continuation) {
                    copy.boundary = self.kept.len();
                }
            }
        }
        self.append(byte);
    }

    fn end_string(&mut self) {
        self.in_string = false;
        if self.copy.is_some() {
            self.kept.push(b'"');
        }
        match self.state {
            State::NameText => self.end_name(),
            _ if self.depth == 0 => self.end_value(),
            _ => {}
        }
    }

    /// Chooses which part of the value behind a name to keep.
    fn end_name(&mut self) {
        self.state = State::Colon;
        self.next = match (self.frames.last_mut().map(|frame| &mut frame.keeps), self.copy) {
            (Some(FrameKeeps::Items { .. }), Some(_)) => Next::Item,
            (Some(FrameKeeps::Members { members, seen }), Some(copy)) => {
                let name = self.kept.get(copy.start..).unwrap_or_default();
                let name = name.strip_prefix(b",").unwrap_or(name);
                let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""));
                let mut places = (0..u32::BITS).zip(*members);
                match places.find(|(_, (wanted, _))| Some(wanted.as_bytes()) == name) {
                    Some((place, (_, keep))) if *seen & (1 << place) == 0 => {
                        *seen |= 1 << place;
                        Next::Keep(keep)
                    }
                    _ => {
                        self.kept.truncate(copy.start);
                        self.copy = None;
                        Next::Skip
                    }
                }
            }
            _ => Next::Skip,
        };
    }

    /// Begins to copy a member or an element of the innermost frame.
    fn begin_item(&mut self) {
        let start = self.kept.len();
        let Some(frame) = self.frames.last() else { return };
        let limit = start
            + match &frame.keeps {
                FrameKeeps::Members { .. } => NAME_MAX,
                FrameKeeps::Items { items, spent } => {
                    items.each.min((items.total + items.reserved).saturating_sub(spent + ITEM_COST))
                }
            };
        self.copy = Some(Copying { start, limit, can_cut: false, boundary: 0 });
        if frame.has_items {
            self.append(b',');
        }
    }

    fn append(&mut self, byte: u8) {
        let Some(copy) = self.copy else { return };
        if self.kept.len() < copy.limit {
            self.kept.push(byte);
            return;
        }
        self.copy = None;
        // In [`Keep::Members`], a name that does not fit is longer than all wanted names, so no wanted member
        // is lost.
        let is_wanted = self.state != State::NameText
            || matches!(self.frames.last(), Some(Frame { keeps: FrameKeeps::Items { .. }, .. }));
        self.is_cut |= is_wanted;
        if copy.can_cut && copy.boundary > copy.start {
            self.kept.truncate(copy.boundary);
            self.kept.push(b'"');
            self.commit(copy.start);
        } else {
            self.kept.truncate(copy.start);
        }
    }

    fn end_value(&mut self) {
        if let Some(copy) = self.copy.take() {
            self.commit(copy.start);
        }
        self.state = if self.frames.is_empty() { State::Complete } else { State::Comma };
    }

    /// Keeps the item that was copied, or removes it if there is no room.
    fn commit(&mut self, start: usize) {
        let Some(frame) = self.frames.last_mut() else { return };
        if let FrameKeeps::Items { items, spent } = &mut frame.keeps {
            let item = self.kept.get(start..).unwrap_or_default();
            let cost = item.len() + ITEM_COST;
            let text = item.strip_prefix(b",").unwrap_or(item);
            let text = text.strip_prefix(b"\"").unwrap_or(text);
            let is_reserved = items.prefixes.iter().any(|prefix| {
                text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            });
            if *spent + cost > items.total + if is_reserved { items.reserved } else { 0 } {
                self.kept.truncate(start);
                self.is_cut = true;
                return;
            }
            *spent += cost;
        }
        frame.has_items = true;
    }

    fn open(&mut self, keeps: FrameKeeps, closing: u8) {
        if let Some(parent) = self.frames.last_mut() {
            parent.has_items = true;
        }
        self.copy = None;
        (self.state, self.next) = match closing {
            b'}' => (State::Name, Next::Skip),
            _ => (State::Value, Next::Item),
        };
        self.kept.push(if closing == b'}' { b'{' } else { b'[' });
        self.frames.push(Frame { keeps, closing, has_items: false });
    }

    fn closes(&self, byte: u8) -> bool {
        self.frames.last().is_some_and(|frame| frame.closing == byte)
    }

    fn close(&mut self, byte: u8) {
        self.kept.push(byte);
        self.frames.pop();
        self.end_value();
    }

    /// Passes over the rest of an invalid value, up to the bracket that closes the outermost open bracket.
    fn invalid(&mut self, byte: u8) {
        self.kept.clear();
        self.copy = None;
        self.depth = self.frames.len();
        self.frames.clear();
        self.state = State::Whole;
        match self.depth {
            0 => self.end_value(),
            _ => self.whole(byte),
        }
    }
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep::Members(&[
        ("text", Keep::Value(8)),
        ("list", Keep::Items(Items { each: 8, total: 400, reserved: 0, prefixes: &[] })),
        ("map", Keep::Items(Items { each: 40, total: 300, reserved: 200, prefixes: &["gelf_", "name\""] })),
        ("within", Keep::Members(&[("text", Keep::Value(8))])),
    ]);

    fn excerpt(text: &str) -> (String, bool) {
        let mut filter = MemberFilter::new(&KEEP);
        assert_eq!(filter.push(text.as_bytes()), text.len());
        assert!(filter.kept() <= KEEP.max_len());
        let Excerpt { text, is_cut } = filter.take();
        (String::from_utf8(text).unwrap(), is_cut)
    }

    fn kept(text: &str) -> (String, bool) {
        (text.into(), false)
    }

    fn cut(text: &str) -> (String, bool) {
        (text.into(), true)
    }

    #[test]
    fn only_the_wanted_members_are_kept() {
        let text = r#" { "other" : { "text" : "a" } , "text" : null , "list" : [ "a" , 1 ] , "within" : {"x":[],"text":"b"} } "#;
        let end = text.trim_end().len();
        let mut filter = MemberFilter::new(&KEEP);
        assert_eq!(filter.push(text.as_bytes()), end, "nothing behind the value is taken");
        assert_eq!(filter.take().text, br#"{"text":null,"list":["a",1],"within":{"text":"b"}}"#);
        assert_eq!(
            excerpt(r#"{"within":{},"list":[],"map":{}}"#),
            kept(r#"{"within":{},"list":[],"map":{}}"#)
        );
    }

    #[test]
    fn a_long_string_is_cut_between_characters() {
        assert_eq!(excerpt(r#"{"text":"1234567"}"#), kept(r#"{"text":"1234567"}"#));
        assert_eq!(excerpt(r#"{"text":"12345678"}"#), cut(r#"{"text":"1234567"}"#));
        assert_eq!(excerpt(r#"{"text":"123456€"}"#), cut(r#"{"text":"123456"}"#));
        assert_eq!(excerpt(r#"{"text":"123\u00e9"}"#), cut(r#"{"text":"12"}"#));
        assert_eq!(
            excerpt(r#"{"text":"12\\\"\"\"","list":["123456789"]}"#),
            cut(r#"{"text":"1","list":["1234567"]}"#)
        );
        assert_eq!(
            excerpt(r#"{"within":{"text":[1,2,3,4,5,6]},"text":1}"#),
            cut(r#"{"within":{},"text":1}"#)
        );
    }

    #[test]
    fn an_item_that_does_not_fit_is_left_out_and_later_items_are_kept() {
        let long = "x".repeat(1_000_000);
        let text = format!(r#"{{"map":{{"a":"{long}","{long}":"b","c":"d"}}}}"#);
        assert_eq!(excerpt(&text), cut(r#"{"map":{"c":"d"}}"#));
    }

    #[test]
    fn items_without_a_reserved_name_never_take_the_reserved_room() {
        let many: String = (0..1000).map(|at| format!(r#""a{at}":"","#)).collect();
        let text = format!(r#"{{"map":{{{many}"GELF_a":"b","name":"c","names":"d","z":"e"}}}}"#);
        let (found, is_cut) = excerpt(&text);
        assert!(is_cut && found.starts_with(r#"{"map":{"a0":"","a1":"","#), "{found}");
        assert!(found.ends_with(r#","GELF_a":"b","name":"c"}}"#), "{found}");
    }

    #[test]
    fn the_first_of_several_members_with_the_same_name_is_kept() {
        let text = format!("{{{}}}", [r#""text":1"#; 1000].join(","));
        assert_eq!(excerpt(&text), kept(r#"{"text":1}"#));
    }

    #[test]
    fn unwanted_members_of_any_depth_are_skipped() {
        let deep = format!(r#"{{"other":{}{},"text":1}}"#, "[{\"a\":".repeat(100_000), "}]".repeat(100_000));
        assert_eq!(excerpt(&deep), kept(r#"{"text":1}"#));
    }
}
