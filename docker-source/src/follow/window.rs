//! Checks windows: responses with the last records of a log, which have to overlap the lines that were read
//! before.
//!
//! The Engine does not number its records. A response that follows a log (here: a *stream*) may silently omit
//! some records. A request with `tail=N`, however, returns the last N records of stdout and stderr together,
//! in the order of the log and without a hole. The *anchor* is a line that was read before. If the window
//! includes the anchor, the window reaches far enough: all records behind the anchor are known, and nothing
//! is lost. Otherwise, a longer window is requested. If even the whole log does not include the anchor, the
//! Engine has removed the anchor, and there is a gap.
//!
//! The next anchor is the last line of the window, provided that no line was incomplete at the end of the
//! window. If a line was incomplete, the next anchor is an earlier line. A line of a stream does not become
//! the anchor, since lines before it may be missing. There is one exception: the first line of a stream that
//! begins behind skipped damage.

use gelf_core::Timestamp;

use crate::log::{Line, LogStream};

/// If a window does not reach far enough, the next window is longer by this factor. A larger factor would
/// cost more: most windows that do not reach far enough are only a little too short, and each record in front
/// of the anchor is read in vain.
const GROWTH: u32 = 3;
/// If a window does not reach far enough and has at most this number of records, it is read to its end
/// nevertheless.
const SHORT_RECORDS: u32 = 2048;
/// If a window needs this number of records or more, the whole log is requested instead.
pub(super) const RECORDS_MAX: u32 = 1 << 20;

/// A line of the log. Its output stream and its stamp identify it, since the `json-file` and `local` drivers
/// give the lines of an output stream distinct stamps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Anchor {
    stream: LogStream,
    time: Timestamp,
}

impl Anchor {
    pub(super) fn at(line: &Line) -> Self {
        Self { stream: line.stream, time: line.time }
    }

    /// Returns the stamp of the line.
    pub(super) fn time(&self) -> Timestamp {
        self.time
    }
}

/// The place in a log up to which no line is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Known {
    /// The place from which the log is read.
    Start,
    /// The place up to which an earlier source had read.
    Resume,
    /// The damage that was skipped.
    Damage,
    /// The place of this line.
    Line(Anchor),
}

/// The place in a log that a response has to include.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// No place: the response is not a window, and each of its lines may be new.
    Nothing,
    /// No place: the response follows the log from its end on, because the earlier records are damaged and
    /// given up. Each line of the response may be new.
    End,
    /// This line. Only lines behind it may be new.
    Line(Anchor),
    /// Any line whose stamp is this time or earlier. All lines whose stamp is this time or later may be new.
    Time(Timestamp),
    /// No place, because the response is the whole log. All lines whose stamp is this time or later may be
    /// new.
    Whole(Timestamp),
}

/// The relation of a line to the reach of its response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Placement {
    /// The line may be new.
    Behind,
    /// The line was read before, or will be read again in a response that reaches further back.
    Before,
}

/// The result of a response that was read to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The response reaches far enough.
    Reached,
    /// The response does not reach far enough, and the log may have earlier records.
    TooShort,
    /// The log no longer has the place: the log begins behind it. A response that has to include a place but has no
    /// line has this verdict, too.
    NotInLog,
    /// The log no longer has the place, and the clock was set back: all lines of the log are behind the place,
    /// and none of them has a later stamp than the place.
    NotInLogSinceSetBack,
    /// The response begins before the place and does not include it, because the Engine has stopped at a
    /// damaged record. A log that no longer has the place looks the same if the clock was set back, until a
    /// shorter response shows that no record is damaged.
    Damaged,
}

/// Compares the lines of one response with the reach of the response.
#[derive(Debug)]
pub(super) struct Scan {
    reach: Reach,
    /// The maximum number of records in the response that were written before the request. `None` if the
    /// response has all of them.
    limit: Option<u32>,
    /// True if the response goes on with records that are written after the request.
    follows: bool,
    is_reached: bool,
    /// True if the first line shows that the response does not reach far enough.
    is_too_short: bool,
    records: u32,
    /// The number of lines.
    lines: u32,
    /// The number of lines behind the place that the response has to include.
    lines_behind: u32,
    /// The number of records up to the place that the response has to include.
    records_before: u32,
    /// The stamp of the first line.
    begin: Option<Timestamp>,
    /// The last line.
    end: Option<Anchor>,
    /// True if a line has a later stamp than the place that the response has to include.
    has_later_line: bool,
    /// The last line of a longer response that seems to end at a damaged record.
    longer_end: Option<Anchor>,
    /// True if the response has the line `longer_end`.
    has_longer_end: bool,
    /// A line that the response has to have. `None` once the line was counted.
    sought: Option<Anchor>,
    anchor: Option<Anchor>,
    /// True if a line was left for a later request. The anchor then has to stay in front of this line.
    has_held_line: bool,
}

impl Scan {
    pub(super) fn new(reach: Reach, limit: Option<u32>, follows: bool) -> Self {
        let is_reached = matches!(reach, Reach::Nothing | Reach::End | Reach::Whole(_));
        Self {
            reach,
            limit,
            follows,
            is_reached,
            is_too_short: false,
            records: 0,
            lines: 0,
            lines_behind: 0,
            records_before: 0,
            begin: None,
            end: None,
            has_later_line: false,
            longer_end: None,
            has_longer_end: false,
            sought: None,
            anchor: None,
            has_held_line: false,
        }
    }

    /// Sets the [`end`](Self::end_before_place) of a longer response that seems to end at a damaged record. If
    /// this response has as many records as were requested, and has the line `end`, the longer response has
    /// ended at the end of the log, and not at a damaged record.
    pub(super) fn shorter_than(self, end: Option<Anchor>) -> Self {
        Self { longer_end: end, ..self }
    }

    /// Sets a line that the log is known to have.
    pub(super) fn looking_for(self, line: Option<Anchor>) -> Self {
        Self { sought: line, ..self }
    }

    /// Returns whether the response lacks a line that the log is known to have.
    pub(super) fn lacks_sought_line(&self) -> bool {
        self.sought.is_some()
    }

    /// Returns the last line if no line has a later stamp than the place that the response has to include.
    pub(super) fn end_before_place(&self) -> Option<Anchor> {
        self.end.filter(|_| !self.has_later_line)
    }

    /// Returns whether the next record was possibly written after the request.
    pub(super) fn is_live(&self) -> bool {
        self.follows && self.is_reached
    }

    /// Returns whether the response goes on with records that are written after the request.
    pub(super) fn follows(&self) -> bool {
        self.follows
    }

    /// Counts a record.
    pub(super) fn record(&mut self) {
        self.records = self.records.saturating_add(1);
    }

    /// Returns the number of records.
    pub(super) fn records(&self) -> u32 {
        self.records
    }

    /// Returns whether the rest of the response is useless. Call this method only after the last record that
    /// was read and its lines have been counted.
    pub(super) fn is_useless(&self) -> bool {
        let limit = self.limit.unwrap_or(u32::MAX);
        let is_read = self.follows && self.records >= limit;
        // A short window is read to its end, since only the end shows whether the window is the whole log.
        let is_too_short = self.is_too_short && limit > SHORT_RECORDS;
        !self.is_reached && (is_read || is_too_short)
    }

    /// Counts a line, and returns its placement.
    pub(super) fn place(&mut self, line: &Line) -> Placement {
        let placement = self.compare(line);
        if placement == Placement::Before {
            self.records_before = self.records;
        }
        self.end = Some(Anchor::at(line));
        self.has_longer_end |= self.longer_end == self.end;
        self.sought = self.sought.filter(|sought| Some(*sought) != self.end);
        self.lines = self.lines.saturating_add(1);
        self.lines_behind = self.lines_behind.saturating_add(u32::from(placement == Placement::Behind));
        placement
    }

    fn compare(&mut self, line: &Line) -> Placement {
        let begin = *self.begin.get_or_insert(line.time);
        match self.reach {
            Reach::Nothing | Reach::End => Placement::Behind,
            Reach::Line(_) if self.is_reached => Placement::Behind,
            Reach::Line(anchor) => {
                self.has_later_line |= line.time > anchor.time;
                self.is_reached = anchor == Anchor::at(line);
                if self.is_reached {
                    self.anchor = Some(anchor);
                }
                Placement::Before
            }
            Reach::Time(time) if self.is_too_short || (!self.is_reached && begin > time) => {
                self.is_too_short = true;
                Placement::Before
            }
            Reach::Time(time) | Reach::Whole(time) => {
                self.is_reached = true;
                match line.time >= time {
                    true => Placement::Behind,
                    false => Placement::Before,
                }
            }
        }
    }

    /// Notes that no line is missing up to the line at `anchor`: this line was taken or was read before, and
    /// no other line was incomplete when this line ended.
    pub(super) fn note_known_up_to(&mut self, anchor: Anchor) {
        // A stream may omit lines behind its first line.
        let is_known = self.reach != Reach::End || self.anchor.is_none();
        if self.is_reached && is_known && !self.has_held_line {
            self.anchor = Some(anchor);
        }
    }

    /// Notes that a line was left for a later request.
    pub(super) fn hold(&mut self) {
        self.has_held_line = true;
    }

    /// Returns whether a line was left for a later request.
    pub(super) fn has_held_line(&self) -> bool {
        self.has_held_line
    }

    /// Returns whether the next record is known to be behind the place that the response has to include.
    pub(super) fn is_behind(&self) -> bool {
        match self.reach {
            Reach::Nothing | Reach::End => true,
            Reach::Line(_) => self.is_reached,
            Reach::Time(_) | Reach::Whole(_) => self.is_reached && (self.lines == 0 || self.lines_behind > 0),
        }
    }

    /// Returns the maximum number of records in the response that were written before the request. Returns
    /// `None` if the response has all of them.
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Returns the stamp of the place that the response has to include.
    pub(super) fn place_time(&self) -> Option<Timestamp> {
        match self.reach {
            Reach::Line(anchor) => Some(anchor.time),
            Reach::Time(time) | Reach::Whole(time) => Some(time),
            Reach::Nothing | Reach::End => None,
        }
    }

    /// Returns the stamp of the first line.
    pub(super) fn begin(&self) -> Option<Timestamp> {
        self.begin
    }

    /// Returns the last line.
    pub(super) fn end(&self) -> Option<Anchor> {
        self.end
    }

    /// Returns whether the response has as many records as were requested.
    pub(super) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.records >= limit)
    }

    /// Returns the number of lines.
    pub(super) fn lines(&self) -> u32 {
        self.lines
    }

    /// Returns a number of lines that the log is known to have behind the place that the response has to
    /// include. Returns 0 if the response includes this place. Lines that were written after the request do
    /// not count, since a stream may repeat them.
    pub(super) fn lines_of_tail(&self) -> u32 {
        let limit = self.limit.unwrap_or(0);
        match !self.is_reached && self.records >= limit {
            true => self.lines.min(limit),
            false => 0,
        }
    }

    /// Returns the number of lines behind the place that the response has to include.
    pub(super) fn lines_behind(&self) -> u32 {
        self.lines_behind
    }

    /// Returns the number of records behind the place that the response has to include.
    pub(super) fn records_behind(&self) -> u32 {
        self.records - self.records_before
    }

    /// Returns whether the response reaches far enough.
    pub(super) fn is_reached(&self) -> bool {
        self.is_reached
    }

    /// Returns the result of the response, once all of it was read.
    pub(super) fn verdict(&self) -> Verdict {
        if self.is_reached {
            return Verdict::Reached;
        }
        if self.is_full() {
            return match self.has_longer_end {
                true => Verdict::NotInLogSinceSetBack,
                false => Verdict::TooShort,
            };
        }
        match self.reach {
            Reach::Line(anchor) if self.begin.is_some_and(|begin| begin <= anchor.time) => Verdict::Damaged,
            _ => Verdict::NotInLog,
        }
    }

    /// Returns the first line of a response with [`Reach::End`].
    pub(super) fn first(&self) -> Option<Anchor> {
        self.anchor.filter(|_| self.reach == Reach::End)
    }

    /// Returns the last line of the response up to which no line of the log is missing, if there is such a
    /// line.
    pub(super) fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }
}

/// Returns the number of records to request if a response with this many records is expected to be long enough.
/// Returns `None` if the whole log is to be requested.
pub(super) fn first_limit(expected: u32) -> Option<u32> {
    Some(expected).filter(|limit| *limit < RECORDS_MAX)
}

/// Returns the number of records to request after a window that did not reach far enough. Returns `None` if
/// the whole log is to be requested.
pub(super) fn next_limit(limit: Option<u32>) -> Option<u32> {
    limit.map(|limit| limit.saturating_mul(GROWTH)).filter(|limit| *limit < RECORDS_MAX)
}
