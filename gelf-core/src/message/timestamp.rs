//! `timestamp`: seconds since the Unix epoch, as an exact decimal.
//!
//! > GELF 1.1, `timestamp`: "number, seconds since UNIX epoch with optional decimal places for milliseconds".
//!
//! Docker stamps lines to the nanosecond, and a 64-bit float resolves only about 240 ns at today's dates.
//! Therefore the decoder and the encoder convert no timestamp to a float: the decoder reads it from decimal text,
//! and the encoder writes it as decimal text.

mod rfc3339;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::number::{behind_digits, is_zero, without_zeros};

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// A point in time, as whole seconds since the Unix epoch and nanoseconds after them.
///
/// Before the epoch, the seconds are negative, and the nanoseconds still count forward: -1.5 s has the
/// seconds -2 and the nanoseconds 500,000,000. A [`SystemTime`] converts to a timestamp and back.
///
/// ```
/// use gelf_core::Timestamp;
/// use std::time::SystemTime;
///
/// let timestamp = Timestamp::from_unix_nanos(1_700_000_000_250_000_000);
/// assert_eq!(timestamp.to_string(), "1700000000.250");
/// let now = SystemTime::now();
/// assert_eq!(SystemTime::try_from(Timestamp::from(now)), Ok(now));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// The Unix epoch, 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self { seconds: 0, nanos: 0 };

    /// The maximum distance from the epoch in whole seconds, before or after the epoch: 8.64 × 10¹². A date
    /// in JavaScript has the same range.
    ///
    /// The range contains the times of this century in seconds. It also contains them in milliseconds, which
    /// some senders send by mistake, but not in microseconds. The range excludes numbers with a huge exponent,
    /// such as 1e300, which have ended known receivers.
    pub const MAX_SECONDS: i64 = 8_640_000_000_000;

    /// Creates a timestamp from seconds since the epoch and nanoseconds after them. Returns `None` if the
    /// nanoseconds are a second or more, or the seconds are beyond [`MAX_SECONDS`](Self::MAX_SECONDS).
    pub const fn from_unix(seconds: i64, nanos: u32) -> Option<Self> {
        if nanos >= 1_000_000_000 || seconds > Self::MAX_SECONDS || seconds < -Self::MAX_SECONDS {
            return None;
        }
        Some(Self { seconds, nanos })
    }

    /// Creates a timestamp from nanoseconds since the epoch. Every `i64` is in range.
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self { seconds: nanos.div_euclid(1_000_000_000), nanos: nanos.rem_euclid(1_000_000_000) as u32 }
    }

    /// Returns the seconds since the epoch and the nanoseconds after them (0 to 999,999,999).
    pub const fn as_unix(self) -> (i64, u32) {
        (self.seconds, self.nanos)
    }

    /// Subtracts a duration. Returns the earliest timestamp if the difference would be before it.
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let seconds =
            i64::try_from(duration.as_secs()).ok().and_then(|passed| self.seconds.checked_sub(passed));
        let (seconds, nanos) = match self.nanos.checked_sub(duration.subsec_nanos()) {
            Some(nanos) => (seconds, nanos),
            None => {
                let nanos = self.nanos + NANOS_PER_SECOND - duration.subsec_nanos();
                (seconds.and_then(|seconds| seconds.checked_sub(1)), nanos)
            }
        };
        let earlier = seconds.and_then(|seconds| Self::from_unix(seconds, nanos));
        earlier.unwrap_or(Self { seconds: -Self::MAX_SECONDS, nanos: 0 })
    }

    /// Parses a JSON number as seconds: plain (`1385053862.3072`) or with an exponent (`1.385053862E9`).
    ///
    /// Digits beyond the nanosecond are cut off.
    ///
    /// # Errors
    /// Returns [`InvalidTimestamp::Syntax`] if the text is not a JSON number, and [`InvalidTimestamp::Range`]
    /// if the number is beyond [`MAX_SECONDS`](Self::MAX_SECONDS).
    pub fn from_decimal(text: &str) -> Result<Self, InvalidTimestamp> {
        if let Some(usual) = usual_decimal(text.as_bytes()) {
            return Ok(usual);
        }
        let number = Decimal::split(text).ok_or(InvalidTimestamp::Syntax)?;
        let digits =
            || number.whole.bytes().chain(number.fraction.bytes()).map(|digit| i64::from(digit - b'0'));
        if is_zero(number.whole.as_bytes()) && is_zero(number.fraction.as_bytes()) {
            return Ok(Self::UNIX_EPOCH);
        }
        // The number of digits in front of the decimal point, after the exponent has moved the point. It is
        // negative for `1e-3`, and for `1e3` it is larger than the number of digits in the text.
        let point = i64::try_from(number.whole.len()).unwrap_or(i64::MAX).saturating_add(number.exponent);
        let mut seconds: i64 = 0;
        let mut nanos: i64 = 0;
        let mut position = 0;
        for digit in digits() {
            if position < point {
                seconds = seconds
                    .checked_mul(10)
                    .and_then(|s| s.checked_add(digit))
                    .filter(|s| *s <= Self::MAX_SECONDS)
                    .ok_or(InvalidTimestamp::Range)?;
            } else if let Some(weight) = u32::try_from(position - point).ok().and_then(nano_weight) {
                nanos += digit * weight;
            } else {
                // The other digits are below a nanosecond.
                break;
            }
            position += 1;
        }
        while position < point && seconds != 0 {
            seconds =
                seconds.checked_mul(10).filter(|s| *s <= Self::MAX_SECONDS).ok_or(InvalidTimestamp::Range)?;
            position += 1;
        }
        if number.negative {
            (seconds, nanos) = if nanos == 0 { (-seconds, 0) } else { (-seconds - 1, 1_000_000_000 - nanos) };
        }
        let nanos = u32::try_from(nanos).map_err(|_| InvalidTimestamp::Range)?;
        Self::from_unix(seconds, nanos).ok_or(InvalidTimestamp::Range)
    }

    /// Writes the decimal into `buffer` and returns the written text. The text has no exponent, and has 0, 3,
    /// 6 or 9 decimals: the fewest that are exact.
    #[allow(clippy::indexing_slicing, reason = "TEXT_MAX is a sign, 13 digits, a point and 9 decimals")]
    pub(crate) fn write(self, buffer: &mut [u8; Self::TEXT_MAX]) -> &[u8] {
        // Convert the time to a sign and a magnitude: -2 seconds and 500,000,000 nanoseconds are -1.500.
        let (negative, seconds, nanos) = if self.seconds < 0 {
            match self.nanos {
                0 => (true, self.seconds.unsigned_abs(), 0),
                nanos => (true, (self.seconds + 1).unsigned_abs(), 1_000_000_000 - nanos),
            }
        } else {
            (false, self.seconds.unsigned_abs(), self.nanos)
        };
        let (mut rest, mut decimals) = (nanos, 9);
        while decimals > 0 && rest % 1000 == 0 {
            rest /= 1000;
            decimals -= 3;
        }
        let mut start = buffer.len();
        let mut push = |byte: u8| {
            start -= 1;
            buffer[start] = byte;
        };
        if decimals > 0 {
            for _ in 0..decimals {
                push(b'0' + (rest % 10) as u8);
                rest /= 10;
            }
            push(b'.');
        }
        let mut whole = seconds;
        loop {
            push(b'0' + (whole % 10) as u8);
            whole /= 10;
            if whole == 0 {
                break;
            }
        }
        if negative {
            push(b'-');
        }
        &buffer[start..]
    }

    /// The maximum length of the text of [`write`](Self::write): a sign, 13 digits, a point, 9 digits.
    pub(crate) const TEXT_MAX: usize = 24;
}

/// Writes the exact decimal: `1385053862.307200`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; Self::TEXT_MAX];
        // The decimal is ASCII, so the error cannot occur.
        std::str::from_utf8(self.write(&mut buffer)).map_err(|_| fmt::Error).and_then(|text| f.pad(text))
    }
}

/// Converts a time. A time further from the epoch than [`Timestamp::MAX_SECONDS`] becomes the time at that
/// distance.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        const LATEST: Timestamp = Timestamp { seconds: Timestamp::MAX_SECONDS, nanos: 0 };
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs())
                .ok()
                .and_then(|seconds| Self::from_unix(seconds, after.subsec_nanos()))
                .unwrap_or(LATEST),
            Err(before) => Self::UNIX_EPOCH.saturating_sub(before.duration()),
        }
    }
}

/// Converts a timestamp; fails if the platform's [`SystemTime`] cannot represent it.
impl TryFrom<Timestamp> for SystemTime {
    type Error = InvalidTimestamp;

    fn try_from(timestamp: Timestamp) -> Result<Self, InvalidTimestamp> {
        let seconds = Duration::from_secs(timestamp.seconds.unsigned_abs());
        let whole = if timestamp.seconds < 0 {
            UNIX_EPOCH.checked_sub(seconds)
        } else {
            UNIX_EPOCH.checked_add(seconds)
        };
        whole
            .and_then(|whole| whole.checked_add(Duration::from_nanos(timestamp.nanos.into())))
            .ok_or(InvalidTimestamp::Range)
    }
}

/// The reason why a text is not a [`Timestamp`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidTimestamp {
    /// The time is further from the epoch than [`Timestamp::MAX_SECONDS`], or than the target type can
    /// represent.
    Range,
    /// The text does not have the format that the function parses.
    Syntax,
}

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Range => "the timestamp is out of range",
            Self::Syntax => "not a timestamp",
        })
    }
}

impl std::error::Error for InvalidTimestamp {}

/// Returns the number of nanoseconds that the digit 1 at a decimal place stands for. Place 0 is the first
/// place behind the point. Returns `None` if the place is below a nanosecond.
fn nano_weight(place: u32) -> Option<i64> {
    8u32.checked_sub(place).map(|power| 10i64.pow(power))
}

/// Parses the form that nearly all senders write: up to twelve digits, with at most nine decimals behind a
/// point. Returns `None` for any other text.
fn usual_decimal(text: &[u8]) -> Option<Timestamp> {
    let mut rest = text;
    // Reads up to `most` digits and the point behind them. Returns the number, its length in digits, and
    // whether there was a point.
    let mut digits = |most: usize| {
        let (mut number, mut len) = (0_i64, 0);
        while let [digit @ b'0'..=b'9', tail @ ..] = rest {
            if len == most {
                break;
            }
            (number, len) = (number * 10 + i64::from(digit - b'0'), len + 1);
            rest = tail;
        }
        let mut point = false;
        match rest {
            [b'.', tail @ ..] if len > 0 => (rest, point) = (tail, true),
            _ => {}
        }
        (number, len, point)
    };
    let (seconds, len, point) = digits(12);
    let nanos = if point {
        let (nanos, places, point) = digits(9);
        if point || places == 0 {
            return None;
        }
        nanos * 10_i64.pow(9 - u32::try_from(places).ok()?)
    } else {
        0
    };
    let leading_zero = len > 1 && text.first() == Some(&b'0');
    if len == 0 || leading_zero || !rest.is_empty() {
        return None;
    }
    Timestamp::from_unix(seconds, u32::try_from(nanos).ok()?)
}

/// The parts of a JSON number. `exponent` is at most 10^18 in magnitude; see `parse_exponent`.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Decimal<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match split_once(rest, memchr::memchr2(b'e', b'E', rest.as_bytes())) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match split_once(mantissa, memchr::memchr(b'.', mantissa.as_bytes())) {
            Some((whole, fraction)) if all_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        (all_digits(whole) && !leading_zero).then_some(Self { negative, whole, fraction, exponent })
    }
}

/// Returns the parts of a text in front of and behind the ASCII character at this offset.
fn split_once(text: &str, at: Option<usize>) -> Option<(&str, &str)> {
    let at = at?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn all_digits(text: &str) -> bool {
    behind_digits(text.as_bytes()).is_some_and(<[u8]>::is_empty)
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !all_digits(digits) {
        return None;
    }
    // Clamp the exponent to 10^18, so that the sum of the exponent and a length does not overflow. A larger
    // exponent has the same effect, since no text has as many digits.
    const MAX: i64 = 1_000_000_000_000_000_000;
    let magnitude = match without_zeros(digits.as_bytes()) {
        digits if digits.len() <= 18 => {
            digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
        }
        _ => MAX,
    };
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Result<(i64, u32), InvalidTimestamp> {
        Timestamp::from_decimal(text).map(Timestamp::as_unix)
    }

    #[test]
    fn text_other_than_a_json_number_is_refused() {
        for text in [
            "", "-", "NaN", "Infinity", "0x1p30", "12d", " 12", "12 ", "+1", "1.", ".5", "01", "1e", "1e+",
            "--1",
        ] {
            assert_eq!(decimal(text), Err(InvalidTimestamp::Syntax), "{text:?}");
        }
    }

    #[test]
    fn an_exponent_counts_in_full_however_many_digits_the_number_has() {
        let zeros = "0".repeat(1_000_004);
        assert_eq!(decimal(&format!("0.{zeros}17e1000014")), Ok((1_700_000_000, 0)));
        assert_eq!(decimal(&format!("17{zeros}e-999996")), Ok((1_700_000_000, 0)));
        for (exponent, expected) in
            [("e9223372036854775808", Err(InvalidTimestamp::Range)), ("e-9223372036854775808", Ok((0, 0)))]
        {
            assert_eq!(decimal(&format!("17{exponent}")), expected);
        }
    }

    #[test]
    fn text_is_in_fixed_notation_with_0_3_6_or_9_decimals() {
        let text = |seconds, nanos| Timestamp::from_unix(seconds, nanos).unwrap().to_string();
        assert_eq!(text(1_500_646_980, 661_000_000), "1500646980.661");
        assert_eq!(text(1_500_646_980, 12_000_000), "1500646980.012");
        assert_eq!(text(1_700_000_000, 0), "1700000000");
        assert_eq!(text(1_700_000_000, 1_000), "1700000000.000001");
        assert_eq!(text(1_700_000_000, 1), "1700000000.000000001");
        assert_eq!(text(-2, 500_000_000), "-1.500");
        assert_eq!(text(-1, 500_000_000), "-0.500");
        assert_eq!(text(-Timestamp::MAX_SECONDS, 1), "-8639999999999.999999999");
    }

    #[test]
    fn nanoseconds_of_a_second_or_more_are_refused() {
        assert_eq!(Timestamp::from_unix(337_647_600, 1_234_111_111), None);
        assert_eq!(Timestamp::from_unix(Timestamp::MAX_SECONDS + 1, 0), None);
    }

    #[test]
    fn a_system_time_before_or_after_the_epoch_converts_to_a_timestamp_and_back() {
        let after = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        assert_eq!(Timestamp::from(after).as_unix(), (1_700_000_000, 123_456_789));
        let before = UNIX_EPOCH - Duration::new(1, 500_000_000);
        assert_eq!(Timestamp::from(before).as_unix(), (-2, 500_000_000));
        for time in [after, before, UNIX_EPOCH] {
            assert_eq!(SystemTime::try_from(Timestamp::from(time)), Ok(time));
        }
    }

    proptest! {
        #[test]
        fn timestamps_are_parsed_back_from_their_text(
            seconds in -Timestamp::MAX_SECONDS..=Timestamp::MAX_SECONDS,
            nanos in 0u32..1_000_000_000,
        ) {
            let timestamp = Timestamp::from_unix(seconds, nanos).unwrap();
            // Skip the fractions within the earliest second.
            prop_assume!(seconds > -Timestamp::MAX_SECONDS || nanos == 0);
            prop_assert_eq!(Timestamp::from_decimal(&timestamp.to_string()), Ok(timestamp));
        }

        #[test]
        fn the_fast_path_and_the_general_parser_agree(text in "0?[0-9]{0,14}[.]?[0-9]{0,11}[.e]?") {
            // The fast path reads no exponent.
            let fast = Timestamp::from_decimal(&text);
            let general = Timestamp::from_decimal(&format!("{text}e0"));
            if !text.contains('e') {
                prop_assert_eq!(fast, general);
            }
        }

        #[test]
        fn any_text_is_a_timestamp_or_an_error(text in "\\PC{0,40}") {
            let _ = Timestamp::from_decimal(&text);
        }

        #[test]
        fn saturating_sub_is_exact_in_range(seconds in 0i64..4_000_000_000, nanos in 0u32..1_000_000_000, less in 0u64..5_000_000_000) {
            let timestamp = Timestamp::from_unix(seconds, nanos).unwrap();
            let earlier = timestamp.saturating_sub(Duration::from_nanos(less)).as_unix();
            let all = |seconds: i64, nanos: u32| {
                i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos)
            };
            prop_assert_eq!(all(earlier.0, earlier.1), all(seconds, nanos) - i128::from(less));
        }
    }
}
