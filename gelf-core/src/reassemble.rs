//! Chunks put together again.
//!
//! > GELF 1.1: "All chunks MUST arrive within 5 seconds or the server will discard all chunks that have arrived
//! > already and are still arriving."
//!
//! Chunks come in any order, messages interleaved, some twice and some never, and anybody may send them. So a pending
//! message belongs to its source and its id, a table of bounded size gives way to new messages by dropping the oldest,
//! and every drop is reported. There is no memory of completed ids: some senders use an id again at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::chunk::{ChunkHeader, MessageId};

/// What a pending message costs beside its payload: its places in three tables, and their spare room.
const ENTRY_OVERHEAD: usize = 320;

/// How many drops wait to be polled; further ones are only counted.
const MAX_DROPPED_EVENTS: usize = 1024;

/// How much a [`Reassembler`] holds, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReassemblyLimits {
    /// How long after its first chunk a message may be completed: 5 s, inclusive.
    pub timeout: Duration,
    /// How many messages may be pending: 8,192. A flood of chunks that never complete a message costs no more, and a
    /// good message survives it if its chunks come faster than 8,192 hostile ones.
    pub max_entries: usize,
    /// How many of them may be of one source: 512, so that one sender cannot crowd out the others.
    pub max_entries_per_source: usize,
    /// How many bytes they may hold, bookkeeping included: 64 MiB. 128 chunks of 64 KiB each are 8 MiB a message.
    pub max_bytes: usize,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            max_entries: 8192,
            max_entries_per_source: 512,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Puts the chunks of messages together, for any number of sources at once.
///
/// `S` tells one source from another: a socket address, or an IP address alone where something on the way changes
/// the port, or `()` to trust the ids alone, as Graylog does. It knows no clock: each call is told the time, which
/// must not go back.
///
/// ```
/// use std::time::Instant;
/// use gelf_core::{ChunkHeader, Progress, Reassembler};
///
/// let mut reassembler = Reassembler::<u8>::default();
/// let now = Instant::now();
/// let mut receive = |datagram: &[u8]| {
///     let (header, payload) = ChunkHeader::parse(datagram).unwrap();
///     reassembler.handle_chunk(now, 1, header, payload)
/// };
/// assert_eq!(receive(b"\x1e\x0fmessage1\x01\x02bar"), Ok(Progress::Pending));
/// assert_eq!(receive(b"\x1e\x0fmessage1\x00\x02foo"), Ok(Progress::Complete(b"foobar".to_vec())));
/// ```
#[derive(Debug)]
pub struct Reassembler<S> {
    limits: ReassemblyLimits,
    pending: HashMap<(S, MessageId), Pending>,
    /// The pending messages by age. Its keys count up, so the order is that of the first chunks and of the deadlines.
    by_age: BTreeMap<u64, (S, MessageId)>,
    by_source: HashMap<S, BTreeSet<u64>>,
    next_age: u64,
    bytes: usize,
    dropped: VecDeque<Dropped<S>>,
    stats: ReassemblyStats,
}

/// A message of which chunks are missing.
#[derive(Debug)]
struct Pending {
    age: u64,
    first_at: Instant,
    count: u8,
    /// A bit for each chunk that has come.
    received: u128,
    /// Where in `data` the payload of each chunk is; `data` has them in the order in which they came.
    parts: Vec<(u32, u32)>,
    data: Vec<u8>,
    in_order: bool,
}

/// What became of a chunk.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// It completed its message: here is the payload.
    Complete(Vec<u8>),
    /// It had come before; the first one stays.
    Duplicate {
        /// Whether the payloads are the same. If not, one of the two was not sent by the sender of the others.
        identical: bool,
    },
    /// More are missing.
    Pending,
}

/// A pending message that was given up.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Dropped<S> {
    /// Whose it was.
    pub source: S,
    /// Its id.
    pub id: MessageId,
    /// How many of its chunks had come.
    pub received: u8,
    /// How many it had.
    pub count: u8,
    /// Why.
    pub reason: DropReason,
}

/// Why a pending message was given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DropReason {
    /// It was the oldest, of its source or of all, and a limit was reached.
    Evicted,
    /// It was not completed in time.
    Expired,
}

/// What a [`Reassembler`] has done so far. Every message it began is in `completed`, `evicted`, `expired` or `pending`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReassemblyStats {
    /// Messages completed.
    pub completed: u64,
    /// Chunks that had come before.
    pub duplicates: u64,
    /// Messages given up for room.
    pub evicted: u64,
    /// Messages given up for time.
    pub expired: u64,
    /// Messages pending now.
    pub pending: usize,
    /// What they hold now, in bytes, bookkeeping included.
    pub pending_bytes: usize,
    /// Chunks refused with a [`ReassemblyError`].
    pub refused: u64,
}

/// Why a chunk was refused. The pending message is as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReassemblyError {
    /// Its sequence count is not that of the chunks before it.
    CountMismatch {
        /// The count of the first chunk.
        expected: u8,
        /// The count of this one.
        found: u8,
    },
}

impl fmt::Display for ReassemblyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountMismatch { expected, found } => {
                write!(f, "a chunk of {found} for a message of {expected} chunks")
            }
        }
    }
}

impl std::error::Error for ReassemblyError {}

impl<S: Clone + Eq + Hash> Default for Reassembler<S> {
    fn default() -> Self {
        Self::new(ReassemblyLimits::default())
    }
}

impl<S: Clone + Eq + Hash> Reassembler<S> {
    /// An empty one with these limits.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            pending: HashMap::new(),
            by_age: BTreeMap::new(),
            by_source: HashMap::new(),
            next_age: 0,
            bytes: 0,
            dropped: VecDeque::new(),
            stats: ReassemblyStats::default(),
        }
    }

    /// Takes a chunk that came at `now` from `source`.
    ///
    /// # Errors
    /// [`ReassemblyError`], when it does not go with the chunks before it.
    pub fn handle_chunk(
        &mut self,
        now: Instant,
        source: S,
        header: ChunkHeader,
        payload: &[u8],
    ) -> Result<Progress, ReassemblyError> {
        self.handle_timeout(now);
        if header.sequence_count() == 1 {
            self.stats.completed += 1;
            return Ok(Progress::Complete(payload.to_vec()));
        }
        let key = (source, header.id());
        if !self.pending.contains_key(&key) {
            self.begin(now, key.clone(), header.sequence_count());
        }
        let Some(pending) = self.pending.get_mut(&key) else {
            // Room for no message at all.
            return Ok(Progress::Pending);
        };
        if pending.count != header.sequence_count() {
            self.stats.refused += 1;
            return Err(ReassemblyError::CountMismatch {
                expected: pending.count,
                found: header.sequence_count(),
            });
        }
        if let Some(earlier) = pending.part(header.sequence_number()) {
            self.stats.duplicates += 1;
            return Ok(Progress::Duplicate { identical: earlier == payload });
        }
        let before = pending.cost();
        pending.add(header.sequence_number(), payload);
        self.bytes = self.bytes + pending.cost() - before;
        if pending.is_complete() {
            self.stats.completed += 1;
            return Ok(match self.remove(&key) {
                Some(pending) => Progress::Complete(pending.join()),
                None => Progress::Pending,
            });
        }
        self.make_room();
        Ok(Progress::Pending)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // A chunk at the very deadline is in time.
        let (_, oldest) = self.by_age.first_key_value()?;
        Some(self.pending.get(oldest)?.first_at + self.limits.timeout + Duration::from_nanos(1))
    }

    /// Gives up what was not completed in time. Each call of [`handle_chunk`](Self::handle_chunk) does it too.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.drop_oldest(DropReason::Expired);
        }
    }

    /// The next message that was given up and not polled yet; of more than 1,024 the later ones are only counted.
    pub fn poll_dropped(&mut self) -> Option<Dropped<S>> {
        self.dropped.pop_front()
    }

    /// What it has done so far.
    pub fn stats(&self) -> ReassemblyStats {
        ReassemblyStats { pending: self.pending.len(), pending_bytes: self.bytes, ..self.stats }
    }

    fn begin(&mut self, now: Instant, key: (S, MessageId), count: u8) {
        let of_source = self.by_source.get(&key.0);
        if of_source.is_some_and(|ages| ages.len() >= self.limits.max_entries_per_source) {
            let oldest = of_source.and_then(BTreeSet::first).copied();
            if let Some(age) = oldest {
                self.drop_age(age, DropReason::Evicted);
            }
        }
        while self.pending.len() >= self.limits.max_entries && self.drop_oldest(DropReason::Evicted) {}
        if self.limits.max_entries.min(self.limits.max_entries_per_source) == 0 {
            self.stats.evicted += 1;
            return;
        }
        let age = self.next_age;
        self.next_age += 1;
        let parts = vec![(0, 0); usize::from(count)];
        let pending =
            Pending { age, first_at: now, count, received: 0, parts, data: Vec::new(), in_order: true };
        self.bytes += pending.cost();
        self.by_age.insert(age, key.clone());
        self.by_source.entry(key.0.clone()).or_default().insert(age);
        self.pending.insert(key, pending);
    }

    fn make_room(&mut self) {
        while self.bytes > self.limits.max_bytes && self.drop_oldest(DropReason::Evicted) {}
    }

    fn drop_oldest(&mut self, reason: DropReason) -> bool {
        match self.by_age.first_key_value() {
            Some((age, _)) => {
                self.drop_age(*age, reason);
                true
            }
            None => false,
        }
    }

    fn drop_age(&mut self, age: u64, reason: DropReason) {
        let Some(key) = self.by_age.get(&age).cloned() else { return };
        let Some(pending) = self.remove(&key) else { return };
        match reason {
            DropReason::Evicted => self.stats.evicted += 1,
            DropReason::Expired => self.stats.expired += 1,
        }
        if self.dropped.len() < MAX_DROPPED_EVENTS {
            let received = pending.received.count_ones() as u8;
            self.dropped.push_back(Dropped {
                source: key.0,
                id: key.1,
                received,
                count: pending.count,
                reason,
            });
        }
    }

    /// Takes a message out of all three tables.
    fn remove(&mut self, key: &(S, MessageId)) -> Option<Pending> {
        let pending = self.pending.remove(key)?;
        self.bytes -= pending.cost();
        self.by_age.remove(&pending.age);
        if let Some(ages) = self.by_source.get_mut(&key.0) {
            ages.remove(&pending.age);
            if ages.is_empty() {
                self.by_source.remove(&key.0);
            }
        }
        Some(pending)
    }
}

impl Pending {
    fn cost(&self) -> usize {
        ENTRY_OVERHEAD + self.parts.capacity() * size_of::<(u32, u32)>() + self.data.capacity()
    }

    fn is_complete(&self) -> bool {
        self.received.count_ones() == u32::from(self.count)
    }

    fn part(&self, number: u8) -> Option<&[u8]> {
        if self.received & (1 << number) == 0 {
            return None;
        }
        let (start, len) = *self.parts.get(usize::from(number))?;
        self.data.get(start as usize..)?.get(..len as usize)
    }

    fn add(&mut self, number: u8, payload: &[u8]) {
        self.in_order &= self.received.count_ones() == u32::from(number);
        self.received |= 1 << number;
        if let Some(part) = self.parts.get_mut(usize::from(number)) {
            // 128 datagrams are 8 MiB: no offset nears 4 GiB.
            *part = (self.data.len() as u32, payload.len() as u32);
        }
        self.data.extend_from_slice(payload);
    }

    fn join(self) -> Vec<u8> {
        if self.in_order {
            return self.data;
        }
        let mut joined = Vec::with_capacity(self.data.len());
        for number in 0..self.count {
            joined.extend_from_slice(self.part(number).unwrap_or_default());
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: char = 'A';
    const B: char = 'B';

    struct Bench {
        reassembler: Reassembler<char>,
        start: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self::with(|_| ())
        }

        fn with(adjust: impl FnOnce(&mut ReassemblyLimits)) -> Self {
            let mut limits = ReassemblyLimits::default();
            adjust(&mut limits);
            Self { reassembler: Reassembler::new(limits), start: Instant::now() }
        }

        fn at(
            &mut self,
            millis: u64,
            source: char,
            id: u8,
            number: u8,
            count: u8,
            payload: &[u8],
        ) -> Result<Progress, ReassemblyError> {
            let wire = [&[0x1e, 0x0f, 0, 0, 0, 0, 0, 0, 0, id, number, count], payload].concat();
            let (header, payload) = ChunkHeader::parse(&wire).unwrap();
            let now = self.start + Duration::from_millis(millis);
            let progress = self.reassembler.handle_chunk(now, source, header, payload);
            self.check();
            progress
        }

        fn chunk(&mut self, source: char, id: u8, number: u8, count: u8, payload: &[u8]) -> Progress {
            self.at(0, source, id, number, count, payload).unwrap()
        }

        /// The three tables agree, and the bounds hold.
        fn check(&self) {
            let table = &self.reassembler;
            assert_eq!(table.pending.len(), table.by_age.len());
            assert_eq!(table.pending.len(), table.by_source.values().map(BTreeSet::len).sum::<usize>());
            assert_eq!(table.bytes, table.pending.values().map(Pending::cost).sum::<usize>());
            assert!(table.pending.len() <= table.limits.max_entries);
            assert!(table.bytes <= table.limits.max_bytes);
            assert!(table.by_source.values().all(|ages| ages.len() <= table.limits.max_entries_per_source));
        }
    }

    fn complete(payload: &[u8]) -> Progress {
        Progress::Complete(payload.to_vec())
    }

    #[test]
    fn a_single_chunk_completes_at_once_and_leaves_no_state() {
        let mut bench = Bench::new();
        assert_eq!(bench.chunk(A, 1, 0, 1, b"whole"), complete(b"whole"));
        assert_eq!(bench.reassembler.stats().pending, 0);
    }

    #[test]
    fn any_order_gives_the_same_message() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut bench = Bench::new();
            let parts: [&[u8]; 3] = [b"Hello", b" World", b"!"];
            let mut results = order.map(|at| bench.chunk(A, 1, at, 3, parts[usize::from(at)]));
            assert_eq!(results[2], complete(b"Hello World!"), "{order:?}");
            results[2] = Progress::Pending;
            assert_eq!(results, [const { Progress::Pending }; 3]);
            assert_eq!(bench.reassembler.stats().pending_bytes, 0);
        }
    }

    #[test]
    fn an_empty_last_chunk_completes_as_go_gelf_sends_it() {
        let mut bench = Bench::new();
        bench.chunk(A, 1, 0, 3, &[b'a'; 1408]);
        bench.chunk(A, 1, 1, 3, &[b'b'; 1408]);
        assert_eq!(bench.chunk(A, 1, 2, 3, b""), complete(&[[b'a'; 1408], [b'b'; 1408]].concat()));
    }

    #[test]
    fn interleaved_ids_do_not_interfere() {
        let mut bench = Bench::new();
        bench.chunk(A, 1, 0, 2, b"a");
        bench.chunk(A, 2, 1, 2, b"d");
        assert_eq!(bench.chunk(A, 1, 1, 2, b"b"), complete(b"ab"));
        assert_eq!(bench.chunk(A, 2, 0, 2, b"c"), complete(b"cd"));
    }

    #[test]
    fn the_same_id_from_another_source_is_another_message() {
        let mut bench = Bench::new();
        assert_eq!(bench.chunk(A, 1, 0, 2, b"a"), Progress::Pending);
        assert_eq!(bench.chunk(B, 1, 1, 2, b"b"), Progress::Pending);
        assert_eq!(bench.reassembler.stats().pending, 2);
        assert_eq!(bench.chunk(A, 1, 1, 2, b"A"), complete(b"aA"));
    }

    #[test]
    fn of_a_repeated_chunk_the_first_stays() {
        let mut bench = Bench::new();
        bench.chunk(A, 1, 0, 2, b"a");
        assert_eq!(bench.chunk(A, 1, 0, 2, b"a"), Progress::Duplicate { identical: true });
        assert_eq!(bench.chunk(A, 1, 0, 2, b"x"), Progress::Duplicate { identical: false });
        assert_eq!(bench.chunk(A, 1, 1, 2, b"b"), complete(b"ab"));
        assert_eq!(bench.reassembler.stats().duplicates, 2);
    }

    #[test]
    fn a_chunk_with_another_count_is_refused_and_the_message_goes_on() {
        let mut bench = Bench::new();
        bench.chunk(A, 1, 0, 3, b"a");
        let refused = bench.at(0, A, 1, 1, 2, b"x");
        assert_eq!(refused, Err(ReassemblyError::CountMismatch { expected: 3, found: 2 }));
        bench.chunk(A, 1, 1, 3, b"b");
        assert_eq!(bench.chunk(A, 1, 2, 3, b"c"), complete(b"abc"));
    }

    #[test]
    fn five_seconds_after_the_first_chunk_is_in_time_and_a_moment_later_is_not() {
        let mut bench = Bench::new();
        bench.at(0, A, 1, 0, 2, b"a").unwrap();
        assert_eq!(bench.at(5000, A, 1, 1, 2, b"b"), Ok(complete(b"ab")));

        let mut bench = Bench::new();
        bench.at(0, A, 1, 0, 3, b"a").unwrap();
        bench.at(4000, A, 1, 1, 3, b"b").unwrap();
        assert_eq!(bench.at(5001, A, 1, 2, 3, b"c"), Ok(Progress::Pending));
        let dropped = bench.reassembler.poll_dropped().unwrap();
        assert_eq!((dropped.received, dropped.count, dropped.reason), (2, 3, DropReason::Expired));
        assert_eq!(bench.reassembler.poll_dropped(), None);
        assert_eq!(bench.reassembler.stats().pending, 1);
    }

    #[test]
    fn poll_timeout_frees_what_nobody_completes() {
        let mut bench = Bench::new();
        for id in 0..10 {
            bench.chunk(A, id, 0, 2, b"x");
        }
        let deadline = bench.reassembler.poll_timeout().unwrap();
        assert_eq!(deadline, bench.start + Duration::from_secs(5) + Duration::from_nanos(1));
        bench.reassembler.handle_timeout(deadline - Duration::from_nanos(1));
        assert_eq!(bench.reassembler.stats().pending, 10);
        bench.reassembler.handle_timeout(deadline);
        bench.check();
        let stats = bench.reassembler.stats();
        assert_eq!((stats.pending, stats.pending_bytes, stats.expired), (0, 0, 10));
        assert_eq!(bench.reassembler.poll_timeout(), None);
        assert_eq!(std::iter::from_fn(|| bench.reassembler.poll_dropped()).count(), 10);
    }

    #[test]
    fn a_completed_id_may_be_used_again() {
        let mut bench = Bench::new();
        bench.chunk(A, 1, 0, 2, b"a");
        assert_eq!(bench.chunk(A, 1, 1, 2, b"b"), complete(b"ab"));
        bench.chunk(A, 1, 0, 2, b"c");
        assert_eq!(bench.chunk(A, 1, 1, 2, b"d"), complete(b"cd"));
    }

    #[test]
    fn a_full_table_gives_way_to_the_new_and_still_completes_the_pending() {
        let mut bench = Bench::with(|limits| limits.max_entries = 2);
        bench.chunk(A, 1, 0, 2, b"a");
        bench.chunk(A, 2, 0, 2, b"b");
        bench.chunk(A, 3, 0, 2, b"c");
        let dropped = bench.reassembler.poll_dropped().unwrap();
        assert_eq!((dropped.id.0[7], dropped.reason), (1, DropReason::Evicted));
        assert_eq!(bench.chunk(A, 2, 1, 2, b"B"), complete(b"bB"));
        assert_eq!(bench.chunk(A, 3, 1, 2, b"C"), complete(b"cC"));
    }

    #[test]
    fn one_source_cannot_crowd_out_another() {
        let mut bench = Bench::with(|limits| limits.max_entries_per_source = 4);
        bench.chunk(B, 200, 0, 2, b"good");
        for id in 0..100 {
            bench.chunk(A, id, 0, 2, b"x");
        }
        assert_eq!(bench.reassembler.stats().pending, 5);
        assert_eq!(bench.reassembler.stats().evicted, 96);
        assert_eq!(bench.chunk(B, 200, 1, 2, b"!"), complete(b"good!"));
    }

    #[test]
    fn bytes_are_bounded_with_the_bookkeeping() {
        let mut bench = Bench::with(|limits| limits.max_bytes = 64 * 1024);
        for id in 0..50 {
            bench.chunk(A, id, 0, 128, &[b'x'; 5000]);
        }
        let stats = bench.reassembler.stats();
        assert_eq!(stats.pending as u64 + stats.evicted, 50);
        assert!(stats.pending >= 9, "{stats:?}");
    }

    #[test]
    fn a_message_larger_than_all_the_room_is_dropped_and_said() {
        let mut bench = Bench::with(|limits| limits.max_bytes = 10_000);
        bench.chunk(A, 1, 0, 2, &[b'x'; 20_000]);
        assert_eq!(bench.reassembler.poll_dropped().unwrap().reason, DropReason::Evicted);
        assert_eq!(bench.reassembler.stats().pending_bytes, 0);
    }

    #[test]
    fn room_for_nothing_holds_nothing() {
        let mut bench = Bench::with(|limits| limits.max_entries = 0);
        assert_eq!(bench.chunk(A, 1, 0, 2, b"a"), Progress::Pending);
        assert_eq!(bench.reassembler.stats().evicted, 1);
        assert_eq!(bench.chunk(A, 1, 0, 1, b"whole"), complete(b"whole"));
    }

    #[test]
    fn unpolled_drops_are_bounded_and_counted() {
        let mut bench = Bench::with(|limits| limits.max_entries = 1);
        for id in 0..5000u32 {
            let mut wire = vec![0x1e, 0x0f, 0, 0, 0, 0];
            wire.extend_from_slice(&id.to_be_bytes());
            wire.extend_from_slice(&[0, 2]);
            let (header, payload) = ChunkHeader::parse(&wire).unwrap();
            bench.reassembler.handle_chunk(bench.start, A, header, payload).unwrap();
        }
        assert_eq!(bench.reassembler.stats().evicted, 4999);
        assert_eq!(std::iter::from_fn(|| bench.reassembler.poll_dropped()).count(), MAX_DROPPED_EVENTS);
    }

    proptest! {
        #[test]
        fn shuffled_interleaved_and_repeated_chunks_give_exactly_the_messages(
            counts in prop::collection::vec(1u8..20, 1..20),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..600),
        ) {
            // Every chunk once, some twice, in any order.
            let mut chunks: Vec<(u8, u8, u8)> = counts
                .iter()
                .enumerate()
                .flat_map(|(id, count)| (0..*count).map(move |number| (id as u8, number, *count)))
                .collect();
            let total = chunks.len();
            for (at, pick) in order.iter().enumerate() {
                let other = pick.index(total);
                chunks.swap(at % total, other);
            }
            let mut bench = Bench::new();
            let mut done = vec![0; counts.len()];
            for (id, number, count) in chunks {
                let source = if id % 2 == 0 { A } else { B };
                if count > 1 && number % 3 == 0 {
                    // A repeat before the last chunk changes nothing; after it, it would begin a new message.
                    let key = (source, MessageId([0, 0, 0, 0, 0, 0, 0, id]));
                    let last = bench.reassembler.pending.get(&key).is_some_and(|p| p.received.count_ones() + 1 == u32::from(count));
                    if !last {
                        prop_assert_eq!(bench.chunk(source, id, number, count, &[id, number]), Progress::Pending);
                        prop_assert_eq!(
                            bench.chunk(source, id, number, count, &[id, number]),
                            Progress::Duplicate { identical: true }
                        );
                        continue;
                    }
                }
                if let Progress::Complete(payload) = bench.chunk(source, id, number, count, &[id, number]) {
                    let expected: Vec<u8> = (0..count).flat_map(|number| [id, number]).collect();
                    prop_assert_eq!(payload, expected);
                    done[usize::from(id)] += 1;
                }
            }
            prop_assert!(done.iter().all(|times| *times == 1), "{:?}", done);
            prop_assert_eq!(bench.reassembler.stats().pending_bytes, 0);
        }
    }
}
