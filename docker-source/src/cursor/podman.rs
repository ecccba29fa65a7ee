//! Recognizes the lines that Podman returns again.
//!
//! A response that follows a log can omit lines, for example at the end of a container that writes fast. A
//! later request returns the omitted lines between lines that were accepted before. Only a comparison of the
//! texts distinguishes omitted lines from accepted lines. The order does not matter, since lines with the
//! same stamp and the same text are equal.

use std::collections::{HashMap, VecDeque};

use gelf_core::Timestamp;

use super::{Identity, MARGIN, REMEMBERED_AT_MOST, whole_second};
use crate::position::LinePosition;

/// The accepted lines of one stream that the next request returns again.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadAgain {
    /// The lines, in the order of their acceptance.
    lines: VecDeque<Identity>,
    /// For each accepted line, the number of equal lines that the current request has not returned yet.
    awaited: HashMap<Identity, u32>,
    /// The accepted line that the current request returns first. If the request begins within this line, it
    /// returns only the end of the line. `None` once the request has returned a line.
    first: Option<Identity>,
}

impl ReadAgain {
    /// Begins a request for the lines from `since` on.
    pub(super) fn begin_request(&mut self, since: Option<Timestamp>) {
        self.first = self.lines.iter().find(|line| Some(line.time()) >= since).copied();
        // A request also returns older lines of this stream if they follow newer lines of the other stream.
        self.awaited = HashMap::new();
        for line in &self.lines {
            *self.awaited.entry(*line).or_default() += 1;
        }
    }

    /// Returns whether the line was accepted before. If the request began within an accepted line, the first
    /// line of the response is only the end of that accepted line. A request returns each accepted line once,
    /// so a second equal line is new.
    pub(super) fn recognizes(&mut self, line: Identity) -> bool {
        let first = self.first.take().filter(|first| first.time() == line.time());
        self.take(first.unwrap_or(line))
    }

    fn take(&mut self, line: Identity) -> bool {
        let Some(count) = self.awaited.get_mut(&line).filter(|count| **count > 0) else { return false };
        *count -= 1;
        true
    }

    /// Adds an accepted line. `newest` is the newest stamp of the stream, and `latest` is the place of the
    /// last line. If this call forgets lines, returns the place up to which all lines are forgotten. Lines up
    /// to this place count as read.
    pub(super) fn push(
        &mut self,
        line: Identity,
        newest: Option<Timestamp>,
        latest: Option<LinePosition>,
    ) -> Option<LinePosition> {
        if self.lines.len() == REMEMBERED_AT_MOST {
            self.lines = VecDeque::new();
            return latest;
        }
        self.lines.push_back(line);
        // The next request starts at this stamp, unless a line is open.
        let since = newest.map(|newest| whole_second(newest.saturating_sub(MARGIN)));
        let mut forgotten: Option<Timestamp> = None;
        while let Some(oldest) = self.lines.front().filter(|oldest| Some(oldest.time()) < since) {
            forgotten = forgotten.max(Some(oldest.time()));
            self.lines.pop_front();
        }
        // All lines with this stamp count as read.
        forgotten.map(|time| LinePosition { time, earlier: u32::MAX, open_length: None })
    }
}
