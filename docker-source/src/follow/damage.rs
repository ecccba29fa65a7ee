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
    /// The window has later lines than the damaged record, and omits some lines.
    OmitsLines,
}

/// The longest response with the last records of a log that has no damaged record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    pub(super) records: u32,
    /// The stamp of the first line.
    pub(super) begin: Option<Timestamp>,
    /// The last line.
    last: Option<Anchor>,
    /// True if a record in front of these records is damaged. Otherwise, the log has no more records.
    pub(super) is_damaged: bool,
}

impl Following {
    /// Reads up to `at_most` of the last `tail` records of the log, and takes none of their lines. If a damaged
    /// record ends the response, the sample has the records in front of it.
    pub(super) async fn sample(&mut self, tail: u32, at_most: u32) -> Result<Sample, EngineError> {
        self.sample_looking_for(None, tail, at_most).await
    }

    async fn sample_looking_for(
        &mut self,
        sought: Option<Anchor>,
        tail: u32,
        at_most: u32,
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
                        if sample.records >= at_most {
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
    /// Such a window has fewer records than requested. If it has fewer records because the log has no more, a
    /// response to a request for another sufficient number of records begins with the same line.
    pub(super) async fn omits_lines(&mut self, window: &Scan) -> Result<bool, EngineError> {
        let is_old = self.context.client.version() < ApiVersion::DOCKER_23;
        let (limit, records) = (window.limit().unwrap_or(0), window.records());
        // The last record may just be being written.
        if !(is_old && self.counts_records() && records.saturating_add(1) < limit) {
            return Ok(false);
        }
        let sample = self.sample_looking_for(window.end(), records, records).await?;
        if sample.begin == window.begin() {
            return Ok(false);
        }
        if sample.last == window.end() || sample.sought.is_some() {
            return Ok(true);
        }
        // The log has grown meanwhile, so a response with as many records begins with a later line.
        Ok(self.sample(limit.saturating_mul(2), records).await?.begin != window.begin())
    }

    /// Searches for the records that can be read in place of a window with a damaged record.
    pub(super) async fn pass_damage(&mut self, window: &Scan, damage: Damage) -> Result<Tail, EngineError> {
        let limit = window.limit().unwrap_or(RECORDS_MAX);
        // Lines of a window that omits lines were taken, and the sink recognizes only as many of them.
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
        let mut tail = Tail::default();
        let mut unreadable = None;
        // First the number of records is doubled until a response is too short, and then the interval is halved.
        while let Some(records) = tail.next(unreadable, max) {
            let sample = self.sample_twice(records, tail.last).await?;
            if sample.records >= records {
                tail.lengthen(&sample);
            } else if self.is_whole(&sample, &tail) {
                return Ok(Tail { records: sample.records, begin: sample.begin, is_damaged: false, ..tail });
            } else {
                (unreadable, tail.is_damaged) = (Some(records), true);
            }
        }
        // The log may have grown meanwhile, so it can have more readable records now.
        let mut step = 1;
        while tail.is_damaged && tail.records.saturating_add(step) <= max {
            let records = tail.records + step;
            let sample = self.sample_twice(records, tail.last).await?;
            if sample.records < records {
                tail.is_damaged = !self.is_whole(&sample, &tail);
                break;
            }
            tail.lengthen(&sample);
            step *= 2;
        }
        tail.is_damaged &= tail.records > 0;
        Ok(tail)
    }

    /// Returns whether a response that is too short has all records of the log. From Docker 23.0 on, a response
    /// that reaches a damaged record has no line behind it.
    fn is_whole(&self, sample: &Sample, tail: &Tail) -> bool {
        if tail.last.is_none() {
            return false;
        }
        match self.context.client.version() < ApiVersion::DOCKER_23 {
            true => sample.begin == tail.begin && sample.records >= tail.records,
            false => sample.sought.is_none(),
        }
    }

    /// Reads the last `records` records of the log. If one of them is missing, reads them again, since the last
    /// record may just have been being written.
    async fn sample_twice(&mut self, records: u32, sought: Option<Anchor>) -> Result<Sample, EngineError> {
        let sample = self.sample_looking_for(sought, records, records).await?;
        match sample.records < records {
            true => self.sample_looking_for(sought, records, records).await,
            false => Ok(sample),
        }
    }

    /// Returns whether the records of a response can be counted. In the log of a terminal, they are not
    /// separated.
    fn counts_records(&self) -> bool {
        self.context.client.dialect() == Dialect::Docker && self.metadata.container().tty() != Some(true)
    }
}

impl Tail {
    fn lengthen(&mut self, sample: &Sample) {
        (self.records, self.begin, self.last) = (sample.records, sample.begin, sample.last);
    }

    /// Returns the number of records to request next, between the longest readable response and the shortest
    /// unreadable response. Returns `None` if there is no number between them.
    fn next(self, unreadable: Option<u32>, max: u32) -> Option<u32> {
        let records = match unreadable {
            Some(unreadable) => self.records + (unreadable - self.records) / 2,
            None => (self.records * 2).clamp(1, max),
        };
        Some(records).filter(|records| *records > self.records)
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
