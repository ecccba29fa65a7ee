//! Keeps the reading position in a container's log. After a break, reading resumes from this position without
//! loss or repetition.
//!
//! The Engine does not number lines. Each line has only a stamp, which is the time at which the Engine
//! received the line. A request can have the parameter `since=`, the earliest stamp of the lines to return.
//! The parameter is exact to the nanosecond. Logs and requests have these properties:
//!
//! * Within one stream, stdout or stderr, whole lines have strictly increasing stamps, unless the clock is set
//!   back. Lines of different streams can be out of the order of their stamps by some milliseconds. All pieces of
//!   a long line carry the stamp of the line's first piece, even if the first piece is old.
//! * When a log file is rotated, Docker 20.10 repeats lines in a response that follows the log, and the
//!   stamps go back.
//! * When files are rotated fast, or the container ends, Docker can omit lines from a response that follows the
//!   log. A later request returns these lines.
//! * Stamps are taken from the wall clock, which can be set back.
//!
//! Therefore, each stream has a separate cursor. A request starts [one second](Cursor::begin_request) before
//! the newest line that was read from either stream. A repeated line is recognized by its identity (stamp,
//! length, hash), not by its order alone. The cursor remembers the lines of the last two seconds of each
//! stream: at least 4,096 lines, and at most 65,536 lines. A line that the cursor has forgotten is recognized
//! by its order: if a later request returns such a line again, the line counts as [too old](Novelty::TooOld).
//!
//! [Podman](Dialect::Podman) has coarse stamps, repeats nothing within a response, and filters a log by finer
//! stamps than it sends. With Podman, each request begins at a whole second, or at the time at which the reading
//! of the log began. Thus, if several lines have the same stamp, the same one of them comes first in each response
//! that has them.
//! In each stream, the cursor finds the last line of an earlier source by two values: the stamp of the line, and
//! the number of earlier lines with this stamp. Behind this last line, a response returns each accepted line
//! exactly [once](podman). All other lines are new, whatever their stamps and texts.
//!
//! A stamp can also lie in the future, because the clock was set back later, or because a container with a
//! terminal forged the stamp. A line with such a stamp moves the start of later requests at most to the time
//! at which the line is read, by the Engine's clock. If later requests started at the stamp itself, the
//! Engine would omit all lines that are written before the time of the stamp.
//!
//! These cases are uncertain:
//!
//! * The clock is set back, *and* the request breaks before the clock reaches its earlier time again. The
//!   next request then starts at a stamp that is later than the stamps of new lines, and Docker omits new
//!   lines until the clock reaches that stamp. If Docker sends these lines anyway, each line that is not
//!   newer than the forgotten lines counts as too old. If the request does not break, no line is lost.
//! * The cursor has forgotten a line, and Docker repeats the line while a request follows the log. The line
//!   counts as new.
//! * Two lines of one stream of Docker have the same stamp and the same text. They count as one line.
//!   Docker's own stamps are distinct, but the stamps of the `journald` driver are exact only to the
//!   microsecond.

mod identity;
mod podman;

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use gelf_core::Timestamp;

use crate::clock::later;
use crate::dialect::Dialect;
use crate::log::{Line, LogStream};
use crate::position::{Ahead, LinePosition, LogPosition, Origin, Place};
use identity::Identity;
use podman::ReadAgain;

/// The time between the start of a request and the stamp of the newest line that was read. In measurements,
/// the stamps of the two streams were out of order by up to 29 ms.
const MARGIN: Duration = Duration::from_secs(1);

/// The time for which lines are remembered: twice [`MARGIN`].
const REMEMBERED_FOR: Duration = Duration::from_secs(2);

/// The minimum number of lines of a stream that are remembered, regardless of their age. Docker 20.10 repeats
/// some lines when it rotates its files.
pub(crate) const REMEMBERED_AT_LEAST: usize = 4096;

/// The maximum number of lines of a stream that are remembered. Each line takes 16 bytes, so a stream takes
/// at most 1 MiB. An Engine sends at most about 180,000 lines a second for all its containers together.
const REMEMBERED_AT_MOST: usize = 65_536;

/// The novelty of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Novelty {
    /// The line is new.
    New,
    /// The line was read before.
    Repeated,
    /// The line arrived while lines of its stream were read again, and is not newer than the newest forgotten
    /// line. Most likely, the line was read before.
    TooOld,
}

/// The reading position in the log of one container, across restarts of the container. It is kept in memory
/// only.
///
/// The default is the beginning of the log: every line is new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    dialect: Dialect,
    stdout: StreamCursor,
    stderr: StreamCursor,
    /// The newest accepted stamp. A stamp that is later than the Engine's clock counts as the time of this
    /// clock when the line was read.
    newest: Option<Timestamp>,
    /// The stamp of the first line that was accepted as new.
    first: Option<Timestamp>,
    /// The `since` of the current request. Lines with this stamp or a later stamp arrive with all their
    /// pieces.
    since: Option<Timestamp>,
    /// The stamp of the oldest line whose end had not arrived when a request broke. The cursor keeps this
    /// stamp until a later request has read further than all earlier requests.
    open: Option<Timestamp>,
    /// The number of proofs that no line is missing.
    proofs: u64,
    /// The start of a request that returns all lines behind the proved place: the place up to which the last
    /// proof has shown that no line is missing. Before the first proof, it is the stamp from which a resumed
    /// cursor goes on.
    proved: Option<Timestamp>,
    /// The lines behind the proved place that an earlier source has settled.
    ahead: Ahead,
}

impl Cursor {
    /// Creates a cursor that goes on behind the lines of an earlier source that were
    /// [settled](crate::Progress).
    pub(crate) fn resumed(at: &LogPosition) -> Self {
        Self {
            dialect: Dialect::default(),
            stdout: StreamCursor::resumed(at.stdout),
            stderr: StreamCursor::resumed(at.stderr),
            newest: Some(later(at.since, MARGIN)),
            first: None,
            since: None,
            open: None,
            proofs: 0,
            proved: Some(at.since),
            ahead: at.ahead.clone(),
        }
    }

    /// Begins a request and returns its `since`; `None` requests the whole log.
    ///
    /// The request starts one second before the newest line that was accepted from either stream. A line is
    /// open if its end had not arrived when an earlier request broke. If an open line is older than that
    /// start, the request starts at the open line. With Podman, the start is moved back to a whole second. The
    /// request never starts before `floor`, the time at which the reading of this log began. If no line was read
    /// before, the request starts at `floor`.
    ///
    /// Each stream with accepted lines then *replays*, until the request returns a line that is newer than
    /// all of these lines.
    ///
    /// If the previous request ended within a line, pass the stamp of that line as `oldest_open`, otherwise
    /// the line is lost. The cursor keeps this stamp until a request has read further than all earlier
    /// requests.
    ///
    /// The response has to contain the last line that was read from each stream, unless that line is older
    /// than the start of the request. If the last line is missing, the Engine has rotated it away, and maybe
    /// other lines, too. See [`missing_before`](Self::missing_before).
    pub(crate) fn begin_request(
        &mut self,
        dialect: Dialect,
        floor: Option<Timestamp>,
        oldest_open: Option<Timestamp>,
    ) -> Option<Timestamp> {
        self.dialect = dialect;
        self.open = self.open.into_iter().chain(oldest_open).min();
        // Before the first line is accepted, the request begins at `floor`, even if a line is open, because the
        // open line can come from a response that began later than `floor`, such as a short window.
        let since = self.newest.map(|newest| {
            let resume = newest.saturating_sub(MARGIN);
            self.open.map_or(resume, |open| resume.min(open))
        });
        self.since = match dialect {
            Dialect::Docker => since,
            Dialect::Podman => since.map(whole_second),
        }
        .max(floor);
        for stream in [&mut self.stdout, &mut self.stderr] {
            stream.replaying = stream.last.is_some();
            stream.expected = stream.last.filter(|last| Some(*last) >= self.since);
            stream.read_again.begin_request(self.since);
            stream.until_settled = stream.settled.map(|line| line.earlier);
            if dialect == Dialect::Podman && stream.latest.is_some_and(|latest| latest.open_length.is_some())
            {
                stream.expected = None;
            }
        }
        self.since
    }

    /// Begins a request for a part of the log. The caller passes only the lines behind a known line to
    /// [`accept`](Self::accept). Each of these lines is new, even if its stamp is older than the stamps of
    /// earlier lines because the clock was set back. Exceptions are the remembered lines, and the lines that an
    /// earlier source has settled.
    pub(crate) fn begin_window(&mut self, oldest_open: Option<Timestamp>) {
        self.open = self.open.into_iter().chain(oldest_open).min();
        self.since = None;
        for stream in [&mut self.stdout, &mut self.stderr] {
            stream.replaying = false;
            stream.expected = None;
            stream.until_settled = None;
        }
    }

    /// Returns whether a line was read by this cursor or by an earlier cursor.
    pub(crate) fn has_lines(&self) -> bool {
        self.newest.is_some()
    }

    /// Remembers a line and returns whether it was read before. `arrived` is the time of the Engine's clock at
    /// which the line arrived.
    ///
    /// A line that an earlier source has settled was read before. For all other lines of Docker, these rules
    /// apply: a line is new if it is newer than all other lines of its stream, or if it is not remembered. While
    /// the stream replays, there are two exceptions for lines that are not remembered:
    ///
    /// * A line that is not newer than the forgotten lines is [too old](Novelty::TooOld).
    /// * A line with the stamp of a remembered line was read before: it is the rest of the remembered line,
    ///   because the request started between the pieces of that line. There is an exception for the newest
    ///   stamp of the stream: if the request starts at or before this stamp, the response has all pieces with
    ///   it. A line with the newest stamp is then new: it is another line with the same stamp, or the
    ///   remembered line with an end that was missing before.
    ///
    /// If a response [follows the log](Origin::Stream), each line with the stamp of a remembered line is a
    /// part of that line, because such a response can repeat records from the middle of a line on.
    pub(crate) fn accept(&mut self, line: &Line, origin: Origin, arrived: Timestamp) -> Novelty {
        let stream = match line.stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        };
        stream.expected = stream.expected.filter(|expected| line.time < *expected);
        if self.ahead.contains(line.stream, line.time) || stream.is_settled(line, self.dialect) {
            if self.dialect == Dialect::Docker {
                stream.remember(line, self.dialect);
            }
            return Novelty::Repeated;
        }
        let novelty = match self.dialect {
            Dialect::Docker => stream.novelty(line, self.since, origin),
            Dialect::Podman => stream.novelty_of_podman(line),
        };
        if novelty != Novelty::New {
            return novelty;
        }
        // A new line can be older than the last line if an earlier request has omitted it. Such a line does
        // not move the place of the last line. With Podman, a line can also be older because the clock was
        // set back. Such a line becomes the last line.
        let goes_on = self.dialect == Dialect::Podman && !stream.replaying;
        if goes_on || Some(line.time) >= stream.last {
            stream.count(line, self.dialect);
        }
        self.first.get_or_insert(line.time);
        if stream.remember(line, self.dialect) {
            // No earlier request has read this stream this far. Every line that was open in an earlier request
            // has been read again, and the `LineJoiner` of this request holds the lines that are still open.
            self.open = None;
            if Some(line.time) > self.newest {
                self.newest = self.newest.max(Some(line.time.min(arrived)));
            }
        }
        novelty
    }

    /// Stops expecting the last line of each stream. Call this method if the current request is limited to
    /// the end of the log.
    pub(crate) fn expect_any_line(&mut self) {
        self.stdout.expected = None;
        self.stderr.expected = None;
    }

    /// Returns the stamp of the first line that this cursor accepted as new. A resumed cursor does not know the
    /// lines of the earlier source.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.first
    }

    /// Returns the newest stamp of the remembered lines that is older than `time`.
    pub(crate) fn newest_before(&self, time: Timestamp) -> Option<Timestamp> {
        let newest = |stream: &StreamCursor| {
            let before = stream.remembered.partition_point(|known| known.time() < time);
            Some(stream.remembered.get(before.checked_sub(1)?)?.time())
        };
        newest(&self.stdout).max(newest(&self.stderr))
    }

    /// Returns the newest stamp of the lines that were read.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.stdout.last.max(self.stderr.last)
    }

    /// Returns the place of the last line of a stream. A gap is announced behind this place.
    pub(crate) fn last_place(&self, stream: LogStream) -> Place {
        let last = match stream {
            LogStream::Stdout => self.stdout.latest,
            LogStream::Stderr => self.stderr.latest,
        };
        let place =
            last.unwrap_or(LinePosition { time: Timestamp::UNIX_EPOCH, earlier: 0, open_length: None });
        let since = self.since_newest(place.time, None);
        Place { line: place, since, origin: Origin::Unprovable, proofs: self.proofs }
    }

    /// Notes a proof: a window (a response with the last records of the log) has shown that no line is
    /// missing up to the newest line that was read. `oldest_open` is the stamp of the oldest line that is
    /// open in this window.
    pub(crate) fn prove(&mut self, oldest_open: Option<Timestamp>) {
        self.proofs += 1;
        self.ahead = Ahead::default();
        if let Some(newest) = self.newest {
            self.proved = Some(self.since_newest(newest, oldest_open));
        }
    }

    /// Returns the start of a request that returns all lines behind the proved place, if such a place is
    /// known.
    pub(crate) fn proved(&self) -> Option<Timestamp> {
        self.proved
    }

    /// Returns the start of a request that returns all lines behind the newest line. If no line was accepted, the
    /// stamp `line` is used in place of the newest stamp.
    fn since_newest(&self, line: Timestamp, oldest_open: Option<Timestamp>) -> Timestamp {
        let newest = self.newest.unwrap_or(line).saturating_sub(MARGIN);
        oldest_open.into_iter().chain(self.open).fold(newest, Timestamp::min)
    }

    /// Returns whether the last line of stdout was unfinished when the container ended.
    pub(crate) fn ends_unfinished(&self) -> bool {
        self.stdout.latest.is_some_and(|last| last.open_length.is_some())
    }

    /// Returns the stamp of the last line that was read, if the request should have returned that line before
    /// `line`. In this case, the Engine has removed the last line, and maybe further lines.
    pub(crate) fn missing_before(&self, line: &Line) -> Option<Timestamp> {
        let stream = match line.stream {
            LogStream::Stdout => &self.stdout,
            LogStream::Stderr => &self.stderr,
        };
        stream.expected.filter(|expected| line.time > *expected)
    }

    /// Stops expecting the last line of a stream.
    pub(crate) fn expect_any_line_of(&mut self, stream: LogStream) {
        match stream {
            LogStream::Stdout => self.stdout.expected = None,
            LogStream::Stderr => self.stderr.expected = None,
        }
    }

    /// Returns the place of a line that was just accepted as new. `oldest_open` is the stamp of the oldest
    /// line that is open in this request. `floor` is the time at which the reading of this log began.
    pub(crate) fn place(
        &self,
        line: &Line,
        oldest_open: Option<Timestamp>,
        floor: Timestamp,
        origin: Origin,
    ) -> Place {
        let stream = match line.stream {
            LogStream::Stdout => &self.stdout,
            LogStream::Stderr => &self.stderr,
        };
        let open_length = (!line.ended).then_some(line.length);
        let own = LinePosition { time: line.time, earlier: 0, open_length };
        let last = stream.latest.unwrap_or(own);
        let (position, since) = match origin {
            Origin::Unprovable => (last, self.since_newest(line.time, oldest_open)),
            Origin::Window => (own, self.since_newest(line.time, oldest_open)),
            Origin::Stream => (own, self.proved.unwrap_or(floor)),
        };
        Place { line: position, since: since.max(floor), origin, proofs: self.proofs }
    }
}

#[derive(Clone, Debug, Default)]
struct StreamCursor {
    /// The newest accepted stamp.
    last: Option<Timestamp>,
    /// The place of the last new line.
    latest: Option<LinePosition>,
    /// The last settled line: all lines up to this line were read before. An earlier source has settled this
    /// line, or, with Podman, the cursor has forgotten this line.
    settled: Option<LinePosition>,
    /// The number of lines with the stamp of the `settled` line that the current request still has to return
    /// before the `settled` line. `None` once the request has passed the `settled` line.
    until_settled: Option<u32>,
    /// True until the current request returns a line that is newer than all accepted lines.
    replaying: bool,
    /// The stamp of the last line, until the current request has returned this line or a later line.
    expected: Option<Timestamp>,
    /// The lines behind the `settled` line, with Podman.
    read_again: ReadAgain,
    /// Accepted lines, ordered by their stamps. Empty with Podman.
    remembered: VecDeque<Identity>,
    /// The newest forgotten stamp. Every accepted line with a later stamp is remembered.
    forgotten: Option<Timestamp>,
}

/// Returns the beginning of the second that contains `time`.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_unix(time.as_unix().0, 0).unwrap_or(time)
}

impl StreamCursor {
    fn resumed(settled: Option<LinePosition>) -> Self {
        let last = settled.map(|line| line.time);
        Self { last, latest: settled, settled, ..Self::default() }
    }

    /// Returns whether the line is the last settled line or an earlier line. A request that begins before the
    /// last settled line returns these lines again.
    fn is_settled(&mut self, line: &Line, dialect: Dialect) -> bool {
        let (Some(settled), Some(earlier)) = (self.settled, self.until_settled) else { return false };
        match line.time.cmp(&settled.time) {
            Ordering::Less => true,
            Ordering::Equal => {
                self.until_settled = earlier.checked_sub(1);
                // If the container was started again, its output can continue the unfinished settled line.
                let is_continued = dialect == Dialect::Podman
                    && earlier == 0
                    && settled.open_length.is_some_and(|length| length < line.length);
                !is_continued
            }
            // The request begins behind the settled line, or that line is no longer in the log.
            Ordering::Greater => {
                self.until_settled = None;
                false
            }
        }
    }

    /// Compares a line behind the settled line with the accepted lines. The stream replays up to the first
    /// line that is newer than all accepted lines.
    fn novelty_of_podman(&mut self, line: &Line) -> Novelty {
        if Some(line.time) > self.last {
            self.replaying = false;
        }
        match self.replaying && self.read_again.recognizes(Identity::of(line)) {
            true => Novelty::Repeated,
            false => Novelty::New,
        }
    }

    fn novelty(&self, line: &Line, since: Option<Timestamp>, origin: Origin) -> Novelty {
        let Some(last) = self.last.filter(|last| line.time <= *last) else {
            return Novelty::New;
        };
        let is_last = line.time == last;
        if self.replaying && !is_last && Some(line.time) <= self.forgotten {
            return Novelty::TooOld;
        }
        let first = self.remembered.partition_point(|known| known.time() < line.time);
        let mut same_time =
            self.remembered.range(first..).take_while(|known| known.time() == line.time).peekable();
        let may_share_its_time = same_time.peek().is_none()
            || (origin != Origin::Stream && (!self.replaying || (is_last && Some(line.time) >= since)));
        let identity = Identity::of(line);
        match may_share_its_time && !same_time.any(|known| *known == identity) {
            true => Novelty::New,
            false => Novelty::Repeated,
        }
    }

    /// Makes a new line the `latest` line, and counts the earlier lines with the same stamp.
    fn count(&mut self, line: &Line, dialect: Dialect) {
        let same = self.latest.filter(|latest| latest.time == line.time);
        let earlier = match same {
            None => 0,
            // This line continues the unfinished latest line, and takes the place of that line.
            Some(latest) if dialect == Dialect::Podman && latest.open_length.is_some() => latest.earlier,
            Some(latest) => latest.earlier.saturating_add(1),
        };
        let open_length = (!line.ended).then_some(line.length);
        self.latest = Some(LinePosition { time: line.time, earlier, open_length });
    }

    /// Remembers the line, and returns whether it is newer than all lines of the stream before it.
    fn remember(&mut self, line: &Line, dialect: Dialect) -> bool {
        let is_newest = Some(line.time) > self.last;
        let identity = Identity::of(line);
        if dialect == Dialect::Podman {
            self.last = self.last.max(Some(line.time));
            let forgotten = self.read_again.push(identity, self.last, self.latest);
            let is_behind = |place: &LinePosition| self.settled.is_none_or(|line| line.time <= place.time);
            self.settled = forgotten.filter(is_behind).or(self.settled);
            return is_newest;
        }
        if self.remembered.len() == REMEMBERED_AT_MOST {
            self.forgotten = self.forgotten.max(self.remembered.pop_front().map(Identity::time));
        }
        self.make_room();
        if is_newest {
            self.last = Some(line.time);
            self.replaying = false;
            self.remembered.push_back(identity);
        } else {
            let place = self.remembered.partition_point(|known| known.time() <= line.time);
            self.remembered.insert(place, identity);
        }
        self.forget();
        is_newest
    }

    /// Makes room for one more line.
    fn make_room(&mut self) {
        let length = self.remembered.len();
        if length < self.remembered.capacity() {
            return;
        }
        // One line more than the minimum is kept until the oldest line is forgotten.
        let limit = match length <= REMEMBERED_AT_LEAST {
            true => REMEMBERED_AT_LEAST + 1,
            false => REMEMBERED_AT_MOST,
        };
        self.remembered.reserve_exact(step(length).min(limit - length));
    }

    fn forget(&mut self) {
        let horizon = self.last.map(|last| last.saturating_sub(REMEMBERED_FOR));
        while self.remembered.len() > REMEMBERED_AT_LEAST {
            let Some(oldest) = self.remembered.front().map(|oldest| oldest.time()) else { break };
            if Some(oldest) >= horizon {
                break;
            }
            self.forgotten = self.forgotten.max(Some(oldest));
            self.remembered.pop_front();
        }
        // Free the memory that a burst of lines has taken.
        let length = self.remembered.len().max(REMEMBERED_AT_LEAST);
        if self.remembered.capacity() > length + 2 * step(length) {
            self.remembered.shrink_to(length + step(length));
        }
    }
}

/// Returns the number of lines by which the memory for `length` remembered lines grows. Each container has
/// such memory, so the memory grows by a quarter instead of doubling.
fn step(length: usize) -> usize {
    (length / 4).max(256)
}

#[cfg(test)]
mod tests;
