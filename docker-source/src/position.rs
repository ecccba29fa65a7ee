//! Defines the places in the logs of containers from which reading resumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use gelf_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::log::LogStream;

mod ahead;

pub(crate) use ahead::Ahead;

/// The place of a line in the log of its container.
///
/// A consumer gives the position to [`Progress::read`](crate::Progress::read). The progress computes the
/// [`Positions`] from which another source resumes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Position {
    pub(crate) container: Arc<str>,
    pub(crate) stream: LogStream,
    pub(crate) place: Place,
    /// True if the record announces a gap behind the line.
    pub(crate) is_gap: bool,
}

impl Position {
    /// Returns the id of the container.
    pub fn container_id(&self) -> &str {
        &self.container
    }
}

/// The place of a line, and what is known about missing lines before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) line: LinePosition,
    /// The start of a request that returns all lines behind this line. If the origin of the line is
    /// [`Origin::Stream`], the request returns all lines behind the proved place. This is the place up to which
    /// the last proof has shown that no line is missing.
    pub(crate) since: Timestamp,
    pub(crate) origin: Origin,
    /// The number of proofs before the line was read. Each proof has shown that no line of the log is missing
    /// up to the newest line that had been read by the time of the proof.
    pub(crate) proofs: u64,
}

/// The kind of response that brought a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// A response with a log that cannot be read by windows, so that missing lines cannot be found. No line
    /// of such a log counts as missing.
    Unprovable,
    /// A window, which is a response with the last records of a log, or the files of the log. No line of the
    /// same output stream is missing in front of the line.
    Window,
    /// A response that followed the log. Lines between the proved place and the line may be missing.
    Stream,
}

/// The place of a line within its output stream.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct LinePosition {
    #[serde(with = "decimal")]
    pub(crate) time: Timestamp,
    /// The number of lines directly before this line that have the same stamp. Docker's own stamps are
    /// distinct. The stamps of other engines and drivers are coarser.
    #[serde(default)]
    pub(crate) earlier: u32,
    /// The length of the line in bytes, if the log ended within the line. Podman continues such a line with
    /// the output of a later run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) open_length: Option<usize>,
}

/// The place up to which the log of a container is settled, and further settled lines behind this place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct LogPosition {
    /// The start of a request that returns all lines behind this place.
    #[serde(with = "decimal")]
    pub(crate) since: Timestamp,
    /// The last settled line of stdout up to which no line is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stdout: Option<LinePosition>,
    /// The last settled line of stderr up to which no line is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stderr: Option<LinePosition>,
    /// The settled lines behind `stdout` and `stderr`. Lines may be missing before them.
    #[serde(default, skip_serializing_if = "Ahead::is_empty")]
    pub(crate) ahead: Ahead,
}

impl LogPosition {
    /// Returns the place of a log that is read from the time `since` on and has no settled line yet.
    pub(crate) fn from_time(since: Timestamp) -> Self {
        Self { since, stdout: None, stderr: None, ahead: Ahead::default() }
    }

    /// Notes a settled line. Moves this place behind the line, unless lines may be missing before it.
    pub(crate) fn advance(&mut self, stream: LogStream, to: &Place) {
        match to.origin {
            Origin::Unprovable => {
                *self.last_mut(stream) = Some(to.line);
                self.since = to.since;
            }
            Origin::Window => {
                self.confirm(stream, to.line);
                if self.ahead.is_empty() {
                    self.since = to.since;
                }
            }
            Origin::Stream => {
                self.ahead.insert(stream, to.line.time);
                self.since = to.since;
            }
        }
    }

    /// Moves this place behind all settled lines, because a proof has shown that no line is missing before
    /// them.
    pub(crate) fn proved(&mut self) {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            if let Some(time) = self.ahead.last(stream) {
                self.confirm(stream, LinePosition { time, earlier: 0, open_length: None });
            }
        }
    }

    /// Notes that no line of the output stream is missing up to this line.
    fn confirm(&mut self, stream: LogStream, line: LinePosition) {
        let last = self.last_mut(stream);
        // A line can be older than the last line if a response that followed the log had omitted it.
        if last.is_none_or(|last| last.time <= line.time) {
            *last = Some(line);
        }
        self.ahead.remove_up_to(stream, line.time);
    }

    fn last_mut(&mut self, stream: LogStream) -> &mut Option<LinePosition> {
        match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        }
    }
}

/// The places from which a source resumes the logs of all containers: [`Start::At`](crate::Start::At).
///
/// Positions can be serialized and given to another process. They take about 200 bytes for each container,
/// and 10 bytes for each settled line that was read since the last proof that no line of the log is missing.
///
/// # Examples
///
/// ```
/// # fn example(positions: docker_source::Positions) -> serde_json::Result<()> {
/// let saved = serde_json::to_string(&positions)?;
/// let resumed: docker_source::Positions = serde_json::from_str(&saved)?;
/// assert_eq!(resumed, positions);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Positions {
    /// The time from which containers without a place are read. A container has no place until one of its
    /// lines is read.
    #[serde(with = "decimal")]
    pub(crate) start: Timestamp,
    /// The number of records before `start` that are also read from the log of a container without a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tail: Option<u32>,
    pub(crate) containers: BTreeMap<String, LogPosition>,
}

impl Positions {
    /// Returns positions from which a source reads each container's log from the time `start` on, by the
    /// Engine's clock.
    pub fn from_time(start: Timestamp) -> Self {
        Self { start, tail: None, containers: BTreeMap::new() }
    }

    /// Returns the time from which the log of a container is read. If `tail` is set, and the container has no
    /// place, the last records before this time are read, too.
    pub(crate) fn time_of(&self, container_id: &str) -> Timestamp {
        self.containers.get(container_id).map_or(self.start, |log| log.since.min(self.start))
    }

    /// Returns the number of containers that have a place.
    pub fn len(&self) -> usize {
        self.containers.len()
    }

    /// Returns whether no container has a place.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }
}

/// Serializes a timestamp as a decimal text with all of its nanoseconds.
mod decimal {
    use gelf_core::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Timestamp::from_decimal(&text).map_err(de::Error::custom)
    }
}
