//! Writes times as text.

use std::time::{Instant, SystemTime};

use docker_source::gelf_core::Timestamp;

/// Returns the time in RFC 3339, in UTC and with nine decimals, as the stamps of Docker's logs are written.
pub(super) fn rfc3339(time: Timestamp) -> String {
    let (seconds, nanos) = time.as_unix();
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from 0000-03-01, in eras of 400 years. In this count, a year begins in March, so a
    // leap day is the last day of its year.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Returns the time of an instant in the past as RFC 3339 text.
pub(super) fn since(instant: Instant) -> String {
    rfc3339(Timestamp::from(SystemTime::now()).saturating_sub(instant.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_time_is_written_as_the_same_text() {
        for text in [
            "1970-01-01T00:00:00.000000000Z",
            "1969-12-31T23:59:59.999999999Z",
            "2000-02-29T12:34:56.000000789Z",
            "2026-11-29T15:45:34.123456789Z",
            "2100-03-01T00:00:00.000000000Z",
        ] {
            assert_eq!(rfc3339(Timestamp::from_rfc3339(text).unwrap()), text);
        }
    }
}
