//! The options for joining lines: limits and times.

use std::time::Duration;

/// The options of a [`MultilineJoiner`](super::MultilineJoiner).
///
/// ```
/// use docker_source::multiline::JoinOptions;
/// use std::time::Duration;
///
/// let mut options = JoinOptions::default();
/// options.flush_after = Duration::from_secs(1);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct JoinOptions {
    /// The text between two lines of a message. The default is a newline, as in Logspout.
    pub separator: String,
    /// The time after which a message ends if no line continues it. The default is 500 ms, as in Logspout. A
    /// time of more than one year counts as one year.
    pub flush_after: Duration,
    /// The maximum number of lines of a message. Further lines become the next message. The default is 2,048:
    /// a JVM prints up to 1,024 frames of an exception, so there is room for an exception and its cause.
    pub max_lines: usize,
    /// The maximum number of bytes of a message of several lines. Further lines become the next message. The
    /// default is 128 KiB: a message over UDP has at most 128 datagrams, which hold 176 KiB. The remaining
    /// 48 KiB are room for escapes and fields, in case the message is not compressed.
    pub max_bytes: usize,
}

impl Default for JoinOptions {
    fn default() -> Self {
        Self {
            separator: "\n".to_owned(),
            flush_after: Duration::from_millis(500),
            max_lines: 2048,
            max_bytes: 128 * 1024,
        }
    }
}
