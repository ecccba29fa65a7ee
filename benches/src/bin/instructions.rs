//! Does one piece of the libraries' work. `scripts/check-bench` counts the instructions of this work.
//!
//! Usage: `instructions NAME`. Without an argument, `instructions` prints the possible names. Only the
//! instructions within the function `measured` count. The program does the work once before, so that tables
//! and buffers exist.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "benchmarks may panic")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use docker_source::fuzzing::{Framing, decode_log};
use docker_source::gelf::{GelfFormat, GelfFormatter};
use docker_source::multiline::{JoinOptions, MultilineJoiner, Preset, Rule};
use docker_source::{Container, Record};
use gelf_benches::{Corpus, interleaved_chunks};
use gelf_core::wire::{ChunkHeader, Compressor, Reassembler};
use gelf_core::{Compression, Decoder, Encoder};

/// A name, and the function that does the work.
type Work = (&'static str, fn(&Corpus));

const ALL: [Work; 7] = [
    ("encode", encode),
    ("decode", decode),
    ("compress", compress),
    ("reassemble", reassemble),
    ("frames", frames),
    ("join", join),
    ("format", format),
];

fn main() {
    let name = std::env::args().nth(1);
    let Some(name) = name else {
        ALL.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let (_, work) = ALL.iter().find(|(known, _)| *known == name).expect("the name of a piece of work");
    work(&Corpus::new(300));
}

/// Does the work twice. Callgrind collects only within [`measured`].
fn measure(mut work: impl FnMut()) {
    work();
    measured(&mut work);
}

#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn encode(corpus: &Corpus) {
    let mut payload = BytesMut::with_capacity(1 << 20);
    measure(|| {
        for sample in &corpus.samples {
            payload.clear();
            Encoder::new().encode(&corpus.message(sample), &mut payload);
            black_box(&payload);
        }
    });
}

fn decode(corpus: &Corpus) {
    let payloads = corpus.payloads();
    let mut decoder = Decoder::lenient();
    measure(|| {
        for payload in &payloads {
            black_box(decoder.decode(payload).unwrap());
        }
    });
}

fn compress(corpus: &Corpus) {
    let payloads = corpus.payloads();
    let mut compressor = Compressor::new(Compression::default());
    measure(|| {
        for payload in &payloads {
            black_box(compressor.compress(payload));
        }
    });
}

fn reassemble(corpus: &Corpus) {
    let payloads: Vec<_> = corpus.payloads().into_iter().filter(|payload| payload.len() > 1420).collect();
    let chunks = interleaved_chunks(&payloads);
    let mut reassembler = Reassembler::<u32>::default();
    let now = Instant::now();
    measure(|| {
        for (_, wire) in &chunks {
            let (header, payload) = ChunkHeader::parse(wire).unwrap();
            if let Ok(Some(message)) = reassembler.handle_chunk(now, 7, header, payload) {
                black_box(message);
            }
        }
    });
}

/// Decodes a response of the Engine that arrives in parts of 16 KiB.
fn frames(corpus: &Corpus) {
    let mut response = Vec::new();
    for line in corpus.samples.iter().flat_map(|sample| sample.text.lines()) {
        let record = format!("2026-11-22T22:44:18.123456789Z {line}\n");
        response.extend_from_slice(&[1, 0, 0, 0]);
        response.extend_from_slice(&u32::try_from(record.len()).unwrap().to_be_bytes());
        response.extend_from_slice(record.as_bytes());
    }
    measure(|| drop(black_box(decode_log(Framing::Frames, response.chunks(16_384)))));
}

fn records(corpus: &Corpus) -> Vec<Arc<Record>> {
    let container = Arc::new(Container::builder("shop").image("shop:1").build());
    let lines = corpus.samples.iter().flat_map(|sample| sample.text.lines());
    lines.map(|line| Arc::new(Record::builder(container.clone(), line.to_owned()).build())).collect()
}

fn join(corpus: &Corpus) {
    let (records, rule) = (records(corpus), Rule::preset(Preset::Java));
    let mut joiner = MultilineJoiner::new(JoinOptions::default());
    let now = Instant::now();
    measure(|| {
        for record in &records {
            joiner.push(record.clone(), (), &rule, now);
            while let Some(message) = joiner.pop() {
                black_box(message);
            }
        }
    });
}

fn format(corpus: &Corpus) {
    let records = records(corpus);
    let mut formatter = GelfFormatter::new(GelfFormat::default());
    measure(|| {
        for record in &records {
            black_box(formatter.message(record));
        }
    });
}
