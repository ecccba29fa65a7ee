//! Finds the values of names, such as the value of `password` in a JSON object or a query.

use std::ops::Range;

/// The schemes of the header `Authorization` that stay in front of its secret.
const SCHEMES: [&str; 4] = ["basic", "bearer", "digest", "token"];
/// The maximum number of searches in one text for the end of brackets that have no end. Each such search reads
/// the text to its end, so without a limit the time would grow with the square of the length. Brackets behind a
/// name in quotes do not count: if they have no end, the rest of the text is replaced.
const MAX_UNCLOSED: u32 = 8;

/// Returns the values behind names, in their order. Each range of `names` is a name and the separator behind it.
/// A name within the value of another name has no value of its own.
pub(super) fn find(
    text: &str,
    names: impl Iterator<Item = Range<usize>>,
    is_header: bool,
) -> Vec<Range<usize>> {
    let mut values: Vec<Range<usize>> = Vec::new();
    let mut unclosed = 0;
    for name in names {
        if values.last().is_some_and(|last| name.start < last.end) {
            continue;
        }
        let quote =
            text.get(name.clone()).and_then(|name| Quote::at_end(name.trim_end_matches(is_separator)));
        values.push(value(text, name.end, quote, is_header, &mut unclosed));
    }
    values
}

/// Returns the quotation mark that the mask needs as a JSON value behind `before`, if `before` ends with the
/// name of a member and a colon. Otherwise returns the empty text.
pub(super) fn quote_of_member(before: &str) -> &str {
    let Some(name) = before.trim_end().strip_suffix(':').map(str::trim_end) else { return "" };
    let length = Quote::at_end(name).map_or(0, |quote| quote.slashes + 1);
    name.get(name.len() - length..).unwrap_or_default()
}

/// Returns the value that begins at `start`. `quote` is the quotation mark of the name, if it has one.
fn value(
    text: &str,
    start: usize,
    quote: Option<Quote>,
    is_header: bool,
    unclosed: &mut u32,
) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    if let Some(opening) = Quote::at_start(rest) {
        let first = start + opening.slashes + 1;
        let end = opening.end_of_text(text, first);
        return first + scheme(text.get(first..end), is_header)..end;
    }
    if rest.starts_with(['[', '{']) {
        let inner = rest.get(1..).unwrap_or_default().trim_start();
        let end = match quote {
            Some(quote) => quote.end_of_brackets(text, start).or(Some(text.len())),
            None if *unclosed == MAX_UNCLOSED => Some(text.len()),
            None => Quote::at_start(inner).unwrap_or(Quote::PLAIN).end_of_brackets(text, start),
        };
        match end {
            Some(end) => return start..end,
            // A message such as `unexpected token: {`.
            None => *unclosed += 1,
        }
    }
    let first = start + scheme(Some(rest), is_header);
    let rest = text.get(first..).unwrap_or_default();
    let ends = |letter: char| {
        letter.is_whitespace()
            || matches!(letter, '"' | '\'' | ',' | '\\')
            || !is_header && matches!(letter, '&' | ';' | '<' | '>')
    };
    let mut bare = rest.split(ends).next().unwrap_or_default();
    if quote.is_some() {
        // The brackets end the object that has the value.
        bare = bare.trim_end_matches(['[', ']', '{', '}']);
    }
    first..first + bare.len()
}

/// Returns the length of the scheme of a header and the space behind it.
fn scheme(value: Option<&str>, is_header: bool) -> usize {
    let value = value.unwrap_or_default();
    match value.split_once(char::is_whitespace).map(|(scheme, rest)| (scheme, rest.trim_start())) {
        Some((scheme, rest)) if is_header && !rest.is_empty() => {
            let is_known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
            if is_known { value.len() - rest.len() } else { 0 }
        }
        _ => 0,
    }
}

fn is_separator(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, ':' | '=' | '>')
}

/// The quotation mark of the names and texts of an object. If the object is itself in a text, the mark has
/// backslashes in front of it.
#[derive(Clone, Copy, Debug)]
struct Quote {
    mark: u8,
    slashes: usize,
}

impl Quote {
    const PLAIN: Self = Self { mark: b'"', slashes: 0 };

    fn at_start(text: &str) -> Option<Self> {
        let inner = text.trim_start_matches('\\');
        let mark = inner.bytes().next().filter(|mark| matches!(mark, b'"' | b'\''))?;
        Some(Self { mark, slashes: text.len() - inner.len() })
    }

    fn at_end(text: &str) -> Option<Self> {
        let mark = text.bytes().next_back().filter(|mark| matches!(mark, b'"' | b'\''))?;
        let name = text.get(..text.len() - 1)?;
        Some(Self { mark, slashes: name.len() - name.trim_end_matches('\\').len() })
    }

    /// Returns whether a mark behind this number of backslashes begins or ends a text of the object. Each level of
    /// texts doubles the backslashes within a text, so a mark within a text has more of them.
    fn delimits(self, slashes: usize) -> bool {
        slashes % (2 * (self.slashes + 1)) == self.slashes
    }

    /// Returns the offset at which the text that begins at `start` ends.
    fn end_of_text(self, text: &str, start: usize) -> usize {
        let mut slashes = 0;
        for (index, byte) in text.bytes().enumerate().skip(start) {
            match byte {
                b'\\' => slashes += 1,
                // With fewer backslashes, the mark ends the text that contains the object.
                _ if byte == self.mark && (slashes < self.slashes || self.delimits(slashes)) => {
                    return index - slashes.min(self.slashes);
                }
                _ => slashes = 0,
            }
        }
        text.len()
    }

    /// Returns the offset behind the array or object that begins at `start`, or the end of the text that
    /// contains the array or object if this text ends first. Returns `None` if neither ends.
    fn end_of_brackets(self, text: &str, start: usize) -> Option<usize> {
        let (mut depth, mut is_in_text, mut slashes) = (0_usize, false, 0);
        for (index, byte) in text.bytes().enumerate().skip(start) {
            match byte {
                b'\\' => {
                    slashes += 1;
                    continue;
                }
                _ if byte == self.mark && slashes < self.slashes => return Some(index - slashes),
                _ if byte == self.mark => is_in_text ^= self.delimits(slashes),
                b'[' | b'{' if !is_in_text => depth += 1,
                b']' | b'}' if !is_in_text && depth <= 1 => return Some(index + 1),
                b']' | b'}' if !is_in_text => depth -= 1,
                _ => {}
            }
            slashes = 0;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::{MASK, Redaction, Secret};

    fn redaction() -> Redaction {
        let kinds = [Secret::Key, Secret::Token, Secret::Card];
        kinds.into_iter().try_fold(Redaction::default(), Redaction::with).unwrap()
    }

    #[test]
    fn a_json_value_of_any_type_is_replaced_and_the_line_stays_json() {
        let redaction = redaction();
        for (line, redacted) in [
            (
                r#"{"Authorization":["Basic dXNlcjpwYXNz"],"level":"info"}"#,
                r#"{"Authorization":"***","level":"info"}"#,
            ),
            (r#"{"authorization": "Digest a=\"b\", c", "n":1}"#, r#"{"authorization": "Digest ***", "n":1}"#),
            (r#"{"token":["abc","d]f"],"n":1}"#, r#"{"token":"***","n":1}"#),
            (r#"{"token":{"a":["b\\"],"c":"}"},"n":1}"#, r#"{"token":"***","n":1}"#),
            (r#"{"token": [ { "a": 1 } ] }"#, r#"{"token": "***" }"#),
            (r#"{"a":{"password":null}}"#, r#"{"a":{"password":"***"}}"#),
            (r#"[{"secret":-1.5e3}]"#, r#"[{"secret":"***"}]"#),
            (r#"{"password":true,"n":1}"#, r#"{"password":"***","n":1}"#),
            (r#"{"password":"","token":[]}"#, r#"{"password":"","token":"***"}"#),
            (r#"{"password":"C:\\","n":1}"#, r#"{"password":"***","n":1}"#),
            (r#"{"card":4111111111111111}"#, r#"{"card":"***"}"#),
            (r#"{"m":"{\"token\":[\"a\"],\"n\":1}"}"#, r#"{"m":"{\"token\":\"***\",\"n\":1}"}"#),
            (r#"{"m":"{\"password\":\"a\\\"b\\\\\"}"}"#, r#"{"m":"{\"password\":\"***\"}"}"#),
            (r#"{"m":"{\"token\":[\"a","n":1}"#, r#"{"m":"{\"token\":\"***\"","n":1}"#),
            (r#"{"m":"unexpected token: {","n":["a"]}"#, r#"{"m":"unexpected token: ***","n":["a"]}"#),
        ] {
            assert_eq!(redaction.text(line), redacted, "{line}");
            let json: Value = serde_json::from_str(redacted).unwrap();
            assert!(json.is_object() || json.is_array());
        }
    }

    #[test]
    fn a_list_or_map_in_another_notation_is_replaced() {
        let redaction = redaction();
        for (line, redacted) in [
            ("{'token': ['a', 'b'], 'n': 1}", "{'token': '***', 'n': 1}"),
            ("{ token: [ 'a', 'b' ], n: 1 }", "{ token: ***, n: 1 }"),
            ("map[Authorization:[Basic dXNl] Host:[a]]", "map[Authorization:*** Host:[a]]"),
            (r#"{"password"=>"a b", "n"=>1}"#, r#"{"password"=>"***", "n"=>1}"#),
            (r#"{"token":["a", "b"#, r#"{"token":"***""#),
            ("password=a]b&n=1", "password=***&n=1"),
        ] {
            assert_eq!(redaction.text(line), redacted, "{line}");
        }
    }

    /// With a time that grows with the square of the length, this test would take minutes.
    #[test]
    fn brackets_without_an_end_are_replaced_in_linear_time() {
        let redaction = redaction();
        for (part, redacted) in [
            (r#""token":["#, r#""token":"***""#.to_owned()),
            (r#"\"token\":[\"a"#, r#"\"token\":\"***\""#.to_owned()),
            ("token:[ ", "token:*** ".repeat(8) + "token:***"),
            (r#"token:{""#, r#"token:***""#.repeat(8) + "token:***"),
        ] {
            assert_eq!(redaction.text(&part.repeat(100_000)), redacted, "{part}");
        }
    }

    /// Returns a JSON value of any type, in which some members have the name of a secret.
    fn json() -> impl Strategy<Value = Value> {
        let text = r#"[a-z "'\\\[\]{}:,é]{0,6}"#;
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 32, 4, move |inner| {
            let name = prop_oneof![Just("password".to_owned()), Just("Authorization".to_owned()), text];
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                vec((name, inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Returns the value after redaction: each value of a secret's name that is no empty text is replaced.
    fn redacted(value: &Value, is_secret: bool) -> Value {
        match value {
            Value::String(text) if is_secret && text.is_empty() => value.clone(),
            _ if is_secret => MASK.into(),
            Value::Array(values) => values.iter().map(|value| redacted(value, false)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| {
                    let is_secret = ["password", "Authorization"].contains(&name.as_str());
                    (name.clone(), redacted(value, is_secret))
                })
                .collect(),
            other => other.clone(),
        }
    }

    static REDACTION: LazyLock<Redaction> = LazyLock::new(redaction);

    proptest! {
        #[test]
        fn a_redacted_json_line_is_the_same_json_without_its_secrets(value in json(), is_nested: bool) {
            let expected = redacted(&value, false);
            if is_nested {
                let outer = serde_json::json!({ "m": value.to_string(), "n": 1 }).to_string();
                let found: Value = serde_json::from_str(&REDACTION.text(&outer)).unwrap();
                let inner: Value = serde_json::from_str(found["m"].as_str().unwrap()).unwrap();
                prop_assert_eq!(inner, expected);
            } else {
                let found: Value = serde_json::from_str(&REDACTION.text(&value.to_string())).unwrap();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
