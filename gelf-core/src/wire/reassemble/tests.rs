use super::*;
use proptest::prelude::*;

const A: char = 'A';
const B: char = 'B';

/// A reassembler. The methods `at` and `chunk` check its tables after each chunk.
struct Harness {
    reassembler: Reassembler<char>,
    start: Instant,
}

impl Harness {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(adjust: impl FnOnce(&mut ReassemblyLimits)) -> Self {
        let mut limits = ReassemblyLimits::default();
        adjust(&mut limits);
        Self { reassembler: Reassembler::new(limits), start: Instant::now() }
    }

    /// Handles a chunk that arrives `millis` milliseconds after the start.
    fn at(
        &mut self,
        millis: u64,
        source: char,
        id: u8,
        number: u8,
        count: u8,
        payload: &[u8],
    ) -> Result<Option<Vec<u8>>, InvalidChunk> {
        let wire = [&[0x1e, 0x0f, 0, 0, 0, 0, 0, 0, 0, id, number, count], payload].concat();
        let (header, payload) = ChunkHeader::parse(&wire).unwrap();
        let now = self.start + Duration::from_millis(millis);
        let joined = self
            .reassembler
            .handle_chunk(now, source, header, payload)
            .map(|payload| payload.map(<[u8]>::to_vec));
        if matches!(joined, Ok(Some(_))) {
            // `joined` is a copy, so the memory of the payload can be reclaimed before the check.
            self.reassembler.reclaim();
        }
        self.check();
        joined
    }

    /// Handles a valid chunk that arrives at the start.
    fn chunk(&mut self, source: char, id: u8, number: u8, count: u8, payload: &[u8]) -> Option<Vec<u8>> {
        self.at(0, source, id, number, count, payload).unwrap()
    }

    /// Handles one of the three chunks of a message. Each message has its own source.
    fn hostile(&mut self, id: u32, number: u8) {
        let mut wire = vec![0x1e, 0x0f, 0xff, 0xff, 0xff, 0xff];
        wire.extend_from_slice(&id.to_be_bytes());
        wire.extend_from_slice(&[number, 3, b'x']);
        let (header, payload) = ChunkHeader::parse(&wire).unwrap();
        let source = char::from_u32(0x1_0000 + id).unwrap();
        assert_eq!(self.reassembler.handle_chunk(self.start, source, header, payload), Ok(None));
    }

    /// Asserts that the tables agree and the limits hold.
    fn check(&self) {
        let table = &self.reassembler;
        let pending = table.index.len();
        assert_eq!(table.by_age.len(), pending);
        table.by_age.check(&table.slots);
        table.sources.iter().for_each(|(_, of_source)| of_source.check(&table.slots));
        assert_eq!(table.sources.iter().map(|(_, list)| list.len()).sum::<usize>(), pending);
        assert_eq!(table.free.len() + pending, table.slots.0.len());
        for (key, slot) in table.index.iter() {
            assert_eq!(table.slots.get(*slot).key.as_ref(), Some(key));
        }
        let memory: usize = table.slots.0.iter().map(|slot| slot.chunks.memory()).sum();
        let slots = table.slots.0.len() * Reassembler::<char>::SLOT_BYTES;
        assert_eq!(table.bytes, memory + slots + table.joined.capacity());
        assert!(pending <= table.limits.max_entries);
        assert!(table.bytes <= table.limits.max_bytes);
        let free = table.free.iter().map(|slot| table.slots.get(*slot).chunks.memory());
        assert_eq!(table.free_bytes, free.sum::<usize>());
        assert!(table.free_bytes <= RETAINED_BYTES_OF_ALL);
        assert!(table.sources.iter().all(|(_, list)| list.len() <= table.limits.max_entries_per_source));
        let stats = table.stats;
        let ended = stats.conflicts + stats.evicted + stats.expired + stats.too_large;
        assert!(table.dropped.len() as u64 <= ended);
    }
}

fn complete(payload: &[u8]) -> Option<Vec<u8>> {
    Some(payload.to_vec())
}

#[test]
fn handle_timeout_frees_incomplete_messages() {
    let mut harness = Harness::new();
    for id in 0..10 {
        harness.chunk(A, id, 0, 2, b"x");
    }
    let deadline = harness.reassembler.poll_timeout().unwrap();
    assert_eq!(deadline, harness.start + Duration::from_secs(5) + Duration::from_nanos(1));
    harness.reassembler.handle_timeout(deadline - Duration::from_nanos(1));
    assert_eq!(harness.reassembler.stats().pending, 10);
    harness.reassembler.handle_timeout(deadline);
    harness.check();
    let stats = harness.reassembler.stats();
    assert_eq!((stats.pending, stats.expired), (0, 10));
    assert_eq!(harness.reassembler.poll_timeout(), None);
    assert_eq!(std::iter::from_fn(|| harness.reassembler.poll_dropped()).count(), 10);
}

#[test]
fn memory_including_bookkeeping_is_bounded() {
    let mut harness = Harness::with(|limits| limits.max_bytes = 64 * 1024);
    for id in 0..50 {
        harness.chunk(A, id, 0, 128, &[b'x'; 5000]);
    }
    let stats = harness.reassembler.stats();
    assert_eq!(stats.pending as u64 + stats.evicted, 50);
    assert!(stats.pending >= 9, "{stats:?}");
}

#[test]
fn with_max_entries_0_only_messages_of_one_chunk_are_completed() {
    let mut harness = Harness::with(|limits| limits.max_entries = 0);
    assert_eq!(harness.chunk(A, 1, 0, 2, b"a"), None);
    assert_eq!(harness.reassembler.stats().evicted, 1);
    assert_eq!(harness.chunk(A, 1, 0, 1, b"whole"), complete(b"whole"));
}

#[test]
fn unpolled_drops_are_bounded_and_counted() {
    let mut harness = Harness::with(|limits| limits.max_entries = 1);
    for id in 0..5000u32 {
        let mut wire = vec![0x1e, 0x0f, 0, 0, 0, 0];
        wire.extend_from_slice(&id.to_be_bytes());
        wire.extend_from_slice(&[0, 2]);
        let (header, payload) = ChunkHeader::parse(&wire).unwrap();
        harness.reassembler.handle_chunk(harness.start, A, header, payload).unwrap();
    }
    assert_eq!(harness.reassembler.stats().evicted, 4999);
    assert_eq!(std::iter::from_fn(|| harness.reassembler.poll_dropped()).count(), MAX_DROPPED_EVENTS);
}

#[test]
fn a_message_of_which_two_chunks_have_arrived_outlives_a_flood_of_first_chunks() {
    let mut harness = Harness::with(|limits| limits.max_entries = 100);
    harness.chunk(B, 200, 0, 3, b"a");
    harness.chunk(B, 200, 1, 3, b"b");
    for id in 0..10_000u32 {
        harness.hostile(id, 0);
    }
    assert_eq!(harness.reassembler.stats().pending, 100);
    assert_eq!(harness.chunk(B, 200, 2, 3, b"c"), complete(b"abc"));
}

#[test]
fn a_first_chunk_outlives_a_table_full_of_messages_with_two_chunks() {
    let mut harness = Harness::with(|limits| limits.max_entries = 100);
    for id in 0..1000 {
        harness.hostile(id, 0);
        harness.hostile(id, 1);
    }
    harness.chunk(B, 200, 0, 2, b"a");
    // Half of the table is for messages with one chunk, whatever fills the other half.
    for id in 2000..2040 {
        harness.hostile(id, 0);
    }
    assert_eq!(harness.chunk(B, 200, 1, 2, b"b"), complete(b"ab"));
}

#[test]
fn a_conflict_can_drop_the_message() {
    let mut harness = Harness::with(|limits| limits.discard_conflicts = true);
    harness.chunk(A, 1, 0, 2, b"a");
    assert_eq!(harness.chunk(A, 1, 0, 2, b"a"), None);
    assert_eq!(harness.reassembler.stats().pending, 1);
    assert_eq!(harness.chunk(A, 1, 0, 2, b"x"), None);
    let dropped = harness.reassembler.poll_dropped().unwrap();
    assert_eq!((dropped.received, dropped.reason), (1, ReassemblyDropReason::Conflict));
    assert_eq!(harness.chunk(A, 1, 1, 2, b"b"), None);
}

#[test]
fn a_message_that_is_too_large_does_not_displace_others() {
    let mut harness = Harness::with(|limits| limits.max_bytes = 20_000);
    harness.chunk(B, 1, 0, 2, b"good");
    harness.chunk(A, 1, 0, 2, &[b'x'; 30_000]);
    assert_eq!(harness.reassembler.poll_dropped().unwrap().reason, ReassemblyDropReason::TooLarge);
    assert_eq!(harness.chunk(B, 1, 1, 2, b"!"), complete(b"good!"));
}

#[test]
fn many_large_messages_leave_little_memory_behind() {
    let mut harness = Harness::new();
    for number in 0..2 {
        for id in 0..100 {
            harness.chunk(A, id, number, 2, &[b'x'; 50_000]);
        }
    }
    assert_eq!((harness.reassembler.stats().completed, harness.reassembler.stats().pending), (100, 0));
    let held = harness.reassembler.stats().held_bytes;
    assert!((512 * 1024..RETAINED_BYTES_OF_ALL + 100_000).contains(&held), "{held} bytes are held");
}

#[test]
fn a_flood_of_first_chunks_does_not_reuse_large_memory() {
    let mut harness = Harness::new();
    let mut flood = 0;
    for round in 0..10_000_u32 {
        let id = (round % 256) as u8;
        assert_eq!(harness.reassembler.stats().completed, u64::from(round));
        for number in 0..8 {
            let wire = [&[0x1e, 0x0f, 0, 0, 0, 0, 0, 0, 0, id, number, 8][..], &[b'x'; 1408]].concat();
            let (header, payload) = ChunkHeader::parse(&wire).unwrap();
            let _ = harness.reassembler.handle_chunk(harness.start, A, header, payload);
        }
        for _ in 0..2 {
            harness.hostile(flood, 0);
            flood += 1;
        }
    }
    harness.check();
    let held = harness.reassembler.stats().held_bytes;
    assert!(
        held < 8192 * (Reassembler::<char>::SLOT_BYTES + 64) + RETAINED_BYTES_OF_ALL,
        "{held} bytes are held"
    );
}

#[test]
fn a_message_that_was_very_large_gives_its_memory_back() {
    for numbers in [[1, 2, 3], [3, 2, 1]] {
        let mut harness = Harness::new();
        harness.chunk(A, 1, 0, 4, b"");
        let completed = numbers.map(|number| harness.chunk(A, 1, number, 4, &[b'x'; 60_000]));
        assert_eq!(completed[2].as_ref().unwrap().len(), 180_000);
        harness.chunk(A, 2, 0, 2, b"small");
        assert!(harness.reassembler.stats().held_bytes < 20_000, "{:?}", harness.reassembler.stats());
    }
}

/// Sends good messages and hostile first chunks for three seconds. The chunks of a good message come within
/// 20 ms. Returns the number of good messages that were sent, and the number of good messages that were
/// completed.
fn flood(chunks: u8, micros_between_hostile: u64, hostile_source: impl Fn(u32) -> u32) -> (u32, u32) {
    let mut reassembler = Reassembler::<u32>::default();
    let start = Instant::now();
    let mut handle = |micros: u64, source: u32, id: [u8; 8], number: u8, count: u8| {
        let wire = [&[0x1e, 0x0f], &id[..], &[number, count, b'x']].concat();
        let (header, payload) = ChunkHeader::parse(&wire).unwrap();
        let now = start + Duration::from_micros(micros);
        matches!(reassembler.handle_chunk(now, source, header, payload), Ok(Some(_)))
    };
    let (mut hostile, mut good, mut done) = (0, 0, 0);
    let between = 20_000 / u64::from(chunks - 1);
    for tick in 0..3_000_000 / between {
        while u64::from(hostile) * micros_between_hostile < tick * between {
            let micros = u64::from(hostile) * micros_between_hostile;
            handle(micros, hostile_source(hostile), (u64::from(hostile) | 1 << 60).to_be_bytes(), 0, 2);
            hostile += 1;
        }
        // A message begins at each tick and gets one chunk per tick, so up to `chunks` messages are pending.
        for number in (0..chunks).filter(|number| u64::from(*number) <= tick) {
            let message = tick - u64::from(number);
            good += u32::from(number == chunks - 1);
            done += u32::from(handle(tick * between, 7, message.to_be_bytes(), number, chunks));
        }
    }
    (good, done)
}

#[test]
fn nearly_all_good_messages_survive_a_flood_from_spoofed_sources() {
    let (good, done) = flood(8, 10, |hostile| 1_000_000 + hostile);
    assert!(good > 500 && done * 100 >= good * 99, "{done} of {good} good messages were completed");
}

#[test]
fn nearly_all_good_messages_survive_a_flood_from_their_own_source() {
    for chunks in [4, 8, 128] {
        let (good, done) = flood(chunks, 20, |_| 7);
        assert!(good > 400 && done * 100 >= good * 95, "{done} of {good} good messages of {chunks} chunks");
    }
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    millis: u64,
    source: bool,
    id: u8,
    number: u8,
    /// 0 if the sequence count differs from the count in the other chunks, 1 if the payload differs.
    wrong: u8,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = (0u64..800, any::<bool>(), 0u8..12, 0u8..4, 0u8..12)
        .prop_map(|(millis, source, id, number, wrong)| Operation { millis, source, id, number, wrong });
    prop::collection::vec(operation, 0..200)
}

proptest! {
    /// For any operations, the tables agree and the limits hold, no completed message is longer than its
    /// chunks can be, and each message is counted once.
    #[test]
    fn any_operations_keep_the_tables_consistent_and_every_message_counted(
        operations in operations(),
        max_entries in 1usize..10,
        max_entries_per_source in 1usize..10,
        max_bytes in 2_000usize..6_000,
        discard in any::<bool>(),
    ) {
        let mut harness = Harness::with(|limits| {
            limits.max_entries = max_entries;
            limits.max_entries_per_source = max_entries_per_source;
            limits.max_bytes = max_bytes;
            limits.discard_conflicts = discard;
        });
        let (mut now, mut begun) = (0, 0);
        for Operation { millis, source, id, number, wrong } in operations {
            now += millis;
            let source = if source { A } else { B };
            // A message has two to four chunks of up to 300 bytes. The id determines the number of chunks and
            // their length.
            let count = 2 + id % 3;
            let (number, count) = (number % count, if wrong == 0 { count % 4 + 2 } else { count });
            let number = number.min(count - 1);
            let mut payload = vec![id ^ number; 100 * usize::from(id % 4)];
            if wrong == 1 {
                payload.push(0xff);
            }
            let key = (MessageId([0, 0, 0, 0, 0, 0, 0, id]), source);
            harness.reassembler.handle_timeout(harness.start + Duration::from_millis(now));
            begun += u64::from(harness.reassembler.index.get(&key).is_none());
            if let Ok(Some(payload)) = harness.at(now, source, id, number, count, &payload) {
                let longest = 4 * (100 * usize::from(id % 4) + 1);
                prop_assert!(payload.len() <= longest);
            }
            let stats = harness.reassembler.stats();
            let ended = stats.completed + stats.conflicts + stats.evicted + stats.expired + stats.too_large;
            prop_assert_eq!(ended + stats.pending as u64, begun);
        }
    }
}
