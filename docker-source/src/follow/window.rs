//! Checks windows: responses with the last records of a log, which have to overlap the lines that were read
//! before.
//!
//! The Engine does not number its records. A response that follows a log (here: a *stream*) may silently omit
//! some records. A request with `tail=N`, however, returns the last N records of stdout and stderr together,
//! in the order of the log. If the response has N records, it has no hole. The *anchor* is a line that was read
//! before. If the window includes the anchor, the window reaches far enough: all records behind the anchor are
//! known, and nothing is lost. Otherwise, [`search`](super::search) finds a window that does. If even the whole
//! log does not include the anchor, the Engine has removed the anchor, and there is a gap.
//!
//! The next anchor is the last line of the window, provided that no line was incomplete at the end of the
//! window. If a line was incomplete, the next anchor is an earlier line. A line of a stream does not become
//! the anchor, since lines before it may be missing. There is one exception: the first line of a stream that
//! begins behind skipped damage.

use gelf_core::Timestamp;

use crate::log::{Line, LogStream};

/// If a window does not reach far enough and has at most this number of records, it is read to its end
/// nevertheless.
const SHORT_RECORDS: u32 = 2048;

/// A line up to which no line of the log is missing. Its output stream and its stamp identify the line, since
/// the `json-file` and `local` drivers give the lines of an output stream distinct stamps.
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
    /// True if the response has a line behind the place that it has to include.
    has_line_behind: bool,
    /// The number of records up to the place that the response has to include.
    records_before: u32,
    /// The first line.
    begin: Option<Anchor>,
    /// The last line.
    end: Option<Anchor>,
    /// True if the response is read to its end even if its first line shows that it does not reach far enough.
    needs_end: bool,
    /// A line behind the line that the response has to include. The lines up to this line were read before.
    taken: Option<Anchor>,
    /// A place to look for.
    sought: Reach,
    /// True if the response includes the place `sought`.
    has_found: bool,
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
            has_line_behind: false,
            records_before: 0,
            begin: None,
            end: None,
            needs_end: false,
            taken: None,
            sought: Reach::Nothing,
            has_found: false,
            anchor: None,
            has_held_line: false,
        }
    }

    /// Makes sure that the response is read to its end even if its first line shows that it does not reach far enough.
    pub(super) fn reading_all(self) -> Self {
        Self { needs_end: true, ..self }
    }

    /// Sets a line behind the line that the response has to include. The lines up to this line were read before.
    pub(super) fn behind(self, taken: Option<Anchor>) -> Self {
        Self { taken: taken.filter(|_| matches!(self.reach, Reach::Line(_))), ..self }
    }

    /// Sets a place to look for. It does not change what the response has to include.
    pub(super) fn looking_for(self, place: Reach) -> Self {
        Self { sought: place, ..self }
    }

    /// Returns whether the response includes the place that was looked for.
    pub(super) fn has_found(&self) -> bool {
        self.has_found
    }

    /// Returns the place that the response has to include.
    pub(super) fn reach(&self) -> Reach {
        self.reach
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
        let is_too_short = self.is_too_short && limit > SHORT_RECORDS && !self.needs_end;
        !self.is_reached && (is_read || is_too_short)
    }

    /// Counts a line, and returns its placement.
    pub(super) fn place(&mut self, line: &Line) -> Placement {
        let placement = self.compare(line);
        if placement == Placement::Before {
            self.records_before = self.records;
        }
        self.end = Some(Anchor::at(line));
        self.has_found |= match self.sought {
            Reach::Line(anchor) => self.end == Some(anchor),
            Reach::Time(time) => line.time <= time,
            _ => false,
        };
        self.lines = self.lines.saturating_add(1);
        self.has_line_behind |= placement == Placement::Behind;
        placement
    }

    fn compare(&mut self, line: &Line) -> Placement {
        let begin = self.begin.get_or_insert_with(|| Anchor::at(line)).time;
        match self.reach {
            Reach::Nothing | Reach::End => Placement::Behind,
            Reach::Line(_) if self.is_reached => match self.taken {
                Some(taken) => {
                    self.taken = Some(taken).filter(|taken| *taken != Anchor::at(line));
                    Placement::Before
                }
                None => Placement::Behind,
            },
            Reach::Line(anchor) => {
                self.is_reached = anchor == Anchor::at(line);
                if self.is_reached {
                    self.anchor = Some(anchor);
                    self.taken = self.taken.filter(|taken| *taken != anchor);
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
            Reach::Time(_) | Reach::Whole(_) => self.is_reached && (self.lines == 0 || self.has_line_behind),
        }
    }

    /// Returns the number of lines.
    pub(super) fn lines(&self) -> u32 {
        self.lines
    }

    /// Returns the number of records behind the place that the response has to include.
    pub(super) fn records_behind(&self) -> u32 {
        self.records - self.records_before
    }

    /// Returns whether the response reaches far enough.
    pub(super) fn is_reached(&self) -> bool {
        self.is_reached && self.taken.is_none()
    }

    /// Returns the maximum number of records in the response that were written before the request. Returns `None` if
    /// the response has all of them.
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Returns the first line.
    pub(super) fn begin(&self) -> Option<Anchor> {
        self.begin
    }

    /// Returns the last line.
    pub(super) fn end(&self) -> Option<Anchor> {
        self.end
    }

    /// Returns whether the first line has no later stamp than the line that the response has to include.
    pub(super) fn begins_before_place(&self) -> bool {
        matches!(self.reach, Reach::Line(anchor) if self.begin.is_some_and(|begin| begin.time <= anchor.time))
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
