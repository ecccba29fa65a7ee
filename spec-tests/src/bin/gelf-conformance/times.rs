//! Values of options that are times.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;

/// Maximum value of an option that [`seconds`] parses, in seconds: one day. Sums and products of such limits stay far
/// below the maximum of [`Instant`](std::time::Instant) and [`Duration`], so they do not panic.
const MAX_SECONDS: u64 = 86_400;

/// Parses a time limit in whole seconds, from 1 to [`MAX_SECONDS`].
pub(crate) fn seconds() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=MAX_SECONDS)
}

/// Parses a duration such as `60s`, `10m`, `1h` or `500ms`. A number without a unit is in seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, milliseconds) = match text {
        text if text.ends_with("ms") => (text.strip_suffix("ms"), 1.0),
        text if text.ends_with('s') => (text.strip_suffix('s'), 1e3),
        text if text.ends_with('m') => (text.strip_suffix('m'), 60e3),
        text if text.ends_with('h') => (text.strip_suffix('h'), 3600e3),
        text => (Some(text), 1e3),
    };
    let number: Option<f64> = number.and_then(|number| number.trim().parse().ok());
    let number = number.ok_or("expected a number with ms, s, m or h")?;
    match Duration::try_from_secs_f64(number * milliseconds / 1e3) {
        Ok(Duration::ZERO) => Err("expected more than 0".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::Cli;

    #[test]
    fn a_time_limit_is_bounded() {
        let is_valid =
            |arguments: &[&str]| Cli::try_parse_from([&["gelf-conformance"], arguments].concat()).is_ok();
        let receiver = ["receiver", "--udp", "127.0.0.1:1", "--observe", "cat"];
        for command in [&["run"][..], &["check-subject", "cat"], &["fuzz"], &["bench"], &receiver] {
            for (seconds, expected) in [("1", true), ("86400", true), ("0", false), ("86401", false)] {
                let arguments = [command, &["--timeout", seconds]].concat();
                assert_eq!(is_valid(&arguments), expected, "{arguments:?}");
            }
        }
        assert!(is_valid(&[&receiver[..], &["--settle", "0"]].concat()));
        assert!(!is_valid(&[&receiver[..], &["--settle", "60001"]].concat()));
    }

    #[test]
    fn a_time_without_a_unit_is_in_seconds() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["soon", "-1s", "", "s", "30sec", "0s", "1e99h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
