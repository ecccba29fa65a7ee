//! Counts the lines that arrived, and compares them with the lines that were written and with the gaps that
//! the router announced.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::message::Message;

/// Two stamps count as equal if they differ by less than this number of seconds. A stamp from 2^30 to 2^31 s,
/// parsed as a 64-bit float, has a resolution of 0.24 us.
const SAME: f64 = 1e-6;

/// A line that arrived.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Id of its container.
    pub container: String,
    /// Its text.
    pub text: String,
    /// Docker's stamp, in seconds since 1970.
    pub stamp: f64,
}

/// A gap that the router announced.
#[derive(Clone, Debug, Default)]
pub struct Gap {
    /// Id of its container.
    pub container: String,
    /// Stamp of the last line before the gap; infinitely early if unknown.
    pub from: f64,
    /// Stamp of the first line after the gap; infinitely late if unknown.
    pub to: f64,
    /// Number of missing lines, if known.
    pub count: Option<u64>,
    /// Reason, in the router's words.
    pub reason: String,
}

/// Number of lines that were written to each stream.
pub type Written = BTreeMap<u32, u64>;

#[derive(Clone, Copy, Default)]
struct Slot {
    arrivals: u32,
    stamp: f64,
}

#[derive(Default)]
struct Stream {
    container: String,
    slots: Vec<Slot>,
    distinct: u64,
}

/// The arrivals at one receiver.
#[derive(Default)]
pub struct Tally {
    streams: BTreeMap<u32, Stream>,
    gaps: Vec<Gap>,
    /// Number of messages of any kind.
    pub arrivals: u64,
    others: u64,
    /// Time from Docker's stamp to the arrival of each line, in seconds, in the order of arrival.
    pub delays: Vec<f32>,
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("arrivals", &self.arrivals).finish_non_exhaustive()
    }
}

impl Tally {
    /// Counts a line. `now` is the time of its arrival, in seconds since 1970.
    pub fn line(&mut self, line: Line, now: f64) {
        self.arrivals += 1;
        let parsed = Message::parse(&line.text).filter(|message| message.seed == crate::SEED);
        let Some(message) = parsed else {
            self.others += 1;
            return;
        };
        self.delays.push((now - line.stamp) as f32);
        let stream = self.streams.entry(message.stream).or_default();
        // The limit bounds the memory of a stream. A soak of 9 hours writes 16,200,000 lines to a stream.
        let number = usize::try_from(message.number).unwrap_or(usize::MAX).min(1 << 24);
        if stream.slots.len() <= number {
            stream.slots.resize(number + 1, Slot::default());
        }
        let Some(slot) = stream.slots.get_mut(number) else { return };
        if slot.arrivals == 0 {
            slot.stamp = line.stamp;
            stream.distinct += 1;
        }
        slot.arrivals += 1;
        if stream.container.is_empty() {
            stream.container = line.container;
        }
    }

    /// Counts an announced gap.
    pub fn gap(&mut self, gap: Gap) {
        self.arrivals += 1;
        self.gaps.push(gap);
    }

    /// Returns the announced gaps.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Returns the number of different lines that arrived.
    pub fn distinct(&self) -> u64 {
        self.streams.values().map(|stream| stream.distinct).sum()
    }

    /// Returns the number of messages that are neither numbered lines nor gaps.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// Returns the number of different lines of a stream that arrived.
    pub fn distinct_of(&self, stream: u32) -> u64 {
        self.streams.get(&stream).map_or(0, |stream| stream.distinct)
    }

    /// Returns the longest time between the stamps of consecutive lines of a stream, in seconds.
    pub fn longest_pause(&self) -> f64 {
        let pause = |slots: &[Slot]| match slots {
            [before, behind] if before.arrivals > 0 && behind.arrivals > 0 => behind.stamp - before.stamp,
            _ => 0.0,
        };
        self.streams.values().flat_map(|stream| stream.slots.windows(2).map(pause)).fold(0.0, f64::max)
    }

    /// Returns whether every line that was written has arrived.
    pub fn has_all(&self, written: &Written) -> bool {
        written.iter().all(|(stream, lines)| self.distinct_of(*stream) >= *lines)
    }

    /// Returns the stream and the number of each missing line.
    pub fn missing(&self, written: &Written) -> BTreeSet<(u32, u64)> {
        let runs = self.runs(written);
        runs.iter().flat_map(|run| (run.first..run.end).map(|number| (run.stream, number))).collect()
    }

    /// Describes the first hundred runs of consecutive missing lines. Each line of the text describes one
    /// run.
    pub fn describe_missing(&self, written: &Written) -> String {
        let runs = self.runs(written);
        let describe = |run: &Run| {
            let Run { stream, first, end, from, to } = run;
            let number = end - first;
            format!("stream {stream}: {number} lines from number {first} on, between {from:.3} and {to:.3}\n")
        };
        runs.iter().take(100).map(describe).collect()
    }

    /// Compares the arrivals with the lines that were written.
    pub fn account(&self, written: &Written) -> Account {
        let runs = self.runs(written);
        let length = |run: &Run| run.end - run.first;
        let missing: u64 = runs.iter().map(length).sum();
        let announced: u64 = runs.iter().filter(|run| self.is_announced(run)).map(length).sum();
        Account {
            written: written.values().sum(),
            lost: missing - announced,
            announced,
            repeated: self.repeated(),
            gaps: self.gaps.len() as u64,
            empty_gaps: self.gaps.iter().filter(|gap| !runs.iter().any(|run| self.overlap(run, gap))).count()
                as u64,
            others: self.others,
            first_lost: runs.first().map(|run| (run.stream, run.first)),
        }
    }

    /// Returns whether a gap was announced for the run.
    fn is_announced(&self, run: &Run) -> bool {
        self.gaps.iter().any(|gap| self.overlap(run, gap))
    }

    /// Returns whether the run and the gap belong to the same container and overlap in time. A gap that only
    /// touches the run does not overlap it. If no line of the run's stream has arrived, the container of the
    /// run is unknown, and the gap of any container counts.
    fn overlap(&self, run: &Run, gap: &Gap) -> bool {
        let same = self
            .streams
            .get(&run.stream)
            .is_none_or(|stream| stream.container.is_empty() || stream.container == gap.container);
        same && run.from.max(gap.from) <= run.to.min(gap.to) - SAME
    }

    /// Returns the number of missing lines that neither an announced gap nor a restart of the Engine
    /// explains. `restarts` has the times of the restarts, in seconds since 1970, and `other` is the tally of
    /// another receiver.
    ///
    /// An Engine that ends loses the lines that it has read from a container and not stored. A restart
    /// therefore explains a missing line if the other receiver lacks the line, too, and if the Engine was
    /// restarted between the stamps of the lines around the run of missing lines, or at most 1 s earlier.
    pub fn unexplained(&self, other: &Self, written: &Written, restarts: &[f64]) -> u64 {
        let missing_from_other = other.missing(written);
        let runs = self.runs(written);
        let is_restarted = |run: &Run| restarts.iter().any(|time| (run.from - 1.0..run.to).contains(time));
        let unexplained = |run: &Run| {
            let lines = (run.first..run.end).map(|number| (run.stream, number));
            lines.filter(|line| !(is_restarted(run) && missing_from_other.contains(line))).count() as u64
        };
        runs.iter().filter(|run| !self.is_announced(run)).map(unexplained).sum()
    }

    fn repeated(&self) -> u64 {
        let slots = self.streams.values().flat_map(|stream| &stream.slots);
        slots.map(|slot| u64::from(slot.arrivals.saturating_sub(1))).sum()
    }

    /// Returns the runs of missing lines, each with the stamps of the lines before and after it.
    fn runs(&self, written: &Written) -> Vec<Run> {
        let mut runs = Vec::new();
        let none = Vec::new();
        for (&stream, &lines) in written {
            let slots = self.streams.get(&stream).map_or(&none, |stream| &stream.slots);
            let mut before = f64::NEG_INFINITY;
            let mut first = None;
            for number in 0..lines {
                let slot = usize::try_from(number).ok().and_then(|number| slots.get(number));
                match slot.filter(|slot| slot.arrivals > 0) {
                    Some(slot) => {
                        if let Some(first) = first.take() {
                            runs.push(Run { stream, first, end: number, from: before, to: slot.stamp });
                        }
                        before = slot.stamp;
                    }
                    None => first = first.or(Some(number)),
                }
            }
            if let Some(first) = first {
                runs.push(Run { stream, first, end: lines, from: before, to: f64::INFINITY });
            }
        }
        runs
    }
}

/// A run of consecutive missing lines.
struct Run {
    stream: u32,
    first: u64,
    end: u64,
    /// Stamp of the line before the run.
    from: f64,
    /// Stamp of the line after the run.
    to: f64,
}

/// The result of comparing the arrivals with the written lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Account {
    /// Number of lines that were written.
    pub written: u64,
    /// Number of missing lines outside of announced gaps.
    pub lost: u64,
    /// Number of missing lines inside of announced gaps.
    pub announced: u64,
    /// Number of repeated arrivals of lines.
    pub repeated: u64,
    /// Number of announced gaps.
    pub gaps: u64,
    /// Number of announced gaps without a missing line.
    pub empty_gaps: u64,
    /// Number of messages that are neither numbered lines nor gaps.
    pub others: u64,
    /// First missing line: stream and number.
    pub first_lost: Option<(u32, u64)>,
}

impl Account {
    /// Adds the counts of another account.
    pub fn add(&mut self, other: Self) {
        self.written += other.written;
        self.lost += other.lost;
        self.announced += other.announced;
        self.repeated += other.repeated;
        self.gaps += other.gaps;
        self.empty_gaps += other.empty_gaps;
        self.others += other.others;
        self.first_lost = self.first_lost.or(other.first_lost);
    }

    /// Returns whether each line arrived once, no gap was announced, and no other message arrived.
    pub fn is_exact(&self) -> bool {
        self.lost + self.announced + self.repeated + self.empty_gaps + self.others == 0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lost {}, repeated {} of {}", self.lost, self.repeated, self.written)?;
        if self.announced + self.gaps > 0 {
            write!(f, ", announced {} in {} gaps", self.announced, self.gaps)?;
        }
        if self.empty_gaps > 0 {
            write!(f, ", {} gaps without a missing line", self.empty_gaps)?;
        }
        if self.others > 0 {
            write!(f, ", altered {}", self.others)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "test code")]
mod tests {
    use super::*;

    fn tally(stream: u32, numbers: &[u64]) -> Tally {
        let mut tally = Tally::default();
        for &number in numbers {
            let text = crate::messages().text(stream, number);
            tally.line(Line { container: "c".to_owned(), text, stamp: 100.0 + number as f64 }, 200.0);
        }
        tally
    }

    fn gap(from: f64, to: f64) -> Gap {
        Gap { container: "c".to_owned(), from, to, ..Gap::default() }
    }

    #[test]
    fn missing_lines_count_as_announced_inside_of_a_gap_and_as_lost_outside() {
        let mut tally = tally(4, &[0, 1, 4, 5, 8, 8]);
        tally.gap(gap(101.0, 104.0));
        let account = tally.account(&Written::from([(4, 10)]));
        let expected = Account {
            written: 10,
            lost: 3,
            announced: 2,
            repeated: 1,
            gaps: 1,
            first_lost: Some((4, 2)),
            ..Account::default()
        };
        assert_eq!(account, expected);
        assert_eq!(tally.missing(&Written::from([(4, 10)])).into_iter().next(), Some((4, 2)));
    }

    #[test]
    fn a_gap_that_only_touches_a_missing_run_announces_nothing() {
        let mut tally = tally(4, &[0, 1, 4]);
        tally.gap(gap(100.0, 101.0));
        tally.gap(gap(104.0, f64::INFINITY));
        tally.gap(Gap { container: "other".to_owned(), ..gap(101.0, 104.0) });
        let account = tally.account(&Written::from([(4, 5)]));
        assert_eq!((account.lost, account.announced, account.empty_gaps), (2, 0, 3));
    }

    #[test]
    fn only_lines_that_no_receiver_has_are_lost_by_a_restart_of_the_engine() {
        let written = Written::from([(4, 10)]);
        let (one, other) = (tally(4, &[0, 1, 4, 5, 8, 9]), tally(4, &[0, 1, 3, 4, 5, 8, 9]));
        assert_eq!(one.unexplained(&other, &written, &[102.5]), 3);
        assert_eq!(other.unexplained(&one, &written, &[102.5]), 2);
        assert_eq!(one.unexplained(&other, &written, &[102.5, 107.5]), 1);
    }

    #[test]
    fn a_changed_text_is_no_line() {
        let mut tally = tally(4, &[0]);
        let mut text = crate::messages().text(4, 1);
        text.truncate(text.len() - 1);
        tally.line(Line { text, ..Line::default() }, 0.0);
        let account = tally.account(&Written::from([(4, 2)]));
        assert_eq!((account.lost, account.others), (1, 1));
    }
}
