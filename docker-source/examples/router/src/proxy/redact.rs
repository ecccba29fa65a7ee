//! Replaces the values of environment variables in the Engine's JSON while its bytes arrive.

use bytes::{BufMut, Bytes, BytesMut};

/// The name of the member that has the variables of a container.
const MEMBER: &[u8] = b"Env";
/// The text in place of a value.
const HIDDEN: &[u8] = b"***";
/// The variables whose values pass, since the agent needs them.
const KEPT: [&[u8]; 2] = [b"LOGSPOUT", b"LOGSPOUT_MULTILINE"];
/// The number of bytes of a name that are compared: one more than the longest name in [`KEPT`].
const NAME_MAX: usize = 19;

/// A filter of JSON text that turns `"Env": ["NAME=value"]` into `"Env": ["NAME=***"]` at every depth, except for
/// the names in [`KEPT`]. It reads the text byte by byte, and remembers its place in the text. It stores only the
/// beginning of one name, so its memory use does not depend on the length of the text. Values in a list named
/// `Env` are hidden even if they are nested or the text is not valid JSON.
#[derive(Debug)]
pub(super) struct EnvRedactor {
    place: Place,
    /// The number of open arrays and objects, counted from the list of variables, which is the first one.
    depth: usize,
    /// The first bytes of the variable's name.
    name: Vec<u8>,
}

/// The place in the text.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Between strings, outside of a list of variables.
    Outside,
    /// In a string outside of a list. If the bytes of the string that have been read are a beginning of
    /// [`MEMBER`], `matched` is their number. Otherwise, `matched` is `None`.
    Text { matched: Option<usize>, is_escaped: bool },
    /// Behind the string [`MEMBER`].
    AfterMember,
    /// Behind the colon after [`MEMBER`].
    BeforeList,
    /// Between the strings of a list of variables.
    List,
    /// In the name of a variable.
    Name,
    /// In a value that passes.
    Kept { is_escaped: bool },
    /// In a value that is hidden.
    Hidden { is_escaped: bool },
}

impl EnvRedactor {
    pub(super) fn new() -> Self {
        Self { place: Place::Outside, depth: 0, name: Vec::with_capacity(NAME_MAX) }
    }

    /// Returns the next part of the text without the values of variables.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(bytes.len() + HIDDEN.len());
        for &byte in bytes {
            self.take(byte, &mut out);
        }
        out.freeze()
    }

    fn take(&mut self, byte: u8, out: &mut BytesMut) {
        let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.place = match (self.place, byte) {
            (Place::Hidden { is_escaped: false }, b'"') => Place::List,
            (Place::Hidden { is_escaped }, _) => {
                self.place = Place::Hidden { is_escaped: !is_escaped && byte == b'\\' };
                return;
            }
            // An escape in a name could stand for a `=`, so the rest of the string is hidden.
            (Place::Name, b'\\') => {
                out.put_slice(HIDDEN);
                self.place = Place::Hidden { is_escaped: true };
                return;
            }
            (Place::Name, b'"') | (Place::Kept { is_escaped: false }, b'"') => Place::List,
            (Place::Name, b'=') if KEPT.contains(&&*self.name) => Place::Kept { is_escaped: false },
            (Place::Name, b'=') => {
                out.put_slice(b"=");
                out.put_slice(HIDDEN);
                self.place = Place::Hidden { is_escaped: false };
                return;
            }
            (Place::Name, _) => {
                if self.name.len() < NAME_MAX {
                    self.name.push(byte);
                }
                Place::Name
            }
            (Place::Kept { is_escaped }, _) => Place::Kept { is_escaped: !is_escaped && byte == b'\\' },
            (Place::List, b'"') => {
                self.name.clear();
                Place::Name
            }
            (Place::List, b'[' | b'{') => {
                self.depth = self.depth.saturating_add(1);
                Place::List
            }
            (Place::List, b']' | b'}') => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 { Place::Outside } else { Place::List }
            }
            (Place::List, _) => Place::List,
            (Place::AfterMember, _) if is_space => Place::AfterMember,
            (Place::AfterMember, b':') => Place::BeforeList,
            (Place::BeforeList, _) if is_space => Place::BeforeList,
            (Place::BeforeList, b'[' | b'{') => {
                self.depth = 1;
                Place::List
            }
            (Place::Text { matched, is_escaped: false }, b'"') => match matched {
                Some(length) if length == MEMBER.len() => Place::AfterMember,
                _ => Place::Outside,
            },
            (Place::Text { matched, is_escaped }, _) => Place::Text {
                matched: matched.filter(|at| MEMBER.get(*at) == Some(&byte)).map(|at| at + 1),
                is_escaped: !is_escaped && byte == b'\\',
            },
            (Place::Outside | Place::AfterMember | Place::BeforeList, b'"') => {
                Place::Text { matched: Some(0), is_escaped: false }
            }
            (Place::Outside | Place::AfterMember | Place::BeforeList, _) => Place::Outside,
        };
        out.put_u8(byte);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn redacted(text: &str, lengths: &[usize]) -> String {
        let (mut redactor, mut rest, mut out) = (EnvRedactor::new(), text.as_bytes(), Vec::new());
        for length in lengths.iter().cycle() {
            let (part, tail) = rest.split_at((*length).min(rest.len()));
            out.extend_from_slice(&redactor.push(part));
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_values_of_variables_are_hidden_and_all_other_text_stays() {
        for (text, expected) in [
            (
                r#"{"Config":{"Env":["A=secret","B=","LOGSPOUT=ignore","LOGSPOUT_X=1","C"],"Cmd":["x=1"]}}"#,
                r#"{"Config":{"Env":["A=***","B=***","LOGSPOUT=ignore","LOGSPOUT_X=***","C"],"Cmd":["x=1"]}}"#,
            ),
            (
                r#"[{"Env" : [ "A=a\"b\\", "D=x" ]}, {"a=b":1}]"#,
                r#"[{"Env" : [ "A=***", "D=***" ]}, {"a=b":1}]"#,
            ),
            (r#"{"Env":["A\u003dsecret"],"x":"y=z"}"#, r#"{"Env":["A***"],"x":"y=z"}"#),
            (
                r#"{"Env":{"A=":["B=b",{"C=c":1}]},"x":["y=z"]}"#,
                r#"{"Env":{"A=***":["B=***",{"C=***":1}]},"x":["y=z"]}"#,
            ),
            (
                r#"{"Env":null,"Labels":{"Env":"a=b"},"x":["Env","a=b"]}"#,
                r#"{"Env":null,"Labels":{"Env":"a=b"},"x":["Env","a=b"]}"#,
            ),
            (r#"{"Envy":["a=b"],"\"Env":["a=b"]}"#, r#"{"Envy":["a=b"],"\"Env":["a=b"]}"#),
            (r#"{"Env":["LOGSPOUT=a\"b","A=secret"]}"#, r#"{"Env":["LOGSPOUT=a\"b","A=***"]}"#),
        ] {
            for lengths in [&[1][..], &[2, 3], &[1000]] {
                assert_eq!(redacted(text, lengths), expected);
            }
        }
    }

    #[test]
    fn a_cut_text_shows_no_value() {
        let text = r#"{"Env":["A=secret","B=secret"]}"#;
        for length in 0..text.len() {
            assert!(!redacted(&text[..length], &[5]).contains('s'), "{length}");
        }
    }

    #[test]
    fn an_inspection_in_parts_of_any_length_differs_in_the_values_of_variables_only() {
        let values = ["", "=", "\"", "\\", "\\\"", "{[", "]}", "\",\"", "\u{1}", "é€😀", "Env", "\"Env\":["];
        let inspection = |is_redacted: bool| {
            let variable = |(at, value): (usize, &&str)| match is_redacted {
                true => format!("NAME_{at}=***"),
                false => format!("NAME_{at}={value}"),
            };
            let env: Vec<_> = values.iter().enumerate().map(variable).collect();
            json!({"Args": values, "Config": {"Cmd": values, "Env": env, "Labels": {"Env": "a=b"}}, "Name": values})
        };
        for text in [inspection(false).to_string(), format!("{:#}", inspection(false))] {
            for length in 1..text.len() {
                let found: Value = serde_json::from_str(&redacted(&text, &[length])).unwrap();
                assert_eq!(found, inspection(true), "parts of {length} bytes");
            }
        }
    }
}
