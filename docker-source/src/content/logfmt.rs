//! Reads lines in logfmt: `level=info msg="order accepted" order=4711`.

use std::borrow::Cow;

use gelf_core::{Number, Value};

use super::json::Member;
use super::roles::{Role, role};

/// The maximum number of pairs of a line. A line with more pairs is not read as logfmt.
const MAX_PAIRS: usize = 256;

/// Returns the pairs of a line in logfmt. Such a line consists of 2 to [`MAX_PAIRS`] pairs, and at least one of
/// them is the severity, the time or the message. Returns `None` for any other line, since plain text may have an
/// equals sign, too.
pub(super) fn members(line: &str) -> Option<Vec<Member<'_>>> {
    let mut pairs = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if pairs.len() == MAX_PAIRS {
            return None;
        }
        let (pair, behind) = pair(rest)?;
        pairs.push(pair);
        rest = behind.trim_start();
    }
    let is_known =
        |(name, _): &Member<'_>| matches!(role(name), Some(Role::Level | Role::Time | Role::Message(_)));
    (pairs.len() > 1 && pairs.iter().any(is_known)).then_some(pairs)
}

/// Returns the pair at the start of the text, and the text behind it.
fn pair(text: &str) -> Option<(Member<'_>, &str)> {
    let (name, value) = text.split_once('=')?;
    let is_in_name =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'/');
    if name.is_empty() || !name.bytes().all(is_in_name) {
        return None;
    }
    let (value, rest) = if value.starts_with('"') { quoted(value)? } else { bare(value) };
    if !(rest.is_empty() || rest.starts_with(' ') || rest.starts_with('\t')) {
        return None;
    }
    Some(((Cow::Borrowed(name), value), rest))
}

/// Returns the text in quotes, with its escapes replaced, and the text behind the quotes.
fn quoted(text: &str) -> Option<(Value<'_>, &str)> {
    let mut escaped = false;
    let mut has_escapes = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        has_escapes |= escaped;
        ends
    })?;
    let (whole, rest) = text.split_at_checked(end + 2)?;
    let inner = whole.get(1..end + 1)?;
    let value = match has_escapes {
        // The escapes are those of JSON. Go also writes the escapes \x1b, \a and \v, which JSON does not have. A
        // text with such an escape stays as it is.
        true => serde_json::from_str(whole).map_or(Cow::Borrowed(inner), Cow::<str>::Owned),
        false => Cow::Borrowed(inner),
    };
    Some((Value::Str(value), rest))
}

/// Returns the value up to the next space or tab, and the text behind it.
fn bare(text: &str) -> (Value<'_>, &str) {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let value = match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if is_number(word) => Number::parse(word).map_or(Value::Str(Cow::Borrowed(word)), Value::Number),
        _ => Value::Str(Cow::Borrowed(word)),
    };
    (value, rest)
}

/// Returns whether a word is meant as a number. Such a word consists of at most 19 digits and points, with an
/// optional minus sign in front. A word with an exponent is not a number, since hexadecimal digits such as
/// `12e4567` look the same.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    digits.len() <= 19 && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}
