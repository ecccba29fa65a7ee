//! Counts symbols, and estimates the frequencies of the symbols in the next messages.
#![allow(clippy::indexing_slicing, reason = "symbols are below the lengths of the arrays")]

use super::matcher::Sink;
use super::symbols::{DISTANCES, END, LITERALS, distance_symbol, length_symbol};

/// The weight of one occurrence of a symbol in a message. The weights of typical text are smaller, so that
/// the symbols of a few messages outweigh them.
const UNIT: u32 = 64;

/// The weights of the letters `a` to `z` in typical text.
const LETTERS: [u32; 26] =
    [20, 6, 10, 10, 26, 6, 6, 6, 16, 2, 4, 12, 9, 17, 16, 8, 2, 16, 17, 20, 8, 4, 3, 2, 4, 1];

/// The number of times that each symbol is used, or the weight of each symbol.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    pub(super) literals: [u32; LITERALS],
    pub(super) distances: [u32; DISTANCES],
}

impl Histogram {
    pub(super) const fn new() -> Self {
        Self { literals: [0; LITERALS], distances: [0; DISTANCES] }
    }

    /// Halves all numbers, so that later symbols count more than earlier ones.
    pub(super) fn halve(&mut self) {
        self.literals.iter_mut().chain(&mut self.distances).for_each(|count| *count /= 2);
    }

    /// Returns the weights of the symbols that are expected in `messages` messages. An occurrence of a symbol
    /// has the weight [`UNIT`].
    ///
    /// The symbols of `prefix` and the end of the block occur once in each message. `lines` has the symbols
    /// of the lines of all messages together. Typical text adds small weights, so that symbols get codes
    /// before they occur. If `is_complete` is false, typical text has no bytes beyond ASCII.
    pub(super) fn expected(prefix: &Self, lines: &Self, messages: u32, is_complete: bool) -> Self {
        let mut expected = Self::new();
        expected.add(prefix, UNIT * messages);
        expected.add(lines, UNIT);
        expected.literals[END] += UNIT * messages;
        for (byte, weight) in (0..=u8::MAX).zip(&mut expected.literals) {
            if byte.is_ascii() || is_complete {
                *weight += 1 + in_text(byte);
            }
        }
        // Short matches and long distances are more frequent than others.
        for (weight, frequency) in expected.literals[END + 1..].iter_mut().rev().zip(0..) {
            *weight += 1 + frequency;
        }
        for (weight, frequency) in expected.distances.iter_mut().zip(0..) {
            *weight += 1 + frequency;
        }
        expected
    }

    /// Returns the weight that [`expected`](Self::expected) gives to a symbol that occurs once in each
    /// message.
    pub(super) fn message_weight(messages: u32) -> u64 {
        u64::from(UNIT * messages)
    }

    fn add(&mut self, other: &Self, factor: u32) {
        let own = self.literals.iter_mut().chain(&mut self.distances);
        for (own, more) in own.zip(other.literals.iter().chain(&other.distances)) {
            *own += more * factor;
        }
    }
}

/// Returns the weight of a byte in typical text.
fn in_text(byte: u8) -> u32 {
    let letter = |first: u8| LETTERS.get(usize::from(byte - first)).copied().unwrap_or_default();
    match byte {
        b'a'..=b'z' => letter(b'a'),
        b'A'..=b'Z' => 1 + letter(b'A') / 4,
        b'0'..=b'9' => 12,
        b' ' | b'"' | b',' | b'-' | b'.' | b'/' | b':' | b'=' | b'_' => 8,
        b'!'..=b'~' => 1,
        _ => 0,
    }
}

impl Sink for Histogram {
    fn literals(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.literals[usize::from(*byte)] += 1;
        }
    }

    fn matched(&mut self, length: usize, distance: usize) {
        self.literals[length_symbol(length).number] += 1;
        self.distances[distance_symbol(distance).number] += 1;
    }
}
