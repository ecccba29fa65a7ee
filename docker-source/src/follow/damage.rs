//! Finds the records behind a damaged record.
//!
//! A log can have a damaged record, for example after a crash of the machine. From Docker 23.0 on, a response
//! that reaches this record ends in front of it, with or without an error message. A response that is limited
//! to fewer records from the end of the log begins behind the damaged record, and is complete. Docker 20.10
//! passes over some records behind the damaged record, and goes on with later records.

use gelf_core::Timestamp;

use super::Following;
use super::problems::past_damage;
use super::read::Silence;
use super::window::{Anchor, RECORDS_MAX, Reach, Scan};
use crate::cursor::REMEMBERED_AT_LEAST;
use crate::dialect::Dialect;
use crate::engine::{ApiVersion, EngineError, LogsQuery};
use crate::log::Decoded;
use crate::record::QueueClosed;

/// The records of a response. Its lines were not taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    records: u32,
    /// The stamp of the first record.
    pub(super) first: Option<Timestamp>,
    /// The stamp of the first line whose end is in the response.
    begin: Option<Timestamp>,
    /// The stamp of the last line.
    pub(super) last: Option<Timestamp>,
}

impl Following {
    /// Reads the last `records` records of the log, and takes none of their lines. If the response ends early,
    /// the sample has the records up to this end.
    pub(super) async fn sample(&mut self, records: u32) -> Result<Sample, EngineError> {
        let query = LogsQuery { follow: false, since: None, tail: Some(records) };
        let (content_type, body) = self.context.client.logs(&self.id, query).await?;
        let mut response = self.response(content_type, body, Scan::new(Reach::Nothing, Some(records), false));
        let within = self.context.timing.catch_up;
        let (mut sample, mut lines) = (Sample::default(), Vec::new());
        while let Some(Ok(part)) = response.next_within(within).await {
            let reader = response.push(part, self.context.clock.now());
            loop {
                match reader.decode(&mut lines) {
                    Ok(Decoded::Piece) => {
                        let stamps = lines.iter().map(|line| line.time).chain(reader.oldest_open());
                        sample.first = sample.first.or_else(|| stamps.min());
                        sample.begin = sample.begin.or_else(|| lines.first().map(|line| line.time));
                        sample.last = lines.drain(..).next_back().map(|line| line.time).or(sample.last);
                        sample.records = sample.records.saturating_add(1);
                    }
                    Ok(Decoded::NeedsMore) => break,
                    Err(error) if error.ends_stream() => return Ok(sample),
                    Err(_) => {}
                }
            }
        }
        Ok(sample)
    }

    /// Returns whether a response can end in front of a damaged record without an error message.
    pub(super) fn responses_end_at_damage(&self) -> bool {
        self.context.client.version() >= ApiVersion::DOCKER_23 && self.counts_records()
    }

    /// Returns whether a window has omitted lines behind a damaged record, as a response of Docker 20.10 does.
    ///
    /// Such a window has fewer records than requested. If it has fewer records because the log has no more, a
    /// response to a request for another sufficient number of records begins with the same line.
    pub(super) async fn omits_lines(&mut self, scan: &Scan) -> Result<bool, EngineError> {
        let is_old = self.context.client.version() < ApiVersion::DOCKER_23;
        let limit = scan.limit().unwrap_or(0);
        // The last record may just be being written.
        if !(is_old && self.counts_records() && scan.records().saturating_add(1) < limit) {
            return Ok(false);
        }
        let end = scan.end().map(|end| end.time());
        let sample = self.sample(scan.records()).await?;
        if sample.begin == scan.begin() || sample.last == end {
            return Ok(sample.begin != scan.begin());
        }
        // The log has grown meanwhile, so a response with as many records begins with a later line.
        Ok(self.sample(limit.saturating_mul(2)).await?.begin != scan.begin())
    }

    /// Reads the lines that a window has omitted, as far as the Engine can read them. First announces a gap if the
    /// damaged record is behind the place that the window had to include. Returns the last line that was read.
    pub(super) async fn read_omitted(&mut self, window: &Scan) -> Result<Option<Anchor>, QueueClosed> {
        let Some(place) = window.place_time() else { return Ok(None) };
        // The lines of the window were taken, and the sink recognizes only as many of them.
        let most = u32::try_from(REMEMBERED_AT_LEAST).unwrap_or(u32::MAX);
        let records = self.readable(window.records().min(most)).await.unwrap_or(0);
        let begin = match self.sample(records).await {
            Ok(sample) => sample.begin,
            Err(_) => None,
        };
        if begin.is_none_or(|begin| begin > place) {
            let container = self.metadata.container().clone();
            self.sink.announce_damage(&container, place, begin).await?;
        }
        let query = LogsQuery { follow: false, since: None, tail: Some(records) };
        let Ok((content_type, body)) = self.context.client.logs(&self.id, query).await else {
            return Ok(None);
        };
        self.sink.begin_window(self.open);
        let scan = Scan::new(Reach::Whole(place), Some(records), false);
        let mut response = self.response(content_type, body, scan);
        self.read(&mut response, Silence::AtMost(self.context.timing.catch_up)).await?;
        Ok(response.scan().anchor())
    }

    /// Returns the maximum number of records to request if a damaged record is to be skipped. Otherwise,
    /// returns `None`.
    pub(super) async fn tail_past_damage(&mut self) -> Result<Option<u32>, EngineError> {
        match past_damage(self.stuck) {
            Some(_) if self.counts_records() => Ok(Some(self.readable(RECORDS_MAX).await?)),
            tail => Ok(tail),
        }
    }

    /// Returns the number of records behind the last damaged record, or `max` if it is smaller.
    pub(super) async fn readable(&mut self, max: u32) -> Result<u32, EngineError> {
        let (mut readable, mut unreadable) = (0, None);
        loop {
            let records = match unreadable {
                None => (readable * 2).clamp(1, max),
                Some(unreadable) => readable + (unreadable - readable) / 2,
            };
            if records == readable {
                return Ok(readable);
            }
            // The last record may just be being written. A second response then has it.
            let is_readable = self.sample(records).await?.records >= records
                || self.sample(records).await?.records >= records;
            match is_readable {
                true => readable = records,
                false => unreadable = Some(records),
            }
        }
    }

    /// Returns whether the records of a response can be counted. In the log of a terminal, they are not
    /// separated.
    fn counts_records(&self) -> bool {
        self.context.client.dialect() == Dialect::Docker && self.metadata.container().tty() != Some(true)
    }
}
