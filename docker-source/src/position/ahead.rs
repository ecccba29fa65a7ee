//! Keeps settled lines before which lines may be missing, because the stream may have omitted lines. A stream is
//! a response that follows the log. A line is settled once it is delivered or given up for good. A proof is a
//! request that shows that a stream has omitted no line.

use std::collections::BTreeSet;

use gelf_core::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::log::LogStream;

/// The maximum number of lines of one container whose stamps are kept. These stamps take about 1 MiB of memory.
/// Only the stream of a fast log brings more lines between two proofs. A source that resumes later reads the
/// lines beyond the maximum again.
const AHEAD_MAX: usize = 65_536;

/// The settled lines that a stream of the log has brought since the last proof. The stream may have omitted
/// lines in front of these lines, so the position of the log stays in front of them. Each line is identified
/// by its stamp, since the drivers whose logs can be proved give the lines of an output stream distinct
/// stamps.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Ahead {
    #[serde(skip_serializing_if = "Stamps::is_empty")]
    stdout: Stamps,
    #[serde(skip_serializing_if = "Stamps::is_empty")]
    stderr: Stamps,
}

impl Ahead {
    /// Adds a line. Leaves out a line beyond the maximum number, and a line whose stamp in nanoseconds does
    /// not fit into an `i64`: a stamp before about 21 September 1677 or after about
    /// 11 April 2262.
    pub(crate) fn insert(&mut self, stream: LogStream, time: Timestamp) {
        if self.stdout.0.len() + self.stderr.0.len() < AHEAD_MAX {
            self.of_mut(stream).0.extend(nanos(time));
        }
    }

    pub(crate) fn contains(&self, stream: LogStream, time: Timestamp) -> bool {
        !self.is_empty() && nanos(time).is_some_and(|nanos| self.of(stream).0.contains(&nanos))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty()
    }

    /// Returns the stamp of the last line of an output stream.
    pub(crate) fn last(&self, stream: LogStream) -> Option<Timestamp> {
        self.of(stream).0.last().map(|nanos| Timestamp::from_unix_nanos(*nanos))
    }

    /// Removes the lines of an output stream whose stamps are not later than `time`. This method is called
    /// for many lines in a row. Most calls remove nothing and return early.
    pub(crate) fn remove_up_to(&mut self, stream: LogStream, time: Timestamp) {
        let stamps = &mut self.of_mut(stream).0;
        if stamps.first().is_none_or(|first| Timestamp::from_unix_nanos(*first) > time) {
            return;
        }
        // At this point, a time that is out of range is later than all stamps that are kept.
        *stamps = match nanos(time).and_then(|nanos| nanos.checked_add(1)) {
            Some(next) => stamps.split_off(&next),
            None => BTreeSet::new(),
        };
    }

    fn of(&self, stream: LogStream) -> &Stamps {
        match stream {
            LogStream::Stdout => &self.stdout,
            LogStream::Stderr => &self.stderr,
        }
    }

    fn of_mut(&mut self, stream: LogStream) -> &mut Stamps {
        match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        }
    }
}

/// Stamps in nanoseconds since 1970. The serialized form has the first stamp, then the step from each stamp
/// to the next stamp.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Stamps(BTreeSet<i64>);

impl Stamps {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Stamps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut before = 0_i64;
        serializer.collect_seq(
            self.0.iter().map(|nanos| nanos.wrapping_sub(std::mem::replace(&mut before, *nanos))),
        )
    }
}

impl<'de> Deserialize<'de> for Stamps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let steps = Vec::<i64>::deserialize(deserializer)?;
        let sums = steps.into_iter().scan(0_i64, |sum, step| {
            *sum = sum.wrapping_add(step);
            Some(*sum)
        });
        Ok(Self(sums.collect()))
    }
}

/// Returns the stamp in nanoseconds since 1970, or `None` if the number does not fit into an `i64`.
fn nanos(time: Timestamp) -> Option<i64> {
    let (seconds, nanos) = time.as_unix();
    seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(nanos))
}
