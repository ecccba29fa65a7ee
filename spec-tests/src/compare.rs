//! Compares the messages of a subject with the expected messages.
//!
//! Different representations of a value are equal: an empty `full_message` and a missing one, `"true"` and
//! `true`, an array and a string with its JSON text. Numbers are compared as decimals.

use std::collections::BTreeMap;

use crate::difference::{Difference, Weight};
use crate::observed::{Answered, JsonText, ObservedAnswer, ObservedMessage};
use crate::text::shortened;
use crate::vector::{Expected, FieldValue, MessageText};

/// Returns the differences between expected and delivered messages.
pub(crate) fn messages(expected: &[MessageText], seen: &[ObservedMessage]) -> Vec<Difference> {
    if expected.len() != seen.len() {
        let count = |count| if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
        let difference =
            Difference::new("delivered", count(expected.len()), describe(seen, &count(seen.len())));
        let weight = if expected.len() > seen.len() { Weight::Lost } else { Weight::Wrong };
        return vec![Difference { weight, ..difference }];
    }
    expected.iter().zip(seen).flat_map(|(expected, seen)| message(expected, seen)).collect()
}

fn describe(seen: &[ObservedMessage], count: &str) -> String {
    match seen.iter().find_map(|message| message.short_message.as_ref()) {
        Some(text) => format!("{count}, short_message {}", shortened(text.json())),
        None => count.to_owned(),
    }
}

/// Returns the differences between expected and received HTTP answers. Also returns a difference if there were
/// more connections than expected, or if the last connection is not in the expected state afterwards.
pub(crate) fn answers(expected: &Expected, seen: &Answered) -> Vec<Difference> {
    let mut differences = Vec::new();
    let several = expected.answers.len() > 1;
    for (at, answer) in expected.answers.iter().enumerate() {
        let what = if several { format!("answer {}", at + 1) } else { "answer".to_owned() };
        let all: Vec<String> = answer.status.all().iter().map(ToString::to_string).collect();
        let wanted = all.join(" or ");
        match seen.answers.get(at) {
            None => differences.push(Difference::new(what, wanted, "none")),
            Some(ObservedAnswer::Closed) if answer.closed => {}
            Some(ObservedAnswer::Status(status, len)) if answer.status.all().contains(status) => {
                if let Some(wanted) = answer.length.filter(|wanted| wanted != len) {
                    differences.push(
                        Difference::new(
                            format!("{what}, its body"),
                            format!("{wanted} bytes"),
                            format!("{len} bytes"),
                        )
                        .small(),
                    );
                }
            }
            Some(other) => differences.push(Difference::new(what, wanted, shortened(&other.to_string()))),
        }
    }
    if let Some(wanted) = expected.connections.filter(|wanted| seen.connections > *wanted) {
        differences.push(Difference::new("connections", wanted.to_string(), seen.connections.to_string()));
    }
    if let Some(wanted) = expected.after.filter(|wanted| *wanted != seen.after) {
        differences
            .push(Difference::new("connection", format!("{wanted:?}"), format!("{:?}", seen.after)).small());
    }
    differences
}

/// Returns the differences between an expected and a delivered message.
pub(crate) fn message(expected: &MessageText, seen: &ObservedMessage) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (name, expected, seen) in [
        // A blank host counts as missing.
        ("host", expected.host.as_deref(), &seen.host.clone().filter(|host| !host.is_blank())),
        ("short_message", Some(expected.short_message.as_str()), &seen.short_message),
        ("full_message", expected.full_message.as_deref(), &seen.full_message),
    ] {
        differences.extend(text(name, expected, seen.as_ref()));
    }
    differences.extend(timestamp(expected.timestamp.as_deref(), seen.timestamp.as_ref()));
    let mut fields: BTreeMap<&str, &JsonText> = seen
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(_, value)| !value.is_null())
        .collect();
    let level = seen.level.as_ref().filter(|level| !level.is_null());
    // A subject is allowed to report the additional field `level` as the member `level`. A level that is not a
    // severity is such a field, too.
    let is_field = |level: &JsonText| {
        !fields.contains_key("level")
            && (expected.fields.iter().any(|(name, _)| name == "level") || !is_severity(level))
    };
    match (expected.level, level) {
        (None, Some(level)) if is_field(level) => {
            fields.insert("level", level);
        }
        (expected, level) => {
            differences.extend(number("level", expected.map(|level| level.to_string()), level))
        }
    }
    for (name, value) in &expected.fields {
        match fields.remove(name.as_str()) {
            Some(seen) if same_value(value, seen) => {}
            Some(seen) if is_nearest_float(value, seen) => differences
                .push(different(&format!("field {name}"), Some(value.to_string()), Some(seen)).small()),
            seen => differences.push(different(&format!("field {name}"), Some(value.to_string()), seen)),
        }
    }
    for (name, value) in fields {
        differences.push(Difference::new(format!("field {name}"), "none", shortened(value.json())));
    }
    differences
}

fn is_severity(level: &JsonText) -> bool {
    let text = level.text();
    integer(text.as_deref().unwrap_or_else(|| level.json())).is_some_and(|level| (0..=7).contains(&level))
}

fn text(what: &str, expected: Option<&str>, seen: Option<&JsonText>) -> Option<Difference> {
    let seen_text = match seen {
        None => Some(String::new()),
        Some(seen) if seen.is_null() => Some(String::new()),
        Some(seen) => seen.text(),
    };
    let expected_text = expected.unwrap_or_default();
    if seen_text.as_deref() == Some(expected_text) || seen.is_some_and(|seen| seen.json() == expected_text) {
        return None;
    }
    Some(different(what, expected.map(|text| shortened(&format!("{text:?}"))), seen))
}

/// Creates the difference of a value that is lost or changed.
fn different(what: &str, expected: Option<String>, seen: Option<&JsonText>) -> Difference {
    let none = || "none".to_owned();
    let lost = seen.is_none_or(|seen| seen.is_null() || seen.is_blank());
    let weight = if lost { Weight::Lost } else { Weight::Wrong };
    let found = seen.map_or_else(none, |seen| shortened(seen.json()));
    Difference { weight, ..Difference::new(what, expected.unwrap_or_else(none), found) }
}

fn number(what: &str, expected: Option<String>, seen: Option<&JsonText>) -> Option<Difference> {
    let same = match (&expected, seen) {
        (None, None) => true,
        (Some(expected), Some(seen)) => {
            decimal(expected).is_some() && decimal(expected) == decimal(seen.json())
        }
        _ => false,
    };
    (!same).then(|| different(what, expected, seen))
}

/// Compares timestamps. An error below a microsecond is ignored, because 64-bit floats near today's time are
/// 0.24 microseconds apart. An error below a millisecond is a small difference.
fn timestamp(expected: Option<&str>, seen: Option<&JsonText>) -> Option<Difference> {
    let seen = seen.filter(|seen| !seen.is_null());
    let nanos = |text: &str| scaled(text, 9);
    let apart = match (expected, seen) {
        (None, None) => 0,
        (Some(expected), Some(seen)) => match (nanos(expected), nanos(seen.json())) {
            (Some(expected), Some(seen)) => expected.abs_diff(seen),
            _ => u128::MAX,
        },
        _ => u128::MAX,
    };
    let difference = || different("timestamp", expected.map(str::to_owned), seen);
    match apart {
        0..1_000 => None,
        1_000..1_000_000 => Some(difference().small()),
        _ => Some(difference()),
    }
}

fn same_value(expected: &FieldValue, seen: &JsonText) -> bool {
    let json = seen.json();
    match expected {
        FieldValue::Bool(value) => json == value.to_string() || seen.text() == Some(value.to_string()),
        FieldValue::Number { number } => {
            let text = seen.text();
            let digits = text.as_deref().unwrap_or(json);
            decimal(number).is_some() && decimal(number) == decimal(digits)
        }
        FieldValue::Text(text) => {
            let seen = seen.text();
            seen.as_deref() == Some(text)
                || (text.starts_with(['{', '[']) && same_json(text, seen.as_deref().unwrap_or(json)))
        }
    }
}

/// Returns whether two JSON texts are equal. If both are numbers, they are compared as decimals. The order of
/// members does not matter.
pub(crate) fn same_json(one: &str, other: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    match (decimal(one), decimal(other)) {
        (None, None) => value(one).is_some() && value(one) == value(other),
        (one, other) => one == other,
    }
}

/// Returns whether the expected value is a number other than a 64-bit integer, and the seen value has the same
/// nearest 64-bit float.
fn is_nearest_float(expected: &FieldValue, seen: &JsonText) -> bool {
    let FieldValue::Number { number } = expected else { return false };
    let is_integer = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    let float = |text: &str| text.parse::<f64>().ok().filter(|float| float.is_finite());
    !is_integer && float(number).is_some() && float(number) == float(seen.json())
}

/// Maximum absolute value of an exponent. A larger value is reduced to this maximum.
const MAX_POWER: i64 = 1 << 40;

/// Splits a JSON number into its sign, its digits, and the power of ten that multiplies the digits. The
/// returned digits have no leading or trailing zeros. Returns `None` for text that is not a JSON number.
pub(crate) fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty()
        || has_leading_zero
        || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let (is_small, power) = match exponent.strip_prefix('-') {
        Some(power) => (true, power),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    if power.is_empty() || !power.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Parsing fails only for an exponent above `i64::MAX`.
    let power = power.parse().unwrap_or(i64::MAX).min(MAX_POWER);
    let exponent = if is_small { -power } else { power };
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some((false, String::new(), 0));
    }
    let power = exponent - fraction.len() as i64 + (digits.len() - trimmed.len()) as i64;
    Some((negative, trimmed.to_owned(), power))
}

/// Returns a JSON number as an integer. Returns `None` if the text is not a JSON number, or if the number has a
/// fraction or needs more than 128 bits.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (_, _, power) = decimal(text)?;
    if power < 0 { None } else { scaled(text, 0) }
}

/// Multiplies a JSON number by ten to the power of `power`, and cuts off the fraction. Returns `None` if the
/// text is not a JSON number, or if the result needs more than 128 bits.
pub(crate) fn scaled(text: &str, power: i64) -> Option<i128> {
    let (negative, digits, exponent) = decimal(text)?;
    let power = exponent.checked_add(power)?;
    let whole = match usize::try_from(power) {
        _ if digits.is_empty() => "0".to_owned(),
        // With 40 zeros, a number already exceeds 128 bits.
        Ok(zeros) => digits + &"0".repeat(zeros.min(40)),
        Err(_) => {
            let len = digits.len().saturating_sub(usize::try_from(power.unsigned_abs()).ok()?);
            format!("0{}", digits.get(..len).unwrap_or_default())
        }
    };
    let whole: i128 = whole.parse().ok()?;
    Some(if negative { -whole } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(json: &str) -> ObservedMessage {
        serde_json::from_str(json).unwrap()
    }

    fn expected(json: &str) -> MessageText {
        serde_json::from_str(json).unwrap()
    }

    fn words(expected_json: &str, seen_json: &str) -> Vec<String> {
        message(&expected(expected_json), &seen(seen_json)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn another_representation_of_a_value_is_not_a_difference() {
        let wanted = r#"{"host":"h","short_message":"m","fields":[["b",true],["n",{"number":"1.50"}],["o","{\"k\":[1,2]}"]]}"#;
        let found = r#"{"host":"h","short_message":"m","full_message":"","fields":{"b":"true","n":15e-1,"o":{"k":[1, 2]},"z":null}}"#;
        assert_eq!(words(wanted, found), [""; 0]);
    }

    #[test]
    fn a_lost_digit_is_a_difference() {
        let wanted = r#"{"short_message":"m","fields":[["i",{"number":"9007199254740993"}]]}"#;
        let found = r#"{"short_message":"m","fields":{"i":9007199254740992}}"#;
        assert_eq!(words(wanted, found), ["field i: expected 9007199254740993, found 9007199254740992"]);
    }

    #[test]
    fn the_string_null_is_not_null() {
        let found = r#"{"short_message":"m","full_message":"null","level":"debug","fields":{"x":1}}"#;
        assert_eq!(
            words(r#"{"short_message":"m"}"#, found),
            [
                "full_message: expected none, found \"null\"",
                "field level: expected none, found \"debug\"",
                "field x: expected none, found 1"
            ]
        );
    }

    #[test]
    fn a_field_named_level_is_compared_apart_from_the_level() {
        let wanted = r#"{"short_message":"m","fields":[["level","z"]]}"#;
        assert_eq!(words(wanted, r#"{"short_message":"m","level":"z"}"#), [""; 0]);
        assert_eq!(
            words(wanted, r#"{"short_message":"m","level":6,"fields":{"level":"z"}}"#),
            ["level: expected none, found 6"]
        );
    }

    #[test]
    fn timestamps_are_compared_with_the_precision_of_a_float() {
        let wanted = r#"{"short_message":"m","timestamp":"1385053862.3072"}"#;
        assert_eq!(words(wanted, r#"{"short_message":"m","timestamp":1385053862.3071999}"#), [""; 0]);
        let rounded =
            message(&expected(wanted), &seen(r#"{"short_message":"m","timestamp":1385053862.307}"#));
        assert_eq!(rounded.iter().map(|difference| difference.weight).collect::<Vec<_>>(), [Weight::Small]);
        let whole = message(&expected(wanted), &seen(r#"{"short_message":"m","timestamp":1385053862}"#));
        assert_eq!(whole.iter().map(|difference| difference.weight).collect::<Vec<_>>(), [Weight::Wrong]);
    }

    #[test]
    fn huge_timestamps_of_opposite_signs_are_compared() {
        let wanted = r#"{"short_message":"m","timestamp":"-1e29"}"#;
        let found = r#"{"short_message":"m","timestamp":1e29}"#;
        assert_eq!(words(wanted, found), ["timestamp: expected -1e29, found 1e29"]);
    }

    #[test]
    fn decimals_in_different_notations_are_equal() {
        for (one, other) in [("1.0", "1"), ("1e3", "1000"), ("-0", "0"), ("0.10", "1E-1"), ("100", "1e+2")] {
            assert_eq!(decimal(one), decimal(other), "{one} {other}");
        }
        assert_ne!(decimal("1"), decimal("-1"));
        for text in ["\"1\"", "01", "-00.5", "1.", "1.e3", ".1", "1e", "+1", "", "-"] {
            assert_eq!(decimal(text), None, "{text}");
        }
        assert_eq!(
            [integer("30e-1"), integer("-7"), integer("1.5"), integer("1e99")],
            [Some(3), Some(-7), None, None]
        );
        assert_eq!([scaled("-1.5e0", 9), scaled("0.0000000019", 9)], [Some(-1_500_000_000), Some(1)]);
        assert_eq!(scaled("1e-99999999999999999999", 0), Some(0));
    }
}
