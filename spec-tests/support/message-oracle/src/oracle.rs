//! Compares arrived with expected messages.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use crate::message::Message;
use crate::number_set::NumberSet;
use crate::report::{FIRST_FEW, LONGEST_SAMPLE, Place, Report, Run};

/// Maximum number of streams.
pub const MAX_STREAMS: usize = 65_536;

/// Maximum number of ranges of arrived numbers, over all streams. Messages in order take one range for each
/// stream, and a million messages in random order at most about this many.
pub const MAX_RANGES: usize = 262_144;

/// Classification of an arrived text.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Arrival {
    /// A message that arrived for the first time, in order.
    New(Place),
    /// A message that arrived for the first time, after one with a higher number in its stream.
    Reordered(Place),
    /// A message that had arrived before.
    Duplicate(Place),
    /// An intact message with another seed.
    Foreign(Message),
    /// A text that is not an intact message.
    Altered,
    /// An intact message that is ignored because of [`MAX_STREAMS`] or [`MAX_RANGES`].
    OverLimit(Place),
}

/// Compares arrived with expected messages.
#[derive(Clone, Debug)]
pub struct Oracle {
    seed: u64,
    streams: BTreeMap<u32, Stream>,
    /// Number of ranges of arrived numbers.
    ranges: usize,
    /// Counts of arrivals.
    so_far: Report,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    expected: NumberSet,
    arrived: NumberSet,
    highest: Option<u64>,
}

impl Oracle {
    /// Creates an oracle for messages with this seed, none of which are expected yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, streams: BTreeMap::new(), ranges: 0, so_far: Report::default() }
    }

    /// Expects messages with these numbers in this stream. They may have arrived already.
    ///
    /// The number of expected ranges is not bounded; ranges in order and without gaps take next to no memory.
    pub fn expect(&mut self, stream: u32, numbers: Range<u64>) {
        self.streams.entry(stream).or_default().expected.insert_range(numbers);
    }

    /// Records an arrived text and classifies it.
    pub fn arrived(&mut self, text: &str) -> Arrival {
        self.so_far.arrived += 1;
        let arrival = self.judge(text);
        let so_far = &mut self.so_far;
        match arrival {
            Arrival::New(_) => {}
            Arrival::Reordered(place) => note(&mut so_far.reordered, &mut so_far.first_reordered, || place),
            Arrival::Duplicate(place) => note(&mut so_far.duplicated, &mut so_far.first_duplicated, || place),
            Arrival::Altered => note(&mut so_far.altered, &mut so_far.first_altered, || {
                text.chars().take(LONGEST_SAMPLE).collect()
            }),
            Arrival::Foreign(_) => so_far.foreign += 1,
            Arrival::OverLimit(_) => so_far.over_limit += 1,
        }
        arrival
    }

    /// Returns the report so far.
    pub fn report(&self) -> Report {
        let mut report = self.so_far.clone();
        for (number, stream) in &self.streams {
            report.expected = report.expected.saturating_add(stream.expected.len());
            let lost = stream.expected.without(&stream.arrived);
            runs(*number, lost, &mut report.lost, &mut report.first_lost);
            let unexpected = stream.arrived.without(&stream.expected);
            runs(*number, unexpected, &mut report.unexpected, &mut report.first_unexpected);
        }
        report.delivered = report.expected - report.lost;
        report
    }

    /// Returns the lost messages of a stream so far, in order, as ranges that do not touch.
    pub fn lost(&self, stream: u32) -> impl Iterator<Item = RangeInclusive<u64>> {
        self.streams.get(&stream).into_iter().flat_map(|stream| stream.expected.without(&stream.arrived))
    }

    /// Returns whether every expected message has arrived intact. Faster than a [report](Self::report).
    pub fn has_all(&self) -> bool {
        self.streams.values().all(|stream| stream.expected.without(&stream.arrived).next().is_none())
    }

    /// Returns the number of ranges of arrived numbers, at most [`MAX_RANGES`].
    pub fn ranges(&self) -> usize {
        self.ranges
    }

    fn judge(&mut self, text: &str) -> Arrival {
        let Some(message) = Message::parse(text) else { return Arrival::Altered };
        if message.seed != self.seed {
            return Arrival::Foreign(message);
        }
        let place = Place { stream: message.stream, number: message.number };
        let known = self.streams.len();
        let stream = match self.streams.get_mut(&place.stream) {
            Some(stream) => stream,
            None if known >= MAX_STREAMS => return Arrival::OverLimit(place),
            None => self.streams.entry(place.stream).or_default(),
        };
        if stream.arrived.contains(place.number) {
            return Arrival::Duplicate(place);
        }
        if self.ranges >= MAX_RANGES && !stream.arrived.touches(place.number) {
            return Arrival::OverLimit(place);
        }
        let before = stream.arrived.range_count();
        stream.arrived.insert(place.number);
        self.ranges = self.ranges + stream.arrived.range_count() - before;
        if stream.highest.is_some_and(|highest| place.number < highest) {
            return Arrival::Reordered(place);
        }
        stream.highest = Some(place.number);
        Arrival::New(place)
    }
}

/// Counts an event, and keeps it if it is among the first.
fn note<T>(count: &mut u64, first: &mut Vec<T>, one: impl FnOnce() -> T) {
    *count += 1;
    if first.len() < FIRST_FEW {
        first.push(one());
    }
}

/// Counts ranges of numbers, and keeps the first ones.
fn runs(
    stream: u32,
    ranges: impl Iterator<Item = RangeInclusive<u64>>,
    count: &mut u64,
    first: &mut Vec<Run>,
) {
    for numbers in ranges {
        *count = count.saturating_add((numbers.end() - numbers.start()).saturating_add(1));
        if first.len() < FIRST_FEW {
            first.push(Run { stream, numbers });
        }
    }
}
