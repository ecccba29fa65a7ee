//! Keeps account of the lines that a consumer has read and not yet settled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gelf_core::Timestamp;

use crate::log::LogStream;
use crate::position::{LogPosition, Place, Position, Positions};

/// The account of the lines that a consumer has read, and of the lines among them that it has settled. A line
/// is settled once it is delivered or given up for good.
///
/// Lines can be settled in any order. [`positions`](Self::positions) returns the position in front of the
/// first unsettled line of each container. A source that [starts at these positions](crate::Start::At) reads
/// each unsettled line again. The source also repeats settled lines that follow an unsettled line of the same
/// container.
///
/// A progress does not keep the text of lines. For each container, it takes about 100 bytes for each line
/// from the first unsettled line on.
///
/// # Examples
///
/// ```no_run
/// use docker_source::{Progress, Source, Start};
///
/// # fn deliver(record: &docker_source::Record) {}
/// # fn save(positions: &docker_source::Positions) {}
/// # async fn example(saved: docker_source::Positions) -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = Source::builder().start(Start::At(saved)).connect().await?;
/// let mut progress = Progress::new(source.start().clone());
/// while let Some(record) = source.next().await? {
///     let ticket = progress.read(record.position());
///     deliver(&record);
///     progress.settle(ticket);
///     save(&progress.positions());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Progress {
    start: Timestamp,
    tail: Option<u32>,
    containers: BTreeMap<Arc<str>, ContainerProgress>,
    unsettled: usize,
    /// The number that the first line of a new container gets. It exceeds the numbers of all lines of removed
    /// containers, so that no ticket of these lines settles a later line.
    first_number: u64,
}

/// A ticket for a line that was read. [`Progress::settle`] takes the ticket.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a line whose ticket is lost is never settled, and a source that resumes repeats it and all later lines"]
pub struct Ticket {
    container: Arc<str>,
    number: u64,
}

#[derive(Clone, Debug, Default)]
struct ContainerProgress {
    settled: Settled,
    /// The lines that were read, from the first unsettled line on.
    read: VecDeque<ReadLine>,
    /// The number of the first line of `read`, or of the next line if `read` is empty.
    first: u64,
}

/// The state of the settled lines that precede the first unsettled line.
#[derive(Clone, Debug, Default)]
struct Settled {
    /// The position behind the settled lines, or in front of the first line that was read.
    position: Option<LogPosition>,
    /// The number of proofs before the last settled line was read, see [`Place::proofs`].
    proofs: u64,
}

/// A line that was read, without its container.
#[derive(Clone, Debug)]
struct ReadLine {
    stream: LogStream,
    place: Place,
    is_gap: bool,
    is_settled: bool,
}

/// The maximum number of lines for which a container keeps memory when all of its lines are settled.
const KEPT_CAPACITY: usize = 64;

impl Progress {
    /// Creates the progress of a source that starts at these positions.
    /// [`Source::start`](crate::Source::start) returns the positions of a source.
    pub fn new(start: Positions) -> Self {
        let resumed = |position| ContainerProgress {
            settled: Settled { position: Some(position), proofs: 0 },
            ..ContainerProgress::default()
        };
        let containers =
            start.containers.into_iter().map(|(id, settled)| (id.into(), resumed(settled))).collect();
        Self { start: start.start, tail: start.tail, containers, unsettled: 0, first_number: 0 }
    }

    /// Adds a line. Lines of one container have to be added in the order in which the source yields them.
    pub fn read(&mut self, position: Position) -> Ticket {
        let Position { container, stream, place, is_gap } = position;
        let new = || ContainerProgress { first: self.first_number, ..ContainerProgress::default() };
        let progress = self.containers.entry(container.clone()).or_insert_with(new);
        if !is_gap {
            // Until a line is settled, the position is in front of the first line.
            progress.settled.position.get_or_insert_with(|| LogPosition::from_time(place.since));
        }
        let number = progress.first + progress.read.len() as u64;
        progress.read.push_back(ReadLine { stream, place, is_gap, is_settled: false });
        self.unsettled += 1;
        Ticket { container, number }
    }

    /// Settles a line. A call has no effect if the line was settled before, or if the container was
    /// [removed](Self::retain). The ticket must come from this progress.
    pub fn settle(&mut self, ticket: Ticket) {
        let Some(progress) = self.containers.get_mut(&ticket.container) else { return };
        let line = ticket
            .number
            .checked_sub(progress.first)
            .and_then(|index| progress.read.get_mut(usize::try_from(index).ok()?));
        let Some(line) = line.filter(|line| !line.is_settled) else { return };
        line.is_settled = true;
        self.unsettled -= 1;
        progress.advance();
    }

    /// Returns the number of lines that are not settled.
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Removes each container that has no unsettled lines and for which `exists` returns false, such as a
    /// container that the Engine [no longer knows](crate::Stats::knows). The progress keeps the position of a
    /// container until the container is removed.
    pub fn retain(&mut self, mut exists: impl FnMut(&str) -> bool) {
        let first_number = &mut self.first_number;
        self.containers.retain(|id, progress| {
            let is_kept = !progress.read.is_empty() || exists(id);
            if !is_kept {
                *first_number = progress.first.max(*first_number);
            }
            is_kept
        });
    }

    /// Returns the position in front of the first unsettled line of each container. If all lines of a container
    /// are settled, its position is behind the last line.
    pub fn positions(&self) -> Positions {
        // A container of which no line was read has no position, since its log is read from the time `start`
        // on.
        let settled = |(id, progress): (&Arc<str>, &ContainerProgress)| {
            Some((id.to_string(), progress.settled.position.clone()?))
        };
        let containers = self.containers.iter().filter_map(settled).collect();
        Positions { start: self.start, tail: self.tail, containers }
    }

    /// Returns for each container the position behind the last line that was read, even if the line is not
    /// settled. Another source can start at these positions to go on reading for the same consumer.
    pub fn read_positions(&self) -> Positions {
        let containers = self.containers.iter().filter_map(|(id, progress)| {
            let mut settled = progress.settled.clone();
            for line in &progress.read {
                settled.advance(line);
            }
            Some((id.to_string(), settled.position?))
        });
        Positions { start: self.start, tail: self.tail, containers: containers.collect() }
    }
}

impl Settled {
    /// Moves the position behind a settled line.
    fn advance(&mut self, to: &ReadLine) {
        let Some(position) = self.position.as_mut().filter(|_| !to.is_gap) else { return };
        // Within one source, the number only grows. Another source counts its proofs from 0, and each of them also
        // covers the lines that the source before it has read.
        if to.place.proofs != self.proofs {
            self.proofs = to.place.proofs;
            if to.place.proofs > 0 {
                position.proved();
            }
        }
        position.advance(to.stream, &to.place);
    }
}

impl ContainerProgress {
    /// Moves `settled` behind the settled lines at the front of `read`, and removes these lines.
    fn advance(&mut self) {
        while self.read.front().is_some_and(|line| line.is_settled) {
            let Some(line) = self.read.pop_front() else { break };
            self.first += 1;
            self.settled.advance(&line);
        }
        // The many containers of a host are busy at different times, so they do not keep their memory.
        let (length, capacity) = (self.read.len(), self.read.capacity());
        if capacity > KEPT_CAPACITY && length < capacity / 4 {
            self.read.shrink_to(KEPT_CAPACITY.max(2 * length));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogStream;
    use crate::position::{LinePosition, Origin, Place};
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds, 0).unwrap()
    }

    fn position(container: &str, stream: LogStream, second: i64) -> Position {
        let line = LinePosition { time: at(second), earlier: 0, open_length: None };
        let place = Place { line, since: at(second - 1), origin: Origin::Unprovable, proofs: 0 };
        Position { container: container.into(), stream, place, is_gap: false }
    }

    fn progress() -> Progress {
        Progress::new(Positions::from_time(at(100)))
    }

    /// Returns the time of the last settled line of stdout of container `a`.
    fn settled(progress: &Progress) -> Option<i64> {
        let positions = progress.positions();
        positions.containers.get("a").and_then(|log| Some(log.stdout?.time.as_unix().0))
    }

    #[test]
    fn the_position_moves_up_to_the_first_line_that_is_not_settled() {
        let mut progress = progress();
        let [first, second, third] =
            [101, 102, 103].map(|second| progress.read(position("a", LogStream::Stdout, second)));
        assert_eq!((settled(&progress), progress.unsettled()), (None, 3));
        progress.settle(second);
        assert_eq!((settled(&progress), progress.unsettled()), (None, 2));
        progress.settle(first);
        assert_eq!(settled(&progress), Some(102));
        let last = progress.read_positions();
        progress.settle(third.clone());
        progress.settle(third);
        assert_eq!((settled(&progress), progress.unsettled()), (Some(103), 0));
        assert_eq!(progress.positions(), last, "all lines that were read are settled");
    }

    #[test]
    fn each_stream_has_its_last_settled_line_and_both_streams_share_the_start_of_the_next_request() {
        let mut progress = progress();
        let tickets = [(LogStream::Stderr, 103), (LogStream::Stdout, 104)]
            .map(|(stream, second)| progress.read(position("a", stream, second)));
        for ticket in tickets {
            progress.settle(ticket);
        }
        let line = |second| Some(LinePosition { time: at(second), earlier: 0, open_length: None });
        let expected =
            LogPosition { stdout: line(104), stderr: line(103), ..LogPosition::from_time(at(103)) };
        assert_eq!(progress.positions().containers.values().collect::<Vec<_>>(), [&expected]);
    }

    #[test]
    fn a_container_is_removed_once_its_lines_are_settled() {
        let mut progress = progress();
        let ticket = progress.read(position("a", LogStream::Stdout, 101));
        let last = progress.read(position("a", LogStream::Stdout, 102));
        progress.settle(ticket);
        progress.retain(|_| false);
        assert_eq!(settled(&progress), Some(101));
        progress.settle(last);
        progress.retain(|id| id == "a");
        assert_eq!(settled(&progress), Some(102));
        progress.retain(|_| false);
        assert!(progress.positions().is_empty());
    }

    #[test]
    fn a_repeated_call_settles_no_line_that_was_read_after_the_container_was_removed() {
        let mut progress = progress();
        let first = progress.read(position("a", LogStream::Stdout, 101));
        progress.settle(first.clone());
        progress.retain(|_| false);
        let second = progress.read(position("a", LogStream::Stdout, 102));
        progress.settle(first);
        assert_eq!((settled(&progress), progress.unsettled()), (None, 1));
        progress.settle(second);
        assert_eq!((settled(&progress), progress.unsettled()), (Some(102), 0));
    }

    #[test]
    fn settled_lines_keep_memory_for_at_most_64_lines() {
        let mut progress = progress();
        let read = |second| position("a", LogStream::Stdout, second);
        let tickets: Vec<_> = (0..10_000).map(|second| progress.read(read(second))).collect();
        tickets.into_iter().for_each(|ticket| progress.settle(ticket));
        let lines = &progress.containers["a"].read;
        assert_eq!((lines.len(), lines.capacity()), (0, KEPT_CAPACITY));
    }

    #[test]
    fn positions_that_were_serialized_are_read_as_equal_positions() {
        let mut progress = progress();
        let mut line = position("a", LogStream::Stderr, 101);
        line.place.line.time = Timestamp::from_unix(1_795_387_458, 123_456_789).unwrap();
        line.place.line.earlier = 7;
        let ticket = progress.read(line);
        progress.settle(ticket);
        let text = serde_json::to_string(&progress.positions()).unwrap();
        assert_eq!(
            text,
            r#"{"start":"100","containers":{"a":{"since":"100","stderr":{"time":"1795387458.123456789","earlier":7}}}}"#
        );
        let resumed: Positions = serde_json::from_str(&text).unwrap();
        assert_eq!(resumed, progress.positions());
        assert_eq!(Progress::new(resumed).positions(), progress.positions());
    }

    /// Returns the position of a line of container `a` that was read after a number of proofs.
    fn provable(stream: LogStream, second: i64, origin: Origin, proofs: u64) -> Position {
        let mut position = position("a", stream, second);
        (position.place.origin, position.place.proofs) = (origin, proofs);
        position
    }

    #[test]
    fn the_position_stays_at_the_last_proved_place_and_names_the_settled_lines_behind_it() {
        use LogStream::{Stderr, Stdout};
        let mut progress = progress();
        let mut settle = |position| {
            let ticket = progress.read(position);
            progress.settle(ticket);
            let positions = progress.positions();
            let log = &positions.containers["a"];
            let second = |line: Option<LinePosition>| line.map(|line| line.time.as_unix().0);
            let ahead = [(Stdout, 'o'), (Stderr, 'e')].into_iter().flat_map(|(stream, name)| {
                let contains = move |second: &i64| log.ahead.contains(stream, at(*second));
                (100..120).filter(contains).map(move |second| format!("{name}{second}"))
            });
            let text = ahead.collect::<Vec<_>>().join(" ");
            (log.since.as_unix().0, second(log.stdout), second(log.stderr), text)
        };
        let text = str::to_owned;
        let behind_start = |second| Position {
            place: Place { since: at(100), ..provable(Stdout, second, Origin::Stream, 0).place },
            ..position("a", Stdout, second)
        };
        assert_eq!(settle(behind_start(101)), (100, None, None, text("o101")));
        assert_eq!(settle(behind_start(105)), (100, None, None, text("o101 o105")));
        // A window brings a line that the stream had omitted.
        let omitted = provable(Stdout, 103, Origin::Window, 0);
        assert_eq!(settle(omitted), (100, Some(103), None, text("o105")));
        // The window has ended, and the stream goes on.
        let next = provable(Stderr, 106, Origin::Stream, 1);
        assert_eq!(settle(next), (105, Some(105), None, text("e106")));
        // From here on, windows bring the lines. The end of the first window proves the line of stderr that
        // the stream has brought.
        let busy = provable(Stdout, 107, Origin::Window, 1);
        assert_eq!(settle(busy), (105, Some(107), None, text("e106")));
        let busy = provable(Stdout, 108, Origin::Window, 2);
        assert_eq!(settle(busy), (107, Some(108), Some(106), text("")));
        let busy = provable(Stderr, 109, Origin::Window, 2);
        assert_eq!(settle(busy), (108, Some(108), Some(109), text("")));
    }

    #[test]
    fn the_first_proof_of_another_source_proves_the_lines_of_both_sources() {
        let mut progress = progress();
        let mut settle = |second, proofs| {
            let ticket = progress.read(provable(LogStream::Stdout, second, Origin::Stream, proofs));
            progress.settle(ticket);
            let log = progress.positions().containers.remove("a").unwrap();
            let ahead = (100..120).filter(|second| log.ahead.contains(LogStream::Stdout, at(*second)));
            (log.stdout.map(|line| line.time.as_unix().0), ahead.collect::<Vec<_>>())
        };
        assert_eq!(settle(101, 0), (None, vec![101]));
        assert_eq!(settle(102, 7), (Some(101), vec![102]));
        // From here on, another source reads.
        assert_eq!(settle(103, 0), (Some(101), vec![102, 103]));
        assert_eq!(settle(104, 1), (Some(103), vec![104]));
    }

    #[test]
    fn lines_ahead_are_serialized_as_steps() {
        let mut progress = progress();
        for second in [101, 103] {
            let ticket = progress.read(provable(LogStream::Stdout, second, Origin::Stream, 0));
            progress.settle(ticket);
        }
        let text = serde_json::to_string(&progress.positions()).unwrap();
        assert_eq!(
            text,
            r#"{"start":"100","containers":{"a":{"since":"102","ahead":{"stdout":[101000000000,2000000000]}}}}"#
        );
        assert_eq!(serde_json::from_str::<Positions>(&text).unwrap(), progress.positions());
    }

    proptest! {
        #[test]
        fn the_position_stays_before_the_first_unsettled_line_whatever_the_order_of_settling(
            order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle(),
            settled_count in 0..=40usize,
        ) {
            let mut progress = progress();
            let mut tickets: Vec<_> =
                (0..40).map(|n| Some(progress.read(position("a", LogStream::Stdout, 200 + n)))).collect();
            for index in order.iter().take(settled_count) {
                progress.settle(tickets[*index].take().unwrap());
            }
            let first_unsettled = tickets.iter().position(Option::is_some).unwrap_or(40) as i64;
            prop_assert_eq!(settled(&progress), (first_unsettled > 0).then_some(200 + first_unsettled - 1));
            prop_assert_eq!(progress.unsettled(), 40 - settled_count);
        }
    }
}
