//! What reassembly allocates: nothing for each datagram once it runs, and no more than its limits under a flood.
//!
//! In a process of its own, for it counts all memory.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gelf_core::{ChunkHeader, Progress, Reassembler, ReassemblyLimits};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

impl Counting {
    fn grown(bytes: usize) {
        ALLOCATIONS.fetch_add(1, Relaxed);
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        PEAK.fetch_max(live, Relaxed);
    }
}

// SAFETY: each call is handed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::grown(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // As if both were there for a moment, as they may be.
        Self::grown(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn chunk(id: u32, number: u8, count: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![0x1e, 0x0f, 0, 0, 0, 0];
    wire.extend_from_slice(&id.to_be_bytes());
    wire.extend_from_slice(&[number, count]);
    wire.extend_from_slice(payload);
    wire
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn memory_is_bounded_under_a_flood_and_steady_work_allocates_nothing() {
    // A million first chunks of 13 bytes, each of a message and a source of its own.
    let start = Instant::now();
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let mut reassembler = Reassembler::<u32>::default();
    let mut wire = chunk(0, 0, 128, b"x");
    for id in 0..1_000_000u32 {
        wire[6..10].copy_from_slice(&id.to_be_bytes());
        let (header, payload) = ChunkHeader::parse(&wire).unwrap();
        let now = start + Duration::from_micros(u64::from(id));
        assert_eq!(reassembler.handle_chunk(now, id, header, payload), Ok(Progress::Pending));
    }
    let peak = PEAK.load(Relaxed) - before;
    let held = reassembler.stats().held_bytes;
    assert_eq!(reassembler.stats().pending, 8192);
    assert!(peak <= 2 * held, "{peak} at the peak, {held} accounted for");
    assert!(peak <= ReassemblyLimits::default().max_bytes + (1 << 20), "{peak}");
    drop(reassembler);

    // Messages of four chunks, eight under way at a time, their chunks in and out of order.
    let mut reassembler = Reassembler::<u32>::default();
    let wires: Vec<Vec<u8>> = (0..4000u32)
        .map(|step| {
            let number = if step % 8 < 4 { step / 8 % 4 } else { 3 - step / 8 % 4 };
            chunk(step / 32 * 8 + step % 8, number as u8, 4, &[b'x'; 1400])
        })
        .collect();
    let run = |reassembler: &mut Reassembler<u32>| {
        let mut completed = 0;
        for wire in &wires {
            let (header, payload) = ChunkHeader::parse(wire).unwrap();
            if let Ok(Progress::Complete(message)) = reassembler.handle_chunk(start, 7, header, payload) {
                assert_eq!(message.len(), 5600);
                completed += 1;
            }
        }
        completed
    };
    assert_eq!(run(&mut reassembler), 1000);
    let allocations = ALLOCATIONS.load(Relaxed);
    assert_eq!(run(&mut reassembler), 1000);
    assert_eq!(ALLOCATIONS.load(Relaxed) - allocations, 0);
}
