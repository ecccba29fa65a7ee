//! Places in the logs of containers, from which reading resumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use gelf_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::log::LogStream;

/// The place of a line in the log of its container.
///
/// Give it to [`Progress::read`](crate::Progress::read), which computes the [`Positions`] from which another
/// source resumes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Position {
    pub(crate) container: Arc<str>,
    pub(crate) stream: LogStream,
    pub(crate) line: LinePosition,
    /// The stamp from which a request returns all lines behind this one.
    pub(crate) since: Timestamp,
    /// True if the record announces a gap behind the line.
    pub(crate) is_gap: bool,
}

impl Position {
    /// Returns the id of the container.
    pub fn container_id(&self) -> &str {
        &self.container
    }
}

/// The place of a line within its stream.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct LinePosition {
    #[serde(with = "decimal")]
    pub(crate) time: Timestamp,
    /// The number of lines directly before this one that have the same stamp. Docker's own stamps are
    /// distinct; the stamps of other engines and drivers are coarser.
    #[serde(default)]
    pub(crate) earlier: u32,
    /// The length of the line in bytes, if the log ended within the line. Podman continues such a line with
    /// the output of a later run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) open_length: Option<usize>,
}

/// The place up to which the log of a container is settled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct LogPosition {
    /// The stamp from which a request returns all lines behind this place.
    #[serde(with = "decimal")]
    pub(crate) since: Timestamp,
    /// The last settled line of stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stdout: Option<LinePosition>,
    /// The last settled line of stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stderr: Option<LinePosition>,
}

impl LogPosition {
    /// Moves this place to the position behind a line.
    pub(crate) fn advance(&mut self, to: &Position) {
        self.since = to.since;
        *match to.stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        } = Some(to.line);
    }
}

/// The places from which a source resumes the logs of all containers: [`Start::At`](crate::Start::At).
///
/// Positions can be serialized and given to another process. They hold about 200 bytes for each container.
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
    /// lines is settled.
    #[serde(with = "decimal")]
    pub(crate) start: Timestamp,
    pub(crate) containers: BTreeMap<String, LogPosition>,
}

impl Positions {
    /// Returns positions from which a source reads each container's log from the time `start` on, by the
    /// Engine's clock.
    pub fn from_time(start: Timestamp) -> Self {
        Self { start, containers: BTreeMap::new() }
    }

    /// Returns the time from which containers without a place are read.
    pub(crate) fn time(&self) -> Timestamp {
        self.start
    }

    /// Returns the number of containers of which lines were read.
    pub fn len(&self) -> usize {
        self.containers.len()
    }

    /// Returns whether no line of any container was read.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }
}

/// Serializes a timestamp as a decimal text, which has all nanoseconds.
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
