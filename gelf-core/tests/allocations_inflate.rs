//! Inflating allocates what it must: nothing in the steady state, and for a bomb no more than the limit.
//!
//! In a process of its own, for it counts all allocations.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

use gelf_core::{
    Chunker, Compression, CompressionLevel, Compressor, DatagramError, DatagramReader, DatagramSize,
    DecompressError, Decompressor,
};

/// What a thread holds, the most it has held, and how often it asked for memory.
#[derive(Clone, Copy)]
struct Account {
    live: usize,
    peak: usize,
    allocations: u64,
}

thread_local! {
    static ACCOUNT: Cell<Account> = const { Cell::new(Account { live: 0, peak: 0, allocations: 0 }) };
}

fn change(more: usize, less: usize) {
    let mut account = ACCOUNT.get();
    account.live = (account.live + more).saturating_sub(less);
    account.peak = account.peak.max(account.live);
    account.allocations += u64::from(more > 0);
    ACCOUNT.set(account);
}

struct Counting;

// SAFETY: each call is handed on to the system's allocator unchanged; counting does not allocate, since the account of
// a thread needs no initialisation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        change(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        change(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        change(size, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LEVEL: CompressionLevel = CompressionLevel::DEFAULT;

#[test]
fn a_bomb_costs_no_more_than_the_limit_and_gives_an_error() {
    let best = CompressionLevel::new(9).unwrap();
    for compression in [Compression::Gzip(best), Compression::Zlib(best)] {
        let mut compressor = Compressor::new(compression);
        let bomb = compressor.compress(&vec![b' '; 16 << 20]).to_vec();
        drop(compressor);
        assert!(bomb.len() <= 17 * 1024, "{}", bomb.len());

        let before = ACCOUNT.get();
        ACCOUNT.set(Account { peak: before.live, ..before });
        let mut reader = DatagramReader::default();
        let error = reader.read(Instant::now(), (), &bomb).unwrap_err();
        let limit = Decompressor::DEFAULT_LIMIT;
        assert_eq!(error, DatagramError::Decompress(DecompressError::LimitExceeded { limit }));
        let peak = ACCOUNT.get().peak - before.live;
        assert!(peak <= limit + 256 * 1024, "{peak}");
        // It has been given up only when so much had come out.
        assert!(peak >= limit, "{peak}");
        // And the memory is given back with the next datagram.
        assert!(reader.read(Instant::now(), (), b"{}").is_ok());
        let small = Compressor::new(compression).compress(b"{}").to_vec();
        assert_eq!(reader.read(Instant::now(), (), &small), Ok(Some(&b"{}"[..])));
        let held = ACCOUNT.get().live - before.live;
        assert!(held < 512 * 1024, "{held}");
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
        let before = ACCOUNT.get().allocations;
        assert_eq!(black_box(read_all()), expected);
        assert_eq!(ACCOUNT.get().allocations - before, 0, "{compression:?}");
    }
}
