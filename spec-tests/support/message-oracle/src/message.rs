//! Self-checking texts.

use std::fmt::Write;
use std::ops::{Range, RangeInclusive};

use crate::content::Content;

/// Minimum length of a payload, in characters. With 64 possible characters each, a changed text is taken as
/// intact with a probability of 2^-96.
pub const SHORTEST: usize = 16;

/// Identity of a message.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Message {
    /// Seed of its payload.
    pub seed: u64,
    /// Stream that it belongs to.
    pub stream: u32,
    /// Number in the stream.
    pub number: u64,
    /// Alphabet of its payload.
    pub content: Content,
}

impl Message {
    /// Parses a text of [`Messages`]. Returns `None` for any other or changed text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '.');
        let (head, stream, number, payload) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let content = Content::ALL.into_iter().find(|content| head.starts_with(content.letter()))?;
        let seed = head.get(1..)?;
        let message = Self {
            seed: canonical(seed, 16)?,
            stream: canonical(stream, 10)?.try_into().ok()?,
            number: canonical(number, 10)?,
            content,
        };
        let length = payload.chars().count();
        (length >= SHORTEST && message.payload(length).eq(payload.chars())).then_some(message)
    }

    /// Returns the payload of this length, in characters.
    fn payload(self, length: usize) -> impl Iterator<Item = char> {
        let characters = self.content.characters();
        let mut random = Random::of([self.seed, self.stream.into(), self.number, length as u64]);
        let mut bits = 0;
        (0..length).map(move |place| {
            // Each 64-bit number yields ten characters of six bits.
            bits = if place % 10 == 0 { random.next() } else { bits >> 6 };
            characters.get((bits & 63) as usize).copied().unwrap_or_default()
        })
    }
}

/// Parses a number in its only allowed notation.
fn canonical(text: &str, radix: u32) -> Option<u64> {
    let digits =
        text.bytes().all(|byte| byte.is_ascii_digit() || (radix == 16 && (b'a'..=b'f').contains(&byte)));
    let shortest = text.len() == 1 || !text.starts_with('0');
    (digits && shortest).then(|| u64::from_str_radix(text, radix).ok())?
}

/// Generates messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Messages {
    seed: u64,
    lengths: RangeInclusive<usize>,
    content: Content,
}

impl Messages {
    /// Creates messages with this seed, with 16 to 100 characters of [plain](Content::Plain) payload.
    pub fn new(seed: u64) -> Self {
        Self { seed, lengths: SHORTEST..=100, content: Content::Plain }
    }

    /// Sets the range of payload lengths, in characters, both ends included. The minimum is [`SHORTEST`]. Up
    /// to 50 characters of identity precede the payload.
    pub fn lengths(mut self, lengths: RangeInclusive<usize>) -> Self {
        let least = SHORTEST.max(*lengths.start());
        self.lengths = least..=least.max(*lengths.end());
        self
    }

    /// Sets the alphabet of payloads. Default: [`Content::Plain`].
    pub fn content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    /// Returns the message with this number in this stream, such as `a7.0.3.` and the payload. The result is
    /// always the same.
    pub fn text(&self, stream: u32, number: u64) -> String {
        let message = Message { seed: self.seed, stream, number, content: self.content };
        let length = self.length(stream, number);
        let mut text = String::with_capacity(50 + length);
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{:x}.{stream}.{number}.", self.content.letter(), self.seed);
        text.extend(message.payload(length));
        text
    }

    /// Returns the messages with these numbers in this stream, in order.
    pub fn texts(&self, stream: u32, numbers: Range<u64>) -> impl Iterator<Item = String> {
        numbers.map(move |number| self.text(stream, number))
    }

    fn length(&self, stream: u32, number: u64) -> usize {
        let (least, most) = (*self.lengths.start() as u64, *self.lengths.end() as u64);
        let drawn = Random::of([self.seed, stream.into(), number, u64::MAX]).next();
        match (most - least).checked_add(1) {
            Some(count) => (least + drawn % count) as usize,
            None => drawn as usize,
        }
    }
}

/// Reproducible random numbers by key: SplitMix64 (Steele, Lea and Flood, 2014).
struct Random {
    state: u64,
}

impl Random {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    fn of(key: [u64; 4]) -> Self {
        Self {
            state: key.iter().fold(0, |state: u64, part| mix(state.wrapping_add(Self::STEP) ^ mix(*part))),
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(Self::STEP);
        mix(self.state)
    }
}

fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn any_content() -> impl Strategy<Value = Content> {
        prop::sample::select(&Content::ALL[..])
    }

    #[test]
    fn texts_are_reproducible() {
        let plain = "a7.2.3.mb3ROsY6IXGCXTGVP2hUrDYYdPz1fQyq-qUYS8Ztq63cEUp-YWfvN-C_OBcGZU_UroQw";
        assert_eq!(Messages::new(7).text(2, 3), plain);
        let printable = "p7.0.0.&é;+u9z@é𝄞@\u{a0}{אt!";
        assert_eq!(Messages::new(7).content(Content::Printable).lengths(0..=0).text(0, 0), printable);
    }

    #[test]
    fn payloads_use_every_character_of_their_kind() {
        for content in Content::ALL {
            let messages = Messages::new(1).content(content).lengths(2_000..=2_000);
            let payload: String = messages.text(0, 0).splitn(4, '.').nth(3).unwrap().into();
            assert_eq!(payload.chars().collect::<BTreeSet<_>>(), BTreeSet::from(*content.characters()));
        }
    }

    #[test]
    fn lengths_fill_their_range_and_are_never_too_short() {
        let lengths = |range: RangeInclusive<usize>| -> BTreeSet<usize> {
            Messages::new(1)
                .lengths(range)
                .texts(0, 0..200)
                .map(|text| text.splitn(4, '.').nth(3).unwrap().len())
                .collect()
        };
        assert_eq!(lengths(20..=23), (20..=23).collect());
        assert_eq!(lengths(0..=17), [16, 17].into());
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range")]
        let reversed = lengths(30..=10);
        assert_eq!(reversed, [30].into());
    }

    #[test]
    fn numbers_have_one_notation() {
        for (text, radix, number) in [
            ("0", 10, Some(0)),
            ("10", 10, Some(10)),
            ("18446744073709551615", 10, Some(u64::MAX)),
            ("18446744073709551616", 10, None),
            ("ff", 16, Some(255)),
            ("", 10, None),
            ("00", 10, None),
            ("01", 10, None),
            ("+1", 10, None),
            ("-1", 10, None),
            ("a", 10, None),
            ("FF", 16, None),
            ("g", 16, None),
        ] {
            assert_eq!(canonical(text, radix), number, "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_not_messages() {
        for text in [
            "",
            ".",
            "...",
            "a7",
            "a7.0.0",
            "a7.0.0.",
            "a.0.0.x",
            "b7.0.0.x",
            "ä7.0.0.x",
            "a7.4294967296.0.x",
        ] {
            assert_eq!(Message::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn changed_texts_are_not_messages() {
        for content in Content::ALL {
            let text: Vec<char> = Messages::new(0xabc).content(content).text(10, 200).chars().collect();
            for place in 0..text.len() {
                for other in ['0', '1', 'f', '.', 'a', 'p', '?', '\u{fffd}'] {
                    let mut changed = text.clone();
                    changed[place] = other;
                    let whole = changed == text;
                    let parsed = Message::parse(&changed.iter().collect::<String>());
                    assert_eq!(parsed.is_some(), whole, "{changed:?}");
                }
                let mut shorter = text.clone();
                shorter.remove(place);
                assert_eq!(Message::parse(&shorter.iter().collect::<String>()), None);
                let mut longer = text.clone();
                longer.insert(place, text[place]);
                assert_eq!(Message::parse(&longer.iter().collect::<String>()), None);
                assert_eq!(Message::parse(&text[..place].iter().collect::<String>()), None);
                assert_eq!(Message::parse(&text[place + 1..].iter().collect::<String>()), None);
            }
        }
    }

    proptest! {
        #[test]
        fn every_text_contains_its_identity(
            seed: u64,
            stream: u32,
            number: u64,
            content in any_content(),
            least in 0usize..300,
            more in 0usize..300,
        ) {
            let messages = Messages::new(seed).content(content).lengths(least..=least + more);
            let text = messages.text(stream, number);
            prop_assert_eq!(Message::parse(&text), Some(Message { seed, stream, number, content }));
            let payload = text.splitn(4, '.').nth(3).unwrap();
            prop_assert!(text.len() - payload.len() <= 50);
            prop_assert_eq!(messages.text(stream, number), text);
        }

        #[test]
        fn halves_of_two_messages_do_not_match(content in any_content(), cut: prop::sample::Index, other in 1u64..1_000) {
            let messages = Messages::new(1).content(content).lengths(50..=50);
            let (one, two) = (messages.text(0, 1_000), messages.text(0, 1_000 + other));
            let head: String = one.chars().take(10 + cut.index(40)).collect();
            let tail: String = two.chars().skip(head.chars().count()).collect();
            prop_assert_eq!(Message::parse(&(head + &tail)), None);
        }

        #[test]
        fn parse_accepts_any_text(text: String) {
            prop_assert_eq!(Message::parse(&text), None);
        }
    }
}
