//! Work that several benchmarks measure, or do before they measure.

use std::borrow::Cow;

use gelf_core::wire::Chunker;
use gelf_core::{DatagramSize, Visitor};
use serde::ser::{SerializeMap, Serializer};

use crate::{Corpus, Sample};

impl Corpus {
    /// Encodes a sample with serde_json. The result has the same members as [`message`](Self::message), and
    /// is appended to `payload`.
    #[inline]
    pub fn encode_with_serde_json(&self, sample: &Sample, payload: &mut Vec<u8>) {
        let (host, fields) = &self.containers[sample.container];
        let mut serializer = serde_json::Serializer::new(payload);
        let mut map = serializer.serialize_map(None).unwrap();
        map.serialize_entry("version", "1.1").unwrap();
        map.serialize_entry("host", host).unwrap();
        for (name, value) in fields {
            map.serialize_entry(name, value).unwrap();
        }
        let (seconds, nanos) = sample.timestamp.as_unix();
        map.serialize_entry("timestamp", &(seconds as f64 + f64::from(nanos) / 1e9)).unwrap();
        map.serialize_entry("level", &sample.level.as_u8()).unwrap();
        map.serialize_entry("short_message", &sample.text).unwrap();
        map.end().unwrap();
    }
}

/// A visitor that reads only the short messages, and adds up their lengths.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShortMessageLength(pub usize);

impl<'a> Visitor<'a> for ShortMessageLength {
    #[inline]
    fn short_message(&mut self, text: Cow<'a, str>) {
        self.0 += text.len();
    }
}

/// Splits payloads into chunks of [`DatagramSize::WAN`], and interleaves the chunks of eight messages at a
/// time. Returns each chunk with the index of its message among the eight.
pub fn interleaved_chunks(payloads: &[Vec<u8>]) -> Vec<(usize, Vec<u8>)> {
    let mut chunker = Chunker::new(DatagramSize::WAN);
    let mut interleaved = Vec::new();
    for eight in payloads.chunks(8) {
        let mut queues: Vec<Vec<Vec<u8>>> = eight
            .iter()
            .map(|payload| {
                let write = |datagram: gelf_core::wire::Datagram<'_>| {
                    let mut wire = Vec::new();
                    datagram.write_to(&mut wire);
                    wire
                };
                let mut wires: Vec<_> = chunker.split(payload).unwrap().map(write).collect();
                wires.reverse();
                wires
            })
            .collect();
        while queues.iter().any(|queue| !queue.is_empty()) {
            for (at, queue) in queues.iter_mut().enumerate() {
                interleaved.extend(queue.pop().map(|wire| (at, wire)));
            }
        }
    }
    interleaved
}
