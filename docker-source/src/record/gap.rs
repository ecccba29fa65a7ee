//! Defines gaps: places in a log where lines may be missing.

use std::fmt;

use gelf_core::Timestamp;

/// A place in the log of a container where lines may be missing, because the Engine no longer has them or
/// cannot read them.
///
/// A separate [`Record`](crate::Record) announces the gap. The [text](crate::Record::bytes) of this record
/// describes the gap.
///
/// # Examples
///
/// ```
/// use docker_source::Record;
///
/// fn print(record: &Record) {
///     match record.gap() {
///         Some(gap) => eprintln!("{}: {gap}", record.container().name()),
///         None => println!("{}", String::from_utf8_lossy(record.bytes())),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gap {
    /// The gap begins after this time: the stamp of the last line that was read before the gap. `None` if no
    /// line was read before.
    pub after: Option<Timestamp>,
    /// The gap ends before this time: the stamp of the first line that was read behind the gap. `None` if no
    /// further line can be read.
    pub before: Option<Timestamp>,
    /// The reason.
    pub reason: GapReason,
}

/// The reason of a [`Gap`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GapReason {
    /// The log no longer has the last line that was read, so later lines may be gone, too. Either the Engine has
    /// removed the oldest files of the log, or somebody has emptied the log.
    Rotated,
    /// The Engine cannot read a part of the log.
    Damaged,
    /// The container was removed, with its log, before the log was read to its end.
    Removed,
}

impl GapReason {
    /// Returns the reason as one word: `rotated`, `damaged` or `removed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Damaged => "damaged",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            GapReason::Rotated => "the log no longer has the last line that was read",
            GapReason::Damaged => "the Engine cannot read a part of the log",
            GapReason::Removed => "the container was removed before its log was read to the end",
        };
        match (self.after, self.before) {
            (Some(after), Some(before)) => {
                write!(f, "lines between {} and {} may be missing", text(after), text(before))
            }
            (Some(after), None) => write!(f, "lines after {} may be missing", text(after)),
            (None, Some(before)) => write!(f, "lines before {} may be missing", text(before)),
            (None, None) => f.write_str("lines may be missing"),
        }?;
        write!(f, ": {reason}")
    }
}

/// Returns the time in RFC 3339 format, or in seconds if the format cannot express its year.
pub(crate) fn text(time: Timestamp) -> String {
    time.to_rfc3339().unwrap_or_else(|| time.to_string())
}
