//! Reads a log on behind a damaged record.
//!
//! A log can have a damaged record, for example after a crash of the machine. From Docker 23.0 on, a response
//! that reaches this record ends in front of it, with or without an error message. Docker 20.10 passes over some
//! records behind the damaged record, and goes on with later records. A response that is limited to the records
//! behind the damaged record is complete.

use gelf_core::Timestamp;

use super::Following;
use super::window::{Anchor, RECORDS_MAX, Reach, Scan};
use crate::cursor::REMEMBERED_AT_LEAST;
use crate::dialect::Dialect;
use crate::engine::{ApiVersion, EngineError, LogsQuery};
use crate::log::{Decoded, Line};

/// The records of a response. Its lines were not taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    records: u32,
    /// The stamp of the first record.
    pub(super) first: Option<Timestamp>,
    /// The stamp of the first line that ends in the response.
    begin: Option<Timestamp>,
    /// The last line that ends in the response.
    last: Option<Anchor>,
    /// A line to look for. `None` once the line was found.
    sought: Option<Anchor>,
}

/// The sign of a damaged record in a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Damage {
    /// The window ends in front of the damaged record.
    EndsWindow,
    /// The window has lines behind the damaged record, and omits some lines.
    OmitsLines,
}

/// The longest response that has the last records of a log and no damaged record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    pub(super) records: u32,
    /// The stamp of the first line.
    pub(super) begin: Option<Timestamp>,
    /// The last line.
    last: Option<Anchor>,
    /// True if a record in front of these records is damaged. Otherwise, the log has no more records, the search has
    /// reached its maximum, or not even the last record of the log can be read.
    pub(super) is_damaged: bool,
}

impl Following {
    /// Reads up to `at_most` of the last `tail` records of the log, and takes none of their lines. If a damaged
    /// record ends the response, the sample has the records in front of it.
    pub(super) async fn sample(&mut self, tail: u32, at_most: u32) -> Result<Sample, EngineError> {
        self.sample_until(|sample| sample.records >= at_most, None, tail).await
    }

    /// Reads the last `tail` records of the log, until a record after which `is_enough` returns true.
    async fn sample_until(
        &mut self,
        is_enough: impl Fn(&Sample) -> bool,
        sought: Option<Anchor>,
        tail: u32,
    ) -> Result<Sample, EngineError> {
        let query = LogsQuery { follow: false, since: None, tail: Some(tail) };
        self.sink.stats().window();
        let (content_type, body) = self.context.client.logs(&self.id, query).await?;
        let mut response = self.response(content_type, body, Scan::new(Reach::Nothing, Some(tail), false));
        let within = self.context.timing.catch_up;
        let (mut sample, mut lines) = (Sample { sought, ..Sample::default() }, Vec::new());
        while let Some(part) = response.next_within(within).await {
            let reader = response.push(part?, self.context.clock.now());
            loop {
                match reader.decode(&mut lines) {
                    Ok(Decoded::Piece) => {
                        let stamps = lines.iter().map(|line| line.time).chain(reader.oldest_open());
                        sample.first = sample.first.or_else(|| stamps.min());
                        sample.take(&lines);
                        lines.clear();
                        if is_enough(&sample) {
                            return Ok(sample);
                        }
                    }
                    Ok(Decoded::NeedsMore) => break,
                    Err(error) if error.ends_stream() => return Ok(sample),
                    Err(_) => {}
                }
            }
        }
        Ok(sample)
    }

    /// Returns whether windows can read the log on behind a damaged record.
    pub(super) fn passes_damage(&self) -> bool {
        self.can_window() && self.counts_records()
    }

    /// Returns the last line of the log if a window possibly lacks it. From Docker 23.0 on, this is the only sign
    /// of a damaged record behind the window if the response has no error message.
    pub(super) async fn line_behind(&mut self, window: &Scan) -> Result<Option<Anchor>, EngineError> {
        let is_old = self.context.client.version() < ApiVersion::DOCKER_23;
        if is_old || !self.counts_records() || window.is_full() {
            return Ok(None);
        }
        Ok(self.sample(1, 1).await?.last.filter(|last| Some(*last) != window.end()))
    }

    /// Returns whether a window has omitted lines behind a damaged record, as a response of Docker 20.10 does.
    ///
    /// Such a window has fewer records than requested. However, a window also has fewer records if the log has no
    /// more. In that case, the first line of the window is also the first line of the response to any request for that
    /// number of records or more.
    pub(super) async fn omits_lines(&mut self, window: &Scan) -> Result<bool, EngineError> {
        let is_old = self.context.client.version() < ApiVersion::DOCKER_23;
        let (limit, records) = (window.limit().unwrap_or(0), window.records());
        // The last record may just be being written.
        if !(is_old && self.counts_records() && records.saturating_add(1) < limit) {
            return Ok(false);
        }
        let begin = window.begin();
        // The first line usually decides, so the rest of the sample is not read.
        let is_enough =
            |sample: &Sample| sample.records >= records || (sample.begin.is_some() && sample.begin == begin);
        let sample = self.sample_until(is_enough, window.end(), records).await?;
        if sample.begin == begin {
            return Ok(false);
        }
        if sample.last == window.end() || sample.sought.is_some() {
            return Ok(true);
        }
        // The log has grown meanwhile, so a response with as many records begins with a later line.
        let is_enough = |sample: &Sample| sample.records >= records || sample.begin.is_some();
        Ok(self.sample_until(is_enough, None, limit.saturating_mul(2)).await?.begin != begin)
    }

    /// Searches for the records that can be read in place of a window with a damaged record.
    pub(super) async fn pass_damage(&mut self, window: &Scan, damage: Damage) -> Result<Tail, EngineError> {
        let limit = window.limit().unwrap_or(RECORDS_MAX);
        // The lines of a window that omits lines were taken. When they are read again, the sink is sure to recognize
        // only this number of them.
        let remembered = u32::try_from(REMEMBERED_AT_LEAST).unwrap_or(limit);
        let tail = match damage {
            Damage::EndsWindow => self.tail(limit).await?,
            Damage::OmitsLines => self.tail(limit.min(remembered)).await?,
        };
        if tail.is_damaged {
            self.readable = Some(tail.records);
        }
        Ok(tail)
    }

    /// Returns the time behind which lines can be lost, if the damage shows itself in this window.
    pub(super) fn place_of_damage(&self, window: &Scan, damage: Damage) -> Timestamp {
        // Lines before the floor are not read.
        let floor = Some(self.floor).filter(|_| !self.is_first_run);
        let read = match damage {
            Damage::EndsWindow => window.anchor().map(|anchor| anchor.time()),
            Damage::OmitsLines => None,
        };
        window.place_time().max(floor).max(read).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Searches for the longest response without a damaged record, of at most `max` records.
    async fn tail(&mut self, max: u32) -> Result<Tail, EngineError> {
        let can_omit = self.context.client.version() < ApiVersion::DOCKER_23;
        let mut search = TailSearch { can_omit, max, ..TailSearch::default() };
        while let Some(records) = search.next() {
            let sample = self.sample_twice(records, search.tail.last).await?;
            search.judge(records, &sample);
        }
        let Tail { records, is_damaged, .. } = search.tail;
        Ok(Tail { is_damaged: is_damaged && records > 0, ..search.tail })
    }

    /// Reads the last `records` records of the log. If one of them is missing, reads them again, since the last
    /// record may just have been being written.
    async fn sample_twice(&mut self, records: u32, sought: Option<Anchor>) -> Result<Sample, EngineError> {
        let is_enough = |sample: &Sample| sample.records >= records;
        let sample = self.sample_until(is_enough, sought, records).await?;
        match sample.records < records {
            true => self.sample_until(is_enough, sought, records).await,
            false => Ok(sample),
        }
    }

    /// Returns whether the records of a response can be counted. In the log of a terminal, records are not
    /// separated. Podman joins some records.
    fn counts_records(&self) -> bool {
        self.context.client.dialect() == Dialect::Docker && self.metadata.container().tty() != Some(true)
    }
}

/// The search for a [`Tail`].
///
/// The number of requested records is doubled until a response is too short. Then the interval between the greatest
/// number with a whole response and the smallest number with a short one is halved until no number lies between
/// them. The log may have grown meanwhile, so at last the number is increased by 1, 2, 4 and so on until a response
/// is too short again.
#[derive(Clone, Copy, Debug, Default)]
struct TailSearch {
    /// True if a response can have lines behind a damaged record that it reaches.
    can_omit: bool,
    max: u32,
    tail: Tail,
    /// The number of records in the last request whose response was too short.
    unreadable: Option<u32>,
    /// The last number by which the number of records was increased, after the interval was halved.
    step: u32,
    is_done: bool,
}

impl TailSearch {
    /// Returns the number of records to request next, or `None` if the tail is found.
    fn next(&mut self) -> Option<u32> {
        let readable = self.tail.records;
        let records = match self.unreadable {
            None => (readable * 2).clamp(1, self.max),
            Some(unreadable) if readable + 1 < unreadable => readable + (unreadable - readable) / 2,
            Some(_) => {
                self.step = (self.step * 2).max(1);
                readable.saturating_add(self.step)
            }
        };
        Some(records).filter(|records| !self.is_done && *records > readable && *records <= self.max)
    }

    /// Takes the response to a request for this number of records.
    fn judge(&mut self, records: u32, sample: &Sample) {
        let Sample { begin, last, .. } = *sample;
        if sample.records >= records {
            self.tail = Tail { records, begin, last, ..self.tail };
        } else if self.is_whole(sample) {
            self.tail = Tail { records: sample.records, begin, last, is_damaged: false };
            self.is_done = true;
        } else {
            self.tail.is_damaged = true;
            self.is_done = self.step > 0;
            self.unreadable = Some(records);
        }
    }

    /// Returns whether a response that is too short has all records of the log. From Docker 23.0 on, a response
    /// that reaches a damaged record has no line behind it.
    fn is_whole(&self, sample: &Sample) -> bool {
        match self.can_omit {
            _ if self.tail.last.is_none() => false,
            true => sample.begin == self.tail.begin && sample.records >= self.tail.records,
            false => sample.sought.is_none(),
        }
    }
}

impl Sample {
    pub(super) fn has_records(&self) -> bool {
        self.records > 0
    }

    fn take(&mut self, lines: &[Line]) {
        self.begin = self.begin.or_else(|| lines.first().map(|line| line.time));
        self.last = lines.last().map(Anchor::at).or(self.last);
        self.sought = self.sought.filter(|sought| lines.iter().all(|line| Anchor::at(line) != *sought));
        self.records = self.records.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::log::LogStream;

    /// A log whose line `n` has the stamp `n`.
    #[derive(Clone, Copy, Debug)]
    struct Log {
        records: u32,
        /// The number of a damaged record.
        damaged: Option<u32>,
        /// The number of records behind the damaged record that a response omits. If it is `None`, the response ends
        /// in front of the damaged record.
        omitted: Option<u32>,
        /// The number of records that are written after each response.
        growth: u32,
    }

    impl Log {
        fn sample(&mut self, tail: u32, sought: Option<Anchor>) -> Sample {
            let first = self.records.saturating_sub(tail);
            let (end, next) = match (self.damaged.filter(|at| *at >= first), self.omitted) {
                (Some(at), None) => (at, self.records),
                (Some(at), Some(omitted)) => (at, (at + 1 + omitted).min(self.records)),
                (None, _) => (self.records, self.records),
            };
            let anchor = |number: u32| {
                let (stream, time) = (LogStream::Stdout, Timestamp::from_unix_nanos(i64::from(number)));
                Anchor::at(&Line { stream, time, bytes: Bytes::new(), length: 0, ended: true })
            };
            let has = |number: &u32| (first..end).contains(number) || (next..self.records).contains(number);
            let begin = Some(first).filter(has).or_else(|| Some(next).filter(has)).map(anchor);
            let last = self
                .records
                .checked_sub(1)
                .filter(has)
                .or_else(|| end.checked_sub(1).filter(has))
                .map(anchor);
            let is_in = |line: &Anchor| {
                begin
                    .zip(last)
                    .is_some_and(|(begin, last)| (begin.time()..=last.time()).contains(&line.time()))
            };
            let sought = sought.filter(|line| !is_in(line));
            let begin = begin.map(|begin| begin.time());
            let records = end - first + (self.records - next);
            let sample = Sample { records, first: begin, begin, last, sought };
            self.records += self.growth;
            sample
        }
    }

    /// Returns the tail, and the number of responses.
    fn search(log: &mut Log, max: u32) -> (Tail, u32) {
        let mut search = TailSearch { can_omit: log.omitted.is_some(), max, ..TailSearch::default() };
        let mut responses = 0;
        while let Some(records) = search.next() {
            let sample = log.sample(records, search.tail.last);
            search.judge(records, &sample);
            responses += 1;
        }
        (search.tail, responses)
    }

    proptest! {
        #[test]
        fn the_records_behind_a_damaged_record_are_found_up_to_the_maximum(
            records in 1..2000_u32, at in 0..2000_u32, omitted in proptest::option::of(1..300_u32), max in 1..4000_u32,
        ) {
            let at = at % records;
            let behind = records - at - 1;
            let mut log = Log { records, damaged: Some(at), omitted, growth: 0 };
            let (tail, responses) = search(&mut log, max);
            match omitted {
                None => prop_assert_eq!((tail.records, tail.is_damaged), (behind.min(max), behind < max)),
                // A response that begins with the damaged record can look like the whole log.
                Some(_) if !tail.is_damaged => prop_assert!(tail.records <= behind),
                Some(_) => prop_assert_eq!(tail.records, behind),
            }
            prop_assert!(responses <= 25, "{} responses", responses);
        }

        #[test]
        fn a_log_without_a_damaged_record_is_found_to_be_whole_while_it_grows(
            records in 1..2000_u32, growth in 0..2000_u32, max in 1..4000_u32,
        ) {
            let mut log = Log { records, damaged: None, omitted: None, growth };
            let (tail, responses) = search(&mut log, max);
            prop_assert!(!tail.is_damaged, "{:?}", tail);
            prop_assert!(tail.records >= records.min(max) && responses <= 40, "{:?}, {} responses", tail, responses);
        }

        #[test]
        fn the_search_ends_however_fast_the_log_grows(
            records in 1..2000_u32, at in 0..2000_u32, omitted in proptest::option::of(0..300_u32), growth in 0..5000_u32,
        ) {
            let at = at % records;
            let mut log = Log { records, damaged: Some(at), omitted, growth };
            let (tail, responses) = search(&mut log, RECORDS_MAX);
            let behind = log.records - at - 1;
            prop_assert!(tail.records <= behind && tail.records >= records - at - 1, "{:?} of {}", tail, behind);
            prop_assert!(responses <= 64, "{} responses", responses);
        }
    }
}
