//! Defines a case: one generated input. A case holds the bytes of the input itself, whereas a vector file can
//! hold a recipe for the bytes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::recipe::hex;
use crate::report::merged;
use crate::subject::Answer;
use crate::vector::{Input, Mode, Step, Topic, Vector};

/// Input of a subject.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Case {
    /// One uncompressed payload.
    Payload(Vec<u8>),
    /// Datagrams.
    Datagrams(Vec<Datagram>),
    /// Pieces of a TCP stream.
    Stream(Vec<Vec<u8>>),
}

/// A datagram with its time and sender.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Datagram {
    /// Time of arrival in milliseconds, counted from the start of the case.
    pub(super) at: u32,
    /// Name of the sender.
    pub(super) from: char,
    /// Content.
    pub(super) bytes: Vec<u8>,
}

impl Datagram {
    /// Creates a datagram from sender A at time 0.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { at: 0, from: 'A', bytes }
    }

    /// Returns whether the datagram starts with a complete chunk header.
    pub(super) fn is_chunk(&self) -> bool {
        self.bytes.starts_with(&[0x1e, 0x0f]) && self.bytes.len() >= 12
    }
}

/// Names of errors, deviations and events that depend on a choice in `DECISIONS.md` or on a limit of
/// gelf-core. If gelf-core reports one of them, a subject with another result deviates and does not fail,
/// unless it invents a timestamp or a level.
const CHOICES: [&str; 12] = [
    "Conflict",
    "LevelRange",
    "NameTooLong",
    "NumberRange",
    "ReservedField",
    "SmallWindow",
    "TimestampRange",
    "TooDeep",
    "TooManyEscapes",
    "TooManyMembers",
    "TooManyValues",
    "UnterminatedFrame",
];

/// Maximum size of a seed, in bytes. Larger seeds would slow the fuzzer down without finding more.
const MAX_SEED_BYTES: usize = 16 << 10;

/// Returns the input of each vector whose input is a payload, datagrams or a stream. A case does not keep its
/// vector's [`limits`](Vector::limits), nor steps without a datagram. Inputs of more than [`MAX_SEED_BYTES`] are
/// left out.
pub(super) fn seeds(topics: &[Topic]) -> Vec<Case> {
    let mut seeds = Vec::new();
    for vector in topics.iter().flat_map(|topic| &topic.vectors) {
        let case = match vector.input() {
            Some(Input::Payload(payload)) => Case::Payload(payload.to_vec()),
            Some(Input::Datagrams(steps)) => {
                let datagram = |step: &Step| {
                    let from = step.from.chars().next().unwrap_or('A');
                    let bytes = step.datagram.as_ref()?.to_vec();
                    Some(Datagram { at: (step.at * 1000.0) as u32, from, bytes })
                };
                Case::Datagrams(steps.iter().filter_map(datagram).collect())
            }
            Some(Input::Stream(pieces)) => Case::Stream(pieces.iter().map(|piece| piece.to_vec()).collect()),
            _ => continue,
        };
        if case.bytes() <= MAX_SEED_BYTES {
            seeds.push(case);
        }
    }
    seeds
}

impl Case {
    /// Returns the size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Returns the payload, the datagrams or the pieces.
    pub(super) fn parts(&self) -> Vec<&Vec<u8>> {
        match self {
            Self::Payload(payload) => vec![payload],
            Self::Datagrams(datagrams) => datagrams.iter().map(|datagram| &datagram.bytes).collect(),
            Self::Stream(pieces) => pieces.iter().collect(),
        }
    }

    /// Returns the part with this index in [`parts`](Self::parts).
    pub(super) fn part_mut(&mut self, at: usize) -> Option<&mut Vec<u8>> {
        match self {
            Self::Payload(payload) => (at == 0).then_some(payload),
            Self::Datagrams(datagrams) => Some(&mut datagrams.get_mut(at)?.bytes),
            Self::Stream(pieces) => pieces.get_mut(at),
        }
    }

    /// Describes the case in a short line.
    pub(super) fn describe(&self) -> String {
        crate::text::shortened(&self.input().to_string())
    }

    /// Returns the rule that is most relevant to the case.
    fn rule(&self) -> &'static str {
        match self {
            Self::Payload(_) => "R1",
            Self::Datagrams(datagrams) if datagrams.iter().any(Datagram::is_chunk) => "R15",
            Self::Datagrams(_) => "R13",
            Self::Stream(_) => "R25",
        }
    }

    /// Returns whether several senders use the same message id in their chunks. The expected result for such
    /// chunks is a choice in `DECISIONS.md`.
    fn has_senders_of_one_id(&self) -> bool {
        let Self::Datagrams(datagrams) = self else { return false };
        let mut senders = BTreeMap::new();
        datagrams.iter().filter(|datagram| datagram.is_chunk()).any(|datagram| {
            let id = datagram.bytes.get(2..10).unwrap_or_default();
            *senders.entry(id).or_insert(datagram.from) != datagram.from
        })
    }

    /// Returns the case as the input member of a vector.
    fn input(&self) -> Value {
        match self {
            Self::Payload(payload) => json!({ "payload": recipe(payload) }),
            Self::Datagrams(datagrams) => {
                let steps: Vec<Value> = datagrams.iter().map(step).collect();
                json!({ "datagrams": steps })
            }
            Self::Stream(pieces) => {
                let pieces: Vec<Value> = pieces.iter().map(|piece| recipe(piece)).collect();
                json!({ "stream": pieces })
            }
        }
    }

    /// Returns the case as JSON for a vector file.
    pub(super) fn json(&self, id: &str, title: &str, strict: &Answer, lenient: &Answer) -> Value {
        let mut names = [strict, lenient]
            .into_iter()
            .flat_map(|answer| answer.errors.iter().chain(&answer.deviations).chain(&answer.events));
        let choice = names.any(|name| CHOICES.contains(&name.as_str())) || self.has_senders_of_one_id();
        let mut vector =
            json!({ "id": id, "title": title, "rule": self.rule(), "choice": choice, "strict": strict });
        if strict != lenient {
            vector = merged(vector, json!({ "lenient": lenient }));
        }
        merged(vector, self.input())
    }

    /// Returns the case as a vector.
    pub(super) fn vector(&self, id: &str, strict: &Answer, lenient: &Answer) -> Result<Vector, String> {
        let json = self.json(id, "fuzzed", strict, lenient);
        let vector: Vector =
            serde_json::from_value(json).map_err(|error| format!("invalid vector: {error}"))?;
        debug_assert_eq!(vector.expected(Mode::Lenient).messages, lenient.messages);
        Ok(vector)
    }
}

fn step(datagram: &Datagram) -> Value {
    let Datagram { at, from, bytes } = datagram;
    let header = bytes.split_at_checked(12).filter(|_| datagram.is_chunk());
    let recipe = match header {
        Some(([_, _, id @ .., number, count], payload)) => {
            json!({"chunk": {"id": hex(id), "number": number, "count": count, "payload": recipe(payload)}})
        }
        _ => recipe(bytes),
    };
    merged(json!({ "datagram": recipe }), json!({ "at": f64::from(*at) / 1000.0, "from": from }))
}

/// Returns a recipe: readable text as a string, other bytes in hexadecimal.
fn recipe(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|character| character.is_control() && character != '\n') => json!(text),
        _ => json!({ "hex": hex(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::Expected;

    #[test]
    fn a_case_converts_to_an_equal_vector() {
        let answer = Answer { errors: vec!["JsonSyntax".to_owned()], pending: 1, ..Default::default() };
        let chunk = [&[0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, 0, 2][..], b"x"].concat();
        let case = Case::Datagrams(vec![
            Datagram::new(chunk.clone()),
            Datagram { at: 1500, from: 'B', bytes: vec![0xff] },
        ]);
        let vector = case.vector("X", &answer, &Answer::default()).unwrap();
        let Some(Input::Datagrams([first, second])) = vector.input() else { panic!("two datagrams") };
        assert_eq!((first.at, first.from.as_str()), (0.0, "A"));
        assert_eq!(first.datagram.as_deref().unwrap(), chunk);
        assert_eq!((second.at, second.from.as_str()), (1.5, "B"));
        assert_eq!(second.datagram.as_deref().unwrap(), [0xff]);
        let Expected { errors, pending, .. } = vector.expected(Mode::Strict);
        assert_eq!((errors.as_slice(), *pending), (&["JsonSyntax".to_owned()][..], 1));
        assert_eq!(vector.expected(Mode::Lenient), &Expected::default());
    }

    #[test]
    fn readable_bytes_are_written_as_text() {
        assert_eq!(recipe("{\"a\":\"é\"}".as_bytes()), json!("{\"a\":\"é\"}"));
        assert_eq!(recipe(b"\0"), json!({"hex": "00"}));
        assert_eq!(recipe(b"\xff"), json!({"hex": "ff"}));
    }
}
