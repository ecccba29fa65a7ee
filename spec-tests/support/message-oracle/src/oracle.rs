//! Compares the messages that arrived with the expected messages.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::message::Message;
use crate::report::{FIRST_FEW, LONGEST_SAMPLE, Report};

/// Stream and number of a message.
type Place = (u32, u64);

/// Maximum number of expected messages, and maximum number of messages that arrived unexpectedly. Each
/// message takes about 50 bytes.
const MAX_MESSAGES: usize = 1 << 20;

/// Compares the messages that arrived with the expected messages. An oracle remembers at most 1,048,576
/// expected messages and as many unexpected messages. Further messages are only counted, in
/// [`Report::overflowed`].
#[derive(Clone, Debug)]
pub struct Oracle {
    seed: u64,
    max_messages: usize,
    expected: BTreeSet<Place>,
    arrived: BTreeSet<Place>,
    /// Highest number that arrived in each stream.
    highest: BTreeMap<u32, u64>,
    /// Number of expected messages that have not arrived.
    lost: u64,
    /// Counts of the arrivals so far.
    so_far: Report,
}

impl Oracle {
    /// Creates an oracle for messages with this seed. No message is expected yet.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            max_messages: MAX_MESSAGES,
            expected: BTreeSet::new(),
            arrived: BTreeSet::new(),
            highest: BTreeMap::new(),
            lost: 0,
            so_far: Report::default(),
        }
    }

    /// Sets the maximum number of expected messages. The same maximum applies to unexpected messages.
    pub fn max_messages(mut self, max_messages: usize) -> Self {
        self.max_messages = max_messages;
        self
    }

    /// Expects messages with these numbers in this stream. The messages may have arrived already.
    pub fn expect(&mut self, stream: u32, numbers: Range<u64>) {
        let room = self.max_messages.saturating_sub(self.expected.len()) as u64;
        let end = numbers.end.min(numbers.start.saturating_add(room));
        let beyond = numbers.end.saturating_sub(end);
        self.so_far.overflowed = self.so_far.overflowed.saturating_add(beyond);
        for place in (numbers.start..end).map(|number| (stream, number)) {
            if self.expected.insert(place) && !self.arrived.contains(&place) {
                self.lost += 1;
            }
        }
    }

    /// Records an arrived text.
    pub fn arrived(&mut self, text: &str) {
        let so_far = &mut self.so_far;
        so_far.arrived += 1;
        let Some(message) = Message::parse(text).filter(|message| message.seed == self.seed) else {
            let sample = || format!("{:?}", text.chars().take(LONGEST_SAMPLE).collect::<String>());
            note(&mut so_far.altered, &mut so_far.first_altered, sample);
            return;
        };
        let place = (message.stream, message.number);
        let is_expected = self.expected.contains(&place);
        let delivered = self.expected.len() - self.lost as usize;
        let unexpected = self.arrived.len() - delivered;
        if !is_expected && unexpected >= self.max_messages && !self.arrived.contains(&place) {
            so_far.overflowed = so_far.overflowed.saturating_add(1);
            return;
        }
        if !self.arrived.insert(place) {
            note(&mut so_far.duplicated, &mut so_far.first_duplicated, || show(&place));
            return;
        }
        if is_expected {
            self.lost -= 1;
        }
        let highest = self.highest.entry(message.stream).or_insert(message.number);
        if message.number < *highest {
            note(&mut so_far.reordered, &mut so_far.first_reordered, || show(&place));
        }
        *highest = message.number.max(*highest);
    }

    /// Returns the report so far.
    pub fn report(&self) -> Report {
        let expected = self.expected.len() as u64;
        let delivered = expected - self.lost;
        let first = |one: &BTreeSet<Place>, other| one.difference(other).take(FIRST_FEW).map(show).collect();
        Report {
            expected,
            delivered,
            lost: self.lost,
            unexpected: self.arrived.len() as u64 - delivered,
            first_lost: first(&self.expected, &self.arrived),
            first_unexpected: first(&self.arrived, &self.expected),
            ..self.so_far.clone()
        }
    }

    /// Returns whether every expected message has arrived intact. This is faster than a
    /// [report](Self::report).
    pub fn has_all(&self) -> bool {
        self.lost == 0
    }
}

fn show((stream, number): &Place) -> String {
    format!("{stream}.{number}")
}

/// Counts an event, and keeps its text if the event is among the first.
fn note(count: &mut u64, first: &mut Vec<String>, one: impl FnOnce() -> String) {
    *count += 1;
    if first.len() < FIRST_FEW {
        first.push(one());
    }
}
