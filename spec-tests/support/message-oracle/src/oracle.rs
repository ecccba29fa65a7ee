//! Knows what was sent, hears what arrived, and says what became of it.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use crate::message::Message;
use crate::number_set::NumberSet;
use crate::report::{FIRST_FEW, LONGEST_SAMPLE, Place, Report, Run};

/// How many streams an oracle follows at most.
pub const MAX_STREAMS: usize = 65_536;

/// How many ranges and bitmaps of arrived numbers an oracle keeps at most, over all streams, at about 150 bytes each: enough for 67
/// million numbers in any order. It stops whoever sends numbers that lie far apart.
pub const MAX_BLOCKS: usize = 65_536;

/// What a text was that arrived.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Arrival {
    /// A message that had not arrived before, in order.
    New(Place),
    /// A message that had not arrived before, after one of a higher number in its stream.
    Reordered(Place),
    /// A message that had arrived before.
    Duplicate(Place),
    /// A whole message with another seed.
    Foreign(Message),
    /// No whole message.
    Altered,
    /// A whole message that is not looked at because of [`MAX_STREAMS`] or [`MAX_BLOCKS`].
    OverLimit(Place),
}

/// Knows what was sent and hears what arrived.
#[derive(Clone, Debug)]
pub struct Oracle {
    seed: u64,
    streams: BTreeMap<u32, Stream>,
    /// How many ranges and bitmaps are kept.
    blocks: usize,
    /// What is counted as it arrives.
    so_far: Report,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    expected: NumberSet,
    arrived: NumberSet,
    highest: Option<u64>,
}

impl Oracle {
    /// Expects no message so far; those with this seed are the ones that it knows.
    pub fn new(seed: u64) -> Self {
        Self { seed, streams: BTreeMap::new(), blocks: 0, so_far: Report::default() }
    }

    /// Messages with these numbers have been sent in this stream, or will be. They may arrive before this is said.
    ///
    /// What is expected is not bounded; numbers that are told in order and without gaps take next to no memory.
    pub fn expect(&mut self, stream: u32, numbers: Range<u64>) {
        self.streams.entry(stream).or_default().expected.insert_range(numbers);
    }

    /// A text has arrived.
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

    /// What became of the messages so far.
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

    /// All messages of a stream that are lost so far, in order, as ranges that do not touch.
    pub fn lost(&self, stream: u32) -> impl Iterator<Item = RangeInclusive<u64>> {
        self.streams.get(&stream).into_iter().flat_map(|stream| stream.expected.without(&stream.arrived))
    }

    /// Whether everything that was expected has arrived whole. It takes less time than a [report](Self::report).
    pub fn has_all(&self) -> bool {
        self.streams.values().all(|stream| stream.expected.without(&stream.arrived).next().is_none())
    }

    /// How many ranges and bitmaps of arrived numbers it keeps, at about 150 bytes each; at most [`MAX_BLOCKS`].
    pub fn blocks(&self) -> usize {
        self.blocks
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
        if self.blocks >= MAX_BLOCKS && !stream.arrived.has_block_of(place.number) {
            return Arrival::OverLimit(place);
        }
        let before = stream.arrived.entries();
        stream.arrived.insert(place.number);
        self.blocks = self.blocks + stream.arrived.entries() - before;
        if stream.highest.is_some_and(|highest| place.number < highest) {
            return Arrival::Reordered(place);
        }
        stream.highest = Some(place.number);
        Arrival::New(place)
    }
}

/// Counts one, and keeps it if it is one of the first.
fn note<T>(count: &mut u64, first: &mut Vec<T>, one: impl FnOnce() -> T) {
    *count += 1;
    if first.len() < FIRST_FEW {
        first.push(one());
    }
}

/// Counts ranges of numbers, and keeps the first of them.
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
