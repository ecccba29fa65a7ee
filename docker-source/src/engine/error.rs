//! What can go wrong between this program and the Engine, in a line that says what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use super::{ApiVersion, EngineAddress, InvalidEngineAddress};

/// The longest part of an Engine's own words that an error holds, in bytes.
const MESSAGE_MAX: usize = 512;

/// Why the Engine did not answer, or not as needed. Its text is one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum EngineError {
    /// The address cannot be used.
    Address(InvalidEngineAddress),
    /// The answer is not what the API describes, or the connection broke in the middle of it.
    Answer {
        /// The endpoint that was asked, such as `info`.
        endpoint: &'static str,
        /// What is wrong with the answer; one line of at most 512 bytes.
        reason: String,
    },
    /// Nobody answers at the address.
    Connect {
        /// Where.
        address: EngineAddress,
        /// What the operating system said.
        error: io::Error,
    },
    /// The Engine, or a proxy before it, answered with another status than 200.
    Status {
        /// The endpoint that was asked, such as `info`.
        endpoint: &'static str,
        /// The HTTP status.
        code: u16,
        /// The Engine's own words, control characters escaped; at most 512 bytes.
        message: String,
    },
    /// No answer in time.
    TimedOut {
        /// The endpoint that was asked, such as `info`.
        endpoint: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is longer than any honest one. The limits (16 MiB for the list of containers, 4 MiB for other
    /// answers) stop an Engine, or what pretends to be one, from filling the memory.
    TooLarge {
        /// The endpoint that was asked, such as `info`.
        endpoint: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The Engine speaks no version of the API as new as [`ApiVersion::OLDEST`].
    TooOld {
        /// The newest version that it speaks.
        engine: ApiVersion,
    },
}

impl EngineError {
    /// Whether waiting will not mend it: a bad address, permission denied, an Engine that is too old, or a request that
    /// the Engine or a proxy refuses (400, 401, 403).
    ///
    /// A missing socket and a refused connection are not permanent: the Engine may still be starting.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Address(_) | Self::TooOld { .. } => true,
            Self::Connect { error, .. } => error.kind() == io::ErrorKind::PermissionDenied,
            Self::Status { code, .. } => matches!(code, 400 | 401 | 403),
            Self::Answer { .. } | Self::TimedOut { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// The HTTP status, where there was one other than 200.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub(crate) fn answer(endpoint: &'static str, reason: impl fmt::Display) -> Self {
        Self::Answer { endpoint, reason: one_line(reason.to_string().as_bytes()) }
    }

    /// `body` is the Engine's JSON, `{"message":"..."}`, or whatever a proxy puts there.
    pub(crate) fn from_status(endpoint: &'static str, code: u16, body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Message {
            message: String,
        }
        let message = match serde_json::from_slice::<Message>(body) {
            Ok(json) => one_line(json.message.as_bytes()),
            Err(_) => one_line(body),
        };
        Self::Status { endpoint, code, message }
    }
}

/// At most [`MESSAGE_MAX`] bytes of text on one line: control characters escaped, invalid UTF-8 replaced.
fn one_line(bytes: &[u8]) -> String {
    let mut line = String::new();
    for character in String::from_utf8_lossy(bytes).trim().chars() {
        let escaped: String = match character.is_control() {
            true => character.escape_default().collect(),
            false => character.into(),
        };
        if line.len() + escaped.len() > MESSAGE_MAX {
            break;
        }
        line.push_str(&escaped);
    }
    line
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Answer { endpoint, reason } => {
                write!(f, "the Engine's answer to GET {endpoint} cannot be used: {reason}")
            }
            Self::Connect { address, error } => match error.kind() {
                io::ErrorKind::PermissionDenied => write!(
                    f,
                    "permission denied on {address}: add the user to the group that owns the socket (mostly `docker`), \
                     or run as root"
                ),
                io::ErrorKind::NotFound => write!(
                    f,
                    "there is no Engine's socket at {address}: start Docker, mount the socket, or set DOCKER_HOST"
                ),
                io::ErrorKind::ConnectionRefused => {
                    write!(f, "nobody listens at {address}: start Docker, or set DOCKER_HOST")
                }
                _ => write!(f, "cannot connect to the Engine at {address}: {error}"),
            },
            Self::Status { endpoint, code, message } => {
                let hint = match code {
                    401 | 403 => "; allow it in the proxy before the Engine",
                    _ => "",
                };
                write!(f, "the Engine answered GET {endpoint} with status {code}: {message}{hint}")
            }
            Self::TimedOut { endpoint, after } => {
                write!(f, "the Engine did not answer GET {endpoint} within {} s", after.as_secs_f64())
            }
            Self::TooLarge { endpoint, limit } => {
                write!(f, "the Engine's answer to GET {endpoint} is longer than {limit} bytes")
            }
            Self::TooOld { engine } => write!(
                f,
                "the Engine speaks API version {engine} at most, and {} is needed: upgrade to Docker 19.03 or later",
                ApiVersion::OLDEST
            ),
        }
    }
}

impl std::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(error) => Some(error),
            Self::Connect { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<InvalidEngineAddress> for EngineError {
    fn from(error: InvalidEngineAddress) -> Self {
        Self::Address(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(kind: io::ErrorKind) -> EngineError {
        EngineError::Connect { address: EngineAddress::Unix("/d.sock".into()), error: kind.into() }
    }

    #[test]
    fn what_waiting_does_not_mend_is_permanent() {
        assert!(EngineError::Address(InvalidEngineAddress::Ssh).is_permanent());
        assert!(EngineError::TooOld { engine: ApiVersion::OLDEST }.is_permanent());
        assert!(connect(io::ErrorKind::PermissionDenied).is_permanent());
        assert!(EngineError::from_status("info", 403, b"").is_permanent());
        assert!(EngineError::from_status("info", 400, b"").is_permanent());
    }

    #[test]
    fn what_waiting_may_mend_is_not_permanent() {
        assert!(!connect(io::ErrorKind::NotFound).is_permanent());
        assert!(!connect(io::ErrorKind::ConnectionRefused).is_permanent());
        assert!(!EngineError::from_status("info", 500, b"").is_permanent());
        assert!(!EngineError::from_status("info", 404, b"").is_permanent());
        assert!(!EngineError::TimedOut { endpoint: "info", after: Duration::from_secs(10) }.is_permanent());
    }

    #[test]
    fn each_connection_error_says_what_to_do() {
        assert_eq!(
            connect(io::ErrorKind::PermissionDenied).to_string(),
            "permission denied on unix:///d.sock: add the user to the group that owns the socket (mostly `docker`), \
             or run as root"
        );
        assert!(
            connect(io::ErrorKind::NotFound).to_string().ends_with("mount the socket, or set DOCKER_HOST")
        );
        assert!(connect(io::ErrorKind::ConnectionRefused).to_string().contains("start Docker"));
    }

    #[test]
    fn the_engines_own_words_are_on_one_line_and_bounded() {
        let error = EngineError::from_status("info", 500, b"{\"message\":\"first\\nsecond\\u001b[31m\"}");
        assert_eq!(
            error.to_string(),
            "the Engine answered GET info with status 500: first\\nsecond\\u{1b}[31m"
        );
        let long = EngineError::from_status("info", 500, &[b'\n'; 5000]);
        assert!(matches!(long, EngineError::Status { message, .. } if message.is_empty()));
        let mut body = vec![0xff; 5000];
        body.push(b'x');
        let EngineError::Status { message, .. } = EngineError::from_status("info", 502, &body) else {
            panic!("not a status");
        };
        assert_eq!(message.len(), 510, "170 replacement characters of 3 bytes");
    }
}
