//! JSON numbers, kept exactly.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// A JSON number, which is kept without rounding: an integer within `i64` or `u64` is kept as an integer, and any
/// other number is kept as its text.
///
/// ```
/// use gelf_core::Number;
///
/// let number = Number::parse("1.10").unwrap();
/// assert_eq!(number.as_f64(), 1.1);
/// assert_eq!(number.to_string(), "1.10");
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Number<'a>(Repr<'a>);

/// The digits of a number, for a writer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Digits<'a> {
    Negative(u64),
    Positive(u64),
    Text(&'a str),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Repr<'a> {
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// The text of any other valid JSON number, `-0` included.
    Text(Cow<'a, str>),
}

impl<'a> Number<'a> {
    /// Parses the text of a JSON number; returns `None` for any other text.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Option<Self> {
        let text = text.into();
        is_json_number(&text).then(|| Self::from_valid(text))
    }

    /// Converts text that a JSON parser has found to be a number.
    pub(crate) fn from_valid(text: Cow<'a, str>) -> Self {
        // "-0" is kept as text; as an integer it would lose its sign.
        if text != "-0" {
            if let Ok(integer) = text.parse::<i64>() {
                return Self(Repr::Int(integer));
            }
            if let Ok(integer) = text.parse::<u64>() {
                return Self(Repr::Uint(integer));
            }
        }
        Self(Repr::Text(text))
    }

    /// Returns the number that `{:?}` writes for this float, such as `0.1`, `5.0` or `1e300`. It reads back as the
    /// same float. Returns `None` for NaN and the infinities, which JSON cannot express.
    pub fn from_f64(float: f64) -> Option<Number<'static>> {
        float.is_finite().then(|| Number(Repr::Text(Cow::Owned(format!("{float:?}")))))
    }

    /// Returns the integer if it is within `i64`. Returns `None` for `-0`, and for any number with a decimal point
    /// or an exponent, such as `6.0`.
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Repr::Int(integer) => Some(integer),
            Repr::Uint(_) | Repr::Text(_) => None,
        }
    }

    /// Returns the integer if it is within `u64`. Returns `None` for `-0`, and for any number with a decimal point
    /// or an exponent, such as `6.0`.
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Repr::Int(integer) => u64::try_from(integer).ok(),
            Repr::Uint(integer) => Some(integer),
            Repr::Text(_) => None,
        }
    }

    /// Returns the nearest float, which is infinite if the number is beyond the range of a float.
    pub fn as_f64(&self) -> f64 {
        match &self.0 {
            Repr::Int(integer) => *integer as f64,
            Repr::Uint(integer) => *integer as f64,
            // Rust reads every JSON number as a float, so the error cannot occur.
            Repr::Text(text) => text.parse().unwrap_or(f64::NAN),
        }
    }

    /// Returns whether this is an integer outside of `i64` that is written with neither a decimal point nor an
    /// exponent. Graylog reads such a number modulo 2^64.
    pub fn is_beyond_i64(&self) -> bool {
        match &self.0 {
            Repr::Int(_) => false,
            Repr::Uint(_) => true,
            Repr::Text(text) => text != "-0" && is_plain(text),
        }
    }

    /// Returns whether [`as_f64`](Self::as_f64) is finite. The time is at most proportional to the length of the
    /// text.
    pub(crate) fn is_finite(&self) -> bool {
        match &self.0 {
            Repr::Int(_) | Repr::Uint(_) => true,
            Repr::Text(text) => is_finite(text),
        }
    }

    pub(crate) fn digits(&self) -> Digits<'_> {
        match &self.0 {
            Repr::Int(integer) if *integer < 0 => Digits::Negative(integer.unsigned_abs()),
            Repr::Int(integer) => Digits::Positive(integer.unsigned_abs()),
            Repr::Uint(integer) => Digits::Positive(*integer),
            Repr::Text(text) => Digits::Text(text),
        }
    }

    /// Copies borrowed text, so that the number borrows nothing.
    pub fn into_owned(self) -> Number<'static> {
        Number(match self.0 {
            Repr::Int(integer) => Repr::Int(integer),
            Repr::Uint(integer) => Repr::Uint(integer),
            Repr::Text(text) => Repr::Text(Cow::Owned(text.into_owned())),
        })
    }
}

impl From<i64> for Number<'_> {
    fn from(integer: i64) -> Self {
        Self(Repr::Int(integer))
    }
}

impl From<u64> for Number<'_> {
    fn from(integer: u64) -> Self {
        Self(i64::try_from(integer).map_or(Repr::Uint(integer), Repr::Int))
    }
}

/// Writes the number as in JSON.
impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Int(integer) => integer.fmt(f),
            Repr::Uint(integer) => integer.fmt(f),
            Repr::Text(text) => f.pad(text),
        }
    }
}

/// Returns whether the whole text is a number of RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    json_number_len(text.as_bytes()) == Some(text.len())
}

/// Returns the length of the JSON number at the start of the text; `None` if there is none.
pub(crate) fn json_number_len(text: &[u8]) -> Option<usize> {
    behind_number(text).map(|rest| text.len() - rest.len())
}

/// Returns the text behind the JSON number at the start of the text; `None` if there is none.
#[inline]
pub(crate) fn behind_number(text: &[u8]) -> Option<&[u8]> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let mut rest = match unsigned {
        [b'0', tail @ ..] if !matches!(tail, [b'0'..=b'9', ..]) => tail,
        [b'0', ..] => return None,
        _ => behind_digits(unsigned)?,
    };
    if let [b'.', fraction @ ..] = rest {
        rest = behind_digits(fraction)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        rest = behind_digits(match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        })?;
    }
    Some(rest)
}

/// Returns the text behind one or more digits; `None` if there is no digit.
#[inline(always)]
pub(crate) fn behind_digits(text: &[u8]) -> Option<&[u8]> {
    let [b'0'..=b'9', rest @ ..] = text else { return None };
    let mut rest = rest;
    while let [b'0'..=b'9', tail @ ..] = rest {
        rest = tail;
        // A number can have millions of digits. After 32 digits, a few vector instructions check each block
        // of 16 digits.
        if text.len() - rest.len() == 32 {
            while let Some((block, tail)) = rest.split_first_chunk::<16>() {
                if !block.iter().all(u8::is_ascii_digit) {
                    break;
                }
                rest = tail;
            }
        }
    }
    Some(rest)
}

/// Returns the integer that a JSON number stands for. The notation does not matter: `6`, `6.0`, `0.6e1` and
/// `60e-1` are all 6. Returns `None` if the number is not an integer, or is outside of `i64`.
pub(crate) fn exact_integer(number: &str) -> Option<i64> {
    if let [digit @ b'0'..=b'9'] = number.as_bytes() {
        return Some(i64::from(digit - b'0'));
    }
    let sign = if number.starts_with('-') { -1 } else { 1 };
    let Some(Magnitude { whole, fraction, before, exponent }) = Magnitude::of(number) else { return Some(0) };
    // The number of digits of the integer. All digits behind them must be zeros.
    let places = usize::try_from(before + i64::from(small_exponent(exponent)?)).ok()?;
    // An integer within `i64` has at most 19 digits.
    if !(1..=19).contains(&places) {
        return None;
    }
    let mut integer: i64 = 0;
    let mut digits = whole.iter().chain(fraction);
    for _ in 0..places {
        let digit = digits.next().map_or(0, |digit| i64::from(digit - b'0'));
        integer = integer.checked_mul(10)?.checked_add(sign * digit)?;
    }
    let behind = |digits: &[u8], places: usize| digits.get(places..).is_none_or(is_zero);
    (behind(whole, places) && behind(fraction, places.saturating_sub(whole.len()))).then_some(integer)
}

/// Returns whether the number has neither a fraction nor an exponent. Such a number is an integer of any size.
pub(crate) fn is_plain(number: &str) -> bool {
    memchr::memchr3(b'.', b'e', b'E', number.as_bytes()).is_none()
}

/// The digits of 2^1024 - 2^970, the smallest number that becomes infinity as a 64-bit float.
const INFINITE: &[u8; 309] = b"\
1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490179775872070\
9633028641669288791094655554785194040263065748867150582068190890200070838367627385484581771153176447\
5730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904\
174497792";

/// Returns whether a JSON number is within the range of a 64-bit float. The number is not converted, because
/// finding the nearest float can need slow arithmetic with hundreds of digits.
fn is_finite(number: &str) -> bool {
    if number.len() < INFINITE.len() && memchr::memchr2(b'e', b'E', number.as_bytes()).is_none() {
        return true;
    }
    let Some(Magnitude { whole, fraction, before, exponent }) = Magnitude::of(number) else { return true };
    let Some(exponent) = small_exponent(exponent) else { return exponent.starts_with(b"-") };
    match (before + i64::from(exponent)).cmp(&(INFINITE.len() as i64)) {
        Ordering::Less => true,
        Ordering::Greater => false,
        Ordering::Equal => {
            let digits = whole.iter().chain(fraction).chain(std::iter::repeat(&b'0'));
            digits.take(INFINITE.len()).lt(INFINITE)
        }
    }
}

/// The parts of a number that is not 0, without its sign.
struct Magnitude<'a> {
    /// The digits in front of the decimal point, without leading zeros.
    whole: &'a [u8],
    /// The digits behind the decimal point. If `whole` is empty, they begin with the first digit that is not 0.
    fraction: &'a [u8],
    /// The number of digits in `whole`. If `whole` is empty, this is minus the number of zeros between the
    /// decimal point and `fraction`: -2 for `0.003`.
    before: i64,
    exponent: &'a [u8],
}

impl<'a> Magnitude<'a> {
    /// Splits a JSON number. Returns `None` if the number is 0.
    fn of(number: &'a str) -> Option<Self> {
        let unsigned = number.strip_prefix('-').unwrap_or(number).as_bytes();
        let (mantissa, exponent) = split_once(unsigned, memchr::memchr2(b'e', b'E', unsigned));
        let (whole, fraction) = split_once(mantissa, memchr::memchr(b'.', mantissa));
        let (whole, fraction, before) = match without_zeros(whole) {
            [] => {
                let significant = without_zeros(fraction);
                (&[][..], significant, -((fraction.len() - significant.len()) as i64))
            }
            whole => (whole, fraction, whole.len() as i64),
        };
        (!whole.is_empty() || !fraction.is_empty()).then_some(Self { whole, fraction, before, exponent })
    }
}

/// Returns the parts of a text in front of and behind the byte at this offset.
fn split_once(text: &[u8], at: Option<usize>) -> (&[u8], &[u8]) {
    match at.map(|at| text.split_at(at)) {
        Some((before, [_, behind @ ..])) => (before, behind),
        _ => (text, &[]),
    }
}

/// Parses an exponent with its optional sign. Returns `None` for an exponent outside of `i32`. With such an
/// exponent, a text of less than 1 GiB stands for no integer within `i64` except 0, and the callers handle 0
/// before they call this function.
fn small_exponent(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let digits = without_zeros(digits);
    if digits.len() > 10 {
        return None;
    }
    let magnitude = digits.iter().fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0'));
    i32::try_from(sign * magnitude).ok()
}

/// Returns the digits behind the leading zeros. A few vector instructions find each block of zeros, since a
/// number can have millions of zeros.
pub(crate) fn without_zeros(mut digits: &[u8]) -> &[u8] {
    while let Some((b"00000000000000000000000000000000", tail)) = digits.split_first_chunk::<32>() {
        digits = tail;
    }
    while let [b'0', tail @ ..] = digits {
        digits = tail;
    }
    digits
}

/// Returns whether all digits are 0.
pub(crate) fn is_zero(digits: &[u8]) -> bool {
    without_zeros(digits).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_exact_however_it_is_written() {
        for (text, integer) in [
            ("0.6e1", Some(6)),
            ("6.00000000000000000000e+00", Some(6)),
            ("30E-1", Some(3)),
            ("-0.0e5", Some(0)),
            ("0e99999999999", Some(0)),
            ("0.007e3", Some(7)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("922337203685477580.7e1", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("1.5e0", None),
            ("0.6", None),
            ("6e-1", None),
            ("1e19", None),
            ("3e2147483647", None),
            ("3e-99999999999", None),
        ] {
            assert_eq!(exact_integer(text), integer, "{text}");
        }
    }

    #[test]
    fn any_number_of_zeros_is_read() {
        for count in [1, 31, 32, 33, 64, 1000] {
            let zeros = "0".repeat(count);
            for (text, integer) in [
                (format!("0.{zeros}6e{}", count + 1), Some(6)),
                (format!("0.{zeros}6e{count}"), None),
                (format!("-6{zeros}e-{count}"), Some(-6)),
                (format!("6.{zeros}e{zeros}1"), Some(60)),
                (format!("6.{zeros}1"), None),
                (format!("1{zeros}1e-{}", count + 1), None),
                (format!("0.{zeros}e9"), Some(0)),
            ] {
                assert_eq!(exact_integer(&text), integer, "{text}");
                assert_eq!(json_number_len(text.as_bytes()), Some(text.len()), "{text}");
            }
        }
    }

    #[test]
    fn a_number_is_finite_if_its_nearest_float_is() {
        let limit = std::str::from_utf8(INFINITE).unwrap();
        let below = format!("{}79.9", &limit[..307]);
        assert_eq!((below.parse::<f64>(), limit.parse::<f64>()), (Ok(f64::MAX), Ok(f64::INFINITY)));
        let zeros = "0".repeat(400);
        for text in [
            below.clone(),
            limit.to_owned(),
            format!("{limit}.{zeros}1"),
            format!("-0.{zeros}{below}").replacen(".9", "9e400", 1),
            format!("0.{zeros}{limit}e400"),
            format!("0.{zeros}{limit}e709"),
            format!("{limit}{zeros}e-400"),
            format!("{below}e{zeros}"),
            format!("1{zeros}"),
            format!("0.{zeros}e{zeros}9999"),
            "1.7976931348623157e308".to_owned(),
            "-1.7976931348623159e308".to_owned(),
            "1e99999999999".to_owned(),
            "1e-99999999999".to_owned(),
            "0e99999999999".to_owned(),
        ] {
            let float: f64 = text.parse().unwrap();
            assert_eq!(Number::parse(&*text).unwrap().is_finite(), float.is_finite(), "{text}");
        }
    }

    #[test]
    fn other_text_is_not_a_number() {
        for text in ["", "-", "01", "1.", ".1", "1e", "1e+", "+1", "NaN", "Infinity", "0x10", "1 ", " 1", "١"]
        {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(Number::from_f64(f64::INFINITY), None);
        assert_eq!(Number::from_f64(1e300).unwrap().to_string(), "1e300");
        assert_eq!(Number::from_f64(0.1).unwrap().to_string(), "0.1");
    }

    #[test]
    fn integers_that_graylog_would_wrap_are_recognized() {
        let beyond = |text: &'static str| Number::parse(text).unwrap().is_beyond_i64();
        assert!(beyond("9223372036854775808"));
        assert!(beyond("-9223372036854775809"));
        assert!(beyond("123456789012345678901234567890"));
        assert!(!beyond("9223372036854775807"));
        assert!(!beyond("-9223372036854775808"));
        assert!(!beyond("1e30"));
        assert!(!beyond("1.5"));
        assert!(!beyond("-0"));
    }
}
