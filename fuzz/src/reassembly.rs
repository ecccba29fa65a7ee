//! Checks the reassembly of chunks.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use arbitrary::{Result, Unstructured};
use gelf_core::wire::{ChunkHeader, InvalidChunk, Reassembler};

/// A pending message of the naive reassembler.
struct Model {
    /// The arrival time of the first chunk in milliseconds.
    first_at: u64,
    /// The number of chunks of the message.
    count: u8,
    /// The payload of each chunk that has arrived, by its number.
    parts: HashMap<u8, Vec<u8>>,
}

/// Passes chunks to a [`Reassembler`] and to a naive reassembler, and checks that both have the same results.
/// Also checks that the counters add up after each chunk.
pub fn reassembler_operations(data: &[u8]) {
    // An error only means that the input has ended.
    let _ = run(&mut Unstructured::new(data));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut reassembler = Reassembler::<u8>::default();
    let mut model: HashMap<(u8, u8), Model> = HashMap::new();
    let start = Instant::now();
    let (mut now, mut begun, mut duplicates) = (0u64, 0u64, 0u64);
    while !input.is_empty() {
        now += u64::from(input.arbitrary::<u8>()?) * 10;
        let (source, id) = (input.int_in_range(0..=2)?, input.int_in_range(0..=7)?);
        let (number, count) = (input.int_in_range(0..=4)?, input.int_in_range(1..=4)?);
        let payload: Vec<u8> = input.arbitrary::<[u8; 3]>()?[..input.int_in_range(0..=3)?].to_vec();
        let wire = [&[0x1e, 0x0f, 0, 0, 0, 0, 0, 0, 0, id, number, count], &payload[..]].concat();
        let Ok((header, part)) = ChunkHeader::parse(&wire) else {
            assert!(number >= count);
            continue;
        };
        let at = start + Duration::from_millis(now);
        let got = reassembler.handle_chunk(at, source, header, part);

        model.retain(|_, message| now - message.first_at <= 5000);
        begun += u64::from(count == 1 || !model.contains_key(&(source, id)));
        if count == 1 {
            assert_eq!(got, Ok(Some(&payload[..])));
        } else {
            let message = model.entry((source, id)).or_insert_with(|| Model {
                first_at: now,
                count,
                parts: HashMap::new(),
            });
            if message.count != count {
                let expected = message.count;
                assert_eq!(got, Err(InvalidChunk::CountMismatch { expected, found: count }));
            } else {
                let arrived = message.parts.len();
                // If a chunk arrives several times, its first payload counts.
                message.parts.entry(number).or_insert(payload);
                duplicates += u64::from(message.parts.len() == arrived);
                if message.parts.len() == usize::from(count) {
                    let joined: Vec<u8> =
                        (0..count).flat_map(|number| message.parts[&number].clone()).collect();
                    assert_eq!(got, Ok(Some(&joined[..])));
                    model.remove(&(source, id));
                } else {
                    assert_eq!(got, Ok(None));
                }
            }
        }
        let stats = reassembler.stats();
        assert_eq!((stats.pending, stats.duplicates), (model.len(), duplicates));
        assert_eq!(stats.completed + stats.expired + stats.pending as u64, begun);
        let oldest = model.values().map(|message| message.first_at).min();
        let deadline =
            oldest.map(|oldest| start + Duration::from_millis(oldest + 5000) + Duration::from_nanos(1));
        assert_eq!(reassembler.poll_timeout(), deadline);
    }
    Ok(())
}
