//! Chunks put together again.
//!
//! > GELF 1.1: "All chunks MUST arrive within 5 seconds or the server will discard all chunks that have arrived
//! > already and are still arriving."
//!
//! Chunks come in any order, messages interleaved, some twice and some never, and anybody may send them. So a pending
//! message belongs to its source and its id, a table of bounded size gives way to new messages by dropping the oldest,
//! and every drop is reported. There is no memory of completed ids: some senders use an id again at once.

mod chunks;
mod list;
mod slot;
mod table;

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::chunk::{ChunkHeader, MessageId};
use chunks::Chunks;
use list::{Kind, Linked, Links, List};
use slot::{Key, Slot};
use table::Table;

/// How many drops wait to be polled; further ones are only counted.
const MAX_DROPPED_EVENTS: usize = 1024;

/// The memory of a larger message is given back after it.
const RETAINED_BYTES: usize = 128 * 1024;

/// As long as fewer messages are pending, each may have a place that a larger one has left: they are few.
const FEW_PENDING: usize = 64;

/// When there are more, a place with more memory than this must be about as large as the message needs.
const RETAINED_IN_A_FLOOD: usize = 256;

/// How much memory all free slots keep for the next messages: more are rarely on their way at once, and a source that
/// had many large ones completed may not fill the room of the others with what it left.
const RETAINED_BYTES_OF_ALL: usize = 1024 * 1024;

/// How much a [`Reassembler`] holds, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReassemblyLimits {
    /// How long after its first chunk a message may be completed: 5 s, inclusive.
    pub timeout: Duration,
    /// How many messages may be pending: 8,192. A flood of chunks that never complete a message costs no more, and a
    /// good message survives it if its second chunk comes before half as many hostile messages have begun.
    pub max_entries: usize,
    /// How many of them may be of one source: 512, so that one sender cannot crowd out the others.
    pub max_entries_per_source: usize,
    /// How many bytes they may hold, bookkeeping and memory kept for reuse included: 64 MiB. 128 chunks of 64 KiB each
    /// are 8 MiB a message. A message that is handed out may exceed it until the next call.
    pub max_bytes: usize,
    /// What to do when a chunk comes twice with different payloads: keep the first.
    pub on_conflict: OnConflict,
}

/// What to do when a chunk comes twice with different payloads. One of the two was not sent by the sender of the rest,
/// and nobody can tell which.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OnConflict {
    /// Give up the message.
    Discard,
    /// Keep the payload that came first, as Graylog does.
    #[default]
    KeepFirst,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            max_entries: 8192,
            max_entries_per_source: 512,
            max_bytes: 64 * 1024 * 1024,
            on_conflict: OnConflict::KeepFirst,
        }
    }
}

/// Puts the chunks of messages together, for any number of sources at once.
///
/// `S` tells one source from another: a socket address, or an IP address alone where something on the way changes
/// the port, or `()` to trust the ids alone, as Graylog does. It knows no clock: each call is told the time, which
/// must not go back.
///
/// When the table is full, the oldest message gives way; as long as those of which only one chunk has come fill more
/// than half of it, the oldest of those. So a flood of first chunks drowns itself.
///
/// ```
/// use std::time::Instant;
/// use gelf_core::{ChunkHeader, Progress, Reassembler};
///
/// let mut reassembler = Reassembler::<u8>::default();
/// let now = Instant::now();
/// let (header, payload) = ChunkHeader::parse(b"\x1e\x0fmessage1\x01\x02bar")?;
/// assert_eq!(reassembler.handle_chunk(now, 1, header, payload), Ok(Progress::Pending));
/// let (header, payload) = ChunkHeader::parse(b"\x1e\x0fmessage1\x00\x02foo")?;
/// assert_eq!(reassembler.handle_chunk(now, 1, header, payload), Ok(Progress::Complete(b"foobar")));
/// # Ok::<(), gelf_core::InvalidChunk>(())
/// ```
#[derive(Debug)]
pub struct Reassembler<S> {
    limits: ReassemblyLimits,
    /// Which slot a pending message has.
    index: Table<Key<S>, u32>,
    slots: Slots<S>,
    /// Slots without a message; the last one freed, whose memory is in the processor's cache, is taken first.
    free: Vec<u32>,
    /// What the chunks that were in those still hold, for the next.
    free_bytes: usize,
    /// The free slot that has the last message that was completed, until the next call.
    finished: Option<u32>,
    by_age: List,
    /// The deadline of the oldest, so that no chunk needs to look at its slot.
    first_deadline: Option<Instant>,
    /// How many have one chunk.
    singles: usize,
    /// All that are older than this one have several chunks; it is none when all have.
    oldest_single: Option<u32>,
    sources: Table<S, List>,
    /// What the slots take, and the chunks in them, those of free slots too.
    bytes: usize,
    /// The last message whose chunks did not come in order.
    joined: Vec<u8>,
    dropped: VecDeque<Dropped<S>>,
    stats: ReassemblyStats,
}

#[derive(Debug)]
struct Slots<S>(Vec<Slot<S>>);

impl<S> Slots<S> {
    fn get(&self, slot: u32) -> Option<&Slot<S>> {
        self.0.get(slot as usize)
    }

    fn get_mut(&mut self, slot: u32) -> Option<&mut Slot<S>> {
        self.0.get_mut(slot as usize)
    }
}

impl<S> Linked for Slots<S> {
    fn links(&mut self, slot: u32) -> Option<&mut Links> {
        self.get_mut(slot).map(|slot| &mut slot.links)
    }
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// It completed its message: here is the payload.
    Complete(&'a [u8]),
    /// It had come before; what becomes of a conflict is in [`OnConflict`].
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
    /// A chunk came twice, with different payloads.
    Conflict,
    /// It was the oldest, of its source or of all, and a limit was reached.
    Evicted,
    /// It was not completed in time.
    Expired,
    /// It alone would have held more than all may.
    TooLarge,
}

/// What a [`Reassembler`] has done so far. Every message it began is in `completed`, `conflicts`, `evicted`, `expired`,
/// `too_large` or `pending`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReassemblyStats {
    /// Messages completed.
    pub completed: u64,
    /// Messages given up for a [conflict](OnConflict::Discard).
    pub conflicts: u64,
    /// Chunks that had come before.
    pub duplicates: u64,
    /// Messages given up for room.
    pub evicted: u64,
    /// Messages given up for time.
    pub expired: u64,
    /// Messages pending now.
    pub pending: usize,
    /// What is held now, in bytes: by pending messages, for bookkeeping, and for reuse.
    pub held_bytes: usize,
    /// Messages given up because each alone would have held more than all may.
    pub too_large: u64,
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
    /// What a slot costs beside its chunks: itself, and its places in the tables, of which up to half may be empty.
    const SLOT_BYTES: usize = size_of::<Slot<S>>()
        + 2 * (size_of::<(Key<S>, u32)>() + size_of::<(S, List)>() + 2)
        + size_of::<u32>();

    /// An empty one with these limits.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            index: Table::default(),
            slots: Slots(Vec::new()),
            free: Vec::new(),
            free_bytes: 0,
            finished: None,
            by_age: List::default(),
            first_deadline: None,
            singles: 0,
            oldest_single: None,
            sources: Table::default(),
            bytes: 0,
            joined: Vec::new(),
            dropped: VecDeque::new(),
            stats: ReassemblyStats::default(),
        }
    }

    /// Takes a chunk that came at `now` from `source`. The payload of a message that it completes is there until the
    /// next call; a message of one chunk is the chunk's own payload.
    ///
    /// # Errors
    /// [`ReassemblyError`], when it does not go with the chunks before it.
    pub fn handle_chunk<'a>(
        &'a mut self,
        now: Instant,
        source: S,
        header: ChunkHeader,
        payload: &'a [u8],
    ) -> Result<Progress<'a>, ReassemblyError> {
        self.handle_timeout(now);
        self.reclaim();
        if header.sequence_count() == 1 {
            self.stats.completed += 1;
            return Ok(Progress::Complete(payload));
        }
        let key = (header.id(), source);
        let found = match self.index.get(&key) {
            Some(slot) => Some(*slot),
            None => self.begin(now, key, header.sequence_count(), payload.len()),
        };
        let Some((slot, pending)) = found.and_then(|slot| Some((slot, self.slots.get_mut(slot)?))) else {
            // Room for no message at all.
            return Ok(Progress::Pending);
        };
        if pending.count != header.sequence_count() {
            let expected = pending.count;
            self.stats.refused += 1;
            return Err(ReassemblyError::CountMismatch { expected, found: header.sequence_count() });
        }
        if let Some(earlier) = pending.chunks.part(header.sequence_number()) {
            let identical = earlier == payload;
            self.stats.duplicates += 1;
            if !identical && self.limits.on_conflict == OnConflict::Discard {
                self.drop_message(slot, DropReason::Conflict);
            }
            return Ok(Progress::Duplicate { identical });
        }
        let grown = pending.chunks.add(header.sequence_number(), header.sequence_count(), payload);
        self.bytes += grown;
        if pending.chunks.received() == 2 {
            self.singles -= 1;
        }
        if pending.is_complete() {
            self.stats.completed += 1;
            return Ok(Progress::Complete(self.complete(slot)));
        }
        if grown > 0 {
            self.make_room(slot);
        }
        Ok(Progress::Pending)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // A chunk at the very deadline is in time.
        self.first_deadline?.checked_add(Duration::from_nanos(1))
    }

    /// Gives up what was not completed in time. Each call of [`handle_chunk`](Self::handle_chunk) does it too.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.first_deadline.is_some_and(|deadline| deadline < now)
            && let Some(oldest) = self.by_age.first()
        {
            self.drop_message(oldest, DropReason::Expired);
        }
    }

    /// The next message that was given up and not polled yet; of more than 1,024 the later ones are only counted.
    pub fn poll_dropped(&mut self) -> Option<Dropped<S>> {
        self.dropped.pop_front()
    }

    /// What it has done so far.
    pub fn stats(&self) -> ReassemblyStats {
        ReassemblyStats { pending: self.index.len(), held_bytes: self.bytes, ..self.stats }
    }

    /// A slot for a new message, whose first chunk has so many bytes, or none if there may be no message at all.
    fn begin(&mut self, now: Instant, key: Key<S>, count: u8, first: usize) -> Option<u32> {
        // No source has more than all have.
        if self.index.len() >= self.limits.max_entries_per_source
            && let Some(of_source) = self.sources.get(&key.1)
            && of_source.len() >= self.limits.max_entries_per_source
            && let Some(oldest) = of_source.first()
        {
            self.drop_message(oldest, DropReason::Evicted);
        }
        while self.index.len() >= self.limits.max_entries && self.evict() {}
        if self.free.is_empty() && !self.has_room(Self::SLOT_BYTES) {
            self.evict();
        }
        let slot = match self.limits.max_entries.min(self.limits.max_entries_per_source) {
            0 => None,
            _ => self.free_slot().or_else(|| self.new_slot()),
        };
        let Some(slot) = slot else {
            self.stats.evicted += 1;
            return None;
        };
        let place = self.slots.get_mut(slot)?;
        place.key = Some(key.clone());
        place.deadline = now.checked_add(self.limits.timeout);
        place.count = count;
        place.chunks.clear();
        // Else each message that is completed would leave its memory to the next first chunk of a flood, until all of
        // them sit on it.
        let is_flood = self.index.len() >= FEW_PENDING;
        if is_flood && place.chunks.memory() > RETAINED_IN_A_FLOOD.max(2 * Chunks::needed(first, count)) {
            self.bytes -= place.chunks.memory();
            place.chunks.shrink();
        }
        let deadline = place.deadline;
        self.by_age.push(Kind::Age, slot, &mut self.slots);
        if self.by_age.len() == 1 {
            self.first_deadline = deadline;
        }
        self.singles += 1;
        self.oldest_single = self.oldest_single.or(Some(slot));
        match self.sources.get_mut(&key.1) {
            Some(of_source) => of_source.push(Kind::Source, slot, &mut self.slots),
            None => {
                let mut of_source = List::default();
                of_source.push(Kind::Source, slot, &mut self.slots);
                self.sources.insert(key.1.clone(), of_source);
            }
        }
        self.index.insert(key, slot);
        Some(slot)
    }

    fn free_slot(&mut self) -> Option<u32> {
        let slot = self.free.pop()?;
        self.free_bytes -= self.slots.get(slot).map_or(0, |place| place.chunks.memory());
        Some(slot)
    }

    fn new_slot(&mut self) -> Option<u32> {
        if !self.has_room(Self::SLOT_BYTES) {
            return None;
        }
        let slot = u32::try_from(self.slots.0.len()).ok()?;
        self.slots.0.push(Slot::free());
        self.bytes += Self::SLOT_BYTES;
        Some(slot)
    }

    /// Whether there is room for so much more, if need be instead of what is kept for the next messages.
    fn has_room(&mut self, bytes: usize) -> bool {
        if self.bytes + bytes > self.limits.max_bytes && self.free_bytes > 0 {
            for at in 0..self.free.len() {
                self.shrink(at);
            }
        }
        self.bytes + bytes <= self.limits.max_bytes
    }

    /// Frees the memory of a free slot.
    fn shrink(&mut self, at: usize) {
        if let Some(place) = self.free.get(at).and_then(|slot| self.slots.get_mut(*slot)) {
            self.bytes -= place.chunks.memory();
            self.free_bytes -= place.chunks.memory();
            place.chunks.shrink();
        }
    }

    /// Gives up messages until what is held is within its limit, now that the one of `slot` has grown.
    fn make_room(&mut self, slot: u32) {
        if self.has_room(0) {
            return;
        }
        // It must not take all others with it.
        let alone = self.slots.get(slot).map_or(0, |place| Self::SLOT_BYTES + place.chunks.memory());
        if alone > self.limits.max_bytes {
            self.drop_message(slot, DropReason::TooLarge);
        }
        while !self.has_room(0) && self.evict() {}
    }

    /// Takes back what was handed out, which may have gone beyond the limits.
    fn reclaim(&mut self) {
        if let Some(slot) = self.finished.take() {
            self.recycle(slot);
            self.has_room(0);
        }
    }

    /// Looks at whether the memory of the slot that became free last is to be kept.
    fn recycle(&mut self, slot: u32) {
        let memory = self.slots.get(slot).map_or(0, |place| place.chunks.memory());
        if memory > RETAINED_BYTES || self.free_bytes > RETAINED_BYTES_OF_ALL {
            self.shrink(self.free.len().saturating_sub(1));
        }
    }

    /// Gives up the oldest of the messages with one chunk, if those are more than half, else the oldest of all.
    fn evict(&mut self) -> bool {
        let oldest =
            if self.singles * 2 > self.index.len() { self.oldest_single() } else { self.by_age.first() };
        match oldest {
            Some(oldest) => {
                self.drop_message(oldest, DropReason::Evicted);
                true
            }
            None => false,
        }
    }

    /// Steps over those that have got a second chunk; over each but once, for none gets younger or loses a chunk.
    fn oldest_single(&mut self) -> Option<u32> {
        while let Some(place) = self.oldest_single.and_then(|slot| self.slots.get(slot))
            && place.chunks.received() > 1
        {
            self.oldest_single = place.links.after(Kind::Age);
        }
        self.oldest_single
    }

    fn drop_message(&mut self, slot: u32, reason: DropReason) {
        let Some((id, source)) = self.unlink(slot) else { return };
        let Some(place) = self.slots.get(slot) else { return };
        let (received, count) = (place.chunks.received(), place.count);
        self.recycle(slot);
        match reason {
            DropReason::Conflict => self.stats.conflicts += 1,
            DropReason::Evicted => self.stats.evicted += 1,
            DropReason::Expired => self.stats.expired += 1,
            DropReason::TooLarge => self.stats.too_large += 1,
        }
        if self.dropped.len() < MAX_DROPPED_EVENTS {
            self.dropped.push_back(Dropped { source, id, received, count, reason });
        }
    }

    /// The payload of a message whose chunks are all there. Its slot is free, and keeps the payload until the next call.
    fn complete(&mut self, slot: u32) -> &[u8] {
        self.unlink(slot);
        self.finished = Some(slot);
        let Some(place) = self.slots.get(slot) else { return &[] };
        if let Some(payload) = place.chunks.in_order() {
            return payload;
        }
        if self.joined.capacity() > RETAINED_BYTES {
            self.joined = Vec::new();
        }
        self.joined.clear();
        place.chunks.join(&mut self.joined);
        &self.joined
    }

    /// Takes a message out of all tables; its slot is free then, and still has the chunks.
    fn unlink(&mut self, slot: u32) -> Option<Key<S>> {
        let place = self.slots.get_mut(slot)?;
        // Not `take`, which waits for what it has just written.
        let key = place.key.clone()?;
        place.key = None;
        self.free_bytes += place.chunks.memory();
        if place.chunks.received() < 2 {
            self.singles -= 1;
        }
        if self.oldest_single == Some(slot) {
            self.oldest_single = place.links.after(Kind::Age);
        }
        let was_first = self.by_age.first() == Some(slot);
        self.by_age.remove(Kind::Age, slot, &mut self.slots);
        if was_first {
            self.first_deadline = self.by_age.first().and_then(|slot| self.slots.get(slot)?.deadline);
        }
        if let Some(of_source) = self.sources.get_mut(&key.1) {
            of_source.remove(Kind::Source, slot, &mut self.slots);
            if of_source.len() == 0 {
                self.sources.remove(&key.1);
            }
        }
        self.index.remove(&key);
        self.free.push(slot);
        Some(key)
    }
}

#[cfg(test)]
mod tests;
