//! Requests windows until one of them reaches back to the place up to which no line is missing.

use gelf_core::Timestamp;
use tokio::time::Instant;

use super::damage::{Damage, Tail};
use super::read::{Ending, Response, Silence};
use super::window::{self, Anchor, Known, Reach, Scan, Verdict};
use super::{Following, TAIL};
use crate::engine::{EngineError, LogsQuery};
use crate::record::QueueClosed;

/// The maximum number of searches for the records behind a damaged record, for one window. A window of a log
/// that grows fast can need more than one search.
const SEARCHES_MAX: u32 = 3;

/// The reason why a window was not read.
enum Failure {
    Engine(EngineError),
    Queue(QueueClosed),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<QueueClosed> for Failure {
    fn from(closed: QueueClosed) -> Self {
        Self::Queue(closed)
    }
}

/// The part of the log that the next response has to include.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// The lines behind the place up to which no line is missing.
    Place,
    /// The whole log, because it no longer has this place.
    Log,
    /// The whole log, because it no longer has this place, and the clock was set back.
    LogSinceSetBack,
    /// The records behind a damaged record. The damaged record is behind this time. The second value is true if
    /// the clock was set back, so that later lines can have earlier stamps.
    PastDamage(Timestamp, bool),
}

/// The search for a response that reaches far enough.
#[derive(Debug)]
struct Search {
    goal: Goal,
    /// The maximum number of records of the next response.
    limit: Option<u32>,
    /// The number of new lines that the log is known to have.
    lines_behind: u32,
    /// The last line of a longer response that ended in front of the place.
    longer_end: Option<Anchor>,
    /// A line that the log is known to have.
    sought: Option<Anchor>,
    /// The number of searches for the records behind a damaged record.
    searches: u32,
    /// True if `limit` is the number of readable records behind a damaged record.
    is_tail: bool,
}

impl Search {
    fn new(limit: Option<u32>) -> Self {
        Self {
            goal: Goal::Place,
            limit,
            lines_behind: 0,
            longer_end: None,
            sought: None,
            searches: 0,
            is_tail: false,
        }
    }

    fn scan(&self, reach: Reach) -> Scan {
        let sought = self.sought.filter(|_| matches!(self.goal, Goal::Place));
        Scan::new(reach, self.limit, false).shorter_than(self.longer_end).looking_for(sought)
    }

    /// Makes the next response longer. All lines of the last response, `lines` in all, are behind the place to
    /// reach, so a longer response has at least as many new lines.
    fn lengthen(&mut self, lines: u32) {
        self.lines_behind = self.lines_behind.max(lines);
        // The log may have grown during the search for its readable records.
        self.limit = match std::mem::take(&mut self.is_tail) {
            true => self.limit.map(|limit| limit.saturating_add(limit / 8 + 16)),
            false => window::next_limit(self.limit),
        };
    }

    /// Goes on with the readable records behind a damaged record. `place` is the time behind which lines can be
    /// lost.
    fn pass(&mut self, tail: Tail, place: Timestamp) {
        self.limit = Some(tail.records);
        // If the window for these records did not include the place, although their stamps are earlier, the clock
        // was set back.
        let is_behind = tail.begin > Some(place);
        self.goal = match is_behind || self.searches > 0 {
            true => Goal::PastDamage(place, !is_behind),
            false => Goal::Place,
        };
        (self.is_tail, self.sought, self.lines_behind) = (true, None, 0);
        self.searches += 1;
    }

    /// Returns whether a response has fewer new lines than a shorter response had.
    fn has_fewer_lines(&self, scan: &Scan) -> bool {
        matches!(self.goal, Goal::Place) && scan.lines_behind() < self.lines_behind
    }
}

impl Following {
    /// Reads the lines behind the last line that was read before, and takes each new line. Requests a longer
    /// response if the log has more new lines than expected. The log is known to have at least `lines_behind`
    /// new lines.
    ///
    /// # Cancel safety
    /// This method is cancel safe: the next window begins at the place up to which no line is missing.
    pub(super) async fn window(
        &mut self,
        response: &mut Option<Response>,
        lines_behind: u32,
    ) -> Result<Result<Ending, EngineError>, QueueClosed> {
        match self.try_window(response, lines_behind).await {
            Ok(ending) => Ok(Ok(ending)),
            Err(Failure::Engine(error)) => Ok(Err(error)),
            Err(Failure::Queue(closed)) => Err(closed),
        }
    }

    async fn try_window(
        &mut self,
        response: &mut Option<Response>,
        lines_behind: u32,
    ) -> Result<Ending, Failure> {
        let (new_before, stuck) = (self.sink.new_lines(), self.stuck);
        let mut search = Search { lines_behind, ..Search::new(self.first_limit()) };
        let mut records = 0_u32;
        loop {
            let (since, reach) = match search.goal {
                Goal::Place => self.reach(&mut search.limit, false),
                Goal::Log => self.reach(&mut search.limit, true),
                Goal::LogSinceSetBack => (None, self.reach_all()),
                Goal::PastDamage(place, is_set_back) => self.reach_past_damage(place, is_set_back),
            };
            let query = LogsQuery { follow: false, since, tail: search.limit };
            self.sink.stats().window();
            let asked = Instant::now();
            let was_stopping = self.context.stopping.is_requested();
            let (content_type, body) = self.context.client.logs(&self.id, query).await?;
            let response = response.insert(self.response(content_type, body, search.scan(reach)));
            let ending = self.read(response, Silence::AtMost(self.context.timing.catch_up)).await?;
            let scan = response.scan();
            let damage = match (ending, scan.verdict()) {
                (Ending::Broken, _) => return Ok(ending),
                // The response does not reach far enough, as its first line showed. Its rest was not read.
                (Ending::TooShort, _) => {
                    search.lengthen(0);
                    continue;
                }
                (Ending::Complete, Verdict::TooShort) => {
                    search.lengthen(scan.lines());
                    continue;
                }
                (Ending::Complete, Verdict::NotInLog) => {
                    let is_damaged = match scan.records() {
                        _ if !self.passes_damage() => false,
                        0 => self.sample(1, 1).await?.has_records(),
                        _ => self.omits_lines(scan).await?,
                    };
                    if !is_damaged {
                        (search.limit, search.goal) = (None, Goal::Log);
                        continue;
                    }
                    Damage::EndsWindow
                }
                (Ending::Complete, Verdict::NotInLogSinceSetBack) => {
                    (search.limit, search.goal) = (None, Goal::LogSinceSetBack);
                    continue;
                }
                (Ending::Complete, Verdict::Reached) if !scan.lacks_sought_line() => {
                    if search.has_fewer_lines(scan) || self.omits_lines(scan).await? {
                        let tail = self.pass_damage(scan, Damage::OmitsLines).await?;
                        if tail.is_damaged && search.searches < SEARCHES_MAX {
                            search.pass(tail, self.place_of_damage(scan, Damage::OmitsLines));
                            continue;
                        }
                    }
                    // A line before the floor shows only that the window reaches far enough.
                    let has_place = matches!(self.known, Known::Line(_));
                    let anchor = scan.anchor().filter(|anchor| has_place || anchor.time() >= self.floor);
                    if let Some(anchor) = anchor {
                        self.known = Known::Line(anchor);
                    }
                    self.note_readable(scan.records());
                    self.sink.prove(self.open);
                    records = scan.records_behind().saturating_add(records);
                    let took = response.began().unwrap_or_else(Instant::now) - asked;
                    // If the log has a line behind the last line of the window, either the log has grown since
                    // the request for the window, or a damaged record is between the two lines. Only in the
                    // first case does the next window have the last line of the log.
                    if search.sought.is_none() {
                        if let Some(last) = self.line_behind(response.scan()).await? {
                            let searches = search.searches;
                            search =
                                Search { sought: Some(last), searches, ..Search::new(self.first_limit()) };
                            continue;
                        }
                    }
                    if let Some(anchor) = response.scan().anchor() {
                        self.known = Known::Line(anchor);
                    }
                    self.note_read_up_to(asked, was_stopping);
                    self.pace.window(Instant::now(), self.sink.new_lines() - new_before, records, took);
                    return Ok(ending);
                }
                _ => Damage::EndsWindow,
            };
            self.stuck = stuck;
            if !self.passes_damage() || search.searches == SEARCHES_MAX {
                return Ok(self.stop_at_damage());
            }
            // If no record is damaged, a shorter response also has the last line of this response.
            let is_before_place = ending == Ending::Complete && scan.verdict() == Verdict::Damaged;
            search.longer_end = scan.end_before_place().filter(|_| is_before_place);
            let tail = self.pass_damage(scan, damage).await?;
            if tail.is_damaged {
                search.pass(tail, self.place_of_damage(scan, damage));
            } else if tail.records == 0 {
                return Ok(self.stop_at_damage());
            } else {
                search.searches += 1;
                (search.goal, search.limit) = match (search.limit, is_before_place) {
                    // The log no longer has the place.
                    (_, true) if search.longer_end.is_none() => (Goal::Log, None),
                    (None, _) => (Goal::Place, None),
                    _ => (Goal::Place, Some(tail.records)),
                };
            }
        }
    }

    /// Returns the limit of the first request of a window.
    pub(super) fn first_limit(&self) -> Option<u32> {
        let records = self.pace.records_to_request();
        window::first_limit(self.readable.map_or(records, |readable| records.min(readable)))
    }

    /// Notes that the Engine can read this number of records from the end of the log.
    fn note_readable(&mut self, records: u32) {
        self.readable = self.readable.map(|readable| readable.max(records)).filter(|most| *most < TAIL);
    }

    /// Notes that no window reaches the end of the log because of a damaged record.
    fn stop_at_damage(&mut self) -> Ending {
        self.stuck += 1;
        self.is_unread = true;
        self.warn_of_damage();
        Ending::Invalid
    }
}
