//! Reassembles chunked messages.
//!
//! > GELF 1.1: "All chunks MUST arrive within 5 seconds or the server will discard all chunks that have
//! > arrived already and are still arriving."
//!
//! Chunks arrive in any order and from any sender, interleaved with the chunks of other messages. Some chunks
//! arrive twice, and some never arrive. The reassembler identifies a pending message by its source and its
//! id. The table of pending messages is bounded: the reassembler drops a pending message to make room for a new
//! one, and counts every drop. It does not remember the ids of completed messages, since some senders reuse an id
//! immediately.

mod chunks;
mod group;
mod limits;
mod list;
mod slot;
mod table;

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::wire::chunk::{ChunkHeader, InvalidChunk, MessageId};
use chunks::Chunks;
use group::Group;
use list::Kind;
use slot::{Key, Slot, Slots};
use table::Table;

pub use limits::ReassemblyLimits;

/// The maximum number of drops that wait to be polled. Further drops are only counted.
const MAX_DROPPED_EVENTS: usize = 1024;

/// The maximum memory, in bytes, that one free slot keeps for a later message. Larger memory is freed.
const RETAINED_BYTES: usize = 128 * 1024;

/// The number of pending messages that counts as a flood. With fewer pending messages, each new message can
/// reuse the memory of a larger message.
const FEW_PENDING: usize = 64;

/// The maximum memory, in bytes, that each new message can reuse if at least `FEW_PENDING` messages are
/// pending. More memory is reused only if the message needs at least half of it.
const RETAINED_IN_A_FLOOD: usize = 256;

/// The maximum memory, in bytes, that all free slots together keep for later messages. More memory is rarely
/// reused, and the completed messages of one source must not occupy the memory of the other sources.
const RETAINED_BYTES_OF_ALL: usize = 1024 * 1024;

/// Joins the chunks of messages, for any number of sources.
///
/// The type `S` identifies a source. It can be a socket address, an IP address if the network changes the
/// port, or `()` to trust the ids alone, as Graylog does. The reassembler has no clock: the caller passes the
/// time, which must not go back.
///
/// If the table or its memory is full, the reassembler drops the oldest message. While more than half of the
/// pending messages have received only one chunk, it drops the oldest of these messages instead. Thus a flood of
/// first chunks displaces no message that has received several chunks, as long as fewer than half of the pending
/// messages have received several. The same rules apply to the messages of a source that has reached
/// [`max_entries_per_source`](ReassemblyLimits::max_entries_per_source).
///
/// ```
/// use std::time::Instant;
/// use gelf_core::wire::{ChunkHeader, Reassembler};
///
/// let mut reassembler = Reassembler::<u8>::default();
/// let now = Instant::now();
/// let (header, payload) = ChunkHeader::parse(b"\x1e\x0fmessage1\x01\x02bar")?;
/// assert_eq!(reassembler.handle_chunk(now, 1, header, payload), Ok(None));
/// let (header, payload) = ChunkHeader::parse(b"\x1e\x0fmessage1\x00\x02foo")?;
/// assert_eq!(reassembler.handle_chunk(now, 1, header, payload), Ok(Some(&b"foobar"[..])));
/// # Ok::<(), gelf_core::wire::InvalidChunk>(())
/// ```
pub struct Reassembler<S> {
    limits: ReassemblyLimits,
    /// The slot of each pending message.
    index: Table<Key<S>, u32>,
    slots: Slots<S>,
    /// The slots without a message. The slot that was freed last is taken first, since its memory is in the
    /// processor's cache.
    free: Vec<u32>,
    /// The memory that the free slots keep for later messages.
    free_bytes: usize,
    /// The free slot that keeps the last completed message until the next call.
    finished: Option<u32>,
    /// The pending messages of all sources.
    by_age: Group,
    /// The deadline of the oldest message. With this copy, the handling of a chunk need not look at the slot
    /// of that message.
    first_deadline: Option<Instant>,
    /// The pending messages of each source.
    sources: Table<S, Group>,
    /// The memory of all slots, including free slots, plus the memory of the chunks in them and of `joined`.
    bytes: usize,
    /// The buffer for the payload of a completed message whose chunks did not arrive in order.
    joined: Vec<u8>,
    dropped: VecDeque<Dropped<S>>,
    stats: ReassemblyStats,
}

/// A pending message that was dropped.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Dropped<S> {
    /// The source of the message.
    pub source: S,
    /// The id of the message.
    pub id: MessageId,
    /// The number of chunks that had arrived.
    pub received: u8,
    /// The number of chunks of the message.
    pub count: u8,
    /// The reason.
    pub reason: ReassemblyDropReason,
}

/// The reason why a pending message was dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReassemblyDropReason {
    /// A chunk arrived twice, with different payloads.
    Conflict,
    /// A limit of [`ReassemblyLimits`] was reached, and the message was the oldest of its source or of all
    /// sources. If more than half of the messages have received only one chunk, the oldest of these messages
    /// is evicted instead.
    Evicted,
    /// The message was not completed in time.
    Expired,
    /// The message alone would have exceeded the memory limit.
    TooLarge,
}

/// Counters of a [`Reassembler`]. Every message is counted in one of `completed`, `conflicts`, `evicted`,
/// `expired`, `too_large` and `pending`.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ReassemblyStats {
    /// Completed messages.
    pub completed: u64,
    /// Messages dropped because of a [conflict](ReassemblyLimits::discard_conflicts).
    pub conflicts: u64,
    /// Chunks whose number had arrived before in the same message, with the same payload or another one.
    pub duplicates: u64,
    /// Messages dropped to make room. If the limits allow no pending message, each chunk of a message of several
    /// chunks counts here as a message.
    pub evicted: u64,
    /// Messages dropped because of the timeout.
    pub expired: u64,
    /// Messages that are pending now.
    pub pending: usize,
    /// The memory that [`max_bytes`](ReassemblyLimits::max_bytes) limits and that is in use now, in bytes. It
    /// includes pending messages, bookkeeping, and memory that is kept for reuse.
    pub held_bytes: usize,
    /// Messages dropped because each alone would have exceeded the memory limit.
    pub too_large: u64,
    /// Chunks refused because of [`InvalidChunk::CountMismatch`].
    pub refused: u64,
}

/// Omits the pending messages.
impl<S> fmt::Debug for Reassembler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reassembler")
            .field("limits", &self.limits)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl<S: Clone + Eq + Hash> Default for Reassembler<S> {
    fn default() -> Self {
        Self::new(ReassemblyLimits::default())
    }
}

impl<S: Clone + Eq + Hash> Reassembler<S> {
    /// The memory of a slot without its chunks, in bytes: the slot itself, and its entries in the tables
    /// `index` and `sources` and in the list `free`. An entry of a table counts twice, since up to half of a
    /// table may be empty.
    const SLOT_BYTES: usize = size_of::<Slot<S>>()
        + 2 * (size_of::<(Key<S>, u32)>() + size_of::<(S, Group)>() + 2)
        + size_of::<u32>();

    /// Creates an empty reassembler with these limits.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            index: Table::default(),
            slots: Slots(Vec::new()),
            free: Vec::new(),
            free_bytes: 0,
            finished: None,
            by_age: Group::new(Kind::Age),
            first_deadline: None,
            sources: Table::default(),
            bytes: 0,
            joined: Vec::new(),
            dropped: VecDeque::new(),
            stats: ReassemblyStats::default(),
        }
    }

    /// Handles a chunk that arrived at `now` from `source`. Returns the payload of the message if the chunk
    /// completes it. Returns `None` if chunks are missing or if a chunk with this number had arrived before.
    ///
    /// # Errors
    /// Returns [`InvalidChunk::CountMismatch`] if the sequence count of the chunk differs from the count in
    /// the earlier chunks of its message. The message is not changed.
    pub fn handle_chunk<'a>(
        &'a mut self,
        now: Instant,
        source: S,
        header: ChunkHeader,
        payload: &'a [u8],
    ) -> Result<Option<&'a [u8]>, InvalidChunk> {
        self.handle_timeout(now);
        self.reclaim();
        if header.sequence_count() == 1 {
            self.stats.completed += 1;
            return Ok(Some(payload));
        }
        let key = (header.id(), source);
        let found = match self.index.get(&key) {
            Some(slot) => Some(*slot),
            None => self.begin(now, key, header.sequence_count(), payload.len()),
        };
        let Some(slot) = found else {
            // The limits allow no pending message at all.
            return Ok(None);
        };
        let pending = self.slots.get_mut(slot);
        if pending.count != header.sequence_count() {
            let expected = pending.count;
            self.stats.refused += 1;
            return Err(InvalidChunk::CountMismatch { expected, found: header.sequence_count() });
        }
        if let Some(earlier) = pending.chunks.part(header.sequence_number()) {
            let is_discarded = self.limits.discard_conflicts && earlier != payload;
            self.stats.duplicates += 1;
            if is_discarded {
                self.drop_message(slot, ReassemblyDropReason::Conflict);
            }
            return Ok(None);
        }
        let grown = pending.chunks.add(header.sequence_number(), header.sequence_count(), payload);
        self.bytes += grown;
        let complete = pending.is_complete();
        if pending.chunks.received() == 2 {
            self.by_age.count_second_chunk();
            if let Some(of_source) = pending.key.as_ref().and_then(|key| self.sources.get_mut(&key.1)) {
                of_source.count_second_chunk();
            }
        }
        if complete {
            self.stats.completed += 1;
            return Ok(Some(self.complete(slot)));
        }
        if grown > 0 {
            self.make_room(slot);
        }
        Ok(None)
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // A chunk exactly at the deadline is in time.
        self.first_deadline?.checked_add(Duration::from_nanos(1))
    }

    /// Drops the messages that were not completed in time. [`handle_chunk`](Self::handle_chunk) calls this
    /// method itself.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.first_deadline.is_some_and(|deadline| deadline < now) {
            let Some(oldest) = self.by_age.first() else { break };
            self.drop_message(oldest, ReassemblyDropReason::Expired);
        }
    }

    /// Returns the next dropped message. At most 1,024 dropped messages wait to be polled. Further drops are
    /// only counted.
    pub fn poll_dropped(&mut self) -> Option<Dropped<S>> {
        self.dropped.pop_front()
    }

    /// Returns the counters.
    pub fn stats(&self) -> ReassemblyStats {
        ReassemblyStats { pending: self.index.len(), held_bytes: self.bytes, ..self.stats }
    }

    /// Takes a slot for a new message whose first chunk has `first` bytes. Returns `None` if the limits allow
    /// no message.
    fn begin(&mut self, now: Instant, key: Key<S>, count: u8, first: usize) -> Option<u32> {
        // A source can be at its limit only if at least as many messages are pending in total.
        if self.index.len() >= self.limits.max_entries_per_source {
            let full = self
                .sources
                .get_mut(&key.1)
                .filter(|of_source| of_source.len() >= self.limits.max_entries_per_source);
            if let Some(oldest) = full.and_then(|of_source| of_source.evictable(&self.slots)) {
                self.drop_message(oldest, ReassemblyDropReason::Evicted);
            }
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
        let place = self.slots.get_mut(slot);
        place.key = Some(key.clone());
        place.deadline = now.checked_add(self.limits.timeout);
        place.count = count;
        place.chunks.clear();
        // Without this step, each first chunk of a flood could take over the large memory of a completed
        // message, until the flood holds all the memory.
        let is_flood = self.index.len() >= FEW_PENDING;
        if is_flood && place.chunks.memory() > RETAINED_IN_A_FLOOD.max(2 * Chunks::needed(first, count)) {
            self.bytes -= place.chunks.memory();
            place.chunks.shrink();
        }
        let deadline = place.deadline;
        self.by_age.push(slot, &mut self.slots);
        if self.by_age.len() == 1 {
            self.first_deadline = deadline;
        }
        match self.sources.get_mut(&key.1) {
            Some(of_source) => of_source.push(slot, &mut self.slots),
            None => {
                let mut of_source = Group::new(Kind::Source);
                of_source.push(slot, &mut self.slots);
                self.sources.insert(key.1.clone(), of_source);
            }
        }
        self.index.insert(key, slot);
        Some(slot)
    }

    fn free_slot(&mut self) -> Option<u32> {
        let slot = self.free.pop()?;
        self.free_bytes -= self.slots.get(slot).chunks.memory();
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

    /// Returns whether there is room for `bytes` more bytes. If necessary, frees the memory that is kept for
    /// reuse.
    fn has_room(&mut self, bytes: usize) -> bool {
        if self.bytes + bytes > self.limits.max_bytes && self.free_bytes + self.joined.capacity() > 0 {
            self.free_joined();
            self.shrink_free_slots();
        }
        self.bytes + bytes <= self.limits.max_bytes
    }

    #[cold]
    fn shrink_free_slots(&mut self) {
        for slot in &self.free {
            self.slots.get_mut(*slot).chunks.shrink();
        }
        self.bytes -= std::mem::take(&mut self.free_bytes);
    }

    fn free_joined(&mut self) {
        self.bytes -= std::mem::take(&mut self.joined).capacity();
    }

    /// Drops messages until the memory is within its limit, after the message of `slot` has grown.
    fn make_room(&mut self, slot: u32) {
        if self.has_room(0) {
            return;
        }
        // A message that is too large must not displace all the others.
        let alone = Self::SLOT_BYTES + self.slots.get(slot).chunks.memory();
        if alone > self.limits.max_bytes {
            self.drop_message(slot, ReassemblyDropReason::TooLarge);
        }
        while !self.has_room(0) && self.evict() {}
    }

    /// Recycles the memory of the message that was returned last. This memory can exceed the limits.
    fn reclaim(&mut self) {
        if let Some(slot) = self.finished.take() {
            self.recycle(slot);
            if self.joined.capacity() > RETAINED_BYTES {
                self.free_joined();
            }
            self.has_room(0);
        }
    }

    /// Frees the memory of a free slot if this slot, or all free slots together, would keep too much memory.
    fn recycle(&mut self, slot: u32) {
        let place = self.slots.get_mut(slot);
        let memory = place.chunks.memory();
        if memory > RETAINED_BYTES || self.free_bytes > RETAINED_BYTES_OF_ALL {
            self.bytes -= memory;
            self.free_bytes -= memory;
            place.chunks.shrink();
        }
    }

    /// Drops a message to make room. Returns false if there is no message to drop.
    fn evict(&mut self) -> bool {
        let evictable = self.by_age.evictable(&self.slots);
        if let Some(slot) = evictable {
            self.drop_message(slot, ReassemblyDropReason::Evicted);
        }
        evictable.is_some()
    }

    fn drop_message(&mut self, slot: u32, reason: ReassemblyDropReason) {
        let Some((id, source)) = self.unlink(slot) else { return };
        let place = self.slots.get(slot);
        let (received, count) = (place.chunks.received(), place.count);
        self.recycle(slot);
        match reason {
            ReassemblyDropReason::Conflict => self.stats.conflicts += 1,
            ReassemblyDropReason::Evicted => self.stats.evicted += 1,
            ReassemblyDropReason::Expired => self.stats.expired += 1,
            ReassemblyDropReason::TooLarge => self.stats.too_large += 1,
        }
        if self.dropped.len() < MAX_DROPPED_EVENTS {
            self.dropped.push_back(Dropped { source, id, received, count, reason });
        }
    }

    /// Returns the payload of a message whose chunks have all arrived. The slot of the message becomes free.
    /// Until the next call, the payload stays in this slot or in `joined`.
    fn complete(&mut self, slot: u32) -> &[u8] {
        self.unlink(slot);
        self.finished = Some(slot);
        if !self.slots.get(slot).chunks.is_in_order() {
            let before = self.joined.capacity();
            self.joined.clear();
            self.slots.get(slot).chunks.join(&mut self.joined);
            self.bytes += self.joined.capacity() - before;
            // The payload has been copied, so the memory of a large message can be freed now.
            self.recycle(slot);
            return &self.joined;
        }
        self.slots.get(slot).chunks.data()
    }

    /// Removes a message from all tables. The slot of the message becomes free, and still has the chunks.
    fn unlink(&mut self, slot: u32) -> Option<Key<S>> {
        let place = self.slots.get_mut(slot);
        // `take` is slower here, since it loads the value that has just been stored.
        let key = place.key.clone()?;
        place.key = None;
        self.free_bytes += place.chunks.memory();
        let was_first = self.by_age.first() == Some(slot);
        self.by_age.remove(slot, &mut self.slots);
        if was_first {
            self.first_deadline = self.by_age.first().and_then(|slot| self.slots.get(slot).deadline);
        }
        if let Some(of_source) = self.sources.get_mut(&key.1) {
            of_source.remove(slot, &mut self.slots);
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
