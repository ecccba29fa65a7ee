//! Parses the parameters of a request.

use std::collections::HashMap;

/// The parameters of a request by their names. Percent-encoding is not decoded.
pub(crate) type Parameters<'a> = HashMap<&'a str, &'a str>;

/// Splits the query string of a target into its parameters.
pub(crate) fn parameters(query: &str) -> Parameters<'_> {
    query.split('&').filter_map(|pair| pair.split_once('=')).collect()
}

/// Returns whether a parameter is set to a value that Docker regards as true.
pub(crate) fn is_set(parameters: &Parameters<'_>, name: &str) -> bool {
    let value = parameters.get(name).map(|value| value.to_ascii_lowercase());
    value.is_some_and(|value| !matches!(&*value, "" | "0" | "no" | "false" | "none"))
}

/// Parses a time of the form `SECONDS` or `SECONDS.FRACTION`. Returns nanoseconds since the Unix epoch, or
/// `None` for a parameter that is missing, empty or `0`. Fractions are cut off after nine digits. A time beyond the
/// year 2262 counts as the latest time that 64 bits can hold.
///
/// # Errors
/// Returns the Engine's error message for any other text.
pub(crate) fn time(parameters: &Parameters<'_>, name: &str) -> Result<Option<i64>, String> {
    let Some(text) = parameters.get(name).filter(|text| !matches!(**text, "" | "0")) else { return Ok(None) };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let number = |part: &str| -> Result<i64, String> {
        part.parse().map_err(|_| format!("strconv.ParseInt: parsing {part:?}: invalid syntax"))
    };
    let nanos: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Ok(Some(number(seconds)?.saturating_mul(1_000_000_000).saturating_add(number(&nanos)?)))
}

/// The part of a log that is requested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogQuery {
    pub(crate) is_following: bool,
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
    /// The number of records from the end. Both streams count, even if only one stream is requested.
    pub(crate) tail: Option<usize>,
    pub(crate) has_stamps: bool,
    pub(crate) has_stdout: bool,
    pub(crate) has_stderr: bool,
}

impl LogQuery {
    /// Parses the parameters of a request for a log.
    ///
    /// # Errors
    /// Returns the Engine's error message for parameters that it refuses.
    pub(crate) fn new(parameters: &Parameters<'_>) -> Result<Self, String> {
        let (has_stdout, has_stderr) = (is_set(parameters, "stdout"), is_set(parameters, "stderr"));
        if !has_stdout && !has_stderr {
            return Err("Bad parameters: you must choose at least one stream".into());
        }
        Ok(Self {
            is_following: is_set(parameters, "follow"),
            since: time(parameters, "since")?,
            until: time(parameters, "until")?,
            // Any other text, such as `all`, means all records.
            tail: parameters.get("tail").and_then(|tail| tail.parse().ok()),
            has_stamps: is_set(parameters, "timestamps"),
            has_stdout,
            has_stderr,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_exact_to_the_nanosecond_up_to_the_latest_that_64_bits_can_hold() {
        for (text, nanos) in [
            ("7", 7_000_000_000),
            ("7.5", 7_500_000_000),
            ("7.123456789", 7_123_456_789),
            ("7.12345678912", 7_123_456_789),
            ("99999999999", i64::MAX),
        ] {
            assert_eq!(time(&parameters(&format!("since={text}")), "since"), Ok(Some(nanos)), "{text}");
        }
    }
}
