//! Parses and formats timestamps in RFC 3339 format.

use super::{InvalidTimestamp, Timestamp, nano_weight};

impl Timestamp {
    /// Parses a timestamp in RFC 3339 format, as Docker and several loggers write it:
    /// `2026-11-22T22:44:18.123456789Z`. The text may have any number of decimals, which are cut off after
    /// the nanosecond. It ends with `Z` or an offset such as `+02:00`. The offsets `+0200` and `+02` and the
    /// decimal comma of ISO 8601 are also valid, since Java and `strftime` write them. A leap second (`:60`)
    /// is read as the second before it.
    ///
    /// # Errors
    /// Returns [`InvalidTimestamp::Syntax`] for any other text, including a day that is not in the calendar.
    pub fn from_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        Self::from_rfc3339_bytes(text.as_bytes())
    }

    /// Parses bytes as [`from_rfc3339`](Self::from_rfc3339) parses text. The bytes need not be UTF-8.
    ///
    /// # Errors
    /// Returns the errors of [`from_rfc3339`](Self::from_rfc3339).
    pub fn from_rfc3339_bytes(text: &[u8]) -> Result<Self, InvalidTimestamp> {
        parse_rfc3339(text).ok_or(InvalidTimestamp::Syntax)
    }

    /// Formats the timestamp as RFC 3339 in UTC without trailing zeros, as Go's `time.RFC3339Nano` does:
    /// `2026-11-22T22:44:18.5Z`.
    ///
    /// Returns `None` outside of the years 0000 to 9999: RFC 3339 cannot express other years.
    ///
    /// ```
    /// use gelf_core::Timestamp;
    ///
    /// let time = Timestamp::from_unix_nanos(1_700_000_000_250_000_000);
    /// assert_eq!(time.to_rfc3339().as_deref(), Some("2023-11-14T22:13:20.25Z"));
    /// ```
    pub fn to_rfc3339(self) -> Option<String> {
        let (seconds, nanos) = self.as_unix();
        let (year, month, day) = date(seconds.div_euclid(86_400));
        if !(0..=9999).contains(&year) {
            return None;
        }
        let second = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if nanos > 0 {
            text.push_str(format!(".{nanos:09}").trim_end_matches('0'));
        }
        text.push('Z');
        Some(text)
    }
}

fn parse_rfc3339(text: &[u8]) -> Option<Timestamp> {
    text.try_into().ok().and_then(parse_usual).or_else(|| parse_any(text))
}

/// Parses the form that Docker writes: nine decimals and `Z`. Returns `None` for any other text. Each line of
/// a container has such a timestamp, so the digits are read eight at a time.
fn parse_usual(text: &[u8; 30]) -> Option<Timestamp> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', rest @ ..] = text else { return None };
    let [h0, h1, b':', i0, i1, b':', s0, s1, b'.', n0, n1, decimals @ .., b'Z'] = rest else { return None };
    let [n2, n3, n4, n5, n6, n7, n8] = decimals;
    let date = eight_digits([y0, y1, y2, y3, m0, m1, d0, d1])?;
    let time = eight_digits([h0, h1, i0, i1, s0, s1, n0, n1])?;
    let nanos = time % 100 * 10_000_000 + eight_digits([b'0', n2, n3, n4, n5, n6, n7, n8])?;
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    let (hour, minute, second) = (time / 1_000_000, time / 10_000 % 100, time / 100 % 100);
    if day < 1 || day > days_in_month(year, month)? || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Timestamp::from_unix(seconds, u32::try_from(nanos).ok()?)
}

/// Returns the number that eight digits stand for. Returns `None` if a byte is not a digit.
fn eight_digits(digits: [u8; 8]) -> Option<i64> {
    const ONES: u64 = u64::MAX / 0xff;
    let word = u64::from_le_bytes(digits);
    // Adding 0x46 sets the high bit of a byte above `9`. Subtracting 0x30 sets the high bit of a byte below `0`.
    if (word.wrapping_add(ONES * 0x46) | word.wrapping_sub(ONES * 0x30)) & (ONES << 7) != 0 {
        return None;
    }
    // Each step joins pairs of neighbours: the digits become numbers below 100, then numbers below 10,000, then
    // the result.
    let word = word - ONES * 0x30;
    let word = (word * 10 + (word >> 8)) & 0x00ff_00ff_00ff_00ff;
    let word = (word * 100 + (word >> 16)) & 0x0000_ffff_0000_ffff;
    let word = (word * 10_000 + (word >> 32)) & 0xffff_ffff;
    i64::try_from(word).ok()
}

/// Parses every form.
fn parse_any(text: &[u8]) -> Option<Timestamp> {
    let number = |from: usize, len: usize| -> Option<i64> {
        text.get(from..from + len)?
            .iter()
            .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let separators = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if !separators
        .iter()
        .all(|(at, allowed)| text.get(*at).is_some_and(|byte| allowed.as_bytes().contains(byte)))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if day < 1 || day > days_in_month(year, month)? || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut nanos = 0;
    if let [b'.' | b',', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        for (place, digit) in (0u32..9).zip(fraction.get(..digits)?) {
            nanos += i64::from(digit - b'0') * nano_weight(place)?;
        }
        rest = fraction.get(digits..)?;
    }
    let offset = match rest {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let at = text.len() - offset.len();
            let (hours, minutes) = match offset {
                [_, _] => (number(at, 2)?, 0),
                [_, _, _, _] => (number(at, 2)?, number(at + 2, 2)?),
                [_, _, b':', _, _] => (number(at, 2)?, number(at + 3, 2)?),
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds =
        days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59) - offset;
    Timestamp::from_unix(seconds, u32::try_from(nanos).ok()?)
}

fn days_in_month(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    })
}

/// Returns the number of days from 1970-01-01 to a date of the Gregorian calendar.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Count years from March, so that the leap day is the last day of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (153 * month + 2) / 5;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + days_before_month + day - 1 - 719_468
}

/// Returns the year, month and day of a number of days since 1970-01-01. This is the inverse of
/// [`days_from_epoch`].
fn date(days: i64) -> (i64, i64, i64) {
    // Count years from March, so that the leap day is the last day of its year. The calendar repeats every
    // 400 years, or 146,097 days.
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    // The quotients take out the leap days before this day, so each year has 365 days.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc3339_is_read_to_the_nanosecond_and_with_offsets() {
        let read = |text| Timestamp::from_rfc3339(text).map(Timestamp::as_unix);
        assert_eq!(read("1970-01-01T00:00:00Z"), Ok((0, 0)));
        assert_eq!(read("2026-11-22T22:44:18.123456789Z"), Ok((1_795_387_458, 123_456_789)));
        assert_eq!(read("2026-11-22T22:44:18.12345678Z"), Ok((1_795_387_458, 123_456_780)));
        assert_eq!(read("2026-11-23T00:44:18.5+02:00"), Ok((1_795_387_458, 500_000_000)));
        assert_eq!(read("2026-11-22T15:14:18-07:30"), Ok((1_795_387_458, 0)));
        assert_eq!(read("2026-11-22T15:14:18,25-0730"), Ok((1_795_387_458, 250_000_000)));
        assert_eq!(read("2026-11-23T00:44:18+02"), Ok((1_795_387_458, 0)));
        assert_eq!(read("2000-02-29T12:00:00Z"), Ok((951_825_600, 0)));
        assert_eq!(read("0001-01-01T00:00:00Z"), Ok((-62_135_596_800, 0)));
        assert_eq!(read("1969-12-31T23:59:59.25Z"), Ok((-1, 250_000_000)));
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T22:44:18",
            "2026-11-22T22:44:18.Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00+2:00",
            "2026-01-01T00:00:00+024",
            "2026-01-01T00:00:00+02:0",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00Zx",
            "+026-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::from_rfc3339(text), Err(InvalidTimestamp::Syntax), "{text:?}");
        }
    }

    #[test]
    fn rfc3339_is_written_in_utc_without_trailing_zeros() {
        let text = |seconds, nanos| Timestamp::from_unix(seconds, nanos).unwrap().to_rfc3339();
        assert_eq!(text(1_795_387_458, 123_456_780).as_deref(), Some("2026-11-22T22:44:18.12345678Z"));
        assert_eq!(text(951_825_600, 0).as_deref(), Some("2000-02-29T12:00:00Z"));
        assert_eq!(text(-1, 250_000_000).as_deref(), Some("1969-12-31T23:59:59.25Z"));
        assert_eq!(text(253_402_300_799, 999_999_999).as_deref(), Some("9999-12-31T23:59:59.999999999Z"));
        assert_eq!(text(253_402_300_800, 0), None);
        assert_eq!(text(-62_167_219_200, 0).as_deref(), Some("0000-01-01T00:00:00Z"));
        assert_eq!(text(-62_167_219_201, 0), None);
    }

    proptest! {
        #[test]
        fn every_formatted_timestamp_is_parsed_back(
            seconds in -62_167_219_200_i64..=253_402_300_799,
            nanos in 0u32..1_000_000_000,
        ) {
            let timestamp = Timestamp::from_unix(seconds, nanos).unwrap();
            prop_assert_eq!(Timestamp::from_rfc3339(&timestamp.to_rfc3339().unwrap()), Ok(timestamp));
        }

        #[test]
        fn the_form_that_docker_writes_is_read_like_every_other_form(
            seconds in -62_167_219_200_i64..=253_402_300_799,
            nanos in 100_000_000u32..1_000_000_000,
            at in 0usize..30,
            byte in prop_oneof![b'/'..=b':', any::<u8>()],
        ) {
            let usual = Timestamp::from_unix(seconds, nanos - nanos % 10 + 1).unwrap();
            let mut text = usual.to_rfc3339().unwrap().into_bytes();
            prop_assert_eq!(parse_usual(text.as_slice().try_into().unwrap()), Some(usual));
            text[at] = byte;
            prop_assert_eq!(parse_rfc3339(&text), parse_any(&text));
        }

        #[test]
        fn any_text_is_a_timestamp_or_an_error(text in "\\PC{0,40}") {
            let _ = Timestamp::from_rfc3339(&text);
        }
    }
}
