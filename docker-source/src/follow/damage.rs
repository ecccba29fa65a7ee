//! Finds the records behind a damaged record.
//!
//! A log can have a damaged record, for example after a crash of the machine. From Docker 23.0 on, a response
//! that reaches this record ends in front of it, with or without an error message. A response that is limited
//! to the records behind the damaged record is complete.

use gelf_core::Timestamp;

use super::Following;
use super::problems::past_damage;
use super::window::{RECORDS_MAX, Reach, Scan};
use crate::dialect::Dialect;
use crate::engine::{ApiVersion, EngineError, LogsQuery};
use crate::log::Decoded;

/// The records of a response. Its lines were not taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    records: u32,
    /// The stamp of the first record.
    pub(super) first: Option<Timestamp>,
    /// The stamp of the last line that ends in the response.
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

    /// Returns whether windows are checked for a damaged record, because a response can end in front of such a
    /// record without an error message. The log of a terminal is not checked.
    pub(super) fn responses_end_at_damage(&self) -> bool {
        self.context.client.version() >= ApiVersion::DOCKER_23 && self.counts_records()
    }

    /// If a damaged record is to be skipped, returns the number of records to request from the end of the log.
    /// Otherwise, returns `None`.
    pub(super) async fn tail_past_damage(&mut self) -> Result<Option<u32>, EngineError> {
        match past_damage(self.stuck) {
            Some(_) if self.counts_records() => Ok(Some(self.readable(RECORDS_MAX).await?)),
            tail => Ok(tail),
        }
    }

    /// Returns the number of records behind the last damaged record, or of all records if none is damaged. The
    /// number is at most `max`.
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
            // If the Engine was still writing the last record, only a second response has this record.
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
