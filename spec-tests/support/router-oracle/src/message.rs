//! Generates the texts of messages, and parses them. The parser detects texts that were changed.

use std::fmt::Write;
use std::ops::RangeInclusive;

/// Minimum length of a payload, in characters. Each character has 64 possible values, so that a changed text
/// passes as intact with a probability of at most 2^-96.
pub const SHORTEST: usize = 16;

const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Identity of a message.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Message {
    /// Seed of its payload.
    pub seed: u64,
    /// Stream to which the message belongs.
    pub stream: u32,
    /// Number in the stream.
    pub number: u64,
}

impl Message {
    /// Parses a text of [`Messages`]. Returns `None` for a changed text, and for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '.');
        let message = Self {
            seed: u64::from_str_radix(parts.next()?, 16).ok()?,
            stream: parts.next()?.parse().ok()?,
            number: parts.next()?.parse().ok()?,
        };
        let length = parts.next()?.len();
        (length >= SHORTEST && message.text(length) == text).then_some(message)
    }

    /// Returns the text with a payload of this length, in characters.
    fn text(self, length: usize) -> String {
        let mut text = String::with_capacity(50 + length);
        // Writing to a String cannot fail.
        let _ = write!(text, "{:x}.{}.{}.", self.seed, self.stream, self.number);
        let mut random = Random::of([self.seed, self.stream.into(), self.number, length as u64]);
        let mut bits = 0;
        text.extend((0..length).map(|place| {
            // Each 64-bit number yields ten characters of six bits.
            bits = if place % 10 == 0 { random.next() } else { bits >> 6 };
            CHARACTERS.get((bits & 63) as usize).copied().map_or('?', char::from)
        }));
        text
    }
}

/// Generates messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Messages {
    seed: u64,
    lengths: RangeInclusive<usize>,
}

impl Messages {
    /// Creates a generator with this seed. Each payload has 16 to 100 characters: ASCII letters and digits,
    /// `-` and `_`. No program has a reason to change these characters.
    pub fn new(seed: u64) -> Self {
        Self { seed, lengths: SHORTEST..=100 }
    }

    /// Sets the range of payload lengths, in characters, both ends included. The minimum is [`SHORTEST`]. The
    /// identity of the message precedes the payload, and takes up to 50 characters.
    pub fn lengths(mut self, lengths: RangeInclusive<usize>) -> Self {
        let least = SHORTEST.max(*lengths.start());
        self.lengths = least..=least.max(*lengths.end());
        self
    }

    /// Returns the text of the message with this number in this stream: for example `7.0.3.` and the payload.
    /// Equal arguments always give the same text.
    pub fn text(&self, stream: u32, number: u64) -> String {
        let (least, most) = (*self.lengths.start() as u64, *self.lengths.end() as u64);
        let drawn = Random::of([self.seed, stream.into(), number, u64::MAX]).next();
        let length = least + drawn % (most - least).saturating_add(1);
        Message { seed: self.seed, stream, number }.text(length as usize)
    }
}

/// Reproducible random numbers by key: SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) struct Random {
    state: u64,
}

impl Random {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    pub(crate) fn of(key: [u64; 4]) -> Self {
        Self {
            state: key.iter().fold(0, |state: u64, part| mix(state.wrapping_add(Self::STEP) ^ mix(*part))),
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(Self::STEP);
        mix(self.state)
    }
}

fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
