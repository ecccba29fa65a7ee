//! Checks windows: responses that have to overlap the lines that were read before.
//!
//! The Engine does not number its records, and a stream that follows a log may silently omit some of them. A
//! request with `tail=N`, however, returns the last N records of both streams, in the order of the log and
//! without a hole. If these records include a record that was read before, the window reaches far enough: all
//! records behind this *anchor* are known, and nothing is lost. Otherwise, a longer window is requested. If
//! the whole log does not include the anchor, the Engine has removed the anchor, and there is a gap.
//!
//! The anchor is the last line of a window, provided that no line was incomplete at the end of the window. If
//! a line was incomplete, the anchor is an earlier line. A line of a stream that is followed does not become
//! the anchor, since lines before it may be missing. Only the first line of a stream behind skipped damage
//! becomes the anchor.

use gelf_core::Timestamp;

use crate::log::{Line, LogStream};

/// The number of records that a window has in addition to the expected records.
const MARGIN_RECORDS: u32 = 16;
/// The factor by which the next window is longer if a window does not reach far enough. Most such windows are
/// only a little too short, and each record beyond the known line is read again.
const GROWTH: u32 = 3;
/// The maximum number of records of a window that is read to its end although it does not reach far enough.
const SHORT_RECORDS: u32 = 2048;
/// The maximum number of records of a window. If more records are needed, the whole log is requested.
const RECORDS_MAX: u32 = 1 << 20;

/// A line up to which no line of the log is missing. The `json-file` and `local` drivers give the lines of a
/// stream distinct stamps.
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
    /// No place: the response was not requested as a window, and each of its lines may be new.
    Nothing,
    /// No place: the response follows the end of a log whose earlier records are given up. Each line of the
    /// response may be new.
    End,
    /// This line. Only lines behind it may be new.
    Line(Anchor),
    /// A line with this stamp or an earlier stamp. All lines with this stamp or a later stamp may be new.
    Time(Timestamp),
    /// No place, because the response is the whole log. All lines with this stamp or a later stamp may be
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
    /// The log begins behind the place.
    NotInLog,
    /// The response begins and ends before the place, because the Engine reads only up to a damaged record.
    Damaged,
}

/// Compares the lines of one response with the reach of the response.
#[derive(Debug)]
pub(super) struct Scan {
    reach: Reach,
    /// The maximum number of records in the response that were written before the request. `None` if the
    /// response has all of them.
    limit: Option<u32>,
    /// True if records follow that were written after the request.
    follows: bool,
    is_reached: bool,
    /// True if the first line shows that the response does not reach far enough.
    is_too_short: bool,
    records: u32,
    /// The number of lines.
    lines: u32,
    /// The number of lines behind the place that the response has to include.
    lines_behind: u32,
    /// The stamp of the first line.
    begin: Option<Timestamp>,
    anchor: Option<Anchor>,
    /// True if a line was left for a later request, so that the anchor has to stay before this line.
    is_held: bool,
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
            begin: None,
            anchor: None,
            is_held: false,
        }
    }

    /// Returns whether the next records were possibly written after the request.
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

    /// Returns whether the rest of the response is of no use. Call this method only when the last record and
    /// its lines have been counted.
    pub(super) fn is_useless(&self) -> bool {
        let limit = self.limit.unwrap_or(u32::MAX);
        let is_read = self.follows && self.records >= limit;
        // A short window is read to its end, since only the end shows whether the window is the whole log.
        let is_too_short = self.is_too_short && limit > SHORT_RECORDS;
        !self.is_reached && (is_read || is_too_short)
    }

    /// Places a line.
    pub(super) fn place(&mut self, line: &Line) -> Placement {
        let placement = self.compare(line);
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

    /// Notes that the line at `anchor` was taken or was read before, and that no other line was incomplete
    /// when this line ended.
    pub(super) fn is_known_up_to(&mut self, anchor: Anchor) {
        // A stream may omit lines behind its first line.
        let is_known = self.reach != Reach::End || self.anchor.is_none();
        if self.is_reached && is_known && !self.is_held {
            self.anchor = Some(anchor);
        }
    }

    /// Notes that a line was left for a later request.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Returns whether a line was left for a later request.
    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Returns whether the next record is known to be behind the place that the response has to include.
    pub(super) fn is_behind(&self) -> bool {
        match self.reach {
            Reach::Nothing | Reach::End => true,
            Reach::Line(_) => self.is_reached,
            Reach::Time(_) | Reach::Whole(_) => self.is_reached && (self.lines == 0 || self.lines_behind > 0),
        }
    }

    /// Returns the number of lines.
    pub(super) fn lines(&self) -> u32 {
        self.lines
    }

    /// Returns the number of lines of a response that follows the log and begins behind the place. Lines that
    /// were written after the request do not count, since a stream may repeat them.
    pub(super) fn lines_of_tail(&self) -> u32 {
        let limit = self.limit.unwrap_or(0);
        match !self.is_reached && self.records >= limit {
            true => self.lines.min(limit),
            false => 0,
        }
    }

    /// Returns the number of lines behind the place.
    pub(super) fn lines_behind(&self) -> u32 {
        self.lines_behind
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
        if self.limit.is_some_and(|limit| self.records >= limit) {
            return Verdict::TooShort;
        }
        match self.reach {
            Reach::Line(anchor) if self.begin.is_some_and(|begin| begin <= anchor.time) => Verdict::Damaged,
            _ => Verdict::NotInLog,
        }
    }

    /// Returns the first line of a response that follows the end of a log.
    pub(super) fn first(&self) -> Option<Anchor> {
        self.anchor.filter(|_| self.reach == Reach::End)
    }

    /// Returns the last line of the response up to which no line of the log is missing, if there is such a
    /// line.
    pub(super) fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }
}

/// Returns the number of records to request if about `expected` records are new. Returns `None` if the whole
/// log is to be requested. Each record that was read before costs the Engine and this process as much as a new
/// record.
pub(super) fn first_limit(expected: u32) -> Option<u32> {
    Some(expected.saturating_add(expected / 4).saturating_add(MARGIN_RECORDS))
        .filter(|limit| *limit < RECORDS_MAX)
}

/// Returns the number of records to request after a window with a damaged record, or `None` if that record is
/// at the end of the log.
pub(super) fn shorter_limit(limit: Option<u32>) -> Option<u32> {
    limit.map(|limit| limit / 2).filter(|limit| *limit > 0)
}

/// Returns the number of records to request after a window that did not reach far enough. Returns `None` if
/// the whole log is to be requested.
pub(super) fn next_limit(limit: Option<u32>) -> Option<u32> {
    limit.map(|limit| limit.saturating_mul(GROWTH)).filter(|limit| *limit < RECORDS_MAX)
}
