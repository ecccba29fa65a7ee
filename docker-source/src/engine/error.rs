//! Defines the errors of the communication with the Engine. The text of each error is one line. It says what to
//! do if that follows from the error.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{ApiVersion, EngineAddress, InvalidEngineAddress};
use crate::one_line::one_line;

/// An error of the communication with the Engine.
///
/// `Display` writes the whole reason on one line, so [`source`](std::error::Error::source) returns `None`.
#[derive(Debug)]
#[non_exhaustive]
pub enum EngineError {
    /// The address is invalid.
    Address(InvalidEngineAddress),
    /// The response is not as the API describes it.
    Answer {
        /// The endpoint of the request, such as `info`.
        endpoint: &'static str,
        /// The defect of the response, one line of at most 512 bytes.
        reason: String,
    },
    /// The connection broke before the end of the response, for example because the Engine was killed.
    Broken {
        /// The endpoint of the request, such as `info`.
        endpoint: &'static str,
    },
    /// No connection to the Engine could be established.
    Connect {
        /// The Engine's address.
        address: EngineAddress,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The Engine's socket file refuses connections, and is mounted without its folder. Whenever the Engine
    /// starts, it creates a new socket file, but such a mount still shows the old file.
    StaleSocket {
        /// The path of the file.
        path: PathBuf,
    },
    /// The Engine, or a proxy in front of it, answered with a status other than 200.
    Status {
        /// The endpoint of the request, such as `info`.
        endpoint: &'static str,
        /// The HTTP status.
        code: u16,
        /// The Engine's message, with control characters escaped, at most 512 bytes.
        message: String,
    },
    /// The Engine did not answer in time.
    TimedOut {
        /// The endpoint of the request, such as `info`.
        endpoint: &'static str,
        /// The timeout.
        after: Duration,
    },
    /// The response has more than 1 GiB, or the names and other metadata in a list of containers take more than
    /// 12 MiB. These limits stop a server that poses as an Engine from answering without an end.
    TooLarge {
        /// The endpoint of the request, such as `info`.
        endpoint: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The Engine's certificate has another name or is not signed by a trusted authority, or the Engine refused the
    /// client's certificate or its absence. For other defects of the Engine's certificate, for example if it is
    /// expired, the error is [`Connect`](Self::Connect). This error occurs only with the feature `tls`.
    Tls {
        /// The Engine's address.
        address: EngineAddress,
        /// The reason, with the name of the Engine's host or of the certificate's file.
        reason: String,
    },
    /// The newest API version of the Engine is older than 1.40, which came with Docker 19.03.
    TooOld {
        /// The newest version that the Engine supports, such as 1.39.
        engine: String,
    },
}

impl EngineError {
    /// Returns whether retrying is useless. This holds for an invalid address, denied permission, a certificate that
    /// is refused with the error [`Tls`](Self::Tls), an Engine that is too old, and a request that the Engine or a
    /// proxy refuses with status 400, 401 or 403.
    ///
    /// A missing socket and a refused connection are not permanent: possibly the Engine is still starting.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Address(_) | Self::Tls { .. } | Self::TooOld { .. } => true,
            Self::Connect { error, .. } => error.kind() == io::ErrorKind::PermissionDenied,
            Self::Status { code, .. } => matches!(code, 400 | 401 | 403),
            Self::Answer { .. }
            | Self::Broken { .. }
            | Self::StaleSocket { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// Returns whether the Engine, or a proxy in front of it, will always refuse this request.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Status { code: 401 | 403 | 404 | 405 | 501, .. })
    }

    /// Returns whether the Engine answered with a status other than 200.
    pub(crate) fn is_status(&self) -> bool {
        matches!(self, Self::Status { .. })
    }

    /// Returns whether no server listens at the Engine's address.
    pub(crate) fn is_connection_refused(&self) -> bool {
        matches!(self, Self::Connect { error, .. } if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Returns whether no connection was attempted because this process or the system has too few file
    /// descriptors (`EMFILE`, `ENFILE`).
    pub(crate) fn is_out_of_descriptors(&self) -> bool {
        // These numbers are the same on Linux, macOS and the BSDs.
        matches!(self, Self::Connect { error, .. } if matches!(error.raw_os_error(), Some(23 | 24)))
    }

    /// Returns whether no connection was established, or no bytes arrived in time. In this case, other
    /// connections to the Engine may be broken, too.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::TimedOut { .. })
    }

    /// Returns the meaning of this error for a request that names a container.
    pub(crate) fn log_refusal(&self) -> LogRefusal {
        match self {
            // With status 409, the message is "dead or marked for removal".
            Self::Status { code: 404 | 409, .. } => LogRefusal::Gone,
            Self::Status { code: 501, .. } => LogRefusal::Unreadable,
            _ => LogRefusal::Temporary,
        }
    }

    pub(crate) fn answer(endpoint: &'static str, reason: impl fmt::Display) -> Self {
        Self::Answer { endpoint, reason: one_line(reason.to_string().as_bytes()) }
    }

    /// Converts an error of the HTTP client.
    pub(super) fn from_http(endpoint: &'static str, error: &hyper::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};

        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        let is_end = matches!(cause, Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof));
        if is_end || error.is_incomplete_message() || error.is_closed() {
            Self::Broken { endpoint }
        } else {
            Self::answer(endpoint, error)
        }
    }

    /// Creates an error from a status and the response's body: the Engine's `{"message":"..."}`, or a proxy's
    /// text.
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

/// The meaning of a refused request for a container or its log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogRefusal {
    /// The container was removed, or is being removed.
    Gone,
    /// The container's log driver does not support reading.
    Unreadable,
    /// A later request may succeed.
    Temporary,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Answer { endpoint, reason } => {
                write!(f, "invalid response from the Engine to GET {endpoint}: {reason}")
            }
            Self::Broken { endpoint } => {
                write!(f, "the connection to the Engine broke before the end of GET {endpoint}")
            }
            Self::Connect { address, error } => match error.kind() {
                io::ErrorKind::PermissionDenied => write!(
                    f,
                    "permission denied on {address}: add the user to the group that owns the socket (usually `docker`), \
                     or run as root"
                ),
                io::ErrorKind::NotFound => write!(
                    f,
                    "no Docker socket at {address}: start Docker, mount the socket, or set DOCKER_HOST"
                ),
                io::ErrorKind::ConnectionRefused => {
                    write!(f, "connection refused at {address}: start Docker, or set DOCKER_HOST")
                }
                _ => write!(f, "cannot connect to the Engine at {address}: {error}"),
            },
            Self::StaleSocket { path } => write!(
                f,
                "connection refused at unix://{}: this file is mounted without its folder, so the mount still \
                 shows the old socket if the Engine has created a new socket; mount its folder instead, or \
                 restart this container",
                path.display()
            ),
            Self::Status { endpoint, code, message } => {
                let hint = match code {
                    401 | 403 => "; allow it in the proxy in front of the Engine",
                    _ => "",
                };
                // A proxy may give no message.
                let separator = if message.is_empty() { "" } else { ": " };
                write!(f, "the Engine answered GET {endpoint} with status {code}{separator}{message}{hint}")
            }
            Self::TimedOut { endpoint, after } => {
                write!(f, "the Engine did not answer GET {endpoint} within {} s", after.as_secs_f64())
            }
            Self::TooLarge { endpoint, limit } => {
                write!(f, "the Engine's response to GET {endpoint} exceeds the limit of {limit} bytes")
            }
            Self::Tls { address, reason } => write!(f, "cannot connect to the Engine at {address}: {reason}"),
            Self::TooOld { engine } => write!(
                f,
                "the Engine supports API versions up to {engine}, but {} is required: upgrade to Docker 19.03 or later",
                ApiVersion::OLDEST
            ),
        }
    }
}

impl std::error::Error for EngineError {}

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
    fn bad_addresses_old_engines_and_refusals_are_permanent() {
        assert!(EngineError::Address(InvalidEngineAddress::Ssh).is_permanent());
        assert!(EngineError::TooOld { engine: "1.39".to_owned() }.is_permanent());
        assert!(connect(io::ErrorKind::PermissionDenied).is_permanent());
        assert!(EngineError::from_status("info", 403, b"").is_permanent());
        assert!(EngineError::from_status("info", 400, b"").is_permanent());
    }

    #[test]
    fn missing_sockets_timeouts_and_server_errors_are_not_permanent() {
        assert!(!connect(io::ErrorKind::NotFound).is_permanent());
        assert!(!connect(io::ErrorKind::ConnectionRefused).is_permanent());
        assert!(!EngineError::from_status("info", 500, b"").is_permanent());
        assert!(!EngineError::from_status("info", 404, b"").is_permanent());
        assert!(!EngineError::TimedOut { endpoint: "info", after: Duration::from_secs(10) }.is_permanent());
    }

    #[test]
    fn denied_missing_and_refused_sockets_have_an_error_that_says_what_to_do() {
        assert_eq!(
            connect(io::ErrorKind::PermissionDenied).to_string(),
            "permission denied on unix:///d.sock: add the user to the group that owns the socket (usually `docker`), \
             or run as root"
        );
        assert!(
            connect(io::ErrorKind::NotFound).to_string().ends_with("mount the socket, or set DOCKER_HOST")
        );
        assert!(connect(io::ErrorKind::ConnectionRefused).to_string().contains("start Docker"));
    }

    #[test]
    fn gone_containers_and_unreadable_logs_differ_by_status() {
        let refusal = |code| EngineError::from_status("logs", code, b"").log_refusal();
        assert_eq!(refusal(404), LogRefusal::Gone);
        assert_eq!(refusal(409), LogRefusal::Gone);
        assert_eq!(refusal(501), LogRefusal::Unreadable);
        assert_eq!(refusal(500), LogRefusal::Temporary);
        assert_eq!(EngineError::answer("logs", "broken").log_refusal(), LogRefusal::Temporary);
    }

    #[test]
    fn the_engines_message_is_on_one_line_and_bounded() {
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
