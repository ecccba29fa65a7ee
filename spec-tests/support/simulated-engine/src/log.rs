//! The log of a container: its records, the files that hold them, and the order in which requests read them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{DamagedRead, LogFiles, Stream};

/// A record of a log: a line, or a piece of a long line.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) stream: Stream,
    pub(crate) stamp: i64,
    pub(crate) bytes: Arc<[u8]>,
    /// The number of the container's run in which the record was written.
    run: u64,
    sent: Sent,
}

/// The requests to which a record is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sent {
    ToAll,
    /// A follower that is open while the record is written omits it.
    NotToFollowers,
    /// The log does not have the record. It is sent only to followers that are open while it is written.
    OnlyToFollowers,
}

impl Record {
    pub(crate) fn with_bytes(self, bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), ..self }
    }
}

/// The log of a container.
#[derive(Debug)]
pub(crate) struct Log {
    limits: LogFiles,
    /// The records in the order of their arrival, rotated away or not.
    records: Vec<Record>,
    /// The index of the first record of each file that was ever begun.
    files: Vec<usize>,
    /// The number of bytes in the newest file.
    size: usize,
    /// True if the next record begins a new file, whatever the size of the newest file.
    is_rotation_due: bool,
    /// The number of records in the log at the end of each run.
    run_ends: Vec<usize>,
    /// The indexes of the records that cannot be decoded.
    damaged: BTreeSet<usize>,
    is_next_damaged: bool,
    /// The number of records that followers omit next.
    skipped: usize,
}

/// The state of a request that reads a log.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The index of the next record to read.
    next: usize,
    /// The number of records in the log at the time of the request. Later records are read live.
    standing: usize,
    /// The index of the file that is read live.
    file: usize,
    /// The number of the container's run at the time of the request.
    run: u64,
    is_following: bool,
}

/// A step of a request.
#[derive(Debug)]
pub(crate) enum Step {
    Record(Record),
    /// A record that cannot be decoded. The answer ends at this record.
    Damage,
}

impl Log {
    pub(crate) fn new(limits: LogFiles) -> Self {
        Self {
            limits,
            records: Vec::new(),
            files: vec![0],
            size: 0,
            is_rotation_due: false,
            run_ends: Vec::new(),
            damaged: BTreeSet::new(),
            is_next_damaged: false,
            skipped: 0,
        }
    }

    /// Adds a record. Returns whether the record begins a new file, so that the other files are renamed.
    pub(crate) fn write(&mut self, stream: Stream, stamp: i64, bytes: &[u8], run: u64) -> bool {
        let is_asked = std::mem::take(&mut self.is_rotation_due);
        let is_due = is_asked || self.limits.max_size.is_some_and(|max| self.size >= max);
        // An empty file is not rotated.
        let rotates = is_due && self.files.last() != Some(&self.records.len());
        if rotates {
            self.files.push(self.records.len());
            self.size = 0;
        }
        let is_first = self.files.last() == Some(&self.records.len());
        let is_omitted = self.limits.followers_skip_files && self.files.len() > 1 && !is_first;
        let sent = match is_omitted || self.skipped > 0 {
            true => Sent::NotToFollowers,
            false => Sent::ToAll,
        };
        self.skipped = self.skipped.saturating_sub(1);
        if std::mem::take(&mut self.is_next_damaged) {
            self.damaged.insert(self.records.len());
        }
        self.size += bytes.len();
        self.records.push(Record { stream, stamp, bytes: bytes.into(), run, sent });
        rotates
    }

    pub(crate) fn rotate(&mut self) {
        self.is_rotation_due = true;
    }

    pub(crate) fn end_run(&mut self) {
        self.run_ends.push(self.records.len());
    }

    pub(crate) fn damage_next(&mut self) {
        self.is_next_damaged = true;
    }

    /// Makes followers omit the next `count` records.
    pub(crate) fn skip(&mut self, count: usize) {
        self.skipped = count;
    }

    /// Sends the last `count` records to followers again.
    pub(crate) fn repeat(&mut self, count: usize) {
        let last: Vec<_> = self.logged(0).map(|(_, record)| record.clone()).collect();
        let again = last.into_iter().rev().take(count).rev();
        self.records.extend(again.map(|record| Record { sent: Sent::OnlyToFollowers, ..record }));
    }

    /// Returns whether the log has rotated files that are compressed.
    pub(crate) fn has_compressed_files(&self) -> bool {
        self.limits.compress && self.first_file() + 1 < self.files.len()
    }

    /// Returns the records of the log from the record `first` on, with their indexes, oldest first.
    fn logged(&self, first: usize) -> impl DoubleEndedIterator<Item = (usize, &Record)> {
        let records = self.records.iter().enumerate().skip(first);
        records.filter(|(_, record)| record.sent != Sent::OnlyToFollowers)
    }

    /// Returns each record, whether it is still in a file, and the number of the run that wrote it.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&Record, bool, u64)> {
        let first = self.first_kept();
        self.logged(0).map(move |(index, record)| (record, index >= first, record.run))
    }

    /// Returns the index of the oldest file that is not removed.
    fn first_file(&self) -> usize {
        match self.limits.max_files {
            0 => 0,
            most => self.files.len().saturating_sub(most),
        }
    }

    fn first_kept(&self) -> usize {
        self.files[self.first_file()]
    }

    fn file_of(&self, record: usize) -> usize {
        self.files.partition_point(|first| *first <= record) - 1
    }

    /// Begins to read the log at its oldest record, or at the last `tail` records. `since` is given only for an
    /// Engine that behaves like Docker 20.10. Without `tail`, such an Engine skips all compressed files if the
    /// oldest one ends before `since`.
    pub(crate) fn reader(
        &self,
        tail: Option<usize>,
        since: Option<i64>,
        run: u64,
        is_following: bool,
    ) -> Reader {
        let mut next = self.first_kept();
        if let (Some(since), None, true) = (since, tail, self.has_compressed_files()) {
            let oldest = &self.records[next..self.files[self.first_file() + 1]];
            if oldest.last().is_some_and(|last| last.stamp < since) {
                next = self.files[self.files.len() - 1];
            }
        }
        if let Some(tail) = tail {
            let mut last = self.logged(next).rev().take(tail);
            next = last.by_ref().last().map_or(self.records.len(), |(index, _)| index);
        }
        let file = self.files.len() - 1;
        Reader { next, standing: self.records.len(), file, run, is_following }
    }

    /// Returns the steps of a request that are due, and whether the request ends after these steps.
    pub(crate) fn read(
        &self,
        reader: &mut Reader,
        is_running: bool,
        damage: DamagedRead,
    ) -> (Vec<Step>, bool) {
        // Records of a later run of the container belong to later requests.
        let run_end = usize::try_from(reader.run).ok().and_then(|run| self.run_ends.get(run.checked_sub(1)?));
        let (end, is_over) = match (reader.is_following, run_end) {
            (false, _) => (reader.standing, true),
            (true, Some(end)) => ((*end).max(reader.standing), true),
            (true, None) => (self.records.len(), !is_running),
        };
        let mut steps = Vec::new();
        while reader.next < end {
            let index = reader.next;
            let is_live = index >= reader.standing;
            if is_live && self.skip_to_newest_if_behind(reader, end) {
                continue;
            }
            reader.next += 1;
            let record = &self.records[index];
            match record.sent {
                Sent::NotToFollowers if is_live => continue,
                Sent::OnlyToFollowers if !is_live => continue,
                _ => {}
            }
            if self.damaged.contains(&index) {
                match (damage, is_live) {
                    (DamagedRead::SkipsFile | DamagedRead::SkipsRecords(_), true) => continue,
                    (DamagedRead::SkipsRecords(records), false) => {
                        reader.next = (index + 1 + records).min(reader.standing);
                        continue;
                    }
                    (DamagedRead::SkipsFile, false) => {
                        let next_file = self.files.get(self.file_of(index) + 1);
                        reader.next =
                            next_file.map_or(reader.standing, |first| (*first).min(reader.standing));
                        continue;
                    }
                    _ => steps.push(Step::Damage),
                }
                return (steps, true);
            }
            steps.push(Step::Record(record.clone()));
        }
        (steps, is_over)
    }

    /// Moves a follower that is more than one rotation behind to the newest file, as Docker does. The files
    /// in between are not sent, even if the Engine still has them. Returns whether the follower was moved.
    fn skip_to_newest_if_behind(&self, reader: &mut Reader, end: usize) -> bool {
        let file = self.file_of(reader.next);
        if file == reader.file {
            return false;
        }
        let newest = self.files.len() - 1;
        let is_behind = newest > reader.file + 1;
        reader.file = if is_behind { newest } else { file };
        if is_behind && self.files[newest] > reader.next {
            reader.next = self.files[newest].min(end);
            return true;
        }
        false
    }
}
