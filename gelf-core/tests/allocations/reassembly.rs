//! Reassembly allocates nothing in the steady state, and little more than its limits under a flood.

use std::time::{Duration, Instant};

use gelf_core::wire::{ChunkHeader, Reassembler, ReassemblyLimits};

use crate::counting::{account, reset_peak};

fn chunk(id: u32, number: u8, count: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![0x1e, 0x0f, 0, 0, 0, 0];
    wire.extend_from_slice(&id.to_be_bytes());
    wire.extend_from_slice(&[number, count]);
    wire.extend_from_slice(payload);
    wire
}

#[test]
fn memory_is_bounded_under_a_flood() {
    // A million messages begin, each from its own source, and none of them gets its second chunk. A chunk has 13
    // bytes.
    let start = Instant::now();
    reset_peak();
    let before = account().live;
    let mut reassembler = Reassembler::<u32>::default();
    let mut wire = chunk(0, 0, 128, b"x");
    for id in 0..1_000_000u32 {
        wire[6..10].copy_from_slice(&id.to_be_bytes());
        let (header, payload) = ChunkHeader::parse(&wire).unwrap();
        let now = start + Duration::from_micros(u64::from(id));
        assert_eq!(reassembler.handle_chunk(now, id, header, payload), Ok(None));
    }
    let peak = account().peak_with_copies - before;
    let held = reassembler.stats().held_bytes;
    assert_eq!(reassembler.stats().pending, 8192);
    assert!(peak <= 2 * held, "{peak} bytes at the peak, but `held_bytes` is {held}");
    assert!(peak <= ReassemblyLimits::default().max_bytes + (1 << 20), "{peak} bytes at the peak");
}

#[test]
fn reassembly_allocates_nothing_in_the_steady_state() {
    let start = Instant::now();
    // Each message has four chunks, and eight messages are pending at a time. The chunks of half of the
    // messages arrive in reverse order.
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
            if let Ok(Some(message)) = reassembler.handle_chunk(start, 7, header, payload) {
                assert_eq!(message.len(), 5600);
                completed += 1;
            }
        }
        completed
    };
    assert_eq!(run(&mut reassembler), 1000);
    let allocations = account().allocations;
    assert_eq!(run(&mut reassembler), 1000);
    assert_eq!(account().allocations - allocations, 0);
}
