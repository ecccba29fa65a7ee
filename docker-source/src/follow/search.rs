//! Decides how many records of a log are requested until a response is a window that reaches far enough.
//!
//! A *full* response has as many records as were requested, so it is the end of the log without a hole. A *short*
//! response has fewer records. Either the log has no more records, or a record is damaged: Docker 20.10 passes over
//! some records behind a damaged record, and later versions end the response in front of it. A short response is
//! therefore never trusted. It is compared with a full response: if both have the same records, these records are
//! the whole log. Otherwise, the search finds the longest full response. This response begins behind the last
//! damaged record.

use super::read::Ending;
use super::window::{Anchor, Reach, Scan};

/// If a full response does not reach far enough, the next request is for more records by this factor. A larger
/// factor would cost more: most windows that do not reach far enough are only a little too short, and each record
/// in front of the anchor is read in vain.
const GROWTH: u32 = 3;
/// The maximum number of records of a window. If more records are needed, the whole log is requested.
const RECORDS_MAX: u32 = 1 << 20;

/// The part of the log that the next response has to include.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Goal {
    /// The lines behind the place up to which no line is missing.
    Place,
    /// The whole log, because it no longer has the place.
    Log,
    /// The longest full response. The lines in front of it are given up.
    BehindDamage,
}

/// The step that follows a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// Another request is needed.
    Request,
    /// All lines that the response has to include were read.
    Done,
    /// The whole log was read, and has the place that other responses did not have. Therefore a record is damaged,
    /// and lines are possibly missing behind it.
    DoneWithHole,
    /// The log cannot be read: its last record is damaged, or the whole log was requested and has a damaged record.
    Unreadable,
    /// The response ended for a reason that has nothing to do with its length.
    Ended,
}

/// The records of a response.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Extent {
    records: u32,
    begin: Option<Anchor>,
    end: Option<Anchor>,
}

/// A short response.
#[derive(Clone, Copy, Debug)]
struct Short {
    /// The number of records that were requested.
    limit: u32,
    extent: Extent,
    /// True if the log has more records than the response, so that a record is damaged.
    is_damaged: bool,
}

/// The search for a window.
#[derive(Debug)]
pub(super) struct Search {
    goal: Goal,
    limit: Option<u32>,
    /// The longest full response.
    full: Extent,
    /// The last short response.
    short: Option<Short>,
    /// True if the log has records.
    has_records: bool,
    /// True if a response reached far enough.
    has_place: bool,
    /// The last line of the last response that reached far enough.
    taken: Option<Anchor>,
    /// True if a request with a short response was repeated. The second response is full if the log has grown, or if
    /// the first response had an error that has passed.
    is_repeated: bool,
    /// The reach of the responses that did not reach far enough.
    place: Reach,
}

impl Search {
    /// Creates a search whose first request is for `records` records.
    pub(super) fn new(records: u32) -> Self {
        Self {
            goal: Goal::Place,
            limit: Some(records.max(1)).filter(|records| *records < RECORDS_MAX),
            full: Extent::default(),
            short: None,
            has_records: false,
            has_place: false,
            taken: None,
            is_repeated: false,
            place: Reach::Nothing,
        }
    }

    /// Returns the goal of the next request.
    pub(super) fn goal(&self) -> Goal {
        self.goal
    }

    /// Returns the number of records to request next, or `None` for the whole log.
    pub(super) fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Creates the scan of the next response.
    pub(super) fn scan(&self, reach: Reach, limit: Option<u32>) -> Scan {
        let scan = Scan::new(reach, limit, false);
        let scan = match (self.goal, self.full.begin) {
            (Goal::Log, _) => scan.looking_for(self.place),
            (Goal::Place, Some(begin)) => scan.behind(self.taken).looking_for(Reach::Line(begin)),
            (Goal::Place, None) => scan.behind(self.taken),
            (Goal::BehindDamage, _) => scan,
        };
        if self.short.is_some() { scan.reading_all() } else { scan }
    }

    /// Returns whether the last response has all records of the log that the Engine can read.
    pub(super) fn has_measured(&self) -> bool {
        self.short.is_some() || self.limit.is_none()
    }

    /// Decides which step follows a response that was read as far as `ending` says.
    pub(super) fn judge(&mut self, ending: Ending, scan: &Scan) -> Next {
        match ending {
            Ending::Complete | Ending::Invalid => {}
            Ending::TooShort => {
                self.limit = longer(self.limit);
                return Next::Request;
            }
            _ => return Next::Ended,
        }
        let is_complete = ending == Ending::Complete;
        let Some(limit) = scan.limit() else {
            return self.judge_log(is_complete, scan);
        };
        self.place = scan.reach();
        let extent = Extent { records: scan.records(), begin: scan.begin(), end: scan.end() };
        let is_full = is_complete && extent.records >= limit;
        if is_full && scan.is_reached() {
            return Next::Done;
        }
        if self.goal == Goal::BehindDamage {
            return Next::Unreadable;
        }
        self.has_records |= extent.records > 0;
        if scan.is_reached() {
            self.has_place = true;
            self.taken = scan.end().filter(|_| !scan.has_held_line());
        }
        let is_first_short = !is_full && self.short.is_none();
        if is_full {
            self.full = extent;
            // The log has grown since the short response.
            self.short = self.short.filter(|short| short.limit > limit);
        } else {
            // Intact, the log has each line of an earlier full response, except for lines that were removed since.
            let has_all = match self.full.begin {
                Some(_) => scan.has_found(),
                None => extent.records > 0 || !self.has_records,
            };
            let is_damaged = !(is_complete && has_all);
            self.short = Some(Short { limit, extent, is_damaged });
        }
        let Some(short) = self.short else {
            self.limit = longer(self.limit);
            return Next::Request;
        };
        self.limit = match is_first_short && extent.records > self.full.records {
            // If the log has no more records, the response to a request for this number is full.
            true => Some(extent.records),
            false => self.between(short),
        };
        match self.limit {
            Some(_) => Next::Request,
            None if short.extent == self.full && !short.is_damaged => self.read_log(),
            None if !self.is_repeated => {
                (self.limit, self.is_repeated) = (Some(short.limit), true);
                Next::Request
            }
            None if !short.is_damaged => self.read_log(),
            None if self.full.records > 0 => {
                (self.goal, self.limit) = (Goal::BehindDamage, Some(self.full.records));
                Next::Request
            }
            None => Next::Unreadable,
        }
    }

    /// Decides which step follows a response that has the whole log, or its records in front of a damaged record.
    fn judge_log(&mut self, is_complete: bool, scan: &Scan) -> Next {
        self.limit = None;
        if is_complete && self.goal == Goal::Log && scan.has_found() {
            return Next::DoneWithHole;
        }
        if is_complete && scan.is_reached() {
            return Next::Done;
        }
        // If the log begins before the place and does not have it, either a record is damaged, or the clock was set back.
        if !is_complete || scan.begins_before_place() {
            return Next::Unreadable;
        }
        (self.goal, self.place) = (Goal::Log, scan.reach());
        Next::Request
    }

    /// Returns a number of records between the longest full response and the request with the short response. Returns
    /// `None` if there is no number between them.
    fn between(&self, short: Short) -> Option<u32> {
        let full = self.full.records;
        let next = match short.extent == self.full {
            // Probably, these records are the whole log. The next response shows it, since it is short, too.
            true => full.saturating_add(1),
            false => full.saturating_add(short.limit.saturating_sub(full) / 2),
        };
        Some(next).filter(|next| *next > full && *next < short.limit)
    }

    /// Requests the whole log: no response shows that a record is damaged.
    fn read_log(&mut self) -> Next {
        // While lines arrive, a full response may begin with any record but the first record of the log.
        self.goal = if self.has_place { Goal::Place } else { Goal::Log };
        self.limit = None;
        Next::Request
    }
}

/// Returns the number of records to request after a full response that does not reach far enough. Returns `None` if
/// the whole log is to be requested.
fn longer(limit: Option<u32>) -> Option<u32> {
    limit.map(|limit| limit.saturating_mul(GROWTH)).filter(|limit| *limit < RECORDS_MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gelf_core::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::follow::window::Placement;
    use crate::log::{Line, LogStream};

    /// The response of an Engine to a request that includes a damaged record.
    #[derive(Clone, Copy, Debug)]
    enum Damaged {
        /// The response ends in front of the record with an error message.
        Error,
        /// The response ends in front of the record.
        Ends,
        /// The response has the records from this number behind the record on.
        Skips(usize),
    }

    /// A log whose line `n` has the stamp `n`.
    #[derive(Clone, Debug)]
    struct Log {
        first: usize,
        records: usize,
        damaged: Option<(usize, Damaged)>,
        /// The number of records that are written after each request.
        growth: usize,
    }

    impl Log {
        fn response(&self, limit: Option<u32>) -> (Vec<usize>, Ending) {
            let tail = limit.map_or(self.records, |limit| limit as usize);
            let all = self.records.saturating_sub(tail).max(self.first)..self.records;
            match self.damaged {
                Some((at, damaged)) if all.contains(&at) => match damaged {
                    Damaged::Error => ((all.start..at).collect(), Ending::Invalid),
                    Damaged::Ends => ((all.start..at).collect(), Ending::Complete),
                    Damaged::Skips(records) => {
                        let behind = (at + 1 + records)..self.records;
                        ((all.start..at).chain(behind).collect(), Ending::Complete)
                    }
                },
                _ => (all.collect(), Ending::Complete),
            }
        }
    }

    fn stamp(line: usize) -> Timestamp {
        Timestamp::from_unix_nanos(line as i64)
    }

    fn line(number: usize) -> Line {
        let bytes = Bytes::from_static(b"text");
        Line { stream: LogStream::Stdout, time: stamp(number), length: bytes.len(), bytes, ended: true }
    }

    struct Found {
        lines: Vec<usize>,
        goal: Goal,
        next: Next,
        requests: usize,
    }

    /// Searches for the lines behind the line `place`.
    fn search(log: &mut Log, place: usize, first: u32) -> Found {
        let mut search = Search::new(first);
        let mut taken = Vec::new();
        for requests in 1..200 {
            let goal = search.goal();
            let reach = match goal {
                Goal::Place => Reach::Line(Anchor::at(&line(place))),
                Goal::Log | Goal::BehindDamage => Reach::Whole(Timestamp::UNIX_EPOCH),
            };
            let mut scan = search.scan(reach, search.limit());
            let (lines, ending) = log.response(search.limit());
            log.records += log.growth;
            for number in lines {
                scan.record();
                if scan.place(&line(number)) == Placement::Behind {
                    taken.push(number);
                }
            }
            let next = search.judge(ending, &scan);
            if next != Next::Request {
                if goal == Goal::BehindDamage {
                    taken.sort_unstable();
                    taken.dedup();
                }
                return Found { lines: taken, goal, next, requests };
            }
        }
        panic!("the search has no end");
    }

    fn damage(least: usize) -> impl Strategy<Value = Damaged> {
        prop_oneof![Just(Damaged::Error), Just(Damaged::Ends), (least..300).prop_map(Damaged::Skips)]
    }

    proptest! {
        #[test]
        fn each_line_behind_the_place_is_found_in_an_intact_log(
            first in 0..2000_usize, length in 1..3000_usize, place in 0..5000_usize, limit in 1..3000_u32,
            growth in 0..3_usize,
        ) {
            let place = place % (first + length);
            let mut log = Log { first, records: first + length, damaged: None, growth };
            let found = search(&mut log, place, limit);
            prop_assert_eq!(found.next, Next::Done);
            let end = found.lines.last().map_or(log.records - found.requests * growth, |last| last + 1);
            let (goal, begin) = match (first..first + length).contains(&place) {
                true => (Goal::Place, place + 1),
                false => (Goal::Log, first),
            };
            prop_assert_eq!(found.goal, goal);
            prop_assert!(found.lines.iter().copied().eq(begin..end), "{begin}..{end}: {:?}", found.lines);
            prop_assert!(end >= first + length && found.requests <= 50, "{} requests", found.requests);
        }

        #[test]
        fn each_line_behind_a_damaged_record_is_found(
            length in 2..3000_usize, place in 0..3000_usize, at in 0..3000_usize, limit in 1..3000_u32,
            damaged in damage(1),
        ) {
            let (place, at) = (place % length, at % length);
            prop_assume!(place != at);
            let mut log = Log { first: 0, records: length, damaged: Some((at, damaged)), growth: 0 };
            let found = search(&mut log, place, limit);
            prop_assert!(found.requests <= 60, "{} requests", found.requests);
            if at < place {
                prop_assert_eq!((found.goal, found.next), (Goal::Place, Next::Done));
                prop_assert!(found.lines.into_iter().eq(place + 1..length));
            } else if at == length - 1 {
                prop_assert_eq!(found.next, Next::Unreadable);
            } else {
                prop_assert_eq!((found.goal, found.next), (Goal::BehindDamage, Next::Done));
                let behind = found.lines.into_iter().filter(|line| *line > at);
                prop_assert!(behind.eq(at + 1..length));
            }
        }

        #[test]
        fn lines_behind_a_damaged_record_are_found_or_given_up_with_it_while_lines_arrive(
            length in 2..3000_usize, at in 0..2999_usize, limit in 1..3000_u32, damaged in damage(80),
            growth in 1..8_usize,
        ) {
            let at = 1 + at % (length - 1);
            let mut log = Log { first: 0, records: length, damaged: Some((at, damaged)), growth };
            let found = search(&mut log, 0, limit);
            if found.next == Next::Done && found.lines.last() > Some(&at) {
                prop_assert_eq!(found.goal, Goal::BehindDamage);
            }
            prop_assert!(found.requests <= 100, "{} requests", found.requests);
        }
    }

    #[test]
    fn a_window_of_sufficient_length_needs_one_request_and_a_short_window_one_more() {
        let mut log = Log { first: 0, records: 1000, damaged: None, growth: 0 };
        assert_eq!(search(&mut log, 990, 20).requests, 1);
        assert_eq!(search(&mut log, 100, 2000).requests, 2);
        assert_eq!(search(&mut log, 900, 20).requests, 3);
        let empty = search(&mut Log { first: 1000, ..log }, 990, 20);
        assert_eq!((empty.requests, empty.goal, empty.next), (3, Goal::Log, Next::Done));
    }
}
