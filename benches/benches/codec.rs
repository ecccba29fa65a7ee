//! Benchmarks of encoding, decoding, compressing and inflating.
//!
//! The corpus has 1,000 messages for encoding and decoding, and 200 messages for compressing and inflating.
//! Throughput is in bytes of JSON. The benchmark `memcpy` shows the upper limit of the throughput of
//! encoding.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmarks may panic")]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gelf_benches::{Corpus, ShortMessageLength};
use gelf_core::wire::{Compressor, Decompressor};
use gelf_core::{Compression, CompressionLevel, Decoder, Encoder};

fn encoding(criterion: &mut Criterion) {
    let corpus = Corpus::new(1000);
    let payloads = corpus.payloads();
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(payloads.iter().map(|payload| payload.len() as u64).sum()));
    let mut dst = BytesMut::with_capacity(1 << 20);
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            for payload in &payloads {
                dst.clear();
                dst.extend_from_slice(payload);
                black_box(&dst);
            }
        });
    });
    group.bench_function("field set", |bencher| {
        bencher.iter(|| {
            for sample in &corpus.samples {
                dst.clear();
                Encoder::new().encode(&corpus.message(sample), &mut dst);
                black_box(&dst);
            }
        });
    });
    // The messages are created before the measurement, because the values that serde_json encodes exist
    // before the measurement, too.
    let free: Vec<_> = corpus.samples.iter().map(|sample| corpus.free_message(sample)).collect();
    group.bench_function("free fields", |bencher| {
        bencher.iter(|| {
            for message in &free {
                dst.clear();
                Encoder::new().encode(message, &mut dst);
                black_box(&dst);
            }
        });
    });
    let mut vector = Vec::with_capacity(1 << 20);
    group.bench_function("serde_json", |bencher| {
        bencher.iter(|| {
            for sample in &corpus.samples {
                vector.clear();
                corpus.encode_with_serde_json(sample, &mut vector);
                black_box(&vector);
            }
        });
    });
    group.finish();
}

fn decoding(criterion: &mut Criterion) {
    let payloads = Corpus::new(1000).payloads();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(payloads.iter().map(|payload| payload.len() as u64).sum()));
    let mut decoder = Decoder::lenient();
    group.bench_function("message", |bencher| {
        bencher.iter(|| {
            for payload in &payloads {
                black_box(decoder.decode(payload).unwrap());
            }
        });
    });
    group.bench_function("visitor", |bencher| {
        bencher.iter(|| {
            let mut visitor = ShortMessageLength::default();
            for payload in &payloads {
                decoder.decode_with(payload, &mut visitor).unwrap();
            }
            visitor.0
        });
    });
    group.bench_function("serde_json value", |bencher| {
        bencher.iter(|| {
            for payload in &payloads {
                black_box(serde_json::from_slice::<serde_json::Value>(payload).unwrap());
            }
        });
    });
    group.finish();
}

fn compressing(criterion: &mut Criterion) {
    let payloads = Corpus::new(200).payloads();
    let plain: usize = payloads.iter().map(Vec::len).sum();
    let mut group = criterion.benchmark_group("compress");
    group.throughput(Throughput::Bytes(plain as u64));
    let levels = (1..=9).filter_map(CompressionLevel::new);
    for level in std::iter::once(CompressionLevel::DEFAULT).chain(levels) {
        let mut compressor = Compressor::new(Compression::Gzip(level));
        let small: usize = payloads.iter().map(|payload| compressor.compress(payload).len()).sum();
        let level = level.number().map_or_else(|| "default".to_owned(), |number| number.to_string());
        let name = format!("gzip {level}, {:.2} times smaller", plain as f64 / small as f64);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for payload in &payloads {
                    black_box(compressor.compress(payload));
                }
            });
        });
    }
    let mut compressor = Compressor::new(Compression::default());
    let compressed: Vec<_> = payloads.iter().map(|payload| compressor.compress(payload).to_vec()).collect();
    let mut decompressor = Decompressor::default();
    group.bench_function("inflate", |bencher| {
        bencher.iter(|| {
            for payload in &compressed {
                black_box(decompressor.decompress(payload).unwrap());
            }
        });
    });
    group.finish();
}

criterion_group!(codec, encoding, decoding, compressing);
criterion_main!(codec);
