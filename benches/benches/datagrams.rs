//! Benchmarks of splitting payloads into datagrams and reassembling them.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmarks may panic")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gelf_benches::{Corpus, interleaved_chunks};
use gelf_core::DatagramSize;
use gelf_core::wire::{ChunkHeader, Chunker, Reassembler};

fn datagrams(criterion: &mut Criterion) {
    let payloads: Vec<_> =
        Corpus::new(2000).payloads().into_iter().filter(|payload| payload.len() > 1420).collect();
    let mut chunker = Chunker::new(DatagramSize::WAN);
    let mut group = criterion.benchmark_group("datagrams");
    group.throughput(Throughput::Bytes(payloads.iter().map(|payload| payload.len() as u64).sum()));

    let mut wire = Vec::with_capacity(1500);
    group.bench_function("chunk", |bencher| {
        bencher.iter(|| {
            for payload in &payloads {
                for datagram in chunker.split(payload).unwrap() {
                    wire.clear();
                    datagram.write_to(&mut wire);
                    black_box(&wire);
                }
            }
        });
    });

    let chunks = interleaved_chunks(&payloads);
    let mut reassembler = Reassembler::<u32>::default();
    let now = Instant::now();
    group.bench_function("reassemble", |bencher| {
        bencher.iter(|| {
            for (_, wire) in &chunks {
                let (header, payload) = ChunkHeader::parse(wire).unwrap();
                if let Ok(Some(message)) = reassembler.handle_chunk(now, 7, header, payload) {
                    black_box(message);
                }
            }
        });
    });
    let mut copy = Vec::with_capacity(1 << 20);
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            for payload in &payloads {
                copy.clear();
                copy.extend_from_slice(payload);
                black_box(&copy);
            }
        });
    });
    group.finish();
}

criterion_group!(all, datagrams);
criterion_main!(all);
