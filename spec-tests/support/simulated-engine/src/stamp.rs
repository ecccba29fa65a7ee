//! Formats timestamps of RFC 3339. Docker writes them in UTC with nine decimals. Podman 4.3 writes them in
//! whole seconds with an offset.

/// Formats nanoseconds since the Unix epoch.
pub(crate) fn rfc3339(nanos: i64) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let fraction = nanos.rem_euclid(1_000_000_000);
    let second_of_day = seconds.rem_euclid(86_400);
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

/// Formats nanoseconds since the Unix epoch as a stamp in whole seconds, in the time zone one hour east of
/// UTC.
pub(crate) fn rfc3339_of_second(nanos: i64) -> String {
    let text = rfc3339(nanos + 3_600_000_000_000);
    let (second, _) = text.split_once('.').unwrap();
    format!("{second}+01:00")
}

/// Returns the Gregorian date that is a number of days after 1970-01-01.
fn date(mut days: i64) -> (i64, i64, i64) {
    let mut year = 1970;
    loop {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let year_days = if is_leap { 366 } else { 365 };
        if days < year_days {
            let months = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let mut month = 0;
            while days >= months[month] {
                days -= months[month];
                month += 1;
            }
            return (year, month as i64 + 1, days + 1);
        }
        days -= year_days;
        year += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_written_as_docker_and_podman_write_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(crate::START + 123_456_789), "2026-11-22T22:44:18.123456789Z");
        assert_eq!(rfc3339_of_second(crate::START + 123_456_789), "2026-11-22T23:44:18+01:00");
        assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(rfc3339(1_767_225_599_999_999_999), "2025-12-31T23:59:59.999999999Z");
    }
}
