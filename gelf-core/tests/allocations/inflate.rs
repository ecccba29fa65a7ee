//! Inflating allocates nothing in the steady state, and little more than the limit for a bomb.

use std::hint::black_box;
use std::time::Instant;

use gelf_core::wire::{Chunker, Compressor, DecompressError, Decompressor};
use gelf_core::{Compression, CompressionLevel, DatagramError, DatagramReader, DatagramSize};

use crate::counting::{account, reset_peak};

const LEVEL: CompressionLevel = CompressionLevel::DEFAULT;

#[test]
fn a_bomb_costs_little_more_memory_than_the_limit() {
    let best = CompressionLevel::new(9).unwrap();
    for compression in [Compression::Gzip(best), Compression::Zlib(best)] {
        let mut compressor = Compressor::new(compression);
        let bomb = compressor.compress(&vec![b' '; 16 << 20]).to_vec();
        drop(compressor);
        assert!(bomb.len() <= 17 * 1024, "the bomb has {} bytes", bomb.len());

        reset_peak();
        let before = account();
        let mut reader = DatagramReader::default();
        let error = reader.read(Instant::now(), (), &bomb).unwrap_err();
        let limit = Decompressor::DEFAULT_LIMIT;
        assert_eq!(error, DatagramError::Decompress(DecompressError::LimitExceeded { limit }));
        let peak = account().peak - before.live;
        assert!(peak <= limit + 256 * 1024, "{peak} bytes at the peak");
        // The peak is hardly higher if each reallocation copies the buffer while the old buffer still exists.
        let peak_with_copies = account().peak_with_copies - before.live;
        assert!(peak_with_copies <= limit + limit / 32 + 256 * 1024, "{peak_with_copies} bytes with copies");
        // The reader inflates the bomb up to the limit before it returns the error.
        assert!(peak >= limit, "only {peak} bytes at the peak");
        // The memory is freed with the next compressed datagram.
        assert!(reader.read(Instant::now(), (), b"{}").is_ok());
        let small = Compressor::new(compression).compress(b"{}").to_vec();
        assert_eq!(reader.read(Instant::now(), (), &small), Ok(Some(&b"{}"[..])));
        let held = account().live - before.live;
        assert!(held < 512 * 1024, "{held} bytes are held");
    }
}

#[test]
fn reading_datagrams_allocates_nothing_in_the_steady_state() {
    let payloads: Vec<String> = (0..100)
        .map(|at| format!(r#"{{"short_message":"{}"}}"#, format!("line {at} ").repeat(1 + at % 70)))
        .collect();
    for compression in [Compression::None, Compression::Gzip(LEVEL), Compression::Zlib(LEVEL)] {
        let mut compressor = Compressor::new(compression);
        let mut chunker = Chunker::new(DatagramSize::new(150).unwrap());
        let mut datagrams = Vec::new();
        for payload in &payloads {
            for datagram in chunker.split(compressor.compress(payload.as_bytes())).unwrap() {
                let mut wire = Vec::new();
                datagram.write_to(&mut wire);
                datagrams.push(wire);
            }
        }
        let mut reader = DatagramReader::default();
        let now = Instant::now();
        let mut read_all = || {
            let mut bytes = 0;
            for datagram in &datagrams {
                bytes += reader.read(now, 7u32, datagram).unwrap().map_or(0, <[u8]>::len);
            }
            bytes
        };
        let expected: usize = payloads.iter().map(String::len).sum();
        assert_eq!(read_all(), expected);
        let before = account().allocations;
        assert_eq!(black_box(read_all()), expected);
        assert_eq!(account().allocations - before, 0, "{compression:?}");
    }
}
