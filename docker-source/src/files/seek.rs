//! Finds a place in the files of a log such that all lines from a given time on are behind the place.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use gelf_core::Timestamp;

use super::chain::OpenFile;
use crate::log::parse_json_file_record;

/// The number of bytes that are read at each examined place. In the first attempt, it is also the distance of the
/// first examined place from the end.
const BLOCK: u64 = 64 * 1024;
/// The maximum number of records whose stamps are compared at each examined place. One record is not enough,
/// since a piece of a long line has the older stamp of the line's first piece.
const RECORDS: usize = 16;
/// The records at the place are older than the given time by at least this margin. A margin is needed because
/// lines of stdout and stderr can be out of the order of their stamps.
const MARGIN: Duration = Duration::from_secs(1);

/// A place in the files of a log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct FilePlace {
    /// The number of files before the file.
    pub(super) file: usize,
    pub(super) offset: u64,
}

/// Returns a place whose records are older than `before`, or `None` if no examined place has such records.
/// In the first attempt, the first examined place is near the end of the log. The distance from the end doubles from
/// place to place. Each attempt begins 16 times as far from the end as the attempt before it.
pub(super) fn seek(
    files: &VecDeque<OpenFile>,
    before: Timestamp,
    attempt: u32,
) -> io::Result<Option<FilePlace>> {
    let before = before.saturating_sub(MARGIN);
    let lengths: Vec<u64> =
        files.iter().map(|open| Ok(open.file.metadata()?.len())).collect::<io::Result<_>>()?;
    let total: u64 = lengths.iter().sum();
    let mut distance = BLOCK << (4 * attempt).min(40);
    while distance < total {
        let (mut file, mut offset) = (0, total - distance);
        while let Some(length) = lengths.get(file).filter(|length| offset >= **length) {
            (file, offset) = (file + 1, offset - length);
        }
        if let Some(open) = files.get(file) {
            if let Some(skipped) = is_older(open, offset, before)? {
                return Ok(Some(FilePlace { file, offset: offset + skipped }));
            }
        }
        distance = distance.saturating_mul(2);
    }
    Ok(None)
}

/// Examines the first whole records in the block behind `offset`, at most [`RECORDS`] records. If all of them are
/// older than `before`, returns the distance from `offset` to the first of them.
fn is_older(open: &OpenFile, offset: u64, before: Timestamp) -> io::Result<Option<u64>> {
    let mut block = vec![0; BLOCK as usize];
    let length = open.file.read_at(&mut block, offset)?;
    block.truncate(length);
    let mut lines = block.split_inclusive(|byte| *byte == b'\n');
    let skipped = match offset {
        0 => 0,
        _ => lines.next().map_or(0, <[u8]>::len),
    };
    let records = lines.filter_map(|line| parse_json_file_record(line.strip_suffix(b"\n")?));
    let newest = records.take(RECORDS).map(|record| record.time).max();
    Ok(newest.is_some_and(|newest| newest < before).then_some(skipped as u64))
}
