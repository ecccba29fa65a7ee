//! A container of an Engine, and the lines that it has written.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::options::{Fault, Stream};
use crate::state::Shared;
use crate::{PIECE, PODMAN_PIECE, RequestKind};

/// A container of a [`SimulatedEngine`](crate::SimulatedEngine).
#[derive(Clone, Debug)]
pub struct Container {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: String,
}

/// A line that a container wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrittenLine {
    /// The stream.
    pub stream: Stream,
    /// The stamp of the first piece, in nanoseconds since the Unix epoch.
    pub stamp: i64,
    /// The text without the line's end.
    pub bytes: Vec<u8>,
    /// False if the line's end is missing: the container still writes the line, or has ended.
    pub is_ended: bool,
    /// True if the Engine has the whole line; false if a piece of it was rotated away.
    pub is_kept: bool,
}

impl Container {
    /// Returns the id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the path of the newest log file, if the log is in [files](crate::ContainerOptions::has_files).
    pub fn log_path(&self) -> Option<PathBuf> {
        self.shared.look(|state| Some(state.container(&self.id).files.as_ref()?.path().to_owned()))
    }

    /// Starts the container and sends the event `start`.
    pub fn start(&self) {
        self.shared.change(|state| state.start(&self.id));
    }

    /// Ends the container's processes with the status 0 and sends the event `die`. Streams that follow the
    /// container's log end after its last line.
    pub fn die(&self) {
        self.die_with(0);
    }

    /// Ends the container's processes as [`die`](Self::die) does, with this status.
    pub fn die_with(&self, status: u8) {
        self.shared.change(|state| state.die(&self.id, status));
    }

    /// Sends the event `kill` with this signal. The container runs until [`die`](Self::die).
    pub fn kill(&self, signal: u8) {
        self.shared.change(|state| state.kill(&self.id, signal));
    }

    /// Renames the container and sends the event `rename`.
    pub fn rename(&self, name: &str) {
        self.shared.change(|state| state.rename(&self.id, name));
    }

    /// Ends the container if it still runs, removes it and sends the event `destroy`. Open streams of its log
    /// continue to the end of the log.
    pub fn destroy(&self) {
        self.shared.change(|state| state.destroy(&self.id));
    }

    /// Writes a line in pieces, and returns the stamp of the first piece. By default, the pieces have at most
    /// 16 KiB and the same stamp, as in Docker. With the option `podman`, they have at most 8 KiB and
    /// increasing stamps.
    pub fn line(&self, stream: Stream, text: impl AsRef<[u8]>) -> i64 {
        self.shared.change(|state| {
            let stamp = state.tick();
            let mut bytes = text.as_ref().to_vec();
            bytes.extend_from_slice(if state.container(&self.id).options.tty { b"\r\n" } else { b"\n" });
            let length = if state.options.podman { PODMAN_PIECE } else { PIECE };
            for (index, piece) in bytes.chunks(length).enumerate() {
                let stamp = if index > 0 && state.options.podman { state.tick() } else { stamp };
                state.write(&self.id, stream, stamp, piece);
            }
            stamp
        })
    }

    /// Writes a piece unchanged, with this stamp.
    pub fn piece(&self, stream: Stream, stamp: i64, bytes: impl AsRef<[u8]>) {
        self.shared.change(|state| state.write(&self.id, stream, stamp, bytes.as_ref()));
    }

    /// Returns all lines that were written, in the order of their first pieces, whether or not the Engine
    /// still has them.
    pub fn written(&self) -> Vec<WrittenLine> {
        self.shared.look(|state| {
            let mut lines: Vec<WrittenLine> = Vec::new();
            // The last line of each stream and run.
            let mut last = HashMap::new();
            for (record, is_kept, run) in state.container(&self.id).log.written() {
                let at = last.entry((record.stream, run)).or_insert(lines.len());
                if lines.get(*at).is_none_or(|line| line.is_ended) {
                    *at = lines.len();
                    let (stream, stamp) = (record.stream, record.stamp);
                    lines.push(WrittenLine { stream, stamp, bytes: Vec::new(), is_ended: false, is_kept });
                }
                let line = &mut lines[*at];
                line.append(&record.bytes);
                line.is_kept &= is_kept;
            }
            lines
        })
    }

    /// Begins a new file of the log with the next record, as Docker does. If the log then has more files than
    /// its [limit](crate::LogFiles::max_files), the oldest file is removed.
    pub fn rotate(&self) {
        self.shared.change(|state| state.container_mut(&self.id).log.rotate());
    }

    /// Makes followers omit the next `count` records, although the Engine has these records. A follower that
    /// is opened after such a record was written does not omit it.
    pub fn followers_skip(&self, count: usize) {
        self.shared.change(|state| state.container_mut(&self.id).log.skip(count));
    }

    /// Sends the last `count` records to open followers again, as Docker 20.10 does at rotations. The log has
    /// each of these records only once.
    pub fn followers_repeat(&self, count: usize) {
        self.shared.change(|state| state.container_mut(&self.id).log.repeat(count));
    }

    /// Ends the answers that follow the log, without the records that were not sent yet. The answers have the
    /// final chunk. Docker 20.10 sometimes does this when a container ends.
    pub fn end_followers(&self) {
        self.shared.change(|state| state.container_mut(&self.id).ends += 1);
    }

    /// Closes the connections that follow the log, without the final chunk, as a proxy does after a time
    /// without data.
    pub fn cut_followers(&self) {
        self.shared.change(|state| state.container_mut(&self.id).cuts += 1);
    }

    /// Injects a fault into the next answer with the container's log. A further call injects a fault into the answer
    /// after that.
    pub fn fail_logs(&self, fault: Fault) {
        self.shared.change(|state| state.container_mut(&self.id).log_faults.push_back(fault));
    }

    /// Injects a fault into the next inspection.
    pub fn fail_inspect(&self, fault: Fault) {
        self.shared.change(|state| state.container_mut(&self.id).inspect_faults.push_back(fault));
    }

    /// Makes the log unreadable: each request for it is answered with status 501.
    pub fn unreadable(&self) {
        self.shared.change(|state| state.container_mut(&self.id).unreadable = true);
    }

    /// Makes the next written record undecodable. The option [`damaged`](crate::Options::damaged) decides
    /// whether an answer ends at this record or goes on.
    pub fn damage_next(&self) {
        self.shared.change(|state| state.container_mut(&self.id).log.damage_next());
    }

    /// Returns the number of requests for the container's log.
    pub fn log_requests(&self) -> usize {
        self.shared.look(|state| state.log_requests(&self.id))
    }

    /// Returns the number of requests of this kind for this container.
    pub fn count(&self, kind: RequestKind) -> usize {
        self.shared.look(|state| state.count_kind(kind, Some(&self.id)))
    }

    /// Waits until at least `count_wanted` requests for the container's log have arrived.
    pub async fn wait_for_log_requests(&self, count_wanted: usize) {
        self.shared.wait(|state| state.log_requests(&self.id) >= count_wanted).await;
    }

    /// Returns the number of requests that follow the log now.
    pub fn followers(&self) -> usize {
        self.shared.look(|state| state.container(&self.id).followers)
    }

    /// Waits until exactly `count_wanted` requests follow the log. From then on, each new record is sent to
    /// these requests, unless a fault prevents it.
    pub async fn wait_for_followers(&self, count_wanted: usize) {
        self.shared.wait(|state| state.container(&self.id).followers == count_wanted).await;
    }

    /// Waits until at least `count_wanted` requests of this kind for this container have arrived.
    pub async fn wait_for(&self, count_wanted: usize, kind: RequestKind) {
        self.shared.wait(|state| state.count_kind(kind, Some(&self.id)) >= count_wanted).await;
    }
}

impl WrittenLine {
    fn append(&mut self, bytes: &[u8]) {
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        self.is_ended = text.len() < bytes.len();
        self.bytes.extend_from_slice(text);
        if self.is_ended && self.bytes.last() == Some(&b'\r') {
            self.bytes.pop();
        }
    }
}
