//! Errors of requests.

use std::error::Error;
use std::time::Duration;
use std::{fmt, io};

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};

/// The limit of `Retry-After`, so that a receiver cannot stop a sender for longer.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The error of a request: no valid answer, or a status other than 2xx.
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpError {
    /// The answer is not valid HTTP/1.1 or HTTP/1.0, or is too long.
    Answer(io::Error),
    /// There is no connection: the host was not found, none of its addresses accepted a connection, or the
    /// TLS handshake failed. The contained error is the error of the last address. With failover hosts, its
    /// text contains the errors of all hosts.
    Connect(io::Error),
    /// The connection ended before the answer.
    Disconnected(io::Error),
    /// The receiver answered with a status other than 2xx.
    Status {
        /// The status: 101, or at least 300.
        status: u16,
        /// The receiver's `Retry-After`, at most 5 min, if it is a number of seconds and the status is
        /// [retriable](HttpError::is_retriable).
        retry_after: Option<Duration>,
    },
    /// The connection or the answer did not come in time.
    TimedOut {
        /// The time limit.
        after: Duration,
    },
}

impl HttpError {
    /// Returns whether the same message may be accepted later: there was no valid answer, or the status is
    /// about the request and not about the message. Only 400, 413, 415 and 422 are about the message. All other
    /// statuses are about the request: a wrong path or token (401, 403, 404, 405, 407), an ingress during a
    /// deployment, a redirect (3xx, not followed), or an overload (408, 429, 5xx). Such a cause can pass
    /// without a change on the sender's side.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_retriable_status(*status),
            Self::Answer(_) | Self::Connect(_) | Self::Disconnected(_) | Self::TimedOut { .. } => true,
        }
    }

    /// Returns the time after which the receiver wants the request again, at most 5 min. Returns `None` if
    /// the receiver has not stated a number of seconds, or if the error is not
    /// [retriable](HttpError::is_retriable).
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns the result that the head of an answer states.
    pub(super) fn of_answer(status: StatusCode, headers: &HeaderMap) -> Result<(), Self> {
        if status.is_success() {
            return Ok(());
        }
        let status = status.as_u16();
        let seconds = headers.get(RETRY_AFTER).and_then(|value| read_seconds(value.as_bytes()));
        Err(Self::Status { status, retry_after: seconds.filter(|_| is_retriable_status(status)) })
    }
}

impl From<hyper::Error> for HttpError {
    fn from(error: hyper::Error) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        let is_answer = error.is_parse() || cause.is_some_and(|e| e.kind() == io::ErrorKind::InvalidData);
        let error = match cause.map(|cause| (cause.raw_os_error(), cause)) {
            Some((Some(number), _)) => io::Error::from_raw_os_error(number),
            Some((None, cause)) => io::Error::new(cause.kind(), cause.to_string()),
            None if is_answer => io::Error::new(io::ErrorKind::InvalidData, error),
            None => io::Error::new(io::ErrorKind::UnexpectedEof, error),
        };
        if is_answer { Self::Answer(error) } else { Self::Disconnected(error) }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(error) => write!(f, "the answer cannot be read: {error}"),
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Disconnected(error) => write!(f, "the connection ended before the answer: {error}"),
            Self::Status { status, retry_after } => {
                write!(f, "the receiver answers {status}")?;
                let known = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
                if let Some(reason) = known {
                    write!(f, " {reason}")?;
                }
                if (300..400).contains(status) {
                    f.write_str("; redirects are not followed")?;
                }
                match retry_after {
                    Some(after) => write!(f, "; try again in {} s", after.as_secs()),
                    None => Ok(()),
                }
            }
            Self::TimedOut { after } => write!(f, "no answer within {after:?}"),
        }
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // `Display` shows the error itself.
            Self::Answer(error) | Self::Connect(error) | Self::Disconnected(error) => error.source(),
            Self::Status { .. } | Self::TimedOut { .. } => None,
        }
    }
}

fn is_retriable_status(status: u16) -> bool {
    !matches!(status, 400 | 413 | 415 | 422)
}

/// Reads a `Retry-After` in seconds (RFC 9110, section 10.2.3). Ignores the other form, a date, since a date
/// would need a clock that agrees with the receiver's clock.
fn read_seconds(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = value
        .iter()
        .fold(0_u64, |seconds, digit| seconds.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, retry_after: Option<&str>) -> Result<(), HttpError> {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        HttpError::of_answer(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_2xx_is_success_and_only_400_413_415_and_422_are_about_the_message() {
        for status in 100..=999 {
            let is_final = of(status, None).err().map(|error| !error.is_retriable());
            let expected = match status {
                200..300 => None,
                status => Some([400, 413, 415, 422].contains(&status)),
            };
            assert_eq!(is_final, expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_and_5_minutes_at_most() {
        let seconds = |status, value| of(status, Some(value)).unwrap_err().retry_after().map(|d| d.as_secs());
        for status in [301, 404, 408, 429, 503, 600] {
            assert_eq!(seconds(status, "0"), Some(0));
            assert_eq!(seconds(status, "120"), Some(120));
            assert_eq!(seconds(status, "300"), Some(300));
            assert_eq!(seconds(status, "301"), Some(300));
            assert_eq!(seconds(status, "99999999999999999999999999"), Some(300));
            for other in ["", "-1", "+1", "1.5", " 1 2", "Fri, 31 Dec 1999 23:59:59 GMT"] {
                assert_eq!(seconds(status, other), None, "{other:?}");
            }
        }
        for status in [400, 413] {
            assert_eq!(seconds(status, "120"), None);
        }
        assert_eq!(of(503, None).unwrap_err().retry_after(), None);
    }

    #[test]
    fn each_error_displays_its_cause() {
        let reset = || io::Error::from_raw_os_error(104);
        for (error, text) in [
            (HttpError::Connect(reset()), format!("cannot connect: {}", reset())),
            (
                HttpError::Disconnected(reset()),
                format!("the connection ended before the answer: {}", reset()),
            ),
            (HttpError::Answer(io::Error::other("long")), "the answer cannot be read: long".to_owned()),
            (HttpError::TimedOut { after: Duration::from_secs(10) }, "no answer within 10s".to_owned()),
        ] {
            assert_eq!(error.to_string(), text);
        }
        for (status, retry_after, text) in [
            (404, None, "404 Not Found"),
            (799, None, "799"),
            (302, None, "302 Found; redirects are not followed"),
            (503, Some("7"), "503 Service Unavailable; try again in 7 s"),
        ] {
            let error = of(status, retry_after).unwrap_err();
            assert_eq!(error.to_string(), format!("the receiver answers {text}"));
        }
    }
}
