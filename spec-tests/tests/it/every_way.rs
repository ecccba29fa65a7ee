//! Sends every payload of the vectors plain, compressed, in chunks in any order, and on a stream in pieces of
//! any size. The received payload must always be the same.

use std::path::Path;
use std::time::Instant;

use bytes::BytesMut;
use gelf_core::{
    Compression, CompressionLevel, DatagramReader, DatagramSize, Framer,
    wire::{Chunker, Compressor},
};
use gelf_spec_tests::{Input, Topic, load};

fn payloads() -> Vec<(String, Vec<u8>)> {
    let topics = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")).unwrap();
    let vectors = topics.iter().flat_map(|Topic { vectors, .. }| vectors);
    vectors
        .filter_map(|vector| match vector.input() {
            Some(Input::Payload(recipe)) => Some((vector.id.clone(), recipe.bytes().unwrap())),
            _ => None,
        })
        .collect()
}

/// Reproducible pseudo-random numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn payloads_survive_compression_and_shuffled_chunks() {
    let mut numbers = Numbers(1);
    let mut ways = 0;
    for (id, payload) in payloads() {
        let level = CompressionLevel::DEFAULT;
        for compression in [Compression::None, Compression::Gzip(level), Compression::Zlib(level)] {
            let packed = Compressor::new(compression).compress(&payload).to_vec();
            for size in [packed.len().div_ceil(128).max(1) + 12, packed.len().div_ceil(2).max(1) + 12] {
                let size = DatagramSize::new(size.min(DatagramSize::MAX.as_usize()) as u16).unwrap();
                let mut chunker = Chunker::new(size);
                let mut wires: Vec<Vec<u8>> = chunker
                    .split(&packed)
                    .unwrap()
                    .map(|datagram| {
                        let mut wire = Vec::new();
                        datagram.write_to(&mut wire);
                        wire
                    })
                    .collect();
                for at in (1..wires.len()).rev() {
                    wires.swap(at, numbers.below(at + 1));
                }
                // Repeats a chunk, unless the copy would start a new message.
                if wires.len() > 2 {
                    wires.insert(1, wires[0].clone());
                }
                let mut reader = DatagramReader::default();
                let now = Instant::now();
                let mut read = Vec::new();
                let mut refused = 0;
                for wire in &wires {
                    match reader.read(now, (), wire) {
                        Ok(payload) => read.extend(payload.map(<[u8]>::to_vec)),
                        Err(_) => refused += 1,
                    }
                }
                let plain = compression == Compression::None;
                // Empty payloads, and plain ones that start like an encoding, are read differently.
                let odd = payload.is_empty() || (plain && matches!(payload[0], 0x1e | 0x1f | 0x78));
                if !odd {
                    assert_eq!((read, refused), (vec![payload.clone()], 0), "{id} {compression:?} {size:?}");
                    assert_eq!(reader.stats().reassembly.pending, 0);
                    ways += 1;
                }
            }
        }
    }
    assert!(ways > 1500, "{ways}");
}

#[test]
fn payloads_survive_streams_in_pieces_of_any_size() {
    let mut numbers = Numbers(2);
    let mut streams = 0;
    for (id, payload) in payloads() {
        // A null byte ends a frame.
        if payload.contains(&0) || payload.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let wire = [&payload[..], b"\0", &payload, b"\0"].concat();
        let sizes = [1, 7, wire.len(), 0];
        for size in sizes {
            let mut framer = Framer::default();
            let mut buffer = BytesMut::new();
            let mut frames = Vec::new();
            let mut rest = &wire[..];
            while !rest.is_empty() {
                let size = if size == 0 { 1 + numbers.below(64) } else { size };
                let (piece, tail) = rest.split_at(size.min(rest.len()));
                buffer.extend_from_slice(piece);
                rest = tail;
                while let Some(frame) = framer.next_frame(&mut buffer) {
                    frames.push(frame.unwrap());
                }
            }
            assert_eq!(frames, [&payload[..], &payload[..]], "{id} in pieces of {size}");
            assert_eq!(framer.finish(&mut buffer), None);
            streams += 1;
        }
    }
    assert!(streams > 900, "{streams}");
}
