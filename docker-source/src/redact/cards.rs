//! Finds the numbers of payment cards in a run of digits.

use std::ops::Range;

/// The maximum number of digits of a card number (ISO/IEC 7812).
const MAX_DIGITS: usize = 19;

/// Returns the card numbers within `run`, a range of the text with digits and single separators between the
/// digits.
pub(super) fn find(text: &str, run: Range<usize>) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut start = run.start;
    while start < run.end {
        match starts_at(bytes, start).then(|| end_of_number(bytes, start, run.end)).flatten() {
            Some(end) => {
                found.push(start..end);
                start = end;
            }
            None => start += 1,
        }
    }
    found
}

fn is_digit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_digit)
}

/// Returns whether a number can start at the byte `at`. A number cannot start directly behind a letter, a
/// digit, an underscore, or the decimal point of another number.
fn starts_at(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before)).copied().unwrap_or(b' ');
    let is_fraction = before == b'.' && at.checked_sub(2).is_some_and(|before| is_digit(bytes, before));
    is_digit(bytes, at) && !before.is_ascii_alphanumeric() && before != b'_' && !is_fraction
}

/// Returns the end of the longest number that starts at `start`.
fn end_of_number(bytes: &[u8], start: usize, limit: usize) -> Option<usize> {
    let mut digits = [0; MAX_DIGITS];
    let (mut count, mut end, mut at) = (0, None, start);
    while at < limit {
        let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) else {
            at += 1;
            continue;
        };
        let Some(place) = digits.get_mut(count) else { break };
        *place = digit - b'0';
        (count, at) = (count + 1, at + 1);
        let number = digits.get(..count).unwrap_or_default();
        let is_followed = bytes.get(at).is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_');
        if !is_followed && is_of_issuer(number) && has_check_digit(number) {
            end = Some(at);
        }
    }
    end
}

/// Returns whether an issuer gives out numbers with this beginning and this length.
fn is_of_issuer(number: &[u8]) -> bool {
    let prefix = |digits: usize| {
        number.iter().take(digits).fold(0, |prefix: u32, digit| 10 * prefix + u32::from(*digit))
    };
    match number.len() {
        13 => prefix(1) == 4,
        14 => matches!(prefix(3), 300..=305) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37),
        16 if prefix(1) == 4 => true,
        16 if matches!(prefix(4), 2221..=2720 | 3528..=3589) || matches!(prefix(2), 51..=55) => true,
        16..=19 if matches!(prefix(2), 62 | 65) || prefix(4) == 6011 => true,
        16..=19 if matches!(prefix(3), 644..=649) => true,
        19 if prefix(1) == 4 => true,
        12..=19 => matches!(prefix(4), 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763),
        _ => false,
    }
}

/// Returns whether the last digit is the check digit of the other digits, by Luhn's formula (ISO/IEC 7812-1).
fn has_check_digit(number: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let value = |(index, digit): (usize, &u8)| if index % 2 == 1 { doubled(*digit) } else { *digit };
    number.iter().rev().enumerate().map(value).map(u32::from).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<&str> {
        let mut numbers = Vec::new();
        for range in find(text, 0..text.len()) {
            numbers.push(&text[range]);
        }
        numbers
    }

    #[test]
    fn the_test_numbers_of_issuers_are_found() {
        for number in [
            "4111111111111111",
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "6200000000000005",
            "6759649826438453",
            "4111-1111-1111-1111",
            "3782 822463 10005",
        ] {
            assert_eq!(numbers(number), [number]);
        }
        assert_eq!(numbers("2 4111111111111111 7"), ["4111111111111111"]);
        assert_eq!(numbers("4111111111111111 378282246310005").len(), 2);
    }

    #[test]
    fn other_numbers_are_not_cards() {
        for number in [
            "4111111111111112",
            "1764418000123456789",
            "0000000000000000",
            "a4111111111111111",
            "41111111111111110000000",
            "0.4111111111111111",
            "4111111111111111a",
        ] {
            assert_eq!(numbers(number), [""; 0], "{number}");
        }
    }

    #[test]
    fn a_long_run_of_digits_takes_linear_time() {
        assert_eq!(numbers(&"1".repeat(1 << 17)), [""; 0]);
        assert_eq!(numbers(&"1 ".repeat(1 << 16)), [""; 0]);
    }
}
